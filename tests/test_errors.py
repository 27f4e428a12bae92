"""Each exception's exit code and sentence."""

from __future__ import annotations

import pytest

from lvs.config.located import Problem, Severity
from lvs.errors import ConfigError, Exit, KernelError, LvsError, NoDaemon, SystemFault, UsageError


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (LvsError("x"), Exit.FAILED),
        (ConfigError(()), Exit.PROBLEMS),
        (KernelError("x", 2), Exit.FAILED),
        (KernelError("x", 2, Exit.UNSUPPORTED), Exit.UNSUPPORTED),
        (SystemFault("x"), Exit.FAILED),
        (SystemFault("x", Exit.RIGHTS), Exit.RIGHTS),
        (UsageError("x"), Exit.PROBLEMS),
        (NoDaemon("x"), Exit.NO_DAEMON),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, LvsError) else value.name,
)
def test_exit_codes(fault: LvsError, code: Exit) -> None:
    assert fault.exit_code is code
    assert isinstance(fault, LvsError)


def test_a_configurations_problems_are_its_text() -> None:
    problems = [
        Problem("lvs.toml", 10, "virtual[0].server[1].weight", "0 to 65535, got -4"),
        Problem("lvs.toml", 0, "", "the file is empty", Severity.WARNING),
    ]
    fault = ConfigError(problems)
    assert fault.problems == tuple(problems)
    assert str(fault) == (
        "lvs.toml:10: virtual[0].server[1].weight: 0 to 65535, got -4\nlvs.toml: warning: the file is empty"
    )


def test_a_kernel_error_keeps_its_errno() -> None:
    assert KernelError("x", 17).errno == 17
