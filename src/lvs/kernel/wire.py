"""The frame of IPVS's generic netlink messages, and the numbers in it; no socket.

Source: include/uapi/linux/ip_vs.h (IPVS_CMD_*, IPVS_*_ATTR_*) and netlink(7). All integers are in
host order but ports, IPv4 masks and addresses.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple

NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 0x1, 0x4, 0x300
NLMSG_ERROR, NLMSG_DONE = 2, 3
GENL_ID_CTRL = 0x10
CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_ID, CTRL_ATTR_FAMILY_NAME = 3, 1, 2
FAMILY_NAME = "IPVS"
IPVS_VERSION = 1

NEW_SERVICE, SET_SERVICE, DEL_SERVICE, GET_SERVICE = 1, 2, 3, 4
NEW_DEST, SET_DEST, DEL_DEST, GET_DEST = 5, 6, 7, 8
NEW_DAEMON, DEL_DAEMON, GET_DAEMON = 9, 10, 11
SET_CONFIG, GET_CONFIG, GET_INFO = 12, 13, 15

CMD_SERVICE, CMD_DEST, CMD_DAEMON, CMD_TCP, CMD_TCP_FIN, CMD_UDP = range(1, 7)
INFO_VERSION, INFO_CONN_TAB_SIZE = 1, 2

(
    SVC_AF,
    SVC_PROTOCOL,
    SVC_ADDR,
    SVC_PORT,
    SVC_FWMARK,
    SVC_SCHED,
    SVC_FLAGS,
    SVC_TIMEOUT,
    SVC_NETMASK,
    SVC_STATS,
    SVC_PE,
    SVC_STATS64,
) = range(1, 13)
(
    DEST_ADDR,
    DEST_PORT,
    DEST_FWD,
    DEST_WEIGHT,
    DEST_UPPER,
    DEST_LOWER,
    DEST_ACTIVE,
    DEST_INACTIVE,
    DEST_PERSISTENT,
    DEST_STATS,
    DEST_FAMILY,
    DEST_STATS64,
    DEST_TUN_TYPE,
    DEST_TUN_PORT,
    DEST_TUN_FLAGS,
) = range(1, 16)

(
    DAEMON_STATE,
    DAEMON_IFN,
    DAEMON_SYNC_ID,
    DAEMON_MAXLEN,
    DAEMON_GROUP,
    DAEMON_GROUP6,
    DAEMON_PORT,
    DAEMON_TTL,
) = range(1, 9)

AF = {4: 2, 6: 10}
FAMILY_OF_AF = {2: 4, 10: 6}
FLAG_MASK = 0xFFFFFFFF
KNOWN_FLAGS = 0x3D  # all but HASHED (0x2), which is the kernel's own

NLMSGHDR = Struct("=IHHII")
NLATTR = Struct("=HH")
U8, U16, U32 = Struct("=B"), Struct("=H"), Struct("=I")
BE16, BE32 = Struct(">H"), Struct(">I")
_I32 = Struct("=i")
_HEADS = Struct("=IHHIIBBxx")  # netlink's and generic netlink's


def attribute(kind: int, payload: bytes) -> bytes:
    length = 4 + len(payload)
    return NLATTR.pack(length, kind) + payload + b"\0" * (-length & 3)


def message(family_id: int, command: int, body: bytes, sequence: int, flags: int = NLM_F_REQUEST) -> bytes:
    """One generic netlink message."""
    return _HEADS.pack(_HEADS.size + len(body), family_id, flags, sequence, 0, command, IPVS_VERSION) + body


class Message(NamedTuple):
    kind: int  # NLMSG_ERROR, NLMSG_DONE, or the family's number
    sequence: int
    start: int  # of the payload behind the generic header, in the buffer
    end: int


def messages(buffer: bytes | memoryview, length: int) -> Iterator[Message]:
    """Walk the messages in a buffer; stops at a truncated one.

    The payload of NLMSG_ERROR and NLMSG_DONE starts right behind the netlink header.
    """
    at = 0
    while at + 16 <= length:
        size, kind, _flags, sequence, _port = NLMSGHDR.unpack_from(buffer, at)
        if size < 16 or at + size > length:
            return
        start = at + 16 if kind in (NLMSG_ERROR, NLMSG_DONE) else at + _HEADS.size
        yield Message(kind, sequence, start, at + size)
        at += (size + 3) & ~3


def error_code(buffer: bytes | memoryview, found: Message) -> int:
    """The errno of an NLMSG_ERROR or NLMSG_DONE; 0 is success."""
    if found.end - found.start < 4:
        return 0
    (code,) = _I32.unpack_from(buffer, found.start)
    return -int(code)


def attributes(buffer: bytes, start: int, end: int) -> dict[int, bytes]:
    """The attributes between two offsets, by number."""
    found: dict[int, bytes] = {}
    while start + 4 <= end:
        size, kind = NLATTR.unpack_from(buffer, start)
        if size < 4 or start + size > end:
            break
        found[kind & 0x3FFF] = buffer[start + 4 : start + size]
        start += (size + 3) & ~3
    return found
