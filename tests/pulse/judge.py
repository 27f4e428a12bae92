"""What must hold while two directors are disturbed: the promises of the pair, watched from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from lvs.model import Failback, Role
from lvs.pulse.hearing import CLOCKS_S, RECENT
from lvs.pulse.machine import BORNE, HANDOVER_S
from lvs.pulse.state import Pulse
from lvs.pulse.words import Beat

if TYPE_CHECKING:
    from pulse.simulator import Node, Simulation

NEVER = float("inf")
EARLY_S = 1e-6  # sums of floats


class Violation(msgspec.Struct, frozen=True):
    at: float
    rule: str
    text: str


class Judge:
    """Watches one simulation."""

    def __init__(self, of: Simulation) -> None:
        from pulse.simulator import Act, Timing  # they know each other

        self.of = of
        self.violation: Violation | None = None
        case = of.case
        reloads = [Timing.parsed(one.detail) for one in case.disturbances if one.act is Act.RELOAD]
        timings = [*case.timings, *reloads]
        slack_s = 0.2 + 20 * case.delay_s
        self.deadtime_s = max(timing.deadtime_s for timing in timings)
        self.hearing_s = 2 * max(timing.keepalive_s for timing in timings) + slack_s
        self.patience_s = 2 * self.deadtime_s + 1.5 * self.hearing_s
        # A start whose clock is wrong is believed only if it can be told that it is heard.
        wrong = [
            one for one in case.disturbances if one.act is Act.FREEZE or (one.act is Act.CRASH and one.amount)
        ]
        self.both_ways = abs(case.skew_s) > CLOCKS_S or bool(wrong)
        self.none_since = 0.0  # active
        self.two_since = NEVER
        self.planned, self.planned_at = False, 0.0  # a handover; when it was last
        self.odd_since = 0.0  # not just one of them holds the VIPs
        self.late_s = slack_s / 2  # of a takeover: beats under way, and the timer
        self.gone_since: dict[str, float] = {}  # each does not run
        self.asked_at = (
            self.hindered_at
        ) = -NEVER  # an operator; one of them had a fault, or was about to stop
        self.turns_at = -NEVER  # one of them gave way again to another that does not hear it
        self.refused = False  # what the operator asked for
        self.taker = ""  # who has done what the operator asked for
        self.gave_up_at: dict[str, float] = {}
        self.switched = 0  # start of the primary from which an operator took the service
        self.insisted_at: dict[str, float] = {}  # when each heard first that the other is active, too
        self.known: dict[int, set[int]] = {}  # starts that each start has believed

    def violated(self, rule: str, text: str) -> None:
        if self.violation is None:
            self.violation = Violation(self.of.now, rule, text)
            self.of.say(f"** {rule}: {text}")

    def clear_since(self, sender: str) -> float:
        """Since when all beats of a sender arrive by some path; NEVER: they do not."""
        of = self.of
        keys = [key for key in of.joined_at if key[1] == sender and not of.cut[key] and not of.lossy[key]]
        return min([of.joined_at[key] for key in keys], default=NEVER)

    def heard_since(self, sender: str, receiver: str) -> float:
        """Since when a sender is heard, as far as the networks go."""
        back = self.clear_since(receiver) if self.both_ways else 0.0
        return max(self.clear_since(sender), back)

    def watch(self) -> None:
        """Note when none or two became active, and when other than one held the VIPs."""
        now, nodes = self.of.now, self.of.nodes.values()
        actives, holders = sum(node.active for node in nodes), sum(node.holds for node in nodes)
        self.none_since = NEVER if actives else min(self.none_since, now)
        self.two_since = NEVER if actives < 2 else min(self.two_since, now)
        if actives < 2:
            self.insisted_at = {}
        self.odd_since = NEVER if holders == 1 else min(self.odd_since, now)
        for node in nodes:
            self.gone_since[node.name] = (
                NEVER if node.runs else min(self.gone_since.get(node.name, NEVER), now)
            )
            if node.faults or node.stuck:
                self.hindered_at = now
        if self.planned:
            self.planned_at = now
        self.planned = any(node.pulse is not None and node.pulse.handing_until is not None for node in nodes)

    def until(self, time: float) -> None:
        """Whether what holds since the last event may hold until now."""
        one, other = self.of.nodes.values()
        if self.none_since is not NEVER:
            well = [node.since for node in (one, other) if node.well]
            # Of one that took turns with another, which did not hear it, more silence is borne.
            borne_s = BORNE * self.deadtime_s
            turns = time - self.turns_at <= borne_s + self.patience_s
            most = self.patience_s + (borne_s if turns else 0)
            self.lasting("none is active", max(self.none_since, min(well, default=NEVER)), time, most)
        for node, gone in ((one, other), (other, one)):
            if node.well and not node.active and not gone.runs and node.pulse and node.pulse.yields < 2:
                listened = node.listens_since + node.listens_s - self.deadtime_s
                since = max(self.gone_since.get(gone.name, 0.0), node.since, listened)
                self.lasting(f"{node.name} takes over late", since, time, self.deadtime_s + self.late_s)
        if self.two_since is not NEVER and one.runs and other.runs:
            heard = min(self.heard_since(one.name, other.name), self.heard_since(other.name, one.name))
            most = self.patience_s + (HANDOVER_S if self.planned else 0)
            since = max(self.two_since, heard, one.since, other.since, 0 if self.planned else self.planned_at)
            self.lasting("two are active, and one hears the other", since, time, most)
        if self.odd_since is not NEVER and one.well and other.well:
            heard = max(self.clear_since(one.name), self.clear_since(other.name))
            since = max(self.odd_since, heard, one.since, other.since)
            self.lasting("not one of two well ones holds the VIPs", since, time, self.patience_s + HANDOVER_S)

    def lasting(self, rule: str, since: float, until: float, most: float) -> None:
        if until - since > most:
            self.violated(rule, f"since {since:.3f}")

    def took(self, node: Node, role: Role, reason: str) -> None:
        """Nobody takes over for silence that is none, and the VIPs are always somewhere in a handover."""
        other = self.of.nodes[node.other]
        awake = node.pulse is not None and node.pulse.woke_at is None
        # What it goes by was under way when the other gave up, or when it was frozen itself.
        latest = max(self.gave_up_at.get(other.name, -NEVER), node.since)
        crossed = self.of.now - latest <= 10 * self.of.case.delay_s
        if reason.startswith("handed over") and not other.holds and other.well and awake and not crossed:
            self.violated("broken before made", f"{node.name} gave up")
        if role is not Role.ACTIVE:
            self.gave_up_at[node.name] = self.of.now
        else:
            self.handed(node, other, wanted=reason.endswith("hands over"))
        if role is not Role.ACTIVE or not ("silent" in reason or "never" in reason):
            return
        if self.of.now - node.listens_since < node.listens_s - EARLY_S:
            self.violated("taken without listening", f"{node.name}: {reason}")
        if other.active and other.runs and other.pulse is not None and (other.pulse.woke_at is None):
            since = max(self.heard_since(other.name, node.name), other.since, node.since)
            if self.of.now - since > self.hearing_s:
                self.violated("taken for no reason", f"{node.name}: {reason}")

    def asked(self) -> None:
        """An operator wants the other one to serve."""
        self.asked_at, self.taker, self.refused = self.of.now, "", False

    def declined(self) -> None:
        """The operator was told that it did not happen: if it did, nobody has to keep to it."""
        self.refused, self.switched = True, 0

    def handed(self, node: Node, other: Node, *, wanted: bool) -> None:
        """A primary takes the service back only as `failback` says, and not from where an operator put it."""
        now, pulse = self.of.now, node.pulse
        asked = now - self.asked_at < 2 * HANDOVER_S + self.hearing_s and self.taker != other.name
        hindered = now - self.hindered_at < HANDOVER_S + self.hearing_s
        if wanted and pulse is not None and not asked and not hindered:
            if self.of.case.failback is Failback.NEVER or not node.terms.primary:
                self.violated("nobody asked for that", f"{node.name} took the service")
            elif self.switched == pulse.boot:
                self.violated("a switchover was undone", node.name)
        self.switched = 0
        done = wanted and asked and not hindered and not self.refused
        if done and other.terms.primary and other.pulse is not None:
            self.switched = other.pulse.boot
        if asked and wanted:
            self.taker = node.name

    def said(self, node: Node, beat: Beat) -> None:
        """Who woke from a pause in which it may have been replaced listens first."""
        if node.woke_at == self.of.now and beat.role is Role.ACTIVE:
            self.violated("talked before it listened", node.name)

    def stepped(self, node: Node) -> None:
        """Note whom it believes; and whether it bears that the other says again that it is active, too."""
        pulse = node.pulse
        if pulse is None:
            return
        if pulse.faults or pulse.leaving:
            self.hindered_at = self.of.now
        if pulse.yields > 1:
            self.turns_at = self.of.now
        peer = pulse.peer
        if peer is None:
            return
        self.known.setdefault(pulse.boot, set()).add(peer.beat.boot)
        heard = peer.heard_at == pulse.at and peer.beat.role is Role.ACTIVE and not peer.beat.leaving
        if not heard or self.two_since is NEVER or pulse.woke_at is not None:
            return
        first = max(self.insisted_at.setdefault(node.name, self.of.now), self.planned_at, node.since)
        if node.active and not self.planned and self.of.now - first > self.hearing_s + self.deadtime_s:
            self.violated("two are active, and one hears that now and then", f"{node.name} since {first:.3f}")

    def past(self, pulse: Pulse, beat: Beat, skew_s: float) -> bool:
        """Whether a recorded beat is told from a new one; else it is too young."""
        peer = pulse.peer
        if peer is not None and beat.boot == peer.beat.boot:
            return beat.number < peer.beat.number  # what was withheld until now is new
        if beat.boot in self.known.get(pulse.boot, ()):
            return True  # there was another one after it
        old = peer is not None and beat.at_s <= peer.beat.at_s
        reflected = beat.primary is pulse.terms.primary
        answers = beat.heard == pulse.boot and beat.heard_number + RECENT >= pulse.number
        return not answers and (old or reflected or abs(skew_s) > CLOCKS_S)

    def heard_replay(self, node: Node, beat: Beat) -> None:
        """Nobody takes a recorded beat for a new one."""
        if node.pulse is not None and node.pulse.peer is not None and node.pulse.peer.beat is beat:
            self.violated("replay believed", f"{node.name}: number {beat.number} of start {beat.boot}")
