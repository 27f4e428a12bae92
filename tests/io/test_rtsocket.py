"""A dump that changes underway, and what is imported of pyroute2; the rest in tests/netns/test_links.py."""

from __future__ import annotations

import asyncio
import struct
import subprocess
import sys
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


PARTS = """\
import sys
from lvs.io.rtsocket import in_parts
in_parts()
in_parts()
from pyroute2.iproute.linux import AsyncIPRoute
assert "pyroute2.ndb.main" not in sys.modules
try:
    from pyroute2 import no_such_thing
except ImportError as fault:
    assert "no_such_thing" in str(fault)
else:
    raise AssertionError
import pyroute2
from pyroute2 import AsyncIPRoute as same, NDB
assert same is AsyncIPRoute is pyroute2.AsyncIPRoute
assert pyroute2 is sys.modules["pyroute2"]
in_parts()
assert pyroute2.NDB is NDB
"""


def test_pyroute2_in_parts_and_whole_for_who_wants_that() -> None:
    subprocess.run((sys.executable, "-c", PARTS), check=True)


def test_pyroute2_is_not_opened_whole() -> None:
    """What is here for the memory and the time that it takes."""
    opened = "import asyncio, sys\nfrom lvs.io.links import Links\nasyncio.run(Links().open())\n"
    shown = "print(sorted(name for name in sys.modules if name.startswith('pyroute2.ndb')))"
    done = subprocess.run((sys.executable, "-c", opened + shown), check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"
