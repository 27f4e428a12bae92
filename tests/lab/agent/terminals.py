"""Terminals: what a shell and an editor need in place of memory files."""

from __future__ import annotations

import binascii
import fcntl
import os
import select

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing itself costs 60 ms under emulation
    from typing import Any

TIOCSCTTY, TIOCSWINSZ = 0x540E, 0x5414
PORTION = 4096  # what one reply shows: other replies wait no longer than that takes


class Terminal:
    """Both ends of a terminal; the program's is closed here once the program has it.

    It is read only when asked, a portion a reply: a flood waits in the kernel, not here.
    """

    def __init__(self, epoll: select.epoll) -> None:
        self.fd, self.inside = os.openpty()
        os.set_blocking(self.fd, False)
        self.epoll = epoll
        self.open = True
        self.listener: int | None = None

    def listen(self, number: int) -> None:
        """Let the request be answered with what is shown next."""
        self.epoll.register(self.fd, select.EPOLLIN)  # a second listener is an error
        self.listener = number

    def hear(self) -> dict[str, Any]:
        """The reply to the listener, now that there is something to read, be it the end."""
        try:
            data = os.read(self.fd, PORTION)
        except BlockingIOError:  # Ctrl-C drops what was there
            return {}
        except OSError:  # nobody has the other end open any more
            return self.close()
        return self.shown(data)

    def shown(self, data: bytes) -> dict[str, Any]:
        """Answer the listener."""
        number, self.listener = self.listener, None
        self.epoll.unregister(self.fd)
        return {"id": number, "data": binascii.b2a_base64(data).decode()}

    def take(self, data: bytes) -> int:
        """Type; how much of it the kernel has room for. What nobody will read is taken, too."""
        try:
            return os.write(self.fd, data) if self.open else len(data)
        except BlockingIOError:
            return 0
        except OSError:
            return len(data)

    def resize(self, rows: int, columns: int) -> None:
        """Set the size, of which the kernel tells the program."""
        size = b"".join(number.to_bytes(2, "little") for number in (rows, columns, 0, 0))
        fcntl.ioctl(self.fd, TIOCSWINSZ, size)

    def close(self) -> dict[str, Any]:
        """Hang up; the reply for the listener, if there is one."""
        last = self.shown(b"") if self.listener is not None else {}
        self.open = False
        os.close(self.fd)
        return last
