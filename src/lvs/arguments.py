"""What several commands of `lvsd` are given, and where it lies by default: FILE, its language, the socket."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from lvs.errors import SystemFault, UsageError
from lvs.model import Format

CONFIG_DIRECTORY = Path("/etc/lvs")
CONFIG_NAMES = ("lvs.toml", "lvs.cf")
RUN_DIRECTORY = Path("/run/lvs")


def file(parser: argparse.ArgumentParser) -> None:
    """FILE, which may be standard input, and its --format."""
    parser.add_argument("file", metavar="FILE", type=Path, help="lvs.toml or lvs.cf; - is standard input")
    language(parser)


def file_here(parser: argparse.ArgumentParser, default: str = "the one in /etc/lvs") -> None:
    """FILE, which may be left out: `default` says what is taken then."""
    parser.add_argument(
        "file", metavar="FILE", type=Path, nargs="?", help=f"lvs.toml or lvs.cf (default: {default})"
    )


def language(parser: argparse.ArgumentParser) -> None:
    """--format."""
    parser.add_argument(
        "--format",
        choices=[str(choice) for choice in Format],
        help="language of standard input, needed with -; that of a file is told by its name",
    )


def run_directory(parser: argparse.ArgumentParser) -> None:
    """--run-dir."""
    parser.add_argument(
        "--run-dir",
        metavar="DIR",
        type=Path,
        default=RUN_DIRECTORY,
        help=f"where the daemon's socket is (default {RUN_DIRECTORY})",
    )


def config_file(given: Path | None) -> Path:
    """The file to go by: the given one, or the only one in /etc/lvs. Errors: UsageError if there are two."""
    if given is not None:
        return given
    found = [path for name in CONFIG_NAMES if (path := CONFIG_DIRECTORY / name).exists()]
    if len(found) > 1:
        raise UsageError(f"both {found[0]} and {found[1]} exist: remove one, or name one with --config")
    return found[0] if found else CONFIG_DIRECTORY / CONFIG_NAMES[0]


def text(asked: argparse.Namespace, read: Callable[[Path], object]) -> tuple[bytes, str]:
    """The bytes of FILE, and a name that tells their language: `stdin.toml` or `stdin.cf` for `-`."""
    path, language = asked.file, asked.format
    if str(path) == "-":
        if language is None:
            raise UsageError(
                "standard input has no name to tell its language: say --format toml or --format cf"
            )
        if sys.stdin is None:
            raise UsageError("standard input is closed")
        return sys.stdin.buffer.read(), f"stdin.{language}"
    refuse_language(asked)
    return content_of(path, read), str(path)


def content_of(path: Path, read: Callable[[Path], object]) -> bytes:
    """The bytes of a file. Errors: SystemFault that names it."""
    try:
        content: bytes = read(path).content  # type: ignore[attr-defined]
    except SystemFault as fault:
        raise SystemFault(f"cannot read {path}: {fault}") from fault
    return content


def refuse_language(asked: argparse.Namespace) -> None:
    """Errors: UsageError if --format was given where nothing is read from standard input."""
    if asked.format is not None:
        raise UsageError("--format is for standard input (-); the language of a file is told by its name")
