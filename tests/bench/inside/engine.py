"""The engine of the checks alone. Usage: engine KIND INTERVAL FILE, a file of addresses.

At SIGUSR1 it says its vitals as JSON, the maxima being those since the last time.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from ipaddress import ip_address
from pathlib import Path

import msgspec

from lvs.checks import Connect, Http, Pace, Target
from lvs.io.engine import Engine
from lvs.io.findings import Finished
from lvs.probes.talks import talk_for


async def probe(kind: str, interval_s: float, addresses: list[str]) -> None:
    check = Connect() if kind == "tcp" else Http()
    pace = Pace(interval_s, 6.0, 6.0)
    failed = 0

    def report(results: list[Finished]) -> None:
        nonlocal failed
        failed += sum(not finished.answer.ok for finished in results)

    def say() -> None:
        vitals = msgspec.structs.asdict(engine.health(time.monotonic()))
        print(json.dumps(vitals | {"failed": failed}), flush=True)

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, say)
    engine = Engine(report, lambda target: talk_for(target, {}, time.time))
    engine.open(loop)
    engine.follow([Target(ip_address(address), 80, check, pace) for address in addresses])
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(probe(sys.argv[1], float(sys.argv[2]), Path(sys.argv[3]).read_text().split()))
