"""What a configuration needs of its machine, and how it is told that it is not there."""

from __future__ import annotations

from config.test_build import S4, V4, server, virtual
from lvs.config.load import load
from lvs.config.needs import Need, NeedKind

FULL = (
    'check_user = "checker"\n'
    + virtual(
        V4,
        server(S4),
        load_monitor='"uptime"',
        notify_cmd='"/bin/tell all"',
        quorum_up_cmd='"/bin/up"',
        quorum_down_cmd='"/bin/down"',
    )
    + '[[virtual.check]]\ntype = "program"\nprogram = "/bin/check %h"\n'
    + '[[virtual.check]]\ntype = "ldaps"\nca_file = "/etc/ca"\nbind = "x"\npassword_from = "ldap"\n'
    + virtual(V4, port="81", name='"w"', send_program='"/bin/check -x"', load_monitor='"rup"')
    + virtual(V4, port="82", name='"x"', active="false", send_program='"/bin/no"')
)


def test_everything_is_asked_about_once() -> None:
    asked: list[Need] = []

    def lacks(need: Need) -> str:
        asked.append(need)
        return ""

    loaded = load(FULL, "lvs.toml", lacks=lacks)
    assert loaded.problems == ()
    assert len(asked) == len(set(asked))
    assert {(str(need.kind), need.name, need.user) for need in asked} == {
        ("user", "checker", None),
        ("program", "rsh", "checker"),
        ("program", "rup", "checker"),
        ("program", "/bin/check", "checker"),
        ("command", "/bin/tell", None),
        ("command", "/bin/up", None),
        ("command", "/bin/down", None),
        ("file", "/etc/ca", None),
        ("credential", "ldap", None),
    }


def test_what_is_lacking_is_an_error_with_its_place() -> None:
    loaded = load(FULL, "lvs.toml", lacks=lambda need: f"no {need.name}")
    assert loaded.config is None
    lines = FULL.split("\n")
    assert [(problem.path, lines[problem.line - 1], problem.message) for problem in loaded.problems] == [
        ("check_user", 'check_user = "checker"', "no checker"),
        ("virtual[0].load_monitor", 'load_monitor = "uptime"', "no rsh"),
        ("virtual[0].notify_cmd", 'notify_cmd = "/bin/tell all"', "no /bin/tell"),
        ("virtual[0].quorum_up_cmd", 'quorum_up_cmd = "/bin/up"', "no /bin/up"),
        ("virtual[0].quorum_down_cmd", 'quorum_down_cmd = "/bin/down"', "no /bin/down"),
        ("virtual[0].check[0].program", 'program = "/bin/check %h"', "no /bin/check"),
        ("virtual[0].check[1].ca_file", 'ca_file = "/etc/ca"', "no /etc/ca"),
        ("virtual[0].check[1].password_from", 'password_from = "ldap"', "no ldap"),
        ("virtual[1].send_program", 'send_program = "/bin/check -x"', "no /bin/check"),
        ("virtual[1].load_monitor", 'load_monitor = "rup"', "no rup"),
    ]
    again = load(FULL, "lvs.toml", previous=loaded, lacks=lambda _: "")
    assert again.problems == ()
    assert again.config is not None


def test_lvs_cf() -> None:
    text = 'rsh_command = "ssh -q"\n'
    text += "virtual v {\nactive = 1\naddress = 10.0.0.5 eth0:1\nload_monitor = uptime\n}\n"
    loaded = load(text, "lvs.cf", lacks=lambda need: f"no {need.kind} {need.name}")
    assert [str(problem) for problem in loaded.problems] == [
        "lvs.cf:5: virtual[0].load_monitor: no program ssh"
    ]


def test_kinds() -> None:
    assert Need(NeedKind.FILE, "x") == Need(NeedKind.FILE, "x", None)


PAIR = 'primary = "192.0.2.1"\nbackup = "192.0.2.2"\nactive_cmd = "/bin/up now"\n'


def test_a_pair_needs_its_key_and_its_commands() -> None:
    loaded = load(
        PAIR + virtual(V4, server(S4)), "lvs.toml", lacks=lambda need: f"no {need.kind} {need.name}"
    )
    assert [str(problem) for problem in loaded.problems] == [
        "lvs.toml:2: backup: no pair key /etc/lvs/pair.key",
        "lvs.toml:3: active_cmd: no command /bin/up",
    ]


def test_a_director_alone_needs_no_key() -> None:
    alone = PAIR + "backup_active = false\n" + virtual(V4, server(S4))
    assert load(alone, "lvs.toml", lacks=lambda need: f"no {need.name}").problems == ()
