"""The nftables table of ours: put in place by nft(8), and seen whether it is still what was put there.

nft is asked only when somebody changed anything: the kernel counts the generations of its rules
(NFT_MSG_GETGEN, net/netfilter/nf_tables_api.c), which is one small question. What nft lists right after our
table was put in place is what it should list later.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import subprocess

from lvs.errors import Exit, KernelError
from lvs.io.child import child_environment, find_program
from lvs.io.rtwire import error, messages, request
from lvs.kernel.firewall import TABLE

ALTERED = "altered"  # in place of a script that nobody knows
LONGEST_S = 30.0
ANSWER_S = 5.0

# linux/netlink.h, linux/netfilter/nfnetlink.h, linux/netfilter/nf_tables.h
NETLINK_NETFILTER = 12
NFNL_SUBSYS_NFTABLES = 10
NFT_MSG_NEWGEN, NFT_MSG_GETGEN = 15, 16
NFTA_GEN_ID = 1
_QUESTION = request(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETGEN, struct.pack("=BBH", socket.AF_UNSPEC, 0, 0))


class Firewall:
    """Our table in this network namespace."""

    def __init__(self) -> None:
        self._rules = ""  # the script that is in place
        self._generation: int | None = None  # when it was seen to be so
        self._listed = ""

    def read(self) -> str:
        """The script that is in place: "" if there is no table of ours, ALTERED if it is another.

        Errors: KernelError.
        """
        now = generation()
        if self._generation is not None and now == self._generation:
            return self._rules
        listed = _listed()
        if not listed:
            self._rules = self._listed = ""
        elif listed != self._listed or not self._rules:
            self._generation = None
            return ALTERED
        self._generation = now
        return self._rules

    def write(self, rules: str) -> None:
        """Put a script's table in place, or remove the table. Errors: KernelError with nft's reason."""
        self._generation = None
        _nft(("-f", "-"), rules or f"table {TABLE};\ndelete table {TABLE};\n")
        now = generation()
        self._listed = _listed() if rules else ""
        self._rules, self._generation = rules, now


def generation() -> int:
    """How often the rules of this network namespace were changed. Errors: KernelError."""
    try:
        with socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER
        ) as kernel:
            kernel.settimeout(ANSWER_S)
            kernel.send(_QUESTION)
            return _generation(kernel.recv(8192))
    except OSError as fault:
        code = fault.errno or errno.EIO
        reason = "this kernel has no nftables" if code in _ABSENT else os.strerror(code).lower()
        raise KernelError(f"firewall: {reason}", code, _exit_code(code)) from fault


_ABSENT = (errno.EPROTONOSUPPORT, errno.EOPNOTSUPP, errno.EINVAL)


def _generation(answer: bytes) -> int:
    """The number in the kernel's answer. Errors: OSError."""
    for kind, _, body in messages(answer):
        if code := error(kind, body):
            raise OSError(code, os.strerror(code))
        at = 4  # struct nfgenmsg
        while kind & 0xFF == NFT_MSG_NEWGEN and at + 4 <= len(body):
            length, attribute = struct.unpack_from("=HH", body, at)
            if attribute == NFTA_GEN_ID and length == 8:
                return int(struct.unpack_from(">I", body, at + 4)[0])
            at += max(4, (length + 3) & ~3)
    raise OSError(errno.EPROTO, os.strerror(errno.EPROTO))


def _listed() -> str:
    """Our table without its counters; "" if there is none."""
    tables = _nft(("list", "tables"), "").splitlines()
    return _nft(("--stateless", "list", "table", *TABLE.split()), "") if f"table {TABLE}" in tables else ""


def _nft(words: tuple[str, ...], script: str) -> str:
    """What nft prints. Errors: KernelError with its first complaint."""
    nft = find_program("nft")
    if nft is None:
        raise KernelError("firewall: nft is missing (package nftables)", errno.ENOENT)
    environment = child_environment()
    environment["LC_ALL"] = "C"
    try:
        done = subprocess.run(
            (nft, *words),
            input=script,
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=LONGEST_S,
            check=False,
        )
    except subprocess.TimeoutExpired as fault:
        raise KernelError(f"firewall: nft does not end in {LONGEST_S:.0f} s", errno.ETIMEDOUT) from fault
    except OSError as fault:
        raise KernelError(
            f"firewall: nft: {os.strerror(fault.errno or 0).lower()}", fault.errno or 0
        ) from fault
    if done.returncode == 0:
        return done.stdout
    said = next((line for line in done.stderr.splitlines() if line.strip()), f"exit status {done.returncode}")
    code = errno.EPERM if "Operation not permitted" in said else errno.EINVAL
    raise KernelError(f"firewall: nft: {said.strip()}", code, _exit_code(code))


def _exit_code(code: int) -> Exit:
    return Exit.RIGHTS if code in (errno.EPERM, errno.EACCES) else Exit.FAILED
