"""Runs where the kernel is: puts a director into a role, or sync daemons to work, and says what came of it.

drive_sync.py role FILE ROLE      as lvsd would; operations that were done and refused, a line each
drive_sync.py start               standard input: sync daemons to run, as a msgpack list; what was refused
drive_sync.py daemons             those that run, as JSON
drive_sync.py tell FILE           all connections, to the other director; how many messages
drive_sync.py entries FILE        established connections that both directors may know
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import msgspec

from lvs.config.load import load
from lvs.io import modules, resync
from lvs.io.announce import Announcer
from lvs.io.converge import Converger, Outcome
from lvs.io.links import Links
from lvs.io.netlink import Table, established
from lvs.kernel import text
from lvs.kernel.desired import alone, desired
from lvs.kernel.state import KernelState, StartDaemon, StopDaemon, SyncDaemon, TakeVip
from lvs.model import Role

LEDGER = Path("/run/lvs/owned.json")


async def converged(goal: KernelState) -> Outcome:
    """Bring the kernel there, and announce what was taken."""
    LEDGER.parent.mkdir(exist_ok=True)
    converger = Converger(Table(), LEDGER)
    converger.links = links = Links()
    await links.open()
    announcer = Announcer()
    announcer.open()
    outcome = await converger.converge(goal)
    taken = [op.vip for op in outcome.done if isinstance(op, TakeVip)]
    for reason in announcer.announce(taken, await links.devices()):
        print(reason)
    links.close()
    announcer.close()
    return outcome


def role(file: str, name: str) -> None:
    """Put this director into a role."""
    loaded = load(Path(file).read_bytes(), file)
    assert loaded.config is not None, loaded.problems
    outcome = asyncio.run(converged(desired(loaded.config, role=Role(name)).state))
    for op in outcome.done:
        print(text.line(op))
    for line, reason in outcome.refused:
        print(f"refused: {line}: {reason}")


def start() -> None:
    """Run these sync daemons and no others."""
    table = Table()
    wanted = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=list[SyncDaemon])
    for refusal in table.execute([StopDaemon(one.state) for one in table.daemons()]):
        print(refusal.reason)
    for refusal in table.execute([StartDaemon(one) for one in wanted]):
        print(refusal.reason)


def main() -> None:
    """Do what the command line says."""
    match sys.argv[1:]:
        case ["role", file, name]:
            role(file, name)
        case ["start"]:
            modules.load(["ip_vs"])
            start()
        case ["daemons"]:
            print(msgspec.json.encode(sorted(Table().daemons())).decode())
        case ["entries", file]:
            loaded = load(Path(file).read_bytes(), file)
            assert loaded.config is not None, loaded.problems
            print(established(alone(desired(loaded.config))), "established")
        case ["tell", file]:
            loaded = load(Path(file).read_bytes(), file)
            assert loaded.config is not None, loaded.problems
            goal = desired(loaded.config).state
            [daemon] = goal.daemons
            print(resync.tell(goal.services, daemon), "told")
        case other:
            raise SystemExit(f"{other}?")


if __name__ == "__main__":
    main()
