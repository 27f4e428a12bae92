"""Config -> canonical text of either language.

Written are the values that differ from the language's defaults, in the order of the table of
options, and a few always. Reading the text gives the same Config again:
`load(to_toml(c)) == c`, and `load(to_cf(c)) == c` for all that lvs.cf can say.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING, Any

from lvs.config.checking import by_http, grows, said_nothing
from lvs.config.checks import written
from lvs.config.located import Place, Problem
from lvs.config.option import Kind, Option, Scope
from lvs.config.options import BY_SCOPE
from lvs.config.refusal import Refused, shown
from lvs.config.statements import PAIRS, words
from lvs.errors import ConfigError
from lvs.model import Format, Forwarding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from lvs.model import Config, DeviceAddress, RealServer, VirtualServer

Values = dict[str, Any]  # by option; None: not set


# --- model -> values by option


def _mask(prefix: int | None, address: object) -> str | int | None:
    """Return a mask as operators write it: dotted for IPv4."""
    if prefix is None or not isinstance(address, IPv4Address):
        return prefix
    return str(IPv4Network((0, prefix)).netmask)


def _device(held: DeviceAddress | None) -> str | None:
    return None if held is None else held.label or held.device


def _globals(config: Config, file_format: Format) -> Values:
    pair = config.pair
    kernel = config.kernel
    router = config.nat_router
    two_links = pair.primary_private != pair.primary or pair.backup_private != pair.backup
    backup_active: bool | None = pair.backup_active
    if file_format is Format.TOML and backup_active == (pair.backup is not None):
        backup_active = None  # what it is when it is not written
    values = {
        "serial_no": config.serial_no,
        "primary": pair.primary,
        "primary_private": pair.primary_private if two_links else None,
        "backup": pair.backup,
        "backup_private": pair.backup_private if pair.backup_private != pair.backup else None,
        "backup_active": backup_active,
        "heartbeat_port": pair.heartbeat_port,
        "keepalive": pair.keepalive_s,
        "deadtime": pair.deadtime_s,
        "monitor_links": pair.monitor_links,
        "witness": pair.witness,
        "failback": pair.failback,
        "syncdaemon": pair.syncdaemon,
        "syncd_iface": pair.syncd_iface,
        "syncd_id": pair.syncd_id,
        "syncd_group": pair.syncd_group,
        "syncd_port": pair.syncd_port,
        "syncd_ttl": pair.syncd_ttl,
        "syncd_maxlen": pair.syncd_maxlen,
        "announce_every": config.announce_every_s,
        "active_cmd": pair.active_cmd,
        "inactive_cmd": pair.inactive_cmd,
        "pair_key": pair.pair_key,
        "network": config.network,
        "nat_router": None if router is None else router.address,
        "nat_router_device": _device(router),
        "nat_nmask": None if router is None else _mask(router.prefix, router.address),
        "tcp_timeout": kernel.tcp_timeout_s,
        "tcpfin_timeout": kernel.tcpfin_timeout_s,
        "udp_timeout": kernel.udp_timeout_s,
        "expire_nodest_conn": kernel.expire_nodest_conn,
        "expire_quiescent_template": kernel.expire_quiescent_template,
        "conn_reuse_mode": kernel.conn_reuse_mode,
        "conntrack": kernel.conntrack,
        "on_stop": config.on_stop,
        "check_user": config.check_user,
    }
    return values | {name: getattr(config.unused, name) for name in config.unused.__struct_fields__}


def _virtual(server: VirtualServer, network: Forwarding, file_format: Format) -> Values:
    check = server.checking
    quorum = server.quorum
    plain = not grows(check.load_monitor, server.real_servers)  # then weight_doubling means nothing
    persistence = server.persistence
    tunnel = server.tunnel
    return {
        "active": server.active,
        "address": server.address,
        "device": _device(server.vip),
        "vip_nmask": None if server.vip is None else _mask(server.vip.prefix, server.address),
        "sorry_server": server.sorry_server,
        "fwmark": server.fwmark,
        "protocol": server.protocol,
        "port": server.port,
        "scheduler": server.scheduler,
        "scheduler_flags": server.scheduler_flags,
        "persistent": 0 if persistence is None else persistence.timeout_s,
        "pmask": None if persistence is None else _mask(persistence.prefix, server.address or IPv4Address(0)),
        "persistence_engine": None if persistence is None else persistence.engine,
        "forwarding": server.forwarding if server.forwarding is not network else None,
        "tunnel": tunnel.type,
        "tunnel_port": tunnel.port or None,
        "tunnel_checksum": tunnel.checksum,
        "send": check.send,
        "expect": check.expect,
        "use_regex": check.use_regex,
        "send_program": check.send_program,
        "timeout": check.timeout_s,
        "reentry": check.reentry_s,
        "check_need": check.need,
        "check_interval": check.interval_s,
        "check_limit": check.limit_s,
        "check_interval_down": check.down_interval_s,
        "rise": check.rise,
        "fall": check.fall,
        "check_start": check.start,
        "check_path": check.path,
        "load_monitor": check.load_monitor,
        "quorum": quorum.least,
        "quorum_hysteresis": quorum.hysteresis,
        "quorum_up_cmd": quorum.up_cmd,
        "quorum_down_cmd": quorum.down_cmd,
        "notify_cmd": server.notify_cmd,
        "slow_start": server.slow_start_s,
        "weight_doubling": None if plain and file_format is Format.LVS_CF else server.weight_doubling,
        "drain": server.drain,
        "quiesce_server": server.quiesce_server,
        "client_monitor": server.client_monitor,
    }


def _server(server: RealServer, virtual: VirtualServer) -> Values:
    return {
        "address": None if server.address.is_unspecified else server.address,
        "active": server.active,
        "port": server.check_port if server.check_port != virtual.port else None,
        "weight": server.weight,
        "upper_threshold": server.upper_threshold,
        "lower_threshold": server.lower_threshold,
    }


def _written(scope: Scope, values: Mapping[str, Any], file_format: Format) -> Iterator[tuple[Option, Any]]:
    """Yield the options to write, in order."""
    for name, option in BY_SCOPE[scope].items():
        value = values.get(name)
        if value is None:
            continue
        if value != option.default(file_format) or (option.always and file_format is Format.TOML):
            yield option, value


# --- lvs.toml


def to_toml(config: Config) -> str:
    """Return lvs.toml text."""
    import toml

    dump = toml.TomlEncoder().dump_value

    def encode(value: Any) -> str:
        # The encoder mangles \x, which is how Python shows control characters.
        return _escaped(value) if "\\x" in repr(value) else str(dump(value))

    def encoded(value: Any) -> str:
        """Write a check's value: lists on one line, and tables within them."""
        if isinstance(value, list):
            return f"[{', '.join(encoded(one) for one in value)}]"
        if isinstance(value, dict):
            return f"{{{', '.join(f'{key} = {encode(one)}' for key, one in value.items())}}}"
        return encode(_plain(value))

    def lines(scope: Scope, values: Values) -> Iterator[str]:
        for option, value in _written(scope, values, Format.TOML):
            yield f"{option.name} = {encode(_plain(value))}"

    text = list(lines(Scope.GLOBAL, _globals(config, Format.TOML)))
    for virtual in config.virtual_servers:
        text += ["", "[[virtual]]", f"name = {encode(virtual.name)}"]
        text += lines(Scope.VIRTUAL, _virtual(virtual, config.network, Format.TOML))
        for check in virtual.checking.checks:
            name, values = written(check, virtual.protocol)
            text += ["", "[[virtual.check]]", f"type = {encode(name)}"]
            text += [f"{key} = {encoded(value)}" for key, value in values.items()]
        for server in virtual.real_servers:
            text += ["", "[[virtual.server]]", f"name = {encode(server.name)}"]
            text += lines(Scope.SERVER, _server(server, virtual))
    return "\n".join(text) + "\n"


def _escaped(text: str) -> str:
    """Return `text` as a TOML string that holds any character."""
    return '"' + "".join(c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08x}" for c in text) + '"'


def _plain(value: Any) -> Any:
    """Return what the encoder knows."""
    if isinstance(value, frozenset):
        return sorted(str(word) for word in value)
    if isinstance(value, bool | int | float):
        return int(value) if isinstance(value, float) and value.is_integer() else value
    return str(value)


# --- lvs.cf

_ESCAPED = {"\\": "\\\\", "\r": "\\r", "\n": "\\n", "\t": "\\t", '"': '\\"'}


def to_cf(config: Config, file: str = "lvs.toml", line: Callable[[Place], int] = lambda _: 0) -> str:
    """Return lvs.cf text; `file` is what `config` was read from, `line` tells where something stands in it.

    Errors: ConfigError with a problem for everything that lvs.cf cannot say.
    """
    writer = _CfWriter(file, line)
    values = _globals(config, Format.LVS_CF)
    text = writer.lines(Scope.GLOBAL, values, Place(), "")
    for index, virtual in enumerate(config.virtual_servers):
        place = Place("", index)
        text.append(f"virtual {writer.word(virtual.name, place)} {{")
        writer.judge(virtual, place)
        text += writer.lines(Scope.VIRTUAL, _virtual(virtual, config.network, Format.LVS_CF), place, "    ")
        for number, server in enumerate(virtual.real_servers):
            place = Place("", index, number)
            text.append(f"    server {writer.word(server.name, place)} {{")
            text += writer.lines(Scope.SERVER, _server(server, virtual), place, "        ")
            text.append("    }")
        text.append("}")
    if writer.problems:
        raise ConfigError(sorted(writer.problems))
    return "\n".join(text) + "\n"


def _in_words(value: Any) -> str:
    return ", ".join(_plain(value)) if isinstance(value, frozenset) else shown(_plain(value))


class _CfWriter:
    """Writes lines, and collects what cannot be written."""

    def __init__(self, file: str, line: Callable[[Place], int]) -> None:
        self.file = file
        self.line = line
        self.problems: list[Problem] = []

    def refuse(self, place: Place, message: str) -> None:
        self.problems.append(Problem(self.file, self.line(place), place.path(), message))

    def judge(self, virtual: VirtualServer, place: Place) -> None:
        """Refuse checks that lvs.cf has no options for."""
        checking = virtual.checking
        if checking.checks:
            self.refuse(Place("check", place.block), "lvs.cf has no [[virtual.check]]")
        elif by_http(virtual.port, virtual.protocol) and said_nothing(checking):
            self.refuse(place, "lvs.cf has no check of port 80 that connects only: it asks for a page there")

    def word(self, text: str, place: Place) -> str:
        """Quote `text` if it needs it; the reader itself says whether it does."""
        for quoted in (text, f'"{text}"', f"'{text}'"):
            if "\n" in text or "\r" in text or "\0" in text:
                break
            try:
                if words(f"x {quoted} {{") == ["x", text, "{"] and words(f"x {quoted}") == ["x", text]:
                    return quoted
            except Refused:
                continue
        self.refuse(place, f"lvs.cf has no way to write {shown(text)}")
        return '""'

    def lines(self, scope: Scope, values: Values, place: Place, indent: str) -> list[str]:
        text: list[str] = []
        for option, value in _written(scope, values, Format.LVS_CF):
            here = Place(option.name, place.block, place.server)
            if option.name in ("device", "nat_router_device"):
                continue  # beside their addresses
            if Format.LVS_CF not in option.formats:
                self.refuse(here, f"lvs.cf has no such option; it is {_in_words(value)}")
                continue
            word = self._value(option, value, here)
            second = PAIRS.get((scope, option.name))
            if second is not None:
                device = values[second]
                if device is None:
                    self.refuse(here, "lvs.cf has no address without a device")
                    continue
                word = f"{word} {self.word(device, here)}"
            text.append(f"{indent}{option.name} = {word}")
        return text

    def _value(self, option: Option, value: Any, place: Place) -> str:
        if isinstance(value, bool):
            return str(int(value))
        if isinstance(value, float):
            if not value.is_integer():
                self.refuse(place, f"lvs.cf has whole seconds only, and this is {value:g}")
            return str(int(value))
        if option.kind is Kind.TEXT:
            if len(value) > 1 or value in _ESCAPED:
                value = "".join(_ESCAPED.get(character, character) for character in value)
            if "\0" in value:
                self.refuse(place, "lvs.cf has no way to write a NUL byte")
            return f'"{value}"'
        if option.kind is Kind.ADDRESS and not isinstance(value, IPv4Address):
            self.refuse(place, f"lvs.cf has IPv4 only, and this is {value}")
        if value in option.toml_words:
            self.refuse(place, f"lvs.cf has no {value}")
        if option.kind is Kind.MASK and not isinstance(value, str):
            self.refuse(place, "lvs.cf has IPv4 masks only")
        return self.word(str(value), place)
