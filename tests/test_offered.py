"""What speaks against an offered configuration, and what becomes of the file."""

from __future__ import annotations

import asyncio
from hashlib import blake2b
from pathlib import Path

import pytest

from lvs import offered
from lvs.begin import ConfigFile
from lvs.inputs import ConfigLoaded
from lvs.sync.messages import Install
from lvs.sync.version import Text, Version
from stand import two


def test_another_language_is_refused(tmp_path: Path) -> None:
    async def run() -> None:
        async with two(tmp_path) as both:
            both.two.file.path = both.two.path.with_name("lvs.cf")
            outcome = await both.one.save(both.text(2))
            assert "both need the same language" in outcome.refused[0]

    asyncio.run(run())


OFFER = b"serial_no = 7\n"
VERSION = Version(7, blake2b(OFFER, digest_size=8).hexdigest())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (Text(VERSION, OFFER, "cf"), "and this is an lvs.cf: both need the same language"),
        (Text(VERSION, OFFER + b"#", "toml"), "what arrived is not what was sent"),
        (Text(Version(8, VERSION.digest), OFFER, "toml"), "it has serial_no 7, and was sent as 8"),
    ],
)
def test_objections(text: Text, said: str, tmp_path: Path) -> None:
    file = ConfigFile(tmp_path / "lvs.toml", None)
    (objection,) = offered.objections(file, text)
    assert said in objection
    assert offered.examine(file, text) == (objection,)
    assert list(tmp_path.iterdir()) == []


def test_it_is_put_in_the_place_of_what_was_expected_only(tmp_path: Path) -> None:
    file = ConfigFile(tmp_path / "lvs.toml", None)
    file.path.write_bytes(b"serial_no = 5\n")
    before = Version(5, blake2b(b"serial_no = 5\n", digest_size=8).hexdigest())
    text = Text(VERSION, OFFER, "toml")
    assert offered.examine(file, text) == ()
    assert "edited at the same time" in str(offered.put(file, Install(text, VERSION, forced=False)))
    assert file.path.read_bytes() == b"serial_no = 5\n"
    read = offered.put(file, Install(text, before, forced=False))
    assert isinstance(read, ConfigLoaded)
    assert offered.text_of(read, OFFER) == text
    assert offered.understood(file, text) == read
    assert file.path.read_bytes() == OFFER
    assert not file.path.with_name("lvs.toml.replaced").exists()
    file.path.write_bytes(b"serial_no = 5\n")
    assert isinstance(offered.put(file, Install(text, before, forced=False, copy=True)), ConfigLoaded)
    assert file.path.with_name("lvs.toml.replaced").read_bytes() == b"serial_no = 5\n"
