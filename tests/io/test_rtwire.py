"""The frame of netlink, and what becomes of errors; each question has pyroute2 as its oracle."""

from __future__ import annotations

import errno

import pytest

from lvs.errors import Exit, KernelError
from lvs.io import rtwire
from lvs.io.rtwire import asking, attributes, error, messages, request
from lvs.kernel.wire import NLMSG_DONE, NLMSG_ERROR, attribute


@pytest.mark.parametrize("data", [b"\x04\0\0\0" + bytes(12), b"\xff\0\0\0" + bytes(12)])
def test_what_is_no_netlink(data: bytes) -> None:
    with pytest.raises(OSError, match="rotocol error"):
        list(messages(data))


def test_messages_one_behind_the_other() -> None:
    data = request(20, b"abcde") + bytes(3) + request(21, b"", flags=4, number=9)
    assert list(messages(data)) == [(20, 1, b"abcde"), (21, 5, b"")]


def test_errors_and_acknowledgements() -> None:
    assert error(NLMSG_ERROR, (-errno.EPERM).to_bytes(4, "little", signed=True)) == errno.EPERM
    assert error(NLMSG_ERROR, bytes(4)) == 0
    assert error(NLMSG_DONE, b"") == 0


def test_attributes_up_to_one_that_is_none() -> None:
    body = bytes(8) + attribute(1, b"one") + attribute(2, b"") + b"\x03\0\x09\0"
    assert attributes(body, 8) == {1: b"one", 2: b""}


@pytest.mark.parametrize(
    ("fault", "said", "code", "leaves"),
    [
        (TimeoutError(), "no answer in 10 s", errno.ETIMEDOUT, Exit.FAILED),
        (PermissionError(errno.EPERM, "no"), "Operation not permitted", errno.EPERM, Exit.RIGHTS),
        (OSError(), "Input/output error", errno.EIO, Exit.FAILED),
    ],
)
def test_what_failed_is_told_with_what_was_being_done(
    fault: OSError, said: str, code: int, leaves: Exit
) -> None:
    with (
        pytest.raises(KernelError, match=f"^it cannot be asked: {said}$") as caught,
        asking("it cannot be asked"),
    ):
        raise fault
    assert (caught.value.errno, caught.value.exit_code) == (code, leaves)


def test_a_kernel_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rtwire, "ANSWER_S", 0.01)
    with pytest.raises(KernelError, match="no answer in"), asking("it cannot be asked") as kernel:
        kernel.recv(1)


def test_a_kernel_without_such_a_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rtwire, "NETLINK_ROUTE", 31)
    with pytest.raises(KernelError, match="Protocol not supported"), asking("it cannot be asked"):
        pass
