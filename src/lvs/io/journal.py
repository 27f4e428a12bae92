"""Events to the journal, with their fields; to standard error where there is no journal.

The journal's socket blocks when journald is stuck, so a thread of its own writes; what does
not fit in front of it is counted and told later.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import sys
import threading

from lvs.events import Event

_WAITING = 10_000  # events kept while the journal does not take them
_PATIENCE_S = 2.0


class Journal:
    """Where events go."""

    def __init__(self, *, to_journal: bool) -> None:
        handler = _journal_handler() if to_journal else _error_handler()
        self._queue: queue.Queue[logging.LogRecord | None] = queue.Queue(_WAITING)
        self._lost = 0
        self._writer = threading.Thread(target=self._write, args=(handler,), name="journal", daemon=True)
        self._writer.start()

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
        """Write what is waiting, for a few seconds at most: a stuck journal must not hold up a stop."""
        with contextlib.suppress(queue.Full):
            self._queue.put(None, timeout=_PATIENCE_S)
            self._writer.join(_PATIENCE_S)

    def _write(self, handler: logging.Handler) -> None:
        while (record := self._queue.get()) is not None:
            handler.handle(record)
            self._queue.task_done()


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
