"""Everything the lab needs that the checkout does not hold: host programs, a kernel, peers.

Run as a program or called by ``Lab.start``; does nothing, in milliseconds, when all is there. On
the host it installs only programs (an emulator, a file server for it, a tree builder), nothing that
starts a service. All else is one Debian tree below ``build/lab``: the kernel under test, and the
userland in which real servers, clients and rival directors run.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .paths import BUILD, KERNEL, MODULES, TREE

SUITE = "trixie"

# A program that proves a package is there -> the package. Programs first: asking dpkg is slow.
HOST_PROGRAMS = {
    "ip": "iproute2",
    "modprobe": "kmod",
    "mount": "mount",
    "setpriv": "util-linux",
    "nft": "nftables",
    "mmdebstrap": "mmdebstrap",
    "qemu-system-x86_64": "qemu-system-x86",
    # for appliances
    "qemu-img": "qemu-utils",
    "mcopy": "mtools",
    "genisoimage": "genisoimage",
    "ssh": "openssh-client",
}
ARCHIVE_KEY = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
FIRMWARE = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")  # UEFI
VIRTIOFSD_PLACES = ("/usr/libexec/virtiofsd", "/usr/lib/qemu/virtiofsd")

TREE_PACKAGES = (
    # the kernel under test; zstd and xz unpack it and its modules
    "linux-image-cloud-amd64 kmod zstd xz-utils busybox-static",
    # rivals and oracles
    "keepalived ipvsadm nftables iptables iproute2 conntrack",
    # real servers
    "cups-daemon cups-client cups-bsd cups-ipp-utils slapd bind9 socat",
    "nginx postfix postgresql-17 redis-server openssl",
    # clients and instruments
    "ldap-utils bind9-dnsutils rlpr curl iperf3 wrk apache2-utils tcpdump strace procps",
    "iputils-ping iputils-arping ethtool python3-minimal libpython3-stdlib",
)

# cups-lpd lives in the package cups, whose filters and fonts (200 MB) nobody needs to queue a job.
# Modules are unpacked once here: unpacking xz under emulation costs seconds at each boot.
# All of it runs in the tree: a bare host has no xz.
CUSTOMIZE = """
exec chroot "$1" sh -e <<'END'
cd /tmp
apt-get -qq download cups
dpkg-deb --fsys-tarfile cups_*.deb | tar -x -C / ./usr/lib/cups
rm cups_*.deb
cp /usr/lib/cups/backend-available/* /usr/lib/cups/backend/
find /usr/lib/modules -name '*.ko.xz' -print0 | xargs -0 -P 2 -n 100 xz -d
depmod "$(ls /usr/lib/modules)"

# Emulated, initdb would take a minute.
rm -rf /var/lib/postgresql/17
setpriv --reuid=postgres --regid=postgres --clear-groups /usr/lib/postgresql/17/bin/initdb \\
    --no-locale --no-sync --auth=trust --pgdata=/var/lib/postgresql/lab >/dev/null

# An authority, and what it signed: a certificate that is good, and one that expired long ago.
mkdir /etc/lab-tls
cd /etc/lab-tls
curve="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc"
openssl req -x509 $curve -subj "/CN=Lab" -days 3650 -keyout ca.key -out ca.pem 2>/dev/null
for name in good expired; do
    dates="-days 3650"
    test $name = good || dates="-not_before 20200101000000Z -not_after 20200201000000Z"
    openssl req -x509 $curve -subj "/CN=lab.example" -addext "subjectAltName=DNS:lab.example" \\
        -addext "basicConstraints=critical,CA:FALSE" -CA ca.pem -CAkey ca.key $dates \\
        -keyout $name.key -out $name.pem 2>/dev/null
done
chmod a+r ./*
END
"""


class SetupError(Exception):
    """The lab cannot be set up here; the text says what to do."""


def ensure() -> None:
    """Bring everything up to date. Safe to call from several processes at once."""
    if os.geteuid() != 0:
        raise SetupError("the lab needs root: for namespaces, and to serve a guest the host's files")
    BUILD.mkdir(parents=True, exist_ok=True)
    if missing_packages() or not tree_is_current():
        with _only_one():
            _install(missing_packages())
            if not tree_is_current():
                _build_tree()


def missing_packages() -> list[str]:
    """Host packages that are needed and not there."""
    missing = [name for program, name in HOST_PROGRAMS.items() if not shutil.which(program)]
    if not ARCHIVE_KEY.exists():
        missing.append("debian-archive-keyring")
    if not FIRMWARE.exists():
        missing.append("ovmf")
    if virtiofsd() is None:
        missing.append("virtiofsd")
    return missing


def virtiofsd() -> str | None:
    """The file server for guests; its place differs between releases."""
    return next((place for place in VIRTIOFSD_PLACES if os.access(place, os.X_OK)), None)


def tree_is_current() -> bool:
    """Whether the tree was built, to its end, from this very recipe."""
    stamp = BUILD / "tree.stamp"
    return stamp.exists() and stamp.read_text() == _recipe()


def _recipe() -> str:
    return hashlib.sha256(repr((SUITE, TREE_PACKAGES, CUSTOMIZE)).encode()).hexdigest()


@contextmanager
def _only_one() -> Iterator[None]:
    with (BUILD / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _install(packages: list[str]) -> None:
    """Install host packages; virtiofsd is part of the emulator's package on older releases."""
    if not packages:
        return
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "-qq", "-y", "--no-install-recommends", "install"]
    subprocess.run(["apt-get", "-qq", "update"], check=True, env=environment)
    known = subprocess.run(["apt-cache", "show", "virtiofsd"], capture_output=True, check=False)
    if known.returncode != 0:
        packages = [name for name in packages if name != "virtiofsd"]
    subprocess.run([*install, *packages], check=True, env=environment)
    if left := missing_packages():
        raise SetupError(f"installed, but still not there: {', '.join(left)}")


def _build_tree() -> None:
    """Build beside the old tree and swap, so that a broken build leaves the old one."""
    began = time.monotonic()
    print(f"lab: building the {SUITE} tree, once (about a minute)", flush=True)
    new, old = BUILD / "tree.new", BUILD / "tree.old"
    hook = BUILD / "customize.sh"
    hook.write_text("#!/bin/sh" + CUSTOMIZE)
    hook.chmod(0o755)
    for stale in (new, old):
        shutil.rmtree(stale, ignore_errors=True)
    command = ["mmdebstrap", "--quiet", "--variant=apt", "--format=directory"]
    command += ["--aptopt=APT::Install-Recommends false"]
    command += [f"--dpkgopt=path-exclude=/usr/share/{it}/*" for it in ("doc", "man", "locale")]
    command += [f"--include={','.join(' '.join(TREE_PACKAGES).split())}"]
    command += [f"--customize-hook={hook}", SUITE, str(new)]
    # INITRD=No: the kernel's hook would pack an initrd nobody boots.
    subprocess.run(command, check=True, env=os.environ | {"INITRD": "No"})
    strip_signatures(new)
    (BUILD / "tree.stamp").unlink(missing_ok=True)
    if TREE.exists():
        TREE.rename(old)
    new.rename(TREE)
    _extract_kernel()
    (BUILD / "tree.stamp").write_text(_recipe())
    shutil.rmtree(old, ignore_errors=True)
    print(f"lab: tree ready after {time.monotonic() - began:.0f} s", flush=True)


def strip_signatures(tree: Path) -> None:
    """Drop the modules' signatures: checking one takes half of a module's loading under emulation.

    Shape: a module ends with the signature, 12 bytes about it (the last four its length), a mark
    (the kernel's include/linux/module_signature.h). Files are replaced, not changed: a running
    guest keeps the one it has.
    """
    mark = b"~Module signature appended~\n"
    for path in (tree / "usr" / "lib" / "modules").rglob("*.ko"):
        module = path.read_bytes()
        if module.endswith(mark):
            end = len(module) - len(mark)
            length = int.from_bytes(module[end - 4 : end], "big")
            stripped = path.with_suffix(".stripped")
            stripped.write_bytes(module[: end - 12 - length])
            stripped.rename(path)


def _extract_kernel() -> None:
    """Unpack the kernel: booted as it is (PVH), it skips firmware and unpacking, 2 s of 4."""
    image = next((TREE / "boot").glob("vmlinuz-*")).read_bytes()
    start = image.index(b"\x28\xb5\x2f\xfd")  # the first zstd frame; what follows it is not
    unpack = ["chroot", str(TREE), "zstd", "--decompress", "--stdout", "--quiet"]
    kernel = subprocess.run(unpack, input=image[start:], capture_output=True, check=False).stdout
    if not kernel.startswith(b"\x7fELF"):
        raise SetupError("no kernel found in the image")
    KERNEL.write_bytes(kernel)


def kernel_release() -> str:
    """The release of the kernel under test, as its module directory is named."""
    return next(MODULES.iterdir()).name


if __name__ == "__main__":
    ensure()
