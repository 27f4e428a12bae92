"""Heartbeats as datagrams: `encode` and `decode`, no socket.

    "LVSp"  protocol (1 byte)  beat (msgpack map, RFC-less: msgpack.org)  HMAC-SHA-256 (32 bytes)

The authentication code (RFC 2104, RFC 6234) covers all that is in front of it and is looked at first, so
that nothing of a stranger's is ever parsed. Nothing in a beat is secret. Fields that a newer lvsd adds
are ignored, those that an older one lacks have defaults; the protocol's number changes only when that
would not do.
"""

from __future__ import annotations

import hmac
import math
from enum import StrEnum

import msgspec

from lvs.pulse.words import Beat

MAGIC = b"LVSp"
PROTOCOL = 1
LONGEST = 1024  # bytes; a beat is about 300
_CODE = 32
_MOST = 1 << 62  # of numbers that only count up
_LONGEST_TEXT = 300
_PIRANHA = {0xBDADDBDA, 0xADBDDABD, 0xBEEFBABE, 0xDEADBEEF, 0xDEADDADA, 0xDEAFBABE, 0xDEAFDADA}

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Beat)


class Bad(StrEnum):
    """Why a datagram is no heartbeat of ours."""

    FOREIGN = "foreign"  # not of lvsd
    PIRANHA = "piranha"  # of Piranha's pulse, which cannot be paired with
    PROTOCOL = "protocol"  # of an lvsd that speaks another protocol
    FORGED = "forged"  # made or changed by somebody without the pair's key
    GARBLED = "garbled"  # authentic, but not to be understood: a fault of the other lvsd


def encode(beat: Beat, key: bytes) -> bytes:
    """The datagram of a beat."""
    if len(beat.reason) > _LONGEST_TEXT:
        beat = msgspec.structs.replace(beat, reason=beat.reason[:_LONGEST_TEXT])
    body = b"%s%c%s" % (MAGIC, PROTOCOL, _encoder.encode(beat))
    return body + hmac.digest(key, body, "sha256")


def decode(data: bytes, key: bytes) -> Beat | Bad:
    """The beat of a datagram, or why there is none. Errors: none, whatever the bytes."""
    if data[:4] != MAGIC or not len(MAGIC) + 1 + _CODE < len(data) <= LONGEST:
        return Bad.PIRANHA if _of_piranha(data) else Bad.FOREIGN
    body, code = data[:-_CODE], data[-_CODE:]
    if not hmac.compare_digest(hmac.digest(key, body, "sha256"), code):
        return Bad.FORGED
    if body[4] != PROTOCOL:
        return Bad.PROTOCOL
    try:
        beat = _decoder.decode(body[5:])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return Bad.GARBLED
    return beat if _sound(beat) else Bad.GARBLED


def _sound(beat: Beat) -> bool:
    counted = (beat.heard, beat.heard_number, beat.term, beat.connections, beat.told, beat.serial_no)
    return (
        0 < beat.boot < 1 << 64
        and 0 < beat.number < _MOST
        and all(0 <= number < 1 << 64 for number in counted)
        and beat.term < _MOST
        and math.isfinite(beat.at_s)
        and 0 <= beat.deadtime_s < math.inf
        and max(len(beat.digest), len(beat.version), len(beat.reason)) <= _LONGEST_TEXT
        and (beat.digest + beat.version + beat.reason).isprintable()
    )


def _of_piranha(data: bytes) -> bool:
    """Whether it is one of pulse's numbers, in either byte order; lvs.cf section 3.4."""
    orders = (int.from_bytes(data, "little"), int.from_bytes(data, "big"))
    return len(data) == 4 and not _PIRANHA.isdisjoint(orders)
