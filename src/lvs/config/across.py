"""What concerns several virtual servers: they are judged together, at every load.

Each virtual server contributes its `Facts`, values that compare fast; the clean case, which is
nearly every load, is decided by comparing sizes of sets, so that a thousand virtual servers cost
well under a millisecond.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from lvs.config.located import Note, Place, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Facts(msgspec.Struct, frozen=True, gc=False):
    """What `across` needs to know of one virtual server, in values that compare fast."""

    name: str
    masquerading: bool
    identity: int = 0  # VIP, protocol and port as one number; 0: inactive, or known by its mark
    vip: tuple[int, str, str | None, int | None] | None = None  # and where it is to be held
    mark: int = 0
    agreement: tuple[object, ...] = ()  # what virtual servers of one mark share, one kernel service
    mixed: bool = False  # some real server is of another family than the VIP


def twice(keys: Sequence[object]) -> Iterator[tuple[int, int]]:
    """Yield the index of every key that was there before, and where it was first."""
    first: dict[object, int] = {}
    for index, key in enumerate(keys):
        other = first.setdefault(key, index)
        if key and other != index:
            yield index, other


def across(facts: Sequence[Facts], *, syncdaemon: bool, notes: list[Note]) -> None:
    """Judge virtual servers together; the places of `notes` count through the whole file.

    The clean case, which is nearly every load, is decided by comparing sizes of sets.
    """
    names = [fact.name for fact in facts]
    if len(set(names)) != len(names):
        for index, other in twice(names):
            message = f"the name {names[index]} is also that of virtual[{other}]; both are served"
            notes.append(Note(Place("", index), message, Severity.WARNING))
    identities = [fact.identity for fact in facts if fact.identity]
    if len(set(identities)) != len(identities):
        for index, other in twice([fact.identity for fact in facts]):
            message = f"virtual[{other}] ({names[other]}) has this VIP, protocol and port already"
            notes.append(Note(Place("address", index), message))
    vips = {fact.vip for fact in facts if fact.vip is not None}
    if len({vip[0] for vip in vips}) != len(vips):
        _vips_apart(facts, notes)
    if any([fact.mark for fact in facts]):  # noqa: C419  a list is faster
        _marks_agree(facts, notes)
    if syncdaemon and any([fact.mixed for fact in facts]):  # noqa: C419
        for index, fact in enumerate(facts):
            if fact.mixed:
                message = (
                    "the kernel refuses syncdaemon beside real servers of another family than their VIP; "
                    "turn off syncdaemon, or use one family"
                )
                notes.append(Note(Place("", index), message))


def _vips_apart(facts: Sequence[Facts], notes: list[Note]) -> None:
    first: dict[int, int] = {}
    for index, fact in enumerate(facts):
        if fact.vip is None:
            continue
        other = first.setdefault(fact.vip[0], index)
        seen = facts[other].vip
        if seen is not None and seen != fact.vip:
            _, device, label, prefix = seen
            mask = "" if prefix is None else f"/{prefix}"
            message = (
                f"virtual[{other}] ({facts[other].name}) puts this VIP on {label or device}{mask}; "
                "it is held there, as the first block says"
            )
            notes.append(Note(Place("address", index), message, Severity.WARNING))


_AGREEMENT = (
    ("address", "address family"),
    ("scheduler", "scheduler"),
    ("scheduler_flags", "scheduler flags"),
    ("persistent", "persistence"),
    ("forwarding", "forwarding method"),
    ("tunnel", "tunnel"),
)


def _marks_agree(facts: Sequence[Facts], notes: list[Note]) -> None:
    first: dict[int, int] = {}
    for index, fact in enumerate(facts):
        if not fact.mark:
            continue
        other = first.setdefault(fact.mark, index)
        if facts[other].agreement == fact.agreement:
            continue
        for (option, word), mine, theirs in zip(
            _AGREEMENT, fact.agreement, facts[other].agreement, strict=True
        ):
            if mine != theirs:
                message = (
                    f"another {word} than virtual[{other}] ({facts[other].name}), which has the same fwmark "
                    f"{fact.mark}: to the kernel both are one service"
                )
                notes.append(Note(Place(option, index), message))
