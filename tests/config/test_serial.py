"""The line of serial_no, found and rewritten."""

from __future__ import annotations

import pytest

from lvs.config.load import load
from lvs.config.serial import line_of, with_serial

TOML = b"# a\n  serial_no = 7 # counted up\nservice = 'lvs'\n"


@pytest.mark.parametrize(
    ("text", "file", "line", "after"),
    [
        (TOML, "lvs.toml", 2, TOML.replace(b"7", b"12")),
        (b'"serial_no"=7\r\n', "lvs.toml", 1, b'"serial_no"=12\r\n'),
        (b"# serial_no = 1\n", "lvs.toml", 0, b"serial_no = 12\n# serial_no = 1\n"),
        (b"\xef\xbb\xbf# x\r\n", "lvs.toml", 0, b"\xef\xbb\xbfserial_no = 12\r\n# x\r\n"),
        (b"\xef\xbb\xbfserial_no = 7", "lvs.toml", 1, b"\xef\xbb\xbfserial_no = 12"),
        (b"primary = 10.0.0.1\nserial_no = 7\n", "lvs.cf", 2, b"primary = 10.0.0.1\nserial_no = 12\n"),
        (b"primary = 10.0.0.1\rserial_no=7\r", "lvs.cf", 2, b"primary = 10.0.0.1\rserial_no=12\r"),
        (b"# \xe4\nserial_no = 7\n", "lvs.cf", 2, b"# \xe4\nserial_no = 12\n"),
        (b"serial_no = 3\nserial_no = 7\n", "lvs.cf", 2, b"serial_no = 3\nserial_no = 12\n"),
        (b"", "lvs.cf", 0, b"serial_no = 12\n"),
        (b"not = [toml", "lvs.toml", 0, b"serial_no = 12\nnot = [toml"),
    ],
)
def test_line_and_number(text: bytes, file: str, line: int, after: bytes) -> None:
    assert line_of(text, file) == line
    assert with_serial(text, file, 12) == after


def test_the_text_means_the_same_but_for_the_number() -> None:
    text = b"""serial_no = 0x10
primary = "10.0.0.1"
network = "direct"
"""
    before, after = (load(one, "lvs.toml").config for one in (text, with_serial(text, "lvs.toml", 99)))
    assert before is not None
    assert after is not None
    assert (before.serial_no, after.serial_no) == (16, 99)
