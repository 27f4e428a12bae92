"""Every exception of the product, and the exit codes that speak of them."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lvs.config.located import Problem


class Exit(IntEnum):
    """Exit codes of `lvsd`, documented in docs/cli.md."""

    OK = 0
    FAILED = 1  # the kernel, the system or the daemon refused
    PROBLEMS = 2  # the configuration has problems, or the command line is wrong
    NO_DAEMON = 3  # no daemon answers on the socket
    RIGHTS = 4  # root, or a capability, is missing
    UNSUPPORTED = 5  # the kernel has no IPVS
    ALREADY_RUNNING = 6


class LvsError(Exception):
    """Base of all our exceptions; the text is a sentence for the operator."""

    exit_code = Exit.FAILED


class ConfigError(LvsError):
    """A configuration was refused; `problems` is all that is wrong with it, sorted."""

    exit_code = Exit.PROBLEMS

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


class KernelError(LvsError):
    """The kernel refused something; `errno` is its reason."""

    def __init__(self, message: str, errno: int = 0, exit_code: Exit = Exit.FAILED) -> None:
        super().__init__(message)
        self.errno = errno
        self.exit_code = exit_code


class SystemFault(LvsError):
    """The machine around us is not as needed: a file, a right, another daemon."""

    def __init__(self, message: str, exit_code: Exit = Exit.FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class UsageError(LvsError):
    """The command line cannot be carried out."""

    exit_code = Exit.PROBLEMS


class NoDaemon(LvsError):
    """Nobody answers on the daemon's socket."""

    exit_code = Exit.NO_DAEMON
