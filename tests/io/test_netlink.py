"""The table over a socket behind which `kernel.state.apply` answers as the kernel does.

The messages it is sent are read by pyroute2, and its answers are written as Linux 6.12 writes
them (kernel/oracle.py). A real kernel is in tests/netns.
"""

from __future__ import annotations

import ctypes
import errno
import struct
from collections import deque
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from pyroute2.netlink.generic.ipvs import ipvsmsg

import strategies
from kernel import oracle, sockopt
from lvs.errors import Exit, KernelError
from lvs.io import entries, netlink
from lvs.io.netlink import Refusal, ServiceDump, Table
from lvs.kernel import wire
from lvs.kernel.decode import Counted
from lvs.kernel.diff import diff
from lvs.kernel.state import (
    ROUTE,
    AddDestination,
    AddService,
    Destination,
    DestinationKey,
    KernelState,
    RemoveDestination,
    RemoveService,
    Service,
    ServiceOptions,
    SetDestination,
    TableOp,
    Timeouts,
    apply,
)

SOCKET = "lvs.io.netlink.socket.socket"
CONTROL, DUMP, ACK = 0x10, 0x300, 0x4
FORCED = (32, 33)
KEY, OTHER = strategies.KEYS[:2]
OPTIONS = ServiceOptions("wlc", 0, 0, strategies.ALL_IPV4, "")
REAL = DestinationKey(strategies.REALS[4][0], 80)
ONE = Destination(ROUTE, 1)


class Kernel:
    """A netlink socket with a table behind it."""

    def __init__(self) -> None:
        self.state = KernelState(timeouts=Timeouts(900, 120, 300))
        self.refuse: dict[type[TableOp], int] = {}
        self.loaded = True
        self.rights = True
        self.told = True  # by getsockopt
        self.answers: deque[bytes | OSError] = deque()
        self.sends: list[int] = []  # messages in each
        self.options: list[tuple[int, int]] = []
        self.closed = False

    def __call__(self, *_: object) -> Kernel:
        return self

    def bind(self, address: tuple[int, int]) -> None:
        assert address == (0, 0)

    def fileno(self) -> int:
        return -1

    def getsockopt(self, _: int, level: int, option: int, buffer: Any, length: Any) -> int:
        """As the C library's, with another socket."""
        assert level == 0  # SOL_IP
        answer = sockopt.answered(self.state.services, option, bytes(buffer[: length._obj.value]))
        if isinstance(answer, int) or not self.told:
            return -1
        ctypes.memmove(buffer, answer, len(answer))
        return 0

    def setsockopt(self, _: int, option: int, size: int) -> None:
        if option in FORCED and not self.rights:
            raise PermissionError
        self.options.append((option, size))

    def close(self) -> None:
        self.closed = True

    def recv(self, most: int) -> bytes:
        answer = self.answers.popleft()  # IndexError: it would wait for ever
        if isinstance(answer, OSError):
            raise answer
        assert len(answer) <= most
        return answer

    def send(self, data: bytes) -> None:
        found = list(wire.messages(data, len(data)))
        self.sends.append(len(found))
        at = 0
        for one in found:
            self.take(data[at : one.end], one.sequence)
            at = one.end

    def take(self, data: bytes, sequence: int) -> None:
        """One request."""
        _, kind, flags = struct.unpack_from("=IHH", data)
        command, body = data[16], data[20:]
        code = 0
        if kind == CONTROL:
            if not self.loaded:
                self.fail(data, sequence, errno.ENOENT)
                return
            self.answers.append(
                oracle.message(1, oracle.attribute(1, oracle.u16(oracle.FAMILY_ID)), sequence, CONTROL)
            )
            return
        if not self.rights:
            self.fail(data, sequence, errno.EPERM)
            return
        match command:
            case wire.GET_INFO:
                answer = oracle.attribute(1, oracle.u32(0x010201)) + oracle.attribute(2, oracle.u32(4096))
                self.answers.append(oracle.message(command, answer, sequence))
            case wire.GET_CONFIG:
                times = (self.state.timeouts.tcp_s, self.state.timeouts.tcpfin_s, self.state.timeouts.udp_s)
                answer = b"".join(oracle.attribute(4 + n, oracle.u32(time)) for n, time in enumerate(times))
                self.answers.append(oracle.message(command, answer, sequence))
            case wire.GET_DAEMON:
                for daemon in self.state.daemons:
                    nested = oracle.attribute(wire.CMD_DAEMON | 0x8000, oracle.fill_daemon(daemon))
                    self.answers.append(oracle.message(wire.NEW_DAEMON, nested, sequence))
                self.answers.append(oracle.end(0, sequence))
            case wire.GET_SERVICE | wire.GET_DEST:
                code = self.dump(command, body, sequence, whole=flags & DUMP == DUMP)
            case _:
                code = self.carry_out(oracle.oracle_op(data))
        if code or flags & ACK:
            self.fail(data, sequence, code)

    def fail(self, data: bytes, sequence: int, code: int) -> None:
        """NLMSG_ERROR, with the request behind it as the kernel has it; 0 is an acknowledgement."""
        head = struct.pack("=IHHIIi", 20 + len(data), wire.NLMSG_ERROR, 0, sequence, 0, -code)
        self.answers.append(head + data)

    def carry_out(self, op: TableOp) -> int:
        if type(op) in self.refuse:
            return self.refuse[type(op)]
        try:
            self.state = apply(op, self.state)
        except ValueError:
            return errno.EEXIST
        except KeyError as missing:
            return errno.ENOENT if isinstance(missing.args[0], DestinationKey) else errno.ESRCH
        return 0

    def dump(self, command: int, body: bytes, sequence: int, *, whole: bool) -> int:
        """Two messages to a datagram, so that a dump takes several."""
        key = None
        if body:
            decoded = ipvsmsg(oracle.message(command, body))
            decoded.decode()
            key = oracle.oracle_service_key(decoded.get_attr("IPVS_CMD_ATTR_SERVICE"))
            if key not in self.state.services:
                if whole:  # ip_vs_genl_dump_dests ends with nothing
                    self.answers.append(oracle.end(0, sequence))
                return 0 if whole else errno.ESRCH
        parts = []
        if command == wire.GET_SERVICE:
            for service_key, service in self.state.services.items():
                if key in (None, service_key):
                    filled = oracle.fill_service(service_key, service.options)
                    parts.append(oracle.message(1, oracle.attribute(wire.CMD_SERVICE, filled), sequence))
        else:
            assert key is not None
            for number, real in enumerate(self.state.services[key].destinations.items()):
                filled = oracle.fill_dest(*real, (number, number + 1, 0))
                parts.append(oracle.destination_message(filled, sequence))
        self.answers += [b"".join(parts[at : at + 2]) for at in range(0, len(parts), 2)]
        if whole:
            self.answers.append(oracle.end(0, sequence))
        return 0


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    made = Kernel()
    monkeypatch.setattr(SOCKET, made)
    monkeypatch.setattr(entries, "_getsockopt", made.getsockopt)
    return made


@pytest.fixture
def table(kernel: Kernel) -> Table:
    return Table()


@settings(max_examples=10)
@given(
    strategies.states(devices=(), sysctls=(), modules=()),
    strategies.states(devices=(), sysctls=(), modules=()),
)
def test_the_table_is_the_kernels(one: KernelState, other: KernelState) -> None:
    """Whatever is sent arrives, and is read back as it was sent."""
    with pytest.MonkeyPatch.context() as patched:
        kernel = Kernel()
        patched.setattr(SOCKET, kernel)
        patched.setattr(entries, "_getsockopt", kernel.getsockopt)
        patched.setattr(netlink, "_BATCH", 2)
        table = Table()
        for goal in (one, other, KernelState()):
            actual = KernelState(table.read(), timeouts=table.timeouts(), daemons=table.daemons())
            ops = [op for op in diff(actual, goal) if isinstance(op, TableOp)]
            assert table.execute(ops) == []
            assert table.read() == goal.services
            assert table.read(goal.services) == goal.services
            assert table.daemons() == goal.daemons
        assert not kernel.answers


def test_established_connections_are_counted_beside_the_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(netlink, "CONNECTIONS", tmp_path / "ip_vs")
    with pytest.raises(KernelError, match="No such file"):
        netlink.established()
    heads = "one\ntwo\nthree\n"
    rows = "TCP  C0000201:0050 rr\n  -> 0A000001:0050      Route   1      12         3         \n"
    (tmp_path / "ip_vs").write_text(heads + rows)
    assert netlink.established() == 12
    assert netlink.established([KEY]) == 0


def test_batches_end_with_a_barrier(table: Table, kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(netlink, "_BATCH", 4)
    kernel.sends.clear()
    ops: list[TableOp] = [AddService(KEY, OPTIONS)]
    ops += [AddDestination(KEY, DestinationKey(REAL.address, port), ONE) for port in range(1, 10)]
    assert table.execute(ops) == []
    assert kernel.sends == [5, 5, 3]
    assert table.execute([]) == []
    assert kernel.sends == [5, 5, 3]


def test_refusals_are_told_in_order_and_the_rest_is_done(table: Table, kernel: Kernel) -> None:
    absent = DestinationKey(REAL.address, 81)
    ops: list[TableOp] = [
        AddService(KEY, OPTIONS),
        AddService(KEY, OPTIONS),
        SetDestination(KEY, absent, ONE),
        AddDestination(KEY, REAL, ONE),
        RemoveDestination(OTHER, REAL),
        RemoveService(OTHER),
    ]
    refused = table.execute(ops)
    assert [(one.op, one.errno) for one in refused] == [
        (ops[1], errno.EEXIST),
        (ops[2], errno.ENOENT),
        (ops[4], errno.ESRCH),
        (ops[5], errno.ESRCH),
    ]
    assert "somebody else removed this real server" in refused[1].reason
    assert kernel.state.services == {KEY: Service(OPTIONS, {REAL: ONE})}


def test_refusals_of_several_batches(table: Table, kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(netlink, "_BATCH", 2)
    ops: list[TableOp] = [RemoveDestination(KEY, DestinationKey(REAL.address, port)) for port in range(1, 6)]
    refused = table.execute(ops)
    assert [one.op for one in refused] == ops
    assert isinstance(refused[0], Refusal)


def test_answers_to_what_was_asked_before_are_not_ours(table: Table, kernel: Kernel) -> None:
    """As after an exchange that was given up: late errors and dumps carry other numbers."""
    kernel.answers.append(oracle.end(errno.EINVAL, 1, wire.NLMSG_ERROR))
    kernel.answers.append(oracle.destination_message(oracle.fill_dest(REAL, ONE, (0, 0, 0)), 1))
    kernel.answers.append(oracle.end(0, 1))
    assert table.execute([AddService(KEY, OPTIONS)]) == []
    kernel.answers.append(oracle.end(0, 1))
    assert table.read() == {KEY: Service(OPTIONS, {})}
    kernel.answers.append(oracle.end(errno.EINVAL, 1, wire.NLMSG_ERROR))
    assert table.timeouts() == Timeouts(900, 120, 300)


@pytest.mark.parametrize("told", [True, False])
def test_dump(table: Table, kernel: Kernel, told: bool) -> None:
    kernel.told = told
    reals = {DestinationKey(REAL.address, port): ONE for port in (1, 2, 3)}
    kernel.state = KernelState({KEY: Service(OPTIONS, reals), OTHER: Service(OPTIONS, {})})
    assert table.dump() == [
        ServiceDump(KEY, OPTIONS, tuple(Counted(key, ONE, n, n + 1, 0) for n, key in enumerate(reals))),
        ServiceDump(OTHER, OPTIONS, ()),
    ]


def test_without_a_descriptor_netlink_tells_all(
    table: Table, kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    kernel.state = KernelState({KEY: Service(OPTIONS, {REAL: ONE})})
    with monkeypatch.context() as patched:
        patched.setattr(SOCKET, refused)
        assert table.read() == kernel.state.services
    assert table.read() == kernel.state.services


def test_info(table: Table) -> None:
    assert table.info() == ("1.2.1", 4096)


def test_some_services_that_exist(table: Table, kernel: Kernel) -> None:
    kernel.state = KernelState({KEY: Service(OPTIONS, {REAL: ONE}), OTHER: Service(OPTIONS, {})})
    absent = strategies.MARKS[0]
    assert table.read([absent, KEY]) == {KEY: Service(OPTIONS, {REAL: ONE})}
    assert table.read([]) == {}


@pytest.mark.parametrize("code", [errno.ENOENT, errno.ESRCH])
def test_a_service_that_goes_while_it_is_read(
    table: Table, kernel: Kernel, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel.state = KernelState({KEY: Service(OPTIONS, {REAL: ONE})})
    kernel.told = False
    plain = kernel.dump

    def dump(command: int, body: bytes, sequence: int, *, whole: bool) -> int:
        if command == wire.GET_DEST:
            return code
        return plain(command, body, sequence, whole=whole)

    monkeypatch.setattr(kernel, "dump", dump)
    assert table.read() == {KEY: Service(OPTIONS, {})}
    assert table.dump() == [ServiceDump(KEY, OPTIONS, ())]


def test_a_dump_that_ends_in_an_error(table: Table, kernel: Kernel) -> None:
    kernel.answers.append(oracle.end(errno.ENOMEM, table._sequence + 1))
    with pytest.raises(KernelError, match="did not read the IPVS table: Cannot allocate memory") as caught:
        table.read()
    assert caught.value.errno == errno.ENOMEM


# What is not as it should be


def test_no_ipvs(kernel: Kernel) -> None:
    kernel.loaded = False
    with pytest.raises(KernelError, match="modprobe ip_vs") as caught:
        Table()
    assert caught.value.exit_code is Exit.UNSUPPORTED
    assert kernel.closed


def test_no_rights(kernel: Kernel) -> None:
    """The socket opens for everybody, with smaller buffers; the table does not."""
    kernel.rights = False
    table = Table()
    assert [option for option, _ in kernel.options][:2] == [7, 8]  # SO_SNDBUF, SO_RCVBUF
    for ask in (table.read, table.dump, table.timeouts, table.info):
        with pytest.raises(KernelError, match="give CAP_NET_ADMIN") as caught:
            ask()
        assert caught.value.exit_code is Exit.RIGHTS


def test_large_buffers_are_forced(table: Table, kernel: Kernel) -> None:
    assert [option for option, _ in kernel.options][:2] == list(FORCED)
    table.close()
    assert kernel.closed


def test_answers_that_were_lost(table: Table, kernel: Kernel) -> None:
    """ENOBUFS: the operations were carried out; whoever asked reads afresh, with the same table."""
    kernel.answers.append(OSError(errno.ENOBUFS, "No buffer space available"))
    with pytest.raises(KernelError, match="did not deliver its netlink answers") as caught:
        table.execute([AddService(KEY, OPTIONS), AddService(KEY, OPTIONS)])
    assert caught.value.errno == errno.ENOBUFS
    assert table.read() == {KEY: Service(OPTIONS, {})}  # what was queued is not taken for an answer


def test_a_request_that_is_not_taken(table: Table, kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    def send(_: Any) -> None:
        raise OSError(errno.EMSGSIZE, "Message too long")

    monkeypatch.setattr(kernel, "send", send)
    with pytest.raises(KernelError, match="did not take a netlink request: Message too long"):
        table.execute([AddService(KEY, OPTIONS)])
