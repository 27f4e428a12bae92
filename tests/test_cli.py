"""The command line: errors become sentences and exit codes."""

from __future__ import annotations

import pytest

from lvs import cli
from lvs.errors import Exit, KernelError, NoDaemon, UsageError


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

    monkeypatch.setattr("lvs.requests.reload", fail)
    assert cli.main(["reload"]) == code
    assert capsys.readouterr().err == said


def test_a_mistake_of_ours_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr("lvs.requests.reload", fail)
    with pytest.raises(ZeroDivisionError):
        cli.main(["reload"])


@pytest.mark.parametrize("words", [[], ["serve"], ["check"], ["convert", "x"], ["run", "--on-stop", "maybe"]])
def test_a_wrong_command_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(words)
    assert caught.value.code == Exit.PROBLEMS
    assert capsys.readouterr().err.startswith("usage: lvsd")
