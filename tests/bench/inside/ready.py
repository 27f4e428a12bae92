"""From exec to READY, and a mere `--version`, of one program.

Usage: ready PROGRAM FILE; what is printed is CPU seconds, after one start to warm up. Time would not
do: a wait for the host (modules and their loader are on its file system) moves the guest's clock by
what the host has else to do.
"""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

from bench.inside.programs import Started

NOTIFY = "/tmp/bench-notify"
LONGEST_S = 120.0


def main() -> None:
    program, file = sys.argv[1:]
    for _ in range(2):
        spent = {"version_s": version_s(program), "ready_s": ready_s(program, file)}
    print(json.dumps(spent))


def version_s(program: str) -> float:
    return Started((program, "--version")).wait().cpu_s


def ready_s(program: str, file: str) -> float:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(NOTIFY)
        notified.settimeout(LONGEST_S)
        started = Started((program, "run", "--unchecked", "--config", file), NOTIFY_SOCKET=NOTIFY)
        try:
            while "READY=1" not in notified.recv(4096).decode().splitlines():
                pass
            return started.cpu_ns() / 1e9
        except TimeoutError:
            raise RuntimeError(f"never ready: {started.said()}") from None
        finally:
            started.kill()
            Path(NOTIFY).unlink()


if __name__ == "__main__":
    main()
