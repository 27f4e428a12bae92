"""What is laid down, once; what is refused; what is wiped."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstboot.given import TOML, offer, public_key
from lvs.config.load import load
from lvs.firstboot.decide import decide, is_wiped
from lvs.firstboot.values import Decision, Memory, Offered, Source

KEY = public_key()
NETWORK = "[Match]\nName=eth0\n[Network]\nDHCP=yes\nKeepConfiguration=static\n"


def judge_key(content: bytes, where: str) -> tuple[str, str]:
    return ("", f"{where} is no whole pair key") if b"bad" in content else ("3f2a", "")


def decided(*offered: Offered, memory: Memory = Memory(), running: str = "") -> Decision:  # noqa: B008  frozen
    config = load(running, "lvs.toml").config if running else None
    return decide(offered, memory, config, judge_key)


def laid(decision: Decision) -> dict[str, bytes]:
    return {file.path: file.content for file in decision.files}


def errors(decision: Decision) -> list[str]:
    return [str(problem) for problem in decision.problems]


def test_each_thing_has_its_place() -> None:
    decision = decided(
        offer("lvs.toml", TOML),
        offer("authorized_keys", f"# me\r\n{KEY}\r\n"),
        offer("authorized_keys.lvs", KEY),
        offer("pair.key", "key"),
        offer("hostname", "director1\r\n"),
        offer("network/10-lan.network", NETWORK),
        offer("secrets/radius", "s3cret"),
    )
    assert errors(decision) == []
    assert {file.path: (file.content.decode(), file.mode) for file in decision.files} == {
        "/etc/lvs/lvs.toml": (TOML, 0o644),
        "/etc/ssh/authorized_keys.d/root": (f"{KEY}\n", 0o644),
        "/etc/ssh/authorized_keys.d/lvs": (f"{KEY}\n", 0o644),
        "/etc/lvs/pair.key": ("key", 0o600),
        "/etc/hostname": ("director1\n", 0o644),
        "/etc/systemd/network/10-lan.network": (NETWORK, 0o644),
        "/etc/lvs/secrets/radius": ("s3cret", 0o600),
    }
    assert decision.files[0].instead == "/etc/lvs/lvs.cf"
    assert [one.name for one in decision.wipe] == ["pair.key", "secrets/radius"]
    assert not any("s3cret" in file.shown for file in decision.files)


def test_what_was_taken_is_not_taken_again_but_wiped_again() -> None:
    given_all = (offer("lvs.toml", TOML), offer("pair.key", "key"))
    first = decided(*given_all)
    second = decided(*given_all, memory=first.memory)
    assert second.files == ()
    assert second.memory == first.memory
    assert [one.name for one in second.wipe] == ["pair.key"]


def test_what_changed_is_taken_anew() -> None:
    first = decided(offer("lvs.toml", TOML))
    newer = TOML.replace("7", "8")
    assert laid(decided(offer("lvs.toml", newer), memory=first.memory)) == {
        "/etc/lvs/lvs.toml": newer.encode()
    }


def test_the_same_name_on_another_disk_is_another_thing() -> None:
    first = decided(offer("lvs.toml", TOML, origin="1"))
    both = decided(
        offer("lvs.toml", TOML, origin="1"),
        offer("lvs.toml", TOML.replace("7", "8"), origin="2"),
        memory=first.memory,
    )
    assert b"serial_no = 8" in laid(both)["/etc/lvs/lvs.toml"]
    assert errors(both) == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Source.CONSOLE, Source.CREDENTIALS),
        (Source.CREDENTIALS, Source.PARTITION),
        (Source.PARTITION, Source.NOCLOUD),
    ],
)
def test_of_two_that_are_new_the_first_source_counts(first: Source, second: Source) -> None:
    other = TOML.replace("7", "8")
    decision = decided(
        offer("lvs.toml", other, second, "the other"), offer("lvs.toml", TOML, first, "the first")
    )
    assert laid(decision) == {"/etc/lvs/lvs.toml": TOML.encode()}
    assert errors(decision) == ["the other: warning: is not used: the first says the same thing, and counts"]
    # and the other one has had its turn: it does not win at the next boot
    again = decided(offer("lvs.toml", other, second), offer("lvs.toml", TOML, first), memory=decision.memory)
    assert (again.files, again.problems) == ((), ())


def test_a_refused_one_is_not_replaced_by_a_lesser_source() -> None:
    decision = decided(
        offer("lvs.toml", "serial_no = -1\n", Source.CREDENTIALS), offer("lvs.toml", TOML, Source.NOCLOUD)
    )
    assert decision.files == ()
    assert decision.memory == Memory()
    assert errors(decision)


def test_both_languages_at_once() -> None:
    decision = decided(offer("lvs.toml", TOML), offer("lvs.cf", "serial_no = 1\n"))
    assert decision.files == ()
    assert "are both there" in errors(decision)[0]


def test_a_broken_configuration_is_told_as_lvsd_check_tells_it() -> None:
    broken = TOML.replace("port = 80", "port = 80000\nprot = 1")
    decision = decided(offer("lvs.toml", broken, where="LVS-CONFIG/lvs.toml"))
    assert errors(decision) == [str(one) for one in load(broken, "LVS-CONFIG/lvs.toml").problems]
    assert len(decision.problems) == 2
    assert decision.files == ()


def test_warnings_keep_nothing_from_being_taken() -> None:
    decision = decided(offer("network/10-lan.network", NETWORK.replace("KeepConfiguration=static\n", "")))
    assert len(decision.files) == len(decision.problems) == 1


def test_a_vip_is_refused_whether_it_comes_along_or_is_there() -> None:
    wrong = offer("network/10-lan.network", f"{NETWORK}Address=192.0.2.1/24\n")
    assert laid(decided(wrong)) != {}
    for decision in (decided(offer("lvs.toml", TOML), wrong), decided(wrong, running=TOML)):
        assert not [path for path in laid(decision) if path.endswith(".network")]
        assert "is the VIP of web" in errors(decision)[0]


def test_the_pair_key_goes_where_the_configuration_says() -> None:
    elsewhere = 'primary = "10.0.0.1"\nbackup = "10.0.0.2"\npair_key = "/etc/lvs/two.key"\n' + TOML
    assert "/etc/lvs/two.key" in laid(decided(offer("lvs.toml", elsewhere), offer("pair.key", "key")))
    assert "/etc/lvs/two.key" in laid(decided(offer("pair.key", "key"), running=elsewhere))


def test_a_bad_pair_key_is_neither_taken_nor_wiped() -> None:
    decision = decided(offer("pair.key", "bad", where="LVS-CONFIG/pair.key"))
    assert (decision.files, decision.wipe) == ((), ())
    assert errors(decision) == ["LVS-CONFIG/pair.key: is no whole pair key"]


def test_secrets_are_wiped_from_the_partition_only() -> None:
    decision = decided(offer("pair.key", "key", Source.CREDENTIALS))
    assert len(decision.files) == 1
    assert decision.wipe == ()


def test_the_same_secret_from_two_places_is_wiped_another_one_is_left() -> None:
    first = offer("pair.key", "key", Source.CREDENTIALS)
    assert [one.source for one in decided(first, offer("pair.key", "key")).wipe] == [Source.PARTITION]
    assert decided(first, offer("pair.key", "another")).wipe == ()


@pytest.mark.parametrize("left", [bytes(700), bytes(10), b"-----BEGIN" + bytes(512) + b"rest"])
def test_what_is_left_of_an_interrupted_wipe_is_wiped(left: bytes) -> None:
    decision = decided(offer("pair.key", left))
    assert is_wiped(left)
    assert [one.name for one in decision.wipe] == ["pair.key"]
    assert (decision.files, decision.problems) == ((), ())


@pytest.mark.parametrize("text", [b"", b"a key", "a key in UTF-16".encode("utf-16") * 400])
def test_a_text_was_not_wiped(text: bytes) -> None:
    assert not is_wiped(text)


@pytest.mark.parametrize("name", ["", "a_b", "-a", "a-", "a..b", "a" * 65, "a b", "\xff", "a\nb"])
def test_host_names(name: str) -> None:
    decision = decided(offer("hostname", name))
    assert decision.files == ()
    assert "is no host name" in errors(decision)[0]
    assert laid(decided(offer("hostname", "lvs1.example.org"))) == {"/etc/hostname": b"lvs1.example.org\n"}


@pytest.mark.parametrize("name", ["secrets/a b", "secrets/-rf", "network/..network"])
def test_names_that_are_no_plain_names(name: str) -> None:
    decision = decided(offer(name, NETWORK))
    assert decision.files == ()
    assert len(decision.problems) == 1


def test_what_is_too_long_is_not_read() -> None:
    decision = decided(offer("hostname", "a" * (256 << 10) + "b"))
    assert "at most are read" in errors(decision)[0]


NAMES = st.sampled_from(
    ["lvs.toml", "lvs.cf", "authorized_keys", "pair.key", "hostname", "network/a.network"]
)
CONTENTS = st.sampled_from([TOML, KEY, "bad", "director1", NETWORK, "", "serial_no = 1\nservice = lvs\n"])
OFFERS = st.lists(
    st.builds(offer, NAMES, CONTENTS, st.sampled_from(Source)), max_size=6, unique_by=lambda one: one.key
)


@given(OFFERS, OFFERS)
def test_a_decision_carried_out_leaves_nothing_to_do(before: list[Offered], now: list[Offered]) -> None:
    known = decided(*before).memory
    first = decided(*now, memory=known)
    second = decided(*now, memory=first.memory)
    assert second.files == ()
    assert second.memory == first.memory
    assert [one for one in second.wipe if one not in first.wipe] == []
    assert len({file.path for file in first.files}) == len(first.files)
