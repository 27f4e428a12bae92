"""`lvsd update` and `lvsd healthy` as an operator runs them, on a machine of directories."""

from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lvs import update
from lvs.errors import SystemFault, UsageError
from lvs.io import notes, trial, updates
from lvs.io.updates import Places
from lvs.subcommands import parser
from lvs.updating.note import End, Note, Stage
from updating.packing import allowed, key, pack, places


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("made")
    release = key(directory, "release")
    allowed(directory / "signers", release)
    pack(directory, "0.2.0", release)
    return directory


@pytest.fixture
def machine(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    monkeypatch.setattr(update, "JOURNAL", tmp_path / "no journal")
    return places(tmp_path / "machine", made / "signers")


def asked(*words: str) -> argparse.Namespace:
    return parser(words[:1]).parse_args(words)


def told(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out


def test_install_then_boot_then_healthy(
    made: Path, machine: Places, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert update.run(asked("update", str(made / "lvs-0.2.0.update")), machine) == 0
    said = told(capsys)
    assert "lvs 0.2.0, signed by release" in said
    assert said.endswith("0.2.0 is installed; the next boot starts it (systemctl reboot)\n")
    pending = notes.load(machine.directory).pending
    assert pending is not None
    assert (pending.version, pending.before, pending.by) == ("0.2.0", "0.1.0", "release")
    assert pending.stage is Stage.LAID
    assert update.run(asked("update", "--status"), machine) == 0
    shown = told(capsys)
    assert "running: lvs 0.1.0, was started well (vm, " in shown
    assert "other:   0.2.0, not started yet" in shown
    assert "next:    0.2.0" in shown

    booted(machine, "0.2.0", monkeypatch)
    monkeypatch.setattr(update, "_looked", lambda _: ((), 0))
    monkeypatch.setattr(update, "HOLD_S", 0.0)
    assert update.healthy(asked("healthy", "--wait", "5"), machine) == 0
    assert "0.2.0 came up healthy and stays" in told(capsys)
    last = notes.load(machine.directory).last
    assert last is not None
    assert last.end is End.PROVED


def booted(machine: Places, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    release = machine.os_release.read_text().replace("0.1.0", version)
    machine.os_release.write_text(release)
    monkeypatch.setattr(updates, "boot_id", lambda: "another boot")


def test_an_unhealthy_boot_and_the_fallback_after_it(
    made: Path, machine: Places, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    update.run(asked("update", str(made / "lvs-0.2.0.update")), machine)
    before = machine.os_release.read_text()
    booted(machine, "0.2.0", monkeypatch)
    monkeypatch.setattr(update, "_looked", lambda _: (("lvs.service is failed",), 0))
    assert update.healthy(asked("healthy", "--wait", "0.01"), machine) == 1
    assert "0.2.0 is on trial and did not come up healthy: lvs.service is failed" in told(capsys)

    machine.os_release.write_text(before)
    linux = machine.esp[1] / "EFI/Linux"
    (linux / "lvs_0.2.0+3-0.efi").rename(linux / "lvs_0.2.0+0-3.efi")
    monkeypatch.setattr(update, "_looked", lambda _: ((), 0))
    monkeypatch.setattr(update, "HOLD_S", 0.0)
    assert update.healthy(asked("healthy", "--wait", "1"), machine) == 0
    assert "0.2.0 was given up, 0.1.0 runs again: lvs.service is failed" in told(capsys)
    update.run(asked("update", "--status", "--json"), machine)
    shown = json.loads(told(capsys))
    assert shown["other"]["left"] == 0
    assert shown["next"] == "0.1.0"
    assert shown["note"]["last"]["end"] == "fell back"


def test_a_proved_director_that_is_unhealthy_is_only_told(
    machine: Places, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(update, "_looked", lambda _: (("why",), 0))
    assert update.healthy(asked("healthy", "--wait", "0.01"), machine) == 1
    assert "trial" not in told(capsys)
    assert notes.load(machine.directory) == Note()


def test_one_that_dies_again_and_again_is_not_healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    starts = iter(range(1000))
    monkeypatch.setattr(update, "_looked", lambda _: ((), next(starts)))
    monkeypatch.setattr(update, "LOOK_EVERY_S", 0.001)
    assert update._watch(Path("/nowhere"), 0.02, 0.01) == ("lvs.service does not stay up",)


def test_without_a_daemon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(trial, "unit", lambda: ("active", 0))
    assert update.healthy(asked("healthy", "--run-dir", str(tmp_path))) == 1
    assert "no lvsd answers" in capsys.readouterr().err
    monkeypatch.setattr(trial, "unit", lambda: ("failed", 3))
    assert update._looked(tmp_path) == (("lvs.service is failed",), 3)


def test_a_refusal_leaves_no_note(made: Path, machine: Places) -> None:
    (made / "broken.update").write_bytes((made / "lvs-0.2.0.update").read_bytes()[:2000])
    with pytest.raises(SystemFault, match="truncated"):
        update.run(asked("update", str(made / "broken.update")), machine)
    assert notes.load(machine.directory).last is None


def test_a_failure_is_noted(made: Path, machine: Places, capsys: pytest.CaptureFixture[str]) -> None:
    (made / "half.update").write_bytes((made / "lvs-0.2.0.update").read_bytes()[:100_000])
    with pytest.raises(SystemFault, match="truncated"):
        update.run(asked("update", str(made / "half.update")), machine)
    told(capsys)
    update.run(asked("update", "--status"), machine)
    assert "last:    0.2.0 was not installed: " in told(capsys)


def test_a_note_that_cannot_be_written_gives_no_boot_up(
    made: Path, machine: Places, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    update.run(asked("update", str(made / "lvs-0.2.0.update")), machine)
    booted(machine, "0.2.0", monkeypatch)
    monkeypatch.setattr(update, "_looked", lambda _: ((), 0))
    monkeypatch.setattr(update, "HOLD_S", 0.0)

    def full(*_: object) -> None:
        raise SystemFault("cannot write note.json: no space left on device")

    monkeypatch.setattr(notes, "save", full)
    assert update.healthy(asked("healthy", "--wait", "1"), machine) == 0
    assert "no space left" in capsys.readouterr().err


def test_check_installs_nothing(made: Path, machine: Places, capsys: pytest.CaptureFixture[str]) -> None:
    assert update.run(asked("update", "--check", str(made / "lvs-0.2.0.update")), machine) == 0
    assert "lvs 0.2.0, signed by release, whole" in told(capsys)
    machine.os_release.write_text(machine.os_release.read_text().replace("0.1.0", "0.2.0"))
    assert update.run(asked("update", "--check", str(made / "lvs-0.2.0.update")), machine) == 1
    assert "0.2.0 runs already" in capsys.readouterr().err
    assert notes.load(machine.directory) == Note()


def test_only_a_newer_one(made: Path, machine: Places, capsys: pytest.CaptureFixture[str]) -> None:
    machine.os_release.write_text(machine.os_release.read_text().replace("0.1.0", "0.2.0"))
    assert update.run(asked("update", "--newer", str(made / "lvs-0.2.0.update")), machine) == 0
    assert told(capsys) == ""


def test_reboot_when_told(made: Path, machine: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    rebooted: list[bool] = []

    def reboot() -> bool:
        rebooted.append(True)
        return True

    monkeypatch.setattr(trial, "reboot", reboot)
    update.run(asked("update", str(made / "lvs-0.2.0.update")), machine)
    assert not rebooted
    update.run(asked("update", "--reboot", str(made / "lvs-0.2.0.update")), machine)
    assert rebooted


def test_something_must_be_named(machine: Places) -> None:
    with pytest.raises(UsageError, match="name the update"):
        update.run(asked("update"), machine)


def test_a_machine_without_the_image(machine: Places, capsys: pytest.CaptureFixture[str]) -> None:
    machine.os_release.write_text("ID=debian\n")
    update.run(asked("update", "--status"), machine)
    assert "updated as it was installed" in told(capsys)


def test_the_transfers_ask_for_what_is_packed(made: Path) -> None:
    """sysupdate.d(5): a part of another name would lie there for ever."""
    directory = Path(__file__).parents[1] / "image/mkosi.extra/usr/lib/sysupdate.d"
    names = subprocess.run(
        ("tar", "tf", made / "lvs-0.2.0.update"), check=True, capture_output=True, text=True
    ).stdout.split()[2:]
    patterns = []
    for file in sorted(directory.glob("*.transfer")):
        values: dict[str, Any] = dict(
            line.split("=", 1) for line in file.read_text().split("[Target]")[0].splitlines() if "=" in line
        )
        patterns.append(values["MatchPattern"].replace("@v", "0.2.0"))
        assert values["Path"] == str(Places().parts)
    wanted = [name.replace(name.split(".")[-3], "@u") if ".raw." in name else name for name in names]
    assert patterns == wanted
