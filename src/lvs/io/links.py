"""Links, addresses, neighbours and routes of this namespace; with `rtsocket` the only door to pyroute2.

pyroute2 is imported on `open` and not before: it costs about 100 ms, and a director has
better things to do first.

- One dump at a time per socket, or the kernel says EBUSY: every exchange holds the lock.
- An exchange that was cancelled, or that failed in any way but a plain refusal, leaves answers
  under way; the socket is closed, and the next exchange opens another. It costs 0.3 ms, and no answer
  can meet the wrong question.

Several VIPs of one subnet on one device: IPv4 calls the first the primary and the others its
secondaries, and removing a primary removes its secondaries too, unless the sysctl
`net.ipv4.conf.DEVICE.promote_secondaries` (or `all`) is 1: then the next one becomes the
primary. `kernel.desired` asks for that sysctl, and it is set before the first VIP is taken.
Where it could not be set, the VIPs that went with the primary are missing from
`addresses`, `changes` tells of each, and the next Converge takes them again.

IPv6 addresses go when their device goes down, IPv4 addresses stay.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
import threading
from contextlib import asynccontextmanager
from functools import cache, partial
from itertools import groupby
from typing import TYPE_CHECKING, Any

from lvs.errors import KernelError
from lvs.io import addresses
from lvs.io.rtnetlink import (
    NEIGHBOUR_STATES,
    AddressCame,
    AddressGone,
    Device,
    DeviceChanged,
    DeviceGone,
    LinkChange,
    Neighbour,
    Resync,
    Route,
    Seen,
    address_of,
    alike,
    device_of,
    exit_code,
    mac_of,
    no_device,
    reason,
    refusal,
)
from lvs.io.rtsocket import dump, hear, monitor, open_socket
from lvs.io.rtwire import ANSWER_S, failure
from lvs.io.vips import AT_ONCE, Declined, VipOp, change
from lvs.kernel.state import DropVip, TakeVip, Vip

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence

    from lvs.model import Address

# The values of `rtnetlink` belong to this door: callers find them here.
__all__ = [
    "AddressCame",
    "AddressGone",
    "Device",
    "DeviceChanged",
    "DeviceGone",
    "LinkChange",
    "Links",
    "Neighbour",
    "Resync",
    "Route",
]

# include/uapi/linux/rtnetlink.h
RTEXT_FILTER_SKIP_STATS = 1 << 3
NOW = 32  # VIPs are taken without a thread: natively a few milliseconds
# After an overflow: let the burst pass, then read afresh once, not many times.
OVERFLOW_PAUSE_S = 0.1

# Answers to "which way to this address?" that mean: none (ip-route(8), types of routes).
NO_ROUTE = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EINVAL, errno.EACCES, errno.EAGAIN})


class Links:
    """Reads and changes links and addresses of the namespace of the thread that opens it.

    Errors: every method raises KernelError with a sentence that names what to do.
    Shape: one instance serves many tasks of one event loop; cancelling any of them is safe.
    """

    def __init__(self) -> None:
        self._route: Any = None
        self._lock = asyncio.Lock()
        self._changing = threading.Lock()
        self._known: frozenset[Vip] | None = None  # the addresses, while news of them would be heard
        self._hears = False
        self._news = 0  # counts

    async def open(self) -> None:
        """Import pyroute2 and open the socket; later calls find both there."""
        async with self._lock:
            await self._ready()

    def close(self) -> None:
        """Close the socket. `changes` ends with its own task, not here."""
        route, self._route = self._route, None
        if route is not None:
            route.close()

    async def addresses(self) -> frozenset[Vip]:
        """Every address of the namespace, on every device; asked for only if `changes` has told of any."""
        if self._known is not None:
            return self._known
        news = self._news
        found = await asyncio.to_thread(addresses.addresses)
        if self._hears and news == self._news:
            self._known = found
        return found

    def _changed(self) -> None:
        """What is known of addresses may be no longer so; from any thread."""
        self._news += 1
        self._known = None

    async def devices(self) -> dict[str, Device]:
        """Every device of the namespace, by name."""
        from pyroute2.netlink.rtnl import RTM_GETLINK
        from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

        def request() -> Any:
            message = ifinfmsg()
            message["attrs"].append(("IFLA_EXT_MASK", RTEXT_FILTER_SKIP_STATS))
            return message

        async with self._exchange("network devices cannot be read") as route:
            devices = [device_of(message) for message in await dump(route, RTM_GETLINK, request)]
            return {device.name: device for device in devices}

    async def take(self, vip: Vip) -> None:
        """Put an address on a device; success if it is there already."""
        for error in (await self.take_all((vip,))).values():
            raise error

    async def drop(self, vip: Vip) -> None:
        """Remove an address from a device, whatever its label; success if it is not there."""
        for error in (await self.drop_all((vip,))).values():
            raise error

    async def take_all(self, vips: Iterable[Vip]) -> dict[Vip, KernelError]:
        """Put addresses on devices, in the order given; return those refused, with reasons.

        Errors: KernelError only if nothing could be asked; a refusal is a value.
        """
        refused = await self.change_all(TakeVip(vip) for vip in vips)
        return {op.vip: error for op, error in refused.items()}

    async def drop_all(self, vips: Iterable[Vip]) -> dict[Vip, KernelError]:
        """Remove addresses, whatever their labels; return those refused, with reasons.

        Errors: KernelError only if nothing could be asked.
        """
        refused = await self.change_all(DropVip(vip) for vip in vips)
        return {op.vip: error for op, error in refused.items()}

    async def change_all(self, ops: Iterable[VipOp]) -> dict[VipOp, KernelError]:
        """Take and drop VIPs, many in one write; return those refused, with reasons.

        A drop and the take behind it are one after the other in the kernel: so a VIP gets another
        label, or an IPv6 VIP another prefix, which cannot be changed in place.
        IPv4 gets its label and the broadcast address that ifconfig would set; IPv6 gets
        IFA_F_NODAD: a VIP must answer at once, and the other director may hold it for
        another moment.
        Of drops in a row the last one goes first: it was most likely taken last, and a secondary
        costs less to remove than a primary, whose place another one must take (500 VIPs of one
        subnet, the primary always first: 900 ms; this way: 60 ms).
        Errors: KernelError only if nothing could be asked; a refusal is a value.
        """
        ordered: list[VipOp] = []
        for kind, run in groupby(ops, type):
            some = list(run)
            ordered += reversed(some) if kind is DropVip else some
        refused = await self._change(ordered)
        there = any(isinstance(op, TakeVip) and error.errno == errno.EEXIST for op, error in refused.items())
        held = await self.addresses() if there else frozenset()
        others = {(other.device, other.address) for other in held}
        return {op: error for op, error in refused.items() if not _done_already(op, error, held, others)}

    def take_now(self, vips: Sequence[Vip]) -> tuple[Vip, ...]:
        """Put the first NOW of some addresses on devices, in this thread; those that are there by it.

        A takeover waits for this alone: letting a thread do it takes as long again, on a slow machine longer.
        Errors: KernelError if nothing could be asked.
        """
        indexes = {name: index for index, name in _names().items()}
        moves = [(TakeVip(vip), indexes[vip.device]) for vip in vips[:NOW] if vip.device in indexes]
        outcomes = self._asked(moves) if moves else ()
        return tuple([op.vip for (op, _), declined in zip(moves, outcomes, strict=True) if declined is None])

    async def neighbours(self, address: Address) -> tuple[Neighbour, ...]:
        """What the neighbour tables say of an address, one entry per device that knows it."""
        from pyroute2.netlink.rtnl import RTM_GETNEIGH
        from pyroute2.netlink.rtnl.ndmsg import ndmsg

        def request() -> Any:
            message = ndmsg()
            message["family"] = _family(address)
            return message

        async with self._exchange(f"neighbours of {address} cannot be read") as route:
            messages = await dump(route, RTM_GETNEIGH, request)
            names = _names()
            return tuple(
                Neighbour(
                    names.get(message["ifindex"], "?"),
                    mac_of(message.get_attr("NDA_LLADDR")),
                    NEIGHBOUR_STATES.get(message["state"], "none"),
                )
                for message in messages
                if address_of(message.get_attr("NDA_DST")) == address
            )

    async def route_to(self, address: Address) -> Route | None:
        """The way to an address, as `ip route get` tells it; None if there is none."""
        try:
            async with self._exchange(f"the route to {address} cannot be read") as route:
                messages = list(await route.route("get", dst=str(address)))
        except KernelError as error:
            if error.errno in NO_ROUTE:
                return None
            raise
        names = _names()
        for message in messages:
            via = message.get_attr("RTA_VIA") or {}
            gateway = message.get_attr("RTA_GATEWAY") or via.get("addr")
            return Route(
                names.get(message.get_attr("RTA_OIF", 0), "?"),
                address_of(gateway),
                address_of(message.get_attr("RTA_PREFSRC")),
            )
        return None

    async def changes(self) -> AsyncGenerator[LinkChange, None]:
        """Changes of links and addresses as they happen, without end.

        The first value is `Resync`: what is read after it and what is told after it leave no
        gap. `Resync` again means that the kernel told faster than was listened, or that a
        device got another name. Our own takes and drops are told like everyone's. Cancel the
        task, or leave `contextlib.aclosing`, to end it.
        Errors: KernelError if links cannot be watched or read at all.
        """
        while True:
            watching = await monitor()
            self._hears = True
            try:
                seen = Seen(await self.devices(), await self.addresses())
                yield Resync()
                while (messages := await hear(watching)) is not None:
                    self._changed()
                    for message in messages:
                        for change in seen.fold(message):
                            yield change
            finally:
                self._hears = False
                self._changed()
                watching.close()
            await asyncio.sleep(OVERFLOW_PAUSE_S)

    async def _ready(self) -> Any:
        """The socket, opened if need be; with the lock held."""
        if self._route is None:
            self._route = await open_socket("the kernel's routing socket cannot be opened")
        return self._route

    @asynccontextmanager
    async def _exchange(self, doing: str) -> AsyncIterator[Any]:
        """The socket for one question and its answers; errors of pyroute2 become ours."""
        async with self._lock:
            route = await self._ready()
            from pyroute2.netlink.exceptions import NetlinkDecodeError, NetlinkError

            try:
                async with asyncio.timeout(ANSWER_S):
                    yield route
            except NetlinkError as error:
                words = str(error.args[1]) if len(error.args) > 1 else ""
                said = f"{doing}: {reason(error.code, words)}"
                raise KernelError(said, error.code, exit_code(error.code)) from error
            except (NetlinkDecodeError, struct.error) as error:
                self.close()
                raise KernelError(f"{doing}: pyroute2 does not understand the answer: {error!r}") from error
            except OSError as error:
                self.close()
                raise failure(doing, error) from error
            except BaseException:
                self.close()
                raise

    async def _change(self, ops: Sequence[VipOp]) -> dict[VipOp, KernelError]:
        """Ask for each; return every refusal, the harmless ones included."""
        refused: dict[VipOp, KernelError] = {}
        known: list[tuple[VipOp, int]] = []
        indexes = {name: index for index, name in _names().items()}
        meant = cache(partial(alike, indexes))
        for op in ops:
            if op.vip.device in indexes:
                known.append((op, indexes[op.vip.device]))
            else:
                refused[op] = no_device(op.vip, meant(op.vip.device))
        for start in range(0, len(known), AT_ONCE):
            some = known[start : start + AT_ONCE]
            outcomes = await asyncio.to_thread(self._asked, some)
            for (op, _), declined in zip(some, outcomes, strict=True):
                if declined is not None:
                    refused[op] = refusal(op.vip, *declined, adding=isinstance(op, TakeVip))
        return refused

    def _asked(self, moves: Sequence[tuple[VipOp, int]]) -> list[Declined | None]:
        """In order even where somebody waited no longer for the ones before."""
        with self._changing:
            try:
                return change(moves)
            finally:
                self._changed()


def _done_already(
    op: VipOp, error: KernelError, held: frozenset[Vip], others: set[tuple[str, bytes]]
) -> bool:
    """Whether a refusal only says that things are as they should be."""
    if isinstance(op, DropVip):
        return error.errno in (errno.EADDRNOTAVAIL, errno.ENODEV)
    # Removed since, or missing from a torn dump: what the kernel said first holds.
    there = op.vip in held or (op.vip.device, op.vip.address) not in others
    return error.errno == errno.EEXIST and there


def _names() -> dict[int, str]:
    """Names of devices by index."""
    try:
        return dict(socket.if_nameindex())
    except OSError as error:
        raise KernelError(f"network devices cannot be read: {error.strerror}", error.errno or 0) from error


def _family(address: Address) -> int:
    return socket.AF_INET if address.version == 4 else socket.AF_INET6
