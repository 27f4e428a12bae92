"""What a protocol's check is to the engine: bytes in, bytes or an answer out; no socket, no clock.

A `Talk` belongs to one target and is used again for each probe, one at a time: `begin` forgets
the last one. The engine connects, keeps the deadline, limits what is read, and knows what
refusals and resets mean; a talk knows its protocol. All that comes from the network is hostile:
a talk must answer, not raise, for every sequence of bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from lvs.checks import Answer, Reason

LONGEST = 1 << 18  # bytes of an answer; the engine ends what goes on after that
SHOWN = 60  # characters of an answer that a sentence quotes


class Talk(Protocol):
    """One protocol's side of a probe."""

    def begin(self) -> bytes:
        """What to send once connected; empty if the server speaks first."""

    def received(self, data: bytes) -> bytes | Answer:
        """What to send now that this came (empty: wait for more), or the verdict.

        Over UDP, `data` is one datagram; one that is no answer to ours is passed over with b"".
        """

    def ended(self) -> Answer:
        """The verdict when the server closes before one was reached."""

    def silent(self) -> str:
        """What was waited for when the deadline came: the sentence's second half."""


def quoted(data: bytes | str, most: int = SHOWN) -> str:
    """What a server said, fit for one line of a journal: printable, at most `most` characters, in quotes."""
    text = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
    text = text.strip()
    head = text[: most - 3] + "..." if len(text) > most else text
    return '"' + "".join(c if c.isprintable() and c != '"' else "." for c in head) + '"'


def up(text: str) -> Answer:
    return Answer(ok=True, reason=Reason.ANSWERED, text=text)


def down(reason: Reason, text: str) -> Answer:
    return Answer(ok=False, reason=reason, text=text)


def credential(secrets: Mapping[str, bytes], name: str | None) -> bytes:
    """A credential by its name, empty without a name. Errors: LookupError with a sentence."""
    if name is None:
        return b""
    if name not in secrets:
        raise LookupError(f"credential {name} is not there")
    return secrets[name]
