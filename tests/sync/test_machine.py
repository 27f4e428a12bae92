"""One configuration on both directors: examples, and two machines on a wire that is cut anywhere."""

from __future__ import annotations

import os
import random
from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lvs import events
from lvs.events import Event
from lvs.sync.machine import step
from lvs.sync.messages import (
    Command,
    Connected,
    Discard,
    Examine,
    Examined,
    FileBad,
    FileRead,
    HangUp,
    Input,
    Install,
    Installed,
    Keep,
    KernelRefused,
    Lost,
    Message,
    Ran,
    Received,
    Refusals,
    Refuse,
    ResolveAsked,
    RoleIs,
    Run,
    Send,
    Tell,
    TimePassed,
    Use,
)
from lvs.sync.state import State, deadline
from lvs.sync.version import Agreed, Text, Version


def text(serial: int, content: str) -> Text:
    return Text(Version(serial, content), content.encode(), "toml")


ONE = text(1, "one")
AGREED = Agreed(1, ONE.version)

# Two directors


class Node:
    """A director: its machine, its disk, and what it has been told to do and has not done yet."""

    def __init__(self, name: str, *, active: bool) -> None:
        self.name = name
        self.active = active
        self.disk: Text | None = ONE  # None: not valid
        self.agreed = AGREED
        self.cannot: set[Version] = set()  # run here
        self.lacks: set[Version] = set()  # the kernel, what a new virtual server of these needs
        self.had = [ONE.version]  # all that its file has ever held
        self.order: list[str] = []
        self.overwritten: list[tuple[Version, Version, bool]] = []
        self.copies: list[Version] = []
        self.boot()

    def boot(self) -> None:
        self.state = State(active=self.active, mine=self.disk or ONE, agreed=self.agreed)
        self.todo: deque[Command | Ran | Installed] = deque()
        self.told: list[Event] = []
        self.refused: list[Refuse] = []
        self.runs = self.disk or ONE


class World:
    def __init__(self) -> None:
        self.nodes = (Node("primary", active=True), Node("backup", active=False))
        self.wire: tuple[deque[Message], deque[Message]] = (deque(), deque())  # to the node of that index
        self.connected = False
        self.now = 0.0
        self.log: list[str] = []  # who ran what, in order

    def feed(self, index: int, what: Input) -> None:
        node = self.nodes[index]
        node.state, commands = step(node.state, what, self.now)
        for command in commands:
            match command:
                case Send(message):
                    assert self.connected
                    self.wire[1 - index].append(message)
                case Tell(event):
                    node.told.append(event)
                case Refuse():
                    node.refused.append(command)
                case Discard():
                    pass
                case HangUp():
                    self.cut()
                case Keep(agreed):
                    assert agreed.number >= node.agreed.number
                    node.agreed = agreed
                case _:
                    node.todo.append(command)

    def work(self, index: int) -> None:
        """Carry out the first thing that this node was told to do."""
        node = self.nodes[index]
        if not node.todo:
            return
        match node.todo.popleft():
            case Run(text):
                if text != node.state.mine:  # as the command says
                    return
                node.runs = text
                self.log.append(f"{node.name} {text.version.serial}")
                node.todo.appendleft(Ran(text.version))
            case Examine(text):
                problems = ("no such program",) if text.version in node.cannot else ()
                self.feed(index, Examined(text.version, problems))
            case Install(text, expected, forced, copy):
                held = None if node.disk is None else node.disk.version
                if not forced and held not in (expected, text.version):
                    self.feed(index, Installed(text.version, "it was edited"))
                    return
                back = node.state.following is not None and node.state.following.back
                if held is not None and held != text.version and not back:
                    node.overwritten.append((held, text.version, forced or copy))
                    node.copies += [held] if copy else []
                node.disk = node.runs = text
                node.had.append(text.version)
                self.log.append(f"{node.name} {text.version.serial}")
                node.todo.appendleft(Installed(text.version))
            case Ran(version):  # the kernel has taken its time
                self.feed(index, Ran(version, self.converge(node, index)))
            case Installed(version):
                self.feed(index, Installed(version, missing=self.converge(node, index)))
            case other:
                raise AssertionError(other)

    def converge(self, node: Node, index: int) -> str:
        """What runs here by now is in the kernel, but for this."""
        missing = "no such scheduler" if node.runs.version in node.lacks else ""
        self.feed(index, KernelRefused(Refusals(1, missing) if missing else Refusals()))
        return missing

    def edit(self, index: int, new: Text | None) -> None:
        node = self.nodes[index]
        node.disk = new
        if new is None:
            self.feed(index, FileBad())
        else:
            node.had.append(new.version)
            self.feed(index, FileRead(new))

    def connect(self) -> None:
        if not self.connected:
            self.connected = True
            for index in (0, 1):
                self.feed(index, Connected())

    def cut(self) -> None:
        if self.connected:
            self.connected = False
            for queue in self.wire:
                queue.clear()
            for index in (0, 1):
                self.feed(index, Lost())

    def crash(self, index: int) -> None:
        self.cut()
        self.nodes[index].boot()

    def deliver(self, index: int) -> None:
        if self.wire[index]:
            self.feed(index, Received(self.wire[index].popleft()))

    def wait(self, seconds: float) -> None:
        self.now += seconds
        for index in (0, 1):
            due = deadline(self.nodes[index].state)
            if due is not None and due <= self.now:
                self.feed(index, TimePassed())

    def settle(self) -> None:
        """Until nothing moves but time."""
        for _ in range(10_000):
            if not any(self.wire) and not any(node.todo for node in self.nodes):
                return
            for index in (0, 1):
                self.deliver(index)
                self.work(index)
        raise AssertionError("it never ends")

    def heal(self) -> None:
        for _ in range(5):
            self.connect()
            self.settle()
            self.wait(40.0)
        self.settle()

    def versions(self) -> tuple[int, int]:
        return self.nodes[0].runs.version.serial, self.nodes[1].runs.version.serial


@pytest.fixture
def world() -> World:
    world = World()
    world.connect()
    world.settle()
    assert not world.log
    return world


def told(node: Node, kind: type[Event]) -> list[Event]:
    return [event for event in node.told if isinstance(event, kind)]


@pytest.mark.parametrize("index", [0, 1])
def test_a_new_file_is_on_both_the_standby_first(world: World, index: int) -> None:
    new = text(2, "two")
    world.edit(index, new)
    world.settle()
    assert world.log == ["backup 2", "primary 2"]
    assert [node.disk for node in world.nodes] == [new, new]
    assert {node.agreed.version for node in world.nodes} == {new.version}
    assert not any(node.state.pending for node in world.nodes)
    assert told(world.nodes[index], events.ConfigPushed)
    assert told(world.nodes[1 - index], events.ConfigPulled)


def test_roles_change_places(world: World) -> None:
    for index, active in ((0, False), (1, True)):
        world.feed(index, RoleIs(active))
    world.edit(0, text(2, "two"))
    world.settle()
    assert world.log == ["primary 2", "backup 2"]


@pytest.mark.parametrize("index", [0, 1])
def test_refused_by_the_other_it_runs_on_neither(world: World, index: int) -> None:
    new = text(2, "two")
    world.nodes[1 - index].cannot = {new.version}
    world.edit(index, new)
    world.settle()
    assert world.versions() == (1, 1)
    assert not world.log
    assert world.nodes[index].refused == [Refuse(new.version, ("the other director: no such program",))]
    (event,) = told(world.nodes[index], events.ConfigRefusedByPeer)
    assert "no such program" in event.text()
    assert told(world.nodes[1 - index], events.PeerConfigRefused)
    assert world.nodes[1 - index].disk == ONE
    world.edit(index, text(3, "three"))  # the next is good
    world.settle()
    assert world.versions() == (3, 3)


@pytest.mark.parametrize("index", [0, 1])
def test_a_new_virtual_server_that_the_standby_cannot_have_runs_on_neither(world: World, index: int) -> None:
    new = text(2, "two")
    primary, backup = world.nodes
    backup.lacks = {new.version}
    world.edit(index, new)
    world.settle()
    assert world.log == ["backup 2", "backup 1"]
    assert world.versions() == (1, 1)
    assert world.nodes[1 - index].disk == ONE
    said = "the other director: no such scheduler" if index == 0 else "no such scheduler"
    assert world.nodes[index].refused == [Refuse(new.version, (said,))]
    assert told(backup, events.ConfigTakenBack if index else events.PeerConfigRefused)
    assert bool(told(primary, events.ConfigRefusedByPeer)) is (index == 0)
    assert not any(node.state.conflict for node in world.nodes)
    assert not primary.state.theirs.refusals.number  # type: ignore[union-attr]
    backup.lacks = set()
    world.edit(index, new)  # `lvsd reload`
    world.settle()
    assert world.versions() == (2, 2)


def test_somebody_may_insist(world: World) -> None:
    new = text(2, "two")
    world.nodes[1].lacks = {new.version}
    world.edit(0, new)
    world.settle()
    world.feed(0, ResolveAsked(Use.HERE))
    world.settle()
    assert world.versions() == (2, 2)
    (event,) = told(world.nodes[0], events.PeerIncomplete)[-1:]
    assert event.text() == "the other director's kernel refused 1 operation: no such scheduler"


def installing(world: World) -> None:
    """A change on the first one lies in the other's file, and its kernel is at it."""
    world.edit(0, text(2, "two"))
    for index in (1, 0):
        world.deliver(index)
        world.work(1)
    world.deliver(1)
    world.work(1)


def test_edited_again_before_it_could_be_put_back(world: World) -> None:
    world.nodes[1].lacks = {Version(2, "two")}
    installing(world)
    world.work(1)
    assert world.nodes[1].state.following.back  # type: ignore[union-attr]
    world.edit(1, text(3, "three"))
    world.settle()
    assert world.versions() == (3, 3)


def test_edited_while_the_kernel_takes_its_time(world: World) -> None:
    installing(world)
    assert world.nodes[1].disk == text(2, "two")
    world.edit(1, text(3, "three"))
    world.settle()
    assert world.versions() == (3, 3)


def test_what_the_active_ones_kernel_refuses_is_told(world: World) -> None:
    """It serves, and so does a director of its own with what its kernel takes."""
    new = text(2, "two")
    world.nodes[0].lacks = {new.version}
    world.edit(1, new)
    world.settle()
    assert world.versions() == (2, 2)
    assert told(world.nodes[1], events.PeerIncomplete)
    world.nodes[0].lacks = set()
    world.converge(world.nodes[0], 0)
    world.settle()
    assert world.nodes[1].state.theirs.refusals == Refusals()  # type: ignore[union-attr]


@pytest.mark.parametrize("known", [False, True])
def test_nothing_is_lost_when_nobody_knows_what_both_ran(known: bool) -> None:
    world = World()
    joins = world.nodes[1]
    joins.disk, joins.had = text(2011, "of another"), [Version(2011, "of another")]
    joins.agreed = AGREED if known else Agreed()
    joins.boot()
    world.connect()
    world.settle()
    assert world.versions() == (2011, 2011)
    assert world.nodes[0].copies == ([] if known else [ONE.version])
    gave_way = told(world.nodes[0], events.ConfigReplaced)
    assert gave_way == ([] if known else [events.ConfigReplaced(1, "one")])


@pytest.mark.parametrize("new", [text(1, "other"), text(0, "older")])
def test_same_or_lower_number_is_a_conflict(world: World, new: Text) -> None:
    world.edit(0, new)
    world.settle()
    assert world.versions() == (1, 1)
    assert [node.disk for node in world.nodes] == [new, ONE]
    (event,) = told(world.nodes[0], events.ConfigConflict)
    assert event.digest == new.version.digest  # type: ignore[attr-defined]
    assert event.their_digest == "one"  # type: ignore[attr-defined]
    assert world.nodes[0].state.conflict
    assert world.nodes[1].state.theirs is not None
    assert world.nodes[1].state.theirs.file == new.version


@pytest.mark.parametrize(("asked", "use"), [(0, Use.HERE), (0, Use.THERE), (1, Use.HERE), (1, Use.THERE)])
def test_resolve_settles_it(world: World, asked: int, use: Use) -> None:
    world.edit(0, text(0, "older"))
    world.settle()
    world.feed(asked, ResolveAsked(use))
    world.settle()
    chosen = 0 if (asked == 0) is (use is Use.HERE) else 1
    assert world.versions() == ((0, 0) if chosen == 0 else (1, 1))
    assert world.nodes[0].disk == world.nodes[1].disk
    assert not any(node.state.conflict for node in world.nodes)
    assert told(world.nodes[chosen], events.ConflictResolved)
    world.edit(1, text(2, "two"))
    world.settle()
    assert world.versions() == (2, 2)


def test_edits_at_the_same_time_are_a_conflict(world: World) -> None:
    world.edit(0, text(2, "here"))
    world.edit(1, text(2, "there"))
    world.heal()
    assert world.versions() == (1, 1)
    assert all(node.state.conflict for node in world.nodes)
    world.feed(0, ResolveAsked(Use.HERE))
    world.heal()
    assert [node.disk for node in world.nodes] == [text(2, "here")] * 2


def test_the_same_file_laid_down_on_both(world: World) -> None:
    world.edit(0, text(2, "two"))
    world.edit(1, text(2, "two"))
    world.settle()
    assert world.versions() == (2, 2)
    assert not any(told(node, events.ConfigConflict) for node in world.nodes)


def test_away_it_is_pending_and_converges(world: World) -> None:
    world.cut()
    world.edit(1, text(2, "two"))
    world.settle()
    assert world.versions() == (1, 2)
    assert world.nodes[1].state.pending
    assert told(world.nodes[1], events.ConfigPending)
    world.edit(1, text(3, "three"))
    world.settle()
    world.connect()
    world.settle()
    assert world.versions() == (3, 3)
    assert not world.nodes[1].state.pending


def test_both_edited_while_apart(world: World) -> None:
    world.cut()
    world.edit(0, text(2, "here"))
    world.edit(1, text(3, "there"))
    world.heal()
    assert world.versions() == (2, 3)
    assert all(node.state.conflict for node in world.nodes)
    world.feed(0, ResolveAsked(Use.HERE))
    world.heal()
    assert world.versions() == (2, 2)


def test_an_edit_in_the_middle_is_never_overwritten(world: World) -> None:
    world.edit(0, text(2, "two"))
    world.deliver(1)  # the offer
    world.edit(1, None)  # and meanwhile somebody breaks the file there
    world.heal()
    assert world.nodes[1].disk is None
    assert world.versions() == (1, 1)


def test_no_answer(world: World) -> None:
    world.edit(0, text(2, "two"))
    world.wire[1].clear()
    world.wait(4.1)
    assert world.versions() == (1, 1)
    assert world.nodes[0].refused[0].reasons == ("the other director: no answer within 4 s",)


def test_no_word_after_the_commit(world: World) -> None:
    world.edit(0, text(2, "two"))
    world.deliver(1)
    world.work(1)
    world.deliver(0)
    world.wire[1].clear()  # the commit
    world.wait(5.1)
    assert not world.connected
    world.heal()
    assert world.versions() == (2, 2)


def test_the_first_goes_back_if_the_second_cannot(world: World) -> None:
    """The standby runs it already when the active one finds that its own file was edited."""
    world.edit(1, text(2, "two"))
    world.deliver(0)
    world.work(0)
    world.nodes[0].disk = text(2, "other")  # which nobody has read yet
    world.settle()
    assert world.log == ["backup 2", "backup 1"]
    assert world.versions() == (1, 1)
    assert world.nodes[1].disk == text(2, "two")


def test_a_newer_file_takes_the_place_of_what_is_offered(world: World) -> None:
    world.edit(0, text(2, "two"))
    world.edit(0, text(3, "three"))
    world.settle()
    assert world.versions() == (3, 3)
    assert world.nodes[0].refused == [Refuse(Version(2, "two"), ("a newer file took its place",))]


def test_what_is_pending_goes_on_when_an_edit_is_given_up(world: World) -> None:
    world.cut()
    world.edit(1, text(2, "two"))
    world.settle()
    world.connect()
    world.deliver(1)
    world.edit(1, text(3, "three"))
    world.edit(1, None)
    world.settle()
    assert world.versions() == (2, 2)


def test_nobody_waits_in_vain(world: World) -> None:
    """For a file that is read while another one is being installed, and replaced before its turn comes."""
    world.edit(0, text(2, "two"))
    for index in (1, 0):
        world.deliver(index)
        world.work(1)
    world.deliver(1)  # the commit; it is not carried out yet
    world.edit(1, text(3, "three"))
    world.edit(1, None)
    assert [one.version.serial for one in world.nodes[1].refused] == [3]


def test_refused_what_runs_is_offered_again(world: World) -> None:
    world.cut()
    new = text(2, "two")
    world.nodes[1].cannot = {new.version}
    world.edit(0, new)
    world.heal()
    assert world.versions() == (2, 1)
    assert world.nodes[0].state.refused == "no such program"
    assert len(told(world.nodes[0], events.ConfigRefusedByPeer)) == 1
    world.nodes[1].cannot = set()
    world.wait(31.0)
    world.settle()
    assert world.versions() == (2, 2)


def test_who_knows_less_believes_who_knows_more(world: World) -> None:
    """Cut when only one knows that both run the same, the other's next edit is no conflict."""
    world.edit(0, text(2, "two"))
    while world.nodes[1].agreed.number < 2:
        for index in (0, 1):
            world.work(index)
            world.deliver(index)
    assert world.nodes[0].agreed == AGREED
    world.cut()
    world.edit(0, text(3, "three"))
    world.settle()
    world.connect()
    world.settle()
    assert world.versions() == (3, 3)
    assert not any(told(node, events.ConfigConflict) for node in world.nodes)


def test_the_same_file_laid_down_on_both_and_then_a_cut(world: World) -> None:
    new = text(2, "two")
    world.edit(0, new)
    world.deliver(1)
    world.edit(1, new)
    world.cut()
    world.settle()
    assert world.versions() == (2, 2)


# A search

ACTIONS = st.one_of(
    st.tuples(st.just("edit"), st.integers(0, 1), st.integers(-1, 2)),
    st.tuples(st.just("copy"), st.integers(0, 1)),
    st.tuples(st.just("break"), st.integers(0, 1)),
    st.tuples(st.just("deliver"), st.integers(0, 1)),
    st.tuples(st.just("work"), st.integers(0, 1)),
    st.tuples(st.just("settle")),
    st.tuples(st.just("cut")),
    st.tuples(st.just("connect")),
    st.tuples(st.just("crash"), st.integers(0, 1)),
    st.tuples(st.just("wait"), st.sampled_from([1.0, 4.5, 31.0])),
    st.tuples(st.just("swap")),
    st.tuples(st.just("cannot"), st.integers(0, 1)),
    st.tuples(st.just("lacks"), st.integers(0, 1)),
    st.tuples(st.just("forget"), st.integers(0, 1)),
    st.tuples(st.just("resolve"), st.integers(0, 1), st.sampled_from(list(Use))),
)


def played(world: World, actions: list[tuple[object, ...]]) -> None:
    count = 0
    for kind, *given_ in actions:
        index = given_[0] if given_ and isinstance(given_[0], int) else 0
        node = world.nodes[index]
        match kind:
            case "edit":
                count += 1
                serial = (node.disk or node.runs).version.serial + int(str(given_[1]))
                world.edit(index, text(max(0, serial), f"edit {count}"))
            case "copy" if world.nodes[1 - index].disk is not None:
                world.edit(index, world.nodes[1 - index].disk)
            case "break":
                world.edit(index, None)
            case "deliver":
                world.deliver(index)
            case "work":
                world.work(index)
            case "settle":
                world.settle()
            case "cut":
                world.cut()
            case "connect":
                world.connect()
            case "crash":
                world.crash(index)
            case "wait":
                world.wait(float(str(given_[0])))
            case "swap":
                for other in (0, 1):
                    active = not world.nodes[other].active
                    world.nodes[other].active = active
                    world.feed(other, RoleIs(active))
            case "cannot":
                latest = world.nodes[1 - index].disk
                if latest is not None and latest.version != node.runs.version:
                    node.cannot.add(latest.version)
            case "lacks":
                latest = world.nodes[1 - index].disk
                if latest is not None and latest.version != node.runs.version:
                    node.lacks.add(latest.version)
            case "forget":  # its memory of the pair, and then it starts
                node.agreed = Agreed()
                world.crash(index)
            case "resolve":
                world.feed(index, ResolveAsked(Use(str(given_[1]))))


@settings(max_examples=400, deadline=None)
@given(st.lists(ACTIONS, max_size=40))
def test_whatever_happens_both_are_equal_or_a_conflict_is_named(actions: list[tuple[object, ...]]) -> None:
    judged(actions)


def judged(actions: list[tuple[object, ...]]) -> None:
    """Play a history, heal, and look."""
    world = World()
    played(world, actions)
    world.heal()
    one, other = world.nodes
    for node, peer in ((one, other), (other, one)):
        for old, new, forced in node.overwritten:
            assert forced or new.serial > old.serial, "an older one over a newer one"
            assert forced or old in peer.had, "an edit was lost"
        if node.disk is not None and node.disk.version != node.runs.version:  # and then it says why
            assert node.state.file == node.disk
            assert node.state.judged
    if one.runs.version == other.runs.version:
        return
    named = any(node.state.conflict or node.state.refused for node in world.nodes)
    assert named, "two configurations, and nobody says why"


# How often each is done, in long histories: enough for most of them to come to something.
OFTEN = {"edit": 4, "copy": 1, "break": 1, "deliver": 14, "work": 10, "settle": 2, "cut": 3, "connect": 4}
OFTEN |= {"crash": 2, "wait": 2, "swap": 1, "cannot": 1, "lacks": 1, "forget": 1, "resolve": 1}
HISTORIES = int(os.environ.get("HISTORIES", "1000"))


def history(seed: int) -> list[tuple[object, ...]]:
    chance = random.Random(seed)

    def action() -> tuple[object, ...]:
        (kind,) = chance.choices(list(OFTEN), list(OFTEN.values()))
        choices: dict[str, list[object]] = {"edit": [-1, 0, 1, 1, 1, 2], "resolve": list(Use)}
        rest = choices.get(kind, [None])
        first = chance.choice([1.0, 4.5, 31.0]) if kind == "wait" else chance.randrange(2)
        return kind, first, chance.choice(rest)

    return [action() for _ in range(chance.randrange(5, 150))]


def test_long_histories() -> None:
    for seed in range(HISTORIES):
        actions = history(seed)
        try:
            judged(actions)
        except AssertionError as fault:
            raise AssertionError(f"history {seed}, shortened: {shortened(actions)}") from fault


def shortened(actions: list[tuple[object, ...]]) -> list[tuple[object, ...]]:
    """Without all that can be left out."""
    at = 0
    while at < len(actions):
        fewer = actions[:at] + actions[at + 1 :]
        try:
            judged(fewer)
        except AssertionError:
            actions, at = fewer, 0
        else:
            at += 1
    return actions
