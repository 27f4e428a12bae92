from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvs.probes import ber


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0, "020100"),
        (127, "02017f"),
        (128, "02020080"),  # X.690 section 8.3.2: the shortest, and not negative
        (256, "02020100"),
        (2**31 - 1, "02047fffffff"),
    ],
)
def test_integers(value: int, written: str) -> None:
    assert ber.integer(value).hex() == written
    assert ber.number(bytes.fromhex(written)[2:]) == value


@pytest.mark.parametrize(
    ("length", "header"), [(0, "0400"), (127, "047f"), (128, "048180"), (255, "0481ff"), (256, "04820100")]
)
def test_lengths(length: int, header: str) -> None:
    element = ber.encode(ber.OCTETS, bytes(length))
    assert element.hex().startswith(header)
    assert ber.size(element) == len(element)
    assert ber.elements(element) == [(ber.OCTETS, bytes(length))]


@given(st.lists(st.tuples(st.sampled_from([2, 4, 0x30, 0x87, 0xA0]), st.binary(max_size=300)), max_size=5))
def test_there_and_back(wanted: list[ber.Element]) -> None:
    assert ber.elements(b"".join(ber.encode(*element) for element in wanted)) == wanted


@given(st.binary(max_size=400))
def test_any_bytes_are_read(data: bytes) -> None:
    found = ber.elements(data)
    size = ber.size(data)
    assert size is None or size == ber.MORE or size >= 2
    assert found is None or sum(len(content) + 2 for _, content in found) <= len(data)


@pytest.mark.parametrize("data", ["3080", "1f81", "30850000000001", "30ff", "bf8101"])
def test_what_is_no_element(data: str) -> None:
    assert ber.size(bytes.fromhex(data)) is None
    assert ber.elements(bytes.fromhex(data)) is None


@pytest.mark.parametrize("data", ["", "30", "3082", "308201"])
def test_what_is_not_all_there(data: str) -> None:
    assert ber.size(bytes.fromhex(data)) == ber.MORE


@pytest.mark.parametrize("data", ["30", "3001", "3084ffffffff", "30020000ff"])
def test_elements_that_are_cut(data: str) -> None:
    assert ber.elements(bytes.fromhex(data)) is None


def test_numbers_have_a_size() -> None:
    assert ber.number(b"") is None
    assert ber.number(bytes(6)) is None
    assert ber.number(b"\xff") == -1


def test_depth_is_not_followed() -> None:
    deep = b""
    for _ in range(2000):
        deep = ber.encode(ber.SEQUENCE, deep)
    assert ber.elements(deep) is not None
