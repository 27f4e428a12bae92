"""Addresses and masks, in both languages."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvs.config.addresses import Mask
from lvs.config.option import Kind
from lvs.config.options import GLOBAL, SERVER, VIRTUAL
from lvs.config.refusal import Refused
from lvs.config.values import FROM_TOML, FROM_WORD


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
