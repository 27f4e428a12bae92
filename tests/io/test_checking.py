"""Checking as the daemon uses it, on a real event loop and loopback."""

from __future__ import annotations

import asyncio
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

import pytest

from lvs import events
from lvs.checks import Answer, Connect, Dialogue, Http, Ldap, Pace, Reason, Step, Target
from lvs.commands import Ask
from lvs.health.ward import Hook
from lvs.io import hooks
from lvs.io.checking import Checking

PACE = Pace(0.2, 2.0, 2.0)
LOOPBACK = ip_address("127.0.0.1")


class Seen:
    """What the daemon is told."""

    def __init__(self) -> None:
        self.answers: dict[Target, Answer] = {}
        self.events: list[events.Event] = []
        self.checking = Checking(self.answers_came, self.events.append)

    def answers_came(self, answers: tuple[tuple[Target, Answer], ...]) -> None:
        self.answers.update(answers)


async def until(good: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not good():  # noqa: ASYNC110  nothing tells
            await asyncio.sleep(0.01)


async def greets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 at your service\r\n")
    await reader.read()
    writer.close()


def run(scene: Callable[[Seen, int], object]) -> Seen:
    """A scene beside a server that greets, on a free port."""
    seen = Seen()

    async def played() -> None:
        async with await asyncio.start_server(greets, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            try:
                await scene(seen, port)  # type: ignore[misc]
            finally:
                seen.checking.close()

    asyncio.run(played())
    return seen


def test_what_was_asked_before_it_was_open_is_asked_then() -> None:
    async def scene(seen: Seen, port: int) -> None:
        targets = (
            Target(LOOPBACK, port, Connect(), PACE),
            Target(LOOPBACK, port, Dialogue("greeting", (Step("^220 "),)), PACE),
            Target(LOOPBACK, port, Http(), PACE),
        )
        seen.checking.ask(Ask(targets, (), ()))
        seen.checking.open(asyncio.get_running_loop())
        await until(lambda: len(seen.answers) == 3)
        assert [seen.answers[target].reason for target in targets] == [
            Reason.ANSWERED,
            Reason.ANSWERED,
            Reason.GARBLED,
        ]
        assert seen.checking.last(targets[0]).answer is not None
        assert seen.checking.vitals(time.monotonic()).followed == 3  # whoever asks first
        seen.answers.clear()
        seen.checking.ask(Ask((), (), targets[:1]))  # a newcomer wants to know
        await until(lambda: targets[0] in seen.answers)
        seen.checking.ask(Ask((), targets, ()))
        await until(lambda: seen.checking.last(targets[0]).answer is None)
        assert seen.checking.overdue(0.0)[0] == 0

    run(scene)


def test_a_credential_that_is_gone_is_told_and_no_news_of_the_real_server(tmp_path: Path) -> None:
    target = Target(LOOPBACK, 389, Ldap(bind="cn=x", password=str(tmp_path / "gone")), PACE)

    async def scene(seen: Seen, _: int) -> None:
        seen.checking.open(asyncio.get_running_loop())
        seen.checking.ask(Ask((target,), (), ()))
        await until(lambda: bool(seen.answers))

    answer = run(scene).answers[target]
    assert answer.reason is Reason.LOCAL_FAULT
    assert answer.text.startswith("this director cannot check ldap: ")
    assert "gone" in answer.text


def test_room_for_all_real_servers_at_once() -> None:
    """In a process of its own, for who gives a limit away does not get it back."""
    script = """
import resource, sys
from lvs.io.checking import room
limit = tuple(map(int, sys.argv[1:]))
resource.setrlimit(resource.RLIMIT_NOFILE, limit)
print(room(), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""

    def asked(soft: int, hard: int) -> list[int]:
        argv = (sys.executable, "-c", script, str(soft), str(hard))
        done = subprocess.run(argv, check=True, capture_output=True, text=True)
        return [int(word) for word in done.stdout.split()]

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert hard == resource.RLIM_INFINITY or hard > 4096
    assert asked(1024, 4096) == [3096, 4096, 4096]
    assert asked(256, 512) == [256, 512, 512]
    if hard == resource.RLIM_INFINITY or hard >= 21_000:
        assert asked(1024, hard) == [20_000, 21_000, hard]
        assert asked(hard, hard)[0] == 20_000


def test_a_hook_gives_way_to_news_of_the_same_real_server_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hooks, "MOST", 2)

    def hook(event: str, server: str, address: str) -> Hook:
        of = {"LVS_EVENT": event, "LVS_VIRTUAL_SERVER": "web", "LVS_REAL_SERVER": server}
        return Hook("/nonexistent/hook", {**of, "LVS_ADDRESS": address, "LVS_PORT": "80"})

    async def scene(seen: Seen, _: int) -> None:
        seen.checking.open(asyncio.get_running_loop())
        for one in (("down", "real1"), ("down", "real2"), ("up", "real2")):
            seen.checking.run(hook(*one, f"10.0.0.{one[1][-1]}"))
        seen.checking.run(Hook("/nonexistent/role", {"LVS_EVENT": "active"}))
        await until(lambda: len(seen.events) == 4)

    told = [event.hook for event in run(scene).events if isinstance(event, events.HookFailed)]
    second = "/nonexistent/hook for web, real server real2 (10.0.0.2, port 80)"
    first = "/nonexistent/hook for web, real server real1 (10.0.0.1, port 80)"
    assert told == [second, first, second, "/nonexistent/role"]


def test_hooks_run_with_what_happened_in_their_environment(tmp_path: Path) -> None:
    told = tmp_path / "told"
    program = tmp_path / "hook"
    program.write_text(f'#!/bin/sh\necho "$LVS_EVENT $1" >>{told}\n')
    program.chmod(0o755)

    async def scene(seen: Seen, _: int) -> None:
        seen.checking.open(asyncio.get_running_loop())
        for event in ("down", "up"):
            seen.checking.run(Hook(f"{program} web", {"LVS_EVENT": event, "LVS_VIRTUAL_SERVER": "web"}))
        seen.checking.run(Hook("/nonexistent/hook", {"LVS_VIRTUAL_SERVER": "web"}))
        await until(lambda: bool(seen.events))

    seen = run(scene)
    assert told.read_text() == "down web\nup web\n"
    [failed] = seen.events
    assert isinstance(failed, events.HookFailed)
    assert "/nonexistent/hook" in failed.text()
