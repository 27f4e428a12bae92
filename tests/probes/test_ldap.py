from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvs.checks import Answer, Ldap, Reason
from lvs.probes import ber, ldap
from probes.played import JUNK, endures, mangled, play, target, verdicts

DN, BASE = "cn=check", "dc=example"
SECRETS = {"directory": b"\xffsecret"}
BIND_ONLY = Ldap(bind=DN, password="directory")
SEARCH = Ldap(base=BASE)


def of(check: Ldap) -> ldap.LdapTalk:
    return ldap.talk(check, target(check), SECRETS)


def result(tag: int, code: int, *, number: int, said: str = "", more: bytes = b"") -> bytes:
    content = ber.integer(code, ber.ENUMERATED), ber.encode(4), ber.encode(4, said.encode()), more
    return ldap.message(number, tag, *content)


BOUND = result(0x61, 0, number=1)
ENTRY = ldap.message(2, 0x64, ber.encode(4, BASE.encode()), ber.encode(0x30))
REFERENCE = ldap.message(2, 0x73, ber.encode(4, b"ldap://elsewhere"))
INTERMEDIATE = ldap.message(2, 0x79)
DONE = result(0x65, 0, number=2)


def test_anonymous_bind_is_what_everyone_sends() -> None:
    # ldapwhoami and every other client of libldap; RFC 4511 section 4.2
    assert of(SEARCH).begin().hex() == "300c020101600702010304008000"


def test_bind_carries_the_credential() -> None:
    assert (
        of(BIND_ONLY).begin() == bytes.fromhex("301b0201016016020103") + b"\x04\x08cn=check\x80\x07\xffsecret"
    )


def test_search_asks_for_one_entry_and_nothing_of_it() -> None:
    sent = play(of(Ldap(base="", scope="sub", filter="(a=x)")), [BOUND], ends=False)
    assert isinstance(sent, list)
    assert sent[1] == bytes.fromhex(
        "3025020102"  # LDAPMessage, 2
        "6320"  # SearchRequest
        "0400 0a0102 0a0100"  # base, scope, aliases
        "020101 020100 010100"  # one entry, however long, with values
        "a306040161040178"
        "30050403312e31"  # "1.1"
    )


@pytest.mark.parametrize(
    ("check", "answers", "ok", "reason", "text"),
    [
        (Ldap(), [BOUND], True, Reason.ANSWERED, "anonymous bind: success"),
        (BIND_ONLY, [BOUND], True, Reason.ANSWERED, "bind as cn=check: success"),
        (
            BIND_ONLY,
            [result(0x61, 49, number=1)],
            False,
            Reason.DENIED,
            "bind as cn=check: invalidCredentials (49)",
        ),
        (
            Ldap(),
            [result(0x61, 48, number=1, said="anonymous bind disallowed")],
            False,
            Reason.DENIED,
            'anonymous bind: inappropriateAuthentication (48), "anonymous bind disallowed"',
        ),
        (
            Ldap(),
            [result(0x61, 52, number=1)],
            False,
            Reason.WRONG_ANSWER,
            "anonymous bind: unavailable (52)",
        ),
        (
            Ldap(),
            [result(0x61, 99, number=1)],
            False,
            Reason.WRONG_ANSWER,
            "anonymous bind: result code (99)",
        ),
        (SEARCH, [BOUND, ENTRY + DONE], True, Reason.ANSWERED, "search of dc=example: an entry is found"),
        (
            SEARCH,
            [BOUND, REFERENCE + INTERMEDIATE + ENTRY + result(0x65, 4, number=2)],
            True,
            Reason.ANSWERED,
            "search of dc=example: an entry is found",
        ),
        (SEARCH, [BOUND, DONE], False, Reason.WRONG_ANSWER, "search of dc=example: no entry matches"),
        (
            SEARCH,
            [BOUND, REFERENCE + DONE],
            False,
            Reason.WRONG_ANSWER,
            "search of dc=example: no entry matches",
        ),
        (
            SEARCH,
            [BOUND, result(0x65, 32, number=2)],
            False,
            Reason.WRONG_ANSWER,
            "search of dc=example: noSuchObject (32)",
        ),
        (
            SEARCH,
            [BOUND, ENTRY + result(0x65, 80, number=2, said="a\nb")],
            False,
            Reason.WRONG_ANSWER,
            'search of dc=example: other (80), "a.b"',
        ),
        (
            SEARCH,
            [BOUND, result(0x78, 52, number=0, more=ber.encode(0x8A, ldap.DISCONNECTION))],
            False,
            Reason.WRONG_ANSWER,
            "search of dc=example: the server disconnects: unavailable (52)",
        ),
        (SEARCH, [], False, Reason.CLOSED, "closed before an answer to anonymous bind"),
        (SEARCH, [BOUND, ENTRY], False, Reason.CLOSED, "closed before an answer to search of dc=example"),
        (Ldap(), [BOUND[:-1]], False, Reason.CLOSED, "closed before an answer to anonymous bind"),
        (
            Ldap(),
            [result(0x61, 0, number=7)],
            False,
            Reason.GARBLED,
            "anonymous bind: an answer to something else (tag 0x61)",
        ),
        (Ldap(), [DONE], False, Reason.GARBLED, "anonymous bind: an answer to something else (tag 0x65)"),
        (
            Ldap(),
            [ldap.message(1, 0x61, b"\x04\x00")],
            False,
            Reason.GARBLED,
            "anonymous bind: the answer is no LDAP result",
        ),
        (
            Ldap(),
            [ldap.message(0, 0x78)],
            False,
            Reason.GARBLED,
            "anonymous bind: the answer is no LDAP result",
        ),
        (Ldap(), [b"0\x02\x04\x00"], False, Reason.GARBLED, 'not LDAP: "0..."'),
        (Ldap(), [b"0\x84\x7f\xff\xff\xff"], False, Reason.TOO_LONG, "a message of 2147483653 bytes"),
    ],
)
def test_verdicts(check: Ldap, answers: list[bytes], ok: bool, reason: Reason, text: str) -> None:
    verdict = verdicts(of(check), answers)
    assert (verdict.ok, verdict.reason, verdict.text) == (ok, reason, text)


@pytest.mark.parametrize("said", [b"HTTP/1.1 400 Bad Request", b"\x15\x03\x01\x00\x02", b"0\x80"])
def test_other_protocols(said: bytes) -> None:
    verdict = play(of(Ldap()), [said])
    assert isinstance(verdict, Answer)
    assert verdict.reason is Reason.GARBLED


STARTTLS = Ldap(bind=DN, password="directory", starttls=True)
STARTED = result(0x78, 0, number=3)


def test_starttls_comes_first() -> None:
    talk = of(STARTTLS)
    assert talk.begin() == bytes.fromhex("301d02010377188016") + b"1.3.6.1.4.1.1466.20037"
    assert not talk.secure
    assert talk.silent() == "an answer to StartTLS"
    assert talk.received(STARTED) == of(BIND_ONLY).begin()  # for within TLS
    assert talk.secure
    assert talk.received(BOUND) == of(BIND_ONLY).received(BOUND)
    talk.begin()
    assert not talk.secure


@pytest.mark.parametrize(
    ("said", "reason", "text"),
    [
        (
            result(0x78, 2, number=3, said="unsupported extended operation"),
            Reason.TLS,
            'StartTLS: protocolError (2), "unsupported extended operation"',
        ),
        (STARTED + BOUND, Reason.GARBLED, "StartTLS: the answer is no LDAP result"),  # in clear
        (BOUND, Reason.GARBLED, "StartTLS: the answer is no LDAP result"),
        (b"", Reason.CLOSED, "closed before an answer to StartTLS"),
    ],
)
def test_starttls_refused(said: bytes, reason: Reason, text: str) -> None:
    verdict = play(of(STARTTLS), [said])
    assert isinstance(verdict, Answer)
    assert (verdict.ok, verdict.reason, verdict.text) == (False, reason, text)


def test_each_probe_begins_anew() -> None:
    talk = of(SEARCH)
    first = play(talk, [BOUND, ENTRY + DONE])
    assert play(talk, [BOUND, ENTRY[:5]]) != first
    assert play(talk, [BOUND, ENTRY + DONE]) == first
    assert play(talk, [BOUND, DONE]) != first  # its entry was another's


def test_it_takes_its_leave() -> None:
    assert of(SEARCH).farewell().hex() == "30050201044200"


def test_a_credential_that_is_missing_is_the_callers_fault() -> None:
    with pytest.raises(LookupError, match="credential directory is not there"):
        ldap.talk(BIND_ONLY, target(BIND_ONLY), {})


@given(JUNK)
def test_junk(junk: list[bytes]) -> None:
    endures(of(SEARCH), junk)
    endures(of(SEARCH), junk, [BOUND])


@given(mangled(BOUND + ENTRY + DONE), st.integers(0, 60))
def test_mangled(answer: bytes, cut: int) -> None:
    endures(of(SEARCH), [answer[:cut], answer[cut:]])
    endures(of(SEARCH), [answer[len(BOUND) :]], [BOUND])
