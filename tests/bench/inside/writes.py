"""The kernel's own record of IPVS writes: a probe on the function that carries them out.

`ip_vs_genl_set_cmd` runs once for each netlink message that changes the table, whoever sends
it, and the trace is stamped with the monotonic clock. So the end of a change is known to the
instruction, and nobody has to look on.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Self

TRACING = Path("/run/bench/tracing")
PROBE = "bench_write"


class Writes:
    """Records from its making on."""

    def __enter__(self) -> Self:
        (TRACING / "trace_clock").write_text("mono")
        (TRACING / "buffer_size_kb").write_text("8192")
        (TRACING / "kprobe_events").write_text(f"p:kprobes/{PROBE} ip_vs:ip_vs_genl_set_cmd\n")
        (TRACING / "events/kprobes" / PROBE / "enable").write_text("1")
        self.clear()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        (TRACING / "events/kprobes" / PROBE / "enable").write_text("0")
        descriptor = os.open(TRACING / "kprobe_events", os.O_WRONLY | os.O_APPEND)  # open() would seek
        os.write(descriptor, f"-:kprobes/{PROBE}\n".encode())
        os.close(descriptor)

    def clear(self) -> None:
        """Forget what was recorded."""
        (TRACING / "trace").write_text("")

    def count(self) -> int:
        """Writes since the making, at next to no cost."""
        return int((TRACING / "kprobe_profile").read_text().split()[1])

    def stamps_ns(self) -> list[int]:
        """When each write since the last `clear` began."""
        found = []
        for line in (TRACING / "trace").read_text().splitlines():
            if f" {PROBE}:" in line:
                seconds, micros = line.split(f": {PROBE}:")[0].split()[-1].split(".")
                found.append(int(seconds) * 1_000_000_000 + int(micros.ljust(9, "0")))
        return found
