"""The lvs.toml reader: syntax errors, lines, and what tomli stumbles over."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import golden
from growth import is_no_square
from lvs.config.load import Loaded, load
from lvs.config.located import UNKNOWN
from lvs.config.options import OPTIONS
from lvs.config.toml import Reader
from lvs.model import Format


def toml(text: str | bytes) -> Loaded:
    return load(text, "lvs.toml")


def told(text: str | bytes) -> list[str]:
    return [str(problem) for problem in toml(text).problems]


def test_the_shape_of_a_message() -> None:
    text = (
        '[[virtual]]\nname = "web"\naddress = "10.0.0.5"\ndevice = "eth0:1"\nport = 80\n'
        '[[virtual.server]]\nname = "a"\n[[virtual.server]]\nname = "b"\nweight = -4\nactive = false\n'
    )
    assert told(text)[-1] == "lvs.toml:10: virtual[0].server[1].weight: 0 to 65535, got -4"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("serial_no = 1\nx\n", "lvs.toml:2: Expected '=' after a key in a key/value pair"),
        (
            "serial_no = 1\nserial_no = 2\n",
            "lvs.toml:2: serial_no: given before, in line 1; which of the two counts?",
        ),
        ("# a\n\nserial_no = [", "lvs.toml:3: serial_no: Invalid value"),
        ('x = "', "lvs.toml:1: x: the quotation mark is never closed"),
        ("x = 01\n", 'lvs.toml:1: x: quotes are missing: x = "01"'),
        ("[a]\n[a]\n", "lvs.toml:2: a: Cannot declare ('a',) twice"),
    ],
)
def test_syntax_error(text: str, problem: str) -> None:
    assert told(text) == [problem]
    behind = "\n".join(['[[virtual]]\nname = "v"\nactive = false'] * 3) + "\n[[virtual.server]]\n" + text
    lines = behind.count("\n") - text.count("\n")
    number = int(problem.split(":")[1])
    assert told(behind)[0].startswith(f"lvs.toml:{number + lines}: ")
    assert toml(behind).config is None


def test_not_utf_8() -> None:
    assert told(b"serial_no = 1\n\n# caf\xe9\n") == ["lvs.toml:3: TOML is UTF-8, and this line is not"]


def test_byte_order_mark_and_cr_lf() -> None:
    loaded = toml(b"\xef\xbb\xbfserial_no = 7\r\nkeepalive = 9\r\n")
    assert [problem.line for problem in loaded.problems] == [2]


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 100_000,
        "a = " + "[" * 390 + "]" * 390,
        "a = " + "{a=" * 100_000,
        "a" + ".a" * 200_000 + " = 1",
        "[" + "a." * 200_000 + "a]",
        "serial_no = " + "9" * 100_000,
        "serial_no = 1\nkeepalive = 0x" + "f" * 100_000,
        'a = "' + "x" * 1_000_000,
        'a = """' + '"" ' * 300_000,
        "[[virtual]]\n" * 4_000,
        "[[virtual]]\n[[virtual.server]]\n" * 2_000,
        "a = [" + "\n" * 100_000 + "]\nb = x",
        "a = [" + "\n" * 100_000 + "]",
        "{" * 1_000_000,
        "\0",
        "\r\r\r",
        "a = 1\r\nb = \r2",
    ],
    ids=lambda text: repr(text[:14]),
)
def test_nonsense_is_read_quickly(text: str) -> None:
    loaded = toml(text)
    assert loaded.config is None
    assert loaded.problems


@pytest.mark.parametrize(
    "line",
    [
        '[[virtual]]\nname = "a"\n',
        '[[virtual]]\nname = "a"\n[[virtual.check]]\n',
        "port = 1\n",
        "[other]\n",
        f"{{number}} = {'9' * 3999}\n",
    ],
)
def test_time_grows_with_the_text_only(line: str) -> None:
    def lines(count: int) -> str:
        return "".join(line.replace("{number}", str(number)) for number in range(count))

    is_no_square(lambda count: lines(count) + "z = " + "9" * 5000, toml, 100)


def test_words_that_are_no_options_are_not_kept() -> None:
    unknown = "".join(f"unknown{number} = 1\n" for number in range(1000))
    part = Reader().read(f'{unknown}serial_no = "x"\n[[virtual]]\nname = "a"\n{unknown}port = -1\n')
    assert len(part.notes) == 2002
    assert part.bad == {UNKNOWN, "serial_no"}
    assert part.virtuals[0].bad == {UNKNOWN, "port"}


def test_names_have_an_end() -> None:
    text = f'[[virtual]]\nname = "{"x" * 256}"\nactive = false\n'
    assert told(text) == [
        f'lvs.toml:2: virtual[0].name: a name has at most 255 characters, got "{"x" * 57}..."'
    ]
    assert not told(text.replace("xx", "x", 1))


def test_a_megabyte_of_comment_is_a_configuration() -> None:
    assert toml("#" * 1_000_000).config is not None


def test_number_of_too_many_digits_has_its_line() -> None:
    assert told("serial_no = 1\n\nkeepalive = " + "9" * 5000) == ["lvs.toml:3: a number has too many digits"]


@given(st.text(max_size=60))
def test_any_text(text: str) -> None:
    toml(text)


@given(st.binary(max_size=60))
def test_any_bytes(text: bytes) -> None:
    toml(text)


TOKENS = ["\n", "\n", " ", *["[[virtual]]", "[[", "]]", "virtual", "server", "=", "1", '"', "'''"], '"""']
TOKENS += ["a", "{", "}", ",", ".", "name", '"x"', "#", "true", "[", "]"]


@given(st.lists(st.sampled_from(TOKENS)))
def test_any_tokens(tokens: list[str]) -> None:
    loaded = toml("".join(tokens))
    assert all(problem.line <= tokens.count("\n") + 1 for problem in loaded.problems)


@pytest.mark.parametrize(
    "text",
    [
        '[[virtual]]\nname = "a"\nactive = false\n[other]\nx = 1\n',
        'x = """\n[[virtual]]\n"""\n[[virtual]]\nname = "a"\nactive = false\n',
        '[virtual]\nname = "a"\n',
        "virtual = []\nx = 1\n",
    ],
)
def test_texts_that_cannot_be_cut(text: str) -> None:
    loaded = toml(text)
    assert loaded.config is None
    again = load(text + "# x\n", "lvs.toml", previous=loaded)
    assert again.problems == loaded.problems


def test_table_after_the_virtual_servers() -> None:
    assert told('[[virtual]]\nname = "a"\nactive = false\n\n[other]\nx = 1\n') == [
        "lvs.toml:5: other: unknown option"
    ]


def test_misspelt_blocks() -> None:
    text = '[[virtual]]\nname = "a"\nactive = false\n'
    assert told(text + "[[virtual.sever]]\n[[virtual.checks]]\n") == [
        "lvs.toml:4: virtual[0].sever: unknown block; did you mean [[virtual.server]]?",
        "lvs.toml:5: virtual[0].checks: unknown block; did you mean [[virtual.check]]?",
    ]
    assert told("[[virtaul]]\n[[virtaul.server]]\n" + text + "[[server]]\n[[virtuals]]\n") == [
        "lvs.toml:1: virtaul: unknown block; did you mean [[virtual]]?",
        "lvs.toml:6: server: unknown block; did you mean [[virtual.server]]?",
        "lvs.toml:7: virtuals: unknown block; did you mean [[virtual]]?",
    ]


def test_names_are_required() -> None:
    assert told("[[virtual]]\nactive = false\n[[virtual.server]]\nactive = false\n") == [
        'lvs.toml:1: virtual[0]: a name is missing: name = "..."',
        'lvs.toml:3: virtual[0].server[0]: a name is missing: name = "..."',
    ]


def test_prefix_lengths_and_service_names() -> None:
    config = toml((golden.FIXTURES / "everything.toml").read_bytes()).config
    assert config is not None
    assert config.virtual_servers[0].port == 443
    assert config.nat_router is not None
    assert config.nat_router.prefix == 24


def test_the_fixture_has_every_option() -> None:
    text = (golden.FIXTURES / "everything.toml").read_text()
    written = {line.partition(" = ")[0] for line in text.splitlines()}
    assert {option.name for option in OPTIONS if Format.TOML in option.formats} <= written
