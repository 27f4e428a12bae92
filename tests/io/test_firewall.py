"""The table of ours with an nft of our own; a kernel's is asked in tests/netns/test_firewall.py."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from lvs.errors import Exit, KernelError
from lvs.io import firewall
from lvs.io.firewall import ALTERED, Firewall

# Keeps the last script as the table; each change counts.
NFT = """#!/bin/sh
echo "$@" >>calls
case "$*" in
"-f -")
    cat >script
    case "$(cat script)" in
    *"{"*) cp script table ;;
    *) rm -f table ;;
    esac
    echo x >>generation
    ;;
"list tables")
    echo "table ip other"
    test ! -e table || echo "table inet lvs"
    ;;
"--stateless list table inet lvs") cat table ;;
*) exit 9 ;;
esac
"""
RULES = "table inet lvs;\ndelete table inet lvs;\ntable inet lvs {\n}\n"


class Kernel:
    def __init__(self, path: Path) -> None:
        self.path = path

    def nft(self, script: str) -> None:
        program = self.path / "nft"
        program.write_text(script.replace("#!/bin/sh\n", f"#!/bin/sh\ncd {self.path}\n", 1))
        program.chmod(0o755)

    def generation(self) -> int:
        file = self.path / "generation"
        return len(file.read_text()) if file.exists() else 1

    def somebody(self, table: str | None) -> None:
        """Somebody else changes rules: of our table, if another one is given."""
        with (self.path / "generation").open("a") as file:
            file.write("x\n")
        if table == "":
            (self.path / "table").unlink()
        elif table is not None:
            (self.path / "table").write_text(table)

    def calls(self) -> list[str]:
        file = self.path / "calls"
        calls = file.read_text().splitlines() if file.exists() else []
        file.write_text("")
        return calls


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    kernel = Kernel(tmp_path)
    kernel.nft(NFT)
    monkeypatch.setattr(firewall, "find_program", lambda _: str(tmp_path / "nft"))
    monkeypatch.setattr(firewall, "generation", kernel.generation)
    return kernel


def test_what_was_put_in_place_is_not_asked_for_again(kernel: Kernel) -> None:
    ours = Firewall()
    assert ours.read() == ""
    ours.write(RULES)
    kernel.calls()
    assert ours.read() == RULES
    assert kernel.calls() == []


def test_others_may_change_what_is_theirs(kernel: Kernel) -> None:
    ours = Firewall()
    ours.write(RULES)
    kernel.somebody(None)
    assert ours.read() == RULES
    assert kernel.calls()
    assert ours.read() == RULES
    assert kernel.calls() == []


@pytest.mark.parametrize("table", ["table inet lvs {\n\tchain x { }\n}\n", ""])
def test_drift_is_seen_and_put_right(kernel: Kernel, table: str) -> None:
    ours = Firewall()
    ours.write(RULES)
    kernel.somebody(table)
    assert ours.read() == (ALTERED if table else "")
    ours.write(RULES)
    assert ours.read() == RULES


def test_what_was_there_before_us_is_unknown(kernel: Kernel) -> None:
    Firewall().write(RULES)
    assert Firewall().read() == ALTERED


def test_it_is_removed(kernel: Kernel) -> None:
    ours = Firewall()
    ours.write(RULES)
    ours.write("")
    assert (kernel.path / "script").read_text() == "table inet lvs;\ndelete table inet lvs;\n"
    assert ours.read() == ""


@pytest.mark.parametrize(
    ("said", "code", "sentence"),
    [
        (
            "/dev/stdin:4:1-9: Error: syntax error",
            Exit.FAILED,
            "firewall: nft: /dev/stdin:4:1-9: Error: syntax error",
        ),
        ("Error: Could not process rule: Operation not permitted", Exit.RIGHTS, "Operation not permitted"),
    ],
)
def test_a_refusal_says_why(kernel: Kernel, said: str, code: Exit, sentence: str) -> None:
    kernel.nft(f'#!/bin/sh\ncat >/dev/null\necho "{said}" >&2\necho "  more" >&2\nexit 1\n')
    with pytest.raises(KernelError) as caught:
        Firewall().write(RULES)
    assert sentence in str(caught.value)
    assert caught.value.exit_code is code


def test_without_nft(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firewall, "find_program", lambda _: None)
    with pytest.raises(KernelError, match="package nftables"):
        Firewall().write(RULES)


def test_the_kernels_number() -> None:
    # NFTA_GEN_ID 7, NFTA_GEN_PROC_PID, NFTA_GEN_PROC_NAME (nf_tables_fill_gen_info)
    attributes = struct.pack("=HH", 8, 1) + struct.pack(">I", 7)
    attributes += struct.pack("=HH", 8, 2) + struct.pack(">I", 99) + struct.pack("=HH4s", 8, 3, b"nft\0")
    body = struct.pack("=BBH", 0, 0, 0) + attributes
    answer = struct.pack("=IHHII", 16 + len(body), 10 << 8 | 15, 0, 1, 0) + body
    assert firewall._generation(answer) == 7
    with pytest.raises(OSError, match="Protocol error"):
        firewall._generation(answer[:16].replace(answer[:4], struct.pack("=I", 16), 1))
    refused = struct.pack("=IHHII", 20, 2, 0, 1, 0) + struct.pack("=i", -1)
    with pytest.raises(OSError, match="not permitted"):
        firewall._generation(refused)
