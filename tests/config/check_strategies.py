"""Random checks, of every type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from lvs.checks import (
    Check,
    Connect,
    Dialogue,
    Dns,
    Exchange,
    File,
    Http,
    Icmp,
    Ipp,
    Ldap,
    Lpd,
    Mysql,
    Neighbour,
    Postgresql,
    Program,
    Radius,
    Sip,
    Step,
    Tls,
    Unchecked,
)
from lvs.probes import dialogue

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
MAYBE = st.none() | TEXT
BYTES = TEXT.map(str.encode)
WORD = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=8)
PORTS = st.none() | st.integers(1, 65535)
HOSTS = st.none() | st.sampled_from(["example.org", "[2001:db8::1]:80", "a"])
PATHS = WORD.map(lambda word: "/" + word)
EXPRESSIONS = st.none() | st.sampled_from(["a|b", "^ok$", "[0-9]+"])
SECRETS = st.sampled_from(["/etc/lvs/secret", "ldap.password", "/a b"])
NAMES = st.sampled_from([".", "example.org", "_sip._udp.example.org.", "a"])


def statuses(low: int, high: int) -> st.SearchStrategy[tuple[tuple[int, int], ...]]:
    codes = st.tuples(st.integers(low, high), st.integers(low, high)).map(lambda two: (min(two), max(two)))
    return st.lists(codes, min_size=1, max_size=3).map(tuple)


TLS = st.builds(Tls, st.just(True), HOSTS, st.none() | PATHS, st.integers(0, 3650)) | st.builds(
    Tls, st.just(False), HOSTS, st.none(), st.integers(0, 3650)
)


@st.composite
def expected(draw: Any) -> dict[str, Any]:
    regex = draw(st.booleans())
    return {"use_regex": regex, "expect": draw(EXPRESSIONS if regex else MAYBE)}


@st.composite
def https(draw: Any) -> Http:
    fields = draw(expected())
    return Http(
        draw(PATHS),
        draw(HOSTS),
        draw(st.sampled_from(["GET", "HEAD"] if fields["expect"] is None else ["GET"])),
        draw(statuses(100, 599)),
        **fields,
        tls=draw(st.none() | TLS),
        port=draw(PORTS),
    )


@st.composite
def exchanges(draw: Any) -> Exchange:
    fields = draw(expected())
    if fields["expect"] is not None:
        fields["expect"] = fields["expect"].encode()
    return Exchange(draw(st.none() | BYTES), **fields, udp=draw(st.booleans()), port=draw(PORTS))


@st.composite
def ldaps(draw: Any) -> Ldap:
    bind = draw(TEXT)
    tls = draw(st.none() | TLS)
    return Ldap(
        bind,
        draw(SECRETS) if bind else None,
        draw(MAYBE),
        draw(st.sampled_from(["(objectClass=*)", "(&(uid=x)(!(a=b)))"])),
        draw(st.sampled_from(["base", "one", "sub"])),
        tls,
        tls is not None and draw(st.booleans()),
        draw(PORTS),
    )


@st.composite
def dialogues(draw: Any) -> Dialogue:
    step = st.tuples(EXPRESSIONS, st.none() | BYTES).filter(lambda two: two != (None, None))
    steps = draw(st.lists(step.map(lambda two: Step(*two)), min_size=1, max_size=4).map(tuple))
    tls = draw(st.none() | TLS)
    after = draw(st.none() | st.integers(1, len(steps) - 1)) if tls and len(steps) > 1 else None
    return Dialogue("dialogue", steps, tls, after, draw(PORTS))


@st.composite
def mysqls(draw: Any) -> Mysql:
    user = draw(MAYBE)
    return Mysql(
        user, None if user is None else draw(st.none() | SECRETS), draw(st.none() | TLS), draw(PORTS)
    )


@st.composite
def redises(draw: Any) -> Dialogue:
    password = draw(st.none() | SECRETS)
    user = None if password is None else draw(MAYBE)
    return dialogue.redis(draw(st.none() | TLS), draw(PORTS), user=user, password=password)


@st.composite
def radiuses(draw: Any) -> Radius:
    user = draw(MAYBE)
    return Radius(draw(SECRETS), user, None if user is None else draw(SECRETS), draw(PORTS))


def preset(make: Callable[..., Dialogue], **more: bool) -> st.SearchStrategy[Dialogue]:
    tls = TLS if more else st.none() | TLS
    return st.builds(lambda tls, port: make(tls, port, **more), tls, PORTS)


CHECKS: st.SearchStrategy[Check] = st.one_of(
    st.builds(Connect, PORTS),
    exchanges(),
    st.builds(Program, st.tuples(WORD, TEXT.filter(str.isprintable)), MAYBE, PORTS),
    https(),
    st.builds(
        Dns, NAMES, st.sampled_from(["A", "SOA"]), st.just("NXDOMAIN"), st.none(), st.booleans(), PORTS
    ),
    st.builds(Dns, NAMES, st.just("SOA"), st.just("NOERROR"), st.none() | WORD, st.booleans(), PORTS),
    st.builds(
        Dns,
        NAMES,
        st.just("A"),
        st.just("NOERROR"),
        st.sampled_from(["192.0.2.1", "a.example."]),
        st.booleans(),
        PORTS,
    ),
    dialogues(),
    preset(dialogue.smtp),
    preset(dialogue.imap, starttls=True),
    preset(dialogue.lmtp),
    preset(dialogue.clamd),
    redises(),
    ldaps(),
    st.builds(Ipp, PATHS, HOSTS, st.none() | TLS, PORTS),
    st.builds(Lpd, WORD, PORTS),
    st.builds(Postgresql, TEXT, TEXT, st.none() | SECRETS, st.none() | TLS, PORTS),
    mysqls(),
    radiuses(),
    st.builds(Sip, st.none() | st.just("sip:a@example.org"), statuses(100, 699), st.booleans(), PORTS),
    st.just(Icmp()),
    st.just(Neighbour()),
    st.builds(File, PATHS),
    st.just(Unchecked()),
)
