"""Asks the kernel for IPVS's table with getsockopt(2): what of it can be had so (kernel/entries.py)."""

from __future__ import annotations

import ctypes
import socket
from collections.abc import Collection

from lvs.kernel import entries
from lvs.kernel.decode import Counted
from lvs.kernel.state import Destination, DestinationKey, ServiceKey

_getsockopt = ctypes.CDLL(None).getsockopt  # that of `socket` asks without a question


class Entries:
    """The IPv4 part of the table. Whatever is not known here has to be asked of netlink."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._reader = entries.EntryReader()
        self._numbers: dict[entries.Place, int] = {}
        self._length = ctypes.c_uint()
        self._room(1 << 16)

    def close(self) -> None:
        self._socket.close()

    def begin(self, services: Collection[ServiceKey]) -> None:
        """Read on from what these services are now; all of the table's have to be among them."""
        number = sum(key.family == 4 for key in services)
        answer = self._ask(entries.GET_SERVICES, entries.ask_services(number)) if number else None
        self._numbers = {} if answer is None else entries.services(answer)

    def destinations(self, key: ServiceKey) -> dict[DestinationKey, Destination] | None:
        """The destinations of a service, not to be changed; None if netlink has to be asked."""
        answer = self._answer(key)
        return None if answer is None else self._reader.destinations(answer)

    def counted(self, key: ServiceKey) -> tuple[Counted, ...] | None:
        """The same with their connections."""
        answer = self._answer(key)
        return None if answer is None else self._reader.counted(answer)

    def trim(self, held: int) -> None:
        """Forget what was read if it is far more than what is held."""
        self._reader.trim(held)

    def _answer(self, key: ServiceKey) -> memoryview | None:
        number = self._numbers.get(entries.place(key)) if key.family == 4 else None
        if number is None:
            return None
        return self._ask(entries.GET_DESTINATIONS, entries.ask_destinations(key, number))

    def _ask(self, option: int, question: bytes) -> memoryview | None:
        """What the kernel writes over the question, until the next; None: netlink will tell what is wrong."""
        size = self._length.value = len(question)
        if size > len(self._view):
            self._room(2 * size)
        self._view[:size] = question
        told = ctypes.byref(self._length)
        if _getsockopt(self._socket.fileno(), socket.IPPROTO_IP, option, self._buffer, told):
            return None
        return self._view[:size]

    def _room(self, size: int) -> None:
        self._buffer = ctypes.create_string_buffer(size)
        self._view = memoryview(self._buffer).cast("B")
