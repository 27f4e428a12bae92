"""Sends gratuitous ARP and neighbour advertisements for VIPs, through one packet socket.

A packet socket is used for IPv6 too: an ICMPv6 socket can send an advertisement only from an
address that is not tentative, and must be told hop limit and device one by one; a frame needs
neither. The socket never waits: a wire that is stuck must not hold up heartbeats, and what was
not sent is said and may be sent again by the next announcement.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING

from lvs.errors import Exit, KernelError
from lvs.io import sysctls
from lvs.kernel import text
from lvs.kernel.frames import IPV4_LENGTH, MAC_LENGTH, announcement

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

    from lvs.io.links import Device
    from lvs.kernel.state import Vip

SHOWN = 3  # VIPs named in one reason; the rest is a number


class Announcer:
    """One packet socket. `open` before `announce`, `close` when done; both can be repeated."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None

    def open(self) -> None:
        """Open the socket.

        Errors: KernelError if the right is missing (CAP_NET_RAW) or the kernel has no packet
        sockets (CONFIG_PACKET).
        """
        if self._socket is not None:
            return
        try:
            # Protocol 0: this socket receives nothing, so nothing queues up on it.
            self._socket = socket.socket(
                socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 0
            )
        except PermissionError as error:
            raise KernelError(
                "VIPs cannot be announced to neighbours: run as root or with CAP_NET_RAW",
                error.errno or errno.EPERM,
                Exit.RIGHTS,
            ) from error
        except OSError as error:
            raise KernelError(
                f"VIPs cannot be announced to neighbours, no packet socket: {error.strerror} "
                "(the kernel needs CONFIG_PACKET, module af_packet)",
                error.errno or 0,
            ) from error

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def announce(
        self, vips: Iterable[Vip], devices: Mapping[str, Device], routes: Collection[str] = ()
    ) -> list[str]:
        """Tell the neighbours of each VIP's device that the VIP is here; return what failed.

        Shape: `devices` by name, as `Links.devices` reads them; on those in `routes` this host
        forwards IPv6. The result is one sentence per device and reason, empty if all was sent. Devices
        that have no neighbours to tell (lo, tunnels) are no failure.
        Errors: none; RuntimeError before `open`.
        """
        if self._socket is None:
            raise RuntimeError("Announcer.announce before open")
        failed: dict[tuple[str, str], list[Vip]] = {}
        for vip in vips:
            device = devices.get(vip.device)
            if device is not None and not device.arp:
                continue
            reason = _unfit(vip.device, device)
            if device is not None and not reason:
                reason = self._send(device, announcement(vip.address, device.mac, vip.device in routes))
            if reason:
                failed.setdefault((vip.device, reason), []).append(vip)
        return [_sentence(reason, held) for (_, reason), held in failed.items()]

    def _send(self, device: Device, frames: tuple[bytes, ...]) -> str:
        """Send frames; the reason if that failed, else nothing."""
        assert self._socket is not None
        for frame in frames:
            try:
                self._socket.sendto(frame, (device.name, 0))
            except OSError as error:
                return f"{device.name}: {error.strerror or os.strerror(error.errno or 0)}"
        return ""


def routing(vips: Iterable[Vip], root: Path = sysctls.PROC_SYS) -> frozenset[str]:
    """The devices of IPv6 VIPs on which this host forwards: RFC 4861 section 4.4, the router flag.

    What counts is the device's own setting, not that of `all`, as in the kernel's advertisements:
    net/ipv6/ndisc.c, ndisc_recv_ns and ndisc_send_unsol_na.
    """
    names = {
        f"net/ipv6/conf/{vip.device}/forwarding": vip.device
        for vip in vips
        if len(vip.address) != IPV4_LENGTH
    }
    # A number, not a truth value: any but 0 forwards.
    return frozenset(names[name] for name, value in sysctls.read(names, root).items() if value != "0")


def _unfit(name: str, device: Device | None) -> str:
    """Why nothing can be sent through a device, or nothing."""
    if device is None:
        return f"there is no device {name}"
    if not device.up:
        return f"{name} is down (ip link set {name} up)"
    if not device.carrier:
        return f"{name} has no carrier"
    if len(device.mac) != MAC_LENGTH:
        return f"{name} is no Ethernet device"
    return ""


def _sentence(reason: str, vips: list[Vip]) -> str:
    names = ", ".join(text.address(vip.address) for vip in vips[:SHOWN])
    more = f" and {len(vips) - SHOWN} more" if len(vips) > SHOWN else ""
    return f"{names}{more} not announced: {reason}"
