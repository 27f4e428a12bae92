"""`lvsd wizard`: the terminal's side of the dialogue in `lvs.firstboot.wizard`.

Whoever does not answer is not waited for: the offer goes away by itself, so does a dialogue that somebody
walked away from, and the login comes. Nothing is written before the last yes.
"""

from __future__ import annotations

import argparse
import os
import select
import sys
from pathlib import Path

from lvs import booting
from lvs.errors import Exit, UsageError
from lvs.firstboot import wizard
from lvs.firstboot.decide import decide
from lvs.firstboot.values import Offered
from lvs.firstboot.wizard import Outcome, State

IDLE_S = 600
LONGEST = 1 << 16  # bytes of a line
DEVICES = Path("/sys/class/net")
HEADING = """
lvsd: a first configuration for this director. An empty line takes what stands
in [brackets], b goes back, q leaves; nothing is written before the end.
"""


def run(asked: argparse.Namespace) -> int:
    """The exit code: 0 if a configuration was written or nobody wanted to, 1 if it could not be."""
    if sys.stdin is None or (sys.stdin.isatty() is False and not asked.piped):
        raise UsageError("the wizard asks at a terminal; --piped has it take answers from elsewhere")
    lines = Lines(sys.stdin.fileno())
    if asked.offer is not None:
        said = f"This director is not configured. Press Enter within {asked.offer} s to do so here."
        print(f"\n{said}", flush=True)
        if lines.next(asked.offer) is None:
            return Exit.OK
    print(HEADING)
    if there := booting.look(asked.root).file:
        print(f"{there} is there already.\nWhat comes of this takes its place, and it is kept beside it.\n")
    state = State(_devices())
    while True:
        state = _asked(state, lines)
        if state.outcome is Outcome.LEFT:
            print("\nNothing was written.")
            return Exit.OK
        code = _write(asked.root, wizard.given(state))
        if code != Exit.PROBLEMS:
            return code
        state = wizard.refused(
            State(state.devices, answers=state.answers), "the answers do not fit together, as said above"
        )


def _asked(state: State, lines: Lines) -> State:
    shown = False
    while state.outcome is Outcome.ASKING:
        if state.at == len(wizard.QUESTIONS) and not shown:
            for one in wizard.given(state):
                print(f"\n--- {one.name}\n{one.content.decode()}", end="")
            print("---")
        shown = state.at == len(wizard.QUESTIONS)
        print(wizard.prompt(state), end="", flush=True)
        line = lines.next(IDLE_S)
        if line is None:
            print(flush=True)
        state = wizard.answered(state, "q" if line is None else line)
    return state


class Lines:
    """Lines that somebody types."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._read = b""

    def next(self, patience_s: float) -> str | None:
        """The next line; None if nobody goes on typing it for so long, or the terminal is gone."""
        while b"\n" not in self._read:
            ready, _, _ = select.select([self._descriptor], [], [], patience_s)
            more = os.read(self._descriptor, 65536) if ready else b""
            if not more or len(self._read) > LONGEST:
                return None
            self._read += more
        line, self._read = self._read.split(b"\n", 1)
        return line.decode(errors="replace")


def _devices() -> tuple[str, ...]:
    """Network devices that are hardware, or a virtual machine's."""
    try:
        return tuple(sorted(path.name for path in DEVICES.iterdir() if (path / "device").exists()))
    except OSError:
        return ()


def _write(root: Path, offered: tuple[Offered, ...]) -> int:
    """Take over what came of it: 2 if it is refused, which is then said."""
    teller = booting.Teller(on_console=False)
    try:
        memory = booting.remembered(root, teller)
        decision = decide(offered, memory, booting.look(root).config, booting.judge_key)
        teller.problems(decision.problems)
        if len(decision.files) < len(offered) and any(
            one.key not in decision.memory.taken for one in offered
        ):
            return Exit.PROBLEMS
        if booting.carry_out(root, decision, memory, teller) is None:
            return Exit.FAILED
        booting.show(root, (), teller)
    finally:
        teller.close()
    print("\nWritten. The director takes it up by itself: lvsd status")
    return Exit.OK
