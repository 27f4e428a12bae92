"""The one table of every type of check, `[[virtual.check]]` of lvs.toml, and of its options.

The reader, the validator, the renderer and the reference in docs/configuration.md go by it. An
option's default is that of its field in `lvs.checks`, which is None where it depends on more:
`port` is then the real server's, `udp` and `tcp` follow the virtual server's protocol.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any

import msgspec

from lvs import checks
from lvs.config.option import Kind, Option, Scope, option_of
from lvs.config.options import VIRTUAL
from lvs.config.unknown import suggestion
from lvs.probes import dialogue


class Wraps(StrEnum):
    """Whether a type of check goes within TLS."""

    NEVER = "never"
    MAY = "may"  # with tls, or starttls, or starttls_after
    ALWAYS = "always"


class Type(msgspec.Struct, frozen=True):
    """One type of check."""

    name: str
    help: str
    struct: type[Any]  # of lvs.checks
    options: dict[str, Option]  # by name, in the order in which they are written
    wraps: Wraps = Wraps.NEVER
    preset: Callable[..., checks.Dialogue] | None = None  # a Dialogue whose steps are known


class LdapScope(StrEnum):
    BASE = "base"
    ONE = "one"
    SUB = "sub"


def _option(name: str, kind: Kind, text: str, default: Any = None, **more: Any) -> Option:
    return option_of(Scope.VIRTUAL, name, kind, text, default, **more)


# RFC 9110 section 9.1; the method and the fields go into a request as they are
_METHOD = r"[A-Z]{1,20}"
_TARGET = r"/[!-~]{0,2000}"
_HOST = r"[A-Za-z0-9._:\[\]-]{1,255}"
_NAME = r"\.|(?=.{1,254}$)[!-\-/-~]{1,63}(?:\.[!-\-/-~]{1,63})*\.?"

_PORT = _option("port", Kind.PORT, "port, instead of the real server's")
_PASSWORD = _option(
    "password_from",
    Kind.CREDENTIAL,
    "where the password is: a file, or a credential of systemd",
    field="password",
)
_EXPECT = _option("expect", Kind.TEXT, "text the answer begins with; * for any")
_REGEX = _option("use_regex", Kind.SWITCH, "expect is a regular expression", False)
_STARTTLS = _option("starttls", Kind.SWITCH, "begin in plain text, and change to TLS", False)
_TLS = _option("tls", Kind.SWITCH, "within TLS", False)
# Of every check within TLS
TLS_OPTIONS: tuple[Option, ...] = (
    _option("verify", Kind.SWITCH, "the certificate must be trusted, and be of that name", True),
    _option(
        "server_name",
        Kind.WORD,
        "name that is asked for and verified; not set: the real server's address",
        field="name",
        pattern=_HOST,
        asked="a host name",
    ),
    _option("ca_file", Kind.FILE, "PEM file of authorities; not set: the system's", field="authorities"),
    _option(
        "expires_days",
        Kind.INTEGER,
        "warn if the certificate ends in fewer days",
        14,
        high=3650,
        unit="days",
    ),
)
_HTTP = (
    _option("path", Kind.WORD, "what is asked for", "/", pattern=_TARGET, asked="a path such as /health"),
    _option(
        "host",
        Kind.WORD,
        "name of the site; not set: the real server's address",
        pattern=_HOST,
        asked="a host name",
    ),
    _option("method", Kind.WORD, "method", "GET", pattern=_METHOD, asked="a method such as GET"),
    _option("status", Kind.STATUS, "statuses that are good", ((200, 399),), low=100, high=599),
    _option("expect", Kind.TEXT, "text found in the page"),
    _REGEX,
)
_LDAP = (
    _option("bind", Kind.TEXT, "distinguished name to log in as; not set: anonymous", ""),
    _PASSWORD,
    _option("base", Kind.TEXT, "where to search for an entry; not set: no search"),
    _option("filter", Kind.TEXT, "which entry", "(objectClass=*)"),
    _option("scope", Kind.CHOICE, "how far below base", LdapScope.BASE, choices=LdapScope),
)
_IPP = (
    _option(
        "path",
        Kind.WORD,
        "printer, such as /printers/NAME; /: whether the server answers",
        "/",
        pattern=_TARGET,
        asked="a path such as /printers/NAME",
    ),
    _HTTP[1],
)


def _type(name: str, struct: type[Any], text: str, *options: Option, wraps: Wraps = Wraps.NEVER) -> Type:
    within = () if wraps is Wraps.NEVER else TLS_OPTIONS
    port = () if "port" not in struct.__struct_fields__ else (_PORT,)
    return Type(name, text, struct, {one.name: one for one in (*options, *within, *port)}, wraps)


def _preset(preset: Callable[..., checks.Dialogue], text: str, *more: Option) -> Type:
    options = {one.name: one for one in (_TLS, *more, *TLS_OPTIONS, _PORT)}
    return Type(preset.__name__, text, checks.Dialogue, options, Wraps.MAY, preset)


TYPES: dict[str, Type] = {
    one.name: one
    for one in (
        _type("connect", checks.Connect, "the connection is accepted"),
        _type(
            "exchange",
            checks.Exchange,
            "a text is sent, and the answer begins as expected",
            _option("send", Kind.BYTES, "text sent"),
            msgspec.structs.replace(_EXPECT, kind=Kind.BYTES),
            _REGEX,
            _option("udp", Kind.SWITCH, "over UDP"),
        ),
        _type(
            "program",
            checks.Program,
            "a program ends with status 0, and prints what is expected",
            _option(
                "program",
                Kind.COMMAND,
                "program and its words; %h is the real server, %p its port",
                required=True,
                field="words",
            ),
            _option("expect", Kind.TEXT, "what it prints, less the last line's end"),
        ),
        _type("http", checks.Http, "a page is there", *_HTTP),
        _type("https", checks.Http, "the same within TLS", *_HTTP, wraps=Wraps.ALWAYS),
        _type(
            "dns",
            checks.Dns,
            "a question is answered",
            _option("name", Kind.WORD, "name asked for", ".", pattern=_NAME, asked="a domain name"),
            _option(
                "query",
                Kind.WORD,
                "type of record asked for",
                "SOA",
                field="type",
                pattern=r"[A-Z][A-Z0-9]{0,15}",
                asked="a type of record such as SOA",
            ),
            _option(
                "rcode",
                Kind.WORD,
                "status of the answer",
                "NOERROR",
                pattern=r"[A-Z]{1,16}",
                asked="a status such as NOERROR",
            ),
            _option("answer", Kind.WORD, "value of some record in the answer"),
            _option("tcp", Kind.SWITCH, "over TCP"),
        ),
        _preset(dialogue.smtp, "a mail server greets and takes EHLO", _STARTTLS),
        _preset(dialogue.lmtp, "a mail store greets and takes LHLO", _STARTTLS),
        _preset(dialogue.ftp, "the server greets"),
        _preset(dialogue.pop3, "the server greets", _STARTTLS),
        _preset(dialogue.imap, "the server greets", _STARTTLS),
        _preset(dialogue.nntp, "the server greets"),
        _preset(
            dialogue.redis,
            "PING is answered, if only by asking for a password; with one it lets us in",
            _option("user", Kind.TEXT, "user; not set: the default user"),
            _PASSWORD,
        ),
        _preset(dialogue.memcached, "version is answered"),
        _preset(dialogue.clamd, "PING is answered"),
        _type(
            "dialogue",
            checks.Dialogue,
            "an exchange of several steps, each an expression to wait for, a text to send, or both",
            _option("steps", Kind.STEPS, "[{expect = ..., send = ...}, ...]", required=True),
            _TLS,
            _option(
                "starttls_after",
                Kind.INTEGER,
                "TLS begins after so many steps",
                low=1,
                high=64,
                unit="",
                field="starttls",
            ),
            wraps=Wraps.MAY,
        ),
        _type(
            "ldap",
            checks.Ldap,
            "a directory lets us in, and finds an entry",
            *_LDAP,
            _STARTTLS,
            wraps=Wraps.MAY,
        ),
        _type("ldaps", checks.Ldap, "the same within TLS", *_LDAP, wraps=Wraps.ALWAYS),
        _type("ipp", checks.Ipp, "a printer takes jobs and is not stopped", *_IPP),
        _type("ipps", checks.Ipp, "the same within TLS", *_IPP, wraps=Wraps.ALWAYS),
        _type(
            "lpd",
            checks.Lpd,
            "a printer's queue can be listed",
            _option(
                "queue",
                Kind.WORD,
                "its name",
                required=True,
                pattern=r"[!-~]{1,255}",
                asked="the name of a queue",
            ),
        ),
        _type(
            "postgresql",
            checks.Postgresql,
            "the database asks for a password, or with one is ready for queries",
            _option("user", Kind.TEXT, "user", "lvsd"),
            _option("database", Kind.TEXT, "database", "postgres"),
            _PASSWORD,
            _TLS,
            wraps=Wraps.MAY,
        ),
        _type(
            "mysql",
            checks.Mysql,
            "the database greets, and with a user lets us in",
            _option("user", Kind.TEXT, "user; not set: no log-in"),
            _PASSWORD,
            _TLS,
            wraps=Wraps.MAY,
        ),
        _type(
            "radius",
            checks.Radius,
            "the server answers Status-Server, or with a user lets us in",
            msgspec.structs.replace(
                _PASSWORD,
                name="secret_from",
                help="where the shared secret is: a file, or a credential of systemd",
                required=True,
                field="secret",
            ),
            _option("user", Kind.TEXT, "user; not set: Status-Server"),
            _PASSWORD,
        ),
        _type(
            "sip",
            checks.Sip,
            "OPTIONS is answered",
            _option(
                "uri",
                Kind.WORD,
                "who is asked; not set: sip:ADDRESS",
                pattern=r"sips?:[!-~]{1,250}",
                asked="a URI such as sip:example.org",
            ),
            _option("status", Kind.STATUS, "statuses that are good", ((200, 299),), low=100, high=699),
            _option("udp", Kind.SWITCH, "over UDP"),
        ),
        _type("icmp", checks.Icmp, "a ping is answered"),
        _type("neighbour", checks.Neighbour, "ARP, or neighbour discovery, is answered on the link"),
        _type(
            "file",
            checks.File,
            "a file says so: up, or down and why",
            _option(
                "path",
                Kind.WORD,
                "absolute path; %h is the real server, %p its port",
                required=True,
                pattern=r"/.+",
                asked="an absolute path",
            ),
        ),
        _type("none", checks.Unchecked, "no check: always up"),
    )
}


def unknown_type(name: str) -> str:
    """Say why `name` is no type."""
    return f'unknown type "{name[:40]}"' + (suggestion(name, list(TYPES)) or "; one of " + ", ".join(TYPES))


_SECRETS = {"password": "password_from", "secret": "secret_from", "passwd": "password_from"}


def unknown_option(name: str, check: Type) -> str:
    """Say why `name` is no option of this type."""
    place = _SECRETS.get(name)
    if place is not None and place in check.options:
        return f'unknown option; secrets are never in this file: {place} = "/etc/lvs/..." says where it is'
    close = suggestion(name, list(check.options))
    if close:
        return "unknown option" + close
    homes = [one.name for one in TYPES.values() if name in one.options]
    if homes:
        return f"unknown option of type {check.name}; known to {', '.join(homes)}"
    if name in VIRTUAL:
        return "unknown option here; it belongs in [[virtual]]"
    return f"unknown option; type {check.name} has " + (", ".join(check.options) or "none")
