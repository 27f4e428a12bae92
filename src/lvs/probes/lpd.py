"""LPD: the state of a queue, short (RFC 1179 section 5.3).

The answer is text for people, and its words are nobody's standard: what is known to mean no is a
table, and anything else is a yes. Only the first line is looked at, for jobs follow it, with names
that users choose. As with IPP, a queue whose printer is stopped is down; cups-lpd cannot tell of one
that does not accept jobs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from lvs.checks import Answer, Lpd, Reason, Target
from lvs.probes.talk import Talk, down, quoted, up

SHORT = b"\x03"
LONGEST_LINE = 4096
MOST_SHOWN = 100  # characters: what matters comes late in these lines

# First lines of CUPS 2.4, LPRng 3.8 and the lpd of BSD
NO = (
    (
        Reason.DENIED,  # BSD: "host: your host does not have line printer access"; LPRng: "no permission"
        re.compile(rb"not have line printer access|no permission|not permitted|access denied", re.IGNORECASE),
    ),
    (
        Reason.WRONG_ANSWER,  # BSD: "unknown printer"; LPRng: "Printer: x@host - ERROR: spool queue for ..."
        re.compile(rb"unknown printer|not found|does not exist|no such|\berror\b", re.IGNORECASE),
    ),
    (
        Reason.WRONG_ANSWER,  # cups-lpd, for a queue that is not there, and for a CUPS that is not there
        re.compile(rb"^unable to (?:get|connect)", re.IGNORECASE),
    ),
    (
        Reason.WRONG_ANSWER,  # CUPS; LPRng; BSD: "Warning: x is down", "queue is turned off"
        re.compile(rb"is not ready|(?:printing|spooling|queuing) disabled|is down|turned off", re.IGNORECASE),
    ),
)


def talk(check: Lpd, target: Target, secrets: Mapping[str, bytes]) -> Talk:  # noqa: ARG001
    """The talk of an LPD check."""
    return LpdTalk(check.queue)


class LpdTalk:
    """One question, one line."""

    def __init__(self, queue: str) -> None:
        self._queue = queue.encode()
        self._what = f"queue {quoted(queue)[1:-1]}"
        self._buffer = b""

    def begin(self) -> bytes:
        self._buffer = b""
        return SHORT + self._queue + b"\n"

    def received(self, data: bytes) -> bytes | Answer:
        self._buffer += data
        line, end, _ = self._buffer.lstrip().partition(b"\n")
        if end:
            return self._verdict(line)
        if len(self._buffer) > LONGEST_LINE:
            return down(Reason.GARBLED, f"{self._what}: no end of the first line, {quoted(self._buffer)}")
        return b""

    def ended(self) -> Answer:
        line = self._buffer.strip()
        return self._verdict(line) if line else down(Reason.CLOSED, f"{self._what}: closed without an answer")

    def silent(self) -> str:
        return f"the state of {self._what}"

    def _verdict(self, line: bytes) -> Answer:
        said = quoted(line, MOST_SHOWN)
        # RFC 1179 knows a byte other than 0 for no; text with control characters is another protocol's
        if len(line.strip(b"\0")) == 1 and line[-1] < 0x20:
            return down(Reason.WRONG_ANSWER, f"{self._what}: refused with code {line[-1]}")
        if re.search(rb"[\0-\x08\x0e-\x1f]", line):
            return down(Reason.GARBLED, f"{self._what}: not LPD: {said}")
        words = line.replace(self._queue, b"")  # which may be called "error"
        for reason, pattern in NO:
            if pattern.search(words.strip()):
                return down(reason, f"{self._what}: {said}")
        return up(f"{self._what}: {said}")
