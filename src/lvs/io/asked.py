"""What is asked otherwise than over a socket of the engine's: the counterpart of `lvs.io.streams`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from lvs.checks import Answer, Reason
from lvs.io.findings import Asker
from lvs.io.probe import ASKED, Probe
from lvs.probes.talk import down

GRACE_S = 1.0  # beyond the deadline for an asker, which keeps it itself


class Asked:
    """The probes whose askers have not answered yet; `done` is called with what one says."""

    def __init__(
        self,
        askers: Mapping[type, Asker],
        done: Callable[[Probe, Answer], None],
        slow: Callable[[Probe], None],
    ) -> None:
        """`askers` by kind of check; `slow` is called for each probe, for its deadline matters."""
        self._grace_s = {kind: getattr(asker, "grace_s", GRACE_S) for kind, asker in askers.items()}
        self._done, self._slow = done, slow
        self._pending: dict[Probe, Asker] = {}

    def start(self, probe: Probe, asker: Asker, now: float) -> None:
        """Begin; the answer may come at once."""
        target = probe.target
        probe.phase = ASKED
        deadline = now + target.pace.limit_s
        probe.deadline = deadline + self._grace_s[type(target.check)]
        self._slow(probe)
        self._pending[probe] = asker
        asker.ask(target, deadline, partial(self._told, probe, probe.serial))

    def _told(self, probe: Probe, serial: int, answer: Answer) -> None:
        if probe.phase == ASKED and probe.serial == serial:
            del self._pending[probe]
            self._done(probe, answer)

    def cut(self, probe: Probe) -> Answer | None:
        """No answer is waited for any more; what its asker has to say."""
        return self._pending.pop(probe).abandon(probe.target)

    def expire(self, probe: Probe) -> Answer:
        """End one whose deadline has passed; what to say of it."""
        limit_s = probe.target.pace.limit_s
        return self.cut(probe) or down(Reason.TIMED_OUT, f"no answer within {limit_s:g} s")

    def asking(self) -> list[Probe]:
        return list(self._pending)

    def close(self) -> None:
        for probe, asker in list(self._pending.items()):
            asker.abandon(probe.target)
        self._pending.clear()
