"""What the validator's rooms share: a judge that collects problems, defaults, and addresses on devices."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any

from lvs.config.located import Note, Place, Severity
from lvs.config.option import Scope
from lvs.config.options import BY_SCOPE
from lvs.model import Address, DeviceAddress, Format

if TYPE_CHECKING:
    from lvs.config.addresses import Mask
    from lvs.config.values import Device

DEFAULTS: dict[tuple[Format, Scope], dict[str, Any]] = {
    (file_format, scope): {name: option.default(file_format) for name, option in BY_SCOPE[scope].items()}
    for file_format in Format
    for scope in Scope
}


class Judge:
    """Collects what is wrong with one block, or with the global options."""

    def __init__(self, notes: list[Note], bad: frozenset[str], index: int = -1) -> None:
        self.notes = notes
        self.bad = bad
        self.index = index

    def sound(self, *options: str) -> bool:
        """Tell whether none of `options` was refused by the reader, so that a rule can go by them."""
        return not self.bad or self.bad.isdisjoint(options)

    def refuse(self, option: str, message: str, server: int = -1, check: int = -1) -> None:
        self.notes.append(Note(self.place(option, server, check), message))

    def warn(self, option: str, message: str, server: int = -1, check: int = -1) -> None:
        self.notes.append(Note(self.place(option, server, check), message, Severity.WARNING))

    def place(self, option: str, server: int = -1, check: int = -1) -> Place:
        return Place(option, self.index, server, check=check)


def family(address: Address) -> str:
    return "IPv4" if type(address) is IPv4Address else "IPv6"


def held(
    judge: Judge, address: Address | None, values: dict[str, Any], device_key: str, mask_key: str
) -> DeviceAddress | None:
    """Put an address on its device; None if there is no address or no device."""
    device: Device | None = values[device_key]
    mask: Mask | None = values[mask_key]
    if address is None:
        return None
    if device is None:
        if mask is not None and judge.sound(device_key):
            judge.warn(mask_key, f"ignored without {device_key}")
        return None
    if device.label is not None and type(address) is not IPv4Address:
        judge.refuse(device_key, f'IPv6 addresses have no labels; write {device_key} = "{device.name}"')
    return DeviceAddress(address, prefix_of(judge, mask_key, mask, address), device.name, device.label)


def prefix_of(judge: Judge, option: str, mask: Mask | None, address: Address | None) -> int | None:
    if mask is None:
        return None
    if type(address) is IPv6Address and mask.dotted:
        judge.refuse(option, f"an IPv6 mask is a prefix length, such as {option} = 64")
    if type(address) is not IPv6Address and mask.prefix > 32:
        judge.refuse(option, f"a prefix length of 1 to 32 beside an IPv4 address, got {mask.prefix}")
    return mask.prefix
