"""What stands above the login, and what is left on the partition."""

from __future__ import annotations

from firstboot.given import TOML
from lvs.config.load import load
from lvs.config.located import Problem, Severity
from lvs.firstboot import words

CONFIG = load(TOML, "lvs.toml").config
WRONG = Problem("LVS-CONFIG/lvs.toml", 3, "port", "1 to 65535, got \\x \x1b[2J")


def test_a_machine_that_has_nothing_says_what_it_needs_and_how_to_give_it() -> None:
    said = words.issue(words.Machine(), ())
    assert "NOT CONFIGURED: this director serves nothing" in said
    assert "Missing: a configuration, lvs.toml or lvs.cf; a public ssh key, authorized_keys" in said
    for way in ("LVS-CONFIG", "SMBIOS", "CIDATA", "lvsd wizard"):
        assert way in said
    assert "git push" not in said  # nobody could
    assert len(said.splitlines()) <= 24
    assert all(len(line) <= 100 for line in said.splitlines())


def test_a_machine_that_has_all_says_where_it_is_and_how_to_change_it() -> None:
    machine = words.Machine("/etc/lvs/lvs.toml", CONFIG, keys=True, host_key="ssh-ed25519 SHA256:abc")
    said = words.issue(machine, ()).splitlines()
    assert said[1:] == [
        "/etc/lvs/lvs.toml: serial 7, 1 virtual server",
        "ssh host key: ssh-ed25519 SHA256:abc",
        "Configure it: git clone lvs@\\4:config.git, edit, commit, git push",
        "",
    ]
    assert words.missing(machine) == ()


def test_an_invalid_file_is_counted_and_a_missing_pair_key_named() -> None:
    warning = Problem("x", 1, "", "odd", Severity.WARNING)
    machine = words.Machine("/etc/lvs/lvs.toml", None, (WRONG, warning), keys=True, pair_key=False)
    assert words.missing(machine) == (
        "a valid configuration (/etc/lvs/lvs.toml has 1 problem)",
        "the key of the pair, pair.key",
    )


def test_problems_steer_no_terminal_and_fill_no_screen() -> None:
    said = words.issue(words.Machine(), [WRONG] * 40)
    assert "\x1b" not in said
    assert "got \\\\x ?[2J" in said
    assert "and 28 more: journalctl -u lvs-firstboot" in said
    assert "odd" not in words.issue(words.Machine(), [Problem("x", 1, "", "odd", Severity.WARNING)])


def test_note_has_the_newest_on_top_and_does_not_grow_for_nothing() -> None:
    first = words.note([("hostname -> /etc/hostname", "director1")], ["pair.key"], [WRONG], "2026-01-01")
    assert first.startswith(words.HEADING)
    assert "\n  pair.key\n" in first
    assert words.note([], [], [WRONG], "2026-01-02", first) == first
    assert words.note([], [], [], "2026-01-02", first) == first
    other = Problem("a", 1, "", "new")
    second = words.note([], [], [other], "2026-01-03", first)
    assert second.count(words.HEADING) == 1
    assert second.index("2026-01-03") < second.index("2026-01-01")
    assert len(words.note([("x", "y")], [], [], "z", "--- " + "a" * 10**6)) < 20_000
