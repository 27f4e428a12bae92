"""`lvsd wizard` at a terminal of its own."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from firstboot.given import TOML

ANSWERS = ("lvs1", "", "", "", "", "192.0.2.1/24", "80", "10.0.0.3", "")
PATIENCE_S = 60


class Console:
    """A terminal, and lvsd at it."""

    def __init__(self, root: Path, *arguments: str) -> None:
        self._ours, theirs = pty.openpty()
        self._process = subprocess.Popen(
            (sys.executable, "-m", "lvs.cli", "wizard", "--root", str(root), *arguments),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self.shown = ""
        self._at = 0  # what was waited for ends here

    def until(self, text: str) -> None:
        """Wait for what it shows next, from where it was last waited for."""
        while text not in self.shown[self._at :]:
            if not select.select([self._ours], [], [], PATIENCE_S)[0]:
                raise AssertionError(f"no {text!r} in {self.shown}")
            try:
                more = os.read(self._ours, 4096)
            except OSError:
                more = b""
            assert more, f"no {text!r} in {self.shown}"
            self.shown += more.decode()
        self._at = self.shown.index(text, self._at) + len(text)

    def type(self, line: str) -> None:
        os.write(self._ours, f"{line}\n".encode())

    def hang_up(self) -> None:
        os.close(self._ours)
        self._ours = -1

    def code(self) -> int:
        return self._process.wait(PATIENCE_S)

    def close(self) -> None:
        if self._ours >= 0:
            os.close(self._ours)
        self._process.kill()
        self._process.wait()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def console(root: Path) -> Iterator[Console]:
    made = Console(root)
    yield made
    made.close()


def test_answers_become_a_configuration(console: Console, root: Path) -> None:
    for answer in ANSWERS:
        console.until(": ")
        console.type(answer)
    console.until("Write this?")
    assert not (root / "etc/lvs/lvs.toml").exists()
    console.type("yes")
    console.until("Written.")
    assert console.code() == 0
    assert 'address = "192.0.2.1"' in (root / "etc/lvs/lvs.toml").read_text()
    assert (root / "etc/hostname").read_text() == "lvs1\n"


def test_q_leaves_and_nothing_was_written(console: Console, root: Path) -> None:
    console.until("Host name")
    console.type("q")
    console.until("Nothing was written.")
    assert console.code() == 0
    assert list(root.iterdir()) == []


def test_a_terminal_that_goes_away_is_not_waited_for(console: Console, root: Path) -> None:
    console.until("Host name")
    console.hang_up()
    console.code()
    assert list(root.iterdir()) == []


def test_an_offer_that_nobody_takes(root: Path) -> None:
    console = Console(root, "--offer", "0")
    try:
        console.until("Press Enter within 0 s")
        assert console.code() == 0
    finally:
        console.close()


def test_a_director_that_has_a_configuration_is_warned(root: Path) -> None:
    (root / "etc/lvs").mkdir(parents=True)
    (root / "etc/lvs/lvs.toml").write_text(TOML)
    console = Console(root, "--offer", "60")
    try:
        console.until("Press Enter")
        console.type("")
        console.until("is there already.")
        console.until("Host name")
    finally:
        console.close()


def test_without_a_terminal(root: Path) -> None:
    done = subprocess.run(
        (sys.executable, "-m", "lvs.cli", "wizard", "--root", str(root)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "asks at a terminal" in done.stderr


def test_answers_that_do_not_fit_together_are_asked_for_again(root: Path) -> None:
    answers = [*ANSWERS]
    answers[2:5] = ["192.0.2.1/24", "", "", "", ""]  # its own address is the VIP
    done = subprocess.run(
        (sys.executable, "-m", "lvs.cli", "wizard", "--root", str(root), "--piped"),
        input="\n".join([*answers, "yes", "q"]) + "\n",
        capture_output=True,
        text=True,
        check=True,
    )
    assert "192.0.2.1 is the VIP of" in done.stderr
    assert "do not fit together" in done.stdout
    assert not (root / "etc/hostname").exists()
