"""Certificates that are about to expire: told once, shown as long as it is so, and told when it is over."""

from __future__ import annotations

import msgspec

from health.warded import PLAIN, servers
from lvs.checks import Answer, Http, Reason, Target, Tls
from lvs.events import Event
from lvs.health import ward
from lvs.health.ward import Health
from lvs.model import VirtualServer
from strategies import config

TLS = msgspec.structs.replace(PLAIN, checks=(Http(tls=Tls()),), rise=2)
WEB, OTHER = servers(2, 0, checking=TLS), servers(4, 1, checking=TLS)
GOOD = Answer(ok=True, reason=Reason.ANSWERED, text="200 OK")
BAD = Answer(ok=False, reason=Reason.TIMED_OUT, text="timed out")


def ending(days: int) -> Answer:
    text = f"200 OK; certificate expires on 2026-03-01, in {days} days"
    return Answer(ok=True, reason=Reason.ANSWERED, text=text, value=float(days))


def asked(*built: VirtualServer) -> tuple[Health, Target]:
    health, change = ward.configured(Health(), config(*built), 0.0)
    return health, change.follow[0]


def told_of(health: Health, target: Target, *answers: Answer) -> tuple[Health, list[str]]:
    told: list[Event] = []
    for answer in answers:
        health, change = ward.answered(health, [(target, answer)], 1.0)
        told += change.told
    return health, [f"{type(event).__name__}: {event.text()}" for event in told]


def words(health: Health) -> str:
    [roster] = health.rosters.values()
    return roster.members[0].verdicts[0].text


def names(told: list[str]) -> list[str]:
    return [one.partition(":")[0] for one in told if not one.startswith("Quorum")]


def test_it_is_told_when_it_begins_and_when_it_is_over() -> None:
    health, target = asked(WEB)
    health, _ = told_of(health, target, GOOD)
    health, [told] = told_of(health, target, ending(13), ending(13), ending(12))
    assert told == f"CertificateExpires: real server r1 of v2 (10.0.0.1:80): {ending(13).text}"
    assert words(health) == ending(12).text
    health, [told] = told_of(health, target, GOOD, GOOD)
    who = "real server r1 of v2 (10.0.0.1:80)"
    assert told == f"CertificateRenewed: the certificate of {who} no longer expires soon: 200 OK"
    assert words(health) == "200 OK"
    assert health.expiring == frozenset()


def test_one_that_is_down_is_down_for_another_reason() -> None:
    """It is told with what makes it serve again, and is no news after a short failure."""
    health, target = asked(WEB)
    health, told = told_of(health, target, BAD, ending(3))
    assert names(told) == ["RealServerDown"]
    health, told = told_of(health, target, ending(3))
    assert names(told) == ["CertificateExpires", "RealServerUp"]
    health, told = told_of(health, target, BAD, ending(3), ending(3))
    assert names(told) == ["RealServerDown", "RealServerUp"]
    health, told = told_of(health, target, BAD, GOOD, GOOD)
    assert names(told) == ["RealServerDown", "CertificateRenewed", "RealServerUp"]


def test_what_is_asked_no_more_is_forgotten() -> None:
    health, target = asked(WEB, OTHER)
    health, _ = told_of(health, target, ending(3))
    health, _ = ward.configured(health, config(WEB), 2.0)
    assert len(health.expiring) == 1
    health, _ = ward.configured(health, config(OTHER), 3.0)
    assert health.expiring == frozenset()
