"""What the names of the loader's files say."""

from __future__ import annotations

from lvs.updating.slots import Slot, other, own, slots


def test_names_and_their_order() -> None:
    files = ["lvs_0.9.0.efi", "lvs_0.10.0+3-0.efi", "debian.conf", "lvs_.efi", "other_1.efi", "lvs_1.efi.tmp"]
    assert slots("lvs", files) == (Slot("0.10.0", "lvs_0.10.0+3-0.efi", 3), Slot("0.9.0", "lvs_0.9.0.efi"))


def test_one_without_tries_comes_last() -> None:
    found = slots("lvs", ["lvs_0.2.0+0-3.efi", "lvs_0.1.0.efi"])
    assert [one.version for one in found] == ["0.1.0", "0.2.0"]
    assert found[1] == Slot("0.2.0", "lvs_0.2.0+0-3.efi", 0, 3)


def test_a_count_of_one_number() -> None:
    assert slots("lvs", ["lvs_1~rc1+3.efi"]) == (Slot("1~rc1", "lvs_1~rc1+3.efi", 3, 0),)


def test_which_is_which() -> None:
    found = slots("lvs", ["lvs_2+2-1.efi", "lvs_1.efi"])
    assert own(found, "2") == Slot("2", "lvs_2+2-1.efi", 2, 1)
    assert other(found, "2") == Slot("1", "lvs_1.efi")
    assert own(found, "3") is None
    assert other(found[:1], "2") is None


def test_what_is_said_of_them() -> None:
    assert Slot("1", "").text() == "1, was started well"
    assert Slot("1", "", 0, 3).text() == "1, failed 3 times"
    assert Slot("1", "", 3, 0).text() == "1, not started yet"
    assert Slot("1", "", 2, 1).text() == "1, on trial: 2 more tries"
    assert Slot("1", "", 1, 2).text() == "1, on trial: 1 more try"
