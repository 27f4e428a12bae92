"""Frames against decoders written from the RFCs; the kernel's opinion is in netns/test_links.py."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvs.kernel.frames import announcement, garp, unsolicited_na

VIP = bytes([192, 0, 2, 1])
VIP6 = bytes.fromhex("20010db8000000000000000000000001")
MAC = bytes.fromhex("020000000001")

macs = st.binary(min_size=6, max_size=6)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (
            False,
            "ffffffffffff 020000000001 08060001 0800 06 04 0001 020000000001 c0000201 000000000000 c0000201",
        ),
        (
            True,
            "ffffffffffff 020000000001 08060001 0800 06 04 0002 020000000001 c0000201 020000000001 c0000201",
        ),
    ],
)
def test_gratuitous_arp(reply: bool, expected: str) -> None:
    """RFC 826's packet, by hand, and 18 zero bytes as send_arp added."""
    assert garp(VIP, MAC, reply=reply) == bytes.fromhex(expected) + bytes(18)


def test_unsolicited_advertisement() -> None:
    """RFC 4861 section 4.4, by hand."""
    frame = unsolicited_na(VIP6, MAC, router=True)
    assert frame[:14] == bytes.fromhex("333300000001 020000000001 86dd")
    assert frame[14:22] == bytes.fromhex("60000000 0020 3a ff")  # length 32, ICMPv6, hop limit 255
    assert frame[22:38] == VIP6
    assert frame[38:54] == bytes.fromhex("ff02 0000 0000 0000 0000 0000 0000 0001")
    assert frame[54:56] == bytes([136, 0])
    assert frame[58:62] == bytes.fromhex("a0000000")  # router and override, not solicited
    assert frame[62:78] == VIP6
    assert frame[78:] == bytes.fromhex("0201") + MAC
    assert unsolicited_na(VIP6, MAC, router=False)[58:62] == bytes.fromhex("20000000")


@given(st.binary(min_size=16, max_size=16), macs, st.booleans())
def test_checksum(address: bytes, mac: bytes, router: bool) -> None:
    """Pseudo header and message are 0 modulo 65535 as one long number: RFC 1071, done otherwise."""
    frame = unsolicited_na(address, mac, router=router)
    length = len(frame) - 54
    pseudo = frame[22:54] + length.to_bytes(4, "big") + (58).to_bytes(4, "big")
    assert int.from_bytes(pseudo + frame[54:], "big") % 0xFFFF == 0
    assert int.from_bytes(frame[18:20], "big") == length


@given(st.one_of(st.binary(min_size=4, max_size=4), st.binary(min_size=16, max_size=16)), macs)
def test_announcement(address: bytes, mac: bytes) -> None:
    frames = announcement(address, mac, False)
    assert len(frames) == (2 if len(address) == 4 else 1)
    assert all(60 <= len(frame) <= 1514 and frame[6:12] == mac and address in frame for frame in frames)


@pytest.mark.parametrize(("address", "mac"), [(VIP6, MAC), (VIP, MAC[:5]), (b"", MAC), (VIP, b"")])
def test_wrong_lengths(address: bytes, mac: bytes) -> None:
    with pytest.raises(ValueError, match="want an address of 4"):
        garp(address, mac, reply=False)
