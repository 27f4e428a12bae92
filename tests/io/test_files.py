"""The configuration file on a real file system: read whole, and seen to change however it is written."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lvs.errors import SystemFault
from lvs.io import files
from lvs.io.files import Text, Watch, chain, look, read, signature

PATIENCE_S = 5.0  # for the watching thread, on a busy machine; it takes milliseconds


# read and signature


def test_read(tmp_path: Path) -> None:
    path = tmp_path / "lvs.toml"
    path.write_bytes(b"serial_no = 1\r\n\xff\0")
    found = read(path)
    assert found.content == b"serial_no = 1\r\n\xff\0"
    assert found.signature == signature(path)
    assert found == look(path)
    assert found.digest == hashlib.blake2b(found.content, digest_size=8).hexdigest()


def test_what_cannot_be_read_is_seen(tmp_path: Path) -> None:
    assert look(tmp_path / "lvs.toml") == Text(b"", (), "no such file or directory")
    seen = look(tmp_path)
    assert (seen.content, seen.fault) == (b"", "is a directory")
    assert len(seen.signature) == 5


def test_read_through_links(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "lvs.toml").write_text("x")
    (tmp_path / "lvs.toml").symlink_to("data/lvs.toml")
    assert read(tmp_path / "lvs.toml").content == b"x"
    assert signature(tmp_path / "lvs.toml") == signature(tmp_path / "data" / "lvs.toml")


def fifo(path: Path) -> None:
    os.mkfifo(path)


def listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


def loop(path: Path) -> None:
    path.symlink_to(path.name)


def nothing(_: Path) -> None:
    """Leave the place empty."""


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (nothing, "no such file or directory"),
        (Path.mkdir, "is a directory"),
        (fifo, "not a regular file"),
        (device, "not a regular file"),
        (listening, "no such device or address"),
        (loop, "too many levels of symbolic links"),
    ],
)
def test_what_is_no_file(make: Callable[[Path], object], said: str, tmp_path: Path) -> None:
    make(tmp_path / "lvs.toml")
    with pytest.raises(SystemFault) as caught:
        read(tmp_path / "lvs.toml")
    assert str(caught.value) == said


@pytest.mark.parametrize(
    "make",
    [
        nothing,
        fifo,
        Path.mkdir,
    ],
)
def test_no_descriptor_is_left_open(make: Callable[[Path], object], tmp_path: Path) -> None:
    make(tmp_path / "lvs.toml")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        with pytest.raises(SystemFault):
            read(tmp_path / "lvs.toml")
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_too_large(tmp_path: Path) -> None:
    """By what the file says of itself: nothing of it is read."""
    path = tmp_path / "lvs.toml"
    with path.open("wb") as file:
        file.truncate(files.LONGEST + 1)
    with pytest.raises(SystemFault) as caught:
        read(path)
    assert str(caught.value) == "larger than 64 MiB"


def test_no_more_is_read_of_a_file_that_grew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lvs.toml"
    path.write_text("0123456789")
    monkeypatch.setattr(files, "LONGEST", 10)
    assert read(path).content == b"0123456789"
    path.write_text("0123456789a")
    with pytest.raises(SystemFault, match="larger than"):
        read(path)


def test_signatures(tmp_path: Path) -> None:
    path = tmp_path / "lvs.toml"
    assert signature(path) == ()
    path.write_text("one")
    first = signature(path)
    assert first == signature(path)
    path.write_text("three")
    assert signature(path) != first
    other = tmp_path / "new"
    other.write_text("one")
    other.replace(path)
    assert signature(path) != first


def ticking(monkeypatch: pytest.MonkeyPatch, moment_ns: int) -> None:
    """Let every write be of one moment, as within a tick of the clock by which files have their times."""

    def outside(status: os.stat_result) -> tuple[int, ...]:
        return (status.st_dev, status.st_ino, status.st_size, moment_ns, moment_ns)

    monkeypatch.setattr(files, "_signature", outside)


def test_two_writes_within_a_tick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ticking(monkeypatch, 1)
    path = tmp_path / "lvs.toml"
    path.write_text("weight = 1")
    first = read(path).signature
    assert first == signature(path)
    path.write_text("weight = 2")
    assert signature(path) != first
    assert signature(path) == read(path).signature


def test_what_cannot_be_read_has_a_signature(tmp_path: Path) -> None:
    """So that it is not tried again before it is another."""
    path = tmp_path / "lvs.toml"
    path.mkdir()
    first = signature(path)
    assert first == signature(path) != ()
    path.rmdir()
    path.write_text("new")
    assert signature(path) not in (first, ())


# chain


def test_chain_of_a_plain_file(tmp_path: Path) -> None:
    path = tmp_path / "lvs.toml"
    assert chain(path) == (path,)  # and it need not exist


def test_chain_of_links(tmp_path: Path) -> None:
    """As Kubernetes mounts a ConfigMap: the file through `..data`, which is what is swapped."""
    (tmp_path / "..v1").mkdir()
    (tmp_path / "..v1" / "lvs.toml").touch()
    (tmp_path / "..data").symlink_to("..v1")
    (tmp_path / "lvs.toml").symlink_to("..data/lvs.toml")
    assert chain(tmp_path / "lvs.toml") == (
        tmp_path / "lvs.toml",
        tmp_path / "..data",
        tmp_path / "..v1" / "lvs.toml",
    )


def test_chain_with_a_linked_directory_and_a_parent(tmp_path: Path) -> None:
    (tmp_path / "real" / "below").mkdir(parents=True)
    (tmp_path / "etc").symlink_to(tmp_path / "real" / "below")
    (tmp_path / "real" / "lvs.toml").symlink_to("../other/./lvs.toml")
    found = chain(tmp_path / "etc" / ".." / "lvs.toml")
    assert found == (tmp_path / "etc", tmp_path / "real" / "lvs.toml", tmp_path / "other" / "lvs.toml")


def test_chain_of_a_loop_ends(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert {tmp_path / "a", tmp_path / "b"} <= set(chain(tmp_path / "a"))


# Watch


class Recorded(Watch):
    """A watch that tells when it has seen a file `.barrier`, and so all that was before it."""

    def __init__(self, path: Path, poke: Callable[[], object]) -> None:
        self.reached = threading.Event()
        super().__init__(path, poke)

    def _event(self, kind: str, source: str, target: str) -> None:
        super()._event(kind, source, target)
        if source.endswith(".barrier"):
            self.reached.set()


class Watched:
    """A watch, and whether it poked."""

    def __init__(self, path: Path) -> None:
        self.poked = threading.Event()
        self.watch = Recorded(path, self.poked.set)
        assert self.watch.fault == ""

    def sees(self) -> bool:
        """Whether it poked within patience; the next change counts anew."""
        seen = self.poked.wait(PATIENCE_S)
        self.poked.clear()
        return seen


@contextmanager
def watched(path: Path) -> Iterator[Watched]:
    made = Watched(path)
    try:
        yield made
    finally:
        made.watch.stop()


def test_written_in_place(tmp_path: Path) -> None:
    """When it is closed, and not before: half of it may be valid."""
    path = tmp_path / "lvs.toml"
    path.write_text("old")
    with watched(path) as found:
        with path.open("w") as file:
            file.write("half")
            file.flush()
            barrier(found, tmp_path)
        assert found.sees()


def barrier(found: Watched, directory: Path) -> None:
    """Wait until the watch has seen what was before this; it must not have poked."""
    (directory / "x.barrier").touch()
    assert found.watch.reached.wait(PATIENCE_S)
    assert not found.poked.is_set()


def test_renamed_over(tmp_path: Path) -> None:
    path = tmp_path / "lvs.toml"
    path.write_text("old")
    with watched(path) as found:
        (tmp_path / "lvs.toml.tmp").write_text("new")
        (tmp_path / "lvs.toml.tmp").replace(path)
        assert found.sees()


def test_moved_here_from_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "PATIENCE_S", 0.7)
    (tmp_path / "etc").mkdir()
    path = tmp_path / "etc" / "lvs.toml"
    path.write_text("old")
    (tmp_path / "new.toml").write_text("new")
    with watched(path) as found:
        (tmp_path / "new.toml").replace(path)
        assert found.sees()


def test_the_file_comes_later(tmp_path: Path) -> None:
    path = tmp_path / "lvs.toml"
    with watched(path) as found:
        path.write_text("new")
        assert found.sees()


def test_a_new_file_is_not_read_before_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "lvs.toml"
    with watched(path) as found:
        with path.open("w") as file:
            file.write("half")
            file.flush()
            barrier(found, tmp_path)
        assert found.sees()


def test_swapped_as_kubernetes_does(tmp_path: Path) -> None:
    """A new directory, a link beside it, and a rename of the link; then the same again."""
    for version in ("..v1", "..v2", "..v3"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "lvs.toml").write_text(version)
    (tmp_path / "..data").symlink_to("..v1")
    (tmp_path / "lvs.toml").symlink_to("..data/lvs.toml")
    with watched(tmp_path / "lvs.toml") as found:
        for version in ("..v2", "..v3"):
            (tmp_path / "..data_tmp").symlink_to(version)
            (tmp_path / "..data_tmp").replace(tmp_path / "..data")
            assert found.sees()
            found.watch.follow()
            found.poked.clear()
            assert read(tmp_path / "lvs.toml").content == version.encode()
        (tmp_path / "..v3" / "lvs.toml").write_text("in place, below the link")
        assert found.sees()


def test_a_link_made_anew(tmp_path: Path) -> None:
    """As `ln -sf` of old did: remove, then create."""
    (tmp_path / "one").write_text("1")
    (tmp_path / "two").write_text("2")
    path = tmp_path / "lvs.toml"
    path.symlink_to("one")
    with watched(path) as found:
        path.unlink()
        path.symlink_to("two")
        assert found.sees()


def test_other_files_are_not_ours(tmp_path: Path) -> None:
    path = tmp_path / "lvs.toml"
    path.write_text("old")
    with watched(path) as found:
        (tmp_path / "lvs.toml.swp").write_text("an editor's")
        (tmp_path / "other").mkdir()
        barrier(found, tmp_path)
        path.write_text("new")
        assert found.sees()


def test_reading_it_is_no_change(tmp_path: Path) -> None:
    """Ours would poke itself for ever."""
    path = tmp_path / "lvs.toml"
    path.write_text("old")
    with watched(path) as found:
        read(path)
        barrier(found, tmp_path)


def test_no_directory_and_then_one(tmp_path: Path) -> None:
    """inotify has nothing to watch; the clock finds it, and watches from then on."""
    path = tmp_path / "etc" / "lvs.toml"
    with watched(path) as found:
        path.parent.mkdir()
        path.write_text("new")
        assert not found.watch.stale(())
        assert found.watch.stale(())
        found.poked.clear()
        path.write_text("newer")
        assert found.sees()


def test_stale_waits_for_the_file_to_stand_still(tmp_path: Path) -> None:
    path = tmp_path / "lvs.toml"
    path.write_text("old")
    known = signature(path)
    with watched(path) as found:
        assert not found.watch.stale(known)
        path.write_text("half")
        assert not found.watch.stale(known)
        path.write_text("whole of it")
        assert not found.watch.stale(known)
        assert found.watch.stale(known)
        assert not found.watch.stale(signature(path))
        path.unlink()
        assert not found.watch.stale(known)
        assert not found.watch.stale(known)  # a file that is gone is nothing to load


def test_stale_within_a_tick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where inotify is blind: as long as the times are too young to be trusted, content counts."""
    ticking(monkeypatch, time.time_ns())
    path = tmp_path / "lvs.toml"
    path.write_text("weight = 1")
    known = read(path).signature
    with watched(path) as found:
        for _ in range(3):
            assert not found.watch.stale(known)
        path.write_text("weight = 2")
        assert found.watch.stale(known)
        assert not found.watch.stale(read(path).signature)


def test_stale_reads_no_more_once_the_times_can_be_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lvs.toml"
    path.write_text("weight = 1")
    known = read(path).signature
    reads: list[Path] = []

    def counted(path: Path) -> Text:
        reads.append(path)
        return read(path)

    monkeypatch.setattr(files, "read", counted)
    monkeypatch.setattr(files, "TICK_NS", 1 << 60)
    with watched(path) as found:
        for _ in range(3):
            assert not found.watch.stale(known)
        assert len(reads) == 3
        monkeypatch.setattr(files, "TICK_NS", -(1 << 60))
        for _ in range(3):
            assert not found.watch.stale(known)
        assert len(reads) == 4


def test_a_directory_replaced_as_a_whole(tmp_path: Path) -> None:
    """Another inode under the same name is followed."""
    path = tmp_path / "etc" / "lvs.toml"
    path.parent.mkdir()
    path.write_text("old")
    with watched(path) as found:
        path.parent.rename(tmp_path / "before")
        path.parent.mkdir()
        path.write_text("new")
        found.watch.follow()
        found.poked.clear()
        path.write_text("newer")
        assert found.sees()


def test_no_watch_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """fs.inotify.max_user_watches is reached: it is told, and the clock goes on."""
    from watchdog.observers.inotify import InotifyObserver

    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "inotify watch limit reached")

    monkeypatch.setattr(InotifyObserver, "schedule", refuse)
    path = tmp_path / "lvs.toml"
    path.write_text("old")
    watch = Watch(path, lambda: None)
    assert watch.fault == "inotify watch limit reached"
    assert not watch.stale(())
    assert watch.stale(())
    watch.stop()
