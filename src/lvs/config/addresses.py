"""Addresses and masks as they are written in either language; each of one machine, but for the group."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING

import msgspec

from lvs.config.option import Option, Scope
from lvs.config.refusal import Refused, shown

if TYPE_CHECKING:
    from lvs.model import Address


class Mask(msgspec.Struct, frozen=True, gc=False):
    """A mask as an operator writes it; 0.0.0.0 and 0 are read as None instead."""

    prefix: int
    dotted: bool  # written as an IPv4 mask


_OCTETS = {str(octet): octet for octet in range(256)}
_QUAD = r"[0-9]+(\.[0-9]+){3}"


def _ipv4(word: str) -> int | None:
    """Read four decimal numbers without leading zeros; None if it is anything else."""
    try:
        one, two, three, four = word.split(".")
        return _OCTETS[one] << 24 | _OCTETS[two] << 16 | _OCTETS[three] << 8 | _OCTETS[four]
    except (ValueError, KeyError):
        return None


def _why_not_ipv4(word: str) -> str:
    if "/" in word:
        return (
            f"an address without a prefix length is asked for, got {shown(word)}; the mask has its own option"
        )
    if re.fullmatch(_QUAD, word):
        if any(len(part) > 1 and part[0] == "0" for part in word.split(".")):
            return (
                f"leading zeros are refused, got {shown(word)}: "
                "Piranha read such numbers as octal, 010 being 8; write the decimal number"
            )
        return f"four numbers of 0 to 255 are asked for, got {shown(word)}"
    if re.fullmatch(r"[0-9xXa-fA-F.]*", word) and word[:1].isdigit():
        return f"an address of four decimal numbers is asked for, got {shown(word)}"
    return (
        f"an address is asked for, got {shown(word)}; names are not looked up: "
        "the answer could change, or hang a reload"
    )


def _usable(number: int) -> None:
    """Refuse what is no unicast address: the kernel takes it for neither VIP nor real server."""
    if not 0x01000000 <= number < 0xE0000000 and not 0xF0000000 <= number < 0xFFFFFFFF:
        raise Refused(f"an address of one machine is asked for, got {IPv4Address(number)}")


def cf_address(option: Option, word: str) -> tuple[Address | None, str]:
    try:  # as _ipv4 and _usable, at half the time: in big files this is half of the reading
        one, two, three, four = word.split(".")
        number = _OCTETS[one] << 24 | _OCTETS[two] << 16 | _OCTETS[three] << 8 | _OCTETS[four]
    except (ValueError, KeyError):
        pass
    else:
        if 0x01000000 <= number < 0xE0000000:
            return IPv4Address(number), ""
    found = _ipv4(word)
    if found is None:
        if ":" in word:
            raise Refused(
                f"an IPv4 address is asked for, got {shown(word)}; "
                "IPv6 is for lvs.toml: put an IPv4 address here, run lvsd convert --to toml, "
                "and put this one there"
            )
        raise Refused(_why_not_ipv4(word))
    if not found and option.zero_is_unset:
        return None, ""
    _usable(found)
    return IPv4Address(found), ""


def toml_address(option: Option, value: object) -> Address | None:
    if not isinstance(value, str):
        raise Refused(f"an address in quotes is asked for, got {shown(value)}")
    if ":" in value:
        return _ipv6(option, value)
    number = _ipv4(value)
    if number is None:
        raise Refused(_why_not_ipv4(value))
    if not number and option.zero_is_unset:
        return None
    _usable(number)
    return IPv4Address(number)


def _ipv6(option: Option, word: str) -> IPv6Address | None:
    try:
        address = IPv6Address(word)
    except ValueError:
        address = None
    if address is None or address.scope_id is not None:
        raise Refused(f"an IPv6 address is asked for, got {shown(word)}") from None
    if address.is_unspecified and option.zero_is_unset:
        return None
    if address.is_multicast or address.is_unspecified:
        raise Refused(f"an address of one machine is asked for, got {address}")
    if address.ipv4_mapped is not None:
        raise Refused(f"write the IPv4 address {address.ipv4_mapped} itself, got {shown(word)}")
    if address.is_link_local and option.scope is Scope.SERVER:
        raise Refused(f"the kernel takes no link-local address as a real server, got {address}")
    return address


def addresses(option: Option, value: object) -> frozenset[Address]:
    if not isinstance(value, list):
        raise Refused(f'a list of addresses such as ["10.0.0.254"] is asked for, got {shown(value)}')
    found = [toml_address(option, word) for word in value]
    if len(set(found)) < len(found):
        raise Refused(f"an address is there twice, in {shown(value)}")
    return frozenset(one for one in found if one is not None)


def group(_: Option, value: object) -> Address:
    asked = "a multicast address in quotes is asked for, such as 224.0.0.81 or ff02::81"
    try:
        address = ip_address(value) if isinstance(value, str) else None
    except ValueError:
        address = None
    if address is None or not address.is_multicast or getattr(address, "scope_id", None) is not None:
        raise Refused(f"{asked}, got {shown(value)}")
    return address


_PREFIXES = {(2**32 - 1) >> (32 - prefix) << (32 - prefix): prefix for prefix in range(33)}


def _dotted_mask(word: str) -> Mask | None:
    number = _ipv4(word)
    if number is None:
        raise Refused(f"a mask such as 255.255.255.0 is asked for, got {shown(word)}")
    prefix = _PREFIXES.get(number)
    if prefix is None:
        raise Refused(f"a mask is ones followed by zeros, such as 255.255.255.0, got {shown(word)}")
    return Mask(prefix, dotted=True) if prefix else None


def cf_mask(_: Option, word: str) -> tuple[Mask | None, str]:
    return _dotted_mask(word), ""


def toml_mask(_: Option, value: object) -> Mask | None:
    if isinstance(value, str):
        return _dotted_mask(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise Refused(f"a mask such as 255.255.255.0, or a prefix length, is asked for, got {shown(value)}")
    if not 1 <= value <= 128:
        raise Refused(f"a prefix length of 1 to 128, got {shown(value)}")
    return Mask(value, dotted=False)
