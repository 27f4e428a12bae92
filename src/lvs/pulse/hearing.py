"""What a director makes of what it hears: fresh beats, silence, and gaps in its own hearing."""

from __future__ import annotations

from lvs.model import Role
from lvs.pulse.state import BURST, BURST_S, LAST_TERM, TELL_EVERY_S, Peer, Pulse, alive, deadtime, hearing_due
from lvs.pulse.words import Beat, BeatReceived, Command, Count, Ignored, Notice, Reannounce, Tell

CLOCKS_S = 30.0  # how far clocks may be apart for a start that has not heard of ours
RETIRED = 64  # starts of the peer that are remembered as over
RECENT = 16  # beats of ours, of which a start that is not known must have heard one
AGAIN = 16  # beats in a row that are no news, and no attack
LONGEST_S = 1e7  # a deadtime; the configuration's limit is below

Paths = dict[str, tuple[float, int]]


def received(new: Pulse, what: BeatReceived, now: float, out: list[Command]) -> Beat | None:
    """Take a beat if it is fresh; the beat if it was news."""
    beat, peer = what.beat, new.peer
    if beat.boot == new.boot or not _plausible(beat):
        out.append(Count(Ignored.REPLAYED if beat.boot == new.boot else Ignored.GARBLED, what.path))
        return None
    known = peer is not None and peer.beat.boot == beat.boot
    if not (_fresh if known else _believed)(new, what, now, out):
        return None
    silent, left = alive(new, now) is None, known and peer is not None and peer.beat.leaving
    paced = peer is not None and beat.deadtime_s == peer.beat.deadtime_s
    paths = _paths(new, what, now, known=known, anew=silent or not paced)
    new.peer, new.claimed, new.again = Peer(beat, now, paths), None, 0
    if not known:
        if peer is not None:
            new.retired = (*new.retired, peer.beat.boot)[-RETIRED:]
        new.yields = 0
        new.burst = max(new.burst, 1)  # it has not heard us, or not this start of it
        new.send_at = min(new.send_at, now)
    if beat.heard == new.boot and beat.heard_number >= new.probe:
        new.probe, new.heard_by = new.number + 1, hearing_due(new, now)
    elif silent or not known:
        new.heard_by = hearing_due(new, now)
    if beat.leaving and not left:
        out.append(Tell(Notice.PEER_LEFT, f"it has left: {beat.reason}"))
    elif silent and not beat.leaving:
        out.append(Tell(Notice.PEER_HEARD, f"{beat.role}, lvsd {beat.version or 'unknown'}: {beat.reason}"))
        new.told -= {Notice.PEER_SILENT}
        if new.role is Role.ACTIVE:
            out.append(Reannounce())  # it may have answered for the VIPs when it woke
    return beat


def _plausible(beat: Beat) -> bool:
    """Whether a sound director could say so; NaN is refused, too."""
    return (
        beat.boot > 0
        and beat.number > 0
        and 0 <= beat.term <= LAST_TERM
        and 0 <= beat.deadtime_s <= LONGEST_S
    )


def _fresh(new: Pulse, what: BeatReceived, now: float, out: list[Command]) -> bool:
    """Whether a beat of the start that we know is newer than all that was heard of it."""
    number, peer = what.beat.number, new.peer
    assert peer is not None
    known = peer.paths.get(what.path, (0.0, 0))[1]
    if number >= peer.beat.number and number > known:
        return True
    # The slower of two paths is behind by a beat; what is older was recorded.
    if number + BURST + 2 < peer.beat.number:
        _suspect(new, Notice.REPLAYED, "heartbeats of the past were heard again", now, out)
        out.append(Count(Ignored.REPLAYED, what.path))
    elif number <= known:
        _again(new, Ignored.REPEATED, what.path, out)
    return False


def _believed(new: Pulse, what: BeatReceived, now: float, out: list[Command]) -> bool:
    """Whether a start of the peer that we did not know is of now."""
    beat, peer = what.beat, new.peer
    if beat.boot in new.retired:
        _suspect(new, Notice.REPLAYED, "heartbeats of an earlier start of the other were heard", now, out)
        out.append(Count(Ignored.REPLAYED, what.path))
        return False
    # What it heard of ours tells when it spoke: each start was answered with a beat at least, so that one
    # which is forgotten, for there were so many after it, has not heard a recent one.
    if beat.heard == new.boot and beat.heard_number + RECENT >= new.number:
        return True
    apart = not abs(what.skew_s) <= CLOCKS_S
    # By its own clock it is newer than what we know, and it is not an earlier start of our own.
    newer = (peer is None or beat.at_s > peer.beat.at_s) and beat.primary is not new.terms.primary
    if newer and not apart:
        return True
    if apart:
        lag = "behind" if what.skew_s > 0 else "ahead"
        text = f"the other director's clock is {abs(what.skew_s):.0f} s {lag}"
        _suspect(new, Notice.CLOCKS_APART, text, now, out)
    _again(new, Ignored.UNPROVEN, what.path, out)
    # Not until it has heard of us, which it can if we say that we heard it; soon, but not at each.
    new.claimed = beat
    if now >= new.answer_at:
        new.answer_at, new.send_at = now + new.terms.keepalive_s, min(new.send_at, now + BURST_S)
    return False


def _paths(new: Pulse, what: BeatReceived, now: float, *, known: bool, anew: bool) -> Paths:
    """When each path was heard last, with a fresh beat."""
    paths = {} if new.peer is None else new.peer.paths
    # Whoever is back, or was slower, has not been silent on its other paths alone; a new start counts anew.
    paths = {path: (now if anew else at, number if known else 0) for path, (at, number) in paths.items()}
    return paths | {what.path: (now, what.beat.number)}


def _again(new: Pulse, what: Ignored, path: str, out: list[Command]) -> None:
    """What a network may bring twice or late, or a start has to say until it is believed; counted if much."""
    new.again += 1
    if new.again > AGAIN:
        out.append(Count(what, path))


def _suspect(new: Pulse, notice: Notice, text: str, now: float, out: list[Command]) -> None:
    if now - new.suspect_at >= TELL_EVERY_S:
        new.suspect_at = now
        out.append(Tell(notice, text))


def listened(new: Pulse, now: float, out: list[Command]) -> None:
    """Tell of silence: of the other, of a path while another goes on, and of us in its ears."""
    peer, deadtime_s = new.peer, deadtime(new)
    if peer is None or peer.beat.leaving:
        return
    if now >= peer.heard_at + deadtime_s:
        if Notice.PEER_SILENT not in new.told:
            new.told |= {Notice.PEER_SILENT}
            out.append(Tell(Notice.PEER_SILENT, f"silent for {now - peer.heard_at:.1f} s"))
        return
    silent = frozenset([path for path, (at, _) in peer.paths.items() if peer.heard_at >= at + deadtime_s])
    out += [Tell(Notice.PATH_SILENT, path) for path in sorted(silent - new.silent_paths)]
    out += [Tell(Notice.PATH_HEARD, path) for path in sorted(new.silent_paths - silent)]
    new.silent_paths = silent
    if now <= new.heard_by:
        new.told -= {Notice.NOT_HEARD}
    elif Notice.NOT_HEARD not in new.told:
        new.told |= {Notice.NOT_HEARD}
        out.append(Tell(Notice.NOT_HEARD, "it is heard, but does not hear this director"))


def overslept(new: Pulse, late_s: float, now: float, out: list[Command]) -> None:
    """This director did not run for a while: it listens before it acts."""
    out.append(Tell(Notice.OVERSLEPT, f"lvsd could not run for {late_s:.1f} s"))
    new.listen_until = max(new.listen_until, now + deadtime(new))  # a deadtime that was longer counts, too
    new.heard_by = hearing_due(new, now)
    new.woke_at = now
    peer = new.peer
    if peer is not None and Notice.PEER_SILENT not in new.told:
        paths = {path: (now, number) for path, (_, number) in peer.paths.items()}
        new.peer = Peer(peer.beat, now, paths)
