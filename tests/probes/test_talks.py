"""Which talk a check is."""

from __future__ import annotations

import subprocess
import sys
from typing import get_args

import pytest

from lvs import checks
from lvs.checks import Check, Step, Tls
from lvs.probes import dialogue, talks
from lvs.probes.talk import Talk
from probes.played import target

SECRETS = {"secret": b"s", "password": b"p"}
OWN = checks.Dialogue("dialogue", (Step("^220"),))

# Every kind of check, and the class that talks for it; within TLS, of what is within
KINDS: list[tuple[Check, str | None]] = [
    (checks.Connect(), None),
    (checks.Exchange(), None),
    (checks.Exchange(send=b"a"), "Sender"),
    (checks.Exchange(expect=b"a"), "Prefix"),
    (checks.Exchange(expect=b"a", use_regex=True), "Search"),
    (checks.Program(words=("true",)), None),
    (checks.Http(), "HttpTalk"),
    (checks.Http(tls=Tls()), "TlsTalk"),
    (checks.Dns(), "DnsTalk"),
    (OWN, "DialogueTalk"),
    (dialogue.imap(Tls()), "TlsTalk"),
    (dialogue.smtp(starttls=True), "TlsTalk"),
    (checks.Ldap(), "LdapTalk"),
    (checks.Ldap(password="password", tls=Tls()), "TlsTalk"),
    (checks.Ldap(starttls=True), "TlsTalk"),
    (checks.Ipp(), "IppTalk"),
    (checks.Ipp(tls=Tls()), "TlsTalk"),
    (checks.Lpd(queue="office"), "LpdTalk"),
    (checks.Postgresql(password="password"), "PostgresqlTalk"),
    (checks.Postgresql(tls=Tls()), "TlsTalk"),
    (checks.Mysql(user="u", password="password"), "MysqlTalk"),
    (checks.Mysql(tls=checks.Tls()), "TlsTalk"),
    (dialogue.redis(password="password"), "DialogueTalk"),
    (checks.Radius(secret="secret"), "RadiusTalk"),
    (checks.Sip(), "SipTalk"),
    (checks.Icmp(), None),
    (checks.Neighbour(), None),
    (checks.File(path="/run/up"), None),
    (checks.Load(words=("uptime",)), None),
    (checks.Load(url="http://%h:8080/load"), "Agent"),
    (checks.Unchecked(), None),
]


def talk_for(check: Check, port: int = 25) -> Talk | None:
    return talks.talk_for(target(check, port), SECRETS, lambda: 1_800_000_000.0)


@pytest.mark.parametrize(("check", "kind"), KINDS)
def test_kinds(check: Check, kind: str | None) -> None:
    talk = talk_for(check)
    assert (None if talk is None else type(talk).__name__) == kind


def test_no_kind_is_forgotten() -> None:
    assert {type(check) for check, _ in KINDS} == set(get_args(Check))


@pytest.mark.parametrize(("check", "kind"), [(check, kind) for check, kind in KINDS if kind])
def test_what_is_waited_for_is_a_thing(check: Check, kind: str) -> None:
    """It stands behind "timed out after 2 s, waiting for"."""
    talk = talk_for(check)
    assert talk is not None
    assert isinstance(talk.begin(), bytes)
    waiting = talk.silent()
    assert waiting
    assert waiting.isprintable()
    assert not waiting.startswith(("no ", "only ", "waiting"))
    assert len(waiting) < 200
    assert not talk.ended().ok or getattr(talk, "write_only", False)


@pytest.mark.parametrize(("check", "kind"), [(check, kind) for check, kind in KINDS if kind])
def test_a_probe_forgets_the_last_one(check: Check, kind: str) -> None:
    talk = talk_for(check)
    assert talk is not None
    talk.begin()
    first = talk.ended()
    talk.begin()
    talk.received(b"\x30\0")
    talk.begin()
    assert talk.ended() == first


def test_own_steps_begin_tls_where_they_say_so() -> None:
    steps = (Step("^220", b"STARTTLS\r\n"), Step("^220"), Step("^250"))
    talk = talk_for(checks.Dialogue("dialogue", steps, Tls(), 2))
    assert talk is not None
    assert talk.begin() == b""
    assert talk.received(b"220 mx\r\n") == b"STARTTLS\r\n"
    hello = talk.received(b"220 go\r\n")
    assert isinstance(hello, bytes)
    assert hello[:3] == b"\x16\x03\x01"  # a record of a handshake


def test_the_port_is_the_targets() -> None:
    talk = talk_for(checks.Http(), 8080)
    assert talk is not None
    assert b"\r\nHost: 192.0.2.1:8080\r\n" in talk.begin()


def test_credentials() -> None:
    assert talks.credentials(checks.Radius(secret="a", password="b")) == ("a", "b")
    assert talks.credentials(checks.Ldap()) == ()
    assert talks.credentials(checks.Http()) == ()
    with pytest.raises(LookupError, match="credential other is not there"):
        talk_for(checks.Radius(secret="other"))


def test_files_that_are_not_there() -> None:
    with pytest.raises(OSError):
        talk_for(checks.Http(tls=Tls(authorities="/nowhere/ca.pem")))


def test_protocols_are_imported_by_those_who_ask() -> None:
    """A director that only connects keeps ssl, RE2 and the rest out of its memory."""
    code = """
import sys
from lvs.probes import talks
assert not {"ssl", "re2"} & set(sys.modules)
print(*[name for name in sys.modules if name.startswith("lvs.probes.")])
"""
    said = subprocess.run((sys.executable, "-c", code), capture_output=True, check=True, text=True).stdout
    assert set(said.split()) == {"lvs.probes.talk", "lvs.probes.talks"}
