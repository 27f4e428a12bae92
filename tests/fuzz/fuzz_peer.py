"""Coverage-guided fuzzing of what a director may hear from the other one.

    python tests/fuzz/fuzz_peer.py SECONDS

Begins with good letters. A finding is an exception other than those that end a connection, a law that does
not hold (frames do not depend on how a stream was cut), or a machine that a letter drives out of its mind.
atheris prints the input of a finding and writes it to a file.
"""

from __future__ import annotations

import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import atheris

ROOT = Path(__file__).resolve().parent.parent.parent

with atheris.instrument_imports(include=["lvs.letters", "lvs.sync", "lvs.health.shared", "lvs.repository"]):
    sys.path.insert(0, str(ROOT / "src"))
    from lvs.errors import SystemFault
    from lvs.health import shared
    from lvs.health.orders import Verb
    from lvs.io import pairkey
    from lvs.letters import LONGEST, FrameError, Frames, Hello, Letter, Ping, frame, letter, unfit
    from lvs.model import Protocol, VirtualKey
    from lvs.repository.exchange import Lacks, Pack, Probation, Tip
    from lvs.sync import machine, messages
    from lvs.sync.state import State
    from lvs.sync.version import Agreed, Text, Version
    from lvs.updating import letters as updating

ONE, TWO = (Text(Version(serial, str(serial)), b"", "toml") for serial in (1, 2))
AGREED = Agreed(1, ONE.version)
KEY = VirtualKey(b"\x0a\0\0\5", Protocol.TCP, 80, 0)
GOOD: tuple[Letter, ...] = (
    Hello(1, 1, "0.1.0", "lb1"),
    Ping(),
    messages.Standing(ONE.version, TWO.version, AGREED, active=True),
    messages.Offer(1, TWO, forced=True),
    messages.Answer(1, ("no",), conflict=True),
    messages.Commit(1),
    messages.Done(1, "no"),
    messages.Abort(1),
    messages.Take(),
    shared.Orders((shared.Entry("10.0.0.3", KEY, Verb.DRAIN, "carla", 1.0),)),
    shared.Findings(((KEY, (shared.Row(b"\x0a\0\0\3", 80, b"12345678", True, 1.0),)),)),
)
EMPTY: shared.Book = {}
STATES = (
    State(mine=ONE, agreed=AGREED, connected=True, theirs=messages.Standing(ONE.version)),
    machine.step(
        State(mine=ONE, agreed=AGREED, connected=True, theirs=messages.Standing(ONE.version)),
        messages.FileRead(TWO),
        0.0,
    )[0],
    State(mine=ONE, bad=True, connected=True),
)


def heard(data: bytes) -> list[Letter | None]:
    """All letters of a stream, up to the one that ends the connection."""
    frames, found = Frames(), []
    frames.longest = LONGEST
    with suppress(FrameError):
        for body in frames.cut(data):
            found.append(letter(body))  # noqa: PERF401
    return found


def fed(letters: list[Letter | None]) -> None:
    for state in STATES:
        at, book = state, EMPTY
        for one in letters:
            match one:
                case None | Ping() | shared.Findings() | Tip() | Lacks() | Pack() | Probation():
                    pass
                case messages.Review() | messages.Reviewed():
                    pass
                case Hello():
                    unfit(one)
                case shared.Orders(entries):
                    with suppress(ValueError):
                        book = shared.merged(book, entries, 1000.0, 10.0)
                        shared.orders_of(book)
                case updating.UpdateQuery() | updating.UpdateSide() | updating.UpdateOffered():
                    pass  # carried, and looked at by what is behind the socket
                case updating.UpdateData() | updating.UpdateGot() | updating.UpdateEnded():
                    pass
                case updating.UpdateStart():
                    pass
                case _:
                    before = at.mine
                    at, commands = machine.step(at, messages.Received(one), 1.0)
                    assert at.mine is before or any(isinstance(c, messages.Run) for c in commands)


def once(data: bytes) -> None:
    letters = heard(data)
    frames, other = Frames(), []
    frames.longest = LONGEST
    with suppress(FrameError):
        for at in range(len(data)):
            other += [letter(body) for body in frames.cut(data[at : at + 1])]
    assert letters == other
    fed(letters)
    with suppress(SystemFault):
        pairkey.parse(data, "fuzz")


def main() -> None:
    seconds = sys.argv[1]
    with tempfile.TemporaryDirectory() as corpus:
        for number, one in enumerate(GOOD):
            Path(corpus, str(number)).write_bytes(frame(one))
        Path(corpus, "all").write_bytes(b"".join(map(frame, GOOD)))
        Path(corpus, "key").write_bytes(pairkey.make().text)
        atheris.Setup([sys.argv[0], f"-max_total_time={seconds}", "-max_len=4096", corpus], once)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
