"""Big configurations for benchmarks and scale tests: the deployment's blocks, many times over.

All functions take the same arguments and describe the same services; every virtual server has
its own VIP on port 80 and up, every real server its own address.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator


def vip(number: int) -> str:
    return f"10.{100 + number // 62500}.{number // 250 % 250}.{number % 250 + 1}"


def rip(number: int) -> str:
    return f"172.{16 + number // 62500}.{number // 250 % 250}.{number % 250 + 1}"


def _services(services: int, servers: int) -> Iterator[tuple[int, str, list[tuple[int, str]]]]:
    """Yield number, VIP, and the real servers as (number within the service, address)."""
    for number in range(services):
        first = number * servers
        yield number, vip(number), [(index + 1, rip(first + index)) for index in range(servers)]


def lvs_cf(services: int, servers: int, *, weight: Callable[[int, int], int] = lambda _s, _r: 1) -> str:
    """Return lvs.cf text; `weight` of service number and real server number, to make edits."""
    lines = [
        "serial_no = 1",
        "primary = 10.0.0.1",
        "service = lvs",
        "backup_active = 0",  # one director: the other is not here
        "backup = 10.0.0.2",
        "heartbeat = 1",
        "heartbeat_port = 539",
        "keepalive = 6",
        "deadtime = 18",
        "network = direct",
        "debug_level = NONE",
        "monitor_links = 1",
        "syncdaemon = 1",
    ]
    for number, address, reals in _services(services, servers):
        lines += [
            f"virtual service{number} {{",
            "    active = 1",
            f"    address = {address} eth0:1",
            "    vip_nmask = 255.255.255.0",
            "    port = 80",
            "    persistent = 60",
            '    expect = "OK"',
            '    send_program = "/root/scripts/checkdns %h"',
            "    load_monitor = none",
            "    scheduler = wlc",
            "    protocol = tcp",
            "    timeout = 6",
            "    reentry = 15",
            "    quiesce_server = 0",
            "    use_regex = 0",
        ]
        for index, real in reals:
            lines += [
                f"    server real{index} {{",
                f"        address = {real}",
                "        active = 1",
                f"        weight = {weight(number, index)}",
                "    }",
            ]
        lines.append("}")
    return "\n".join(lines) + "\n"


def lvs_toml(services: int, servers: int, *, weight: Callable[[int, int], int] = lambda _s, _r: 1) -> str:
    """Return lvs.toml text that means the same as `lvs_cf`."""
    lines = [
        "serial_no = 1",
        'primary = "10.0.0.1"',
        'service = "lvs"',
        "backup_active = false",
        'backup = "10.0.0.2"',
        "heartbeat = true",
        "heartbeat_port = 539",
        "keepalive = 6",
        "deadtime = 18",
        'network = "direct"',
        'debug_level = "NONE"',
        "monitor_links = true",
        "syncdaemon = true",
        "",
    ]
    for number, address, reals in _services(services, servers):
        lines += [
            "[[virtual]]",
            f'name = "service{number}"',
            "active = true",
            f'address = "{address}"',
            'device = "eth0:1"',
            'vip_nmask = "255.255.255.0"',
            "port = 80",
            "persistent = 60",
            'expect = "OK"',
            'send_program = "/root/scripts/checkdns %h"',
            'load_monitor = "none"',
            'scheduler = "wlc"',
            'protocol = "tcp"',
            "timeout = 6",
            "reentry = 15",
            "quiesce_server = false",
            "use_regex = false",
            "",
        ]
        for index, real in reals:
            lines += [
                "[[virtual.server]]",
                f'name = "real{index}"',
                f'address = "{real}"',
                "active = true",
                f"weight = {weight(number, index)}",
                "",
            ]
    return "\n".join(lines)


def keepalived_conf(services: int, servers: int, *, checks: bool = True) -> str:
    """Return keepalived's configuration of the same services, with or without a TCP check of each."""
    lines = ["global_defs {", "    router_id lvs", "}"]
    for _, address, reals in _services(services, servers):
        lines += [
            f"virtual_server {address} 80 {{",
            "    delay_loop 6",
            "    lvs_sched wlc",
            "    lvs_method DR",
            "    persistence_timeout 60",
            "    protocol TCP",
        ]
        for _, real in reals:
            lines += [f"    real_server {real} 80 {{", "        weight 1"]
            if checks:
                lines += ["        TCP_CHECK {", "            connect_timeout 6", "        }"]
            lines.append("    }")
        lines.append("}")
    return "\n".join(lines) + "\n"


def ipvsadm_save(services: int, servers: int) -> str:
    """Return what `ipvsadm -S -n` prints of the same services, which `ipvsadm -R` reads."""
    lines = []
    for _, address, reals in _services(services, servers):
        lines.append(f"-A -t {address}:80 -s wlc -p 60")
        lines += [f"-a -t {address}:80 -r {real}:80 -g -w 1" for _, real in reals]
    return "\n".join(lines) + "\n"
