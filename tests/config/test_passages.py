"""The short way against the exact one: the same tree, wherever it says anything at all."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import big
from config.golden import FIXTURES
from config.strategies import EXAMPLES, configs, edits
from lvs.config.lvscf import Reader
from lvs.config.passages import Passages
from lvs.config.render import to_cf
from lvs.errors import ConfigError

CLEAN = big.lvs_cf(1, 2)[big.lvs_cf(1, 2).index("virtual ") :]


def stretches(text: str) -> list[str]:
    return re.split(r"^(?=virtual )", text, flags=re.MULTILINE)


def same(text: str, reader: Reader | None = None) -> None:
    """Hold the short way to the exact one, stretch by stretch, with what it knows by then."""
    reader = reader or Reader()
    for stretch in (*stretches(text), text):
        for _ in range(2):  # met for the first time, and known
            assert reader.read(stretch) == Reader().exact(stretch)


def passages() -> Passages:
    return Passages(Reader().exact)


def test_what_is_usual_goes_the_short_way() -> None:
    reader = Reader()
    texts = stretches(big.lvs_cf(3, 4, weight=lambda _, real: real))[1:]
    assert len(texts) == 3
    for text in texts:
        assert reader.passages.part(text) == reader.exact(text)
    assert reader.passages.part(CLEAN.replace("server real2 {", "  server  real2 {")) is None


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("*.cf")), ids=lambda path: path.name)
def test_golden_files(path: Any) -> None:
    same(path.read_bytes().decode("latin-1").replace("\r\n", "\n"))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("server real1", 'server "real1"'),
        ("server real1", "server it's"),
        ("server real1", "server ="),
        ("server real1", "server #1"),
        ("server real1", "server a}"),
        ("server real1", "server a\\"),
        ("server real1", "server caf\xe9"),
        ("server real1 {", "server real1{"),
        ("server real1 {", "server real1 { # one"),
        ("server real1 {", "server real1 {}"),
        ("    server real1 {", "    x server real1 {"),
        ("    server real1 {", "\t server real1 {"),
        ("    server real1 {", "    expect = server real1 {"),
        ("    server real1 {", "    # server real1 {"),
        ("    server real2 {", "    port = 81\n    server real2 {"),
        ("    server real2 {", "    # the second\n    server real2 {"),
        ("    server real2 {", "    }\n    server real2 {"),
        ("    server real2 {", "x    server real2 {"),
        ("172.16.0.1\n", "172.16.0.01\n"),
        ("172.16.0.1\n", "172.16.0.256\n"),
        ("172.16.0.1\n", "172.16.0\n"),
        ("172.16.0.1\n", "172.16.0.1.\n"),
        ("172.16.0.1\n", "172.16..1\n"),
        ("172.16.0.1\n", ".172.16.1\n"),
        ("172.16.0.1\n", "0.0.0.0\n"),
        ("172.16.0.1\n", "0.0.0.1\n"),
        ("172.16.0.1\n", "1.0.0.0\n"),
        ("172.16.0.1\n", "223.255.255.255\n"),
        ("172.16.0.1\n", "224.0.0.1\n"),
        ("172.16.0.1\n", "240.0.0.0\n"),
        ("172.16.0.1\n", "255.255.255.254\n"),
        ("172.16.0.1\n", "255.255.255.255\n"),
        ("172.16.0.1\n", "172.16.0.1 \n"),
        ("172.16.0.1\n", "172.16.0.1 # one\n"),
        ("172.16.0.1\n", "172.16.0.1\n        address = 172.16.0.9\n"),
        ("172.16.0.1\n", "172.16.0.1\n        port = 8080\n"),
        ("weight = 1\n", "weight = 1 }\n"),
        ("weight = 1\n", "weight = 1}\n"),
        ("weight = 1\n", "weight = 0x1\n"),
        ("weight = 1\n", "weight = 1\n        weight = 1\n"),
        ("weight = 1\n", "weight = 1\n        # }\n"),
        ("weight = 1\n", "weight = 1\n        nmask = 255.255.255.0\n"),
        ("weight = 1\n", "weight = 1\n        scheduler = rr\n"),
        ("weight = 1\n", 'weight = 1\n        expect = "}\n'),
        ("weight = 1\n    }\n", "weight = 1\n"),
        ("weight = 1\n    }\n", "weight = 1\n    } more\n"),
        ("weight = 1\n    }\n}\n", "weight = 1\n    }\n    port = 81\n}\n"),
        ("weight = 1\n    }\n}\n", "weight = 1\n    }\n  # end\n}\n"),
        ("weight = 1\n    }\n}\n", "weight = 1\n    }\n"),
        ("weight = 1\n    }\n}\n", "weight = 1\n    }"),
        ("weight = 1\n    }\n}\n", "weight = 1\n    }\n}"),
        ("weight = 1\n    }\n}\n", "weight = 1\n    }\n}\n\n# the next\n"),
        ("weight = 1\n    }\n}\n", "weight = 1\n    }\n}\nserial_no = 3\n"),
        ("weight = 1\n    }\n}\n", "weight = 1\n    }\n}\nfailover x {\n}\n"),
        ("weight = 1\n    }\n}\n", "weight = 1\n    }\n}\n}\n"),
        ("weight = 1\n    }\n}\n", "weight = 1\n    }\n} x\n"),
        ("virtual service0 {", 'virtual "service 0" {'),
        ("virtual service0 {", "virtual service0{"),
        ("virtual service0 {", "virtual service0\n{"),
        ("virtual service0 {", "virtual # {"),
        ("virtual service0 {\n", "virtual service0 {\nfailover x {\n"),
        ("virtual service0 {\n", "virtual service0 {\nserver x {\n"),
        ("virtual service0 {\n", "virtual service0 {\n}\n"),
        ("active = 1\n    address", "active = 1\n    address = 10.0.0.1 eth0\n    address"),
        ("active = 1\n    address", "active = 1\n    # address"),
        ("active = 1\n    address", "active = 1 address"),
        ("eth0:1", "eth0:1 # label"),
        ("eth0:1", "eth0:a-long-label-is-this"),
        ("eth0:1", ""),
        ("10.100.0.1 eth0:1", "0.0.0.0 eth0:1"),
        ("10.100.0.1 eth0:1", "10.100.0.300 eth0:1"),
        ("port = 80", "port = 80\n    port = 81"),
        ("port = 80", "port = www"),
        ("port = 80", "port = none"),
        ("port = 80", "port = 08"),
    ],
)
def test_whatever_is_otherwise_says_the_same(old: str, new: str) -> None:
    assert old in CLEAN
    reader = Reader()
    same(CLEAN, reader)
    same(CLEAN.replace(old, new), reader)
    same(CLEAN.replace(old, new, 1) + CLEAN, reader)


def test_two_blocks_in_one_text_are_not_for_us() -> None:
    assert passages().part(CLEAN + CLEAN) is None
    assert passages().part("serial_no = 1\n" + CLEAN) is None
    assert passages().part("") is None


@given(configs(plain=True), st.data())
@settings(max_examples=EXAMPLES)
def test_random_files(config: Any, data: Any) -> None:
    try:
        text = to_cf(config)
    except ConfigError:  # lvs.cf cannot say all of it
        text = ""
    reader = Reader()
    same(text, reader)
    pieces = [
        "server a {",
        "}",
        "virtual b {",
        "    address = 10.0.0.1 eth0",
        "  weight = 2",
        "server c {\n}",
    ]
    same(data.draw(edits(text + CLEAN, pieces)), reader)


LINES = st.sampled_from(
    [*CLEAN.splitlines(), "    server a {", "", "}", "# x", "    port = 81", "serial_no = 2"]
)


@given(st.lists(LINES, max_size=12), st.integers(0, CLEAN.count("\n")))
def test_lines_thrown_in(lines: list[str], at: int) -> None:
    given_lines = CLEAN.splitlines()
    reader = Reader()
    same("\n".join([*given_lines[:at], *lines, *given_lines[at:]]), reader)
    same("virtual x {\n" + "\n".join(lines), reader)
