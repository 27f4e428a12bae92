"""What operators ask of a running daemon, answered.

Reads what the director knows and what the kernel holds; what an operator orders is an input of
the director like any other.
"""

from __future__ import annotations

import asyncio
import time
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, assert_never

import msgspec

from lvs import operators, pairstatus
from lvs.begin import ConfigFile
from lvs.changes import Changes
from lvs.coupling import Coupling
from lvs.courier import CourierError
from lvs.errors import Exit, KernelError, LvsError
from lvs.explain import Scene, explained
from lvs.fate import Outcome
from lvs.fitness import unhealthy
from lvs.health import maintenance, ward
from lvs.health.orders import Order, Verb
from lvs.inputs import (
    ConfigLoaded,
    ConfigRejected,
    ConfigUnreadable,
    Converged,
    ConvergeFailed,
    EnableAsked,
    Input,
    OrderGiven,
    SwitchoverAsked,
)
from lvs.io import files, notes, updates
from lvs.kernel.state import ServiceKey
from lvs.pair import PAIRED
from lvs.planning import plan
from lvs.protocol import (
    ConfirmRequest,
    DisableRequest,
    DrainRequest,
    EnableRequest,
    ExamineRequest,
    ExplainRequest,
    HealthRequest,
    OfferRequest,
    PairRequest,
    PieceRequest,
    PlanRequest,
    PushRequest,
    ReloadRequest,
    Reply,
    Request,
    ResolveRequest,
    RollbackRequest,
    SessionsRequest,
    SidesRequest,
    StartRequest,
    StatusRequest,
    SwitchoverRequest,
)
from lvs.state import State
from lvs.status import CheckVitals, Held, sessions
from lvs.sync.messages import Use
from lvs.updating import note as noted
from lvs.why import Moment

if TYPE_CHECKING:
    from lvs.io.checking import Checking
    from lvs.io.converge import Converger
    from lvs.model import Address, VirtualKey
    from lvs.partner import Partner


SWITCHOVER_S = 20.0  # longer than the pulse waits for the other director
LONGEST_S = 10 * 366 * 86400.0  # of an order


class Director(Protocol):
    """What the desk needs of the daemon."""

    state: State
    file: ConfigFile
    converger: Converger
    checking: Checking
    partner: Partner
    coupling: Coupling
    changes: Changes
    kernel: asyncio.Lock  # one conversation with the kernel at a time

    def feed(self, what: Input) -> None: ...
    def vitals(self) -> CheckVitals: ...
    async def up_to_date(self) -> None: ...
    async def load(self) -> tuple[Input, Outcome]: ...
    def applied(self) -> asyncio.Future[Converged | ConvergeFailed]: ...


class Desk:
    """Answers requests, each for the operator who asks."""

    def __init__(self, director: Director) -> None:
        self._director = director

    async def answer(self, request: Request, by: str) -> Reply:
        """The reply to a request of the user `by`."""
        match request:
            case StatusRequest():
                return await self._status()
            case PlanRequest(file, content):
                return await self._plan(file, content)
            case ReloadRequest():
                return await self._reload()
            case SwitchoverRequest():
                return await self._switchover(by)
            case PairRequest():
                return self._pair()
            case HealthRequest():
                return self._health()
            case SidesRequest():
                courier = self._director.coupling.courier
                return Reply(here=courier.side(), there=await courier.other())
            case OfferRequest() | PieceRequest() | StartRequest():
                return await self._send_update(request)
            case ResolveRequest(use):
                return await self._resolve(use)
            case ExplainRequest(server, virtual):
                return await self._explain(server, virtual)
            case DrainRequest() | DisableRequest():
                await self._director.up_to_date()
                return self._order(request, by)
            case EnableRequest():
                await self._director.up_to_date()
                return self._enable(request, by)
            case SessionsRequest(server, virtual):
                return await self._sessions(server, virtual)
            case ExamineRequest():
                return await self._director.changes.examine(request)
            case PushRequest():
                return await self._director.changes.push(request)
            case RollbackRequest():
                return await self._director.changes.rollback(request, by)
            case ConfirmRequest(author):
                return self._director.changes.trials.confirm(author, by)
            case _:
                assert_never(request)

    async def _held(self) -> dict[ServiceKey, Held]:
        async with self._director.kernel:
            return await asyncio.to_thread(self._director.converger.held)

    async def _status(self) -> Reply:
        try:
            held = await self._held()
        except KernelError as fault:
            return Reply(fault.exit_code, err=(str(fault),))
        director = self._director
        return await asyncio.to_thread(
            _shown,
            director.state,
            str(director.file.path),
            held,
            director.vitals(),
            pairstatus.lacks(director.coupling.state),
        )

    async def _plan(self, file: str, content: bytes | None) -> Reply:
        director = self._director
        if content is None:
            file = str(director.file.path)
            try:
                content = files.read(Path(file)).content
            except LvsError as fault:
                return Reply(fault.exit_code, err=(f"{file}: {fault}",))
        made = await plan(director, file, content)
        if made.config is None:
            return Reply(made.exit_code, err=made.problems)
        warnings = operators.serial_warning(director.state, file, made.config)
        return Reply(out=made.lines, err=(*made.problems, *warnings))

    async def _reload(self) -> Reply:
        before = self._director.state
        what, outcome = await self._director.load()
        match what:
            case ConfigRejected(_, problems):
                return Reply(Exit.PROBLEMS, err=tuple(map(str, problems)))
            case ConfigUnreadable(file, reason):
                return Reply(Exit.FAILED, err=(f"cannot read {file}: {reason}",))
            case ConfigLoaded(file, _, config, warnings):
                shown = (*map(str, warnings), *operators.serial_warning(before, file, config))
                if outcome.refused:
                    return Reply(Exit.PROBLEMS, err=(*shown, f"{file}: not applied", *outcome.refused))
                if outcome.applied is None:
                    return Reply(out=(f"{file}: nothing to change",), err=shown)
                applied = await outcome.applied
                lacking = pairstatus.lacks(self._director.coupling.state)
                return operators.reloaded(file, applied, shown, lacking)
            case _:
                raise AssertionError(f"reading a file gave {what}")

    async def _switchover(self, by: str) -> Reply:
        director = self._director
        pairing = director.state.pairing
        if pairing.seat not in PAIRED:
            return Reply(Exit.FAILED, err=(f"there is nobody to switch to: {pairing.reason}",))
        if pairing.lost:
            return Reply(Exit.FAILED, err=(f"there is no heartbeat: {pairing.lost}",))
        ended = director.partner.switchover()
        director.feed(SwitchoverAsked(by))
        try:
            async with asyncio.timeout(SWITCHOVER_S):
                refused = await ended
        except TimeoutError:
            refused = "the pulse did not say what came of it"
        if refused:
            return Reply(Exit.FAILED, err=(f"no switchover: {refused}",))
        return Reply(out=(f"this director is {director.state.pairing.role} now",))

    async def _explain(self, server: str, virtual: str | None) -> Reply:
        try:
            held = await self._held()
        except KernelError as fault:
            return Reply(fault.exit_code, err=(str(fault),))
        director = self._director
        scene = Scene(director.state, held, director.checking.last, time.monotonic(), time.time())
        lines = explained(scene, server, virtual)
        return Reply(out=lines) if lines else operators.unknown(self._director.state.config, server, virtual)

    def _health(self) -> Reply:
        director = self._director
        reasons = unhealthy(director.state, configured=director.file.path.exists())
        return Reply(Exit.FAILED if reasons else Exit.OK, err=reasons)

    async def _send_update(self, request: OfferRequest | PieceRequest | StartRequest) -> Reply:
        courier = self._director.coupling.courier
        try:
            match request:
                case OfferRequest(version):
                    await courier.offer(version)
                case StartRequest(version):
                    await courier.start(version)
                case PieceRequest(data):
                    return Reply(out=await courier.piece(data))
        except CourierError as fault:
            return Reply(Exit.FAILED, err=(str(fault),))
        return Reply()

    # One configuration on both

    def _pair(self) -> Reply:
        shown = self._director.coupling.status()
        return Reply(out=tuple(pairstatus.lines(shown)), pair=shown)

    async def _resolve(self, use: Use) -> Reply:
        reason = await self._director.coupling.resolve(use)
        if reason:
            return Reply(Exit.FAILED, err=(reason,))
        return Reply(out=tuple(pairstatus.lines(self._director.coupling.status())))

    # Maintenance

    def _found(self, server: str, virtual: str | None) -> tuple[Address, VirtualKey | None] | Reply:
        """The one real server that is meant, and in which virtual server; None: in all."""
        found = maintenance.servers_called(self._director.state.health, server, virtual)
        if not found:
            return operators.unknown(self._director.state.config, server, virtual)
        if len(found) > 1:
            which = ", ".join(map(str, found))
            message = f"{server} is more than one real server: name one by its address ({which})"
            return Reply(Exit.PROBLEMS, err=(message,))
        address, keys = next(iter(found.items()))
        if virtual is None:
            return address, None
        if len(keys) > 1:
            return Reply(Exit.PROBLEMS, err=(f"more than one virtual server is called {virtual}",))
        return address, keys[0]

    def _order(self, request: DrainRequest | DisableRequest, by: str) -> Reply:
        found = self._found(request.server, request.virtual)
        if isinstance(found, Reply):
            return found
        now = time.monotonic()
        times = (getattr(request, "deadline_s", None), request.for_s)
        if not all(one is None or 0 <= one <= LONGEST_S for one in times):
            return Reply(Exit.PROBLEMS, err=("a time of at most ten years is asked for",))
        drains = isinstance(request, DrainRequest)
        deadline_s = request.deadline_s if isinstance(request, DrainRequest) else None
        order = Order(
            Verb.DRAIN if drains else Verb.DISABLE,
            *found,
            by,
            time.time(),
            None if deadline_s is None else now + deadline_s,
            None if request.for_s is None else now + request.for_s,
        )
        before = ward.unserved(self._director.state.health)
        self._director.feed(OrderGiven(order))
        bare = [name for name in ward.unserved(self._director.state.health) if name not in before]
        warnings = tuple(f"warning: no real server of {name} serves any more" for name in bare)
        return Reply(out=(f"{request.server}: {'draining' if drains else 'disabled'}",), err=warnings)

    def _enable(self, request: EnableRequest, by: str) -> Reply:
        found = self._found(request.server, request.virtual)
        if isinstance(found, Reply):
            ordered = {str(one.address) for one in self._director.state.health.orders}
            if request.virtual is not None or request.server not in ordered:
                return found
            found = ip_address(request.server), None  # it has left the configuration, its order has not
        address, virtual = found
        orders = [one for one in self._director.state.health.orders if one.address == address]
        if virtual is not None and any(one.virtual is None for one in orders):
            message = f"{request.server} is out everywhere: enable it without --virtual"
            return Reply(Exit.PROBLEMS, err=(message,))
        if not any(virtual in (None, one.virtual) for one in orders):
            return Reply(out=(f"{request.server}: was not taken out",))
        self._director.feed(EnableAsked(address, virtual, by))
        return Reply(out=(f"{request.server}: enabled; its checks decide",))

    async def _sessions(self, server: str, virtual: str | None) -> Reply:
        found = self._found(server, virtual)
        if isinstance(found, Reply):
            return found
        address, key = found
        try:
            held = await self._held()
        except KernelError as fault:
            return Reply(fault.exit_code, err=(str(fault),))
        rosters = self._director.state.health.rosters.values()
        left = sum(
            sessions(roster.virtual_server, index, held)
            for roster in rosters
            if key in (None, roster.key)
            for index, one in enumerate(roster.virtual_server.real_servers)
            if one.address == address
        )
        return operators.emptying(self._director.state.health.orders, server, found, left)


def _shown(state: State, file: str, held: dict[ServiceKey, Held], vitals: CheckVitals, lacking: str) -> Reply:
    at, each = Moment(time.monotonic(), time.time()), operators.encoded
    shown = operators.status(state, file, held, at, vitals, lacking=lacking, each=each)
    places = updates.Places()
    told = noted.told(notes.load(places.directory), updates.machine(places).version)
    return Reply(status=msgspec.structs.replace(shown, update=told))
