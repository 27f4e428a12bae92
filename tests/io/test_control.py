"""The socket between commands and the daemon, for real, in a directory of the test's own."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from lvs.errors import Exit, NoDaemon, SystemFault
from lvs.io import control
from lvs.protocol import PlanRequest, ReloadRequest, Reply, Request, StatusRequest

Answer = Callable[[Request, str], Awaitable[Reply]]

# msgspec makes sense of a type when it meets it first; two threads that do so at once have crashed it.
msgspec.json.decode(b'{"type":"status"}', type=Request)
msgspec.json.decode(b"{}", type=Reply)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lvsd.sock"


async def echo(request: Request, _by: str) -> Reply:
    match request:
        case PlanRequest(file, content):
            return Reply(out=(file, str(len(content or b""))))
        case _:
            return Reply(Exit.FAILED, err=(type(request).__name__,))


def conversation(path: Path, *clients: Callable[[], object], answer: Answer = echo) -> list[object]:
    """What each of the clients, all at once and in threads, came back with."""

    async def both() -> list[object]:
        async with await control.serve(path, answer):
            asked = (asyncio.to_thread(client) for client in clients)
            return list(await asyncio.gather(*asked, return_exceptions=True))

    return asyncio.run(both())


def said(path: Path, *parts: bytes, finished: bool = True) -> Callable[[], bytes]:
    """A client that says these bytes and reads to the end."""

    def client() -> bytes:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(str(path))
            for part in parts:
                connection.sendall(part)
            if finished:
                connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(1000), b""))

    return client


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without root's rights to files, where the tests have them."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_there_and_back(path: Path) -> None:
    content = bytes(range(256)) * 400
    replies = conversation(
        path,
        lambda: control.ask(path, PlanRequest("lvs.toml", content)),
        lambda: control.ask(path, StatusRequest()),
        lambda: control.ask(path, ReloadRequest()),
    )
    assert replies == [
        Reply(out=("lvs.toml", "102400")),
        Reply(Exit.FAILED, err=("StatusRequest",)),
        Reply(Exit.FAILED, err=("ReloadRequest",)),
    ]


def test_more_at_once_than_are_answered_at_once(path: Path) -> None:
    busy = most = 0

    async def counted(_: Request, _by: str) -> Reply:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        for _turn in range(20):
            await asyncio.sleep(0)  # let the others come
        busy -= 1
        return Reply()

    clients = [lambda: control.ask(path, StatusRequest())] * 40
    assert conversation(path, *clients, answer=counted) == [Reply()] * 40
    assert most <= control._AT_ONCE


def test_its_mode_is_for_owner_and_group(path: Path) -> None:
    seen = conversation(path, lambda: stat.S_IMODE(path.stat().st_mode))
    assert seen == [0o660]


def test_umask_is_put_back(path: Path) -> None:
    before = os.umask(0o022)
    conversation(path)
    assert os.umask(before) == 0o022


def test_a_socket_that_was_left_behind(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(str(path))
    assert conversation(path, lambda: control.ask(path, StatusRequest()))[0] == Reply(
        Exit.FAILED, err=("StatusRequest",)
    )


@pytest.mark.parametrize(
    "garbage",
    [
        b"\n",
        b"\xff\xfe\n",
        b"GET / HTTP/1.1\r\n",
        b"[]\n",
        b'{"type":"stop"}\n',
        b'{"type":"plan","file":7}\n',
        b'{"type":"plan","content":"not base64"}\n',
        b'{"type":"status"}}\n',
    ],
)
def test_garbage_is_answered(path: Path, garbage: bytes) -> None:
    [reply, after] = conversation(path, said(path, garbage), lambda: control.ask(path, StatusRequest()))
    assert isinstance(reply, bytes)
    assert b"not understood: " in reply
    assert b"are lvsd and its daemon of one version?" in reply
    assert isinstance(after, Reply)


def test_a_request_in_pieces(path: Path) -> None:
    [reply] = conversation(path, said(path, b'{"type":', b'"status"}', b"\n", finished=False))
    assert isinstance(reply, bytes)
    assert msgspec.json.decode(reply, type=Reply) == Reply(1, err=("StatusRequest",))
    assert reply.endswith(b"}\n")


def test_half_a_request(path: Path) -> None:
    assert conversation(path, said(path, b'{"type":"status"}')) == [b""]


def test_one_that_never_ends_its_request(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "_REQUEST_S", 0.02)
    assert conversation(path, said(path, b'{"type":', finished=False)) == [b""]


def test_too_long_a_request(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not read to its end; the client is told that the conversation is over."""
    monkeypatch.setattr(control, "LONGEST", 1000)
    found = conversation(
        path,
        said(path, b" " * 4000, b"\n"),
        lambda: control.ask(path, PlanRequest("f", b"x" * 4000)),
        lambda: control.ask(path, StatusRequest()),
    )
    assert found[0] == b"" or isinstance(found[0], ConnectionError)
    assert isinstance(found[1], NoDaemon)
    assert isinstance(found[2], Reply)


def test_one_that_leaves_without_the_answer(path: Path) -> None:
    """A reply larger than the socket's buffer, to nobody."""

    async def long(_: Request, _by: str) -> Reply:
        return Reply(out=("x" * 4_000_000,))

    def leaves() -> None:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path))
            connection.sendall(b'{"type":"status"}\n')

    found = conversation(path, leaves, lambda: control.ask(path, StatusRequest()), answer=long)
    assert found[0] is None
    assert isinstance(found[1], Reply)


def test_a_mistake_in_answering(path: Path) -> None:
    """The client is not left waiting, and the next is answered."""
    calls = 0

    async def fails(_: Request, _by: str) -> Reply:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ZeroDivisionError
        return Reply()

    async def both() -> tuple[object, object]:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        async with await control.serve(path, fails):
            first = asyncio.to_thread(control.ask, path, StatusRequest(), 0.5)
            [one] = await asyncio.gather(first, return_exceptions=True)
            return one, await asyncio.to_thread(control.ask, path, StatusRequest())

    one, other = asyncio.run(both())
    assert isinstance(one, NoDaemon)
    assert other == Reply()


# Asking when it cannot be answered


def test_nobody_is_there(path: Path) -> None:
    with pytest.raises(NoDaemon, match=r"no lvsd answers on .*; start it"):
        control.ask(path, StatusRequest())
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(str(path))  # and does not listen
        with pytest.raises(NoDaemon, match="no lvsd answers"):
            control.ask(path, StatusRequest())


def test_no_answer_in_time(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(path))
        silent.listen()
        with pytest.raises(NoDaemon, match=r"did not answer within 0 s"):
            control.ask(path, StatusRequest(), timeout_s=0.02)


def test_no_answer_at_all(path: Path) -> None:
    """As of a daemon that is killed in the middle."""

    async def never(_: Request, _by: str) -> Reply:
        raise TimeoutError

    [fault] = conversation(path, lambda: control.ask(path, StatusRequest()), answer=never)
    assert isinstance(fault, NoDaemon)
    assert "ended the conversation" in str(fault)


def test_not_permitted(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        path.chmod(0)
        with as_nobody(), pytest.raises(SystemFault, match="a member of the group lvs") as caught:
            control.ask(path, StatusRequest())
    assert caught.value.exit_code is Exit.RIGHTS


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SystemFault, match=r"cannot listen on .*: No such file or directory"):
        conversation(tmp_path / "none" / "lvsd.sock")


# One daemon


def test_the_second_is_told_of_the_first(tmp_path: Path) -> None:
    held = control.lock(tmp_path / "run" / "lvs")
    with pytest.raises(
        SystemFault, match=rf"another lvsd already runs here \(process {os.getpid()}\)"
    ) as caught:
        control.lock(tmp_path / "run" / "lvs")
    assert caught.value.exit_code is Exit.ALREADY_RUNNING
    os.close(held)
    os.close(control.lock(tmp_path / "run" / "lvs"))  # the lock goes with its holder


def test_the_lock_names_only_its_holder(tmp_path: Path) -> None:
    (tmp_path / "lvsd.lock").write_text("1234567890\n")
    os.close(control.lock(tmp_path))
    assert (tmp_path / "lvsd.lock").read_text() == f"{os.getpid()}\n"


def test_a_run_directory_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SystemFault, match="or name another with --run-dir") as caught:
        control.lock(tmp_path / "file" / "lvs")
    assert caught.value.exit_code is Exit.FAILED
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    with as_nobody(), pytest.raises(SystemFault, match="Permission denied") as caught:
        control.lock(closed / "lvs")
    assert caught.value.exit_code is Exit.RIGHTS


def test_the_lock_is_not_for_others(tmp_path: Path) -> None:
    """Whoever could open it for reading could hold it, and keep the daemon from starting."""
    (tmp_path / "lvsd.lock").write_text("")
    (tmp_path / "lvsd.lock").chmod(0o644)
    os.close(control.lock(tmp_path))
    assert (tmp_path / "lvsd.lock").stat().st_mode & 0o777 == 0o600
