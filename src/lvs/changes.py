"""Changes that come as commits: a push, a rollback, a trial that was not confirmed.

Each is examined, written into the file, applied on both directors of a pair or on neither, and answered with
what came of it. One at a time: the keeper's lock is held from the look at main until it has moved.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

import msgspec

from lvs import events, operators, telling
from lvs.config.load import format_of, load
from lvs.config.located import Problem, Severity
from lvs.config.serial import line_of, with_serial
from lvs.consent import highest_serial
from lvs.errors import Exit, LvsError, SystemFault
from lvs.inputs import ConfigLoaded
from lvs.io import install
from lvs.io.git import PENDING, blob_id
from lvs.io.probation import Trial
from lvs.keeper import OVERTAKEN, Content, Keeper, Refused
from lvs.model import Config
from lvs.planning import Plan
from lvs.protocol import ExamineRequest, PushRequest, Reply, RollbackRequest
from lvs.repository.history import Person, Way, message, person, short
from lvs.repository.tree import NAMES, Chosen, judge, printable
from lvs.repository.wishes import NOTHING, is_commit
from lvs.sync.version import Text, Version
from lvs.trials import LONGEST_BY, Trials, who_asks

APPLIED_S = 30.0  # for the kernel
MOST_PROBLEMS = 200
NOT_TAKEN = "NOT TAKEN: the director runs what it ran before"


class UnmovedError(SystemFault):
    """A commit runs, and main is not there yet."""


class Changes:
    """What operators ask of the repository."""

    def __init__(
        self, keeper: Keeper, plan: Callable[[str, bytes], Awaitable[Plan]], state_directory: Path
    ) -> None:
        self._keeper, self._plan = keeper, plan
        self._director = keeper.director
        self._checked: dict[str, float] = {}  # seconds, by commit: what an examination took
        self._examined_last = b""  # the text of it
        self.trials = Trials(keeper, state_directory, self._back)

    def tasks(self) -> tuple[Coroutine[None, None, None], ...]:
        """What the daemon's task group is to run."""
        return self._keeper.minding(), self.trials.trying()

    # Pushes

    async def examine(self, request: ExamineRequest) -> Reply:
        """What a push would do, and all that speaks against it."""
        began = time.monotonic()
        try:
            await self._keeper.caught_up()
            async with self._keeper.lock:
                await self._keeper.up_to_date()
                self._in_turn(request.old, Way.PUSH)
                reply = await self._examined(request)
        except Refused as refused:
            reply = Reply(Exit.PROBLEMS, err=refused.lines)
        except LvsError as fault:
            reply = Reply(fault.exit_code, err=(str(fault),))
        took_s = request.since_s + time.monotonic() - began
        self._examined_last = request.content
        self._checked = dict([*self._checked.items(), (request.commit, took_s)][-8:])
        return msgspec.structs.replace(reply, took_s=took_s)

    async def _examined(self, request: ExamineRequest) -> Reply:
        name, content = request.name, request.content
        self._language(name)
        if blob_id(content) == self._keeper.running_blob():
            return Reply(out=(f"{name}: as it runs already",))
        made = await self._plan(name, content)
        if made.config is None:
            return Reply(made.exit_code, err=_first(made.problems, MOST_PROBLEMS))
        lines = _first(made.lines, telling.ONE_BY_ONE)
        if objection := self._serial(name, content, made.config):
            return Reply(Exit.PROBLEMS, out=lines, err=(*made.problems, objection))
        coupling = self._director.coupling
        text = self._text(content, made.config)
        problems = await coupling.consent.reviewed(text)
        if problems:
            refused = tuple(f"{coupling.peer}: {problem}" for problem in problems)
            return Reply(Exit.PROBLEMS, out=lines, err=(*made.problems, *refused))
        told = self._serial_change(name, made.config)
        agreed = () if problems is None else (f"{coupling.peer} can run it, too",)
        return Reply(out=(told, *lines, *agreed), err=made.problems)

    def _in_turn(self, old: str, way: Way) -> None:
        """Whether main is where a change comes from, and no trial is under way. Errors: Refused."""
        if way is not Way.ROLLBACK and (refusal := self.trials.refusal()):
            raise Refused(refusal)
        if old and old != (self._keeper.tip or NOTHING):
            raise Refused(OVERTAKEN)

    def _language(self, name: str) -> Path:
        """Where a file of this name belongs. Errors: Refused, if this director goes by another language."""
        path = self._director.file.path
        if name != (wanted := NAMES[format_of(str(path))]):
            if self._director.coupling.state.mine is None and not path.exists():
                return path.with_name(name)  # there is none yet: either language will do
            raise Refused(
                f"{name}: this director runs {path}; `lvsd convert --to {Path(wanted).suffix[1:]} {name}` "
                f"makes an {wanted} of it"
            )
        return path

    def _serial(self, name: str, content: bytes, config: Config) -> str:
        """Why serial_no does not tell that this is newer; empty if it does."""
        highest = highest_serial(self._director.coupling.state)
        if config.serial_no > highest or self._director.coupling.state.mine is None:
            return ""
        said = f"{highest} is the last one; write serial_no = {highest + 1}"
        return str(Problem(name, line_of(content, name), "serial_no", said))

    def _serial_change(self, name: str, config: Config) -> str:
        mine = self._director.coupling.state.mine
        before = "nothing" if mine is None else str(mine.version.serial)
        return f"{name}: valid, serial {before} -> {config.serial_no}"

    def _text(self, content: bytes, config: Config) -> Text:
        digest = blake2b(content, digest_size=8).hexdigest()
        return Text(Version(config.serial_no, digest), content, str(format_of(str(self._director.file.path))))

    async def push(self, request: PushRequest) -> Reply:
        """Have a commit run, on both directors of a pair, and main with it; or leave all as it was."""
        by = printable(request.by)[:LONGEST_BY]
        began = time.monotonic()
        try:
            await self._keeper.caught_up()
            async with self._keeper.lock:
                if not is_commit(request.commit):
                    raise Refused("not a commit")  # noqa: TRY301
                await self._keeper.up_to_date()
                self._in_turn(request.old, request.way)
                reply = await self._pushed(request, by)
                self.trials.overtaken()
            if not reply.exit_code and (told := await self._keeper.held(request.commit)):
                reply = msgspec.structs.replace(reply, out=(*reply.out, told))
        except UnmovedError as fault:
            reply = Reply(fault.exit_code, err=(str(fault),))
        except Refused as refused:
            reply = Reply(Exit.PROBLEMS, err=(*refused.lines, NOT_TAKEN))
        except LvsError as fault:
            reply = Reply(fault.exit_code, err=(str(fault), NOT_TAKEN))
        if reply.exit_code:
            reason = "; ".join(reply.err)
            self._director.report(events.PushRefused(printable(request.commit), by, request.way, reason))
        took_s = time.monotonic() - began + self._checked.pop(request.commit, 0.0)
        return msgspec.structs.replace(reply, took_s=took_s)

    async def _pushed(self, request: PushRequest, by: str) -> Reply:
        """The lock is held."""
        commit, before = request.commit, self._keeper.tip
        if before and not await asyncio.to_thread(self._keeper.git.precedes, before, commit):
            if request.way is Way.PULL:
                raise Refused(
                    f"it does not contain commit {short(before)}, which runs here: merge that there"
                )
            raise Refused("it does not contain what runs: git pull --rebase, look at it, and push again")
        if request.way is Way.PULL and self._director.coupling.waits:
            return Reply(out=("this director is on standby; the active one pulls",))
        if request.confirm_s is not None and not before:
            raise Refused("there is nothing to go back to: push it without confirm")
        found = await asyncio.to_thread(self._keeper.content, commit, self._examined_last)
        path = self._language(found.name)
        if found.blob == self._keeper.running_blob():
            serial = highest_serial(self._director.coupling.state)
            await self._keeper.advance(commit, found.blob, request.way, by, serial)
            return Reply(out=(f"{found.name}: as it runs already",))
        config = await self._valid(found)
        if objection := self._serial(found.name, found.content, config):
            raise Refused(objection)
        await asyncio.to_thread(self._keeper.git.move, f"{request.way} by {by}", (PENDING, commit, None))
        self._director.file.path = path
        trial = None
        if request.confirm_s is not None:
            until = time.time() + request.confirm_s
            trial = Trial(commit, before, until, request.confirm_s, by)
            await asyncio.to_thread(self.trials.prepare, trial)
            self.trials.announce(trial)
        try:
            lines = await self._apply(found, config)
        except (Refused, LvsError):
            await self._forget(commit, trial)
            raise
        try:
            serial = config.serial_no
            await self._keeper.advance(commit, found.blob, request.way, by, serial, pending=True)
        except LvsError as fault:
            self._keeper.broken(str(fault))
            raise UnmovedError(
                f"THE DIRECTOR RUNS IT, but main could not be moved: {fault}; it follows as soon as it can"
            ) from fault
        if trial is not None:
            self.trials.start(trial)
            seconds = round(trial.lasting)
            self._director.report(events.TrialBegun(commit, by, seconds))
            told = f"on trial: rolled back in {seconds} s unless `lvsd confirm` is given"
            lines = msgspec.structs.replace(lines, out=(*lines.out, told))
        return lines

    async def _valid(self, found: Content) -> Config:
        file = self._director.file
        loaded = await asyncio.to_thread(
            load, found.content, found.name, previous=file.loaded, lacks=file.lacks
        )
        if loaded.config is None:
            errors = [one for one in loaded.problems if one.severity is Severity.ERROR]
            raise Refused(*map(str, errors))
        return loaded.config

    async def _forget(self, commit: str, trial: Trial | None) -> None:
        """A commit was not taken."""
        with suppress(LvsError):
            await asyncio.to_thread(self._keeper.git.move, "not taken", (PENDING, "", commit))
        if trial is not None:
            with suppress(LvsError):
                self.trials.forget(trial)

    async def _apply(self, found: Content, config: Config) -> Reply:
        """Write the file and have it run; what came of it. Errors: Refused, SystemFault: all is as it was."""
        director, coupling = self._director, self._director.coupling
        path, mine = director.file.path, coupling.state.mine
        if mine is not None and self._keeper.running_blob() != self._keeper.blob:
            raise Refused(OVERTAKEN)  # by the other director, meanwhile
        keep = coupling.state.bad or coupling.state.file is not None
        digest = "" if mine is None else mine.version.digest
        version = self._text(found.content, config).version
        before = await asyncio.to_thread(_there, path)

        def put() -> None:
            install.replace(path, found.content, lambda there: _digest(there) == digest, keep=keep)

        what, outcome = await director.load(put)
        refused = outcome.refused
        if not isinstance(what, ConfigLoaded):
            refused = ("it was edited at the same time",)
        shared = None
        if not refused:
            shared = await coupling.consent.shared(version)
            refused = shared.refused
        if refused:
            raise Refused(*refused, *await self._put_back(version.digest, before))
        lines = Reply(out=("nothing to change in the kernel",))
        if outcome.applied is not None:
            try:
                async with asyncio.timeout(APPLIED_S):
                    lines = operators.reloaded(found.name, await asyncio.shield(outcome.applied), ())
            except TimeoutError:
                lines = Reply(err=(f"the kernel did not take it within {APPLIED_S:.0f} s; tried again",))
        assert shared is not None
        kept = (f"what was in {path} is kept as {path}{install.REPLACED}",) if keep and before else ()
        failed = ("NOT ALL OF IT IS IN THE KERNEL; it is tried again. `lvsd rollback` goes back.",)
        out = (*lines.out, *kept, *((shared.text,) if shared.text else ()))
        return Reply(out=out, err=(*lines.err, *(failed if lines.exit_code else ())))

    async def _put_back(self, digest: str, before: bytes | None) -> tuple[str, ...]:
        """The file as it was; what is to be said of that."""
        path = self._director.file.path

        def put() -> None:
            if before is None:
                path.unlink(missing_ok=True)
            else:
                install.replace(path, before, lambda there: _digest(there) == digest, keep=False)

        try:
            await self._director.load(put)
        except SystemFault as fault:
            return (f"{path} IS NOT AS IT WAS BEFORE: {fault}",)
        return ()

    # Going back

    async def rollback(self, request: RollbackRequest, by: str) -> Reply:
        """Run the content of an earlier commit again, as a commit of its own."""
        author = who_asks(request.author, by)
        try:
            await self._keeper.caught_up()
            async with self._keeper.lock:
                await self._keeper.up_to_date()
                tip, who = self._keeper.tip, person(author, self._keeper.host)
                commit = await asyncio.to_thread(self._earlier, request.commit, who, "rollback")
            return await self.push(PushRequest(commit, tip, author, Way.ROLLBACK, request.confirm_s))
        except Refused as refused:
            return Reply(Exit.PROBLEMS, err=refused.lines)
        except LvsError as fault:
            return Reply(fault.exit_code, err=(str(fault),))

    def _earlier(self, words: str, author: Person, why: str) -> str:
        """A new commit on top of main with the content of an earlier one, and a higher serial_no."""
        if not self._keeper.tip:
            raise Refused("there is no commit yet")
        target = self._keeper.git.named(words) if words else self._before()
        if not target:
            known = f"there is no commit {printable(words)}; `lvsd history` names them"
            raise Refused(known if words else "there is no earlier commit with another configuration")
        found = self._keeper.content(target)
        if found.blob == self._keeper.blob:
            raise Refused(f"commit {short(target)} holds what runs already")
        self._language(found.name)
        serial = highest_serial(self._director.coupling.state) + 1
        content = with_serial(found.content, found.name, serial)
        config = load(content, found.name).config
        if config is None:
            raise Refused(f"commit {short(target)} is no valid configuration: lvsd check says why")
        if config.serial_no != serial:
            raise Refused(f"{found.name} of commit {short(target)}: serial_no cannot be set to {serial}")
        subject = self._keeper.git.log("--max-count=1", target)[0].subject
        said = message(
            f"{why} to {short(target)}: {subject}",
            f"The content of commit {target}. Only serial_no is another, "
            f"for it tells what is newer: {serial}.",
        )
        return self._keeper.made(self._keeper.git.top(target), found.name, content, author, said)

    def _before(self) -> str:
        """The last commit that ran here and holds something else; of a history from elsewhere, the newest."""
        git = self._keeper.git
        for one in (*git.ran()[1:], *git.recent(self._keeper.tip, first_parent=True)[1:]):
            chosen = judge(self._keeper.git.tree(one))
            if isinstance(chosen, Chosen) and chosen.blob != self._keeper.blob:
                return one
        return ""

    async def _back(self, trial: Trial) -> None:
        """A trial was not confirmed. The lock is held. Errors: Refused, LvsError."""
        why, me = "not confirmed, back", self._keeper.me
        commit = await asyncio.to_thread(self._earlier, trial.before, me, why)
        request = PushRequest(commit, self._keeper.tip, trial.by, way=Way.UNCONFIRMED)
        await self._pushed(request, "lvsd")


def _first(lines: tuple[str, ...], most: int) -> tuple[str, ...]:
    """As many as are read in the output of a push."""
    return lines if len(lines) <= most else (*lines[:most], f"and {len(lines) - most} more")


def _there(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _digest(content: bytes) -> str:
    return blake2b(content, digest_size=8).hexdigest()
