"""TLS around a talk: bytes in, bytes out, by ssl's memory BIOs; no socket.

Certificates are verified unless the configuration says otherwise: chain, dates and name, the real
server's address if it has no name. What is wrong is said in words. One context serves all
targets of one `Tls` value, so that ten thousand of them do not hold ten thousand stores.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from lvs.checks import Address, Answer, Reason, Tls
from lvs.probes.talk import Talk, down, quoted

# Where the system's authorities are, if OpenSSL's own idea of it is of another machine.
AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
_DAY_S = 86400.0


@lru_cache(maxsize=256)
def context(verify: bool, authorities: str | None) -> ssl.SSLContext:  # noqa: FBT001  a key of the cache
    """A context, one for all checks that ask for the same. Errors: OSError, ssl.SSLError for a bad file."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not verify:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
        return made
    if authorities is not None:
        made.load_verify_locations(authorities)
        return made
    made.load_default_certs()
    if not made.cert_store_stats()["x509_ca"] and Path(AUTHORITIES).exists():
        made.load_verify_locations(AUTHORITIES)
    return made


class TlsTalk:
    """A talk within TLS; with `after`, TLS begins when the talk's step says so (STARTTLS)."""

    write_only = False

    def __init__(
        self,
        inner: Talk,
        tls: Tls,
        address: Address,
        clock: Callable[[], float],
        starts: Callable[[], bool] | None = None,
    ) -> None:
        self._inner = inner
        self._tls = tls
        self._context = context(tls.verify, tls.authorities)
        self._name = tls.name or str(address)
        self._clock = clock
        self._starts = starts  # whether the talk has asked for TLS; None: it begins with it
        self._reset()

    def _reset(self) -> None:
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = self._context.wrap_bio(self._in, self._out, server_hostname=self._name)
        self._secured = False
        self._plain = self._starts is not None
        self._first = b""

    def begin(self) -> bytes:
        self._reset()
        self._first = self._inner.begin()
        return self._first if self._plain else self._handshake_bytes()

    def received(self, data: bytes) -> bytes | Answer:
        if self._plain:
            said = self._inner.received(data)
            if isinstance(said, Answer) or self._starts is None or not self._starts():
                return said
            self._plain = False
            self._first = said  # what the talk says next, it says within TLS
            return self._handshake_bytes()
        self._in.write(data)
        try:
            return self._within()
        except ssl.SSLCertVerificationError as fault:
            return down(Reason.CERTIFICATE, f"certificate: {_why(fault)}")
        except ssl.SSLError as fault:
            return down(Reason.TLS, f"TLS: {_why(fault)}")

    def _handshake_bytes(self) -> bytes:
        with suppress(ssl.SSLWantReadError):
            self._object.do_handshake()
        return self._out.read()

    def _within(self) -> bytes | Answer:
        if not self._secured:
            try:
                self._object.do_handshake()
            except ssl.SSLWantReadError:
                return self._out.read()
            self._secured = True
            if self._first:
                self._object.write(self._first)
        while True:
            try:
                data = self._object.read(16384)
            except ssl.SSLWantReadError:
                return self._out.read()
            except ssl.SSLZeroReturnError:
                return self._judged(self._inner.ended())
            if not data:
                return self._judged(self._inner.ended())
            said = self._inner.received(data)
            if isinstance(said, Answer):
                return self._judged(said)
            if said:
                self._object.write(said)

    def _judged(self, answer: Answer) -> Answer:
        """A good answer says when the certificate is about to expire."""
        if not answer.ok or not self._tls.verify:
            return answer
        certificate = self._object.getpeercert() or {}
        ends = certificate.get("notAfter")
        if not isinstance(ends, str):
            return answer
        ends_at = ssl.cert_time_to_seconds(ends)
        days = int((ends_at - self._clock()) // _DAY_S)
        if days >= self._tls.expires_days:
            return answer
        date = datetime.fromtimestamp(ends_at, UTC).strftime("%Y-%m-%d")
        return Answer(
            ok=True,
            reason=answer.reason,
            text=f"{answer.text}; the certificate expires on {date}, in {days} days",
        )

    def ended(self) -> Answer:
        if self._plain:
            return self._inner.ended()
        if not self._secured:
            return down(Reason.TLS, "TLS: closed during the handshake")
        return self._judged(self._inner.ended())

    def silent(self) -> str:
        if self._plain or self._secured:
            return self._inner.silent()
        return "TLS: the handshake was not answered"


def _why(fault: ssl.SSLError) -> str:
    """`certificate has expired`, `wrong version number`: OpenSSL's own words."""
    if isinstance(fault, ssl.SSLCertVerificationError):
        said = fault.verify_message or "not verified"
        return said if len(said) < 120 else quoted(said, 120)
    return (fault.reason or "not agreed on").lower().replace("_", " ")
