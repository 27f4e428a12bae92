"""Who is asked when, over processes that a test starts and ends; real ones are in tests/netns."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from ipaddress import ip_address
from typing import cast

from lvs.checks import Answer, Load, Pace, Program, Reason, Target
from lvs.io.processes import Command, Job, Processes
from lvs.io.programs import AT_ONCE, Programs
from lvs.probes.program import Ended, Late, Outcome, Unstarted


class FakeProcesses:
    """Processes that do nothing until a test says how they end."""

    def __init__(self) -> None:
        self.started: list[tuple[Command, Callable[[Outcome], None], Job]] = []
        self.killed: list[Job] = []
        self.refusal: Unstarted | None = None

    def run(self, command: Command, _deadline: float, done: Callable[[Outcome], None]) -> Job | Unstarted:
        if self.refusal is not None:
            return self.refusal
        job = Job.__new__(Job)
        job.ended = False
        self.started.append((command, done, job))
        return job

    def kill(self, job: Job) -> None:
        self.killed.append(job)

    def end(self, number: int, outcome: Outcome) -> None:
        _, done, job = self.started[number]
        job.ended = not isinstance(outcome, Late)
        done(outcome)


def target(number: int = 1, check: Program | Load | None = None) -> Target:
    check = check or Program(("/x/check", "%h", "%p"), "OK")
    return Target(ip_address(f"192.0.2.{number}"), 53, check, Pace(6.0, 6.0, 6.0))


class Bench:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.processes = FakeProcesses()
        self.programs = Programs(cast("Processes", self.processes))
        self.programs.open(loop)
        self.answers: dict[Target, list[Answer]] = {}

    def ask(self, one: Target, limit_s: float = 60.0) -> None:
        self.programs.ask(
            one, self.loop.time() + limit_s, lambda a: self.answers.setdefault(one, []).append(a)
        )

    async def turns(self, number: int = 2) -> None:
        for _ in range(number):
            await asyncio.sleep(0)


def bench(test: Callable[[Bench], Coroutine[None, None, None]]) -> Callable[[], None]:
    async def run() -> None:
        one = Bench(asyncio.get_running_loop())
        await test(one)
        one.programs.close()

    def wrapped() -> None:
        asyncio.run(run())

    wrapped.__name__ = test.__name__
    return wrapped


@bench
async def test_a_program_is_asked(b: Bench) -> None:
    b.ask(target())
    assert not b.processes.started
    await b.turns()
    ((command, _, _),) = b.processes.started
    assert command.words == ("/x/check", "192.0.2.1", "53")
    assert command.environment["LVS_REAL_SERVER"] == "192.0.2.1"
    assert "PATH" in command.environment
    assert not command.errors
    b.processes.end(0, Ended(0, b"OK\n"))
    assert [a.ok for a in b.answers[target()]] == [True]


@bench
async def test_a_load_monitor_is_asked(b: Bench) -> None:
    one = target(check=Load(("rup", "%h")))
    b.ask(one)
    await b.turns()
    b.processes.end(0, Ended(0, b"load average: 0.5"))
    assert [a.value for a in b.answers[one]] == [0.5]


@bench
async def test_a_start_that_fails_is_an_answer_later(b: Bench) -> None:
    b.processes.refusal = Unstarted("there is no program /x/check")
    b.ask(target())
    assert not b.answers
    await b.turns()
    assert [a.reason for a in b.answers[target()]] == [Reason.PROGRAM_MISSING]


@bench
async def test_a_user_that_is_gone_is_no_fault_of_the_real_server(b: Bench) -> None:
    b.programs.run_as("no-such-user")
    b.ask(target())
    await b.turns()
    assert not b.processes.started
    (answer,) = b.answers[target()]
    assert answer.reason is Reason.LOCAL_FAULT
    assert answer.text == "there is no user no-such-user; useradd --system no-such-user"
    b.programs.run_as(None)
    b.ask(target())
    await b.turns()
    assert len(b.processes.started) == 1


@bench
async def test_one_is_started_in_a_turn_and_so_many_at_once_in_order(b: Bench) -> None:
    for number in range(1, AT_ONCE + 6):
        b.ask(target(number))
    await b.turns()
    assert len(b.processes.started) <= 2
    await b.turns(AT_ONCE * 2)
    assert len(b.processes.started) == AT_ONCE
    b.processes.end(7, Late())
    await b.turns()
    assert len(b.processes.started) == AT_ONCE + 1
    asked = [command.words[1] for command, _, _ in b.processes.started]
    assert asked == [f"192.0.2.{number}" for number in range(1, AT_ONCE + 2)]


@bench
async def test_who_does_not_get_a_turn_is_told_at_the_deadline(b: Bench) -> None:
    for number in range(AT_ONCE):
        b.ask(target(number))
    await b.turns(AT_ONCE * 2)
    b.ask(target(200), limit_s=0)
    await b.turns(3)
    (answer,) = b.answers[target(200)]
    assert answer.reason is Reason.LOCAL_FAULT
    assert answer.text == "/x/check did not get its turn: 32 programs were at work all the time"
    b.processes.end(0, Ended(0))
    await b.turns()
    assert len(b.processes.started) == AT_ONCE  # its place in the queue is empty


@bench
async def test_who_starts_late_is_not_down_for_it(b: Bench) -> None:
    b.ask(target())
    await b.turns()
    one = b.programs._asks[target()]
    one.late_s = 40.0
    b.processes.end(0, Late())
    (answer,) = b.answers[target()]
    assert answer.reason is Reason.LOCAL_FAULT
    assert answer.text == "/x/check started 40.0 s late, 32 programs were at work"


@bench
async def test_abandoned(b: Bench) -> None:
    b.ask(target(1))
    b.ask(target(2))
    b.programs.abandon(target(1))
    await b.turns()
    assert [command.words[1] for command, _, _ in b.processes.started] == ["192.0.2.2"]
    b.programs.abandon(target(2))
    b.programs.abandon(target(2))
    assert b.processes.killed == [b.processes.started[0][2]]
    await b.turns()
    assert not b.answers


@bench
async def test_asked_anew(b: Bench) -> None:
    b.ask(target())
    await b.turns()
    b.processes.started[0][2].ended = True
    b.ask(target())
    await b.turns()
    assert len(b.processes.killed) == 1
    b.processes.end(1, Ended(0, b"OK"))
    assert len(b.answers[target()]) == 1


@bench
async def test_b17_a_program_that_cannot_be_killed_is_not_started_again(b: Bench) -> None:
    b.ask(target())
    await b.turns()
    b.processes.end(0, Late())
    for _ in range(2):
        b.ask(target())
        await b.turns()
    assert len(b.processes.started) == 1
    assert [a.reason for a in b.answers[target()]] == [Reason.PROGRAM_TIMED_OUT] * 3
    assert b.answers[target()][1].text == "/x/check of an earlier check was killed and has still not ended"
    b.processes.started[0][2].ended = True
    b.ask(target())
    await b.turns()
    assert len(b.processes.started) == 2
