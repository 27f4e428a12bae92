"""Coverage-guided fuzzing of what servers may answer to checks.

    python tests/fuzz/fuzz_talks.py SECONDS

Begins with good answers. A finding is an exception, an answer that is not fit for a journal, or a law
that does not hold: a verdict does not depend on how a stream was cut, nor on the probe before.
atheris prints the input of a finding and writes it to a file.
"""

from __future__ import annotations

import os
import struct
import sys
import tempfile
from ipaddress import ip_address
from pathlib import Path

import atheris

ROOT = Path(__file__).resolve().parent.parent.parent


def no_chance(length: int) -> bytes:
    return bytes(range(length))


# Good answers name the question, so that questions are always the same. Who asks for chance, binds
# this name when imported.
os.urandom = no_chance

with atheris.instrument_imports(include=["lvs.probes"]):
    sys.path.insert(0, str(ROOT / "src"))
    from lvs import checks
    from lvs.checks import Answer, Check, Pace, Reason, Step, Target, Tls
    from lvs.probes import (  # noqa: F401
        ber,
        dialogue,
        dns,
        exchange,
        http,
        http_answer,
        ipp,
        ldap,
        ldap_filter,
        load,
        lpd,
        mysql,
        postgresql,
        radius,
        scram,
        sip,
        talks,
        tls,
    )
    from lvs.probes.talk import LONGEST, Talk

SECRETS = {"secret": b"secret", "password": b"password"}
QUESTION = dns.question("example.org", "MX")
DNS = struct.pack("!HHHHHH", 1, 0x8180, 1, 1, 0, 0) + QUESTION
DNS += b"\xc0\x0c" + struct.pack("!HHIH", 15, 1, 300, 9) + b"\0\x0a\4mail\xc0\x0c"
SIP = (
    b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP lvsd.invalid;branch=z9hG4bK000102030405060708090a0b;rport=4\r\n"
    b"Call-ID: 0405060708090a0b@lvsd.invalid\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
)
HTTP = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
BOUND = bytes.fromhex("300c02010161070a010004000400")
FOUND = bytes.fromhex("300902010264040400300030 0c02010265070a010004000400")
POSTGRESQL = bytes.fromhex("5200000008000000055a0000000549")
MYSQL = (
    b"\x4a\0\0\0\x0a8.0.36\0\1\0\0\0abcdefgh\0\xff\xff\xff\2\0\xff\xdf\x15" + bytes(10) + b"ijklmnopqrst\0"
)
MYSQL += b"caching_sha2_password\0"
IPP = b"\1\1\0\0\0\0\0\1\1\x47\0\x12attributes-charset\0\5utf-8\3"

# Checks, whether they ask by datagram, and a good answer
CHECKS: tuple[tuple[Check, bool, bytes], ...] = (
    (checks.Exchange(b"a", b"HTTP"), False, b"HTTP/1.0 200"),
    (checks.Exchange(b"a", b"HTTP", udp=True), True, b"HTTP/1.0 200"),
    (checks.Exchange(b"a", b"^2[[:digit:]]+ OK", use_regex=True), False, b"200 OK"),
    (checks.Http(), False, HTTP),
    (checks.Http(expect="hello"), False, HTTP),
    (checks.Http(expect="h[el]+o", use_regex=True), False, b"HTTP/1.0 100 x\r\n\r\n" + HTTP),
    (checks.Dns("example.org", "MX"), True, DNS),
    (checks.Dns("example.org", "MX", answer="10 mail.example.org", tcp=True), False, b"\0\x32" + DNS),
    (dialogue.smtp(), False, b"220-a\r\n220 b\r\n250-c\r\n250 d\r\n221 e\r\n"),
    (dialogue.ftp(), False, b"220-a\r\nb\r\n220 c\r\n221 d\r\n"),
    (dialogue.pop3(), False, b"+OK\r\n+OK\r\n"),
    (dialogue.imap(), False, b"* OK\r\n* BYE\r\na2 OK\r\n"),
    (dialogue.redis(), False, b"+PONG\r\n+OK\r\n"),
    (dialogue.redis(password="password"), False, b"+OK\r\n+PONG\r\n+OK\r\n"),
    (dialogue.lmtp(), False, b"220 a\r\n250 b\r\n221 c\r\n"),
    (dialogue.memcached(), False, b"VERSION 1\r\n"),
    (checks.Dialogue(dialogue.OWN, (Step("a|b", b"c"), Step("[[:alpha:]]{3}"))), False, b"1\na\n2\nabc\n"),
    (checks.Ldap(), False, BOUND),
    (checks.Ldap(base="dc=example"), False, BOUND + FOUND),
    (checks.Ipp(), False, b"HTTP/1.1 200 OK\r\nContent-Type: application/ipp\r\n\r\n" + IPP),
    (checks.Lpd("office"), False, b"office is ready\n"),
    (checks.Postgresql(), False, POSTGRESQL),
    (checks.Postgresql(password="password"), False, b"R\0\0\0\x17\0\0\0\nSCRAM-SHA-256\0\0"),
    (checks.Mysql(), False, MYSQL),
    (checks.Mysql(user="u", password="password"), False, MYSQL + b"\7\0\0\2\0\0\0\2\0\0\0"),
    (checks.Radius("secret"), True, b"\2\0\0\x14" + bytes(16)),
    (checks.Radius("secret", "u", "password"), True, b"\2\0\0\x14" + bytes(16)),
    (checks.Sip(), True, SIP),
    (checks.Sip(udp=False), False, SIP),
    (checks.Load(url="http://%h/load"), False, b"HTTP/1.0 200 OK\r\n\r\nload 0.5"),
    (checks.Http(tls=Tls(verify=False)), False, b"\x15\x03\x03\0\2\2\x28"),
)
# Those of which a part may be as good as the whole: RFC 3207 forgets what came too early, an end may
# be anywhere in a text, and OpenSSL looks at what there is.
CUT_MATTERS = {2, len(CHECKS) - 1}

ADDRESS, PACE = ip_address("192.0.2.1"), Pace(6, 2, 4)
made: dict[int, Talk] = {}


def talk_of(number: int) -> Talk:
    """One talk for all inputs, as for all probes of a target."""
    if number not in made:
        target = Target(ADDRESS, 4, CHECKS[number][0], PACE)
        talk = talks.talk_for(target, SECRETS, lambda: 1_800_000_000.0)
        assert talk is not None
        made[number] = talk
    return made[number]


def one(data: bytes) -> None:
    """Try one input: its first byte chooses the check, its second how the answer is cut."""
    if len(data) < 2:
        return
    number = data[0] % len(CHECKS)
    check, by_datagram, _ = CHECKS[number]
    talk, said = talk_of(number), data[2:]
    whole, replied = answer(talk, [said])
    size = data[1] % 7 + 1
    pieces, _ = answer(talk, [said[at : at + size] for at in range(0, len(said), size)])
    # What is said before it is asked for may be kept until there is more.
    if not by_datagram and number not in CUT_MATTERS and (not replied or isinstance(check, checks.Dialogue)):
        assert (whole.ok, whole.reason) == (pieces.ok, pieces.reason), f"{whole} if whole, else {pieces}"
    assert answer(talk, [said]) == (whole, replied)


def answer(talk: Talk, pieces: list[bytes]) -> tuple[Answer, bool]:
    """The verdict on an answer in these pieces, and whether there was a reply before it."""
    talk.begin()
    sent = 0
    for piece in pieces:
        reply = talk.received(piece)
        if isinstance(reply, Answer):
            break
        sent += len(reply)
    else:
        waiting = talk.silent()
        assert waiting.isprintable(), waiting
        assert len(waiting) < 250, waiting
        reply = talk.ended()
    assert reply.text.isprintable(), reply
    assert len(reply.text) < 250, reply
    assert reply.ok == (reply.reason is Reason.ANSWERED), reply
    assert sent < LONGEST
    farewell = getattr(talk, "farewell", None)
    assert farewell is None or isinstance(farewell(), bytes)
    return reply, sent > 0


def main() -> None:
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    with tempfile.TemporaryDirectory() as corpus:
        for number, (_, _, good) in enumerate(CHECKS):
            Path(corpus, str(number)).write_bytes(bytes((number, 0)) + good)
        limits = [f"-max_total_time={seconds}", "-timeout=10", "-max_len=2000"]
        atheris.Setup([sys.argv[0], corpus, *limits], one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
