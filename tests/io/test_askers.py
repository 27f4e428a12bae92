"""Files that say up or down, and files that hang."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from lvs.checks import Answer, File, Pace, Reason, Target
from lvs.io import askers
from lvs.io.askers import Files, read_answer, verdict
from lvs.probes.talk import down, up


def target(path: str, number: int = 1) -> Target:
    return Target(IPv4Address(f"192.0.2.{number}"), 80, File(path), Pace(6, 2, 4))


def asked(files: Files, *targets: Target) -> list[Answer]:
    async def run() -> list[Answer]:
        loop = asyncio.get_running_loop()
        files.open(loop)
        waiting = []
        for one in targets:
            future: asyncio.Future[Answer] = loop.create_future()
            waiting.append(future)
            files.ask(one, 0.0, future.set_result)
        async with asyncio.timeout(5):
            return [await future for future in waiting]

    try:
        return asyncio.run(run())
    finally:
        files.close()


def test_each_file_is_read(tmp_path: Path) -> None:
    paths = [tmp_path / f"192.0.2.{number}:80" for number in range(1, 21)]
    for path in paths:
        path.write_text("up\n")
    answers = asked(Files(), *[target(f"{tmp_path}/%h:%p", number) for number in range(1, 21)])
    assert answers == [up(f"{path} says up") for path in paths]


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        (b"up", up("f says up")),
        (b"up since noon\n", up("f says up")),
        (b"down", down(Reason.WRONG_ANSWER, "f says down")),
        (b"down for lunch\nback at two\n", down(Reason.WRONG_ANSWER, 'f says down: "for lunch"')),
        (b"", down(Reason.WRONG_ANSWER, "f is empty")),
        (b"upper\n", down(Reason.WRONG_ANSWER, 'f says "upper", up or down expected')),
        (b"\xff\x00", down(Reason.WRONG_ANSWER, 'f says "\ufffd.", up or down expected')),
    ],
)
def test_what_a_file_says(content: bytes, answer: Answer) -> None:
    found = verdict("f", content)
    assert (found.ok, found.reason) == (answer.ok, answer.reason)
    assert content == b"\xff\x00" or found.text == answer.text


def test_what_cannot_be_read(tmp_path: Path) -> None:
    assert read_answer(f"{tmp_path}/none") == down(Reason.WRONG_ANSWER, f"{tmp_path}/none is not there")
    assert read_answer(str(tmp_path)).text.endswith("is not a regular file")
    os.mkfifo(tmp_path / "fifo")
    assert read_answer(f"{tmp_path}/fifo").text.endswith("is not a regular file")
    assert read_answer("\0").text == "no file can have this name"
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert read_answer(f"{tmp_path}/loop").reason is Reason.UNREACHABLE


def hanging(released: threading.Event, began: list[str]) -> Callable[[str], Answer]:
    def read(path: str) -> Answer:
        began.append(path)
        released.wait(5)
        return up(path)

    return read


def test_a_file_that_hangs_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(askers, "THREADS", 1)
    released = threading.Event()
    began: list[str] = []
    files = Files(hanging(released, began))
    told: list[Answer] = []

    async def run() -> None:
        files.open(asyncio.get_running_loop())
        async with asyncio.timeout(5):
            files.ask(target("/a"), 0.0, told.append)
            while not began:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            assert files.abandon(target("/a")) == down(Reason.TIMED_OUT, "/a could not be read within 4 s")
            files.ask(target("/b"), 0.0, told.append)
            assert files.abandon(target("/b")).reason is Reason.LOCAL_FAULT
            files.ask(target("/a"), 0.0, told.append)  # the same reading answers
            released.set()
            while not told or len(began) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.001)

    asyncio.run(run())
    files.close()
    assert began == ["/a", "/b"]
    assert told == [up("/a")]


def test_no_thread_is_our_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert asked(Files(), target("/a"))[0].reason is Reason.LOCAL_FAULT
