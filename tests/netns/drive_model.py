"""Runs where the kernel is: carries out operations one by one and holds the table to the model.

Standard input: a msgpack list of states to reach in turn. Standard output: "equal" if the kernel's
table equalled the model after every operation, else what differed.
"""

from __future__ import annotations

import sys
from collections.abc import Collection

import msgspec

from lvs.io import modules
from lvs.io.netlink import Table
from lvs.kernel import text
from lvs.kernel.diff import diff
from lvs.kernel.state import TUNNEL, KernelState, Service, ServiceKey, SystemOp, apply


def seen(table: Table, keys: Collection[ServiceKey]) -> dict[str, dict[ServiceKey, Service]]:
    """The table in every way it can be read."""
    whole = table.read()
    for key, service in whole.items():  # else netlink would stand in for it, unseen
        plain = all(len(at.address) == 4 for at in service.destinations)
        plain = plain and all(one.forwarding != TUNNEL for one in service.destinations.values())
        if key.family == 4 and plain:
            assert table._entries is not None
            assert table._entries.destinations(key) == service.destinations
    dumped = {
        one.key: Service(one.options, {each.key: each.destination for each in one.destinations})
        for one in table.dump()
    }
    return {"as a whole": whole, "one by one": table.read(keys), "with connections": dumped}


def main() -> None:
    """Walk through the targets."""
    modules.load(sorted(sys.argv[1:]))
    table = Table()
    model = KernelState(services=table.read())
    for target in msgspec.msgpack.decode(sys.stdin.buffer.read(), type=list[KernelState]):
        wanted = KernelState(services=target.services, timeouts=target.timeouts)
        model = KernelState(services=model.services, timeouts=table.timeouts())
        for op in diff(model, wanted):
            assert not isinstance(op, SystemOp)
            refused = table.execute([op])
            model = apply(op, model)
            if refused:
                return print(f"{text.line(op)}: {refused[0].reason}")
            for how, found in seen(table, model.services).items():
                if found != model.services:
                    return print(f"after {text.line(op)}, {how}:\n{found}\nis not\n{model.services}")
        if table.timeouts() != model.timeouts:
            return print(f"timeouts {table.timeouts()}, not {model.timeouts}")
    return print("equal")


if __name__ == "__main__":
    main()
