"""The command line: what each subcommand prints where, and its exit code."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lvs import __version__, cli
from lvs.errors import Exit, KernelError, NoDaemon, UsageError
from lvs.protocol import PlanRequest, ReloadRequest, Reply, Request, StatusRequest
from lvs.status import Status

VALID = """\
serial_no = 7
primary = "10.0.0.1"
keepalive = 6
deadtime = 18

[[virtual]]
name = "web"
address = "192.0.2.1"
device = "eth0:1"
port = 44380
scheduler = "wlc"

[[virtual.server]]
name = "real1"
address = "10.0.0.3"
weight = 1
"""


@pytest.fixture
def valid(tmp_path: Path) -> Path:
    path = tmp_path / "lvs.toml"
    path.write_text(VALID)
    return path


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    path = tmp_path / "lvs.toml"
    path.write_text(VALID.replace("weight = 1", "weight = -4"))
    return path


class Asked:
    """A daemon that gives one reply and keeps what it was asked."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.requests: list[tuple[Path, Request]] = []

    def __call__(self, path: Path, request: Request) -> Reply:
        self.requests.append((path, request))
        return self.reply


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Callable[[Reply], Asked]:
    def answering(reply: Reply) -> Asked:
        asked = Asked(reply)
        monkeypatch.setattr("lvs.io.control.ask", asked)
        return asked

    return answering


# check and convert


def test_check(valid: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", str(valid)]) == Exit.OK
    said = capsys.readouterr()
    assert said.out == f"{valid}: valid, serial 7, 1 virtual server, 1 real server\n"


def test_check_of_a_wrong_file(wrong: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", str(wrong)]) == Exit.PROBLEMS
    said = capsys.readouterr()
    assert said.out == ""
    assert re.match(rf"{re.escape(str(wrong))}:\d+: virtual\[0\]\.server\[0\]\.weight: .*-4", said.err)


def test_check_looks_for_what_the_file_needs(valid: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = VALID.replace('scheduler = "wlc"', 'send_program = "/nowhere/check %h"')
    valid.write_text(text)
    assert cli.main(["check", str(valid)]) == Exit.PROBLEMS
    line = text.split("\n").index('send_program = "/nowhere/check %h"') + 1
    said = f"{valid}:{line}: virtual[0].send_program: there is no program /nowhere/check\n"
    assert capsys.readouterr().err == said
    assert cli.main(["check", "--elsewhere", str(valid)]) == Exit.OK


@pytest.mark.parametrize("command", [["check"], ["plan"], ["convert", "--to", "cf"]])
def test_a_file_that_is_not_there(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*command, str(tmp_path / "none.toml")]) == Exit.FAILED
    assert capsys.readouterr().err == (f"lvsd: cannot read {tmp_path}/none.toml: no such file or directory\n")


class Standard:
    """Standard input or output of bytes."""

    def __init__(self, content: bytes = b"") -> None:
        self.buffer = io.BytesIO(content)

    def flush(self) -> None:
        """All of it is there already."""


# Valid in both languages, with other defaults.
BOTH = b'serial_no = 3\nnetwork = "direct"\n'


@pytest.mark.parametrize("language", ["cf", "toml"])
def test_standard_input(
    language: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", Standard(BOTH))
    assert cli.main(["check", "--format", language, "-"]) == Exit.OK
    said = capsys.readouterr()
    assert said.out == f"stdin.{language}: valid, serial 3, 0 virtual servers, 0 real servers\n"
    assert said.err == ""


@pytest.mark.parametrize("language", ["cf", "toml"])
def test_standard_input_is_read_in_the_language_that_is_given(
    language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A text that is valid in both means what its language says."""
    from lvs.config.load import load

    out = Standard()
    monkeypatch.setattr(sys, "stdin", Standard(BOTH))
    monkeypatch.setattr(sys, "stdout", out)
    assert cli.main(["convert", "--to", "toml", "-", "--format", language]) == Exit.OK
    meant = load(BOTH, f"lvs.{language}").config
    assert meant is not None
    assert load(out.buffer.getvalue(), "lvs.toml").config == meant
    assert meant.pair.deadtime_s == {"cf": 5, "toml": 0.8}[language]


@pytest.mark.parametrize("command", [["check"], ["plan"], ["convert", "--to", "cf"]])
def test_standard_input_in_no_language(
    command: list[str], valid: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is never guessed; nor is what a file's name says overruled."""
    monkeypatch.setattr(sys, "stdin", Standard(BOTH))
    assert cli.main([*command, "-"]) == Exit.PROBLEMS
    assert capsys.readouterr().err == (
        "lvsd: standard input has no name to tell its language: say --format toml or --format cf\n"
    )
    assert cli.main([*command, str(valid), "--format", "cf"]) == Exit.PROBLEMS
    said = "lvsd: --format is for standard input (-); the language of a file is told by its name\n"
    assert capsys.readouterr().err == said


def test_plan_of_standard_input(
    daemon: Callable[[Reply], Asked], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The name that goes with it tells the daemon its language."""
    asked = daemon(Reply())
    for language in ("toml", "cf"):
        monkeypatch.setattr(sys, "stdin", Standard(BOTH))
        assert cli.main(["plan", "--format", language, "-"]) == Exit.OK
    assert [request for _, request in asked.requests] == [
        PlanRequest("stdin.toml", BOTH),
        PlanRequest("stdin.cf", BOTH),
    ]
    assert cli.main(["plan", "--format", "cf"]) == Exit.PROBLEMS
    assert "--format is for standard input" in capsys.readouterr().err


@pytest.mark.parametrize("language", ["cf", "toml"])
def test_convert_there_and_back(
    language: str, valid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lvs.config.load import load

    out = Standard()
    monkeypatch.setattr(sys, "stdout", out)
    assert cli.main(["convert", "--to", language, str(valid)]) == Exit.OK
    converted = load(out.buffer.getvalue(), f"lvs.{language}")
    assert converted.config == load(VALID, "lvs.toml").config
    assert converted.config is not None


def test_convert_of_a_wrong_file(wrong: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["convert", "--to", "cf", str(wrong)]) == Exit.PROBLEMS
    said = capsys.readouterr()
    assert said.out == ""
    assert "-4" in said.err


# What a daemon is asked


def test_plan(valid: Path, daemon: Callable[[Reply], Asked], capsys: pytest.CaptureFixture[str]) -> None:
    asked = daemon(Reply(out=("# nothing to change",), err=("a warning",)))
    assert cli.main(["plan", str(valid)]) == Exit.OK
    assert cli.main(["plan", "--run-dir", "/elsewhere"]) == Exit.OK
    assert asked.requests == [
        (Path("/run/lvs/lvsd.sock"), PlanRequest(str(valid), VALID.encode())),
        (Path("/elsewhere/lvsd.sock"), PlanRequest()),
    ]
    said = capsys.readouterr()
    assert said.out == "# nothing to change\n" * 2
    assert said.err == "a warning\n" * 2


STATUS = Status("1.0", "lvs.toml", 7, "d", "serving", (), (), ())


def test_status(daemon: Callable[[Reply], Asked], capsys: pytest.CaptureFixture[str]) -> None:
    asked = daemon(Reply(out=("the table",), status=STATUS))
    assert cli.main(["status"]) == Exit.OK
    assert capsys.readouterr().out == "the table\n"
    assert cli.main(["status", "--json"]) == Exit.OK
    assert json.loads(capsys.readouterr().out)["serial_no"] == 7
    assert [request for _, request in asked.requests] == [StatusRequest()] * 2


def test_status_that_failed_has_no_json(
    daemon: Callable[[Reply], Asked], capsys: pytest.CaptureFixture[str]
) -> None:
    daemon(Reply(Exit.RIGHTS, err=("not permitted",)))
    assert cli.main(["status", "--json"]) == Exit.RIGHTS
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "not permitted\n")


def test_reload(daemon: Callable[[Reply], Asked], capsys: pytest.CaptureFixture[str]) -> None:
    asked = daemon(Reply(Exit.PROBLEMS, err=("lvs.toml:3: wrong",)))
    assert cli.main(["reload"]) == Exit.PROBLEMS
    assert capsys.readouterr().err == "lvs.toml:3: wrong\n"
    assert [request for _, request in asked.requests] == [ReloadRequest()]


@pytest.mark.parametrize("command", ["status", "reload", "plan"])
def test_no_daemon(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([command, "--run-dir", str(tmp_path)]) == Exit.NO_DAEMON
    assert capsys.readouterr().err == (
        f"lvsd: no lvsd answers on {tmp_path}/lvsd.sock; start it: systemctl start lvs, or lvsd run\n"
    )


# run


def options_of(monkeypatch: pytest.MonkeyPatch, *words: str) -> Any:
    """What the daemon would be run with."""
    given: list[Any] = []

    monkeypatch.setattr("lvs.begin.begin", given.append)
    monkeypatch.setattr("lvs.daemon.run", lambda _begun: 0)
    assert cli.main(["run", *words]) == Exit.OK
    return given[0]


def test_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    options = options_of(
        monkeypatch, "-c", "lvs.cf", "--on-stop", "empty", "--log", "journal", "--run-dir", "r"
    )
    assert options.file == tmp_path / "lvs.cf"
    assert (options.run_directory, str(options.on_stop), options.to_journal) == (Path("r"), "empty", True)


def test_run_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    options = options_of(monkeypatch, "-c", "/x/lvs.toml")
    assert (options.on_stop, options.to_journal) == (None, False)
    assert options.run_directory == Path("/run/lvs")
    assert not options_of(monkeypatch, "-c", "/x/lvs.toml", "--log", "stderr").to_journal


@pytest.mark.parametrize(
    ("present", "served"), [((), "lvs.toml"), (("lvs.toml",), "lvs.toml"), (("lvs.cf",), "lvs.cf")]
)
def test_run_finds_its_file(
    present: tuple[str, ...], served: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "CONFIG_DIRECTORY", tmp_path)
    for name in present:
        (tmp_path / name).touch()
    assert options_of(monkeypatch).file == tmp_path / served


def test_run_with_both_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "CONFIG_DIRECTORY", tmp_path)
    (tmp_path / "lvs.toml").touch()
    (tmp_path / "lvs.cf").touch()
    assert cli.main(["run"]) == Exit.PROBLEMS
    assert f"both {tmp_path}/lvs.toml and {tmp_path}/lvs.cf exist" in capsys.readouterr().err


# The rest


@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [
        (UsageError("how"), Exit.PROBLEMS, "lvsd: how\n"),
        (NoDaemon("nobody"), Exit.NO_DAEMON, "lvsd: nobody\n"),
        (KernelError("no IPVS", 2, Exit.UNSUPPORTED), Exit.UNSUPPORTED, "lvsd: no IPVS\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_errors_are_sentences_and_codes(
    fault: BaseException,
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(_: object) -> int:
        raise fault

    monkeypatch.setitem(cli.COMMANDS, "reload", cli.COMMANDS["reload"]._replace(run=fail))
    assert cli.main(["reload"]) == code
    assert capsys.readouterr().err == said


def test_a_mistake_of_ours_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> int:
        raise ZeroDivisionError

    monkeypatch.setitem(cli.COMMANDS, "reload", cli.COMMANDS["reload"]._replace(run=fail))
    with pytest.raises(ZeroDivisionError):
        cli.main(["reload"])


def test_a_reader_that_went_away(valid: Path) -> None:
    """As in `lvsd check FILE | true`: no traceback, not even at exit."""
    import subprocess

    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        (sys.executable, "-m", "lvs.cli", "completion", "bash"),
        stdout=write,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("words", [[], ["serve"], ["check"], ["convert", "x"], ["run", "--on-stop", "maybe"]])
def test_a_wrong_command_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(words)
    assert caught.value.code == Exit.PROBLEMS
    assert capsys.readouterr().err.startswith("usage: lvsd")


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--version"], ["--help"], *([name, "--help"] for name in cli.COMMANDS)):
        with pytest.raises(SystemExit) as caught:
            cli.main(words)
        assert caught.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    assert said.startswith(f"lvsd {__version__} ")
    assert all(command.help in said for command in cli.COMMANDS.values())


def test_help_names_every_exit_code() -> None:
    epilog = cli.parser().epilog or ""
    assert [int(number) for number in re.findall(r"\d+", epilog)] == [int(code) for code in Exit]


def test_completion(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["completion", "bash"]) == Exit.OK
    assert "complete -o filenames -F _lvsd lvsd" in capsys.readouterr().out


@pytest.mark.parametrize(("passed", "code"), [(True, Exit.OK), (False, Exit.FAILED)])
def test_selftest(
    code: Exit, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, passed: bool
) -> None:
    monkeypatch.setattr("lvs.selftest.run", lambda: [("one", True, ""), ("two", passed, "3.11")])
    assert cli.main(["selftest"]) == code
    assert capsys.readouterr().out == f"ok   one\n{'ok  ' if passed else 'FAIL'} two: 3.11\n"
