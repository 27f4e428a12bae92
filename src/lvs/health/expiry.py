"""Certificates that are about to expire: told when a check first sees it, and when there is another one.

A check within TLS says with its good answers how many days are left, once these are few (`Answer.value`);
the engine tells an answer with another number, so there is one a day.
"""

from __future__ import annotations

import msgspec

from lvs import events
from lvs.checks import Answer, Target
from lvs.events import Event
from lvs.health.verdict import Verdict
from lvs.model import VirtualKey

# Of whom it is told: one check of one real server in one virtual server.
Expiring = frozenset[tuple[VirtualKey, Target]]
Name = tuple[str, str, str]  # virtual server, real server, its address and port


def concerns(expiring: Expiring, key: VirtualKey, target: Target, answer: Answer, after: Verdict) -> bool:
    """Whether an answer of a real server that is up says something about its certificate's end."""
    if not (answer.ok and after.up):
        return False
    return answer.value is not None or (bool(expiring) and (key, target) in expiring)


def reworded(after: Verdict, answer: Answer) -> Verdict:
    """With the sentence as it is now, for `lvsd status`; the identical object if it is the same."""
    return after if after.text == answer.text else msgspec.structs.replace(after, text=answer.text)


def noted(
    expiring: Expiring, key: VirtualKey, target: Target, answer: Answer, name: Name
) -> tuple[Expiring, tuple[Event, ...]]:
    """With an answer that concerns it, and what is to be told."""
    one = (key, target)
    if answer.value is None:
        return expiring - {one}, (events.CertificateRenewed(*name, answer.text),)
    if one in expiring:
        return expiring, ()
    return expiring | {one}, (events.CertificateExpires(*name, int(answer.value), answer.text),)
