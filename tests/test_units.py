"""The units as systemd reads them, and how little lvs.service may do."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from configparser import ConfigParser
from pathlib import Path

import pytest

from lvs.model import PersistenceEngine, Scheduler

ROOT = Path(__file__).parents[1]
TREES = [tree for tree in (ROOT / "appliance", ROOT / "image" / "mkosi.extra") if tree.is_dir()]
UNITS = Path("usr/lib/systemd/system")
SERVICE = ROOT / "appliance" / UNITS / "lvs.service"
CHECKS = ROOT / "appliance" / UNITS / "lvs-checks@.service"
SUFFIXES = {".service", ".socket", ".timer", ".mount", ".target", ".path"}

# systemd-analyze security: 0.0 is no exposure at all, 9.6 a service without any of it.
MOST_EXPOSED = {SERVICE: 3.5, CHECKS: 1.6}

pytestmark = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd here to read units")


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(("systemd-analyze", *words), capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A machine with our files, systemd's own units, and something in the place of each program."""
    root = tmp_path_factory.mktemp("machine")
    shutil.copytree("/usr/lib/systemd/system", root / UNITS, symlinks=True)
    for tree in TREES:
        shutil.copytree(tree, root, symlinks=True, dirs_exist_ok=True)
    for unit in (path for tree in TREES for path in (tree / UNITS).rglob("*") if path.is_file()):
        for program in re.findall(r"^Exec\w+=[@:+!|-]*(/\S+)", unit.read_text(), re.MULTILINE):
            place = root / program[1:]
            place.parent.mkdir(parents=True, exist_ok=True)
            if not place.exists():
                shutil.copy("/bin/true", place)
    return root


def test_systemd_takes_every_unit(machine: Path) -> None:
    names = {path.name for tree in TREES for path in (tree / UNITS).iterdir() if path.suffix in SUFFIXES}
    assert "lvs.service" in names
    done = analyze(
        "verify", f"--root={machine}", "--man=no", "--recursive-errors=no", "--generators=no", *sorted(names)
    )
    ours = [line for line in done.stderr.splitlines() if any(name in line for name in names) or "lvs" in line]
    # The image has a later systemd, and its own sshd, than the machine that builds it may have.
    later = re.compile(r"Unknown key 'ImportCredential'|Unit sshd-keygen[.]service is masked")
    ours = [line for line in ours if not later.search(line)]
    assert not ours, "\n".join(ours)


def left_open() -> dict[str, str]:
    """What systemd-analyze would have taken away from lvs.service as well, with its description."""
    done = analyze("security", "--offline=true", "--json=short", "--threshold=100", str(SERVICE))
    return {row["name"]: row["description"] for row in json.loads(done.stdout) if row["exposure"] is not None}


@pytest.mark.parametrize("unit", MOST_EXPOSED, ids=lambda unit: unit.name)
def test_little_is_exposed(unit: Path) -> None:
    said = analyze("security", "--offline=true", "--threshold=100", "--no-pager", str(unit)).stdout
    (exposure,) = re.findall(r"exposure level for .*: ([0-9.]+)", said)
    assert float(exposure) <= MOST_EXPOSED[unit]


def test_every_right_that_is_left_has_its_reason() -> None:
    text = (ROOT / "docs" / "hardening.md").read_text()
    open_ = text.split("\n## What lvs.service leaves open", 1)[1].split("\nAlso not taken", 1)[0]
    items = open_.replace("\n  ", " ").splitlines()
    told = {
        name
        for item in items
        if item.startswith("- ")
        for name in re.findall("`([^`]+)`", item.split(": ", 1)[0])
    }
    left = left_open()
    missing = [f"`{name}`: {described}" for name, described in left.items() if name not in told]
    assert not missing, "docs/hardening.md has no line for these:\n" + "\n".join(missing)
    assert told <= left.keys(), "these are taken away by now"


def test_every_module_that_a_configuration_may_name_is_loaded() -> None:
    listed = (ROOT / "appliance/usr/lib/modules-load.d/lvs.conf").read_text().splitlines()
    names = {line for line in listed if not line.startswith("#")}
    kinds = {f"ip_vs_{kind}" for kind in Scheduler} | {f"ip_vs_pe_{kind}" for kind in PersistenceEngine}
    assert names == {"ip_vs", *kinds}


def test_settings_are_not_also_lvsds() -> None:
    """What lvsd sets and puts back must not be pinned by the image as well."""
    sysctls = (ROOT / "image/mkosi.extra/usr/lib/sysctl.d/50-lvs.conf").read_text()
    parser = ConfigParser(delimiters=("=",), comment_prefixes=("#",), interpolation=None)
    parser.read_string(f"[all]\n{sysctls}")
    names = {name.lstrip("-") for name in parser["all"]}
    kernel = (ROOT / "docs" / "kernel.md").read_text()
    ours = {name.replace("/", ".") for name in re.findall(r"^\| `(net/[\w/]+)` \|", kernel, re.MULTILINE)}
    assert names
    assert not names & ours
    assert not [name for name in names if name.startswith("net.ipv4.vs.")]
