"""What is said of a text that is no TOML: the line, the option, and what to write."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvs.config.load import load
from lvs.config.toml_syntax import explained

HEAD = '[[virtual]]\nname = "v"\nactive = false\n'


def told(text: str) -> list[str]:
    return [str(problem) for problem in load(text, "lvs.toml").problems]


@pytest.mark.parametrize(
    ("line", "path", "said"),
    [
        ("primary = 10.0.0.5", "primary", 'quotes are missing: primary = "10.0.0.5"'),
        ("primary = 10.0.0.5 # x", "primary", 'quotes are missing: primary = "10.0.0.5"'),
        ("primary = fe80::1", "primary", 'quotes are missing: primary = "fe80::1"'),
        ("network = direct", "network", 'quotes are missing: network = "direct"'),
        ("active_cmd = /bin/x %h", "active_cmd", 'quotes are missing: active_cmd = "/bin/x %h"'),
        ('active_cmd = /bin/x "a"', "active_cmd", "quotes are missing: active_cmd = '/bin/x \"a\"'"),
        ("active_cmd = \u201c/bin/x\u201d", "active_cmd", 'quotes are missing: active_cmd = "/bin/x"'),
        ("heartbeat_port = http", "heartbeat_port", 'quotes are missing: heartbeat_port = "http"'),
        ("xyzzy = a-b", "xyzzy", 'quotes are missing: xyzzy = "a-b"'),
        ("witness = [10.0.0.1]", "witness", 'quotes are missing: "10.0.0.1"'),
        (
            'witness = ["10.0.0.1" "10.0.0.2"]',
            "witness",
            "a comma is missing in the list, or its closing bracket",
        ),
        ("backup_active = yes", "backup_active", 'true or false, got "yes"; write true'),
        ("backup_active = False", "backup_active", 'true or false, got "False"; write false'),
        ("xyzzy = Yes", "xyzzy", 'true or false, got "Yes"; write true'),
        ("serial_no = 07", "serial_no", 'a whole number is asked for, got "07"; write 7'),
        ("tcp_timeout = 6s", "tcp_timeout", 'a whole number is asked for, got "6s"'),
        ("serial_no = ", "serial_no", "the value is missing"),
        ("serial_no", "", "= is expected: serial_no = ..."),
        ("keepalive 2", "", "= is expected: keepalive = 2"),
        ('primary = "10.0.0.5', "primary", "the quotation mark is never closed"),
        ("primary = '10.0.0.5", "primary", "the quotation mark is never closed"),
        ('primary = """10.0.0.5', "primary", "the quotation mark is never closed"),
        (
            "server a {",
            "",
            "a block of lvs.cf; in lvs.toml it begins with [[virtual]] or [[virtual.server]], and has a name",
        ),
        ("weight = 1 = 2", "weight", 'a whole number is asked for, got "1 = 2"'),
        ('active_cmd = "a" "b"', "active_cmd", "Expected newline or end of document after a statement"),
        ("= 3", "", "Invalid statement"),
    ],
)
def test_one_line(line: str, path: str, said: str) -> None:
    where = f"{path}: " if path else ""
    assert told(f"# a\n\n{line}\n# b\n{HEAD}") == [f"lvs.toml:3: {where}{said}"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("port = http\n", '4: virtual[0].port: quotes are missing: port = "http"'),
        ("port = 80\nport = 81\n", "5: virtual[0].port: given before, in line 4; which of the two counts?"),
        ("a.b = 1\na = 2\n", "5: virtual[0].a: given before, in line 4; which of the two counts?"),
        (
            "[[virtual.server]]\nweight = 1\n[[virtual.server]]\nport = 81\nweight = 1\n'weight' = 2\n",
            "9: virtual[0].server[1].weight: given before, in line 8; which of the two counts?",
        ),
        (
            'server = 1\n[[virtual.server]]\nname = "s"\n',
            "5: virtual[0].server[0]: given before, in line 4; which of the two counts?",
        ),
        (
            "[[virtual.check]]\ntype = http\n",
            '5: virtual[0].check[0].type: quotes are missing: type = "http"',
        ),
        (
            '[[virtual.check]]\ntype = "http"\nstatus = [200, 300-399]\n',
            '6: virtual[0].check[0].status: quotes are missing: "300-399"',
        ),
        (
            '[[virtual.check]]\ntype = "https"\nverify = no\n',
            '6: virtual[0].check[0].verify: true or false, got "no"; write false',
        ),
        (
            'scheduler_flags = [\n"sh-port",\nsh-fallback,\n]\n',
            '6: virtual[0].scheduler_flags: quotes are missing: "sh-fallback"',
        ),
        ("[virtual]\n", "4: virtual[1]: two brackets are asked for: [[virtual]]"),
        (
            "[[virtual.server]]\n[virtual.server]\n",
            "5: virtual[0].server[1]: two brackets are asked for: [[virtual.server]]",
        ),
        ("[[virtual]\n", "4: virtual[1]: Expected ']]' at the end of an array declaration"),
        ("x\n", "4: Expected '=' after a key in a key/value pair"),
    ],
)
def test_below_a_virtual_server(text: str, problem: str) -> None:
    assert told(HEAD + text) == [f"lvs.toml:{problem}"]
    before = HEAD.replace("v", "before")
    line = int(problem.partition(":")[0])
    assert told(before + HEAD + text)[0].split(":")[1] == str(line + 3)


def test_an_end_that_is_far_away_is_told_at_its_beginning() -> None:
    text = "serial_no = 1\nprimary = '10.0.0.5\n" + "keepalive = 1\n" * 5
    assert told(text) == ["lvs.toml:2: primary: the quotation mark is never closed"]


def test_what_is_too_long_to_show_is_not_shown() -> None:
    (problem,) = told("active_cmd = " + "x" * 1000)
    assert problem == "lvs.toml:1: active_cmd: Invalid value"


@given(st.text(st.sampled_from("ab \n\"'=.#[]{},7")), st.integers(1, 9))
def test_any_text_is_explained(text: str, line: int) -> None:
    line = min(line, text.count("\n") + 1)
    for message in ("Invalid value", "Cannot overwrite a value", "Unterminated string", "Unclosed array"):
        fault = explained(text, message, line)
        assert str(fault)
        assert 1 <= fault.line <= line
