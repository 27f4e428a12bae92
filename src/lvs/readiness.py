"""What systemd is told of the daemon: that it is ready, reads its file again, how it stands, and lives on.

sd_notify(3). READY comes after the start and after each reload, not before the kernel holds the table: one
that could not be written is tried again.
"""

from __future__ import annotations

import asyncio

from lvs.io import systemd


class Readiness:
    """Knows what systemd was told, and what it waits for."""

    def __init__(self, *, started: bool) -> None:
        """`started`: whether the kernel holds the table already."""
        self._notify = systemd.notifier()
        self._started = started
        self._ready_owed, self._status_told = True, ""
        self._reading = False  # a file is being read and decided

    def started(self) -> None:
        """The kernel was written for the first time, or again."""
        self._started = True

    def reading(self) -> None:
        """The file is looked at: no READY until `read`."""
        self._reading = True

    def reloading(self) -> None:
        """The file is another; from any thread."""
        self._notify(*systemd.reloading())

    def read(self, *, changed: bool) -> None:
        """It was looked at; a READY is owed if it was another."""
        self._reading = False
        self._ready_owed = self._ready_owed or changed

    def tell(self, summary: str) -> None:
        """READY if it is owed; STATUS when it is another."""
        status = f"STATUS={summary}"
        ready = self._ready_owed and self._started and not self._reading
        lines = ["READY=1"] if ready else []
        if status != self._status_told:
            lines.append(status)
        self._ready_owed, self._status_told = self._ready_owed and not ready, status
        if lines:
            self._notify(*lines)

    def stopping(self) -> None:
        self._notify("STOPPING=1")

    async def petting(self) -> None:
        """Tell the watchdog that the event loop turns, if it asks."""
        period_s = systemd.watchdog_period_s()
        while period_s is not None:
            self._notify("WATCHDOG=1")
            await asyncio.sleep(period_s)
