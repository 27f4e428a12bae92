"""House rules: what holds for all of the code, whoever writes it."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import tomllib
from functools import cache
from pathlib import Path

import pytest

from lvs import events, selftest
from lvs.checks import Reason

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "lvs"


@cache
def files() -> tuple[Path, ...]:
    """Every file that is, or would be, in the repository; relative to its top."""
    listed = subprocess.run(
        ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"),
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    return tuple(Path(name) for name in sorted(set(listed.split("\0"))) if name and (ROOT / name).is_file())


@cache
def texts() -> dict[Path, str]:
    found = {}
    for path in files():
        content = (ROOT / path).read_bytes()
        if b"\0" not in content:
            found[path] = content.decode(errors="replace")
    return found


def modules() -> list[str]:
    """Our modules by dotted name, packages without content left out."""
    found = []
    for path in files():
        if path.suffix == ".py" and path.is_relative_to("src") and (ROOT / path).stat().st_size:
            parts = path.relative_to("src").with_suffix("").parts
            found.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return found


def path_of(module: str) -> Path:
    path = ROOT / "src" / module.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


# Imports point one way

# A room is a module or a package below lvs. It imports rooms of the lines above its own, and itself;
# rooms of one line do not know each other.
LINES = (
    {"errors", "events", "checks"},
    {"model", "subcommands"},
    {"probes"},  # which say what they can be asked: config goes by it
    {"config", "kernel", "health", "pulse", "sync", "updating", "completion", "repository", "arguments"},
    {"why"},
    {"status", "telling", "letters", "pairstatus", "firstboot", "realserver"},
    {"protocol", "commands"},
    {"inputs"},
    {"pair"},
    {"state", "connections"},
    {"outcomes", "roles"},
    {"director"},
    {"operators", "explain", "fitness"},
    {"io"},
    {"begin", "pulsing", "consent", "readiness", "fate"},
    {"converging", "courier", "liaison", "offered", "sharing"},
    {"coupling", "partner", "planning"},
    {"keeper", "rereading"},
    {"trials", "commits"},
    {"changes"},
    {"desk"},
    {"daemon"},
    {"running", "offline", "requests"},
    {"upkeep", "joining", "booting", "preparing", "firewall", "update", "pushes", "pulling"},
    {"rollout", "asking", "records"},
    {"inventory"},  # it imports all but the command line, and what runs it
    {"selftest"},
    {"cli", "console"},
)
# (module, what it may import all the same)
GRANTED = {
    ("lvs.errors", "lvs.config.located"),  # ConfigError carries problems; for the type checker only
}


def rank(room: str) -> int:
    for number, line in enumerate(LINES):
        if room in line:
            return number
    raise AssertionError(f"{room} has no place in LINES: say what it may import")


def imports(module: str) -> set[str]:
    """Modules of ours that a module imports anywhere, for the type checker too."""
    found = set()
    for node in ast.walk(ast.parse(path_of(module).read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == "lvs"}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: a relative import hides which room it reaches"
            name = node.module or ""
            if name.split(".")[0] == "lvs":
                below = {f"{name}.{alias.name}" for alias in node.names}
                found |= {(full if path_of(full).exists() else name) for full in below}
    return found - {"lvs"}


def test_imports_point_one_way() -> None:
    def may(module: str, imported: str) -> bool:
        room, other = module.split(".")[1], imported.split(".")[1]
        return room == other or rank(other) < rank(room) or (module, imported) in GRANTED

    found = [(module, imported) for module in modules() for imported in sorted(imports(module))]
    wrong = [f"{module} imports {imported}" for module, imported in found if not may(module, imported)]
    assert not wrong, "\n".join(wrong)


# Modules and their tests

# Modules without a test file of their own, and what tests them.
TESTED_ELSEWHERE = {
    "lvs": "holds the version",
    "lvs.events": "the catalog's tests below",
    "lvs.events.base": "the catalog's tests below",
    "lvs.events.table": "the catalog's tests below",
    "lvs.events.health": "the catalog's tests below",
    "lvs.events.pair": "the catalog's tests below",
    "lvs.events.firstboot": "the catalog's tests below",
    "lvs.events.peer": "the catalog's tests below",
    "lvs.events.pulse": "the catalog's tests below",
    "lvs.events.repository": "the catalog's tests below",
    "lvs.events.update": "the catalog's tests below",
    "lvs.errors": "no code but constructors",
    "lvs.checks": "values without code",
    "lvs.commands": "values without code; tests/test_director.py makes them",
    "lvs.inputs": "values without code; tests/test_director.py feeds them",
    "lvs.firstboot.values": "values; tests/firstboot makes them",
    "lvs.firstboot.options": "arguments; tests/test_booting.py gives them",
    "lvs.config.judge": "tests/config/test_build.py and test_whole.py",
    "lvs.config.check_values": "tests/config/test_checks.py, in both directions",
    "lvs.config.global_options": "a table; tests/config/test_options.py",
    "lvs.config.virtual_options": "a table; tests/config/test_options.py",
    "lvs.config.option": "values without code; tests/config/test_options.py",
    "lvs.io.git_program": "tests/io/test_git.py, by every command",
    "lvs.io.asked": "tests/io/test_engine.py, whose askers are asked through it",
    "lvs.io.backlog": "tests/io/test_engine.py, as what every order goes through",
    "lvs.io.errands": "tests/io/test_workshop.py, as the other end",
    "lvs.kernel.outline": "tests/kernel/test_desired.py, as parts of every desired state",
    "lvs.kernel.service": "tests/kernel/test_desired.py, as what every desired state holds",
    "lvs.kernel.keys": "tests/kernel/test_desired.py, as what every desired state is keyed by",
    "lvs.model": "values without code; every test of config makes them",
    "lvs.protocol": "values without code; tests/io/test_control.py sends them",
    "lvs.io.findings": "values without code; tests/io/test_engine.py is told them",
    "lvs.pulse.words": "values without code; tests/pulse makes them",
    "lvs.partner": "tests/netns/test_pair.py, as part of two daemons",
    "lvs.pulsing": "tests/io/test_heart.py starts it",
    "lvs.state": "tests/test_director.py, a line of it under every step",
    "lvs.begin": "tests/netns, as what every daemon begins with",
    "lvs.planning": "tests/netns, asked by lvsd plan and by pushes",
    "lvs.desk": "tests/netns, asked by lvsd's commands",
    "lvs.rereading": "tests/netns, as what a daemon does when its file changes",
    "lvs.daemon": "tests/netns, as a process on a real kernel",
    "lvs.sync.turn": "tests/sync/test_machine.py, as part of every step",
    "lvs.sync.offering": "tests/sync/test_machine.py, as one side of it",
    "lvs.sync.accepting": "tests/sync/test_machine.py, as the other side",
    "lvs.sync.state": "values; tests/sync/test_machine.py",
    "lvs.updating.letters": "values without code; tests/test_courier.py sends them",
    "lvs.sync.messages": "values without code; tests/sync/test_machine.py sends them",
    "lvs.inventory": "below, and tests/binary",
}
MOST_LINES = 400  # a module that is larger is two


def test_every_module_has_its_test_file() -> None:
    missing = []
    for module in modules():
        *rooms, name = module.split(".")[1:] or ("lvs",)
        place = Path(*rooms) / f"test_{name}.py"
        on_kernel = Path("netns") / f"test_{name}.py"
        if module not in TESTED_ELSEWHERE and not {ROOT / "tests" / place, ROOT / "tests" / on_kernel} & {
            ROOT / path for path in files()
        }:
            missing.append(f"tests/{place}")
    assert not missing, "\n".join(missing)


def test_modules_are_of_a_size_to_read() -> None:
    sizes = {module: len(path_of(module).read_text().splitlines()) for module in modules()}
    assert {module: lines for module, lines in sizes.items() if lines > MOST_LINES} == {}


def test_inventory_knows_every_module() -> None:
    assert imports("lvs.inventory") == {*modules()} - {"lvs", "lvs.cli", "lvs.selftest", "lvs.inventory"}


def test_selftest_passes_from_source() -> None:
    assert [said for said in selftest.run() if not said[1]] == []


# Shell


def is_shell(path: Path) -> bool:
    return path.suffix in {".sh", ".bash"} or bool(
        re.match(r"#!\s*\S*/(env )?(ba|da)?sh\b", texts().get(path, ""))
    )


@pytest.mark.parametrize("path", [path for path in files() if is_shell(path)], ids=str)
def test_shellcheck(path: Path) -> None:
    done = subprocess.run(("shellcheck", path), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


# The journal's catalog

CATALOG = ROOT / "appliance/usr/lib/systemd/catalog/lvs.catalog"
# journald fills these in itself, or io/journal.py does for every event; systemd.journal-fields(7)
TAKEN = {"MESSAGE", "MESSAGE_ID", "PRIORITY", "EVENT", "ERRNO", "DOCUMENTATION", "TID", "UNIT", "USER_UNIT"}
EVENTS = pytest.mark.parametrize("event", events.ALL, ids=lambda event: event.__name__)


def entries() -> dict[str, str]:
    """MESSAGE_ID -> header and text, as in systemd's own catalog files."""
    found: dict[str, str] = {}
    for entry in re.split(r"^-- ", CATALOG.read_text(), flags=re.MULTILINE)[1:]:
        message_id, text = entry.split("\n", 1)
        assert message_id not in found, f"{message_id} is there twice"
        found[message_id] = text
    return found


def fields(event: type[events.Event]) -> set[str]:
    return {name.upper() for name in event.__struct_fields__}


def test_all_holds_every_event() -> None:
    def below(event: type[events.Event]) -> set[type[events.Event]]:
        return {event}.union(*map(below, event.__subclasses__()))

    assert set(events.ALL) == below(events.Event) - {events.Event}


def test_catalog_and_events_are_the_same() -> None:
    ids = [event.MESSAGE_ID for event in events.ALL]
    assert len(set(ids)) == len(ids)
    assert set(ids) == set(entries())


@EVENTS
def test_message_id_is_one(event: type[events.Event]) -> None:
    assert re.fullmatch("[0-9a-f]{32}", event.MESSAGE_ID)


@EVENTS
def test_fields_are_the_journals(event: type[events.Event]) -> None:
    assert all(re.fullmatch("[A-Z][A-Z0-9_]{0,63}", name) for name in fields(event))
    assert not fields(event) & TAKEN
    assert not any(name.startswith(("CODE_", "SYSLOG_", "OBJECT_", "COREDUMP_")) for name in fields(event))


@EVENTS
def test_catalog_entry_names_fields_of_its_event(event: type[events.Event]) -> None:
    header, _, body = entries()[event.MESSAGE_ID].partition("\n\n")
    assert re.fullmatch(r"Subject: \S.*\nDefined-By: lvs", header)
    assert body.strip()
    assert set(re.findall(r"@([^@\s]+)@", body)) <= fields(event)
    assert body.count("@") % 2 == 0


@pytest.mark.skipif(not shutil.which("journalctl"), reason="no journalctl here to read it")
def test_journalctl_takes_the_catalog(tmp_path: Path) -> None:
    directory = tmp_path / "usr/lib/systemd/catalog"
    directory.mkdir(parents=True)
    shutil.copy(CATALOG, directory)
    (tmp_path / "var/lib/systemd/catalog").mkdir(parents=True)
    for verb in ("--update-catalog", "--list-catalog"):
        done = subprocess.run(
            ("journalctl", f"--root={tmp_path}", "--no-pager", verb),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(events.ALL)


@EVENTS
def test_event_is_in_the_documentation(event: type[events.Event]) -> None:
    rows = (ROOT / "docs" / "journal.md").read_text()
    assert f"| {event.__name__} | {event.PRIORITY.name.lower()} |" in rows


# The repository

TOP = {
    *("README.md", "CHANGELOG.md", "LICENSE", "Makefile", "pyproject.toml", "lvs.toml.example"),
    *("appliance", "src", "image", "tests", "docs"),
}
# Places that exist on one machine only, and hosts that pip's and apt's own configuration names.
ELSEWHERE = re.compile(
    r"(?<![\w.$}*])/(?:home|work|Users)/\w|/opt/(?:pypi\b|wheels\b)|[.]pyenv\b"
    r"|\b(?:pypi|pythonhosted|npmjs)\.(?:org|com)|\b(?:deb|ftp|security|snapshot)\.debian\.(?:org|net)"
)


def test_top_level_holds_what_belongs_there() -> None:
    found = {path.parts[0] for path in files()}
    assert {name for name in found if not name.startswith(".")} <= TOP
    assert found >= {"README.md", "CHANGELOG.md", "LICENSE", "Makefile", "pyproject.toml"}


def test_no_machine_is_named() -> None:
    found = [
        f"{path}:{number}: {line.strip()}"
        for path, text in texts().items()
        for number, line in enumerate(text.splitlines(), 1)
        if ELSEWHERE.search(line)
    ]
    assert not found, "\n".join(found)


def test_changelog_has_room_for_what_changes() -> None:
    assert re.search("^## Unreleased", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


def test_units_name_documentation_that_there_is() -> None:
    """/usr/share/doc/lvs is laid out as the repository."""
    named = {
        (path, name)
        for path, text in texts().items()
        if path.parts[0] in ("appliance", "image")
        for name in re.findall(r"^Documentation=file:/usr/share/doc/lvs/(\S+)$", text, re.MULTILINE)
    }
    assert len(named) > 5
    assert [f"{path}: {name}" for path, name in named if not (ROOT / name).exists()] == []


def test_help_lists_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert phony is not None
    said = subprocess.run(("make", "-s", "help"), cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert [line.split()[0] for line in said.splitlines()] == phony[1].split()
    assert set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE)) == set(phony[1].split())


def test_continuous_integration_is_make_test() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    assert "\nexec make test </dev/null\n" in (ROOT / ".ci" / "run").read_text()


def test_lock_holds_every_dependency_and_no_address() -> None:
    lock = (ROOT / ".ci" / "requirements.lock").read_text()
    locked = set(re.findall(r"^([a-z0-9-]+)==", lock, re.MULTILINE))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    assert {re.split(r"[^A-Za-z0-9-]", name)[0] for name in wanted} <= locked
    assert "://" not in lock
    assert all("--hash=sha256:" in entry for entry in re.split(r"^(?=\w)", lock, flags=re.MULTILINE)[1:])


def test_every_dependency_says_why() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    dependencies = text.split("\ndependencies = [\n", 1)[1].split("\n]", 1)[0]
    assert all(re.search(r'",\s+# \S', line) for line in dependencies.splitlines())


# Reasons


def test_every_reason_is_explained_and_no_other() -> None:
    """docs/reasons.md is the list that operators look codes up in."""
    rows = re.findall(r"^\| ([a-z_]+) \|", (ROOT / "docs" / "reasons.md").read_text(), re.MULTILINE)
    assert sorted(set(rows) - {"code"}) == sorted(Reason)
    assert len(rows) == len(set(rows)) + rows.count("code") - 1
