"""Single values: what is said of a bad one is in fixtures/messages.txt, statement by statement."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import golden
from lvs.config.load import load
from lvs.config.option import Kind
from lvs.config.options import OPTIONS, VIRTUAL
from lvs.config.refusal import Refused
from lvs.config.values import FROM_TOML, FROM_WORD, Device, decoded
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
