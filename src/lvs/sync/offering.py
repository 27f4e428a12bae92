"""What this director offered: the other one's answers, until it runs on both or on neither."""

from __future__ import annotations

import msgspec

from lvs import events
from lvs.sync.messages import Abort, Answer, Commit, Done, Refuse, Tell
from lvs.sync.state import COMMIT_S, RETRY_S, RUN_S, Leading, Phase
from lvs.sync.turn import Turn, joined
from lvs.sync.version import Version


def withdraw(turn: Turn, reason: str) -> None:
    """Give up what was only offered."""
    leading = turn.state.leading
    assert leading is not None
    turn.set(leading=None)
    turn.send(Abort(leading.id))
    if leading.fresh:
        turn.do(Refuse(leading.text.version, (reason,)))


def answered(turn: Turn, answer: Answer) -> None:
    """The other one's word on what was offered."""
    leading = turn.state.leading
    if leading is None or leading.id != answer.id or leading.phase is not Phase.OFFERED:
        return
    if answer.problems:
        failed(turn, leading, answer.problems, conflict=answer.conflict)
    elif turn.state.active or not leading.fresh:
        commit(turn, leading)
    else:  # the standby first, and that is this one
        phase = msgspec.structs.replace(leading, phase=Phase.RUNNING, until=turn.now + RUN_S)
        turn.set(leading=phase)
        turn.run(leading.text)


def ran(turn: Turn, version: Version, missing: str) -> None:
    """The kernel of this standby has it, but for what is `missing`: it is the active's turn, or nobody's."""
    leading = turn.state.leading
    if leading is None or leading.phase is not Phase.RUNNING or leading.text.version != version:
        return
    if missing and leading.before is not None and not leading.forced:
        turn.send(Abort(leading.id))
        turn.do(Tell(events.ConfigTakenBack(version.serial, version.digest, missing)))
        _runs_on_neither(turn, leading, (missing,))
        turn.stand()
        turn.consider()
        return
    commit(turn, leading)


def commit(turn: Turn, leading: Leading) -> None:
    """It is to run there, too."""
    phase = msgspec.structs.replace(leading, phase=Phase.COMMITTED, until=turn.now + COMMIT_S)
    turn.set(leading=phase)
    turn.send(Commit(leading.id))


def done(turn: Turn, done: Done) -> None:
    """It runs there, or does not after all."""
    leading = turn.state.leading
    if leading is None or leading.id != done.id or leading.phase is not Phase.COMMITTED:
        return
    if done.fault:
        failed(turn, leading, (done.fault,), conflict=done.conflict)
        return
    version = leading.text.version
    turn.set(leading=None)
    if turn.state.version != version:
        turn.run(leading.text)
    if leading.forced:
        turn.set(conflict="")
        turn.do(Tell(events.ConflictResolved(version.serial, version.digest)))
    turn.do(Tell(events.ConfigPushed(version.serial, version.digest)))
    if turn.state.theirs is not None:
        turn.set(theirs=msgspec.structs.replace(turn.state.theirs, mine=version))
    turn.stand()
    turn.consider()


def failed(turn: Turn, leading: Leading, reasons: tuple[str, ...], *, conflict: bool) -> None:
    """The other does not take it: so it does not run here either, if it did not before."""
    version, theirs = leading.text.version, turn.state.theirs
    if leading.fresh:
        _runs_on_neither(turn, leading, tuple(f"the other director: {reason}" for reason in reasons))
    else:
        turn.set(leading=None, retry_at=turn.now + RETRY_S)
    if conflict and theirs is not None and (other := theirs.file or theirs.mine) is not None:
        turn.disagree(version, other, reasons[0])
    elif turn.state.refused != reasons[0] or leading.fresh:
        turn.do(Tell(events.ConfigRefusedByPeer(version.serial, version.digest, joined(reasons))))
    turn.set(refused="" if leading.fresh else reasons[0])
    turn.stand()
    turn.consider()


def _runs_on_neither(turn: Turn, leading: Leading, reasons: tuple[str, ...]) -> None:
    """What is new stays in the file here, and what ran before runs again."""
    turn.set(leading=None)
    if turn.state.version == leading.text.version and leading.before is not None:  # the way back
        turn.run(leading.before)
    if turn.state.file is None:
        turn.set(file=leading.text)
    if turn.state.file == leading.text:
        turn.set(judged=True)
    turn.do(Refuse(leading.text.version, reasons))
