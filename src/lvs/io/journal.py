"""Events to the journal, with their fields; to standard error where there is no journal.

The journal's socket blocks when journald is stuck, so a thread of its own writes; what does
not fit in front of it is counted and told later.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import sys
from logging.handlers import QueueListener

from lvs.events import Event

_WAITING = 10_000  # events kept while the journal does not take them


class Journal:
    """Where events go."""

    def __init__(self, *, to_journal: bool) -> None:
        handler = _journal_handler() if to_journal else _error_handler()
        self._queue: queue.Queue[logging.LogRecord] = queue.Queue(_WAITING)
        self._listener = QueueListener(self._queue, handler)
        self._listener.start()
        self._lost = 0

    def report(self, event: Event) -> None:
        """Write an event; never blocks."""
        record = logging.LogRecord("lvsd", _level(event.PRIORITY), "", 0, event.text(), None, None)
        fields = {name.upper(): str(getattr(event, name)) for name in event.__struct_fields__}
        record.__dict__.update(fields, MESSAGE_ID=event.MESSAGE_ID, EVENT=type(event).__name__)
        try:
            self._queue.put_nowait(record)
        except queue.Full:
            self._lost += 1
            return
        if self._lost:
            lost, self._lost = self._lost, 0
            text = f"{lost} messages were lost: the journal did not take them in time"
            with contextlib.suppress(queue.Full):
                self._queue.put_nowait(logging.LogRecord("lvsd", _level(4), "", 0, text, None, None))

    def close(self) -> None:
        """Write what is waiting."""
        self._listener.stop()


def _level(priority: int) -> int:
    """A logging level that carries a syslog priority both ways."""
    return (8 - priority) * 10


def _journal_handler() -> logging.Handler:
    from systemd.journal import JournalHandler

    class Handler(JournalHandler):  # type: ignore[misc]
        @staticmethod
        def map_priority(levelno: int) -> int:
            return 8 - levelno // 10

    return Handler(SYSLOG_IDENTIFIER="lvsd")


def _error_handler() -> logging.Handler:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("lvsd: %(message)s"))
    return handler
