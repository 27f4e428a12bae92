"""The console: a person at a terminal, played by a thread at the other end of a pty."""

from __future__ import annotations

import io
import os
import re
import select
import signal
import termios
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from .channel import LabError
from .console import attach, environment, furnish, run_lines
from .lab import Lab
from .machine import Machine

pytestmark = pytest.mark.netns

SIZE = os.terminal_size((100, 30))
PATIENCE_S = 60.0


class Person:
    """Someone who types and reads; ``tty`` is where the console sits."""

    def __init__(self) -> None:
        self.end, self.tty = os.openpty()
        self.resize(SIZE)
        self.before = self.settings()
        self._unread = ""

    def types(self, text: str) -> None:
        os.write(self.end, text.encode())

    def reads(self, pattern: str) -> str:
        """What is shown up to and with the pattern."""
        deadline = time.monotonic() + PATIENCE_S
        while not (found := re.search(pattern, self._unread)):
            ready, _, _ = select.select([self.end], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"{pattern!r} was never shown\n{self._unread}"
            self._unread += os.read(self.end, 1 << 16).decode(errors="replace")
        shown, self._unread = self._unread[: found.end()], self._unread[found.end() :]
        return shown

    def resize(self, size: os.terminal_size) -> None:
        termios.tcsetwinsize(self.end, (size.lines, size.columns))

    def settings(self) -> list[object]:
        return termios.tcgetattr(self.tty)

    def leaves(self) -> None:
        """Close the window."""
        os.close(self.end)
        self.end = -1


@pytest.fixture
def person() -> Iterator[Person]:
    one = Person()
    yield one
    for fd in {one.end, one.tty} - {-1}:
        os.close(fd)


def sit(machine: Machine, person: Person, script: Callable[[], None]) -> int:
    """Run a shell for a person who goes by a script; the shell's exit status."""

    def act() -> None:
        try:
            person.reads("# ")
            script()
        except BaseException:
            person.leaves()  # or the shell would wait for ever
            raise

    terminal = machine.terminal("bash", size=SIZE, env=environment() | {"TERM": "xterm"})
    with ThreadPoolExecutor(1) as pool:
        acting = pool.submit(act)
        try:
            return attach(terminal, person.tty, person.tty)
        finally:
            acting.result()


def test_a_person_works(lab: Lab, person: Person) -> None:
    def script() -> None:
        person.types("tty; echo $((6 * 7)); hostname\r")
        person.reads(r"/dev/pts/\d+\r\n42\r\ndirector1\r\n")
        assert person.settings() != person.before
        person.types("stty size\r")
        person.reads(r"[\r\n]30 100\r\n")
        person.types("trap 'echo became $(stty size)' WINCH; echo set\r")
        person.reads(r"[\r\n]set\r\n")
        person.resize(os.terminal_size((120, 40)))
        time.sleep(1)
        person.types("\r")
        person.reads("became 40 120\r\n")
        person.types("exit 7\r")

    assert sit(lab.machine("director1"), person, script) == 7
    assert person.settings() == person.before


def test_keys_reach_the_foreground(lab: Lab, person: Person) -> None:
    def script() -> None:
        person.types("sh -c 'echo $((6 * 7)); exec cat'; echo said $?\r")
        person.reads(r"[\r\n]42\r\n")
        person.types("\x03")
        person.reads(r"\^C.*\n.*# ")
        person.types("sleep 600; echo back\r")
        person.reads(r"\n")
        time.sleep(1)  # until it is in the foreground
        person.types("\x1a")
        person.reads("Stopped .*sleep 600")
        person.types("bg; jobs\r")
        person.reads("Running .*sleep 600")
        person.types("kill %1; exit\r")

    sit(lab.machine("director1"), person, script)


def test_an_editor(lab: Lab, person: Person) -> None:
    director = lab.machine("director1")
    furnish([director])
    director.write("/etc/lvs/lvs.cf", "old\n")

    def script() -> None:
        person.types("vi /etc/lvs/lvs.cf\r")
        person.reads("old")
        person.types("cwnew\x1b:wq\r")
        person.reads("# ")
        person.types("exit\r")

    sit(director, person, script)
    assert director.read("/etc/lvs/lvs.cf") == "new\n"


def test_machines_and_peers_programs_are_commands(lab: Lab, person: Person) -> None:
    director = lab.machine("director1")
    lab.segment("lan", {"director1": "10.0.0.1/24", "client": "10.0.0.100/24"})
    furnish([director, lab.machine("client")])

    def script() -> None:
        person.types("ipvsadm -A -t 10.0.0.5:631 -s wlc; ipvsadm -Ln\r")
        person.reads("TCP  10.0.0.5:631 wlc")
        person.types("lvsd --version\r")
        person.reads(r"[\r\n]lvsd \S+\r\n")
        person.types("client ip -brief address show dev eth0\r")
        person.reads("10.0.0.100/24")
        person.types("client\r")
        person.reads("client:.*# ")
        person.types("ipvsadm -Ln; ls /run/lab/machines; exit\r")
        assert "10.0.0.5" not in person.reads("director1.*\r\n")
        person.reads("director1:.*# ")
        person.types("exit\r")

    sit(director, person, script)


def test_a_flood_is_stopped_and_delays_nobody(lab: Lab, person: Person) -> None:
    def script() -> None:
        person.types("yes flood\r")
        person.reads(r"flood\r\nflood\r\n")
        with ThreadPoolExecutor(1) as pool:
            began = time.monotonic()
            running = pool.submit(lab.machine("director1").run, "echo", "well")
            while not running.done():
                person.reads("flood\r\n")
            assert running.result().out == "well\n"
            assert time.monotonic() - began < 20
        person.types("\x03")
        person.reads(r"\^C[^#]*# ")
        person.types("exit\r")

    sit(lab.machine("director1"), person, script)


def test_a_long_paste_arrives_whole(lab: Lab, person: Person) -> None:
    director = lab.machine("director1")
    lines = [f"{number} {'x' * 60}" for number in range(2000)]

    def script() -> None:
        person.types("stty -echo; sleep 2; cat > /tmp/pasted; echo done\r")
        person.reads(r"\n")
        person.types("".join(f"{line}\r" for line in lines) + "\x04")
        person.reads("done\r\n")
        person.types("exit\r")

    sit(director, person, script)
    assert director.read("/tmp/pasted").splitlines() == lines


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_settings_are_restored_if_the_console_is_killed(lab: Lab, person: Person, number: int) -> None:
    with pytest.raises(SystemExit):
        sit(lab.machine("director1"), person, lambda: os.kill(os.getpid(), number))
    assert person.settings() == person.before


def test_settings_are_restored_if_the_machine_is_lost(lab: Lab, person: Person) -> None:
    def script() -> None:
        lab.channel.ask("remove", name=machine.name)
        del lab.machines[machine.name]

    machine = lab.machine("director1")
    with suppress(LabError):  # the shell was killed, or is already forgotten
        sit(machine, person, script)
    assert person.settings() == person.before


def test_settings_are_restored_if_the_lab_is_lost(person: Person) -> None:
    with Lab.start() as doomed, pytest.raises(LabError, match="gone"):
        sit(doomed.machine("director1"), person, doomed.close)
    assert person.settings() == person.before


def test_a_shell_is_hung_up_when_the_person_leaves(lab: Lab, person: Person) -> None:
    assert sit(lab.machine("director1"), person, person.leaves) in (-signal.SIGHUP, 129)


def test_lines_from_a_pipe(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    director = lab.machine("director1")
    furnish([director])
    run_lines(director, io.StringIO("hostname\nfalse; echo $?\nlvsd --version | cut -c-5\n"))
    expected = ["director1# hostname", "director1", "director1# false; echo $?", "1"]
    expected += ["director1# lvsd --version | cut -c-5", "lvsd "]
    assert capsys.readouterr().out.splitlines() == expected
