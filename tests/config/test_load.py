"""The entry: languages, lines, and taking over what did not change."""

from __future__ import annotations

import gc
import time

import pytest
import tomli
from hypothesis import given, settings
from hypothesis import strategies as st

import big
from config import golden
from config.strategies import EXAMPLES, configs, edits
from lvs.config import load as module
from lvs.config.load import Loaded, format_of, load
from lvs.config.render import to_cf, to_toml
from lvs.errors import ConfigError
from lvs.model import Config, Format

CF_PIECES = [
    "}",
    "virtual a {",
    "virtual a",
    "server b {",
    "network = direct",
    "network = tunnel",
    "keepalive = 3",
    "address = 10.0.0.5 eth0:1",
    "address = 10.0.0.3",
    "port = 1000",
    "active = 1",
    "weight = -1",
    "virtual a {\nactive = 1\naddress = 10.0.0.5 eth0:2\nserver s {\naddress = 10.0.0.3\nactive = 1\n}\n}",
    "  virtual indented {\n  }",
    "failover f {\n}",
    "nonsense",
    'send = "\\q"',
    "syncdaemon = 1",
]
TOML_PIECES = [
    "[[virtual]]",
    '[[virtual]]\nname = "a"\naddress = "10.0.0.5"\ndevice = "eth0:2"\nport = 1000',
    "[[virtual.server]]",
    '[[virtual.server]]\nname = "s"\naddress = "10.0.0.3"\nweight = 3',
    'network = "direct"',
    'x = """\n[[virtual]]\n"""',
    'expect = """\n[[virtual]]\nname = "x"\n"""',
    "scheduler_flags = [\n'sh-port',\n]",
    "[other]",
    "[virtual.x]",
    "[[other]]",
    "virtual = []",
    "'''",
    '"""',
    "[",
    "]",
    "keepalive = 1",
    "port = 1000",
    "weight = -1",
    "active = 0",
    "# [[virtual]]",
    " [[virtual]]",
    "[[virtual]] # x",
    "[[virtual]] x",
    "syncdaemon = true",
    '[[virtual.check]]\ntype = "http"\npath = "/x"',
    '[[virtual.check]]\ntype = "dialogue"\nsteps = [{send = "x"}]',
    "[[virtual.check]]",
    '[[virtual.check.steps]]\nsend = "y"',
    "[virtual.check]",
    "check = []",
    'type = "dns"',
    "port = 0",
    "starttls = true",
]


FILES = [*sorted(path.name for path in golden.FIXTURES.glob("*.cf")), "everything.toml"]


def same(one: Loaded, other: Loaded) -> None:
    assert one.problems == other.problems
    assert one.config == other.config
    assert one.network == other.network


@given(st.data(), configs(plain=True), st.booleans())
@settings(max_examples=EXAMPLES)
def test_cf_after_edits(data: st.DataObject, config: Config, indented: bool) -> None:
    try:
        text = to_cf(config)
    except ConfigError:
        return
    if indented:
        text = text.replace("\n", "\n  ")
    loaded = load(text, "x.cf")
    for _ in range(3):
        text = data.draw(edits(text, CF_PIECES))
        loaded = load(text, "x.cf", previous=loaded)
        same(loaded, load(text, "x.cf"))


@given(st.data(), configs())
@settings(max_examples=EXAMPLES)
def test_toml_after_edits(data: st.DataObject, config: Config) -> None:
    text = to_toml(config)
    loaded = load(text, "x.toml")
    for _ in range(3):
        text = data.draw(edits(text, TOML_PIECES))
        loaded = load(text, "x.toml", previous=loaded)
        fresh = load(text, "x.toml")
        if loaded.problems != fresh.problems:
            assert loaded.config is None  # a syntax error keeps the cache
        same(loaded, fresh) if fresh.stretches else None
        oracle(text, fresh)


def oracle(text: str, loaded: Loaded) -> None:
    """Compare with the text read in one stretch, as tomli alone sees it."""
    try:
        tomli.loads(text)
    except (tomli.TOMLDecodeError, RecursionError, ValueError):
        assert loaded.config is None
        return
    cutter = module._Cutter(Format.TOML, None)
    part = cutter.reader.read(text)
    network = part.values.get("network", cutter.default)
    whole = cutter._built(text, part, network, alone=False)
    servers = [server for stretch in loaded.stretches for server in stretch.virtual_servers]
    assert servers == list(whole.virtual_servers)
    merged = {key: value for stretch in loaded.stretches for key, value in stretch.settings.items()}
    assert merged == whole.settings
    found = {str(p) for p in module._problems("x", (whole,), ())}
    assert found <= {str(p) for p in module._problems("x", loaded.stretches, ())}
    assert len(found) <= len(loaded.problems)


@pytest.mark.parametrize("name", ["x.cf", "x.toml"])
def test_unchanged_virtual_servers_are_the_same_objects(name: str) -> None:
    write = big.lvs_cf if name == "x.cf" else big.lvs_toml
    before = load(write(20, 3), name)
    changed = write(20, 3, weight=lambda service, real: 7 if (service, real) == (11, 2) else 1)
    after = load(changed.replace("serial_no = 1", "serial_no = 2"), name, previous=before)
    assert before.config is not None
    assert after.config is not None
    pairs = zip(before.config.virtual_servers, after.config.virtual_servers, strict=True)
    assert [index for index, (one, other) in enumerate(pairs) if one is not other] == [11]
    assert after.config.virtual_servers[11].real_servers[1].weight == 7
    assert after.config.serial_no == 2
    assert load(changed, name, previous=after).problems == ()


@pytest.mark.parametrize("name", ["x.cf", "x.toml"])
def test_moved_blocks_are_the_same_objects(name: str) -> None:
    text = (big.lvs_cf if name == "x.cf" else big.lvs_toml)(5, 2)
    before = load(text, name)
    header = "virtual service" if name == "x.cf" else "[[virtual]]"
    head, *blocks = text.split(f"\n{header}")
    after = load(f"\n{header}".join([head, *reversed(blocks)]) + "\n", name, previous=before)
    assert before.config is not None
    assert after.config is not None
    kept = {id(server) for server in before.config.virtual_servers}
    assert sum(id(server) in kept for server in after.config.virtual_servers) >= 3


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('virtual = [{name = "a", active = false}]\n', '[[virtual]]\nname = "b"\nactive = false\n'),
        ('[[virtual]]\nname = "a"\nactive = false\n[x]\n', '[[virtual]]\nname = "b"\nactive = false\n'),
    ],
)
def test_what_is_not_alone_is_not_taken_over(before: str, after: str) -> None:
    loaded = load(before, "x.toml")
    for text in (before + after, after + before):
        again = load(text, "x.toml", previous=loaded)
        assert again.problems == load(text, "x.toml").problems
        assert again.config is None


def test_blocks_glued_together() -> None:
    text = "virtual a {\n}\nvirtual b {\n}\nvirtual c {\n}\n"
    loaded = load(text, "x.cf")
    for glued in (text.replace("}\nvirtual c", "}virtual c"), text.replace("a {\n}\n", "a {\n} ")):
        again = load(glued, "x.cf", previous=loaded)
        same(again, load(glued, "x.cf"))
        assert again.problems


def test_the_last_block_goes_on() -> None:
    loaded = load("virtual a {\n}\nvirtual b {\n", "x.cf")
    assert loaded.problems
    assert load("virtual a {\n}\nvirtual b {\n}\n", "x.cf", previous=loaded).problems == ()
    text = '[[virtual]]\nname = "a"\nactive = false\n'
    again = load(text + "fwmark = 7\n", "x.toml", previous=load(text, "x.toml"))
    assert again.config is not None
    assert again.config.virtual_servers[0].fwmark == 7


def test_an_error_keeps_the_rest() -> None:
    text = big.lvs_toml(5, 2)
    before = load(text, "x.toml")
    broken = load(text.replace("weight = 1", "weight = ", 1), "x.toml", previous=before)
    assert broken.config is None
    after = load(text, "x.toml", previous=broken)
    assert before.config is not None
    assert after.config is not None
    assert after.config.virtual_servers[0] is before.config.virtual_servers[0]


def test_the_other_language_starts_anew() -> None:
    before = load(big.lvs_cf(2, 2), "x.cf")
    after = load(big.lvs_toml(2, 2), "x.toml", previous=before)
    assert after.format is Format.TOML
    assert after.config == before.config


def test_formats() -> None:
    assert format_of("/etc/lvs/lvs.toml") is Format.TOML
    assert format_of("/etc/sysconfig/ha/lvs.cf") is Format.LVS_CF
    assert load("serial_no = 1\n", "-", Format.TOML).format is Format.TOML


def test_problems_are_sorted_and_counted_through_the_file() -> None:
    text = "primary = x\nvirtual a {\n}\nvirtual b {\nport = 0\n}\nbackup = y\nvirtual c {\ntimeout = 0\n}\n"
    loaded = load(text, "lvs.cf")
    assert [(p.line, p.path) for p in loaded.problems] == [
        (1, "primary"),
        (5, "virtual[1].port"),
        (7, "backup"),
        (9, "virtual[2].timeout"),
    ]
    assert (
        load(text.replace("timeout = 0", "timeout = 1"), "lvs.cf", previous=loaded).problems
        == loaded.problems[:3]
    )


def test_an_empty_file_of_either_language() -> None:
    for name in ("lvs.cf", "lvs.toml"):
        assert [str(problem) for problem in load(b"", name).problems] == [f"{name}: the file is empty"]


@pytest.mark.parametrize("name", FILES)
def test_fixture(name: str) -> None:
    loaded = load((golden.FIXTURES / name).read_bytes(), name)
    lines = [str(problem) for problem in loaded.problems]
    golden.check(f"{name}.problems", "".join(f"{line}\n" for line in lines) or "no problem\n")


@pytest.mark.parametrize("name", ["x.cf", "x.toml"])
def test_time_grows_linearly(name: str) -> None:
    write = big.lvs_cf if name == "x.cf" else big.lvs_toml
    spent = []
    gc.disable()  # its time depends on all that the test run has left behind
    for services in (50, 400):
        text = write(services, 10)
        begin = time.process_time()
        assert load(text, name).config is not None
        spent.append(time.process_time() - begin)
    gc.enable()
    assert spent[1] < 8 * spent[0] * 5 + 0.2  # quadratic would be 64 times


def test_the_example_is_the_deployment() -> None:
    path = golden.FIXTURES.parent.parent / "lvs.toml.example"
    example = load(path.read_bytes(), path.name, Format.TOML)
    deployment = load((golden.FIXTURES / "deployment.cf").read_bytes(), "deployment.cf")
    assert example.problems == ()
    assert example.config is not None
    assert example.config == deployment.config


def test_the_example_is_in_the_language_that_its_name_says() -> None:
    assert format_of("lvs.toml.example") is Format.TOML
    assert format_of("/etc/lvs/lvs.cf.example") is Format.LVS_CF
