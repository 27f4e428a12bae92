"""A QEMU guest that is this very machine with another kernel.

Its root is the host's /, read-only through virtiofs, with a writable layer in memory: the checkout,
its virtual environment and every tool are at the same paths inside. Nothing is named on the host: the
sockets, the initrd and the console log are open files that end with the processes.
"""

from __future__ import annotations

import os
import platform
import socket
import subprocess
from dataclasses import dataclass

from . import initrd
from .paths import BUILD, CHECKOUT, KERNEL
from .setup import virtiofsd

# console: the log. panic, -no-reboot: a crash ends QEMU at once. lsm, mitigations, nokaslr: seconds
# of boot that protect nothing here. rcu_expedited: namespaces are made and torn down in
# milliseconds, not grace periods.
COMMAND_LINE = (
    "console=ttyS0 quiet panic=-1 oops=panic nokaslr mitigations=off lsm=capability audit=0 "
    "no_timer_check cryptomgr.notests rcupdate.rcu_expedited=1 random.trust_cpu=on rootfstype=tmpfs"
)

PROBE_LIMIT_S = 10.0  # KVM needs half a second; where it is broken it hangs

# cx16 and la57 off: kernel 6.12 corrupts its slab lists under QEMU 7.2 with them.
# tb-size: without a limit the translation cache takes a gigabyte. One processor each: a test runs a
# tenth faster on two, and with one each there is room for a second guest beside it.
TCG: tuple[str, ...] = ("-accel", "tcg,thread=single,tb-size=512", "-cpu", "max,-cx16,-la57", "-smp", "1")
# One instruction is one nanosecond, and an idle guest does not wait for the host's clock.
ICOUNT: tuple[str, ...] = ("-accel", "tcg,tb-size=256", "-cpu", "max,-cx16,-la57", "-smp", "1")
ICOUNT += ("-icount", "shift=0,sleep=off")
KVM = ("-accel", "kvm", "-cpu", "host", "-smp", str(min(4, os.cpu_count() or 1)))

# Dies with the thread that started it, however that ends.
LEASH = ("setpriv", "--pdeathsig", "KILL")


@dataclass
class Guest:
    """A running guest: its processes and the host's end of the agent's port."""

    processes: list[subprocess.Popen[bytes]]
    port: socket.socket
    console_fd: int

    def console(self) -> str:
        """What the kernel has printed so far."""
        size = os.fstat(self.console_fd).st_size
        return os.pread(self.console_fd, size, 0).decode(errors="replace")

    def close(self) -> None:
        """Forget the console; the processes are the caller's to end."""
        os.close(self.console_fd)


def boot(*, icount: bool = False, memory_mb: int = 3072) -> Guest:
    """Start a guest; it is ready when its agent says so.

    Shape: memory is only taken from the host as the guest touches it.
    """
    files, listener = _serve_files()
    port, port_end = socket.socketpair()
    console = os.memfd_create("console")
    first = os.memfd_create("initrd")
    os.write(first, initrd.build())
    accelerator = ICOUNT if icount else acceleration()
    command = [*LEASH, *_base(first, console), *accelerator]
    command += ["-append", COMMAND_LINE, "-m", str(memory_mb)]
    command += ["-object", f"memory-backend-memfd,id=mem,size={memory_mb}M,share=on"]
    command += ["-machine", "pc,memory-backend=mem"]
    command += ["-chardev", f"socket,id=files,fd={files.fileno()}"]
    command += ["-device", "vhost-user-fs-pci,chardev=files,tag=root,queue-size=1024"]
    command += ["-chardev", f"socket,id=agent,fd={port_end.fileno()}"]
    command += ["-device", "virtio-serial-pci,max_ports=2"]
    command += ["-device", "virtserialport,chardev=agent,name=agent"]
    fds = (files.fileno(), port_end.fileno(), console, first)
    emulator = subprocess.Popen(command, pass_fds=fds, stdin=subprocess.DEVNULL, start_new_session=True)
    for end in (files, port_end):
        end.close()
    os.close(first)
    return Guest([emulator, listener], port, console)


def crashed(console: str) -> bool:
    """Whether the kernel itself gave up, by what it printed; ``oops=panic`` ends it at the first fault."""
    return "Oops:" in console or "Kernel panic" in console


def acceleration() -> tuple[str, ...]:
    """KVM if it really runs this kernel here, else emulation. Tried once, then remembered."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return TCG
    verdict = BUILD / "accelerator"
    key = f"{platform.release()} {KERNEL.stat().st_mtime_ns}"
    if not verdict.exists() or verdict.read_text().rpartition(" ")[0] != key:
        verdict.write_text(f"{key} {'kvm' if _kvm_runs() else 'tcg'}")
    return KVM if verdict.read_text().endswith(" kvm") else TCG


def _kvm_runs() -> bool:
    """Boot the kernel under KVM until the first user space speaks, with a time limit."""
    console, first = os.memfd_create("console"), os.memfd_create("initrd")
    os.write(first, initrd.build())
    command = [*LEASH, *_base(first, console), *KVM, "-m", "512"]
    command += ["-append", f"{COMMAND_LINE} lab.probe"]
    with subprocess.Popen(
        command, pass_fds=(console, first), stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as emulator:
        try:
            emulator.wait(PROBE_LIMIT_S)
        except subprocess.TimeoutExpired:
            emulator.kill()
    said = os.pread(console, 1 << 20, 0)
    os.close(console)
    os.close(first)
    return initrd.PROBE_WORD.encode() in said


def _base(first: int, console: int) -> list[str]:
    """The options every boot shares: no devices but those asked for, the log in a memory file."""
    command = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none"]
    command += ["-no-reboot", "-kernel", str(KERNEL), "-initrd", f"/proc/self/fd/{first}"]
    command += ["-chardev", f"file,id=console,path=/proc/self/fd/{console}"]
    return [*command, "-serial", "chardev:console"]


def _serve_files() -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """Start the file server for one guest; it ends when the guest hangs up.

    The connection is made here and handed to QEMU, so no socket needs a name.
    """
    program = virtiofsd()
    assert program is not None
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("")  # an abstract name of the kernel's choice
    listener.listen(1)
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(listener.getsockname())
    command = [*LEASH, program, f"--fd={listener.fileno()}", *_sharing(program)]
    server = subprocess.Popen(
        command,
        pass_fds=(listener.fileno(),),
        stdin=subprocess.DEVNULL,
        cwd=CHECKOUT,
        start_new_session=True,
    )
    listener.close()
    return connection, server


def _sharing(program: str) -> list[str]:
    """The options that share / from either of the two file servers of that name.

    Shape: what the guest has read it keeps; files of the host must not change under it.
    """
    if program.startswith("/usr/lib/qemu/"):
        return ["-o", "source=/,sandbox=chroot,cache=always,log_level=err"]
    options = ["--shared-dir=/", "--sandbox=chroot", "--cache=always", "--log-level=error"]
    # An overlay refuses folders that are announced as mounts (EREMOTE); newer releases do by default.
    quiet = "--no-announce-submounts"
    known = subprocess.run([program, "--help"], capture_output=True, text=True, check=False).stdout
    return [*options, quiet] if quiet in known else options
