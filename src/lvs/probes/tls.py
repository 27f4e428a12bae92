"""TLS around a talk: bytes in, bytes out, by ssl's memory BIOs; no socket.

Certificates are verified unless the configuration says otherwise: chain, dates and name, the real
server's address if it has no name. What is wrong is said in words. One context serves all
targets of one `Tls` value, so that ten thousand of them do not hold ten thousand stores; and what
belongs to one connection, 45 KB of it, is there from the beginning of a probe to its end only.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from lvs.checks import Address, Answer, Reason, Tls
from lvs.probes import ber
from lvs.probes.talk import Talk, down, quoted

# image/lvsd.py keeps ssl from asyncio, which has no use for it; this has.
if sys.modules.get("ssl", sys) is None:
    del sys.modules["ssl"]
import ssl

# Where the system's authorities are, if OpenSSL's own idea of it is of another machine.
AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
_DAY_S = 86400.0
_CERTIFICATE = 11  # RFC 8446 section 4.4.2, RFC 5246 section 7.4.2
# openssl/x509_vfy.h: verification's results that have words of our own
_EXPIRED, _NOT_YET = 10, 9
_SELF_SIGNED, _STRANGERS = 18, {2, 19, 20, 21, 27}


class Session(ssl.SSLObject):
    """One connection's TLS, which keeps the server's certificate whether it is to be trusted or not."""

    shown = b""  # the Certificate message


def _seen(
    session: Session, direction: str, _version: object, _content: object, kind: int, data: bytes
) -> None:
    if direction == "read" and kind == _CERTIFICATE:
        session.shown = data


@lru_cache(maxsize=256)
def context(verify: bool, authorities: str | None) -> ssl.SSLContext:  # noqa: FBT001  a key of the cache
    """A context, one for all checks that ask for the same. Errors: OSError, ssl.SSLError for a bad file."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.sslobject_class = Session
    if not verify:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
        return made
    # ssl says of a certificate that it has expired, not when: it has no other way to look at one that
    # is refused. Where a later ssl lacks this, the date is missing in a sentence.
    made._msg_callback = _seen  # type: ignore[attr-defined]  # noqa: SLF001
    if authorities is not None:
        made.load_verify_locations(authorities)
        return made
    made.load_default_certs()
    if not made.cert_store_stats()["x509_ca"] and Path(AUTHORITIES).exists():
        made.load_verify_locations(AUTHORITIES)
    return made


class TlsTalk:
    """A talk within TLS. With `starts`, it begins in plain text, until that says so (STARTTLS)."""

    write_only = False

    def __init__(
        self,
        inner: Talk,
        tls: Tls,
        address: Address,
        clock: Callable[[], float],
        starts: Callable[[], bool] | None = None,
    ) -> None:
        """Errors: ValueError, OSError, if the name or the authorities are none."""
        self._inner = inner
        self._tls = tls
        self._context = context(tls.verify, tls.authorities)
        self._name = tls.name or str(address)
        self._clock = clock
        self._starts = starts
        self._in, self._out, self._session = self._connection()  # once, so that a bad name is told here
        self._drop()

    def _connection(self) -> tuple[ssl.MemoryBIO, ssl.MemoryBIO, Session | None]:
        received, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = self._context.wrap_bio(received, sent, server_hostname=self._name)
        assert isinstance(session, Session)
        return received, sent, session

    def _drop(self) -> None:
        self._session = None
        self._secured = False
        self._plain = self._starts is not None
        self._first = b""

    def begin(self) -> bytes:
        self._drop()
        self._first = self._inner.begin()
        return self._first if self._plain else self._hello()

    def received(self, data: bytes) -> bytes | Answer:
        if self._plain:
            said = self._inner.received(data)
            if isinstance(said, Answer) or self._starts is None or not self._starts():
                return said
            self._plain = False
            self._first = said  # what the talk says next, it says within TLS
            prelude: bytes = getattr(self._inner, "prelude", b"")  # and this before
            return prelude + self._hello()
        session = self._session
        if session is None:  # a verdict was reached before
            return down(Reason.TLS, "TLS: more after the end")
        self._in.write(data)
        try:
            return self._within(session)
        except ssl.SSLCertVerificationError as fault:
            return down(Reason.CERTIFICATE, f"certificate: {_untrusted(fault, session)}")
        except ssl.SSLError as fault:
            said_why = (fault.reason or "not agreed on").lower().replace("_", " ")
            return down(Reason.TLS, f"TLS: {said_why}")

    def _hello(self) -> bytes:
        self._in, self._out, self._session = self._connection()
        if self._session is not None:
            with suppress(ssl.SSLWantReadError):
                self._session.do_handshake()
        return self._out.read()

    def _within(self, session: Session) -> bytes | Answer:
        if not self._secured:
            try:
                session.do_handshake()
            except ssl.SSLWantReadError:
                return self._out.read()
            self._secured = True
            if self._first:
                session.write(self._first)
        while True:
            try:
                data = session.read(16384)
            except ssl.SSLWantReadError:
                return self._out.read()
            except ssl.SSLZeroReturnError:
                data = b""
            said = self._inner.received(data) if data else self._inner.ended()
            if isinstance(said, Answer):
                return self._judged(said, session)
            if said:
                session.write(said)

    def _judged(self, answer: Answer, session: Session) -> Answer:
        """A good answer says when the certificate is about to expire."""
        if not answer.ok or not self._tls.verify:
            return answer
        certificate = session.getpeercert() or {}
        ends = certificate.get("notAfter")
        if not isinstance(ends, str):
            return answer
        ends_at = ssl.cert_time_to_seconds(ends)
        days = int((ends_at - self._clock()) // _DAY_S)
        if days >= self._tls.expires_days:
            return answer
        date = datetime.fromtimestamp(ends_at, UTC).strftime("%Y-%m-%d")
        left = "1 day" if days == 1 else f"{days} days"
        text = f"{answer.text}; certificate expires on {date}, in {left}"
        return Answer(ok=True, reason=answer.reason, text=text, value=float(days))

    def ended(self) -> Answer:
        if self._plain:
            return self._inner.ended()
        session, secured = self._session, self._secured
        self._drop()
        if session is None or not secured:
            return down(Reason.TLS, "TLS: closed during the handshake")
        return self._judged(self._inner.ended(), session)

    def silent(self) -> str:
        within = self._plain or self._secured
        self._drop()
        return self._inner.silent() if within else "the TLS handshake"

    def farewell(self) -> bytes:
        """What ends the session: the talk's own farewell, and TLS's (RFC 8446 section 6.1), or its alert."""
        farewell = getattr(self._inner, "farewell", None)
        session, secured, plain = self._session, self._secured, self._plain
        self._drop()
        if plain:
            return b"" if farewell is None else bytes(farewell())
        if session is None:
            return b""
        with suppress(ssl.SSLError):
            if secured and farewell is not None:
                session.write(farewell())
            if secured:
                session.unwrap()
        return self._out.read()


def _untrusted(fault: ssl.SSLCertVerificationError, session: Session) -> str:
    """Why a certificate is not trusted; what has no words here has OpenSSL's own."""
    code = fault.verify_code
    if code in (_EXPIRED, _NOT_YET):
        dates = validity(session.shown)
        words = "not valid yet" if code == _NOT_YET else "expired"
        if dates is None:
            return words
        return f"not valid before {dates[0]}" if code == _NOT_YET else f"expired on {dates[1]}"
    if code == _SELF_SIGNED:
        return "self-signed, and not among the authorities"
    if code in _STRANGERS:
        return "of an unknown authority"
    said = (fault.verify_message or "not verified").rstrip(".")
    return quoted(said, 160)[1:-1]


def validity(message: bytes) -> tuple[str, str] | None:
    """The days from and to which the certificate of a Certificate message is valid; None if it has none.

    Source: RFC 8446 section 4.4.2, RFC 5246 section 7.4.2; RFC 5280 section 4.1.
    """
    # A header of 4 bytes; with TLS 1.3 a context, of a server always empty; the list's length.
    for at in (4, 5):
        if int.from_bytes(message[at : at + 3], "big") == len(message) - at - 3:
            break
    else:
        return None
    length = int.from_bytes(message[at + 3 : at + 6], "big")
    certificate = ber.elements(message[at + 6 : at + 6 + length])
    signed = ber.elements(certificate[0][1]) if certificate else None
    fields = ber.elements(signed[0][1]) if signed else None
    for tag, content in fields[:6] if fields else ():
        times = ber.elements(content) if tag == ber.SEQUENCE else None
        if times is not None and [kind for kind, _ in times] and {kind for kind, _ in times} <= _TIMES:
            days = [_day(kind, said) for kind, said in times]
            return (days[0], days[1]) if len(days) == 2 else None
    return None


_UTC_TIME, _GENERALIZED_TIME = 0x17, 0x18
_TIMES = {_UTC_TIME, _GENERALIZED_TIME}


def _day(kind: int, said: bytes) -> str:
    """A time of a certificate as a day (RFC 5280 section 4.1.2.5)."""
    text = "".join(c for c in said.decode("ascii", "replace") if c.isdigit())
    if kind == _UTC_TIME:
        text = ("19" if text[:2] >= "50" else "20") + text
    return f"{text[:4]}-{text[4:6]}-{text[6:8]}"
