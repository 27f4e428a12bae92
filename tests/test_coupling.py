"""Two directors with one configuration: real files, real TLS over loopback, the real decisions; no kernel."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from lvs import events
from lvs.io import pairfile
from lvs.sync.messages import Use
from stand import two, until


def test_a_push_is_in_the_others_file_and_runs(tmp_path: Path) -> None:
    async def run() -> None:
        async with two(tmp_path) as both:
            text = both.text(2, weight=5) + "# by hand, as its author wrote it\n"
            outcome = await both.one.save(text)
            assert not outcome.refused
            await until(lambda: both.two.status == "same" and both.one.status == "same")
            assert both.two.path.read_text() == text
            assert (both.one.weight, both.two.weight) == (5, 5)
            assert both.two.file.signature == both.two.file.look().signature  # and is not loaded once more
            assert both.two.applied_serials == [2]
            assert pairfile.load(both.two.place / pairfile.NAME).agreed.version is not None
            await both.two.save(both.text(3, weight=6))
            await until(lambda: both.one.weight == 6)
            assert both.one.path.read_text() == both.text(3, weight=6)

    asyncio.run(run())


def test_refused_there_it_is_applied_nowhere(tmp_path: Path) -> None:
    async def run() -> None:
        async with two(tmp_path) as both:
            both.two.path.chmod(0o600)
            (both.two.path.parent / ".lvs.toml.offered").mkdir()  # as a disk that cannot be written
            outcome = await both.one.save(both.text(2, weight=5))
            assert len(outcome.refused) == 1
            assert "the other director: cannot write beside" in outcome.refused[0]
            assert (both.one.weight, both.two.weight) == (1, 1)
            assert both.two.path.read_text() == both.text(1)
            assert both.one.heard_of(events.ConfigRefusedByPeer)

    asyncio.run(run())


ANOTHER = """
[[virtual]]
name = "more"
address = "192.0.2.2"
device = "lo"
port = 80
scheduler = "mh"
server = [{ name = "real1", address = "10.0.0.3" }]
"""


@pytest.mark.parametrize("saved", [0, 1])
def test_a_virtual_server_that_the_standby_cannot_have_runs_on_neither(tmp_path: Path, saved: int) -> None:
    async def run() -> None:
        async with two(tmp_path) as both:
            standby = both.two  # nobody is active here, so whoever does not save it is looked at as one
            where, other = (both.one, standby) if saved == 0 else (standby, both.one)
            standby.lacks = "mh"
            outcome = await where.save(both.text(2, more=ANOTHER))
            (reason,) = outcome.refused
            assert reason.startswith("" if saved else "the other director: ")
            assert "the kernel refused ipvsadm -A -t 192.0.2.2:80 -s mh" in reason
            assert reason.endswith(": no such scheduler")
            assert where.path.read_text() == both.text(2, more=ANOTHER)
            assert other.path.read_text() == both.text(1)
            await until(lambda: all(node.state.config.serial_no == 1 for node in both.nodes))  # type: ignore[union-attr]
            await until(lambda: where.status == "refused")

    asyncio.run(run())


def test_what_the_others_kernel_refuses_is_told(tmp_path: Path) -> None:
    async def run() -> None:
        async with two(tmp_path) as both:
            one, standby = both.nodes
            await standby.stop()
            standby.lacks = "mh"
            await one.save(both.text(2, more=ANOTHER))  # applied at once: there is nobody to ask
            standby.boot()
            standby.start()
            await until(lambda: one.status == standby.status == "incomplete")
            assert one.coupling is not None
            said = one.coupling.status().text
            assert said.startswith("serial 2 (")
            assert "runs on both, but the other director's kernel refused 1 operation: ipvsadm -A" in said
            assert one.heard_of(events.PeerIncomplete)
            version = one.coupling.state.version
            assert version is not None
            shared = await one.coupling.consent.shared(version)
            assert not shared.refused
            assert "but the other director's kernel refused 1 operation" in shared.text

    asyncio.run(run())


def test_conflict_and_its_end(tmp_path: Path) -> None:
    async def run() -> None:
        async with two(tmp_path) as both:
            outcome = await both.one.save(both.text(1, weight=5))
            assert outcome.refused == ("conflict: serial_no is 1 on both, with other content",)
            await until(lambda: both.one.status == both.two.status == "conflict")
            assert both.one.coupling is not None
            assert both.two.coupling is not None
            shown = both.two.coupling.status()
            assert shown.there_file is not None
            assert shown.there_file.digest != shown.here.digest  # type: ignore[union-attr]
            assert await both.two.coupling.resolve(Use.THERE) == ""
            assert (both.one.weight, both.two.weight) == (5, 5)
            assert [node.status for node in both.nodes] == ["same", "same"]
            assert both.two.path.read_text() == both.text(1, weight=5)
            assert "nothing to settle" in await both.one.coupling.resolve(Use.HERE)

    asyncio.run(run())


def test_chosen_against_it_is_kept_beside(tmp_path: Path) -> None:
    async def run() -> None:
        async with two(tmp_path) as both:
            await both.one.save(both.text(1, weight=5))
            await until(lambda: both.two.status == "conflict")
            assert both.two.coupling is not None
            assert await both.two.coupling.resolve(Use.HERE) == ""
            assert both.one.path.read_text() == both.text(1)
            assert (both.one.place / "lvs.toml.replaced").read_text() == both.text(1, weight=5)
            assert (both.one.weight, both.two.weight) == (1, 1)

    asyncio.run(run())


def test_away_and_back(tmp_path: Path) -> None:
    async def run() -> None:
        async with two(tmp_path) as both:
            await both.two.stop()
            await until(lambda: both.one.status == "away")
            await both.one.save(both.text(2, weight=5))
            assert both.one.weight == 5
            assert both.one.status == "pending"
            assert both.one.heard_of(events.ConfigPending)
            both.two.boot()
            both.two.start()
            await until(lambda: both.two.weight == 5 and both.one.status == both.two.status == "same")

    asyncio.run(run())


def test_edited_on_both_while_apart(tmp_path: Path) -> None:
    async def run() -> None:
        async with two(tmp_path) as both:
            await both.two.stop()
            await until(lambda: both.one.status == "away")
            await both.one.save(both.text(2, weight=5))
            both.two.path.write_text(both.text(3, weight=6))
            both.two.boot()
            both.two.start()
            await until(lambda: both.one.status == both.two.status == "conflict")
            assert (both.one.weight, both.two.weight) == (5, 6)
            assert both.one.heard_of(events.ConfigConflict)
            assert both.two.heard_of(events.ConfigConflict)
            assert both.two.coupling is not None
            assert await both.two.coupling.resolve(Use.THERE) == ""
            assert (both.one.weight, both.two.weight) == (5, 5)
            assert (both.two.place / "lvs.toml.replaced").read_text() == both.text(3, weight=6)

    asyncio.run(run())


@pytest.mark.parametrize("content", ["", "not toml ["])
def test_a_broken_file_is_not_overwritten(tmp_path: Path, content: str) -> None:
    async def run() -> None:
        async with two(tmp_path) as both:
            await both.two.save(content)
            outcome = await both.one.save(both.text(2, weight=5))
            assert "its file was edited, and what it holds does not run" in outcome.refused[0]
            assert both.two.path.read_text() == content
            assert (both.one.weight, both.two.weight) == (1, 1)

    asyncio.run(run())
