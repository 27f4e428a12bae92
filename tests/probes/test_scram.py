from __future__ import annotations

from base64 import b64decode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvs.probes.scram import MOST_ITERATIONS, Scram, normalized
from probes.played import fixed

# RFC 7677 section 3
NONCE = b64decode(b"rOprNGfwEbeRWgbNEkqO")
CHALLENGE = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
PROOF = (
    b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
    b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
)
SIGNATURE = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def begun() -> Scram:
    return Scram("user", b"pencil", NONCE)


def test_the_rfcs_exchange() -> None:
    scram = begun()
    assert scram.first() == b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
    assert scram.final(CHALLENGE) == PROOF
    assert scram.verified(SIGNATURE)
    assert not scram.verified(SIGNATURE.replace(b"6", b"7"))
    assert not scram.verified(b"v=")
    assert not scram.verified(b"e=other-error")
    assert not begun().verified(b"v=")


def test_names_are_escaped() -> None:
    assert Scram("a=b,c", b"", fixed(3)).first() == b"n,,n=a=3Db=2Cc,r=AAEC"


@pytest.mark.parametrize(
    ("challenge", "sentence"),
    [
        (CHALLENGE.replace(b"r=rO", b"r=xx"), "the nonce is not ours and the server's"),
        (
            b"r=rOprNGfwEbeRWgbNEkqO,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            "the nonce is not ours and the server's",
        ),
        (CHALLENGE.replace(b",i=4096", b""), "no salt or no iteration count"),
        (CHALLENGE.replace(b"4096", b"x"), "no salt or no iteration count"),
        (CHALLENGE.replace(b"4096", b"9" * 99), "no salt or no iteration count"),
        (CHALLENGE.replace(b"s=W22", b"s=W-2"), "no salt or no iteration count"),
        (
            CHALLENGE.replace(b"4096", b"999999999"),
            f"999999999 iterations, {MOST_ITERATIONS} at most expected",
        ),
        (CHALLENGE.replace(b"4096", b"0"), f"0 iterations, {MOST_ITERATIONS} at most expected"),
        (b"", "the nonce is not ours and the server's"),
    ],
)
def test_challenges_that_are_none(challenge: bytes, sentence: str) -> None:
    assert begun().final(challenge) == sentence


@given(st.binary(max_size=100))
def test_any_challenge_is_answered(challenge: bytes) -> None:
    assert begun().final(challenge)
    assert not begun().verified(challenge)


@pytest.mark.parametrize(
    ("password", "prepared"),
    [
        # RFC 4013 section 3
        ("I\u00adX", "IX"),
        ("user", "user"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        # prohibited, and mixed directions: as they are
        ("\u0007é", "\u0007é"),
        ("\u06271", "\u06271"),
        ("\u0627\u0628", "\u0627\u0628"),
        ("\u00a0é", " é"),
        ("", ""),
    ],
)
def test_passwords_are_prepared(password: str, prepared: str) -> None:
    assert normalized(password.encode()) == prepared.encode()


def test_a_password_that_is_no_text() -> None:
    assert normalized(b"\xff") == b"\xff"
