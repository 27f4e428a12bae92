"""How real servers are checked and brought in: the options of one virtual server, judged together.

lvs.cf says what nanny did with it, here or in `lvs.health.roster`. Its default check is written out
while lvs.cf is read, so that the same options mean the same in lvs.toml.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from lvs.config.needs import Need, Needed, NeedKind
from lvs.model import (
    Checking,
    CheckPath,
    Drain,
    Format,
    Forwarding,
    Protocol,
    Quorum,
    RealServer,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lvs.checks import Check
    from lvs.config.judge import Judge
    from lvs.config.located import Virtual

HTTP_PORT = 80
# What nanny did at port 80 if nothing else was said; lvs.cf section 4.3.
NANNY_SEND = "GET / HTTP/1.0\r\n\r\n"
NANNY_EXPECT = "HTTP"

# Where none of these is given, and no [[virtual.check]], all is as in lvs.cf.
_MORE = frozenset(
    {
        "check_need",
        "check_interval",
        "check_limit",
        "check_interval_down",
        "rise",
        "fall",
        "check_start",
        "check_path",
        "quorum",
        "quorum_hysteresis",
        "quorum_up_cmd",
        "quorum_down_cmd",
        "notify_cmd",
        "slow_start",
        "weight_doubling",
        "drain",
    }
)
# The last fields of a VirtualServer: quorum and all behind it.
Rest = tuple[Quorum, float, bool, Drain, str | None]


class Checked(NamedTuple):
    checking: Checking
    rest: Rest
    needs: tuple[Needed, ...]


def built(
    judge: Judge,
    block: Virtual,
    values: Mapping[str, Any],
    file_format: Format,
    real_servers: tuple[RealServer, ...],
) -> Checked:
    """Judge and build; `values` are the block's with what holds where it says nothing."""
    get = values.__getitem__
    send: str | None = get("send")
    expect: str | None = get("expect")
    program: str | None = get("send_program")
    nothing = send is None and expect is None and program is None
    if nothing and file_format is Format.LVS_CF and by_http(get("port"), get("protocol")):
        send, expect = NANNY_SEND, NANNY_EXPECT
    needs: list[Needed] = []
    if block.checks:
        _alone(judge, block.values)
    elif program is not None:
        needs.append(_program(judge, "send_program", program))
        if block.values.get("check_path") is CheckPath.VIP:
            beside_the_vip(judge, "send_program")
        if get("use_regex"):
            judge.warn("use_regex", "ignored: what send_program prints is compared as it is, as nanny did")
    else:
        _exchanged(judge, values, send, expect)
    if not get("reentry") and get("rise") is None:
        judge.warn("reentry", "0 is taken as 180, as nanny did; rise = 1 in lvs.toml means at once")
    monitor: str | None = get("load_monitor")
    if monitor is not None and monitor != "none":
        _monitored(judge, monitor, needs)
    # Where no weight grows it means nothing: so it is false there, and either language can say it.
    doubling: bool = get("weight_doubling") and grows(monitor, real_servers)
    regex, timeout_s, reentry_s = get("use_regex"), get("timeout"), get("reentry")
    if not block.checks and _MORE.isdisjoint(block.values):
        checking = Checking(send, expect, regex, program, timeout_s, reentry_s, monitor)
        return Checked(checking, (_QUORUM, 0.0, doubling, Drain.LEAVE, None), tuple(needs))
    _more(judge, values, block.values, needs)
    checks: tuple[Check, ...] = ()
    if block.checks:
        from lvs.config import checks as tables  # most files have none

        checks = tables.built(judge, block, get("protocol"), needs)
    checking = Checking(
        send,
        expect,
        regex,
        program,
        timeout_s,
        reentry_s,
        monitor,
        checks,
        get("check_need"),
        get("check_interval"),
        get("check_limit"),
        get("rise"),
        get("fall"),
        get("check_interval_down"),
        get("check_start"),
        get("check_path"),
    )
    quorum = _quorum(judge, values, block.values, real_servers)
    slow_start_s: float = get("slow_start")
    rest = (quorum, slow_start_s, doubling and not slow_start_s, get("drain"), get("notify_cmd"))
    return Checked(checking, rest, tuple(needs))


def by_http(port: int, protocol: Protocol) -> bool:
    """Whether nanny asked for a page if nothing else was said."""
    return port == HTTP_PORT and protocol is Protocol.TCP


def said_nothing(checking: Checking) -> bool:
    return checking.send is None and checking.expect is None and checking.send_program is None


def grows(monitor: str | None, real_servers: tuple[RealServer, ...]) -> bool:
    """Whether some real server may have a weight above 1, so that it can grow to it."""
    return monitor not in {None, "none"} or any([one.weight > 1 for one in real_servers])  # noqa: C419


_QUORUM = Quorum()


def _alone(judge: Judge, given: Mapping[str, Any]) -> None:
    for option in ("send", "expect", "use_regex", "send_program"):
        if option in given:
            judge.refuse(option, "[[virtual.check]] is there too; which of the two counts?")


def _exchanged(judge: Judge, values: Mapping[str, Any], send: str | None, expect: str | None) -> None:
    if values["use_regex"]:
        if expect is None:
            judge.warn("use_regex", "ignored without expect")
        else:
            expression(judge, expect)
    if not values["active"] or values["protocol"] is not Protocol.UDP:
        return
    if judge.sound("protocol", "send", "expect", "send_program"):
        udp(judge, send, expect)


def udp(judge: Judge, send: str | bytes | None, expect: str | bytes | None, check: int = -1) -> None:
    """Warn of a check over UDP that gets no answer: there is no connection to accept (lvs.cf section 4.8)."""
    if expect is None:
        where = "expect" if send is None else "send"
        message = "nothing tells whether a real server of UDP works, so each is taken as up"
        judge.warn(
            "" if send is None else where, f"{message}; give send and expect, or a program", check=check
        )
    elif not send:
        judge.warn("expect", "over UDP nothing answers before something is sent; give send too", check=check)


def expression(
    judge: Judge, expect: str, check: int = -1, *, option: str = "expect", where: str = ""
) -> None:
    """Refuse an expression that is none."""
    from lvs.probes.expressions import posix

    try:
        posix(expect.encode("utf-8", "surrogateescape"))
    except ValueError as error:
        judge.refuse(option, f"{where}{error}", check=check)


def _program(
    judge: Judge, option: str, words: str, kind: NeedKind = NeedKind.PROGRAM, check: int = -1
) -> Needed:
    return Needed(Need(kind, words.split(maxsplit=1)[0]), judge.place(option, check=check))


def _monitored(judge: Judge, monitor: str, needs: list[Needed]) -> None:
    """Judge a load monitor; lvs.cf section 4.7."""
    if "://" not in monitor.split(maxsplit=1)[0]:
        kind = NeedKind.REMOTE_SHELL if monitor == "uptime" else NeedKind.PROGRAM
        needs.append(_program(judge, "load_monitor", monitor, kind))
        return
    from ipaddress import IPv4Address

    from lvs.probes.load import place

    try:
        place(monitor, IPv4Address("192.0.2.1"))
    except ValueError as error:
        judge.refuse("load_monitor", str(error))


def _more(judge: Judge, values: Mapping[str, Any], given: Mapping[str, Any], needs: list[Needed]) -> None:
    if "rise" in given and "reentry" in given:
        judge.warn("reentry", "ignored beside rise")
    limit_s: float | None = values["check_limit"]
    interval_s: float = values["check_interval"] or values["timeout"]
    if limit_s is not None and limit_s > interval_s and judge.sound("check_interval", "timeout"):
        longer = f"longer than the time between two checks, {interval_s:g} s"
        judge.warn("check_limit", f"{longer}: one that takes so long delays the next")
    short_s: float | None = values["check_interval"]
    if limit_s is None and short_s is not None and given.get("timeout", 0) > short_s:
        judge.warn("timeout", f"longer than check_interval: a check ends after {short_s:g} s")
    masquerading = values["forwarding"] is Forwarding.MASQUERADING
    if masquerading and values["check_path"] is CheckPath.VIP and judge.sound("forwarding"):
        judge.refuse("check_path", "vip is for direct and tunnel forwarding only, and this one is nat")
    if values["slow_start"] and given.get("weight_doubling"):
        judge.refuse("weight_doubling", "slow_start is there too; which of the two counts?")
    needs += [
        _program(judge, option, values[option], NeedKind.COMMAND)
        for option in ("quorum_up_cmd", "quorum_down_cmd", "notify_cmd")
        if values[option] is not None
    ]


def beside_the_vip(judge: Judge, check: str) -> None:
    judge.refuse("check_path", f"a check of {check} does not go by the VIP, and there is no other")


def _quorum(
    judge: Judge,
    values: Mapping[str, Any],
    given: Mapping[str, Any],
    real_servers: tuple[RealServer, ...],
) -> Quorum:
    least: int = values["quorum"]
    hysteresis: int = values["quorum_hysteresis"]
    if not judge.sound("quorum", "quorum_hysteresis"):
        return _QUORUM
    if hysteresis >= least:
        judge.refuse("quorum_hysteresis", f"less than quorum, which is {least}; got {hysteresis}")
    weights = sum([one.weight for one in real_servers if one.active])
    if values["active"] and "quorum" in given and weights < least + hysteresis:
        back = f"{least} and {hysteresis} more" if hysteresis else f"{least}"
        judge.warn("quorum", f"the weights of all real servers together are {weights}, never {back}")
    return Quorum(least, hysteresis, values["quorum_up_cmd"], values["quorum_down_cmd"])
