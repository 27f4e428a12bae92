"""Lines of an lvs.toml: every table and key of a valid text, and what is found of one that is none."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from config import golden
from lvs.config.load import load
from lvs.config.located import Place
from lvs.config.toml import Reader
from lvs.config.toml_lines import deepest, locate, statements


def told(text: str) -> list[str]:
    return [str(problem) for problem in load(text, "lvs.toml").problems]


def test_locate() -> None:
    text = (golden.FIXTURES / "lines.toml").read_text()
    Reader().read(text)  # valid
    expected = {}
    for number, line in enumerate(text.split("\n"), 1):
        if "@" in line:
            key, block, server = line.partition("@")[2].split(",")
            expected[Place(key, int(block), int(server))] = number
    found = locate(text)
    assert {place: found.get(place) for place in expected} == expected


def test_inline_tables_have_the_line_of_what_encloses_them() -> None:
    text = 'serial_no = 1\nvirtual = [{name = "a", active = false, port = 0},\n{name = "b", port = 0}]\n'
    assert [problem.line for problem in load(text, "lvs.toml").problems] == [2] * 3
    text = '[[virtual]]\nname = "a"\nactive = false\nserver = [\n{name = "x", weight = -1, active = false}]\n'
    assert told(text) == ["lvs.toml:4: virtual[0].server[0].weight: 0 to 65535, got -1"]


def test_tables_of_one_bracket_have_their_line() -> None:
    asked = "blocks are asked for, each beginning with [[virtual"
    assert told('serial_no = 1\n\n[virtual]\nname = "a"\n') == [
        f"lvs.toml:3: virtual: {asked}]]; got a table"
    ]
    assert told('serial_no = 1\n[virtual.server]\nname = "a"\n') == [
        f"lvs.toml:2: virtual: {asked}]]; got a table"
    ]
    block = '[[virtual]]\nname = "a"\nactive = false\n'
    for table in ("server", "check"):
        for header in (f"[virtual.{table}]", f"[virtual.{table}.x]", f"[[virtual.{table}.x]]"):
            assert told(f"{block}{block}\n{header}\n")[-1] == (
                f"lvs.toml:8: virtual[1].{table}: {asked}.{table}]]; got a table"
            )


def test_statements_end_where_the_next_begins() -> None:
    text = 'a = [1, # ]\n2]\n[[virtual]]\nname = """\nb = 1\n"""\n'
    assert [(one.places[0], one.line, text[: one.end].count("\n")) for one in statements(text)] == [
        (Place("a"), 1, 2),
        (Place("", 0), 3, 3),
        (Place("name", 0), 4, 6),
    ]


def test_the_deepest_line() -> None:
    deep = "[" * 500
    assert deepest(f"a = [[1]]\nb = {deep}\n") == 2
    assert deepest(f"a = '{deep}'\n# {deep}\n" + "a" + ".a" * 2000 + " = 1\n") == 3
    for nested in (f"a = {deep}", "a" + ".a" * 2000 + " = 1", "[" + "a." * 2000 + "a]"):
        assert told(f"serial_no = 1\n\n{nested}\n# end\n") == ["lvs.toml:3: nested too deeply"]


@given(st.text(st.sampled_from("ab\n\"'=.#[]{}")))
def test_any_text_has_lines(text: str) -> None:
    lines = text.count("\n") + 1
    assert 1 <= deepest(text) <= lines
    assert all(1 <= one.line <= lines and one.end <= len(text) for one in statements(text))
