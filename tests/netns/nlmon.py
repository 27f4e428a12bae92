"""What is said to the kernel over netlink in a machine, captured by the kernel's own monitor.

A second witness beside lvsd's word: an nlmon device and tcpdump. Source: drivers/net/nlmon.c;
the link type is LINKTYPE_NETLINK, a 16-byte cooked header that ends in the protocol family.
"""

from __future__ import annotations

import struct
import sys

from lab import Machine
from lab.peers import SCRIPT

REQUEST = 0x1  # NLM_F_REQUEST: dumps come back under the same command numbers, without it
ROUTE, GENERIC = 0, 16
RTM_NEWADDR, RTM_DELADDR = 20, 21
IPVS_WRITES = {
    1: "-A",
    2: "-E",
    3: "-D",
    5: "-a",
    6: "-e",
    7: "-d",
    12: "--set",
    16: "zero",
    17: "-C",
    9: "--start-daemon",
    10: "--stop-daemon",
}
FILE = "/tmp/netlink.pcap"


class Witness:
    """Captures from its making to `writes`."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        machine.run("ip", "link", "add", "nlmon0", "type", "nlmon")
        machine.run("ip", "link", "set", "nlmon0", "up")
        # Requests only, by the low byte of the first message's flags: a dump's answers are megabytes.
        flags = 22 if sys.byteorder == "little" else 23
        wanted = f"ether[{flags}] & {REQUEST} != 0"
        arguments = ("-i", "nlmon0", "--immediate-mode", "-U", "-B", "8192", "-w", FILE, "-Z", "root", wanted)
        self._tcpdump = machine.spawn("tcpdump", *arguments, root="tree")
        self._tcpdump.expect("listening on")

    def writes(self) -> list[str]:
        """The writes since the start, in order: ipvsadm's letters, `address add`, `address del`."""
        return [name for _, name in self.timed()]

    def timed(self) -> list[tuple[float, str]]:
        """The same, each with its time, seconds since the epoch."""
        self._tcpdump.stop()
        self._machine.run("ip", "link", "del", "nlmon0")
        return list(_writes(self._machine.read_bytes(FILE, root="tree")))


# Before anything else runs: the kernel has hundreds of requests in a datagram, and more are to follow.
DOOM = """\
import os, signal, socket, sys
pid, command = map(int, sys.argv[1:])
os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
tap.bind(("nlmon0", 3))  # ETH_P_ALL
print("watching", flush=True)
while True:
    data, (_, family, *_) = tap.recvfrom(64)
    kind, request = int.from_bytes(data[4:6], sys.byteorder), data[6] & 1
    if family == 16 and kind > 16 and request and data[16] == command:
        break
os.kill(pid, signal.SIGKILL)
"""


def doom(machine: Machine, pid: int, letter: str) -> None:
    """A process is killed when it, or another one, sends the first write of this letter."""
    machine.run("sh", "-c", "ip link add nlmon0 type nlmon; ip link set nlmon0 up")
    (command,) = [number for number, name in IPVS_WRITES.items() if name == letter]
    machine.spawn(*SCRIPT, "-c", DOOM, str(pid), str(command)).expect("watching")


def _writes(pcap: bytes) -> list[tuple[float, str]]:
    found, at = list[tuple[float, str]](), 24
    while at + 16 <= len(pcap):
        seconds, microseconds, size = struct.unpack_from("<III", pcap, at)
        packet = pcap[at + 16 : at + 16 + size]
        at += 16 + size
        (family,) = struct.unpack_from(">14xH", packet)
        if family in (ROUTE, GENERIC):
            found += [(seconds + microseconds / 1e6, one) for one in _messages(packet[16:], family)]
    return found


def _messages(data: bytes, family: int) -> list[str]:
    found, at = [], 0
    while at + 20 <= len(data):
        size, kind, flags = struct.unpack_from("=IHH", data, at)
        if not flags & REQUEST:
            pass
        elif family == ROUTE and kind in (RTM_NEWADDR, RTM_DELADDR):
            found.append("address add" if kind == RTM_NEWADDR else "address del")
        elif family == GENERIC and kind > 0x10 and data[at + 16] in IPVS_WRITES:
            found.append(IPVS_WRITES[data[at + 16]])
        at += max(16, size + 3 & ~3)
    return found
