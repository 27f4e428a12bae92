"""What it costs to check real servers, and how punctual it is.

Usage: checks SPEC, JSON with: answering (the program that is `answering.c`), kind (tcp, http), port, argv,
root, interval_s, calm_s (from its start until it is measured), measured_s; for lvsd also socket,
settled_s (after which its start is over), file and edited, a file whose content replaces it after that.
Its real servers are all of this machine's local addresses.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

from bench.inside.programs import Started

AFTER_EDIT_S = 8
GONE_S = 32  # after which what was at the start has gone from the daemon's maxima


def main() -> None:
    spec = json.loads(sys.argv[1])
    command = (spec["answering"], spec["kind"], str(spec["port"]))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as servers:
        assert servers.stdin is not None
        assert servers.stdout is not None
        assert servers.stdout.readline() == "ready\n"
        program = Started(spec["argv"], spec["root"], PYTHONPATH=os.environ.get("PYTHONPATH", ""))
        try:
            answer = measure(program, spec)
            since, until = answer.pop("since"), answer.pop("until")
            if "edited" in spec:
                answer |= reloaded(program, spec)
            ended = time.monotonic()
        except Exception as fault:
            raise RuntimeError(program.said()[-4000:]) from fault
        finally:
            program.kill()
        calm = asked(servers.stdin, servers.stdout, since, until)
        answer |= summary(calm, spec["interval_s"])
        whole = asked(servers.stdin, servers.stdout, since, ended)
        answer["late_all_s"] = summary(whole, spec["interval_s"])["late_s"]
        servers.stdin.close()
    answer["said"] = program.said()[-1000:]
    print(json.dumps(answer))


def asked(to: IO[str], by: IO[str], since: float, until: float) -> dict[str, list[float]]:
    """When each real server was asked between two times."""
    print(since, until, file=to, flush=True)
    found = defaultdict(list)
    while (line := by.readline()) != "\n":
        at, address = line.split()
        found[address].append(float(at))
    return found


def summary(found: dict[str, list[float]], interval_s: float) -> dict[str, float]:
    """How many checks there were, and by how much the time between two of a real server missed the interval.

    Keys: checks, servers, late_s (the worst), late_99_s (99 of 100 are better).
    """
    late = sorted(
        abs(after - before - interval_s) for times in found.values() for before, after in pairwise(times)
    )
    return {
        "checks": sum(map(len, found.values())),
        "servers": len(found),
        "late_s": late[-1],
        "late_99_s": late[len(late) * 99 // 100],
    }


def measure(program: Started, spec: dict[str, Any]) -> dict[str, Any]:
    time.sleep(spec["calm_s"])
    since, before = time.monotonic(), program.cpu_ns()
    time.sleep(spec["measured_s"])
    until, spent = time.monotonic(), program.cpu_ns() - before
    return {"since": since, "until": until, "cpu_s": spent / 1e9, "rss_kib": rss_kib(program)}


def reloaded(program: Started, spec: dict[str, Any]) -> dict[str, Any]:
    """The daemon's own maxima without, and with a reload of everything."""
    time.sleep(max(0.0, spec["settled_s"] + GONE_S - (time.monotonic() - program.exec_ns / 1e9)))
    calm = vitals(spec["socket"])
    time.sleep(1)  # what asking costs is over
    Path(spec["file"]).write_bytes(Path(spec["edited"]).read_bytes())
    time.sleep(AFTER_EDIT_S)
    assert "serial 1, 1000 virtual servers, 10000 real servers, 10000 changes" in program.said()
    rss = rss_kib(program)
    return {"calm": calm, "reloaded": vitals(spec["socket"]), "rss_reloaded_kib": rss}


def vitals(socket: str) -> dict[str, float]:
    import msgspec

    from lvs.io import control
    from lvs.protocol import StatusRequest

    status = control.ask(Path(socket), StatusRequest()).status
    assert status is not None
    found: dict[str, float] = msgspec.structs.asdict(status.checks)
    return found


def rss_kib(program: Started) -> int:
    """Resident memory of all its processes."""
    return sum(_rss_kib(pid) for pid in program.processes())


def _rss_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.split("VmRSS:")[1].split()[0]) if "VmRSS:" in status else 0


if __name__ == "__main__":
    main()
