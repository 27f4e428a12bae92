"""The last resort: a dialogue at the console that makes a first configuration.

Questions are a table; each says what it asks, what it takes, and when it is asked. The state is where we are
and what was answered, an answer gives the next state, and the end is what the machine is given, judged
like everything else. `b` goes back a question, `q` leaves.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from ipaddress import IPv4Address, ip_address, ip_interface
from typing import NamedTuple

import msgspec

from lvs.firstboot import keys
from lvs.firstboot.decide import HOSTNAME_NAME
from lvs.firstboot.network import KEEP
from lvs.firstboot.values import HOSTNAME, KEYS, NETWORK, Offered, Source

Answers = Mapping[str, str]
NONE = "none"


class Outcome(StrEnum):
    ASKING = "asking"
    CONFIRMED = "confirmed"
    LEFT = "left"


class State(msgspec.Struct, frozen=True):
    """Where the dialogue stands."""

    devices: tuple[str, ...]  # network devices of this machine
    at: int = 0  # question; len(QUESTIONS): all are answered, and what comes of it is shown
    answers: dict[str, str] = {}
    said: str = ""  # what is wrong with the last answer
    outcome: Outcome = Outcome.ASKING


class Question(NamedTuple):
    """What is asked, and what is taken for an answer."""

    key: str
    asks: str
    default: Callable[[State], str]  # empty: there is none
    judge: Callable[[str], str]  # the answer as it is kept; Errors: ValueError with what is asked for
    when: Callable[[Answers], bool] = lambda _: True


def prompt(state: State) -> str:
    """What to show, and then to wait for a line."""
    wrong = f"  {state.said}\n" if state.said else ""
    if state.at == len(QUESTIONS):
        return f"{wrong}Write this? yes, b to go back, q to leave without: "
    question = QUESTIONS[state.at]
    default = _default(state, question)
    return f"{wrong}{question.asks}{f' [{default}]' if default else ''}: "


def answered(state: State, line: str) -> State:
    """The state after a line was typed."""
    said = line.strip()
    change = msgspec.structs.replace
    if said.lower() in ("q", "quit"):
        return change(state, outcome=Outcome.LEFT)
    if said.lower() in ("b", "back"):
        return change(state, at=_before(state), said="")
    if state.at == len(QUESTIONS):
        if said.lower() in ("y", "yes"):
            return change(state, outcome=Outcome.CONFIRMED)
        return change(state, said="yes, b or q is asked for")
    question = QUESTIONS[state.at]
    try:
        kept = question.judge(said or _default(state, question))
    except ValueError as fault:
        return change(state, said=str(fault))
    answers = {**state.answers, question.key: kept}
    at = state.at + 1
    while at < len(QUESTIONS) and not QUESTIONS[at].when(answers):
        answers.pop(QUESTIONS[at].key, None)
        at += 1
    return change(state, at=at, answers=answers, said="")


def refused(state: State, why: str) -> State:
    """The state when what came of the answers is not taken: from the top, with the answers as defaults."""
    return msgspec.structs.replace(state, at=0, said=why)


def _default(state: State, question: Question) -> str:
    return state.answers.get(question.key) or question.default(state)


def _before(state: State) -> int:
    return max((at for at in range(state.at) if QUESTIONS[at].when(state.answers)), default=0)


# What is taken for an answer


def _host(said: str) -> str:
    if not HOSTNAME_NAME.fullmatch(said):
        raise ValueError("letters, digits, dashes and dots are asked for")
    return said


def _device(said: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,15}", said):
        raise ValueError("the name of a device is asked for, such as eth0")
    return said


def _dhcp_or_address(said: str) -> str:
    return "dhcp" if said.lower() == "dhcp" else _with_prefix(said)


def _with_prefix(said: str) -> str:
    try:
        address = ip_interface(said)
    except ValueError:
        address = None
    if address is None or "/" not in said:
        raise ValueError("an address with its prefix length is asked for, such as 10.0.0.1/24")
    return str(address)


def _address(said: str) -> str:
    try:
        return str(ip_address(said))
    except ValueError:
        raise ValueError(f"an address is asked for, such as 10.0.0.1, got {said[:40]!r}") from None


def _optional(said: str) -> str:
    return NONE if said in ("", NONE) else _address(said)


def _key(said: str) -> str:
    if said in ("", NONE):
        return NONE
    good, problems = keys.judge(said.encode(), "this")
    if not good:
        raise ValueError(problems[0].message)
    return good[0]


def _word(*words: str) -> Callable[[str], str]:
    def judge(said: str) -> str:
        found = [word for word in words if said and word.startswith(said.lower())]
        if len(found) != 1:
            raise ValueError(f"one of {', '.join(words)} is asked for")
        return found[0]

    return judge


def _service(said: str) -> str:
    match = re.fullmatch(r"(\d{1,5})(?:/(tcp|udp|sctp))?", said.lower())
    if match is None or not 1 <= int(match[1]) <= 65535:
        raise ValueError("a port is asked for, such as 80 or 53/udp")
    return f"{int(match[1])}/{match[2] or 'tcp'}"


def _servers(said: str) -> str:
    addresses = [_address(word) for word in re.split(r"[\s,]+", said) if word]
    if not addresses:
        raise ValueError("at least one address is asked for")
    return " ".join(dict.fromkeys(addresses))


def _static(answers: Answers) -> bool:
    return answers.get("address") != "dhcp"


def _paired(answers: Answers) -> bool:
    return answers.get("other") != NONE


def _nothing(_state: State) -> str:
    return ""


QUESTIONS = (
    Question("hostname", "Host name", lambda _: "director1", _host),
    Question(
        "device", "Network device", lambda state: state.devices[0] if state.devices else "eth0", _device
    ),
    Question("address", "Its address and prefix length, or dhcp", lambda _: "dhcp", _dhcp_or_address),
    Question("gateway", "Gateway", lambda _: NONE, _optional, _static),
    Question("dns", "Name server", lambda _: NONE, _optional, _static),
    Question("key", "Public ssh key of who may log in and push (paste the line)", lambda _: NONE, _key),
    Question("other", "Address of the other director of the pair", lambda _: NONE, _optional),
    Question(
        "own",
        "This director's own address",
        _nothing,
        _address,
        lambda answers: _paired(answers) and not _static(answers),
    ),
    Question(
        "role",
        "Is this one primary or backup",
        lambda _: "primary",
        _word("primary", "backup"),
        _paired,
    ),
    Question("vip", "Address that users know (VIP), and prefix length", _nothing, _with_prefix),
    Question("service", "Its port, such as 80 or 53/udp", lambda _: "80", _service),
    Question("servers", "Addresses of the real servers, with blanks between", _nothing, _servers),
    Question(
        "method",
        "How packets reach them: direct or tunnel",
        lambda _: "direct",
        _word("direct", "tunnel"),
    ),
)


# What comes of it


def given(state: State) -> tuple[Offered, ...]:
    """What the machine is given by these answers."""
    answers = state.answers
    texts = {
        "lvs.toml": configuration(answers),
        HOSTNAME: answers["hostname"] + "\n",
        f"{NETWORK}10-{answers['device']}.network": _network(answers),
    }
    if answers["key"] != NONE:
        texts[KEYS] = answers["key"] + "\n"
    return tuple(
        Offered(Source.CONSOLE, name, text.encode(), f"console: {name}") for name, text in texts.items()
    )


def _network(answers: Answers) -> str:
    lines = ["[Match]", f"Name={answers['device']}", "", "[Network]"]
    if _static(answers):
        lines.append(f"Address={answers['address']}")
        lines += [f"Gateway={answers['gateway']}"] if answers["gateway"] != NONE else []
        lines += [f"DNS={answers['dns']}"] if answers["dns"] != NONE else []
    else:
        lines.append("DHCP=yes")
    return "\n".join([*lines, KEEP, ""])


def configuration(answers: Answers) -> str:
    """lvs.toml; every value in it has passed its question."""
    vip = ip_interface(answers["vip"])
    port, protocol = answers["service"].split("/")
    mask = str(vip.netmask) if isinstance(vip.ip, IPv4Address) else str(vip.network.prefixlen)
    label = f"{answers['device']}:1" if isinstance(vip.ip, IPv4Address) else answers["device"]
    lines = [
        "# Made at the console. What else can be said stands in docs/configuration.md.",
        "",
        "# Count this up with every change.",
        "serial_no = 1",
        "",
    ]
    if _paired(answers):
        own = str(ip_interface(answers["address"]).ip) if _static(answers) else answers["own"]
        first = own, answers["other"]
        primary, backup = first if answers["role"] == "primary" else first[::-1]
        lines += [
            "# The same file lies on both directors; each finds out by its own address which one it is.",
            "# They know each other by a key: `lvsd pair init` on one, `lvsd pair join` on the other.",
            f'primary = "{primary}"',
            f'backup = "{backup}"',
            "",
        ]
    lines += [
        "# direct: real servers accept packets for the VIP, and never answer ARP for it.",
        "# tunnel: they come wrapped, to real servers anywhere.",
        f'network = "{answers["method"]}"',
        "",
        "[[virtual]]",
        f'name = "{protocol}-{port}"',
        "# The VIP, and the device that holds it on the active director.",
        f'address = "{vip.ip}"',
        f'device = "{label}"',
        f'vip_nmask = "{mask}"' if isinstance(vip.ip, IPv4Address) else f"vip_nmask = {mask}",
        f'protocol = "{protocol}"',
        f"port = {port}",
        'scheduler = "wlc"',
        "",
    ]
    for number, server in enumerate(answers["servers"].split(), 1):
        lines += ["[[virtual.server]]", f'name = "real{number}"', f'address = "{server}"', "weight = 1", ""]
    return "\n".join(lines)
