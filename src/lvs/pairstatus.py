"""What `lvsd pair status` shows: both directors' configurations side by side. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from lvs.events import counted
from lvs.sync.messages import Refusals
from lvs.sync.state import Phase, State
from lvs.sync.version import Course, Version, decide

_NONE: Mapping[str, int] = {}
ALIKE = ("same", "incomplete")  # one configuration is on both, whatever their kernels say


class PairStatus(msgspec.Struct, frozen=True):
    """The JSON of `lvsd pair status --json`, documented in docs/pair.md."""

    state: str  # same, incomplete, pending, moving, conflict, refused, away, no key, no pair
    text: str  # a sentence
    side: str = ""  # primary, backup: what the addresses say that this is
    key: str = ""  # fingerprint; empty: there is none
    fault: str = ""  # why there is no channel
    connected: bool = False
    peer: str = ""  # address it is connected by
    peer_name: str = ""
    peer_version: str = ""  # of its lvsd
    here: Version | None = None  # runs
    here_file: Version | None = None  # lies in the file, and does not run
    there: Version | None = None
    there_file: Version | None = None
    here_refused: Refusals = Refusals()  # by the kernel
    there_refused: Refusals = Refusals()
    agreed: Version | None = None  # what both last ran
    strangers: dict[str, int] = {}  # who was turned away: reason, how often
    heartbeat_strangers: dict[str, int] = {}  # datagrams that were no heartbeats of the other: kind, how many
    unknown: int = 0  # what the other said and is not understood here


class Channel(msgspec.Struct, frozen=True):
    """What there is to say of the connection."""

    side: str = ""
    key: str = ""
    fault: str = ""
    peer: str = ""
    peer_name: str = ""
    peer_version: str = ""
    strangers: dict[str, int] = {}
    unknown: int = 0


def status(
    state: State, channel: Channel, heartbeat: Mapping[str, int] = _NONE, *, paired: bool
) -> PairStatus:
    """What is known of both; `heartbeat` counts the datagrams that were no heartbeats, by kind."""
    word, text = _state(state, channel, paired=paired)
    theirs = state.theirs
    return PairStatus(
        state=word,
        text=text,
        side=channel.side,
        key=channel.key,
        fault=channel.fault,
        connected=theirs is not None,
        peer=channel.peer if theirs is not None else "",
        peer_name=channel.peer_name if theirs is not None else "",
        peer_version=channel.peer_version if theirs is not None else "",
        here=state.version,
        here_file=None if state.file is None else state.file.version,
        there=None if theirs is None else theirs.mine,
        there_file=None if theirs is None else theirs.file,
        here_refused=state.refusals,
        there_refused=Refusals() if theirs is None else theirs.refusals,
        agreed=state.agreed.version,
        strangers=channel.strangers,
        heartbeat_strangers=dict(heartbeat),
        unknown=channel.unknown,
    )


def _state(state: State, channel: Channel, *, paired: bool) -> tuple[str, str]:
    if not paired:
        return "no pair", "the configuration names no second director"
    if channel.fault:
        return "no key", channel.fault
    if state.theirs is None:
        if state.pending:
            return "pending", f"{state.version} runs here only; the other director gets it when it is back"
        return "away", "the other director is not connected"
    if state.leading is not None or state.following is not None:
        moving = state.leading or state.following
        assert moving is not None
        where = "to" if moving.phase in (Phase.OFFERED, Phase.RUNNING, Phase.COMMITTED) else "from"
        return "moving", f"{moving.text.version} is on its way {where} the other director"
    if state.conflict:
        return "conflict", f"{state.conflict}; `lvsd pair resolve --use here` or `there` settles it"
    if state.theirs.file is not None:
        return "conflict", f"the other director's file holds {state.theirs.file}, which runs on neither"
    if state.refused:
        return "refused", f"the other director refuses what runs here: {state.refused}"
    if state.file is not None:
        return "refused", f"{state.file.version} lies in the file here and does not run"
    course, why = decide(state.agreed.version, state.version, state.theirs.mine)
    if course is Course.SAME:
        if lacking := lacks(state) or _refused("this director's", state.refusals):
            return "incomplete", f"{state.version} runs on both, but {lacking}"
        return "same", f"{state.version} runs on both"
    return "pending", why or f"{state.version} runs here, {state.theirs.mine} there"


def lacks(state: State) -> str:
    """What is configured and not in the other director's kernel; empty: nothing that is known."""
    there = Refusals() if state.theirs is None else state.theirs.refusals
    return _refused("the other director's", there)


def _refused(whose: str, what: Refusals) -> str:
    return f"{whose} kernel refused {counted(what.number, 'operation')}: {what.first}" if what.number else ""


def resolvable(state: State) -> str:
    """Why nothing can be chosen now; empty if it can."""
    if state.theirs is None:
        return "the other director is not connected: nothing can be settled without it"
    if state.leading is not None or state.following is not None:
        return "a configuration is on its way between the directors; try again in a few seconds"
    if state.version == state.theirs.mine and state.file is None and state.theirs.file is None:
        return f"there is nothing to settle: {state.version} runs on both"
    return ""


def lines(shown: PairStatus) -> Iterator[str]:
    """What `lvsd pair status` prints."""
    yield f"{shown.state}: {shown.text}"
    if shown.state == "no pair":
        return
    yield f"key:   {shown.key or 'none'}"
    side = f" ({shown.side})" if shown.side else ""
    yield f"here:  {_held(shown.here, shown.here_file)}{side}"
    if shown.connected:
        who = " ".join(one for one in (shown.peer_name, shown.peer) if one)
        yield f"there: {_held(shown.there, shown.there_file)} ({who}, lvsd {shown.peer_version})"
    else:
        yield "there: not connected"
    yield f"both last ran: {shown.agreed or 'nothing that is known here'}"
    for reason, times in sorted(shown.strangers.items()):
        yield f"turned away {times} times: {reason}"
    for kind, number in sorted(shown.heartbeat_strangers.items()):
        yield f"no heartbeats of the other director: {counted(number, 'datagram')}, {kind}"


def _held(version: Version | None, file: Version | None) -> str:
    runs = "nothing" if version is None else str(version)
    return runs if file is None else f"{runs}; in the file {file}, which does not run"
