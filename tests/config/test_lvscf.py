"""The lvs.cf reader: every decision on Piranha's defects, and the messages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from growth import is_no_square
from lvs.config.load import Loaded, load
from lvs.config.located import UNKNOWN, Severity
from lvs.config.lvscf import Reader
from lvs.config.render import to_toml
from lvs.model import Config, Scheduler, VirtualServer


def cf(text: str | bytes) -> Loaded:
    return load(text, "lvs.cf")


def told(text: str | bytes) -> list[str]:
    return [str(problem) for problem in cf(text).problems]


def good(text: str | bytes) -> Config:
    """Load a file that has no problem at all."""
    loaded = cf(text)
    assert not loaded.problems, [str(problem) for problem in loaded.problems]
    assert loaded.config is not None
    return loaded.config


def taken(text: str | bytes) -> Config:
    """Load a file that may have warnings."""
    loaded = cf(text)
    assert loaded.config is not None, [str(problem) for problem in loaded.problems]
    return loaded.config


def block(*lines: str, name: str = "web") -> str:
    """Return a virtual server that is complete, and `lines` in it from line 6 on."""
    return "\n".join(
        [
            f"virtual {name} {{",
            "active = 1",
            "address = 10.0.0.5 eth0:1",
            "port = 80",
            "protocol = tcp",
            *lines,
            "}\n",
        ]
    )


def web(*lines: str) -> VirtualServer:
    return good(block(*lines)).virtual_servers[0]


# --- lines and words


@pytest.mark.parametrize("end", ["\r\n", "\r", "\n"])
def test_line_ends(end: str) -> None:
    text = block("server one {", "address = 10.0.0.3", "active = 1", "}")
    assert good(text.replace("\n", end)) == good(text)


def test_line_numbers_count_every_kind_of_line_end() -> None:
    assert told("serial_no = 1\r\n\rkeepalive = x\n") == [
        'lvs.cf:3: keepalive: a whole number is asked for, got "x"'
    ]


def test_byte_order_mark_is_skipped() -> None:
    assert good("\ufeffserial_no = 7\n".encode()).serial_no == 7


def test_zero_bytes_are_refused_and_blanks_are_not() -> None:
    assert told("") == ["lvs.cf: the file is empty"]
    assert good("\n# nothing\n\t \n").virtual_servers == ()


def test_nul_byte() -> None:
    assert told(b"serial_no = 1\nkeepalive\0 = 3\n") == ["lvs.cf:2: a NUL byte; the file is damaged"]


def test_bytes_above_127_are_kept() -> None:
    text = block(name="café")
    assert good(text.encode()).virtual_servers[0].name == "café"
    loaded = cf(text.encode("latin-1"))
    assert loaded.config is not None
    assert loaded.config.virtual_servers[0].name == "café"
    assert [str(p) for p in loaded.problems] == ["lvs.cf:1: warning: not UTF-8; the file is read as Latin-1"]


@pytest.mark.parametrize("blank", ["\u00a0", "\f", "\v"])
def test_other_blanks_are_none(blank: str) -> None:
    assert cf(f"serial_no{blank}= 1\n").config is None


# --- blocks


@pytest.mark.parametrize(
    ("opening", "message"),
    [
        ("virtual web{", "a blank is missing before the brace: virtual web {"),
        ("virtual {", "a name is missing: virtual NAME {"),
        ("virtual", "a name is missing: virtual NAME {"),
        ("virtual web { # x", "a comment stands on a line of its own; after a value, # is none"),
        ("virtual = web {", "no = stands here: virtual web {"),
        ("virtual my web {", "a name is one word; quote one that has blanks"),
        ("virtual web {x", "nothing else stands on the line that opens a block: virtual web {"),
    ],
)
def test_opening_refused(opening: str, message: str) -> None:
    text = block().replace("virtual web {", opening)
    assert told(text) == [f"lvs.cf:1: virtual[0]: {message}"]


def test_brace_on_the_next_line() -> None:
    text = block().replace("virtual web {", "virtual web\n{")
    assert told(text) == ["lvs.cf:1: virtual[0]: the opening brace belongs on this line: virtual web {"]


@pytest.mark.parametrize("line", ["server s {}", "server s { }", "server s { active = 1 }"])
def test_whole_block_on_one_line(line: str) -> None:
    message = "nothing else stands on the line that opens a block: server s {"
    assert told(block(line)) == [f"lvs.cf:6: virtual[0].server[0]: {message}"]


@pytest.mark.parametrize("line", ["weight = 1 }", "weight = 1}"])
def test_closing_brace_behind_a_value(line: str) -> None:
    problems = told(block("server s {", "address = 10.0.0.3", line))
    assert len(problems) == 1
    assert problems[0].startswith("lvs.cf:8: virtual[0].server[0].weight: ")
    assert problems[0].endswith("the closing brace stands on a line of its own")


def test_names() -> None:
    names = ["1", "a.b", "#", "=", "}", '"a b"', "a-b", "it's", '"a"']
    text = "".join(f"virtual {name} {{\n}}\n" for name in names)
    found = [server.name for server in good(text).virtual_servers]
    assert found == ["1", "a.b", "#", "=", "}", "a b", "a-b", "it's", "a"]


def test_after_a_closing_brace() -> None:
    assert good("virtual a {\n} # end\nvirtual b {\n} \n").virtual_servers[1].name == "b"
    assert told("virtual a {\n} active = 1\n") == [
        "lvs.cf:2: warning: virtual[0]: what follows the closing brace is ignored"
    ]


UNCLOSED = "no closing brace is found for the block opened here; is the file complete?"


def test_end_of_file_inside_a_block() -> None:
    text = block("server s {", "address = 10.0.0.3").removesuffix("}\n")
    assert told(text) == [f"lvs.cf:1: virtual[0]: {UNCLOSED}", f"lvs.cf:6: virtual[0].server[0]: {UNCLOSED}"]


def test_forgotten_braces_cost_one_problem_each() -> None:
    text = "virtual a {\nserver s {\nserver t {\n}\n}\nvirtual b {\nvirtual c {\n}\nkeepalive = 3\n"
    assert told(text) == [
        f"lvs.cf:2: virtual[0].server[0]: {UNCLOSED}",
        f"lvs.cf:6: virtual[1]: {UNCLOSED}",
    ]


def test_server_outside_a_block() -> None:
    assert told("server s {\naddress = 10.0.0.3\n}\nserial_no = 1\n") == [
        "lvs.cf:1: a server block stands within a virtual block; is there a brace too many above?"
    ]


def test_a_misspelt_block_is_judged_as_what_was_meant() -> None:
    text = block("servr s {", "address = 10.0.0.3", "weight = 70000", "}").replace("virtual", "virtaul")
    assert told(text + "failovr f {\n}\n") == [
        'lvs.cf:1: virtual[0]: unknown word "virtaul"; did you mean "virtual"?',
        'lvs.cf:6: virtual[0].server[0]: unknown word "servr"; did you mean "server"?',
        "lvs.cf:8: virtual[0].server[0].weight: 0 to 65535, got 70000",
        f"lvs.cf:11: warning: failover[0]: {FAILOVER}",
        'lvs.cf:11: failover[0]: unknown word "failovr"; did you mean "failover"?',
    ]


def test_global_option_in_a_block() -> None:
    assert told(block("keepalive = 3")) == [
        "lvs.cf:6: virtual[0].keepalive: unknown option here; it belongs outside all blocks"
    ]


def test_global_options_may_follow_blocks() -> None:
    config = good(
        block("server s {", "address = 10.0.0.3", "active = 1", "}") + "network = direct\nserial_no = 4\n"
    )
    assert config.serial_no == 4
    assert config.virtual_servers[0].forwarding == "direct"


def test_indentation_means_nothing() -> None:
    plain = block("server s {", "address = 10.0.0.3", "}") + block(name="b").replace("80", "81")
    indented = "".join(f"  \t{line}\n" for line in plain.splitlines())
    assert good(indented) == good(plain)


def test_blocks_of_one_name_are_two() -> None:
    text = "virtual a {\n}\nvirtual b {\n}\nvirtual a {\n}\n"
    assert told(text) == [
        "lvs.cf:5: warning: virtual[2]: the name a is also that of virtual[0]; both are served"
    ]
    assert len(taken(text).virtual_servers) == 3


def test_repeated_option() -> None:
    assert told("backup_active = 0\nprimary = 10.0.0.1\nbackup_active = 1\nbackup = 10.0.0.2\n") == [
        "lvs.cf:3: warning: backup_active: given before; the last one counts"
    ]
    text = block("persistent = 5", "persistent = 6")
    assert told(text) == ["lvs.cf:7: warning: virtual[0].persistent: given before; the last one counts"]
    persistence = taken(text).virtual_servers[0].persistence
    assert persistence is not None
    assert persistence.timeout_s == 6
    text = "serial_no = 1\n" + block() + "serial_no = 2\nnat_nmask = 255.0.0.0\n"
    assert told(text) == [
        "lvs.cf:8: warning: serial_no: given before; the last one counts",
        "lvs.cf:9: warning: nat_nmask: ignored without nat_router",
    ]


# --- values


@pytest.mark.parametrize(
    ("word", "value", "warning"),
    [
        ("7", 7, None),
        ('"7"', 7, None),
        ('" 7"', 7, None),
        ("+7", 7, None),
        ("010", 8, "010 is octal, that is 8; write it so"),
        ("0x10", 16, "0x10 is hexadecimal, that is 16; write it so"),
        ('""', 0, "an empty number is read as 0"),
        ("0", 0, None),
    ],
)
def test_integers(word: str, value: int, warning: str | None) -> None:
    text = f"serial_no = {word}\n"
    assert taken(text).serial_no == value
    assert told(text) == ([f"lvs.cf:1: warning: serial_no: {warning}"] if warning else [])


@pytest.mark.parametrize("word", ["2.5", "9;", '"7 "', "x", "--1", "0xg", "1_000", "٣"])
def test_no_integers(word: str) -> None:
    assert (
        f"a whole number is asked for, got {word if word[0] == chr(34) else chr(34) + word + chr(34)}"
        in told(f"serial_no = {word}\n")[0]
        or not word.isascii()
    )
    assert cf(f"serial_no = {word}\n").config is None


def test_leading_zero_that_is_not_octal() -> None:
    assert "8 and 9 are no octal digits" in told("serial_no = 08\n")[0]


def test_huge_numbers_are_out_of_range() -> None:
    assert told("serial_no = 4294967296\n") == ["lvs.cf:1: serial_no: 0 to 4294967295, got 4294967296"]
    assert "more than 40 digits" in told(f"serial_no = {'9' * 10000}\n")[0]
    assert "more than 40 digits" in told(f"serial_no = 0x{'f' * 10000}\n")[0]


def test_all_problems_at_once() -> None:
    text = block("server s {", "address = 10.0.0.300", "weight = -4", "active = x", "}", "timeout = 0", "}")
    assert [(problem.line, problem.path) for problem in cf("keepalive = x\n" + text).problems] == [
        (1, "keepalive"),
        (8, "virtual[0].server[0].address"),
        (9, "virtual[0].server[0].weight"),
        (10, "virtual[0].server[0].active"),
        (12, "virtual[0].timeout"),
        (14, ""),
    ]


def test_service_names() -> None:
    text = block().replace("port = 80", "port = https")
    assert good(text).virtual_servers[0].port == 443


def test_monitor_links_of_two_is_on() -> None:
    assert good("monitor_links = 2\n").pair.monitor_links


def test_schedulers_beyond_piranha() -> None:
    assert web("scheduler = mh").scheduler is Scheduler.MH


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ('"GET / HTTP/1.0\\r\\n\\r\\n"', "GET / HTTP/1.0\r\n\r\n"),
        ("'GET /'", "GET /"),
        ("quit", "quit"),
        ('"\\\\ \\t \\" \\\'"', "\\ \t \" '"),
        ('"\\"', "\\"),
    ],
)
def test_send(word: str, text: str) -> None:
    assert web(f"send = {word}").checking.send == text


def test_unknown_escape_is_kept() -> None:
    text = block('send = "a\\.b"', 'expect = "c\\"')
    assert told(text) == [
        'lvs.cf:6: warning: virtual[0].send: unknown escape "\\." is kept as it stands (nanny hung on it)',
        'lvs.cf:7: warning: virtual[0].expect: unknown escape "\\" is kept as it stands (nanny hung on it)',
    ]
    check = taken(text).virtual_servers[0].checking
    assert (check.send, check.expect) == ("a\\.b", "c\\")


def test_regular_expression_of_either_spelling() -> None:
    assert web('expect = "a\\\\.b"', "use_regex = 1").checking.expect == "a\\.b"


# --- names of other times


def test_vip_mask_and_nat_mask() -> None:
    text = "nat_router = 10.1.0.254 eth1:1\nnat_mask = 255.255.0.0\n" + block("vip_mask = 255.255.255.0")
    assert told(text) == [
        "lvs.cf:2: warning: nat_mask: Piranha does not know this name; read as nat_nmask",
        "lvs.cf:8: warning: virtual[0].vip_mask: Piranha does not know this name; read as vip_nmask",
    ]
    config = taken(text)
    assert config.nat_router is not None
    assert config.nat_router.prefix == 16
    vip = config.virtual_servers[0].vip
    assert vip is not None
    assert vip.prefix == 24


def test_vip_mask_that_is_wrong() -> None:
    assert told(block("vip_mask = 24")) == [
        'lvs.cf:6: virtual[0].vip_mask: a mask such as 255.255.255.0 is asked for, got "24"'
    ]


def test_nmask_of_a_server() -> None:
    assert told(block("server s {", "nmask = 255.255.255.0", "}")) == [
        "lvs.cf:7: warning: virtual[0].server[0].nmask: a real server has no mask; ignored"
    ]


def test_unused_options() -> None:
    text = block('start_cmd = "/etc/init.d/x start"', "master = 10.0.0.1", "dirs = [ a b ]")
    assert told(text) == [
        "lvs.cf:6: warning: virtual[0].start_cmd: failover only; ignored",
        "lvs.cf:7: warning: virtual[0].master: never used; ignored",
        "lvs.cf:8: warning: virtual[0].dirs: never used; ignored",
    ]


FAILOVER = "failover services are not supported; this block is checked and ignored"


def test_failover_blocks_are_checked_and_ignored() -> None:
    failover = block('start_cmd = "x start"', "stop_cmd = x", "timeout = 0", name="f").replace(
        "virtual", "failover"
    )
    assert told(block() + failover + failover) == [
        f"lvs.cf:7: warning: failover[0]: {FAILOVER}",
        "lvs.cf:14: failover[0].timeout: 1 to 2147483, got 0",
        f"lvs.cf:16: warning: failover[1]: {FAILOVER}",
        "lvs.cf:23: failover[1].timeout: 1 to 2147483, got 0",
    ]
    config = taken(failover.replace("timeout = 0", "") + block())
    assert [server.name for server in config.virtual_servers] == ["web"]


# --- order


def test_server_inherits_the_port_of_the_line_above() -> None:
    text = (
        "virtual web {\nserver a {\naddress = 10.0.0.3\n}\nport = 443\nserver b {\naddress = 10.0.0.4\n}\n"
        "server c {\nport = 8080\naddress = 10.0.0.4\n}\n}\n"
    )
    assert [server.port for server in good(text).virtual_servers[0].real_servers] == [80, 443, 8080]


def test_network_may_stand_anywhere() -> None:
    first, second = block(), block(name="b").replace("80", "81")
    for text in (
        f"network = direct\n{first}{second}",
        f"{first}network = direct\n{second}",
        f"{first}{second}network = direct\n",
    ):
        assert {server.forwarding for server in good(text).virtual_servers} == {"direct"}


@pytest.mark.parametrize(
    ("line", "instead", "written", "there"),
    [
        ("protocol = sctp", "", 'protocol = "tcp"', 'protocol = "sctp"'),
        ("fall = 3", "", 'protocol = "tcp"', 'protocol = "tcp"\nfall = 3'),
        ("sorry_server = fe80::1", "sorry_server = 192.0.2.9", '"192.0.2.9"', '"10.0.0.9"'),
    ],
)
def test_the_advice_for_what_only_toml_has_can_be_followed(
    line: str, instead: str, written: str, there: str
) -> None:
    text = block(line).replace("protocol = tcp\n", "")
    (problem,) = cf(text).problems
    assert "run lvsd convert --to toml" in problem.message
    assert (problem.message.count("take this line out") == 1) is not bool(instead)
    converted = to_toml(taken(text.replace(line, instead)))
    assert written in converted
    assert not load(converted.replace(written, there), "lvs.toml").problems


# --- never an exception

WORDS = """virtual failover server { } = address port keepalive network direct a " ' "a_b" 10.0.0.5 eth0:1
# 80 \\ -1 dirs [ ] vip_mask \0 é"""
LINE = st.lists(st.sampled_from([word.replace("_b", " b") for word in WORDS.split()]), max_size=6)


@given(st.lists(LINE, max_size=20), st.sampled_from(["\n", "\r\n", "\r"]))
def test_any_lines(lines: list[list[str]], end: str) -> None:
    text = end.join(" ".join(line) for line in lines)
    loaded = cf(text)
    count = len(lines)
    assert all(0 <= problem.line <= max(count, 1) for problem in loaded.problems)
    assert (loaded.config is None) == any(p.severity is Severity.ERROR for p in loaded.problems)


@given(st.binary(max_size=200))
def test_any_bytes(text: bytes) -> None:
    cf(text)


@pytest.mark.parametrize(
    "text",
    [
        "{" * 1_000_000,
        "}" * 1_000_000,
        "} " * 300_000,
        "}\n" * 100_000,
        '"' * 1_000_000,
        "x " + '\\"' * 300_000,
        'send = "' + 'a"' * 300_000,
        'send = "' + ' \\"' * 300_000 + '"',
        "virtual a {\n" * 10_000,
        "server a {\n" * 50_000,
        "a " * 500_000,
        "serial_no = " + "x" * 1_000_000,
        "# " + "x" * 1_000_000,
        "serial_no = 1\n" * 50_000,
        " " * 1_000_000 + "x",
        "abcdefgh = 1\n" * 50_000,
    ],
    ids=lambda text: repr(text[:14]),
)
def test_big_nonsense_is_read_quickly(text: str) -> None:
    cf(text)


@pytest.mark.parametrize(
    "line",
    ["server x {\naddress = 10.1.1.1\n", "server x {\naddress = 10.1.1.1\n}\n", "serial_no = 1\n", "x\n"],
)
def test_time_grows_with_the_text_only(line: str) -> None:
    is_no_square(lambda lines: "virtual a {\n" + line * lines, cf, 2000)


def test_words_that_are_no_options_are_not_kept() -> None:
    unknown = "".join(f"unknown{number} = 1\n" for number in range(1000))
    text = f"{unknown}timeout = 1\nserial_no = x\nvirtual a {{\nserver b {{\n{unknown}port = x\n"
    part = Reader().read(text)
    assert len(part.notes) == 2005  # one for the end that is missing
    assert part.bad == {UNKNOWN, "timeout", "serial_no"}
    assert part.virtuals[0].servers[0].bad == {UNKNOWN, "port"}


def test_names_have_an_end() -> None:
    assert good(block(name="x" * 255)).virtual_servers[0].name == "x" * 255
    text = block("server one {", "address = 10.0.0.3", "}", name="x" * 256)
    said = f'a name has at most 255 characters, got "{"x" * 57}..."'
    assert told(text) == [f"lvs.cf:1: virtual[0]: {said}"]
    assert told(block(f"server {'x' * 300} {{", "}")) == [f"lvs.cf:6: virtual[0].server[0]: {said}"]
