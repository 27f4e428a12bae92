"""Rise and fall: many answers of one check folded into whether its real server is up.

A bad answer is a value with a sentence, and one is not yet a verdict: `fall` bad ones in a row
make a real server down, `rise` good ones bring it back. nanny is the case of fall 1 and rise
reentry / timeout (lvs.cf section 4.6), whose first answer is believed at once.
"""

from __future__ import annotations

import msgspec

from lvs.checks import Answer, Reason, Rows


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """What is held of a real server by one check."""

    up: bool
    since: float  # monotonic seconds
    reason: Reason
    text: str
    against: int = 0  # answers in a row that say otherwise
    fresh: bool = False  # a guess: the next answer is believed at once


def guess(now: float, reason: Reason, text: str, *, up: bool) -> Verdict:
    """What is held before there is any answer."""
    return Verdict(up, now, reason, text, fresh=True)


def fold(before: Verdict, answer: Answer, rows: Rows, now: float) -> Verdict:
    """Fold one answer into a verdict; the identical object if nothing changes.

    A fault of this director is no news of the real server. But one that nothing is known of, and that was
    not to be taken as up, stays down for that reason: nobody waits for a first answer any more.
    """
    if answer.reason is Reason.LOCAL_FAULT:
        if before.reason is Reason.NOT_CHECKED_YET and not before.up:
            return Verdict(up=False, since=before.since, reason=answer.reason, text=answer.text, fresh=True)
        return before
    if before.fresh:
        since = before.since if before.up == answer.ok and before.reason is Reason.ADOPTED else now
        return Verdict(answer.ok, since, answer.reason, answer.text)
    if answer.ok == before.up:
        return msgspec.structs.replace(before, against=0) if before.against else before
    against = before.against + 1
    if against < (rows.fall if before.up else rows.rise):
        return msgspec.structs.replace(before, against=against)
    return Verdict(answer.ok, now, answer.reason, answer.text)
