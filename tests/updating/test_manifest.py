"""Manifests: which are read, and for whom they are."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lvs.updating.manifest import Machine, ManifestError, manifest, needed, unfit

UUID = "11111111-2222-4333-8444-555555555555"
HERE = Machine("lvs", "0.2.0", "x86-64", "vm")


def part(name: str, **changed: object) -> dict[str, object]:
    return {
        "name": name,
        "size": 100,
        "sha256": "a" * 64,
        "unpacked_size": 300,
        "unpacked_sha256": "b" * 64,
        **changed,
    }


def described(version: str = "0.3.0", **changed: object) -> dict[str, Any]:
    return {
        "format": 1,
        "image": "lvs",
        "version": version,
        "architecture": "x86-64",
        "parts": [
            part(f"lvs_{version}.root-verity.{UUID}.raw.xz"),
            part(f"lvs_{version}.root.{UUID}.raw.xz"),
            part(f"lvs_{version}.efi.xz"),
        ],
        **changed,
    }


def read(**changed: object) -> Any:
    return manifest(json.dumps(described(**changed)).encode())  # type: ignore[arg-type]


def test_one_is_read_and_says_what_it_takes() -> None:
    found = read(later="a field of a later lvsd")
    assert found.version == "0.3.0"
    assert needed(found) == 300
    assert unfit(found, HERE) == ""


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"format": 2}, "of format 2"),
        ({"version": "../x"}, "no version"),
        ({"version": "1_2"}, "no version"),
        ({"version": ""}, "no version"),
        ({"version": "1" * 25}, "no version"),
        ({"parts": []}, "0 parts"),
        ({"image": 7}, "not understood"),
        ({"parts": [part("a"), part("b"), part("c")]}, "not the name"),
        ({"parts": [*described()["parts"][:2], part("lvs_0.4.0.efi.xz")]}, "not the name"),
        ({"parts": [*described()["parts"][:2], part("lvs_0.3.0.efi.xz", size=0)]}, "has a size"),
        ({"parts": [*described()["parts"][:2], part("lvs_0.3.0.efi.xz", size=1 << 40)]}, "has a size"),
        ({"parts": [*described()["parts"][:2], part("lvs_0.3.0.efi.xz", sha256="A" * 64)]}, "has a digest"),
        ({"parts": [*described()["parts"][:2], part("lvs_0.3.0.efi.xz", mode=4755)]}, "not understood"),
    ],
)
def test_what_is_no_manifest(changed: dict[str, object], said: str) -> None:
    with pytest.raises(ManifestError, match=said):
        read(**changed)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"null"])
def test_what_is_not_even_json(content: bytes) -> None:
    with pytest.raises(ManifestError):
        manifest(content)


@pytest.mark.parametrize(
    ("changed", "machine", "said"),
    [
        ({}, Machine("", "", "x86-64"), "does not run the image"),
        ({"image": "lvs"}, Machine("other", "1", "x86-64"), "of the image 'lvs'"),
        ({"architecture": "arm64"}, HERE, "for arm64"),
        ({"variant": "metal"}, HERE, "the variant 'metal'"),
        ({}, Machine("lvs", "0.2.0", "x86-64", firmware="bios"), "not started by UEFI"),
        ({}, Machine("lvs", "0.3.0", "x86-64"), "runs already"),
        ({}, Machine("lvs", "0.10.0", "x86-64"), "older than 0.10.0"),
    ],
)
def test_what_is_not_for_this_machine(changed: dict[str, object], machine: Machine, said: str) -> None:
    assert said in unfit(read(**changed), machine)


def test_an_older_one_is_taken_when_told() -> None:
    assert unfit(read(), Machine("lvs", "0.10.0", "x86-64"), downgrade=True) == ""
    assert unfit(read(variant="vm"), HERE) == ""
