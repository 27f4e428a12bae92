"""Names of the partition and of credentials, and what is said of those that mean nothing."""

from __future__ import annotations

import pytest

from lvs.firstboot import sources
from lvs.firstboot.values import Source


def test_partition() -> None:
    files = {
        "LVS.TOML": b"a",
        "authorized_keys": b"b",
        "Network/10-lan.network": b"c",
        "secrets/radius": b"d",
    }
    found = sources.from_partition(files, "12AB")
    assert [(one.name, one.content) for one in found.offered] == [
        ("lvs.toml", b"a"),
        ("network/10-lan.network", b"c"),
        ("authorized_keys", b"b"),
        ("secrets/radius", b"d"),
    ]
    assert found.problems == ()
    assert all(one.source is Source.PARTITION and one.origin == "12AB" for one in found.offered)
    assert found.offered[0].where == "LVS-CONFIG/LVS.TOML"
    assert all(sources.readable(name) for name in files)


@pytest.mark.parametrize(
    "name",
    [
        "README.txt",
        "taken-over.txt",
        "System Volume Information/WPSettings.dat",
        ".Trashes/x",
        "._lvs.toml",
        "$RECYCLE.BIN/desktop.ini",
        "FOUND.000/FILE0000.CHK",
    ],
)
def test_what_operating_systems_leave_is_passed_over(name: str) -> None:
    assert sources.from_partition({name: b""}) == ((), ())
    assert not sources.readable(name)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("lvs.toml.txt", "did you mean lvs.toml?"),
        ("authorised_keys", "did you mean authorized_keys?"),
        ("holiday.jpg", "known are lvs.toml, lvs.cf"),
        ("network/old/10-lan.network", "known are"),
    ],
)
def test_other_names_are_told(name: str, hint: str) -> None:
    found = sources.from_partition({name: b""})
    assert found.offered == ()
    assert hint in found.problems[0].message


def test_one_name_in_two_cases() -> None:
    found = sources.from_partition({"LVS.CF": b"a", "lvs.cf": b"b"})
    assert [one.content for one in found.offered] == [b"a"]
    assert "is there twice" in found.problems[0].message


def test_credentials() -> None:
    found = sources.from_credentials(
        {
            "lvs.toml": b"a",
            "lvs.pair.key": b"b",
            "ssh.authorized_keys.root": b"c",
            "lvs.network.10-lan.network": b"d",
            "lvs.secrets.radius": b"e",
            "lvs.hostnam": b"f",
        }
    )
    assert {one.name: one.content for one in found.offered} == {
        "lvs.toml": b"a",
        "pair.key": b"b",
        "authorized_keys": b"c",
        "network/10-lan.network": b"d",
        "secrets/radius": b"e",
    }
    (problem,) = found.problems
    assert str(problem).startswith("credential lvs.hostnam: warning: ")
    assert "did you mean lvs.hostname?" in problem.message


def test_two_credentials_of_one_meaning() -> None:
    found = sources.from_credentials({"lvs.authorized_keys": b"a", "ssh.authorized_keys.root": b"b"})
    assert [one.content for one in found.offered] == [b"a"]
    assert "means the same" in found.problems[0].message
