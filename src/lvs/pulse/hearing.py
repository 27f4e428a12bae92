"""What a director makes of what it hears: fresh beats, silence, and gaps in its own hearing."""

from __future__ import annotations

from lvs.model import Role
from lvs.pulse.state import BURST, TELL_EVERY_S, Peer, Pulse, alive
from lvs.pulse.words import Beat, BeatReceived, Command, Notice, Reannounce, Tell

CLOCKS_S = 30.0  # how far clocks may be apart for a start that has not heard of ours
RETIRED = 16  # starts of the peer that are remembered as over


def received(new: Pulse, what: BeatReceived, now: float, out: list[Command]) -> Beat | None:
    """Take a beat if it is fresh; the beat if it was news."""
    beat, peer = what.beat, new.peer
    if beat.boot == new.boot:  # our own, reflected
        return None
    known = peer is not None and peer.beat.boot == beat.boot
    if not known and not _believed(new, what, now, out):
        return None
    paths = dict(peer.paths) if peer is not None else {}
    if known and peer is not None:
        seen = paths.get(what.path, (0.0, 0))[1]
        if beat.number < peer.beat.number or beat.number <= seen:
            # The slower of two paths is behind by a beat; what is older was recorded.
            if beat.number + BURST + 2 < peer.beat.number:
                _suspect(new, Notice.REPLAYED, "heartbeats of the past were heard again", now, out)
            return None
    elif peer is not None:
        new.retired = (*new.retired, peer.beat.boot)[-RETIRED:]
        paths = {path: (at, 0) for path, (at, _) in paths.items()}
    silent = alive(new, now) is None
    if silent:  # whoever is back has not been silent on its other paths alone
        paths = {path: (now, number) for path, (_, number) in paths.items()}
    paths[what.path] = (now, beat.number)
    new.peer, new.claimed = Peer(beat, now, paths), None
    if not known:
        new.burst = max(new.burst, 1)  # it has not heard us, or not this start of it
        new.send_at = min(new.send_at, now)
    if silent and not beat.leaving:
        out.append(Tell(Notice.PEER_HEARD, f"{beat.role}, lvsd {beat.version or 'unknown'}: {beat.reason}"))
        new.told -= {Notice.PEER_SILENT}
        if new.role is Role.ACTIVE:
            out.append(Reannounce())  # it may have answered for the VIPs when it woke
    if beat.heard == new.boot and beat.heard_number >= new.probe:
        new.probe, new.heard_by = new.number + 1, now + 2 * new.terms.keepalive_s + new.terms.deadtime_s
    return beat


def _believed(new: Pulse, what: BeatReceived, now: float, out: list[Command]) -> bool:
    """Whether a start of the peer that we did not know is of now."""
    if what.beat.boot in new.retired:
        _suspect(new, Notice.REPLAYED, "heartbeats of an earlier start of the other were heard", now, out)
        return False
    if what.beat.heard == new.boot or abs(what.skew_s) <= CLOCKS_S:
        return True
    text = (
        f"the other director's clock is {abs(what.skew_s):.0f} s {'behind' if what.skew_s > 0 else 'ahead'}"
    )
    _suspect(new, Notice.CLOCKS_APART, text, now, out)
    new.claimed = what.beat
    return False  # until it has heard of us


def _suspect(new: Pulse, notice: Notice, text: str, now: float, out: list[Command]) -> None:
    if now - new.suspect_at >= TELL_EVERY_S:
        new.suspect_at = now
        out.append(Tell(notice, text))


def listened(new: Pulse, now: float, out: list[Command]) -> None:
    """Tell of silence: of the other, of one of the paths, and of us in its ears."""
    peer = new.peer
    if peer is None:
        return
    deadtime_s = new.terms.deadtime_s
    if now >= peer.heard_at + deadtime_s:
        if Notice.PEER_SILENT not in new.told and not peer.beat.leaving:
            new.told |= {Notice.PEER_SILENT}
            out.append(Tell(Notice.PEER_SILENT, f"silent for {now - peer.heard_at:.1f} s"))
        return
    silent = frozenset([path for path, (at, _) in peer.paths.items() if now >= at + deadtime_s])
    out += [Tell(Notice.PATH_SILENT, path) for path in sorted(silent - new.silent_paths)]
    out += [Tell(Notice.PATH_HEARD, path) for path in sorted(new.silent_paths - silent)]
    new.silent_paths = silent
    if now <= new.heard_by:
        new.told -= {Notice.NOT_HEARD}
    elif Notice.NOT_HEARD not in new.told:
        new.told |= {Notice.NOT_HEARD}
        out.append(Tell(Notice.NOT_HEARD, "it is heard, but does not hear this director"))


def overslept(new: Pulse, late_s: float, now: float, out: list[Command]) -> None:
    """This director did not run for a while: it listens before it talks."""
    out.append(Tell(Notice.OVERSLEPT, f"lvsd could not run for {late_s:.1f} s"))
    new.listen_until = now + new.terms.deadtime_s
    new.heard_by = now + new.terms.deadtime_s + 2 * new.terms.keepalive_s
    if new.role is Role.ACTIVE:
        new.woke_at = now
    peer = new.peer
    if peer is not None and Notice.PEER_SILENT not in new.told:
        paths = {path: (now, number) for path, (_, number) in peer.paths.items()}
        new.peer = Peer(peer.beat, now, paths)
