from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvs.checks import Answer, Reason
from lvs.probes.http_answer import LONGEST_HEAD, HttpAnswer

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def read(data: bytes, *, bytewise: bool = False) -> tuple[int, bytes] | Reason | None:
    """Status and body; None if it is not whole, not even at the end."""
    http = HttpAnswer()
    for piece in [bytes((byte,)) for byte in data] if bytewise else [data]:
        whole = http.add(piece)
        if isinstance(whole, Answer):
            return whole.reason
        if whole:
            return http.status, http.body
    return (http.status, http.body) if http.end() else None


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (OK + b"Content-Length: 2\r\n\r\nhi", (200, b"hi")),
        (OK + b"content-length:2\r\nContent-Length: 2\r\n\r\nhi", (200, b"hi")),
        (OK + b"Content-Length: 0\r\n\r\n", (200, b"")),
        (OK + b"Content-Length: 3\r\n\r\nhi", None),
        (OK + b"\r\nuntil the end", (200, b"until the end")),
        (b"HTTP/1.0 404 Not Found\n\nno", (404, b"no")),
        (b"HTTP/1.1 500\r\n\r\n", (500, b"")),
        (b"HTTP/1.1 204 No Content\r\n\r\n", (204, b"")),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 1\r\n\r\nx", (200, b"x")),
        (CHUNKED + b"2\r\nhi\r\n0\r\n\r\n", (200, b"hi")),
        (
            CHUNKED + b"2;name=value\r\nhi\r\nA\r\n0123456789\r\n0\r\nField: x\r\n\r\n",
            (200, b"hi0123456789"),
        ),
        (CHUNKED + b"2\r\nhi\r\n", None),
        (CHUNKED + b"2\r\nhi\r\n0\r\n", None),
        (CHUNKED + b"2\r\nhiX", Reason.GARBLED),
        (CHUNKED + b"nothing\r\n", Reason.GARBLED),
        (CHUNKED + b"1" * 2000, Reason.GARBLED),
        (CHUNKED + b"fffffff\r\n", Reason.TOO_LONG),
        (OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nhi", Reason.GARBLED),
        (OK + b"Content-Length: -1\r\n\r\n", Reason.GARBLED),
        (OK + b"Content-Length: 99999999\r\n\r\n", Reason.TOO_LONG),
        (OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n", Reason.GARBLED),
        (b"HTTP/1.1 xyz\r\n\r\n", Reason.GARBLED),
        (b"SSH-2.0-OpenSSH_9.2\r\n", Reason.GARBLED),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * (LONGEST_HEAD + 10), Reason.TOO_LONG),
        (b"HTTP/1.1 200 OK\r\n", None),
        (b"", None),
    ],
)
def test_answers(data: bytes, wanted: tuple[int, bytes] | Reason | None) -> None:
    assert read(data) == wanted
    assert read(data, bytewise=True) == wanted


@given(
    st.sampled_from([b"", OK + b"\r\n", CHUNKED, OK + b"Content-Length: 9\r\n\r\n"]), st.binary(max_size=60)
)
def test_how_it_is_cut_does_not_matter(beginning: bytes, rest: bytes) -> None:
    assert read(beginning + rest) == read(beginning + rest, bytewise=True)
