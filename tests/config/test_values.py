"""Single values: what is said of a bad one is in fixtures/messages.txt, statement by statement."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import golden
from lvs.config.load import load
from lvs.config.option import Kind
from lvs.config.options import GLOBAL, OPTIONS, SERVER, VIRTUAL
from lvs.config.values import FROM_TOML, FROM_WORD, Device, Mask, Refused, decoded, shown
from lvs.model import Format

# Where a statement of fixtures/messages.txt is put; the rest of the file has no problem.
SETTINGS = {
    "lvs.cf": "{}\n",
    "lvs.cf, virtual": "virtual v {{\n{}\n}}\n",
    "lvs.cf, server": "virtual v {{\nserver s {{\n{}\n}}\n}}\n",
    "lvs.toml": "{}\n",
    "lvs.toml, virtual": '[[virtual]]\nname = "v"\nactive = false\n{}\n',
    "lvs.toml, server": '[[virtual]]\nname = "v"\nactive = false\n[[virtual.server]]\nactive = false\n{}\n',
}


def test_messages() -> None:
    name = "messages.txt"
    section = ""
    out: list[str] = []
    for line in (golden.FIXTURES / name).read_text().splitlines():
        if line.startswith("    "):
            continue
        out.append(line)
        if line.startswith("== "):
            section = line.removeprefix("== ")
        elif line and section:
            text = SETTINGS[section].format(line)
            if section.endswith("server") and section.startswith("lvs.toml") and not line.startswith("name"):
                text += 'name = "s"\n'
            loaded = load(text, section.partition(",")[0])
            out += ["    " + str(problem) for problem in loaded.problems] or ["    -"]
    golden.check(name, "\n".join(out) + "\n")


def test_every_kind_is_read() -> None:
    for option in OPTIONS:
        if option.kind is not Kind.UNUSED:
            assert option.kind in FROM_TOML
            assert option.kind in FROM_WORD or Format.LVS_CF not in option.formats


@given(st.integers(0, 2**32 - 1))
def test_dotted_quads(number: int) -> None:
    word = str(IPv4Address(number))
    try:
        assert FROM_WORD[Kind.ADDRESS](SERVER["address"], word) == (
            IPv4Address(number) if number else None,
            "",
        )
        assert FROM_TOML[Kind.ADDRESS](SERVER["address"], word) == (IPv4Address(number) if number else None)
    except Refused:
        first = number >> 24
        assert first == 0 or 224 <= first <= 239 or number == 2**32 - 1


@given(st.from_regex(r"[0-9.]{1,20}", fullmatch=True))
def test_nothing_else_is_an_address(word: str) -> None:
    try:
        value, _ = FROM_WORD[Kind.ADDRESS](GLOBAL["primary"], word)
    except Refused:
        return
    assert str(value) == word


@given(st.integers(0, 2**128 - 1))
def test_ipv6_addresses(number: int) -> None:
    address = IPv6Address(number)
    try:
        value = FROM_TOML[Kind.ADDRESS](VIRTUAL["address"], address.exploded.upper())
    except Refused:
        assert address.is_multicast or address.ipv4_mapped is not None
    else:
        assert value == (address if number else None)


@pytest.mark.parametrize("prefix", range(33))
def test_masks(prefix: int) -> None:
    word = str(IPv4Address((2**32 - 1) << (32 - prefix) & (2**32 - 1)))
    expected = Mask(prefix, dotted=True) if prefix else None
    assert FROM_WORD[Kind.MASK](VIRTUAL["pmask"], word) == (expected, "")


def test_devices() -> None:
    read = FROM_TOML[Kind.DEVICE]
    option = VIRTUAL["device"]
    assert read(option, "eth0") == Device("eth0", None)
    assert read(option, "eth0.100:12") == Device("eth0.100", "eth0.100:12")
    assert read(option, "fifteen-letters") == Device("fifteen-letters", None)
    for bad in ("", ":1", "eth0:", "a b", "a/b", "sixteen-letters-", "eth0:a b", "é" * 8, "a\0"):
        with pytest.raises(Refused):
            read(option, bad)


@given(st.text())
def test_decoded_text_without_backslashes(text: str) -> None:
    if "\\" not in text:
        assert decoded(text) == (text, [])


@given(st.one_of(st.text(), st.integers(), st.floats(), st.booleans(), st.lists(st.integers()), st.none()))
def test_shown_is_short_and_one_line(value: object) -> None:
    assert len(shown(value)) < 700
    assert "\n" not in shown(value)
