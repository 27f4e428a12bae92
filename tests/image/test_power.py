"""Power cuts: whatever the moment, the director comes up with what was acknowledged last, or what came next.

A director is recorded at work, all that its disk was told to write, until it is killed in the middle of a
push. Then its disk is made as it is if the power had gone at other moments, some hundred of them.
"""

from __future__ import annotations

import asyncio
import getpass
import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest

from lab import outage
from lab.appliance import Appliance
from lab.lab import Lab
from lab.outage import Change, Outage, Recording
from lab.writelog import Arrived, Cut
from lvs.changes import Changes
from lvs.commits import Commits
from lvs.config.load import load
from lvs.events import RepositoryUnusable
from lvs.io import bare
from lvs.io.git import Git
from lvs.io.git_program import GitFault
from lvs.keeper import Keeper
from lvs.protocol import RollbackRequest
from lvs.pushes import HOOKS
from pushing import LVSD, Copy, PushedTo
from stand import Stand, until

pytestmark = pytest.mark.image

CUTS = int(os.environ.get("POWER_CUTS", "200"))
SEED = int(os.environ.get("POWER_SEED", "1"))
BOOTED = 3


@pytest.fixture(scope="module")
def outage_(lab: Lab) -> Iterator[Outage]:
    one = Outage(lab)
    try:
        yield one
    finally:
        one.close()


@pytest.fixture(scope="module")
def recording(outage_: Outage) -> Recording:
    """Ten pushes and an edit by hand, and the power gone in the push after them."""
    kept = outage_.work()
    outage_.cut_a_push()
    return outage_.recording(kept)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """The same of the code here, on a disk of this machine: without all else that an image writes."""
    place = tmp_path_factory.mktemp("here")
    image, base, log = place / "image", place / "base", place / "writes"
    with outage.private() as pool:
        changes = pool.submit(recorded, image, base, log, place).result()
    return Recording(base, log, changes, (0, base.stat().st_size))


def recorded(image: Path, base: Path, log: Path, place: Path) -> list[Change]:
    """Make a state partition, and have a director at work on it."""
    with image.open("wb") as file:
        file.truncate(128 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-b", "4096", str(image)], check=True)
    with outage.mounted(image, place / "made") as var:
        for name in (outage.STATE, f"{outage.ETC}/lvs", "lib/overlay/etc/work"):
            (var / name).mkdir(parents=True)
        (var / outage.FILE).write_text(outage.configuration(1))
        bare.make(var / outage.GIT, hooks(place, var), getpass.getuser())
    shutil.copy(image, base)
    with outage.logged(image, log, place / "var") as var, outage.overlaid(var, place / "etc") as etc:
        return asyncio.run(worked(place, var, etc, log))


def hooks(place: Path, var: Path) -> Path:
    """What git runs for a push."""
    directory = place / "hooks"
    directory.mkdir()
    for name in HOOKS:
        hook = directory / name
        hook.write_text(
            f"#!/bin/sh\nexec {LVSD} hook --run-dir {var.with_name('var') / outage.STATE} {name}\n"
        )
        hook.chmod(0o755)
    return directory


async def worked(place: Path, var: Path, etc: Path, log: Path) -> list[Change]:
    """Begin with a file and an empty repository, push, edit by hand, push something else."""
    one, clone = Director(var, etc), Copy(place / "clone", var / outage.GIT)
    changes = [Change(outage.configuration(1), 0, 0, "")]

    def now() -> int:
        return log.stat().st_size

    one.start()
    await until(lambda: one.keeper.usable and one.keeper.tip)
    await clone.clone()
    for number in range(outage.PUSHES):
        if number == outage.BY_HAND:
            text, begun, before = outage.configuration(changes[-1].serial + 1), now(), one.keeper.tip
            with (edited := one.path.with_name("edited")).open("w") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            edited.replace(one.path)
            await one.load()
            await until(lambda before=before: one.keeper.tip != before)  # type: ignore[misc]
            changes.append(Change(text, begun, now(), one.keeper.tip))
            await clone.git("pull", "-q", "--rebase", "origin", "main")
        if number == outage.BACK:
            begun = now()
            reply = await one.changes.rollback(RollbackRequest(), "root")
            assert not reply.exit_code, reply
            changes.append(Change(one.path.read_text(), begun, now(), one.keeper.tip))
            await clone.git("pull", "-q", "--rebase", "origin", "main")
        beside = number == outage.BESIDE
        text = changes[-1].text if beside else outage.configuration(changes[-1].serial + 1)
        commit = await clone.commit(text, "notes" if beside else "lvs.toml")
        begun = now()
        code, said = await clone.push()
        assert code == 0, said
        changes.append(Change(text, begun, now(), commit))
    await one.stop()
    return changes


@pytest.fixture(scope="module")
def again(lab: Lab, outage_: Outage, recording: Recording) -> Iterator[list[tuple[Appliance, list[Change]]]]:
    """The killed one, and some that lost their power at other moments, booted; what each may come up with."""
    place = outage_.director.place.with_name("power-cut")
    place.mkdir(exist_ok=True)
    outage_.director.write_log = None
    started = [(outage_.director, [*recording.changes[-2:]])]
    chance = random.Random(SEED)
    drawn = sorted(chance.sample(cuts(recording), BOOTED), key=lambda it: it.requests)
    region = recording.disk(place / "disk")
    for number, cut in enumerate(drawn):
        region.cut(recording.log, recording.entries, cut, disk := place / f"{number}.raw")
        segment = lab.segment(f"cut{number}", {})
        one = Appliance(
            segment, f"power{number}", outage.ADDRESS, disk=disk, disk_size=str(outage.DISK_BYTES)
        )
        started.append((one, [*recording.allowed(cut)]))
    for one, _ in started:
        one.power_on()
    try:
        yield started
    finally:
        for one, _ in started:
            one.close()
        shutil.rmtree(place)


def cuts(recording: Recording) -> list[Cut]:
    """Moments of the pushing time at random, and the one after each acknowledgement; in order."""
    chance = random.Random(SEED)
    begun = recording.count(recording.changes[1].begun)
    told = [recording.count(it.acknowledged) for it in recording.changes[1:] if it.acknowledged]
    drawn = [chance.randint(begun, len(recording.entries)) for _ in range(CUTS)]
    some = [Cut(count, list(Arrived)[n % 3], chance.getrandbits(32)) for n, count in enumerate(drawn)]
    return sorted([*some, *(Cut(count, Arrived.NONE, 0) for count in told)], key=lambda it: it.requests)


class Director(PushedTo):
    """A director on a state partition, without a kernel."""

    def __init__(self, var: Path, etc: Path | None = None) -> None:
        self._var, self._etc = var, etc or var / outage.ETC
        super().__init__(var / outage.STATE, outage.ADDRESS)

    def boot(self) -> None:
        self.path, self.repository = self._etc / "lvs/lvs.toml", self._var / outage.GIT
        Stand.boot(self)
        self.keeper = Keeper(self, self.repository)  # type: ignore[arg-type]
        self.changes = Changes(self.keeper, self.plan, self.place)
        self.commits = Commits(self.keeper)


def settle(var: Path) -> tuple[str, bytes, set[str]]:
    """Have a director start: why it cannot use its repository, the configuration in main, commits of main."""

    async def run() -> tuple[str, bytes, set[str]]:
        one = Director(var)
        one.start()

        def settled() -> bool:
            return one.keeper.usable and one.keeper.blob == one.keeper.running_blob()

        try:
            await until(lambda: settled() or one.heard_of(RepositoryUnusable))
            if not settled():
                return str(one.heard_of(RepositoryUnusable)[0]), b"", set()
            git, tip = one.keeper.git, one.keeper.git.tip()
            return "", one.keeper.content(tip).content, set(git.recent(tip))
        finally:
            await one.stop()

    return asyncio.run(run())


def judge(recording: Recording, cut: Cut, var: Path) -> list[str]:
    """What is wrong with a state partition after a power cut."""
    allowed = recording.allowed(cut)
    wrong = [path for path, known in recording.kept.items() if (var / path).read_bytes() != known]
    content = (var / outage.FILE).read_bytes()
    if load(content, "lvs.toml").config is None:
        wrong.append(f"the configuration is not valid, {len(content)} bytes")
    elif content not in {it.text.encode() for it in allowed}:
        expected = [it.serial for it in allowed]
        wrong.append(f"the file has serial {outage.serial_of(content.decode())}, not {expected}")
    wrong += unsound(var)
    if not wrong:
        wrong += started(var, content, {it.commit for it in acknowledged(recording, allowed[0])} - {""})
    return wrong


def unsound(var: Path) -> list[str]:
    """What git says is wrong with the repository."""
    try:
        Git(var / outage.GIT).run("fsck", "--strict", "--full", "--no-progress", "--no-dangling")
    except GitFault as fault:
        return [str(fault)]
    return []


def started(var: Path, content: bytes, commits: set[str]) -> list[str]:
    """What is wrong when a director has started there: it has this file, and was told these commits."""
    unusable, main, known = settle(var)
    if unusable:
        return [unusable]
    wrong = []
    if not main == content == (var / outage.FILE).read_bytes():
        wrong.append("file and main differ after a start")
    if lost := commits - known:
        wrong.append(f"acknowledged commits are gone: {sorted(lost)}")
    return wrong


def acknowledged(recording: Recording, last: Change) -> list[Change]:
    """All up to the last."""
    return [*recording.changes[: recording.changes.index(last) + 1]]


def test_every_cut_of_the_code_here(here: Recording, tmp_path: Path) -> None:
    survive(here, tmp_path)


@pytest.mark.long
def test_every_cut_of_the_image(recording: Recording, tmp_path: Path) -> None:
    survive(recording, tmp_path)


@pytest.mark.long
def test_every_cut_of_the_first_boot(recording: Recording, tmp_path: Path) -> None:
    """What is there is whole: the next boot goes on from it."""
    chance = random.Random(SEED)
    end = recording.count(recording.changes[1].begun)
    drawn = [Cut(chance.randint(0, end), Arrived.SOME, chance.getrandbits(32)) for _ in range(CUTS // 5)]
    ordered = sorted(drawn, key=lambda it: it.requests)
    found = outage.judged(partial(judged, whole), recording, ordered, tmp_path)
    assert not found, "\n".join(found)


def whole(recording: Recording, _cut: Cut, var: Path) -> list[str]:
    """What is half there."""
    known = recording.kept | {outage.FILE: recording.changes[0].text.encode()}
    wrong = [path for path, it in known.items() if (var / path).exists() and (var / path).read_bytes() != it]
    if (var / outage.GIT).exists():
        wrong += unsound(var)
    return wrong


@pytest.mark.long
def test_it_comes_up_and_serves(again: list[tuple[Appliance, list[Change]]]) -> None:
    for director, allowed in again:
        director.await_up(outage.LONG_BOOT_S)
        served = "|".join(f"-p {it.persistence}" for it in allowed)
        director.await_true(f"ipvsadm -Sn | grep -E -- '-t {outage.VIP}:80 .*({served})'", 120)
        director.await_true(f"ip address show | grep -w {outage.VIP}", 60)
        assert director.run("cat /etc/lvs/lvs.toml").out in {it.text for it in allowed}
        director.await_true("lvsd history -n 1 | grep -v 'no commit'", 60)


@pytest.mark.long
def test_a_push_after_the_one_that_was_cut(
    outage_: Outage, again: list[tuple[Appliance, list[Change]]]
) -> None:
    assert again
    outage_.git("pull", "-q", "--rebase", "origin", "main")
    outage_.push()
    outage_.director.run(f"ipvsadm -Sn | grep -- '-p {outage_.changes[-1].persistence}'")


def survive(recording: Recording, tmp_path: Path) -> None:
    """Cut the power at all moments, and have the director start on what is left."""
    found = outage.judged(partial(judged, judge), recording, cuts(recording), tmp_path)
    assert not found, "\n".join(found)


def judged(
    judge_: Callable[[Recording, Cut, Path], list[str]],
    recording: Recording,
    share: Sequence[Cut],
    place: Path,
) -> list[str]:
    """What is wrong after these cuts, one after the other."""
    region, found, image = recording.state(place / "state"), [], place / "cut"
    for cut in share:
        region.cut(recording.log, recording.entries, cut, image)
        with outage.mounted(image, place / "var") as var:
            wrong = judge_(recording, cut, var)
        checked = subprocess.run(["e2fsck", "-fn", str(image)], capture_output=True, text=True, check=False)
        if checked.returncode:
            wrong.append(f"e2fsck: {checked.stdout}")
        if wrong:
            found.append(recording.told(cut, wrong))
    return found
