"""TLS around a talk, against OpenSSL's server side in memory."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvs.checks import Answer, Exchange, Reason, Tls
from lvs.probes import exchange, tls
from lvs.probes.talk import Talk
from lvs.probes.tls import TlsTalk
from probes.authority import Authority
from probes.played import JUNK, endures, play, sound, target

ADDRESS = target(Exchange()).address
NOW = 1_800_000_000.0  # 2027-01-15


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("tls")
    authority = Authority(directory)
    authority.issue("good", "DNS:good.example", "IP:192.0.2.1")
    authority.issue("named", "DNS:good.example")
    authority.issue("expired", "DNS:good.example", ends="20210203")
    authority.issue("future", "DNS:good.example", starts="21100405")
    Authority(directory, "stranger").issue("good", "DNS:good.example")
    return directory


class Server:
    """The server's side: answers what it gets by a function."""

    def __init__(
        self, chain: Path, answer: Callable[[bytes], bytes], version: ssl.TLSVersion | None = None
    ) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain)
        if version is not None:
            context.maximum_version = version
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=True)
        self._answer = answer
        self.fault: ssl.SSLError | None = None

    def takes(self, data: bytes, *, ends: bool = False) -> bytes:
        self._in.write(data)
        if ends:
            self._in.write_eof()
        try:
            with suppress(ssl.SSLWantReadError):
                self._tls.do_handshake()
                while said := self._tls.read(4096):
                    self._tls.write(self._answer(said))
        except ssl.SSLError as fault:
            self.fault = fault
        return self._out.read()

    def closes(self) -> bytes:
        with suppress(ssl.SSLWantReadError):
            self._tls.unwrap()
        return self._out.read()


def within(pem: Path, inner: Talk | None = None, **fields: object) -> TlsTalk:
    wanted = Tls(authorities=str(pem), **fields)  # type: ignore[arg-type]
    check = Exchange(b"hello", b"good")
    inner = inner or exchange.talk(check)
    return TlsTalk(inner, wanted, ADDRESS, lambda: NOW)


def converse(talk: Talk, server: Server, cut: int = 1 << 20, *, plain: bool = False) -> Answer:
    said: bytes | Answer = talk.begin()
    for _ in range(20):
        assert isinstance(said, bytes)
        reply = server.takes(said)
        said = b""
        if not reply:
            return talk.ended()
        for at in range(0, len(reply), cut):
            more = talk.received(reply[at : at + cut])
            if isinstance(more, Answer):
                assert sound(more)
                return more
            said += more
    raise AssertionError(talk.silent())


VERSIONS = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])


@VERSIONS
@pytest.mark.parametrize("cut", [1, 7, 1 << 20])
def test_good_by_name_and_by_address(made: Path, version: ssl.TLSVersion, cut: int) -> None:
    for name in ("good.example", None):
        talk = within(made / "authority.pem", name=name)
        for _ in range(2):
            server = Server(made / "authority-good.pem", lambda data: b"good " + data, version)
            assert converse(talk, server, cut) == exchange.talk(Exchange(None, b"good")).received(b"good")
            server.takes(talk.farewell(), ends=True)
            assert server.fault is None  # an orderly end, as a server's log sees it
    assert talk.farewell() == b""


@VERSIONS
@pytest.mark.parametrize(
    ("chain", "name", "text"),
    [
        ("authority-expired.pem", "good.example", "certificate: expired on 2021-02-03"),
        ("authority-future.pem", "good.example", "certificate: not valid before 2110-04-05"),
        ("stranger-good.pem", "good.example", "certificate: of an unknown authority"),
        (
            "authority-good.pem",
            "other.example",
            "certificate: Hostname mismatch, certificate is not valid for 'other.example'",
        ),
        (
            "authority-named.pem",
            None,
            "certificate: IP address mismatch, certificate is not valid for '192.0.2.1'",
        ),
    ],
)
def test_certificate_that_is_not_to_be_trusted(
    made: Path, version: ssl.TLSVersion, chain: str, name: str | None, text: str
) -> None:
    talk = within(made / "authority.pem", name=name)
    server = Server(made / chain, lambda _: b"good", version)
    answer = converse(talk, server, 100)
    assert (answer.reason, answer.text) == (Reason.CERTIFICATE, text)
    server.takes(talk.farewell())
    assert server.fault is not None
    assert "ALERT" in server.fault.reason
    # Whoever does not look is not bothered
    careless = within(made / "authority.pem", name=name, verify=False)
    assert converse(careless, Server(made / chain, lambda _: b"good", version)).ok


def test_self_signed(made: Path) -> None:
    chain = made / "self.pem"
    chain.write_text((made / "stranger.pem").read_text() + (made / "stranger.key").read_text())
    answer = converse(within(made / "authority.pem", name="stranger"), Server(chain, lambda _: b"good"))
    assert answer.text == "certificate: self-signed, and not among the authorities"


def test_certificate_that_ends_soon_is_told(made: Path) -> None:
    ends = ssl.cert_time_to_seconds("Jan  1 00:00:00 2120 GMT")
    wanted = Tls(authorities=str(made / "authority.pem"))
    now = [0.0]
    talk = TlsTalk(exchange.talk(Exchange(b"x", b"good")), wanted, ADDRESS, lambda: now[0])
    for days, said in ((20, ""), (13.5, "in 13 days"), (1.5, "in 1 day"), (0.5, "in 0 days")):
        now[0] = ends - days * 86400
        answer = converse(talk, Server(made / "authority-good.pem", lambda _: b"good"))
        assert answer.ok
        warning = f"certificate expires on 2120-01-01, {said}" if said else ""
        assert answer.text.partition("; ")[2] == warning
        assert answer.value == (int(days) if said else None)


def test_no_tls_there(made: Path) -> None:
    talk = within(made / "authority.pem")
    answer = play(talk, [b"HTTP/1.1 400 Bad Request\r\n\r\n"])
    assert isinstance(answer, Answer)
    assert (answer.reason, answer.text) == (Reason.TLS, "TLS: wrong version number")
    closed = play(talk, [])
    assert isinstance(closed, Answer)
    assert closed.text == "TLS: closed during the handshake"
    talk.begin()
    assert talk.silent() == "the TLS handshake"


def test_close_within_tls_is_the_talks_own(made: Path) -> None:
    talk = within(made / "authority.pem", name="good.example")
    server = Server(made / "authority-good.pem", lambda _: b"go", ssl.TLSVersion.TLSv1_2)
    said: bytes | Answer = talk.begin()
    for _ in range(4):
        assert isinstance(said, bytes)
        said = talk.received(server.takes(said)) if said else talk.received(server.closes())
        if isinstance(said, Answer):
            break
    assert isinstance(said, Answer)
    assert said.reason is Reason.CLOSED
    assert '"go"' in said.text


def test_name_or_authorities_that_are_none(made: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="label"):
        within(made / "authority.pem", name=".example")
    with pytest.raises(OSError):
        within(tmp_path / "missing.pem")
    (tmp_path / "empty.pem").touch()
    with pytest.raises(OSError):
        within(tmp_path / "empty.pem")


def test_one_context_for_all(made: Path) -> None:
    pem = str(made / "authority.pem")
    assert tls.context(True, pem) is tls.context(True, pem)
    assert within(made / "authority.pem")._context is within(made / "authority.pem", name="x")._context


def test_nothing_is_held_between_probes(made: Path) -> None:
    talk = within(made / "authority.pem", name="good.example")
    assert talk._session is None
    converse(talk, Server(made / "authority-good.pem", lambda _: b"good"))
    talk.farewell()
    assert talk._session is None
    talk.begin()
    talk.ended()
    assert talk._session is None
    talk.begin()
    talk.silent()
    assert talk._session is None
    assert isinstance(talk.received(b"late"), Answer)


@given(st.binary(max_size=80))
def test_validity_of_anything(message: bytes) -> None:
    assert tls.validity(message) is None
    header = (len(message) + 3).to_bytes(3, "big") + len(message).to_bytes(3, "big")
    assert tls.validity(b"\x0b\0\0\0" + header + message) is None


@given(JUNK)
def test_endures_anything(junk: list[bytes]) -> None:
    check = Exchange(b"x", b"*")
    endures(TlsTalk(exchange.talk(check), Tls(verify=False), ADDRESS, lambda: NOW), junk)
