"""Standard output and standard error whose reader may go away, as `lvsd check FILE | head -1` does.

What is written then is lost, without a word. The command goes on to its end, so that its exit code is what it
would have been with another reader.
"""

from __future__ import annotations

import io
import os
import sys
from typing import Any, TextIO


class _Outliving(io.FileIO):
    lost = False

    def write(self, data: Any, /) -> int:
        if not self.lost:
            try:
                return super().write(data)
            except BrokenPipeError:
                self.lost = True
            except OSError:
                self.lost = True  # this is told; what is left need not fail again at exit
                raise
        return memoryview(data).nbytes


def outlive_readers() -> None:
    """Replace the standard streams of this process.

    A closed standard output stays None, as Python has it: `print` leaves it alone. To `print` a standard
    error that is None would be standard output.
    """
    if sys.stdout is not None:
        sys.stdout = _outliving(sys.stdout)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115  pathlib is late for every start
    else:
        sys.stderr = _outliving(sys.stderr)


def _outliving(stream: TextIO) -> TextIO:
    raw = _Outliving(stream.fileno(), "wb", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw), stream.encoding, stream.errors, line_buffering=bool(stream.line_buffering)
    )
