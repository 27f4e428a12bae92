"""Which talk a check is. Protocols are imported when the first check of theirs is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, assert_never

from lvs.checks import (
    Address,
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
    Load,
    Lpd,
    Mysql,
    Neighbour,
    Postgresql,
    Program,
    Radius,
    Sip,
    Target,
    Tls,
    Unchecked,
)
from lvs.probes.talk import Talk, credential

Clock = Callable[[], float]  # seconds since the epoch: certificates have dates


def talk_for(target: Target, secrets: Mapping[str, bytes], clock: Clock) -> Talk | None:
    """The talk of a target, or None if its check needs none or is no talk at all.

    Errors: ValueError, OSError if something it needs is not there (any more).
    """
    check = target.check
    match check:
        case Connect() | Program() | Icmp() | Neighbour() | File() | Unchecked():
            return None
        case Exchange():
            from lvs.probes import exchange

            return None if check.send is None and check.expect is None else exchange.talk(check)
        case Http():
            from lvs.probes import http

            return _wrapped(
                http.HttpTalk(check, target.address, target.port), check.tls, target.address, clock
            )
        case Dialogue():
            return _dialogue(check, target.address, secrets, clock)
        case Load():
            return None if check.url is None else _agent(check, target.address)
        case Dns() | Sip():
            return _rest(check, target)
        case Ldap() | Ipp() | Lpd() | Postgresql() | Mysql() | Radius():
            return _with_secrets(check, target, secrets, clock)
        case _:
            assert_never(check)


def credentials(check: Check) -> tuple[str, ...]:
    """Names of the credentials that a check needs."""
    names = [getattr(check, field, None) for field in ("secret", "password")]
    return tuple([name for name in names if name is not None])


def _wrapped(talk: Talk, tls: Tls | None, address: Address, clock: Clock) -> Talk:
    if tls is None:
        return talk
    from lvs.probes.tls import TlsTalk

    return TlsTalk(talk, tls, address, clock)


class Upgrading(Talk, Protocol):
    """A talk that asks for TLS and says when it begins."""

    secure: bool


def _upgraded(talk: Upgrading, tls: Tls, address: Address, clock: Clock) -> Talk:
    from lvs.probes.tls import TlsTalk

    return TlsTalk(talk, tls, address, clock, lambda: talk.secure)


def _dialogue(check: Dialogue, address: Address, secrets: Mapping[str, bytes], clock: Clock) -> Talk:
    from lvs.probes.dialogue import DialogueTalk

    talk = DialogueTalk(check, credential(secrets, check.password))
    after = check.starttls
    if after is None or check.tls is None:
        return _wrapped(talk, check.tls, address, clock)
    from lvs.probes.tls import TlsTalk

    return TlsTalk(talk, check.tls, address, clock, lambda: talk.step >= after)


def _agent(check: Load, address: Address) -> Talk:
    from lvs.probes.load import Agent

    return Agent(check, address)


def _rest(check: Dns | Sip, target: Target) -> Talk:
    if isinstance(check, Dns):
        from lvs.probes import dns

        return dns.talk(check, target.address, target.port)
    from lvs.probes import sip

    return sip.talk(check, target.address, target.port)


def _with_secrets(
    check: Ldap | Ipp | Lpd | Postgresql | Mysql | Radius,
    target: Target,
    secrets: Mapping[str, bytes],
    clock: Clock,
) -> Talk:
    match check:
        case Ldap():
            from lvs.probes import ldap

            asking = ldap.talk(check, target, secrets)
            if check.starttls:
                return _upgraded(asking, check.tls or Tls(), target.address, clock)
            return _wrapped(asking, check.tls, target.address, clock)
        case Ipp():
            from lvs.probes import ipp

            return _wrapped(ipp.talk(check, target, secrets), check.tls, target.address, clock)
        case Lpd():
            from lvs.probes import lpd

            return lpd.talk(check, target, secrets)
        case Postgresql():
            from lvs.probes import postgresql

            asker = postgresql.talk(check, target, secrets)
            if check.tls is None:
                return asker
            return _upgraded(asker, check.tls, target.address, clock)
        case Mysql():
            from lvs.probes import mysql

            client = mysql.talk(check, target, secrets)
            return client if check.tls is None else _upgraded(client, check.tls, target.address, clock)
        case Radius():
            from lvs.probes import radius

            return radius.talk(check, target, secrets)
        case _:
            assert_never(check)
