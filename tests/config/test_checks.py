"""`[[virtual.check]]`: what is read, what is refused, where; and what is written."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from msgspec.structs import replace

from config.check_strategies import CHECKS
from config.strategies import EXAMPLES
from config.test_build import S4, V4, good, server, told, virtual
from lvs.checks import (
    Check,
    Connect,
    Dialogue,
    Dns,
    Exchange,
    File,
    Http,
    Icmp,
    Ipp,
    Ldap,
    Lpd,
    Mysql,
    Neighbour,
    Postgresql,
    Program,
    Radius,
    Sip,
    Step,
    Tls,
    Unchecked,
)
from lvs.config.load import load
from lvs.config.render import to_cf, to_toml
from lvs.errors import ConfigError
from lvs.model import Protocol
from lvs.probes import dialogue


def block(*checks: str, **options: str) -> str:
    """A virtual server with these checks, each a line or several; the first begins at line 6 or later."""
    return virtual(V4, **options) + "".join(f"[[virtual.check]]\n{check}\n" for check in checks)


def built(check: str, **options: str) -> Check:
    (one,) = good(block(check, **options)).virtual_servers[0].checking.checks
    return one


@pytest.mark.parametrize(
    ("text", "check"),
    [
        ('type = "connect"', Connect()),
        ('type = "connect"\nport = "https"', Connect(443)),
        ('type = "exchange"\nsend = "\\u00e9\\r\\n"\nexpect = "x"', Exchange(b"\xc3\xa9\r\n", b"x")),
        ('type = "program"\nprogram = "/bin/x \'a b\' %h"', Program(("/bin/x", "a b", "%h"))),
        ('type = "http"', Http()),
        ('type = "http"\nstatus = 200', Http(status=((200, 200),))),
        ('type = "http"\nstatus = [204, "300-399"]', Http(status=((204, 204), (300, 399)))),
        ('type = "https"\nhost = "a.example"\nverify = false', Http(host="a.example", tls=Tls(verify=False))),
        ('type = "https"\nserver_name = "b"\nca_file = "/c"', Http(tls=Tls(name="b", authorities="/c"))),
        ('type = "dns"\nname = "example.org"\nquery = "A"', Dns("example.org", "A", tcp=True)),
        ('type = "ldap"', Ldap()),
        ('type = "ldaps"\nexpires_days = 0', Ldap(tls=Tls(expires_days=0))),
        ('type = "ldap"\nstarttls = true', Ldap(tls=Tls(), starttls=True)),
        (
            'type = "ldap"\nbind = "cn=x"\npassword_from = "/p"\nbase = "o=y"\nscope = "sub"',
            Ldap("cn=x", "/p", "o=y", scope="sub"),
        ),
        ('type = "ipp"\npath = "/printers/a"', Ipp("/printers/a")),
        ('type = "ipps"', Ipp(tls=Tls())),
        ('type = "lpd"\nqueue = "lp"', Lpd("lp")),
        ('type = "postgresql"\ntls = true', Postgresql(tls=Tls())),
        ('type = "mysql"\nuser = "u"\npassword_from = "db"', Mysql("u", "db")),
        ('type = "radius"\nsecret_from = "/s"', Radius("/s")),
        ('type = "sip"', Sip(udp=False)),
        ('type = "smtp"', dialogue.smtp()),
        ('type = "smtp"\nstarttls = true\nport = 587', dialogue.smtp(Tls(), 587, starttls=True)),
        ('type = "imap"\ntls = true\nverify = false', dialogue.imap(Tls(verify=False))),
        ('type = "redis"', dialogue.redis()),
        ('type = "icmp"', Icmp()),
        ('type = "neighbour"', Neighbour()),
        ('type = "file"\npath = "/run/%h"', File("/run/%h")),
        ('type = "none"', Unchecked()),
        (
            'type = "dialogue"\nsteps = [{expect = "^220"}, {send = "QUIT\\r\\n"}]\nstarttls_after = 1',
            Dialogue("dialogue", (Step("^220"), Step(None, b"QUIT\r\n")), Tls(), 1),
        ),
    ],
)
def test_every_type(text: str, check: Check) -> None:
    assert built(text) == check


def test_protocol_of_a_check_is_the_virtual_server_s() -> None:
    udp = {"protocol": '"udp"'}
    assert built('type = "dns"', **udp) == Dns(tcp=False)
    assert built('type = "dns"\ntcp = true', **udp) == Dns(tcp=True)
    assert built('type = "sip"', **udp) == Sip(udp=True)
    assert built('type = "exchange"\nsend = "x"\nexpect = "*"', **udp) == Exchange(b"x", b"*", udp=True)


def test_order_is_kept_and_servers_stand_anywhere() -> None:
    text = virtual(V4, server(S4)) + '[[virtual.check]]\ntype = "icmp"\n[[virtual.server]]\n'
    text += 'name = "t"\naddress = "10.0.0.4"\n[[virtual.check]]\ntype = "connect"\n'
    one = good(text).virtual_servers[0]
    assert one.checking.checks == (Icmp(), Connect())
    assert [real.name for real in one.real_servers] == ["s", "t"]


BEHIND = "virtual[0].check[0]"


@pytest.mark.parametrize(
    ("check", "said"),
    [
        ("port = 1", f'{BEHIND}: a type is missing: type = "..."'),
        ('type = "htttp"', f'{BEHIND}.type: unknown type "htttp"; did you mean "http"?'),
        ("type = 1", f"{BEHIND}.type: a text in quotes is asked for, got 1"),
        ('type = "http"\npaht = "/"', f'{BEHIND}.paht: unknown option; did you mean "path"?'),
        (
            'type = "ldap"\npassword = "x"',
            f'{BEHIND}.password: unknown option; secrets are never in this file: password_from = "/etc/',
        ),
        ('type = "icmp"\nqueue = "x"', f"{BEHIND}.queue: unknown option of type icmp; known to lpd"),
        ('type = "lpd"', f"{BEHIND}.queue: missing; a check of type lpd needs it"),
        ('type = "dialogue"', f"{BEHIND}.steps: missing; a check of type dialogue needs it"),
        ('type = "program"', f"{BEHIND}.program: missing; a check of type program needs it"),
        (
            f'type = "program"\nprogram = "{"a" * 5000}"',
            f"{BEHIND}.program: at most 4096 characters are asked for, got 5000",
        ),
        ('type = "program"\nprogram = "a \'b"', f'{BEHIND}.program: no closing quotation in "a \'b"'),
        (
            'type = "http"\npath = "health"',
            f'{BEHIND}.path: a path such as /health is asked for, got "health"',
        ),
        ('type = "http"\npath = "/a b"', f'{BEHIND}.path: a path such as /health is asked for, got "/a b"'),
        ('type = "http"\nhost = "a\\r\\nb"', f"{BEHIND}.host: control characters are refused, got 'a"),
        (
            'type = "http"\nstatus = [99]',
            f'{BEHIND}.status: statuses such as 200, or "200-399", are asked for, got 99',
        ),
        ('type = "http"\nstatus = "399-200"', f'{BEHIND}.status: statuses of 100 to 599, got "399-200"'),
        ('type = "http"\nstatus = []', f"{BEHIND}.status: at least one status is asked for, got none"),
        (
            'type = "postgresql"\nca_file = "/x"',
            f"{BEHIND}.ca_file: for TLS only, and this check has none; add tls = true",
        ),
        ('type = "https"\nca_file = "x"', f'{BEHIND}.ca_file: an absolute path is asked for, got "x"'),
        (
            'type = "ldap"\nbind = "cn=x"',
            f"{BEHIND}.password_from: missing; bind without a password is no log-in",
        ),
        ('type = "ldap"\npassword_from = "/x"', f"{BEHIND}.bind: missing beside password_from"),
        ('type = "ldap"\nscope = "sub"', f"warning: {BEHIND}.scope: ignored without base"),
        (
            'type = "ldap"\nbase = ""\nfilter = "(a"',
            f"{BEHIND}.filter: attribute=value is expected at character 2",
        ),
        ('type = "mysql"\npassword_from = "/x"', f"{BEHIND}.user: missing beside password_from"),
        (
            'type = "radius"\nsecret_from = "/x"\nuser = "u"',
            f"{BEHIND}.password_from: missing beside user",
        ),
        (
            'type = "radius"\nsecret_from = "a b"',
            f"{BEHIND}.secret_from: an absolute path, or the name of a credential of systemd, is asked for",
        ),
        ('type = "exchange"\nuse_regex = true', f"warning: {BEHIND}.use_regex: ignored without expect"),
        (
            'type = "exchange"\nuse_regex = true\nexpect = "("',
            f"{BEHIND}.expect: not a POSIX extended regular expression",
        ),
        ('type = "exchange"\nudp = true', f"warning: {BEHIND}: nothing tells whether"),
        (
            'type = "dialogue"\nsteps = [{expect = "("}]',
            f"{BEHIND}.steps: step 0: not a POSIX extended regular expression",
        ),
        ('type = "dialogue"\nsteps = [{}]', f"{BEHIND}.steps: step 0 has expect, send, or both; got neither"),
        (
            'type = "dialogue"\nsteps = [{x = 1}]',
            f'{BEHIND}.steps: step 0 has expect, send, or both; got "x"',
        ),
        (
            'type = "dialogue"\nsteps = [{send = "x"}]\nstarttls_after = 1',
            f"{BEHIND}.starttls_after: less than the number of steps, which is 1; got 1",
        ),
        (
            'type = "pop3"\ntls = true\nstarttls = true',
            f"{BEHIND}.tls: TLS from the beginning, but starttls is there too; which of the two counts?",
        ),
        ('type = "ftp"\nstarttls = true', f"{BEHIND}.starttls: unknown option of type ftp; known to smtp,"),
        ('type = "dns"\nname = "a..b"', f'{BEHIND}.name: a domain name is asked for, got "a..b"'),
        ('type = "dns"\nquery = "RRSIG"', f"{BEHIND}.query: one of A, NS, CNAME"),
        ('type = "dns"\nrcode = "FINE"', f"{BEHIND}.rcode: one of NOERROR, FORMERR"),
        *[
            (
                f'type = "dns"\nquery = "A"\nanswer = "{answer}"',
                f'{BEHIND}.answer: an IPv4 address, or a name that is an alias, is asked for, got "{answer}"',
            )
            for answer in ("2001:db8::1", "192.0.2.300", "192.0.2", "192.0.2.1/32", "10 mail.example.")
        ],
        (
            'type = "dns"\nquery = "AAAA"\nanswer = "192.0.2.1"',
            f'{BEHIND}.answer: an IPv6 address, or a name that is an alias, is asked for, got "192.0.2.1"',
        ),
        (
            'type = "dns"\nrcode = "NXDOMAIN"\nanswer = "ns1.example."',
            f"{BEHIND}.answer: a value is found in an answer of NOERROR only, and rcode is NXDOMAIN",
        ),
        (
            'type = "http"\nmethod = "HEAD"\nexpect = "x"',
            f"{BEHIND}.expect: the answer to HEAD has no page to find it in; GET has",
        ),
        (
            'type = "https"\nca_file = "/x"\nverify = false',
            f"{BEHIND}.ca_file: verify = false takes any certificate; which of the two counts?",
        ),
        ('type = "sip"\nuri = "x"', f'{BEHIND}.uri: a URI such as sip:example.org is asked for, got "x"'),
        ('type = "file"\npath = "x"', f'{BEHIND}.path: an absolute path is asked for, got "x"'),
    ],
)
def test_what_is_refused(check: str, said: str) -> None:
    (message,) = told(block(check))
    assert message.startswith(said)


@pytest.mark.parametrize("answer", ["192.0.2.1", "alias.example.", "1.example"])
def test_answers_to_a_question_for_an_address(answer: str) -> None:
    good(block(f'type = "dns"\nquery = "A"\nanswer = "{answer}"'))


@pytest.mark.parametrize(
    ("check", "said"),
    [
        ('type = "icmp"', "icmp"),
        ('type = "neighbour"', "neighbour"),
        ('type = "program"\nprogram = "/bin/x"', "program"),
        ('type = "file"\npath = "/x"', "file"),
        ('type = "none"', "none"),
    ],
)
def test_checks_that_do_not_go_by_the_vip(check: str, said: str) -> None:
    by_the_vip = {"forwarding": '"direct"', "check_path": '"vip"'}
    message = f"virtual[0].check_path: a check of {said} does not go by the VIP, and there is no other"
    assert told(block(check, check, **by_the_vip)) == [message]
    good(block(check, 'type = "http"', **by_the_vip))


@pytest.mark.parametrize("option", ['send = "x"', 'expect = "x"', "use_regex = false", 'send_program = "x"'])
def test_checks_stand_alone(option: str) -> None:
    key, _, value = option.partition(" = ")
    message = f"virtual[0].{key}: [[virtual.check]] is there too; which of the two counts?"
    assert told(block('type = "icmp"', **{key: value})) == [message]


def test_lines() -> None:
    text = (
        block('type = "icmp"', 'type = "http"\nstatus = 7')
        + '[[virtual.server]]\nname = "s"\nweight = -1\naddress = "10.0.0.3"\n'
        + '[[virtual.check]]\ntype = "dialogue"\nport = 0\n[[virtual.check.steps]]\nport = 5\n'
        + '[[virtual.server]]\nname = "t"\naddress = "x"\n'
    )
    lines = text.split("\n")
    found = [(problem.path, lines[problem.line - 1]) for problem in load(text, "lvs.toml").problems]
    assert found == [
        ("virtual[0].check[1].status", "status = 7"),
        ("virtual[0].server[0].weight", "weight = -1"),
        ("virtual[0].check[2].port", "port = 0"),
        ("virtual[0].check[2].steps", "[[virtual.check.steps]]"),
        ("virtual[0].server[1].address", 'address = "x"'),
    ]


def test_inline_tables() -> None:
    text = virtual(V4) + 'check = [\n{type = "http"},\n{type = "lpd"}]\n'
    assert [str(problem) for problem in load(text, "lvs.toml").problems] == [
        "lvs.toml:6: virtual[0].check[1].queue: missing; a check of type lpd needs it"
    ]
    assert told(virtual(V4) + "check = 1\n")[0].startswith("virtual[0].check: blocks are asked for")


def test_lvs_cf_has_none() -> None:
    with pytest.raises(ConfigError) as refused:
        to_cf(good(block('type = "icmp"')))
    assert "virtual[0].check: lvs.cf has no [[virtual.check]]" in str(refused.value)


@given(CHECKS)
@settings(max_examples=2 * EXAMPLES)
def test_what_is_written_is_read(check: Check) -> None:
    for protocol in Protocol:
        empty = load(block('type = "none"', protocol=f'"{protocol}"'), "lvs.toml").config
        assert empty is not None
        (one,) = empty.virtual_servers
        one = replace(one, checking=replace(one.checking, checks=(check,)))
        config = replace(empty, virtual_servers=(one,))
        assert load(to_toml(config), "lvs.toml").config == config
