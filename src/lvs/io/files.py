"""The configuration file: read whole, once, and seen to change however it is written.

Editors and git write a file in place, by rename over it, or by swapping a symlink somewhere
on its path. watchdog tells of closed, moved and created names in the directories of every
link on the way; a name that is none of ours is ignored. A file that is open for writing is
not read: half of one may be valid. Where inotify does not reach (network file systems, a
directory replaced as a whole), `Watch.stale` compares on the daemon's own clock.

Times of files go by a clock that ticks every few milliseconds, on some file systems every two
seconds: two writes of one length within a tick cannot be told apart by them (git calls such an
entry "racy"). So a signature goes by the content, too.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from lvs.errors import SystemFault

if TYPE_CHECKING:
    from watchdog.events import FileSystemEventHandler

LONGEST = 64 << 20  # bytes; 40,000 real servers take 5 MB
TICK_NS = 2_000_000_000  # FAT's, the coarsest


class Text(msgspec.Struct, frozen=True):
    """A file's content, and what tells whether it is still the same."""

    content: bytes
    signature: tuple[int, ...]  # device, inode, size, mtime, ctime, digest; shorter or empty: not read
    fault: str = ""  # why it could not be read

    @property
    def digest(self) -> str:
        """What `b2sum -l 64` says of the content."""
        return f"{self.signature[-1]:016x}"


def read(path: Path) -> Text:
    """The file's content. Errors: SystemFault with the reason."""
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise SystemFault("not a regular file")
            if status.st_size > LONGEST:
                raise SystemFault(f"larger than {LONGEST >> 20} MiB")
            content = file.read(LONGEST)
            return Text(content, (*_signature(status), _digest(content)))
    except OSError as fault:
        raise SystemFault(str(fault.strerror).lower()) from fault


def _without_waiting(path: str, flags: int) -> int:
    """Open a file; a FIFO put in its place must not hang the daemon, hence O_NONBLOCK."""
    return os.open(path, flags | os.O_NONBLOCK)


def _signature(status: os.stat_result) -> tuple[int, ...]:
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _digest(content: bytes) -> int:
    return int.from_bytes(blake2b(content, digest_size=8).digest())


def look(path: Path) -> Text:
    """As `read`, but that it could not be read is a value."""
    try:
        return read(path)
    except SystemFault as fault:
        return Text(b"", outside(path), str(fault))


def signature(path: Path) -> tuple[int, ...]:
    """What `Text.signature` would be now; shorter if the file cannot be read, empty if there is none."""
    return look(path).signature


def outside(path: Path) -> tuple[int, ...]:
    """What can be told of a file without reading it; empty if there is none."""
    try:
        return _signature(path.stat())
    except OSError:
        return ()


def _settled(outside: tuple[int, ...]) -> bool:
    """Whether a change from now on would be seen in the times of a file."""
    now = time.time_ns()
    return all(moment + TICK_NS < now for moment in outside[3:5])


def chain(path: Path) -> tuple[Path, ...]:
    """Every symlink on the way to a file, and the file: what may be replaced to change it."""
    found: list[Path] = []
    pending = list(reversed(path.absolute().parts[1:]))
    at = Path("/")
    for _ in range(40 + len(pending)):  # as many links as the kernel follows, path_resolution(7)
        if not pending:
            break
        step = at / pending.pop()
        if step.name == "..":
            at = at.parent
        elif (target := _target(step)) is not None:
            found.append(step)
            if target.is_absolute():
                at = Path("/")
            pending += reversed([part for part in target.parts if part != "/"])
        else:
            at = step
    return (*found, at)


def _target(path: Path) -> Path | None:
    """Where a symlink leads; None for anything else, or what cannot be seen."""
    try:
        return path.readlink()
    except OSError:
        return None


class Watch:
    """Calls `poke` from a thread of its own whenever the file may have changed."""

    def __init__(self, path: Path, poke: Callable[[], object]) -> None:
        from watchdog.observers.inotify import InotifyObserver

        self.path = path  # which may become another
        self._poke = poke
        self._names: frozenset[str] = frozenset()
        self._directories: tuple[tuple[str, int], ...] = ()
        self._suspect: tuple[int, ...] = ()
        self._trusted: tuple[int, ...] = ()  # compared by content when its times had settled
        self.fault = ""  # why the kernel gives no notice
        # Full events: else a move from a directory that is not watched looks like a creation.
        self._observer = InotifyObserver(generate_full_events=True)
        self._observer.daemon = True
        self._observer.start()
        self.follow()

    def stop(self) -> None:
        self._observer.stop()

    def follow(self) -> None:
        """Watch the directories on the path as it is now."""
        from watchdog.events import (
            DirMovedEvent,
            FileClosedEvent,
            FileCreatedEvent,
            FileMovedEvent,
            FileSystemEvent,
        )

        links = chain(self.path)
        directories = tuple(sorted({(str(link.parent), _inode(link.parent)) for link in links}))
        self._names = frozenset(map(str, links))
        if directories == self._directories:
            return
        self._observer.unschedule_all()
        self._directories = directories
        wanted: list[type[FileSystemEvent]] = [
            FileClosedEvent,
            FileCreatedEvent,
            FileMovedEvent,
            DirMovedEvent,
        ]
        self.fault = ""
        for directory, inode in directories:
            try:
                if inode:
                    self._observer.schedule(_handler(self._event), directory, event_filter=wanted)
            except OSError as fault:  # fs.inotify.max_user_watches or max_user_instances is reached
                self.fault = str(fault.strerror)
                self._directories = ()  # tried again when the path is looked at again

    def stale(self, known: tuple[int, ...]) -> bool:
        """Whether the file differs from what is known, and has stood still since the last call."""
        self.follow()
        now = outside(self.path)
        still = now == self._suspect
        self._suspect = now
        if now != known[:5]:
            return bool(now) and still
        if not now or known == self._trusted:
            return False
        if signature(self.path) != known:
            return still
        if _settled(now):
            self._trusted = known
        return False

    def _event(self, kind: str, source: str, target: str) -> None:
        if kind == "created":
            # Only a link is complete when it is created; a file will be closed.
            if source in self._names and _target(Path(source)) is not None:
                self._poke()
        elif source in self._names or target in self._names:
            self._poke()


def _handler(tell: Callable[[str, str, str], None]) -> FileSystemEventHandler:
    from watchdog.events import FileSystemEvent, FileSystemEventHandler

    class Handler(FileSystemEventHandler):
        def on_any_event(self, event: FileSystemEvent) -> None:
            tell(event.event_type, os.fsdecode(event.src_path), os.fsdecode(event.dest_path))

    return Handler()


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return 0
