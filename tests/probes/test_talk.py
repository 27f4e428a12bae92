"""What all talks use."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvs.checks import Answer, Reason
from lvs.probes.talk import SHOWN, credential, down, quoted, up


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (b"220 ready\r\n", '"220 ready"'),
        ('say "no"', '"say .no."'),
        (b"\x00\x1b[31m\xffx\ny", '"..[31m\ufffdx.y"'),
        ("caf\u00e9 \u202e", '"caf\u00e9 ."'),
        (b"", '""'),
        (b"x" * 60, '"' + "x" * 60 + '"'),
        (b"x" * 61, '"' + "x" * 57 + '..."'),
    ],
)
def test_quoted(said: bytes | str, shown: str) -> None:
    assert quoted(said) == shown


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200)))
def test_quoted_is_one_short_line(said: bytes | str) -> None:
    shown = quoted(said)
    assert shown.isprintable()
    assert len(shown) <= SHOWN + 2
    assert '"' not in shown[1:-1]


def test_answers() -> None:
    assert up("fine") == Answer(ok=True, reason=Reason.ANSWERED, text="fine")
    assert down(Reason.CLOSED, "gone") == Answer(ok=False, reason=Reason.CLOSED, text="gone")


def test_credential() -> None:
    assert credential({"a": b"b"}, "a") == b"b"
    assert credential({}, None) == b""
    with pytest.raises(LookupError, match="credential a is not there"):
        credential({}, "a")
