"""One configuration on both directors, on real kernels: pushes, refusals, partitions, conflicts (B36)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from lab import Lab
from lab.paths import LVSD
from lab.peers import echo
from lab.segment import Segment
from lvs.io import pairkey

from .director import Director, until

pytestmark = pytest.mark.netns

KEY = "/etc/lvs/pair.key"
FILE = """\
# Both directors' file.
serial_no = {serial}
primary = "10.0.0.1"
backup = "10.0.0.2"
network = "direct"

[[virtual]]
name = "web"
address = "10.0.0.5"
device = "eth0:1"
port = 80
{more}
[[virtual.server]]
name = "real1"
address = "10.0.0.3"
weight = {weight}
"""


def text(serial: int, weight: int = 1, more: str = "") -> str:
    return FILE.format(serial=serial, weight=weight, more=more)


class Pair:
    def __init__(self, lab: Lab) -> None:
        self.machines = [lab.machine("director1"), lab.machine("director2")]
        self.lan: Segment = lab.segment(
            "lan",
            {"director1": "10.0.0.1/24", "director2": "10.0.0.2/24", "real1": "10.0.0.3/24"},
        )
        key = pairkey.make().text.decode()
        self.directors = [Director(machine, checked=True) for machine in self.machines]
        for machine in self.machines:
            machine.write(KEY, key, 0o600)
        echo(lab.machine("real1"), tcp=[80])
        self.one, self.two = self.directors

    def start(self) -> None:
        for director in self.directors:
            director.start(text(1))
        self.agreed("serial 1")

    def agreed(self, word: str) -> None:
        for director in self.directors:
            until(lambda d=director: self.status(d)["text"], lambda said: said.startswith(word))  # type: ignore[misc]

    @staticmethod
    def status(director: Director) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(director.ask({"type": "pair"}))["pair"]
        return found

    def weights(self) -> list[str]:
        """Of real1, in the kernels; it comes back to one that was cut off from it, too."""

        def lines(director: Director) -> list[str]:
            return [line for line in director.table() if "10.0.0.3:80" in line]

        return [
            until(partial(lines, one), lambda found: len(found) == 1)[0].split()[-1] for one in self.directors
        ]


@pytest.fixture
def pair(lab: Lab) -> Iterator[Pair]:
    made = Pair(lab)
    try:
        made.start()
        yield made
    finally:
        for director in made.directors:
            if director.process is not None:
                print(f"--- {director.machine.name}\n{director.said}")


def saved(director: Director, content: str) -> int:
    """Save a file as an editor does; where lvsd's output was."""
    before = len(director.said)
    director.machine.write(director.file + ".new", content)
    director.machine.run("mv", director.file + ".new", director.file)
    return before


def held(director: Director) -> str:
    return director.machine.run("cat", director.file).out


def test_a_push_on_either_is_in_both_kernels(pair: Pair) -> None:
    for serial, weight, director in ((2, 5, pair.one), (3, 6, pair.two)):
        saved(director, text(serial, weight))
        until(pair.weights, lambda found, w=weight: found == [str(w)] * 2)  # type: ignore[misc]
        assert held(pair.one) == held(pair.two) == text(serial, weight)
        pair.agreed(f"serial {serial}")
    assert "was taken from the other director" in pair.one.said
    assert "was taken from the other director" in pair.two.said
    assert "Fault" not in pair.one.said + pair.two.said


def test_what_the_other_cannot_run_is_applied_nowhere(pair: Pair) -> None:
    """A check program that is on one of them only."""
    program = "/etc/lvs/check-web"  # where each machine has its own
    pair.one.machine.write(program, "#!/bin/sh\nexit 0\n", 0o755)
    more = f'send_program = "{program} %h"'
    before = saved(pair.one, text(2, 5, more))
    said = pair.one.wait_for("is refused by the other director", before)
    assert program in said
    assert pair.weights() == ["1", "1"]
    assert held(pair.two) == text(1)
    reply = pair.one.machine.run(LVSD, "reload", check=False)
    assert reply.rc == 2
    assert "the other director" in reply.err
    saved(pair.one, text(3, 5))
    until(pair.weights, lambda found: found == ["5", "5"])


def test_b36_edited_while_the_other_is_down(pair: Pair) -> None:
    pair.two.stop()
    before = saved(pair.one, text(2, 5))
    pair.one.wait_for("is pending: the other director gets it", before)
    assert pair.status(pair.one)["state"] == "pending"
    pair.two.start()
    until(pair.weights, lambda found: found == ["5", "5"])
    assert held(pair.two) == text(2, 5)
    pair.agreed("serial 2")


def test_b36_conflicting_edits_are_shown_and_not_lost(pair: Pair) -> None:
    pair.lan.cut("director2")
    for director in pair.directors:
        until(lambda d=director: pair.status(d)["connected"], lambda connected: not connected)  # type: ignore[misc]
    for director, weight in ((pair.one, 5), (pair.two, 6)):
        before = saved(director, text(2, weight))
        director.wait_for("is pending", before)
    pair.lan.mend("director2")
    for director in pair.directors:
        until(lambda d=director: pair.status(d)["state"], lambda state: state == "conflict")  # type: ignore[misc]
    assert pair.weights() == ["5", "6"]
    assert (held(pair.one), held(pair.two)) == (text(2, 5), text(2, 6))
    shown = pair.two.lvsd("pair", "status")
    assert (
        shown.startswith("conflict: serial_no is 2 on both, with other content") or "both directors" in shown
    )
    pair.two.lvsd("pair", "resolve", "--use", "there")
    until(pair.weights, lambda found: found == ["5", "5"])
    assert held(pair.two) == text(2, 5)
    assert pair.two.machine.run("cat", pair.two.file + ".replaced").out == text(2, 6)
    pair.agreed("serial 2")


def test_a_stranger_at_the_port_changes_nothing(pair: Pair) -> None:
    """From the other director's own machine, without its key and with another."""
    script = (
        "import socket\n"
        "for said in (b'GET / HTTP/1.0\\r\\n\\r\\n', bytes(500), b'\\xff' * 500) * 20:\n"
        "    s = socket.create_connection(('10.0.0.1', 539), source_address=('10.0.0.2', 0))\n"
        "    s.sendall(said); s.close()\n"
    )
    before = len(pair.one.said), len(pair.two.said)
    pair.two.machine.run("python3", "-c", script)
    pair.one.wait_for("not the other director: 10.0.0.2")
    until(lambda: pair.status(pair.one)["connected"], bool)
    # An emulated director may be silent for two seconds by itself; nothing else may end the connection.
    here, there = (
        re.findall(r"is not connected any more: (.*)", one.said[since:])
        for one, since in zip((pair.one, pair.two), before, strict=True)
    )
    for lost, other in ((here, there), (there, here)):
        assert set(lost) <= {"silent for 2 s", "it ended the connection"}
        assert "it ended the connection" not in lost or "silent for 2 s" in other
    assert pair.one.said.count("not the other director: 10.0.0.2") <= 2
    saved(pair.one, text(2, 5))
    until(pair.weights, lambda found: found == ["5", "5"])


def test_an_order_reaches_the_other_kernel(pair: Pair) -> None:
    def rows() -> list[bool]:
        return [any("10.0.0.3:80" in line for line in director.table()) for director in pair.directors]

    pair.one.lvsd("disable", "real1")
    until(rows, lambda found: found == [False, False])
    pair.two.lvsd("enable", "real1")
    until(rows, lambda found: found == [True, True])
