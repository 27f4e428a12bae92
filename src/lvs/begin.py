"""The daemon's first second: the table stands before anything else.

The file is read and its services are put into the kernel with no more imported than that
takes. An event loop, logging, pyroute2 and watchdog cost twice as much as all of it, and
nobody waits for them: `lvs.daemon` brings them in when the kernel already serves.
"""

from __future__ import annotations

import gc
import signal
import time
from pathlib import Path

import msgspec

from lvs.commands import Command, Converge
from lvs.config.load import Loaded, load
from lvs.config.needs import Lacks
from lvs.director import step
from lvs.errors import Exit, KernelError, SystemFault
from lvs.health.orders import Order
from lvs.health.ward import Health
from lvs.inputs import ConfigLoaded, ConfigRejected, ConfigUnreadable
from lvs.io import control, files, modules, orders, requirements
from lvs.io.converge import Converger, Outcome
from lvs.io.netlink import Table
from lvs.kernel.firewall import Port
from lvs.model import OnStop
from lvs.state import State

LEDGER_NAME = "owned.json"


class Options(msgspec.Struct, frozen=True):
    """What the command line asks of the daemon."""

    file: Path
    run_directory: Path
    on_stop: OnStop | None = None
    to_journal: bool = False
    state_directory: Path = Path("/var/lib/lvs")
    repository: Path = Path("/var/lib/lvs-git/config.git")
    unchecked: bool = False  # every real server is taken as up
    open_to_all: frozenset[Port] | None = None  # by the firewall, if there is to be one


class ConfigFile:
    """The configuration file as it was last read."""

    def __init__(self, path: Path, lacks: Lacks | None) -> None:
        self.path = path
        self.lacks = lacks  # what this machine lacks; None: it is not asked
        self.loaded: Loaded | None = None  # the last that was valid
        self.first: tuple[ConfigLoaded | None, bytes] = (None, b"")  # what the start read, and its text
        self.signature: tuple[int, ...] = ()
        self.read_at = 0.0

    def look(self) -> files.Text:
        """The file as it is now, for `read`; it is another if it has another signature."""
        self.read_at = time.monotonic()
        return files.look(self.path)

    def read(self, content: files.Text) -> ConfigLoaded | ConfigRejected | ConfigUnreadable:
        """What was seen as an input; the text that is validated is the text that is applied."""
        name = str(self.path)
        self.signature = content.signature
        if content.fault:
            return ConfigUnreadable(name, content.fault)
        loaded = load(content.content, name, previous=self.loaded, lacks=self.lacks)
        problems = loaded.problems
        if loaded.config is None and self.loaded is None:
            # Nothing serves yet: what only lacks a program for its check is better than nothing at all.
            loaded = load(content.content, name)
        if loaded.config is None:
            return ConfigRejected(name, problems)
        self.loaded = loaded
        return ConfigLoaded(name, content.digest, loaded.config, problems)


class Begun(msgspec.Struct):
    """Where the daemon goes on."""

    options: Options
    converger: Converger
    file: ConfigFile
    state: State
    commands: tuple[Command, ...]  # to be carried out
    first: Outcome | None  # what the table got already; None without a valid file
    orders_fault: str = ""  # why the operators' orders could not be read


def begin(options: Options) -> Begun:
    """Read the file and put its services into the kernel. Errors: LvsError if that is impossible."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is a loop: the file is being read anyway
    control.lock(options.run_directory)
    failed = modules.load(("ip_vs",))
    try:
        table = Table()
    except KernelError as fault:
        if fault.exit_code is Exit.UNSUPPORTED and failed:
            raise KernelError(f"{fault}: {failed['ip_vs']}", fault.errno, fault.exit_code) from fault
        raise
    gc.disable()
    converger = Converger(table, options.run_directory / LEDGER_NAME)
    lacks = None if options.unchecked else requirements.lacks(serving=True)
    file = ConfigFile(options.file, lacks)
    kept, orders_fault = _orders(options)
    actual = table.read()
    health = Health(orders=kept, unchecked=options.unchecked)
    state = State(on_stop=options.on_stop, health=health, found=actual, open_to_all=options.open_to_all)
    seen = file.look()
    read = file.read(seen)
    if isinstance(read, ConfigLoaded):
        file.first = read, seen.content
    state, commands = step(state, read, time.monotonic())
    first = None
    for command in commands:
        if isinstance(command, Converge):
            first = converger.table_first(command.goal.state, actual)
    gc.freeze()  # what stands now stays: no collection needs to walk 10,000 real servers again
    gc.enable()
    return Begun(options, converger, file, state, commands, first, orders_fault)


def _orders(options: Options) -> tuple[tuple[Order, ...], str]:
    """The operators' orders, and why there are none if they cannot be read."""
    file = options.state_directory / orders.NAME
    try:
        return orders.load(file), ""
    except SystemFault as fault:
        return (), f"{file}: {fault}"
