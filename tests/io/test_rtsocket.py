"""A dump that changes underway is asked for again; all else is in tests/netns/test_links.py."""

from __future__ import annotations

import asyncio
import struct
from typing import Any

import pytest

from lvs.io.rtsocket import dump


def test_a_torn_dump_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """pyroute2 0.9.7 has the mark's number but never looks for it."""
    answers = [[0x2, 0x12, 0x2], [0x2, 0x2]]

    class Question:
        def __init__(self, answer: bytes = b"") -> None:
            self.answer = answer

        def decode(self) -> None:
            assert len(self.answer) == 16

    class Request:
        def __init__(self, _route: Any, _message: Any, parser: Any, **_: Any) -> None:
            self.parser = parser

        async def send(self) -> None: ...

        async def response(self) -> Any:
            for flags in answers.pop(0):
                yield self.parser(struct.pack("=IHHII", 16, 20, flags, 1, 0), 0, 16)

    monkeypatch.setattr("pyroute2.netlink.nlsocket.NetlinkRequest", Request)
    assert len(list(asyncio.run(dump(None, 0, Question)))) == 2
    assert answers == []
