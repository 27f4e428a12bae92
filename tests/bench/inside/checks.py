"""What it costs to check real servers, and how punctual it is.

Usage: checks SPEC, JSON with: kind (tcp, http), argv, root, interval_s, calm_s (from its start until
it is measured), measured_s, vitals (whether it says them at SIGUSR1). Its real servers are
all of this machine's local addresses, port 80.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

from bench.inside.programs import Started


def main() -> None:
    spec = json.loads(sys.argv[1])
    command = (sys.executable, "-m", "bench.inside.answering", spec["kind"], str(spec["interval_s"]))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as servers:
        assert servers.stdin is not None
        assert servers.stdout is not None
        assert servers.stdout.readline() == "ready\n"
        program = Started(spec["argv"], spec["root"], PYTHONPATH=os.environ.get("PYTHONPATH", ""))
        try:
            answer = measure(program, spec)
            print(answer.pop("since"), answer.pop("until"), file=servers.stdin, flush=True)
            answer |= json.loads(servers.stdout.readline())
        except Exception as fault:
            raise RuntimeError(program.said()[-4000:]) from fault
        finally:
            program.kill()
            servers.stdin.close()
    answer["said"] = program.said()[-1000:]
    print(json.dumps(answer))


def measure(program: Started, spec: dict[str, Any]) -> dict[str, Any]:
    time.sleep(spec["calm_s"])
    if spec["vitals"]:
        os.kill(program.pid, signal.SIGUSR1)
    time.sleep(0.2)
    since, before = time.monotonic(), program.cpu_ns()
    time.sleep(spec["measured_s"])
    until, spent = time.monotonic(), program.cpu_ns() - before
    rss_kib = sum(_rss_kib(pid) for pid in program.processes())
    answer = {"since": since, "until": until, "cpu_s": spent / 1e9, "rss_kib": rss_kib}
    if spec["vitals"]:
        os.kill(program.pid, signal.SIGUSR1)
        time.sleep(0.5)
        first, last = [json.loads(line) for line in program.said().splitlines()][-2:]
        answer |= {"first": first, "last": last}
    return answer


def _rss_kib(pid: int) -> int:
    with open(f"/proc/{pid}/status", encoding="ascii") as status:  # noqa: PTH123
        return int(status.read().split("VmRSS:")[1].split()[0])


if __name__ == "__main__":
    main()
