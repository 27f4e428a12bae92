"""What is said on the socket survives JSON, and stays what it was."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvs.protocol import PlanRequest, ReloadRequest, Reply, Request, StatusRequest
from lvs.status import RealServerStatus, Status, VirtualServerStatus


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (StatusRequest(), b'{"type":"status"}'),
        (PlanRequest(), b'{"type":"plan","file":"","content":null}'),
        (PlanRequest("a", b"\xff\n"), b'{"type":"plan","file":"a","content":"/wo="}'),
        (ReloadRequest(), b'{"type":"reload"}'),
    ],
)
def test_requests(request_: Request, said: bytes) -> None:
    assert msgspec.json.encode(request_) == said
    assert msgspec.json.decode(said, type=Request) == request_


words = st.text(max_size=5)
rows = st.builds(
    RealServerStatus,
    words,
    words,
    words,
    *(st.integers(0, 2**32 - 1) for _ in range(3)),
    st.booleans(),
    words,
)
servers = st.builds(
    VirtualServerStatus,
    words,
    words,
    words,
    words,
    st.booleans(),
    words,
    st.lists(rows, max_size=2).map(tuple),
)
lines = st.lists(words, max_size=2).map(tuple)
statuses = st.builds(
    Status,
    *(words, words, st.none() | st.integers(0, 2**31), words, words),
    *(lines, lines, st.lists(servers, max_size=2).map(tuple)),
)


@given(st.builds(Reply, st.integers(0, 6), lines, lines, st.none() | statuses))
def test_replies(reply: Reply) -> None:
    said = msgspec.json.encode(reply)
    assert b"\n" not in said  # a reply is a line
    assert msgspec.json.decode(said, type=Reply) == reply
