"""`[[virtual.check]]`: tables as read -> checks, judged; and checks -> what is written for them."""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any

from lvs.checks import Check, Dialogue, Http, Ipp, Ldap, Tls
from lvs.config import checking
from lvs.config.check_types import TLS_OPTIONS, TYPES, Type, Wraps
from lvs.config.check_values import WRITTEN
from lvs.config.needs import Need, Needed, NeedKind
from lvs.config.option import Kind
from lvs.config.refusal import shown
from lvs.model import CheckPath, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lvs.config.judge import Judge
    from lvs.config.located import CheckTable, Virtual
    from lvs.config.option import Option

BESIDE_THE_VIP = ("icmp", "neighbour", "program", "file", "none")  # which go their own way (health.roster)
_BEGINS_TLS = ("tls", "starttls", "starttls_after")
_NEEDS = {
    Kind.COMMAND: NeedKind.PROGRAM,
    Kind.CREDENTIAL: NeedKind.CREDENTIAL,
    Kind.FILE: NeedKind.FILE,
}


def built(judge: Judge, block: Virtual, protocol: Protocol, needs: list[Needed]) -> tuple[Check, ...]:
    """Judge and build the checks of a virtual server, in their order; what they need is added to `needs`."""
    if block.values.get("check_path") is CheckPath.VIP and all(
        table.type in BESIDE_THE_VIP for table in block.checks
    ):
        checking.beside_the_vip(judge, block.checks[0].type)
    found: list[Check] = []
    for number, table in enumerate(block.checks):
        if not table.bad:
            found.append(_check(judge, number, table, protocol))
            needs += _needs(judge, number, table)
    return tuple(found)


def _check(judge: Judge, number: int, table: CheckTable, protocol: Protocol) -> Check:
    check = TYPES[table.type]
    values = {name: table.values.get(name, option.toml) for name, option in check.options.items()}
    for name, option in check.options.items():
        if option.required and values[name] is None:
            judge.refuse(name, f"missing; a check of type {check.name} needs it", check=number)
            values[name] = _NOTHING[option.kind]
    for name, value in _by_protocol(protocol).items():
        if values.get(name, value) is None:
            values[name] = value
    rule = _RULES.get(check.name)
    if rule is not None:
        rule(judge, number, values, table.values)
    if check.preset is not None:
        tls = _tls(judge, number, check, values, table)
        more = {"starttls": True} if values.get("starttls") else {}
        for name, option in check.options.items():
            if (option.field or name) in {"user", "password"}:
                more[option.field or name] = values[name]
        return check.preset(tls, values["port"], **more)
    fields = {
        option.field or name: values[name]
        for name, option in check.options.items()
        if (option.field or name) in check.struct.__struct_fields__ and option not in TLS_OPTIONS
    }
    if check.wraps is not Wraps.NEVER:
        fields["tls"] = _tls(judge, number, check, values, table)
    if check.struct is Dialogue:
        fields["name"] = check.name
    built: Check = check.struct(**fields)
    return built


_NOTHING: dict[Kind, Any] = {Kind.COMMAND: ("",), Kind.STEPS: (), Kind.WORD: "", Kind.CREDENTIAL: ""}


def _by_protocol(protocol: Protocol) -> dict[str, bool]:
    """Options that follow the virtual server's protocol."""
    return {"udp": protocol is Protocol.UDP, "tcp": protocol is not Protocol.UDP}


def _tls(judge: Judge, number: int, check: Type, values: dict[str, Any], table: CheckTable) -> Tls | None:
    if check.wraps is Wraps.MAY and not any(values.get(name) for name in _BEGINS_TLS):
        for option in TLS_OPTIONS:
            if option.name in table.values:
                judge.refuse(
                    option.name, "for TLS only, and this check has none; add tls = true", check=number
                )
        return None
    if values.get("tls") and (values.get("starttls") or values.get("starttls_after")):
        message = "TLS from the beginning, but starttls is there too; which of the two counts?"
        judge.refuse("tls", message, check=number)
    if not values["verify"] and "ca_file" in table.values:
        message = "verify = false takes any certificate; which of the two counts?"
        judge.refuse("ca_file", message, check=number)
    return Tls(**{option.field or option.name: values[option.name] for option in TLS_OPTIONS})


def _needs(judge: Judge, number: int, table: CheckTable) -> Iterator[Needed]:
    for name, value in table.values.items():
        kind = _NEEDS.get(TYPES[table.type].options[name].kind)
        if kind is not None:
            yield Needed(
                Need(kind, value if isinstance(value, str) else value[0]), judge.place(name, check=number)
            )


# --- options that belong together, by type


def _expected(judge: Judge, number: int, values: dict[str, Any], _: dict[str, Any]) -> None:
    expect = values["expect"]
    if not values["use_regex"]:
        return
    if expect is None:
        judge.warn("use_regex", "ignored without expect", check=number)
    else:
        text = expect if isinstance(expect, str) else expect.decode()
        checking.expression(judge, text, check=number)


def _http(judge: Judge, number: int, values: dict[str, Any], given: dict[str, Any]) -> None:
    _expected(judge, number, values, given)
    if values["method"] == "HEAD" and values["expect"] is not None:
        judge.refuse("expect", "the answer to HEAD has no page to find it in; GET has", check=number)


def _exchange(judge: Judge, number: int, values: dict[str, Any], given: dict[str, Any]) -> None:
    _expected(judge, number, values, given)
    if values["udp"]:
        checking.udp(judge, values["send"], values["expect"], check=number)


def _ldap(judge: Judge, number: int, values: dict[str, Any], given: dict[str, Any]) -> None:
    from lvs.probes.ldap_filter import filter_of

    if values["bind"] and values["password_from"] is None:
        judge.refuse("password_from", "missing; bind without a password is no log-in", check=number)
    if values["password_from"] is not None and not values["bind"]:
        judge.refuse("bind", "missing beside password_from", check=number)
    if values["base"] is None:
        for name in ("filter", "scope"):
            if name in given:
                judge.warn(name, "ignored without base", check=number)
    try:
        filter_of(values["filter"])
    except ValueError as error:
        judge.refuse("filter", str(error), check=number)


def _mysql(judge: Judge, number: int, values: dict[str, Any], _: dict[str, Any]) -> None:
    if values["password_from"] is not None and values["user"] is None:
        judge.refuse("user", "missing beside password_from", check=number)


def _redis(judge: Judge, number: int, values: dict[str, Any], _: dict[str, Any]) -> None:
    if values["user"] is not None and values["password_from"] is None:
        judge.refuse("password_from", "missing beside user", check=number)


def _radius(judge: Judge, number: int, values: dict[str, Any], given: dict[str, Any]) -> None:
    _mysql(judge, number, values, given)
    if values["user"] is not None and values["password_from"] is None:
        judge.refuse("password_from", "missing beside user", check=number)


def _dialogue(judge: Judge, number: int, values: dict[str, Any], _: dict[str, Any]) -> None:
    for index, step in enumerate(values["steps"]):
        if step.expect is not None:
            checking.expression(judge, step.expect, check=number, option="steps", where=f"step {index}: ")
    after = values["starttls_after"]
    if after is not None and after >= len(values["steps"]):
        message = f"less than the number of steps, which is {len(values['steps'])}; got {after}"
        judge.refuse("starttls_after", message, check=number)


def _dns(judge: Judge, number: int, values: dict[str, Any], _: dict[str, Any]) -> None:
    from lvs.probes.dns import RCODES, TYPES, question

    if values["query"] not in TYPES:
        judge.refuse("query", f"one of {', '.join(TYPES)}, got {values['query']}", check=number)
    elif values["rcode"] not in RCODES:
        judge.refuse("rcode", f"one of {', '.join(RCODES)}, got {values['rcode']}", check=number)
    else:
        try:
            question(values["name"], values["query"])
        except ValueError as fault:
            judge.refuse("name", str(fault), check=number)
        if values["answer"] is not None:
            _answered(judge, number, values["query"], values["rcode"], values["answer"])


def _answered(judge: Judge, number: int, query: str, rcode: str, answer: str) -> None:
    """Refuse a value that no record of such an answer has; an alias on the way to an address is one, too."""
    if rcode != "NOERROR":
        message = f"a value is found in an answer of NOERROR only, and rcode is {rcode}"
        judge.refuse("answer", message, check=number)
    asked = _ADDRESSES.get(query)
    if asked is None:
        return
    word, kind = asked
    try:
        kind(answer)
    except ValueError:
        if re.fullmatch(r"[0-9.]+|.*[:/ ].*", answer):
            message = f"an {word} address, or a name that is an alias, is asked for, got {shown(answer)}"
            judge.refuse("answer", message, check=number)


_ADDRESSES: dict[str, tuple[str, Callable[[str], object]]] = {
    "A": ("IPv4", IPv4Address),
    "AAAA": ("IPv6", IPv6Address),
}
_RULES: dict[str, Callable[[Judge, int, dict[str, Any], dict[str, Any]], None]] = {
    "exchange": _exchange,
    "http": _http,
    "https": _http,
    "dialogue": _dialogue,
    "dns": _dns,
    "ldap": _ldap,
    "ldaps": _ldap,
    "mysql": _mysql,
    "radius": _radius,
    "redis": _redis,
}


# --- checks -> tables


def type_of(check: Check) -> str:
    """Return the type that is written for a check."""
    match check:
        case Http(tls=Tls()):
            return "https"
        case Ldap(tls=Tls(), starttls=False):
            return "ldaps"
        case Ipp(tls=Tls()):
            return "ipps"
        case Dialogue(name=name):
            return name
    tag = type(check).__struct_config__.tag
    assert isinstance(tag, str)
    return tag


def written(check: Check, protocol: Protocol) -> tuple[str, dict[str, Any]]:
    """Return a check's type, and those of its options, as TOML has them, that must be written."""
    kind = TYPES[type_of(check)]
    tls: Tls | None = getattr(check, "tls", None)
    begins: bool = getattr(check, "starttls", None) not in {None, False}
    usual = _by_protocol(protocol)
    found: dict[str, Any] = {}
    for name, option in kind.options.items():
        value = _held(check, tls, option, begins=begins)
        if value is not None and value != usual.get(name, option.toml):
            found[name] = WRITTEN[option.kind](value) if option.kind in WRITTEN else value
    return kind.name, found


def _held(check: Check, tls: Tls | None, option: Option, *, begins: bool) -> Any:
    if option in TLS_OPTIONS:
        return None if tls is None else getattr(tls, option.field or option.name)
    if option.name in {"tls", "starttls"}:
        return tls is not None and begins is (option.name == "starttls")
    return getattr(check, option.field or option.name)
