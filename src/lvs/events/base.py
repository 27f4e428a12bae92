"""What every event is: one frozen value per journal MESSAGE_ID."""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar

import msgspec


class Priority(IntEnum):
    """syslog(3) levels."""

    CRIT = 2
    ERR = 3
    WARNING = 4
    NOTICE = 5
    INFO = 6


def counted(number: int, noun: str) -> str:
    """`1 change`, `2 changes`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


class Event(msgspec.Struct, frozen=True):
    """Base of all events."""

    MESSAGE_ID: ClassVar[str] = ""
    PRIORITY: ClassVar[Priority] = Priority.INFO

    def text(self) -> str:
        """One line for the journal."""
        raise NotImplementedError
