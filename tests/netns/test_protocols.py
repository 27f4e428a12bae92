"""Checks against the servers they are made for, on this host's loopback, each as its Debian package has it.

An address of 127.0.53.0/24 for each that takes one, so that nothing else is met there.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from lvs.checks import Answer, Check, Dialogue, Dns, Exchange, Http, Pace, Reason, Step, Target, Tls
from lvs.probes import dialogue
from lvs.probes.talks import talk_for
from probes.authority import Authority
from probes.drive import drive
from reach import open_to_all

pytestmark = pytest.mark.native

WEB, BOXES, CACHE, MEMORY, FILES = (f"127.0.53.{number}" for number in range(1, 6))
NAMES = MAIL = "127.0.0.1"  # they take only addresses that are assigned to a device
GONE = "127.0.53.99"

# A process namespace for each server, which ends with us, and with it whatever left its first process.
# That is a shell, because a server that changes its user no longer hears of its parent's end (prctl(2)).
LEASH = (
    *("setpriv", "--pdeathsig", "KILL", "unshare", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"),
    *("sh", "-c", '"$@" & wait', "sh"),
)

Start = Callable[..., Path]


SECRETS = {"good": b"secret", "wrong": b"eraser"}


def ask(address: str, port: int, check: Check, chunk: int = 1 << 16) -> Answer:
    """What the check finds, read in pieces of at most `chunk` bytes."""
    made = talk_for(Target(ip_address(address), port, check, Pace(6, 5, 5)), SECRETS, time.time)
    assert made is not None
    udp = (isinstance(check, Dns) and not check.tcp) or (isinstance(check, Exchange) and check.udp)
    return drive(made, address, port, udp=udp, chunk=chunk)


def both_ways(address: str, port: int, check: Check) -> Answer:
    """The same, in one piece and byte by byte."""
    whole = ask(address, port, check)
    assert ask(address, port, check, 1) == whole
    return whole


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that servers can reach under whichever user they run."""
    return open_to_all(tmp_path_factory.mktemp("servers"))


@pytest.fixture(scope="module")
def authority(place: Path) -> Authority:
    return Authority(place)


@pytest.fixture(scope="module")
def start(place: Path) -> Iterator[Start]:
    """Start a server in the foreground and wait until a port of its is open; it ends with the module."""
    running: list[subprocess.Popen[bytes]] = []

    def started(address: str, port: int, *command: str | Path) -> Path:
        said = place / f"{Path(command[0]).name}.log"
        program = shutil.which(command[0])
        assert program is not None, f"{command[0]} is not installed: .ci/setup does it"
        with said.open("wb") as log:
            server = subprocess.Popen(
                (*LEASH, program, *command[1:]), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=place
            )
        running.append(server)
        until = time.monotonic() + 15
        while time.monotonic() < until:
            with socket.socket() as sock:
                if sock.connect_ex((address, port)) == 0:
                    return said
            if server.poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError(f"{command[0]} does not serve: {said.read_text()}")

    yield started
    for server in reversed(running):
        server.kill()
        server.wait()


NGINX = """
daemon off; master_process off; pid {place}/nginx.pid; error_log {place}/nginx.error info;
events {{}}
http {{
  access_log {place}/nginx.access;
  client_body_temp_path {place}; proxy_temp_path {place}; fastcgi_temp_path {place};
  uwsgi_temp_path {place}; scgi_temp_path {place};
  server {{
    listen {WEB}:8080; listen {WEB}:8443 ssl; server_name www.example;
    ssl_certificate {good}; ssl_certificate_key {good};
    location / {{ root {place}/pages; }}
    location /broken {{ return 503; }}
    location /moved {{ return 302 /; }}
    location /chunked {{ proxy_pass http://{WEB}:8080/page; sub_filter x y; sub_filter_types *; }}
  }}
  server {{ listen {WEB}:8444 ssl; ssl_certificate {expired}; ssl_certificate_key {expired}; return 200; }}
  server {{ listen {WEB}:8445 ssl; ssl_certificate {soon}; ssl_certificate_key {soon}; return 200; }}
}}
"""


@pytest.fixture(scope="module")
def web(start: Start, place: Path, authority: Authority) -> Path:
    chains = {
        "good": authority.issue("good", "DNS:www.example", f"IP:{WEB}"),
        "expired": authority.issue("expired", f"IP:{WEB}", ends="20210203"),
        "soon": authority.issue(
            "soon", f"IP:{WEB}", ends=time.strftime("%Y%m%d", time.gmtime(time.time() + 6 * 86400))
        ),
    }
    (place / "pages").mkdir()
    (place / "pages" / "page").write_text("all is well, " * 3000 + "at last\n")
    (place / "pages" / "index.html").write_text("<h1>Welcome</h1>\n")
    settings = place / "nginx.conf"
    settings.write_text(NGINX.format(place=place, WEB=WEB, **chains))
    start(WEB, 8080, "nginx", "-c", settings, "-e", place / "nginx.error")
    return place


def test_web_server(web: Path) -> None:
    assert both_ways(WEB, 8080, Http()).text == "status 200"
    assert both_ways(WEB, 8080, Http(method="HEAD")).text == "status 200"
    assert both_ways(WEB, 8080, Http(path="/moved")).text == "status 302"
    assert both_ways(WEB, 8080, Http(path="/missing")).text == "status 404, 200 to 399 expected"
    assert both_ways(WEB, 8080, Http(path="/broken")).reason is Reason.WRONG_ANSWER
    assert ask(WEB, 8080, Http(path="/page", expect="at last")).text == "status 200, body as expected"
    assert ask(WEB, 8080, Http(path="/page", expect="at [[:alpha:]]+.$", use_regex=True)).ok
    assert ask(WEB, 8080, Http(path="/page", expect="at first")).reason is Reason.WRONG_ANSWER
    chunked = Exchange(
        f"GET /chunked HTTP/1.1\r\nHost: {WEB}\r\n\r\n".encode(), b"Encoding: chunked", use_regex=True
    )
    assert ask(WEB, 8080, chunked).ok
    for chunk in (100, 1 << 16):
        assert ask(WEB, 8080, Http(path="/chunked", expect="at last"), chunk).ok
    assert both_ways(WEB, 8080, Exchange(b"GET / HTTP/1.0\r\n\r\n", b"HTTP")).ok
    assert both_ways(
        WEB, 8080, Exchange(b"GET / HTTP/1.0\r\n\r\n", b"<h1>[A-Z][a-z]+</h1>", use_regex=True)
    ).ok
    assert both_ways(WEB, 8443, Http()).text == "status 400, 200 to 399 expected"


def test_web_server_within_tls(web: Path, authority: Authority) -> None:
    pem = str(authority.pem)
    assert both_ways(WEB, 8443, Http(tls=Tls(authorities=pem))).text == "status 200"
    assert both_ways(WEB, 8443, Http(tls=Tls(authorities=pem, name="www.example"), expect="Welcome")).ok
    assert ask(WEB, 8443, Http(tls=Tls(verify=False))).ok

    def refused(port: int, tls: Tls) -> str:
        answer = both_ways(WEB, port, Http(tls=tls))
        assert answer.reason is Reason.CERTIFICATE
        return answer.text

    assert refused(8443, Tls()) == "certificate: of an unknown authority"
    assert refused(8444, Tls(authorities=pem)) == "certificate: expired on 2021-02-03"
    assert "other.example" in refused(8443, Tls(authorities=pem, name="other.example"))
    soon = both_ways(WEB, 8445, Http(tls=Tls(authorities=pem)))
    assert soon.ok
    assert soon.text.endswith(", in 5 days")
    assert both_ways(WEB, 8080, Http(tls=Tls(authorities=pem))).reason is Reason.TLS


def test_web_server_notices_nothing(web: Path) -> None:
    """Its log has requests only: no client that was cut off within TLS, none that went too early."""
    said = (web / "nginx.error").read_text(errors="replace")
    assert "SSL_read() failed" not in said
    assert "prematurely" not in said


NAMED = """
options {{
  directory "{place}/names"; pid-file none; session-keyfile none; managed-keys-directory "{place}/names";
  listen-on port 15353 {{ {NAMES}; }}; listen-on-v6 {{ none; }}; recursion no; dnssec-validation no;
}};
controls {{}};
zone "example" {{ type primary; file "example"; }};
"""
ZONE = r"""
$TTL 60
@ SOA ns.example. root.example. 1 2 3 4 5
@ NS ns
ns A 192.0.2.53
www A 192.0.2.1
www A 192.0.2.2
www AAAA 2001:db8::1
alias CNAME www
@ MX 10 mail
@ TXT "v=spf1 " "-all"
_sip._udp SRV 0 5 5060 ns
1.2.0.192.in-addr.arpa.example. PTR www
@ CAA 0 issue "ca.example"
"""


@pytest.fixture(scope="module")
def names(start: Start, place: Path) -> None:
    (place / "names").mkdir()
    large = "".join(f'large TXT "{"x" * 200}{number}"\n' for number in range(20))
    (place / "names" / "example").write_text(ZONE.lstrip() + large)
    settings = place / "named.conf"
    settings.write_text(NAMED.format(place=place, NAMES=NAMES))
    start(NAMES, 15353, "named", "-g", "-n", "1", "-c", settings)


@pytest.mark.parametrize(
    ("name", "type_", "answer"),
    [
        ("example", "SOA", "ns.example."),
        ("example.", "NS", "NS.example"),
        ("www.example", "A", "192.0.2.2"),
        ("www.example", "AAAA", "2001:db8:0::1"),
        ("alias.example", "A", "192.0.2.1"),
        ("alias.example", "CNAME", "www.example"),
        ("example", "MX", "10 mail.example"),
        ("example", "TXT", "v=spf1 -all"),
        ("_sip._udp.example", "SRV", "0 5 5060 ns.example"),
        ("1.2.0.192.in-addr.arpa.example", "PTR", "www.example"),
        ("example", "ANY", "10 mail.example"),
    ],
)
def test_name_server(names: None, name: str, type_: str, answer: str) -> None:
    for tcp in (False, True):
        assert ask(NAMES, 15353, Dns(name, type_, tcp=tcp)).ok
        if type_ != "ANY" or tcp:
            assert ask(NAMES, 15353, Dns(name, type_, answer=answer, tcp=tcp)).ok
        wrong = ask(NAMES, 15353, Dns(name, type_, answer="other", tcp=tcp))
        assert wrong.reason is Reason.WRONG_ANSWER


def test_name_server_says_no(names: None) -> None:
    assert both_ways(NAMES, 15353, Dns("no.example", "A", "NXDOMAIN", tcp=True)).ok
    assert ask(NAMES, 15353, Dns("no.example", "A")).reason is Reason.WRONG_ANSWER
    assert ask(NAMES, 15353, Dns("elsewhere.test", "A", "REFUSED")).ok
    assert ask(NAMES, 15353, Dns("large.example", "TXT")).ok  # cut for UDP: the server serves
    assert both_ways(NAMES, 15353, Dns("large.example", "TXT", answer="x" * 200 + "19", tcp=True)).ok


POSTFIX = """
compatibility_level = 3.6
queue_directory = {place}/mail
data_directory = {place}/mail-data
mail_owner = postfix
setgid_group = postdrop
inet_interfaces = {MAIL}
inet_protocols = ipv4
maillog_file_prefixes = {place}
maillog_file = {place}/mail.log
myhostname = mail.example
alias_maps =
alias_database =
local_recipient_maps =
smtpd_tls_security_level = may
smtpd_tls_chain_files = {chain}
"""
MASTER = """
{MAIL}:12525 inet n - n - - smtpd
{MAIL}:14465 inet n - n - - smtpd
  -o smtpd_tls_wrappermode=yes
postlog unix-dgram n - n - 1 postlogd
anvil unix - - n - 1 anvil
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
proxymap unix - - n - - proxymap
cleanup unix n - n - 0 cleanup
"""


@pytest.fixture(scope="module")
def mail(start: Start, place: Path, authority: Authority) -> Path:
    chain = authority.issue("mail", f"IP:{MAIL}")
    settings = place / "postfix"
    settings.mkdir()
    for directory in ("mail", "mail-data"):
        (place / directory).mkdir()
    shutil.chown(place / "mail-data", "postfix")
    # postfix takes the key first
    key, certificate = chain.read_text().split("-----BEGIN PRIVATE")[::-1]
    chain.write_text("-----BEGIN PRIVATE" + key + certificate)
    (settings / "main.cf").write_text(POSTFIX.format(place=place, MAIL=MAIL, chain=chain))
    (settings / "master.cf").write_text(MASTER.format(MAIL=MAIL).lstrip())
    start(MAIL, 12525, "postfix", "-c", settings, "start-fg")
    return place / "mail.log"


def test_mail_server(mail: Path, authority: Authority) -> None:
    tls = Tls(authorities=str(authority.pem))
    for check, port in (
        (dialogue.smtp(), 12525),
        (dialogue.smtp(tls, starttls=True), 12525),
        (dialogue.smtp(tls), 14465),
    ):
        answer = both_ways(MAIL, port, check)
        assert answer.ok, answer
    stranger = both_ways(MAIL, 12525, dialogue.smtp(Tls(), starttls=True))
    assert stranger.reason is Reason.CERTIFICATE
    assert both_ways(MAIL, 12525, dialogue.pop3()).reason is Reason.WRONG_ANSWER
    said = mail.read_text()
    assert "quit=1" in said
    assert "lost connection after EHLO" not in said


DOVECOT = """
base_dir = {place}/boxes
state_dir = {place}/boxes-state
log_path = {place}/dovecot.said
protocols = imap pop3 lmtp
listen = {BOXES}
ssl = yes
ssl_cert = <{chain}
ssl_key = <{chain}
auth_mechanisms = plain
passdb {{
  driver = static
  args = nopassword=y
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home={place}
}}
service imap-login {{
  inet_listener imap {{
    port = 1143
  }}
  inet_listener imaps {{
    port = 1993
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    port = 1024
  }}
}}
service pop3-login {{
  inet_listener pop3 {{
    port = 1110
  }}
  inet_listener pop3s {{
    port = 1995
  }}
}}
"""


@pytest.fixture(scope="module")
def boxes(start: Start, place: Path, authority: Authority) -> None:
    settings = place / "dovecot.conf"
    settings.write_text(
        DOVECOT.format(place=place, BOXES=BOXES, chain=authority.issue("boxes", f"IP:{BOXES}"))
    )
    start(BOXES, 1143, "dovecot", "-F", "-c", settings)


def test_mail_boxes(boxes: None, authority: Authority) -> None:
    tls = Tls(authorities=str(authority.pem))
    for check, port in (
        (dialogue.imap(), 1143),
        (dialogue.imap(tls, starttls=True), 1143),
        (dialogue.imap(tls), 1993),
        (dialogue.pop3(), 1110),
        (dialogue.pop3(tls, starttls=True), 1110),
        (dialogue.pop3(tls), 1995),
        (dialogue.lmtp(), 1024),
        (dialogue.lmtp(tls, starttls=True), 1024),
    ):
        answer = both_ways(BOXES, port, check)
        assert answer.ok, (check, answer)
    assert both_ways(BOXES, 1143, dialogue.pop3()).reason is Reason.WRONG_ANSWER


def test_caches(start: Start, place: Path, authority: Authority) -> None:
    settings = ("--bind", CACHE, "--save", "", "--protected-mode", "no", "--daemonize", "no")
    start(CACHE, 6379, "redis-server", *settings)
    start(CACHE, 6380, "redis-server", *settings, "--port", "6380", "--requirepass", "secret")
    for port in (6379, 6380):
        answer = both_ways(CACHE, port, dialogue.redis())
        assert answer.ok, answer
    inside = both_ways(CACHE, 6380, dialogue.redis(password="good"))
    assert inside.ok, inside
    for denied in (dialogue.redis(password="wrong"), dialogue.redis(user="nobody", password="good")):
        outside = both_ways(CACHE, 6380, denied)
        assert outside.reason is Reason.DENIED, outside
        assert "WRONGPASS" in outside.text
    start(MEMORY, 11211, "memcached", "-u", "root", "-l", MEMORY, "-U", "0")
    answer = both_ways(MEMORY, 11211, dialogue.memcached())
    assert answer.ok, answer


VSFTPD = """
listen=YES
listen_address={FILES}
listen_port=2121
background=NO
anonymous_enable=NO
local_enable=YES
banner_file={place}/banner
secure_chroot_dir={place}/empty
"""


def test_file_server(start: Start, place: Path) -> None:
    (place / "empty").mkdir()
    (place / "banner").write_text("Welcome.\n220 is our number, by the way\nNo code here\n")
    settings = place / "vsftpd.conf"
    settings.write_text(VSFTPD.format(place=place, FILES=FILES))
    start(FILES, 2121, "vsftpd", settings)
    answer = both_ways(FILES, 2121, dialogue.ftp())
    assert answer.ok, answer
    own = Dialogue("dialogue", (Step(r"(^|\n)220 ", b"QUIT\r\n"), Step("^221")))
    assert both_ways(FILES, 2121, own).ok


def test_nobody_there() -> None:
    with pytest.raises(ConnectionRefusedError):
        ask(GONE, 8080, Http())
