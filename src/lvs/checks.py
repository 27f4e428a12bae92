"""What a check is, as frozen values: how a real server is asked whether it serves.

One struct per kind of check; `Check` is their union, `Pace` adds how often and how patiently.
Values that came through `lvs.config.build` are sound: expressions compile, numbers are in
range. Durations are seconds. A check says nothing about whom it asks: that is a `Target`.
"""

from __future__ import annotations

from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address

import msgspec

Address = IPv4Address | IPv6Address


class Reason(StrEnum):
    """Why a real server is as it is: the codes of docs/reasons.md, in status, journal and API."""

    # Answers of a probe
    ANSWERED = "answered"  # as it should: up
    REFUSED = "refused"  # connection refused, port unreachable
    RESET = "reset"  # the connection was cut
    UNREACHABLE = "unreachable"  # no route, host unreachable, no neighbour
    TIMED_OUT = "timed_out"  # no answer, or not all of it, by the deadline
    CLOSED = "closed"  # ended before the answer was complete
    WRONG_ANSWER = "wrong_answer"  # understood, but not what is expected
    GARBLED = "garbled"  # not of the protocol at all
    TOO_LONG = "too_long"  # the answer does not end
    CERTIFICATE = "certificate"  # not to be trusted: name, chain, date
    TLS = "tls"  # TLS could not be agreed on
    DENIED = "denied"  # credentials were not accepted
    PROGRAM_FAILED = "program_failed"  # exit status not 0, or killed by a signal
    PROGRAM_MISSING = "program_missing"  # could not be started
    PROGRAM_TIMED_OUT = "program_timed_out"
    LOCAL_FAULT = "local_fault"  # this director could not ask: descriptors, memory, rights
    # States that no probe gave
    UNCHECKED = "unchecked"  # nothing checks it: taken as up
    NOT_CHECKED_YET = "not_checked_yet"
    ADOPTED = "adopted"  # as the kernel had it when the daemon started
    INACTIVE = "inactive"  # active = 0
    DRAINING = "draining"
    DRAINED = "drained"
    DISABLED = "disabled"
    WEIGHT_ZERO = "weight_zero"  # weight = 0
    QUORUM_LOST = "quorum_lost"
    SLOW_START = "slow_start"
    LOAD = "load"


# Those that say that a real server is down.
DOWN = frozenset(Reason) - {
    Reason.ANSWERED,
    Reason.UNCHECKED,
    Reason.ADOPTED,
    Reason.NOT_CHECKED_YET,
    Reason.INACTIVE,
    Reason.DRAINING,
    Reason.DRAINED,
    Reason.DISABLED,
    Reason.WEIGHT_ZERO,
    Reason.QUORUM_LOST,
    Reason.SLOW_START,
    Reason.LOAD,
}


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What one probe found; `text` is a sentence without a full stop, at most a line."""

    ok: bool
    reason: Reason
    text: str
    # Of a load monitor: the load, or a share of the weight (see `Load`). Of a check that is good: for how
    # many days its certificate is still valid, once these are fewer than `Tls.expires_days`.
    value: float | None = None


class Tls(msgspec.Struct, frozen=True, gc=False):
    """TLS around a check, or after STARTTLS."""

    verify: bool = True  # chain and name; off: any certificate
    name: str | None = None  # SNI and name verified; None: the real server's address
    authorities: str | None = None  # PEM file; None: the system's
    expires_days: int = 14  # fewer days left: a warning in the answer's text


class Connect(msgspec.Struct, frozen=True, gc=False, tag_field="kind", tag="connect"):
    """TCP (or SCTP, with a virtual server of it): the connection is accepted."""

    port: int | None = None  # of every check: instead of the real server's


class Exchange(msgspec.Struct, frozen=True, gc=False, tag_field="kind", tag="exchange"):
    """Piranha's send and expect, over the virtual server's protocol (lvs.cf section 4.3)."""

    send: bytes | None = None
    expect: bytes | None = None  # what the answer begins with; b"*" any; None: connecting is enough
    use_regex: bool = False  # expect is an expression found anywhere in the answer
    udp: bool = False
    port: int | None = None


class Program(msgspec.Struct, frozen=True, gc=False, tag_field="kind", tag="program"):
    """A program that checks: exit status 0, and `expect` if set is what it prints, less a newline."""

    words: tuple[str, ...]  # %h is the real server, %p its port; the first word is the program
    expect: str | None = None
    port: int | None = None


class Http(msgspec.Struct, frozen=True, gc=False, tag_field="kind", tag="http"):
    """HTTP/1.1 (RFC 9112), or HTTPS with `tls`."""

    path: str = "/"
    host: str | None = None  # Host field; None: the real server's address
    method: str = "GET"
    status: tuple[tuple[int, int], ...] = ((200, 399),)  # ranges, both ends included
    expect: str | None = None  # text, or with use_regex an expression, found in the body
    use_regex: bool = False
    tls: Tls | None = None
    port: int | None = None


class Dns(msgspec.Struct, frozen=True, gc=False, tag_field="kind", tag="dns"):
    """A DNS question (RFC 1035)."""

    name: str = "."
    type: str = "SOA"  # mnemonic
    rcode: str = "NOERROR"
    answer: str | None = None  # some record of the answer, in presentation form; None: any or none
    tcp: bool = False
    port: int | None = None


class Step(msgspec.Struct, frozen=True, gc=False):
    """One step of a dialogue: wait for a line, then send."""

    expect: str | None = None  # expression found in what came since the last step; None: do not wait
    send: bytes | None = None


class Dialogue(msgspec.Struct, frozen=True, gc=False, tag_field="kind", tag="dialogue"):
    """A line protocol: SMTP, LMTP, FTP, POP3, IMAP, NNTP, Redis, or steps of one's own."""

    name: str  # the protocol's, for sentences; "dialogue" for own steps
    steps: tuple[Step, ...]
    tls: Tls | None = None
    starttls: int | None = None  # TLS begins after this many steps; None: at once, if there is `tls`
    port: int | None = None
    user: str | None = None  # Redis: who logs in first; None: the default user
    password: str | None = None  # credential; None: nobody logs in


class Ldap(msgspec.Struct, frozen=True, gc=False, tag_field="kind", tag="ldap"):
    """LDAP bind, and search if there is a base (RFC 4511)."""

    bind: str = ""  # DN; empty: anonymous
    password: str | None = None  # credential: see `Credential` in lvs.model
    base: str | None = None
    filter: str = "(objectClass=*)"
    scope: str = "base"  # base, one, sub
    tls: Tls | None = None
    starttls: bool = False
    port: int | None = None


class Ipp(msgspec.Struct, frozen=True, gc=False, tag_field="kind", tag="ipp"):
    """IPP Get-Printer-Attributes of a printer, or CUPS-Get-Default without one (RFC 8011)."""

    path: str = "/"  # /printers/NAME asks that printer: accepting jobs and not stopped
    host: str | None = None
    tls: Tls | None = None
    port: int | None = None


class Lpd(msgspec.Struct, frozen=True, gc=False, tag_field="kind", tag="lpd"):
    """LPD queue state, short (RFC 1179 section 5.3)."""

    queue: str
    port: int | None = None


class Postgresql(msgspec.Struct, frozen=True, gc=False, tag_field="kind", tag="postgresql"):
    """PostgreSQL's protocol 3.0: up to the request for a password, or ready for queries with one."""

    user: str = "lvsd"
    database: str = "postgres"
    password: str | None = None  # credential
    tls: Tls | None = None
    port: int | None = None


class Mysql(msgspec.Struct, frozen=True, gc=False, tag_field="kind", tag="mysql"):
    """MySQL's greeting, and a log-in if there is a user."""

    user: str | None = None
    password: str | None = None  # credential
    tls: Tls | None = None  # once the server has greeted
    port: int | None = None


class Radius(msgspec.Struct, frozen=True, gc=False, tag_field="kind", tag="radius"):
    """RADIUS Status-Server (RFC 5997), or Access-Request with a user (RFC 2865)."""

    secret: str  # credential
    user: str | None = None
    password: str | None = None  # credential
    port: int | None = None


class Sip(msgspec.Struct, frozen=True, gc=False, tag_field="kind", tag="sip"):
    """SIP OPTIONS (RFC 3261 section 11)."""

    uri: str | None = None  # None: sip:ADDRESS
    status: tuple[tuple[int, int], ...] = ((200, 299),)
    udp: bool = True
    port: int | None = None


class Icmp(msgspec.Struct, frozen=True, gc=False, tag_field="kind", tag="icmp"):
    """ICMP or ICMPv6 echo (RFC 792, RFC 4443)."""


class Neighbour(msgspec.Struct, frozen=True, gc=False, tag_field="kind", tag="neighbour"):
    """ARP or neighbour discovery on the real server's link (RFC 826, RFC 4861)."""


class File(msgspec.Struct, frozen=True, gc=False, tag_field="kind", tag="file"):
    """A file that something else writes: `up`, or `down` and why; missing is down."""

    path: str  # %h is the real server, %p its port


class Load(msgspec.Struct, frozen=True, gc=False, tag_field="kind", tag="load"):
    """Not a check but a load monitor: what the real server's weight is to follow.

    A program (`rup`, `ruptime`, rsh or ssh with `uptime`, or any), or an HTTP agent. Its answer's
    `value` is the one-minute load average behind the word "load", or, for `NN%`, minus NN / 100.
    An answer without either, and one that is not `ok`, changes nothing.
    """

    words: tuple[str, ...] = ()  # program; %h is the real server
    url: str | None = None  # http://%h:PORT/PATH


class Unchecked(msgspec.Struct, frozen=True, gc=False, tag_field="kind", tag="none"):
    """No check: always up."""


Check = (
    Connect
    | Exchange
    | Program
    | Http
    | Dns
    | Dialogue
    | Ldap
    | Ipp
    | Lpd
    | Postgresql
    | Mysql
    | Radius
    | Sip
    | Icmp
    | Neighbour
    | File
    | Load
    | Unchecked
)


class Pace(msgspec.Struct, frozen=True, gc=False):
    """How often, how patiently, and how many in a row. From the start of a probe to the next."""

    interval_s: float  # at least 0.1
    step_s: float  # limit of connecting, and of what follows, each
    limit_s: float  # limit of the whole probe
    down_interval_s: float | None = None  # between probes while it is down; None: interval_s


class Rows(msgspec.Struct, frozen=True, gc=False):
    """How many answers in a row change what is held of a real server; at least 1.

    No part of a target: each of those who want to know of it has its own.
    """

    rise: int = 1  # good ones that make it up
    fall: int = 1  # bad ones that make it down


ONCE = Rows()  # the next answer counts


class Path(msgspec.Struct, frozen=True, gc=False):
    """Probe as the traffic goes: to the VIP, by a firewall mark whose only real server is the target's."""

    vip: Address
    mark: int


class Target(msgspec.Struct, frozen=True, gc=False, cache_hash=True):
    """One probe that is made again and again, whichever virtual servers want it."""

    address: Address
    port: int  # 0: the check has none
    check: Check
    pace: Pace
    sctp: bool = False  # connect by SCTP
    path: Path | None = None
