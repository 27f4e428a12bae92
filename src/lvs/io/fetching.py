"""An update from where it is: a file, standard input, or a web server.

A web server is trusted with nothing but the time that it takes: what counts is the signature in the update.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from lvs.errors import SystemFault, UsageError

if TYPE_CHECKING:
    from http.client import HTTPResponse

SILENT_S = 30.0  # without a byte
SCHEMES = ("http://", "https://")


def is_url(name: str) -> bool:
    return "://" in name


def called(name: str) -> str:
    """What an operator calls it."""
    return "standard input" if name == "-" else name


@contextmanager
def opened(name: str) -> Iterator[BinaryIO]:
    """What is to be read, whatever it is; `-` is standard input. Errors: SystemFault, UsageError."""
    if name == "-":
        if sys.stdin is None or sys.stdin.isatty():
            raise UsageError(
                "the update is read from a file, or from standard input: lvsd update - < lvs.update"
            )
        yield sys.stdin.buffer
    elif is_url(name):
        with _fetched(name) as answer:
            yield answer
    else:
        try:
            descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as fault:
            raise SystemFault(f"cannot read {name}: {os.strerror(fault.errno or 0).lower()}") from fault
        with open(descriptor, "rb") as file:  # noqa: PTH123
            yield file


@contextmanager
def _fetched(url: str) -> Iterator[BinaryIO]:
    from lvs.probes.tls import AUTHORITIES  # first: it has ssl back, which the binary keeps from others

    import ssl  # isort: skip
    from http.client import HTTPException  # isort: skip  # these take a tenth of a second; only this needs them
    from urllib.error import URLError
    from urllib.request import HTTPSHandler, build_opener

    if not url.startswith(SCHEMES):
        raise UsageError(f"{url}: an update comes from a file, or by http or https")
    authorities = AUTHORITIES if Path(AUTHORITIES).exists() else None
    opener = build_opener(HTTPSHandler(context=ssl.create_default_context(cafile=authorities)))
    opener.addheaders = [("User-Agent", "lvsd")]
    try:
        answer = opener.open(url, timeout=SILENT_S)
    except (URLError, HTTPException, OSError, ValueError) as fault:
        reason = getattr(fault, "reason", fault)
        raise SystemFault(f"cannot fetch {url}: {reason}") from fault
    with answer:
        yield _Answer(answer, url)  # type: ignore[misc]


class _Answer:
    """What a web server sends, its failures in our words."""

    def __init__(self, answer: HTTPResponse, url: str) -> None:
        self._answer, self._url = answer, url

    def read(self, size: int) -> bytes:
        from http.client import HTTPException

        try:
            data = self._answer.read(size)
        except (HTTPException, OSError) as fault:
            raise SystemFault(f"{self._url} ended before all of it had come: {fault}") from fault
        if size and not data and self._answer.length:
            raise SystemFault(f"{self._url} ended before all of it had come")
        return data
