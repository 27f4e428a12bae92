"""Operations as ipvsadm(8), ip-address(8) and sysctl(8) would have them typed.

The lines are also parsed again, with an option table taken from ipvsadm's synopsis.
"""

from __future__ import annotations

import re
import shlex

import pytest
from hypothesis import given

import strategies
from lvs.kernel import text
from lvs.kernel.state import (
    BACKUP,
    CSUM,
    GRE,
    GUE,
    IPIP,
    LOCAL,
    MASQ,
    MASTER,
    NOCSUM,
    ONE_PACKET,
    PERSISTENT,
    REMCSUM,
    ROUTE,
    SCHED1,
    SCHED2,
    SCTP,
    SYNC_GROUP,
    TCP,
    TUNNEL,
    UDP,
    AddDestination,
    AddService,
    Destination,
    DestinationKey,
    DropVip,
    LoadModule,
    Op,
    RemoveDestination,
    RemoveService,
    ServiceKey,
    ServiceOptions,
    SetDestination,
    SetFirewall,
    SetService,
    SetSysctl,
    SetTimeouts,
    StartDaemon,
    StopDaemon,
    SyncDaemon,
    TableOp,
    TakeVip,
    Timeouts,
    Vip,
)

V4, V6 = strategies.packed("192.0.2.1"), strategies.packed("2001:db8::1")
WEB = ServiceKey(4, TCP, V4, 80, 0)
WEB6 = ServiceKey(6, TCP, V6, 80, 0)
DNS = ServiceKey(4, UDP, V4, 53, 0)
SIGNAL = ServiceKey(4, SCTP, V4, 3868, 0)
MARK, MARK6 = ServiceKey(4, 0, b"", 0, 7), ServiceKey(6, 0, b"", 0, 7)
REAL = DestinationKey(strategies.packed("10.0.0.1"), 80)
REAL6 = DestinationKey(strategies.packed("2001:db8:1::1"), 8080)
ALL = strategies.ALL_IPV4
PLAIN = ServiceOptions("wlc", 0, 0, ALL, "")


@pytest.mark.parametrize(
    ("op", "line"),
    [
        (AddService(WEB, PLAIN), "ipvsadm -A -t 192.0.2.1:80 -s wlc"),
        (SetService(DNS, PLAIN), "ipvsadm -E -u 192.0.2.1:53 -s wlc"),
        (RemoveService(SIGNAL), "ipvsadm -D --sctp-service 192.0.2.1:3868"),
        (AddService(WEB6, ServiceOptions("rr", 0, 0, 128, "")), "ipvsadm -A -t [2001:db8::1]:80 -s rr"),
        (AddService(MARK, PLAIN), "ipvsadm -A -f 7 -s wlc"),
        (RemoveService(MARK6), "ipvsadm -D -f 7 -6"),
        (
            AddService(WEB, ServiceOptions("sh", SCHED1 | SCHED2, 0, ALL, "")),
            "ipvsadm -A -t 192.0.2.1:80 -s sh -b sh-fallback,sh-port",
        ),
        (
            AddService(WEB, ServiceOptions("mh", SCHED2, 0, ALL, "")),
            "ipvsadm -A -t 192.0.2.1:80 -s mh -b mh-port",
        ),
        (
            AddService(WEB, ServiceOptions("rr", SCHED1, 0, ALL, "")),
            "ipvsadm -A -t 192.0.2.1:80 -s rr -b flag-1",
        ),
        (
            AddService(WEB, ServiceOptions("wlc", PERSISTENT, 60, ALL, "")),
            "ipvsadm -A -t 192.0.2.1:80 -s wlc -p 60",
        ),
        (
            AddService(WEB, ServiceOptions("wlc", PERSISTENT, 60, 0xFFFFFF00, "")),
            "ipvsadm -A -t 192.0.2.1:80 -s wlc -p 60 -M 255.255.255.0",
        ),
        (
            AddService(WEB6, ServiceOptions("wlc", PERSISTENT, 60, 64, "")),
            "ipvsadm -A -t [2001:db8::1]:80 -s wlc -p 60 -M 64",
        ),
        (
            AddService(WEB6, ServiceOptions("wlc", PERSISTENT, 60, 128, "")),
            "ipvsadm -A -t [2001:db8::1]:80 -s wlc -p 60",
        ),
        (
            AddService(DNS, ServiceOptions("wlc", PERSISTENT | ONE_PACKET, 60, ALL, "sip")),
            "ipvsadm -A -u 192.0.2.1:53 -s wlc -p 60 --pe sip -o",
        ),
        (
            AddDestination(WEB, REAL, Destination(ROUTE, 1)),
            "ipvsadm -a -t 192.0.2.1:80 -r 10.0.0.1:80 -g -w 1",
        ),
        (
            SetDestination(WEB, REAL, Destination(MASQ, 0)),
            "ipvsadm -e -t 192.0.2.1:80 -r 10.0.0.1:80 -m -w 0",
        ),
        (
            AddDestination(WEB6, REAL6, Destination(MASQ, 65535, 10, 5)),
            "ipvsadm -a -t [2001:db8::1]:80 -r [2001:db8:1::1]:8080 -m -w 65535 -x 10 -y 5",
        ),
        (
            AddDestination(WEB, REAL, Destination(TUNNEL, 1, 10)),
            "ipvsadm -a -t 192.0.2.1:80 -r 10.0.0.1:80 -i -w 1 -x 10 -y 0",
        ),
        (
            AddDestination(WEB, REAL6, Destination(TUNNEL, 1, 0, 0, GUE, 6080, REMCSUM)),
            (
                "ipvsadm -a -t 192.0.2.1:80 -r [2001:db8:1::1]:8080 "
                "-i --tun-type gue --tun-port 6080 --tun-remcsum -w 1"
            ),
        ),
        (
            AddDestination(WEB, REAL, Destination(TUNNEL, 1, 0, 0, GRE, 0, CSUM)),
            "ipvsadm -a -t 192.0.2.1:80 -r 10.0.0.1:80 -i --tun-type gre --tun-csum -w 1",
        ),
        (
            AddDestination(WEB, REAL, Destination(TUNNEL, 1, 0, 0, GRE, 0, NOCSUM)),
            "ipvsadm -a -t 192.0.2.1:80 -r 10.0.0.1:80 -i --tun-type gre --tun-nocsum -w 1",
        ),
        (
            AddDestination(MARK, DestinationKey(REAL.address, 0), Destination(ROUTE, 1)),
            "ipvsadm -a -f 7 -r 10.0.0.1:0 -g -w 1",
        ),
        (
            AddDestination(WEB, REAL, Destination(LOCAL, 1)),
            "ipvsadm -a -t 192.0.2.1:80 -r 10.0.0.1:80 -g -w 1",
        ),
        (RemoveDestination(MARK6, REAL6), "ipvsadm -d -f 7 -6 -r [2001:db8:1::1]:8080"),
        (SetTimeouts(Timeouts(900, 0, 300)), "ipvsadm --set 900 0 300"),
        (
            StartDaemon(SyncDaemon(MASTER, "eth0", 1, 1472, SYNC_GROUP, 8848, 1)),
            "ipvsadm --start-daemon master --mcast-interface eth0 --syncid 1",
        ),
        (
            StartDaemon(SyncDaemon(BACKUP, "eth1", 0, 1452, V6, 8848, 1)),
            "ipvsadm --start-daemon backup --mcast-interface eth1 --syncid 0 --mcast-group 2001:db8::1",
        ),
        (
            StartDaemon(SyncDaemon(MASTER, "eth0", 1, 9, V4, 89, 3)),
            (
                "ipvsadm --start-daemon master --mcast-interface eth0 --syncid 1 --sync-maxlen 9 "
                "--mcast-group 192.0.2.1 --mcast-port 89 --mcast-ttl 3"
            ),
        ),
        (StopDaemon(BACKUP), "ipvsadm --stop-daemon backup"),
        (SetSysctl("net/ipv4/ip_forward", "1"), "sysctl -w net/ipv4/ip_forward=1"),
        (LoadModule("ip_vs_wlc"), "modprobe ip_vs_wlc"),
        (SetFirewall("a\n"), "lvsd firewall | nft -f -  # table inet lvs, 1 lines, ddeaa107"),
        (SetFirewall(""), "nft delete table inet lvs"),
        (TakeVip(Vip("eth0", V4, 24, "eth0:1")), "ip address add 192.0.2.1/24 dev eth0 label eth0:1"),
        (TakeVip(Vip("eth0", V6, 64, "")), "ip address add 2001:db8::1/64 dev eth0"),
        (DropVip(Vip("eth0", V4, 32, "eth0:1")), "ip address del 192.0.2.1/32 dev eth0"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_lines(op: Op, line: str) -> None:
    assert text.line(op) == line


@pytest.mark.parametrize(
    ("key", "name"),
    [
        (WEB, "TCP  192.0.2.1:80"),
        (WEB6, "TCP  [2001:db8::1]:80"),
        (DNS, "UDP  192.0.2.1:53"),
        (SIGNAL, "SCTP 192.0.2.1:3868"),
        (MARK, "FWM  7"),
        (MARK6, "FWM  7 IPv6"),
    ],
)
def test_service_names(key: ServiceKey, name: str) -> None:
    """As `ipvsadm -Ln` has them."""
    assert text.service_name(key) == name


# ipvsadm(8), SYNOPSIS: what each command takes behind its service. True: the option has a value.
SERVICE = {"-s": True, "-b": True, "-p": True, "-M": True, "--pe": True, "-o": False}
SERVER = {
    "-r": True,
    "-g": False,
    "-i": False,
    "-m": False,
    "-w": True,
    "-x": True,
    "-y": True,
    "--tun-type": True,
    "--tun-port": True,
    **dict.fromkeys(("--tun-nocsum", "--tun-csum", "--tun-remcsum"), False),
}
TAKES = {"-A": SERVICE, "-E": SERVICE, "-D": {}, "-a": SERVER, "-e": SERVER, "-d": {"-r": True}}
SYNCING = {"--mcast-interface", "--syncid", "--sync-maxlen", "--mcast-group", "--mcast-port", "--mcast-ttl"}
PLACE = re.compile(r"\d+\.\d+\.\d+\.\d+:\d+|\[[0-9a-f:]+\]:\d+")


@given(strategies.table_ops())
def test_every_line_is_ipvsadms(op: TableOp) -> None:
    """Each option is one the command takes, once, and conflicting ones are not there together."""
    words = iter(shlex.split(text.line(op)))
    assert next(words) == "ipvsadm"
    command = next(words)
    if command == "--set":
        assert all(word.isdigit() for word in words)
        return
    if command in ("--start-daemon", "--stop-daemon"):
        assert next(words) in ("master", "backup")
        given = dict(zip(words, words, strict=True))
        assert given.keys() <= SYNCING
        assert ("--mcast-interface" in given) == (command == "--start-daemon")
        return
    kind, place = next(words), next(words)
    assert place.isdigit() if kind == "-f" else kind in ("-t", "-u", "--sctp-service")
    assert kind == "-f" or PLACE.fullmatch(place)
    found: dict[str, str] = {}
    for word in words:
        if word == "-6":
            assert kind == "-f"
            continue
        assert word not in found
        found[word] = next(words) if TAKES[command][word] else ""
    assert len(found.keys() & {"-g", "-i", "-m"}) == (command in ("-a", "-e"))
    assert found.keys().isdisjoint({"-M", "--pe"}) or "-p" in found
    assert "-i" in found or not any(word.startswith("--tun") for word in found)
    assert ("--tun-port" in found) == (found.get("--tun-type") == "gue")
    assert "-r" not in found or PLACE.fullmatch(found["-r"])


def test_ipip_needs_no_words() -> None:
    destination = Destination(TUNNEL, 1, tunnel_type=IPIP)
    assert text.line(AddDestination(WEB, REAL, destination)).endswith(" -i -w 1")
