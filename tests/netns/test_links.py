"""Links, addresses and announcements on real veth pairs; needs root, but no IPVS.

Two namespaces, `a` (the director) and `b` (a neighbour), joined by eth0 in each. Code runs in a
namespace by a thread that moved there: namespaces belong to threads, /proc/sys/net included.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any, TypeVar

import pytest

from lvs.errors import KernelError
from lvs.io import addresses, sysctls
from lvs.io import links as links_module
from lvs.io.announce import Announcer
from lvs.io.links import (
    NOW,
    AddressCame,
    AddressGone,
    Device,
    DeviceChanged,
    DeviceGone,
    LinkChange,
    Links,
    Resync,
)
from lvs.io.vips import change
from lvs.kernel.diff import diff
from lvs.kernel.state import DropVip, KernelState, TakeVip, Vip

pytestmark = [
    pytest.mark.netns,
    pytest.mark.skipif(os.geteuid() != 0 or shutil.which("ip") is None, reason="needs root and ip(8)"),
]

T = TypeVar("T")
LIBC = ctypes.CDLL(None)
CLONE_NEWNET = 0x40000000
PATIENCE_S = 10.0


class Net:
    """A namespace to run things in."""

    def __init__(self, name: str) -> None:
        self.name = name

    def ip(self, *words: str) -> str:
        return _run("ip", "-n", self.name, *words)

    def inside(self, work: Callable[[], T]) -> T:
        """Call something in a thread that is in this namespace."""
        results: list[T] = []
        errors: list[BaseException] = []

        def body() -> None:
            try:
                with Path(f"/run/netns/{self.name}").open() as handle:
                    assert LIBC.setns(handle.fileno(), CLONE_NEWNET) == 0
                results.append(work())
            except BaseException as error:  # noqa: BLE001
                errors.append(error)

        thread = threading.Thread(target=body)
        thread.start()
        thread.join(60)
        if errors:
            raise errors[0]
        return results[0]

    def links(self, work: Callable[[Links], Awaitable[T]]) -> T:
        """Run a coroutine with open links in this namespace; no task and no warning may be left."""

        async def main() -> T:
            links = Links()
            await links.open()
            try:
                return await work(links)
            finally:
                links.close()
                await asyncio.sleep(0)
                left = asyncio.all_tasks() - {asyncio.current_task()}
                assert not left, left

        return self.inside(lambda: asyncio.run(main(), debug=False))

    def shown(self, device: str = "eth0") -> list[dict[str, Any]]:
        """Addresses as iproute2 sees them, the independent witness."""
        answer = json.loads(self.ip("-j", "address", "show", "dev", device))
        return [entry for entry in answer[0]["addr_info"] if entry.get("scope") != "link"]

    def neighbour(self, address: str) -> str:
        """The MAC that this namespace holds for an address."""
        answer = json.loads(self.ip("-j", "neigh", "show", "to", address) or "[]")
        return str(answer[0].get("lladdr", "")) if answer else ""

    def mac(self, device: str = "eth0") -> str:
        return str(json.loads(self.ip("-j", "link", "show", "dev", device))[0]["address"])


def _run(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (words, done.stderr)
    return done.stdout


@pytest.fixture
def pair() -> Iterator[tuple[Net, Net]]:
    names = [f"lvs-{os.getpid()}-{letter}" for letter in "ab"]
    a, b = (Net(name) for name in names)
    for name in names:
        _run("ip", "netns", "add", name)
    try:
        a.ip("link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", b.name)
        for net in (a, b):
            net.inside(lambda: sysctls.write("net/ipv6/conf/eth0/accept_dad", "0"))
            net.ip("link", "set", "eth0", "up")
            net.ip("link", "set", "lo", "up")
        yield a, b
    finally:
        for name in names:
            _run("ip", "netns", "del", name)


def vip(address: str, prefix: int = 24, label: str = "", device: str = "eth0") -> Vip:
    return Vip(device, ip_address(address).packed, prefix, label)


def eventually(check: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# Taking and dropping


def test_take_is_seen_by_iproute2(pair: tuple[Net, Net]) -> None:
    a, _ = pair
    wanted = [
        vip("192.0.2.10", 24, "eth0:1"),
        vip("192.0.2.11", 24),
        vip("198.51.100.1", 32),
        vip("203.0.113.0", 31),
        vip("2001:db8::10", 64),
        vip("2001:db8:1::1", 128),
    ]

    async def work(links: Links) -> frozenset[Vip]:
        assert await links.take_all(wanted) == {}
        return await links.addresses()

    assert a.links(work) >= set(wanted)
    shown = {entry["local"]: entry for entry in a.shown()}
    assert shown["192.0.2.10"]["label"] == "eth0:1"
    assert shown["192.0.2.10"]["broadcast"] == "192.0.2.255"
    assert shown["192.0.2.11"]["label"] == "eth0"
    assert shown["192.0.2.11"]["secondary"] is True
    assert "broadcast" not in shown["198.51.100.1"] or shown["198.51.100.1"]["broadcast"] == "198.51.100.1"
    assert "broadcast" not in shown["203.0.113.0"]
    six = shown["2001:db8::10"]
    assert six["nodad"] is True
    assert "tentative" not in six
    assert six["deprecated"] is True, "it is no source of what a director begins"
    assert six["preferred_life_time"] == 0
    assert six["valid_life_time"] == 2**32 - 1
    assert six["prefixlen"] == 64


def test_twice_changes_nothing(pair: tuple[Net, Net]) -> None:
    a, _ = pair
    both = [vip("192.0.2.10", 24, "eth0:1"), vip("2001:db8::10", 64)]

    async def work(links: Links) -> None:
        for one in both:
            await links.take(one)
            await links.take(one)
        assert await links.addresses() >= set(both)
        for one in both:
            await links.drop(one)
            await links.drop(one)
        assert not await links.addresses() & set(both)
        await links.drop(vip("192.0.2.99", device="nowhere"))

    a.links(work)


def test_drop_ignores_the_label(pair: tuple[Net, Net]) -> None:
    a, _ = pair
    a.ip("address", "add", "192.0.2.10/24", "dev", "eth0", "label", "eth0:9")
    a.links(lambda links: links.drop(vip("192.0.2.10")))
    assert a.shown() == []


def test_refusals_say_what_to_do(pair: tuple[Net, Net]) -> None:
    a, _ = pair
    a.ip("address", "add", "192.0.2.10/24", "dev", "eth0", "label", "eth0:9")
    a.ip("address", "add", "2001:db8::10/128", "dev", "eth0", "nodad")

    async def refusal(links: Links, wanted: Vip) -> KernelError:
        with pytest.raises(KernelError) as caught:
            await links.take(wanted)
        return caught.value

    async def work(links: Links) -> None:
        missing = await refusal(links, vip("192.0.2.10", device="eth9"))
        assert missing.errno == errno.ENODEV
        assert str(missing) == "192.0.2.10/24: there is no device eth9; did you mean eth0?"
        label = await refusal(links, vip("192.0.2.10", label="eth0:1"))
        assert "there with another label; see `ip address show eth0`" in str(label)
        prefix = await refusal(links, vip("2001:db8::10", 64))
        assert "there with another prefix" in str(prefix)
        invalid = await refusal(links, vip("192.0.2.1", 33))
        assert invalid.errno == errno.EINVAL
        assert "192.0.2.1/33 cannot be put on eth0: " in str(invalid)
        sysctls.write("net/ipv6/conf/eth0/disable_ipv6", "1")
        off = await refusal(links, vip("2001:db8::11", 64))
        assert "IPv6 is off there; `sysctl -w net/ipv6/conf/eth0/disable_ipv6=0`" in str(off)

    a.links(work)


def test_what_is_taken_without_a_thread(pair: tuple[Net, Net]) -> None:
    """The first ones; what is there, refused, or of no device, is not among them."""
    a, _ = pair
    a.ip("address", "add", "192.0.2.1/24", "dev", "eth0")
    wanted = [
        vip("192.0.2.1"),
        vip("192.0.2.2", 33),
        vip("192.0.2.3", device="eth9"),
        vip("2001:db8::10", 64),
    ]
    many = [vip(f"192.0.2.{number}") for number in range(10, 10 + NOW)]

    async def work(links: Links) -> None:
        assert links.take_now(wanted) == (vip("2001:db8::10", 64),)
        assert links.take_now([*wanted, *many]) == tuple(many[: NOW - len(wanted)])
        assert links.take_now([]) == ()
        assert await links.addresses() >= set(many[: NOW - len(wanted)])
        assert not await links.addresses() & set(many[NOW - len(wanted) :])

    a.links(work)


def test_one_refusal_does_not_stop_the_others(pair: tuple[Net, Net]) -> None:
    a, _ = pair
    good = [vip(f"192.0.2.{n}") for n in range(1, 9)]
    bad = [vip("192.0.2.1", 33), vip("192.0.2.9", device="eth9")]

    async def work(links: Links) -> None:
        refused = await links.take_all([bad[0], *good[:4], bad[1], *good[4:]])
        assert set(refused) == set(bad)
        assert await links.addresses() >= set(good)

    a.links(work)


MOVES = [
    (vip("192.0.2.10", 24), vip("192.0.2.10", 24, "eth0:1"), False),
    (vip("192.0.2.10", 24, "eth0:1"), vip("192.0.2.10", 24, "eth0:2"), False),
    (vip("192.0.2.10", 24), vip("192.0.2.10", 32), True),
    (vip("192.0.2.10", 32, "eth0:1"), vip("192.0.2.10", 24, "eth0:1"), True),
    (vip("192.0.2.10", 24), vip("192.0.2.10", 24, device="eth1"), True),
    (vip("2001:db8::10", 64), vip("2001:db8::10", 128), False),
    (vip("2001:db8::10", 64), vip("2001:db8::10", 64, device="eth1"), True),
]


@pytest.mark.parametrize(("before", "after", "both"), MOVES)
def test_a_vip_moves(
    pair: tuple[Net, Net], before: Vip, after: Vip, both: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the kernel would have it twice, it is taken first; else both go in one write."""
    a, b = pair
    a.ip("link", "add", "eth1", "type", "veth", "peer", "name", "eth1", "netns", b.name)
    a.ip("link", "set", "eth1", "up")
    ops = diff(KernelState(vips=frozenset({before})), KernelState(vips=frozenset({after})))
    assert isinstance(ops[0], TakeVip) is both
    writes: list[int] = []

    def counted(moves: Sequence[Any]) -> list[Any]:
        writes.append(len(moves))
        return change(moves)

    monkeypatch.setattr(links_module, "change", counted)

    async def work(links: Links) -> None:
        await links.take(before)
        if not both:
            with pytest.raises(KernelError, match="it is there with another"):
                await links.take(after)
        writes.clear()
        assert await links.change_all(op for op in ops if isinstance(op, TakeVip | DropVip)) == {}
        assert writes == [2]
        held = {one for one in await links.addresses() if one.address == after.address}
        assert held == {after}

    a.links(work)
    # IPv6's route to an address of our own comes with the kernel's next work, addrconf_dad_work.
    eventually(lambda: "dev lo" in a.ip("route", "get", str(ip_address(after.address))))


def test_many_labels_change(pair: tuple[Net, Net]) -> None:
    a, _ = pair
    before, after = (
        [vip(f"10.9.{n // 200}.{n % 200 + 1}", 16, label) for n in range(300)] for label in ("", "eth0:1")
    )
    ops = diff(KernelState(vips=frozenset(before)), KernelState(vips=frozenset(after)))

    async def work(links: Links) -> None:
        sysctls.write("net/ipv4/conf/eth0/promote_secondaries", "1")
        assert await links.take_all(before) == {}
        assert await links.change_all(op for op in ops if isinstance(op, TakeVip | DropVip)) == {}
        assert {one for one in await links.addresses() if one.prefix == 16} == set(after)

    a.links(work)


@pytest.mark.parametrize("count", [50, 300])
def test_many_vips(pair: tuple[Net, Net], count: int) -> None:
    a, _ = pair
    many = [vip(f"10.9.{n // 200}.{n % 200 + 1}", 16) for n in range(count)]
    many += [vip(f"2001:db8::{n:x}", 64) for n in range(1, count + 1)]

    async def work(links: Links) -> None:
        sysctls.write("net/ipv4/conf/eth0/promote_secondaries", "1")
        assert await links.take_all(many) == {}
        assert await links.addresses() >= set(many)
        assert await links.take_all(many) == {}
        assert await links.drop_all(many) == {}
        assert not await links.addresses() & set(many)

    a.links(work)


@pytest.mark.parametrize("promote", ["0", "1"])
def test_the_primary_goes(pair: tuple[Net, Net], promote: str) -> None:
    """With promote_secondaries the others stay, without it they go; the module's docstring."""
    a, _ = pair
    primary, others = vip("192.0.2.1"), {vip(f"192.0.2.{n}") for n in (2, 3, 4)}

    async def work(links: Links) -> frozenset[Vip]:
        sysctls.write("net/ipv4/conf/eth0/promote_secondaries", promote)
        assert await links.take_all([primary, *sorted(others)]) == {}
        await links.drop(primary)
        return frozenset(one for one in await links.addresses() if one.prefix == 24)

    assert a.links(work) == (others if promote == "1" else set())


def test_rights_are_named(pair: tuple[Net, Net]) -> None:
    a, _ = pair
    code = (
        "import asyncio\nfrom lvs.io.links import Links\nfrom lvs.kernel.state import Vip\n"
        "from lvs.io.announce import Announcer\nfrom lvs.errors import KernelError\n"
        "async def main():\n"
        "    links = Links()\n"
        "    await links.open()\n"
        "    print(sorted(await links.devices()))\n"
        "    print(await links.take_all([Vip('eth0', bytes(3) + b'1', 24, '')]))\n"
        "    links.close()\n"
        "    try:\n        Announcer().open()\n    except KernelError as error:\n"
        "        print(error, int(error.exit_code))\n"
        "asyncio.run(main())\n"
    )
    python = shutil.which("python3", path=str(Path(os.sys.executable).parent))  # type: ignore[attr-defined]
    said = _run(
        "ip", "netns", "exec", a.name, "setpriv", "--bounding-set", "-all", "--inh-caps", "-all",
        "--reuid", "65534", "--clear-groups", str(python), "-c", code,
    )  # fmt: skip
    assert "['eth0', 'lo'" in said
    assert "not permitted; run as root or with CAP_NET_ADMIN" in said
    assert "run as root or with CAP_NET_RAW 4" in said


# Reading


def test_devices(pair: tuple[Net, Net]) -> None:
    a, b = pair
    a.ip("link", "add", "br0", "type", "bridge")
    a.ip("link", "add", "eth0.10", "type", "veth", "peer", "name", "eth1", "netns", b.name)

    async def work(links: Links) -> dict[str, Device]:
        return await links.devices()

    devices = a.links(work)
    eth0 = devices["eth0"]
    assert eth0.mac.hex(":") == a.mac()
    assert (eth0.up, eth0.carrier, eth0.arp) == (True, True, True)
    assert (devices["lo"].up, devices["lo"].arp) == (True, False)
    assert (devices["eth0.10"].up, devices["eth0.10"].carrier, devices["eth0.10"].arp) == (False, False, True)
    assert devices["br0"].arp
    b.ip("link", "set", "eth0", "down")
    assert (a.links(work)["eth0"].up, a.links(work)["eth0"].carrier) == (True, False)


def test_tunnels_have_nobody_to_tell(pair: tuple[Net, Net]) -> None:
    a, _ = pair
    a.ip("tuntap", "add", "tun0", "mode", "tun")
    a.ip("link", "set", "tun0", "up")

    async def work(links: Links) -> dict[str, Device]:
        return await links.devices()

    devices = a.links(work)
    assert not devices["tun0"].arp
    announcer = Announcer()
    a.inside(announcer.open)
    assert announcer.announce([vip("192.0.2.1", device="tun0"), vip("192.0.2.1", device="lo")], devices) == []
    announcer.close()


def test_neighbours_and_routes(pair: tuple[Net, Net]) -> None:
    a, b = pair
    a.ip("address", "add", "192.0.2.1/24", "dev", "eth0")
    a.ip("address", "add", "2001:db8::1/64", "dev", "eth0", "nodad")
    a.ip("route", "add", "198.51.100.0/24", "via", "192.0.2.254", "src", "192.0.2.1")
    a.ip("route", "add", "blackhole", "203.0.113.0/24")
    a.ip("route", "add", "2001:db8:9::/64", "via", "2001:db8::fe")
    a.ip("neigh", "add", "192.0.2.2", "lladdr", b.mac(), "dev", "eth0", "nud", "permanent")
    a.ip("neigh", "add", "2001:db8::2", "lladdr", b.mac(), "dev", "eth0", "nud", "stale")

    async def work(links: Links) -> None:
        [four] = await links.neighbours(IPv4Address("192.0.2.2"))
        assert (four.device, four.mac.hex(":"), four.state) == ("eth0", b.mac(), "permanent")
        [six] = await links.neighbours(IPv6Address("2001:db8::2"))
        assert (six.device, six.mac.hex(":"), six.state) == ("eth0", b.mac(), "stale")
        assert await links.neighbours(IPv4Address("192.0.2.3")) == ()
        far = await links.route_to(IPv4Address("198.51.100.7"))
        assert far == links_module.Route("eth0", IPv4Address("192.0.2.254"), IPv4Address("192.0.2.1"))
        near = await links.route_to(IPv4Address("192.0.2.7"))
        assert near == links_module.Route("eth0", None, IPv4Address("192.0.2.1"))
        own = await links.route_to(IPv4Address("192.0.2.1"))
        assert own is not None
        assert own.device == "lo"
        six_route = await links.route_to(IPv6Address("2001:db8:9::1"))
        assert six_route is not None
        assert (six_route.device, six_route.gateway) == ("eth0", IPv6Address("2001:db8::fe"))
        assert await links.route_to(IPv4Address("203.0.113.1")) is None
        assert await links.route_to(IPv4Address("8.8.8.8")) is None
        assert await links.route_to(IPv6Address("2001:db8:ffff::1")) is None

    a.links(work)


def test_ipv4_by_way_of_ipv6(pair: tuple[Net, Net]) -> None:
    a, _ = pair
    a.ip("address", "add", "192.0.2.1/24", "dev", "eth0")
    a.ip("route", "add", "198.51.100.0/24", "via", "inet6", "fe80::1", "dev", "eth0")
    route = a.links(lambda links: links.route_to(IPv4Address("198.51.100.1")))
    assert route is not None
    assert route.gateway == IPv6Address("fe80::1")


# Watching


async def _next(changes: AsyncIterator[LinkChange], wanted: LinkChange) -> list[LinkChange]:
    """Read on until a certain change; return what came before it."""
    before: list[LinkChange] = []
    async with asyncio.timeout(PATIENCE_S):
        async for change in changes:
            if change == wanted:
                return before
            before.append(change)
    raise AssertionError("ended")


def test_changes(pair: tuple[Net, Net]) -> None:
    a, b = pair

    async def work(links: Links) -> None:
        async with aclosing(links.changes()) as changes:
            assert await anext(changes) == Resync()
            labelled = vip("192.0.2.1", label="eth0:1")
            await links.take(labelled)
            assert await _next(changes, AddressCame(labelled)) == []
            await links.take(vip("2001:db8::1", 64))
            await _next(changes, AddressCame(vip("2001:db8::1", 64)))
            a.ip("address", "del", "192.0.2.1/24", "dev", "eth0")
            await _next(changes, AddressGone(labelled))
            b.ip("link", "set", "eth0", "down")
            await _next(changes, DeviceChanged("eth0", up=True, carrier=False))
            b.ip("link", "set", "eth0", "up")
            await _next(changes, DeviceChanged("eth0", up=True, carrier=True))
            a.ip("link", "set", "eth0", "down")
            between = await _next(changes, DeviceChanged("eth0", up=False, carrier=False))
            between += await _next(changes, AddressGone(vip("2001:db8::1", 64))) if not between else []
            a.ip("link", "set", "eth0", "name", "wan0")
            await _next(changes, DeviceGone("eth0"))
            await _next(changes, Resync())
            a.ip("link", "del", "wan0")
            await _next(changes, DeviceGone("wan0"))

    a.links(work)


def test_addresses_are_read_again_when_one_has_changed(
    pair: tuple[Net, Net], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not before, as long as changes are heard."""
    a, _ = pair
    read, times = addresses.addresses, list[int]()

    def counted() -> frozenset[Vip]:
        times.append(1)
        return read()

    monkeypatch.setattr(addresses, "addresses", counted)

    async def work(links: Links) -> None:
        await links.addresses()
        await links.addresses()
        assert len(times) == 2, "nobody listens"
        async with aclosing(links.changes()) as changes:
            assert await anext(changes) == Resync()
            held, known = await links.addresses(), len(times)
            assert await links.addresses() == held
            assert len(times) == known
            await links.take(vip("192.0.2.1"))
            assert vip("192.0.2.1") in await links.addresses(), "before it was heard"
            a.ip("address", "add", "192.0.2.2/24", "dev", "eth0")
            await _next(changes, AddressCame(vip("192.0.2.2")))
            assert vip("192.0.2.2") in await links.addresses()
            a.ip("address", "del", "192.0.2.2/24", "dev", "eth0")
            await _next(changes, AddressGone(vip("192.0.2.2")))
            assert await links.addresses() == held | {vip("192.0.2.1")}
        known = len(times)
        await links.addresses()
        assert len(times) == known + 1

    a.links(work)


def test_leaving_a_bridge_is_not_going(pair: tuple[Net, Net]) -> None:
    a, _ = pair
    a.ip("link", "add", "br0", "type", "bridge")

    async def work(links: Links) -> None:
        async with aclosing(links.changes()) as changes:
            assert await anext(changes) == Resync()
            a.ip("link", "set", "eth0", "master", "br0")
            a.ip("link", "set", "eth0", "nomaster")
            a.ip("address", "add", "192.0.2.1/24", "dev", "eth0")
            before = await _next(changes, AddressCame(vip("192.0.2.1")))
            assert DeviceGone("eth0") not in before

    a.links(work)


def test_overflow_is_told(pair: tuple[Net, Net], monkeypatch: pytest.MonkeyPatch) -> None:
    a, _ = pair
    monkeypatch.setattr("lvs.io.rtsocket.MONITOR_BYTES", 4096)
    many = [vip(f"10.9.0.{n}", 16) for n in range(1, 100)]

    async def work(links: Links) -> None:
        async with aclosing(links.changes()) as changes:
            assert await anext(changes) == Resync()
            index = socket.if_nametoindex("eth0")
            assert not any(change([(TakeVip(one), index) for one in many]))  # and nobody listens meanwhile
            await _next(changes, Resync())
            # and it listens on
            monkeypatch.undo()
            await links.take(vip("192.0.2.1"))
            await _next(changes, AddressCame(vip("192.0.2.1")))

    a.links(work)


# Cancelling


def test_cancelling_leaves_it_usable(pair: tuple[Net, Net]) -> None:
    a, _ = pair
    many = [vip(f"10.9.0.{n}", 16) for n in range(1, 200)]

    async def work(links: Links) -> None:
        for turns in range(12):
            tasks = [asyncio.ensure_future(links.take_all(many)), asyncio.ensure_future(links.addresses())]
            for _ in range(turns):
                await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert "eth0" in await links.devices()
        assert await links.take_all(many) == {}
        assert await links.addresses() >= set(many)

    a.links(work)


def test_many_at_once(pair: tuple[Net, Net]) -> None:
    """Readers and writers of one instance do not disturb each other (EBUSY for a second dump)."""
    a, _ = pair
    many = [vip(f"10.9.0.{n}", 16) for n in range(1, 200)]

    async def work(links: Links) -> None:
        async with asyncio.TaskGroup() as group:
            for one in many[:20]:
                group.create_task(links.take(one))
            group.create_task(links.take_all(many))
            reads = [group.create_task(links.addresses()) for _ in range(10)]
            group.create_task(links.devices())
        assert all(read.done() for read in reads)
        assert await links.addresses() >= set(many)

    a.links(work)


# Announcing


@pytest.mark.parametrize("accept", ["0", "1"])
def test_neighbours_believe_the_announcement(pair: tuple[Net, Net], accept: str) -> None:
    """The neighbour has the old director's MAC; after the announcement it has ours."""
    a, b = pair
    old = "02:00:00:00:00:99"
    b.inside(lambda: sysctls.write("net/ipv4/conf/eth0/arp_accept", accept))
    b.ip("address", "add", "192.0.2.2/24", "dev", "eth0")
    b.ip("address", "add", "2001:db8::2/64", "dev", "eth0", "nodad")
    vips = [vip("192.0.2.1"), vip("2001:db8::1", 64)]
    for address in ("192.0.2.1", "2001:db8::1"):
        b.ip("neigh", "add", address, "lladdr", old, "dev", "eth0", "nud", "reachable")
    # Linux ignores a change of MAC within locktime, 1 s, of the last one; so do not wait for it.
    b.inside(lambda: sysctls.write("net/ipv4/neigh/eth0/locktime", "0"))

    async def work(links: Links) -> None:
        await links.take_all(vips)
        announcer = Announcer()
        announcer.open()
        try:
            assert announcer.announce(vips, await links.devices(), {"eth0"}) == []
        finally:
            announcer.close()

    a.links(work)
    eventually(lambda: b.neighbour("192.0.2.1") == a.mac())
    eventually(lambda: b.neighbour("2001:db8::1") == a.mac())
    six = json.loads(b.ip("-j", "neigh", "show", "to", "2001:db8::1"))[0]
    assert "router" in six


def test_reasons_for_what_was_not_announced(pair: tuple[Net, Net]) -> None:
    a, b = pair
    a.ip("link", "add", "eth1", "type", "veth", "peer", "name", "eth1", "netns", b.name)
    b.ip("link", "set", "eth0", "down")
    vips = [
        *(vip(f"192.0.2.{n}", device="eth1") for n in range(1, 6)),
        vip("192.0.2.7"),
        vip("192.0.2.8", device="eth7"),
    ]

    async def work(links: Links) -> list[str]:
        devices = await links.devices()
        a.ip("link", "add", "gone0", "type", "veth", "peer", "name", "gone1")
        ghost = Device("ghost0", 99, bytes(6), up=True, carrier=True, arp=True)
        announcer = Announcer()
        with pytest.raises(RuntimeError):
            announcer.announce(vips, devices)
        announcer.open()
        try:
            return announcer.announce(
                [*vips, vip("192.0.2.9", device="ghost0")], {**devices, "ghost0": ghost}
            )
        finally:
            announcer.close()

    assert a.links(work) == [
        "192.0.2.1, 192.0.2.2, 192.0.2.3 and 2 more not announced: eth1 is down (ip link set eth1 up)",
        "192.0.2.7 not announced: eth0 has no carrier",
        "192.0.2.8 not announced: there is no device eth7",
        "192.0.2.9 not announced: ghost0: No such device",
    ]


# Settings of a namespace


def test_settings_of_a_device_with_a_dot(pair: tuple[Net, Net]) -> None:
    a, b = pair
    a.ip("link", "add", "eth0.10", "type", "veth", "peer", "name", "eth1", "netns", b.name)
    names = (
        "net/ipv4/conf/eth0.10/promote_secondaries",
        "net.ipv4.conf.eth0/10.promote_secondaries",
        "net.ipv4.conf.eth0.10.promote_secondaries",
    )

    def work() -> None:
        for name in names:
            sysctls.write(name, "1")
            assert sysctls.read(names) == dict.fromkeys(names, "1")
            sysctls.write(name, "0")
            assert sysctls.read(names) == dict.fromkeys(names, "0")

    a.inside(work)
