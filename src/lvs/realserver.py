"""What a real server needs, as user data for cloud-init.

IPVS changes nothing in a packet that it forwards by direct routing or tunnelling: a real server has to take
packets for the VIP as its own, and must never answer ARP for it. Masquerading asks for the director as
gateway. Or no VIP is configured, and what arrives for it is redirected to the real server's own address,
which needs no ARP settings at all. Everything is laid down as files, so that it is there after each boot.
Source: Documentation/networking/ip-sysctl.rst, systemd.network(5), nft(8), ipvsadm(8).
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address
from typing import NamedTuple

import msgspec

from lvs.model import Address, Config, Forwarding, Protocol, RealServer, TunnelType, VirtualServer

DUMMY = "lvs"  # the device that holds VIPs
# Version of the VIP and of the real server's address -> the device that unwraps, and its module.
# IPv4 within IPv6 has no such device; one has to be made for each director.
TUNNELS = {(4, 4): ("tunl0", "ipip"), (6, 6): ("ip6tnl0", "ip6_tunnel"), (6, 4): ("sit0", "sit")}

ONLINE = ("Wants=network-online.target", "After=network-online.target")
BEFORE_NETWORK = ("Wants=network-pre.target", "Before=network-pre.target")


class File(NamedTuple):
    path: str
    content: str


class Service(msgspec.Struct, frozen=True):
    """What arrives at a real server."""

    vip: Address
    protocol: Protocol
    port: int


class Needed(msgspec.Struct, frozen=True):
    """What a real server is asked for."""

    server: RealServer
    direct: tuple[Address, ...] = ()  # VIPs
    tunneled: tuple[Address, ...] = ()
    masqueraded: bool = False
    redirected: tuple[Service, ...] = ()
    gateway: Address | None = None  # the director's, for masquerading
    refused: tuple[str, ...] = ()  # what cannot be said here, as sentences


def names(config: Config) -> tuple[str, ...]:
    """Every real server, by name and address."""
    servers = {
        f"{server.name} ({server.address})"
        for virtual in config.virtual_servers
        for server in virtual.real_servers
    }
    return tuple(sorted(servers))


def needed(config: Config, asked: str, *, redirect: bool = False) -> Needed | None:
    """What the real server of this name or address is asked for; None if there is none.

    Shape: with `redirect`, what comes by direct routing is redirected instead of taken by a VIP.
    """
    found = [
        (virtual, server)
        for virtual in config.virtual_servers
        for server in virtual.real_servers
        if asked in (server.name, str(server.address))
    ]
    if not found:
        return None
    address = found[0][1].address
    here = [(virtual, server) for virtual, server in found if server.address == address]
    refused = []
    if len(here) < len(found):
        others = {str(server.address) for _, server in found} - {str(address)}
        refused.append(f"{asked} has other addresses, too ({', '.join(sorted(others))}): name the address")
    served = [(virtual, virtual.address) for virtual, _ in here if virtual.active and virtual.address]
    refused += _refused([virtual for virtual, _ in served], address)

    def vips(method: Forwarding) -> tuple[Address, ...]:
        of = {vip for virtual, vip in served if virtual.forwarding is method}
        return tuple(sorted(of, key=lambda vip: (vip.version, int(vip))))

    redirected = {
        Service(vip, virtual.protocol, virtual.port)
        for virtual, vip in served
        if redirect and virtual.forwarding is Forwarding.DIRECT_ROUTING
    }
    return Needed(
        here[0][1],
        direct=() if redirect else vips(Forwarding.DIRECT_ROUTING),
        tunneled=vips(Forwarding.TUNNELING),
        masqueraded=bool(vips(Forwarding.MASQUERADING)),
        redirected=tuple(sorted(redirected, key=_order)),
        gateway=None if config.nat_router is None else config.nat_router.address,
        refused=tuple(refused),
    )


def _order(service: Service) -> tuple[int, int, int, str]:
    return service.vip.version, int(service.vip), service.port, service.protocol


def _refused(served: Sequence[VirtualServer], address: Address) -> list[str]:
    found = [
        f"{virtual.name}: only tunnels of type ipip are prepared here, not {virtual.tunnel.type}"
        for virtual in served
        if virtual.forwarding is Forwarding.TUNNELING and virtual.tunnel.type is not TunnelType.IPIP
    ]
    found += [
        f"{virtual.name}: IPv4 within IPv6 is not prepared here; make an ip6tnl device for each director"
        for virtual in served
        if virtual.forwarding is Forwarding.TUNNELING
        and isinstance(virtual.address, IPv4Address)
        and address.version == 6
    ]
    return found + [
        f"{virtual.name}: its packets are told by firewall mark {virtual.fwmark}; only those for its VIP are "
        "taken here"
        for virtual in served
        if virtual.fwmark and virtual.forwarding is not Forwarding.MASQUERADING
    ]


def user_data(need: Needed) -> str:
    """The #cloud-config that prepares the real server."""
    files: list[File] = []
    commands: list[str] = []
    said: list[str] = []
    packages: list[str] = []
    if need.direct:
        said.append("direct routing: VIPs on a device that answers no ARP")
        files += _direct(need.direct)
    if need.tunneled:
        said.append("tunnelling: VIPs on the tunnel's end, packets unwrapped by the kernel")
        ends = _ends(need)
        modules = [module for _, module in ends]
        files += [
            File(f"/etc/systemd/network/60-{name}.network", _holding(name, ends[name, module]))
            for name, module in ends
        ]
        files.append(File("/etc/modules-load.d/lvs.conf", "".join(f"{name}\n" for name in modules)))
        commands.append(f"modprobe -a {' '.join(modules)}")
    settings = _settings(need)
    if settings:
        files.append(File("/etc/sysctl.d/60-lvs.conf", settings))
        commands.append("sysctl -q -p /etc/sysctl.d/60-lvs.conf")
    if need.direct or need.tunneled:
        commands += ["systemctl enable --now systemd-networkd", "networkctl reload"]
    if need.masqueraded:
        said.append("masquerading: answers go back through the director")
        if need.gateway is None:
            said.append("  its gateway must be an address that moves with the active director: nat_router")
        else:
            files.append(_unit("gateway", f"ip route replace default via {need.gateway}", ONLINE))
            commands.append("systemctl enable --now lvs-gateway.service")
    if need.redirected:
        said.append("redirecting: no VIP here; what arrives for one goes to this machine's own address")
        packages.append("nftables")
        files += [
            File("/etc/lvs-redirect.nft", _redirect(need.redirected)),
            _unit("redirect", "nft -f /etc/lvs-redirect.nft", BEFORE_NETWORK),
        ]
        commands.append("systemctl enable --now lvs-redirect.service")
    return _written(need.server, said, packages, files, commands)


def _settings(need: Needed) -> str:
    lines = []
    if any(vip.version == 4 for vip in (*need.direct, *need.tunneled)):
        lines += [
            "# Neither answer ARP for a VIP nor announce it: that is for the director.",
            "net.ipv4.conf.all.arp_ignore = 1",
            "net.ipv4.conf.all.arp_announce = 2",
        ]
    if ("tunl0", "ipip") in _ends(need):
        lines += [
            "# What leaves the tunnel came from clients that are reached by another way.",
            "net.ipv4.conf.tunl0.rp_filter = 2",
        ]
    return "".join(f"{line}\n" for line in lines)


def _direct(vips: Sequence[Address]) -> list[File]:
    return [
        File(f"/etc/systemd/network/60-{DUMMY}.netdev", f"[NetDev]\nName={DUMMY}\nKind=dummy\n"),
        File(f"/etc/systemd/network/60-{DUMMY}.network", _holding(DUMMY, vips)),
    ]


def _ends(need: Needed) -> dict[tuple[str, str], list[Address]]:
    """Where tunnels end here: device and module, and the VIPs behind it."""
    found: dict[tuple[str, str], list[Address]] = {}
    for vip in need.tunneled:
        end = TUNNELS.get((vip.version, need.server.address.version))
        if end is not None:
            found.setdefault(end, []).append(vip)
    return found


def _holding(device: str, vips: Sequence[Address]) -> str:
    lines = ["[Match]", f"Name={device}", "", "[Link]", "RequiredForOnline=no", ""]
    lines += ["[Network]", "LinkLocalAddressing=no", "IPv6AcceptRA=no", "ConfigureWithoutCarrier=yes"]
    lines += [f"Address={vip}/{vip.max_prefixlen}" for vip in vips]
    return "\n".join([*lines, ""])


def _redirect(services: Sequence[Service]) -> str:
    lines = ["table inet lvs-redirect", "delete table inet lvs-redirect", "table inet lvs-redirect {"]
    lines += ["    chain prerouting {", "        type nat hook prerouting priority dstnat;"]
    lines += [
        f"        {'ip' if isinstance(one.vip, IPv4Address) else 'ip6'} daddr {one.vip} "
        f"{one.protocol} dport {one.port} redirect"
        for one in services
    ]
    return "\n".join([*lines, "    }", "}", ""])


def _unit(name: str, command: str, when: Sequence[str]) -> File:
    lines = ["[Unit]", f"Description=LVS real server: {name}", *when, "", "[Service]", "Type=oneshot"]
    lines += ["RemainAfterExit=yes", f"ExecStart=/usr/sbin/{command}"]
    lines += ["", "[Install]", "WantedBy=multi-user.target", ""]
    return File(f"/etc/systemd/system/lvs-{name}.service", "\n".join(lines))


def _written(
    server: RealServer, said: list[str], packages: list[str], files: list[File], commands: list[str]
) -> str:
    name = "".join(c if c.isprintable() else "?" for c in server.name)
    lines = ["#cloud-config", f"# Real server {name} ({server.address}) behind LVS directors."]
    lines += [f"# {line}" for line in said]
    if packages:
        lines += ["packages:", *(f"  - {package}" for package in packages)]
    if files:
        lines.append("write_files:")
    for file in files:
        lines += [f"  - path: {file.path}", "    content: |"]
        lines += [f"      {line}" if line else "" for line in file.content.splitlines()]
    if commands:
        lines.append("runcmd:")
        lines += [f"  - [{', '.join(command.split())}]" for command in commands]
    return "\n".join([*lines, ""])
