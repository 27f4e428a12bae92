"""Why the kernel refused an operation, and what to do about it.

Source: the return codes of net/netfilter/ipvs/ip_vs_ctl.c.
"""

from __future__ import annotations

from errno import (
    EADDRINUSE,
    EAFNOSUPPORT,
    EEXIST,
    EINVAL,
    ENODEV,
    ENOENT,
    ENOMEM,
    EOPNOTSUPP,
    EPERM,
    ESRCH,
    errorcode,
)
from os import strerror

from lvs.kernel.state import (
    AddDestination,
    AddService,
    RemoveDestination,
    SetDestination,
    SetService,
    StartDaemon,
    StopDaemon,
    SyncDaemon,
    TableOp,
)


def reason(op: TableOp, errno: int) -> str:
    """A sentence for an errno that an operation came back with."""
    name = errorcode.get(errno, str(errno))
    return f"{_sentence(op, errno)} ({name})"


def _sentence(op: TableOp, errno: int) -> str:
    match errno, op:
        case _, _ if errno == EPERM:
            return "not permitted: run lvsd as root or give it CAP_NET_ADMIN"
        case _, StartDaemon(daemon):
            return _not_started(daemon, errno)
        case _, StopDaemon() if errno == ESRCH:
            return "somebody else stopped it just now; it is put right at the next look"
        case _, AddService(_, options) | SetService(_, options) if errno == ENOENT:
            engine = f" or persistence engine ip_vs_pe_{options.engine}" if options.engine else ""
            return f"this kernel has no scheduler ip_vs_{options.scheduler}{engine}: install the module"
        case _, SetDestination() | RemoveDestination() if errno == ENOENT:
            return "somebody else removed this real server just now; it is put right at the next look"
        case _, AddService() | AddDestination() if errno == EEXIST:
            return "somebody else added it just now; it is put right at the next look"
        case _, _ if errno in (ESRCH, ENOENT):
            return "somebody else removed this virtual server just now; it is put right at the next look"
        case _, AddDestination() | SetDestination() if errno == EINVAL:
            return (
                "the kernel does not take this real server: its address is not unicast here (is the loopback "
                "device up, is there a route?), or it is of another family while the sync daemon runs"
            )
        case _, AddService() | SetService() if errno == EINVAL:
            return "the kernel does not take this scheduler, flags and persistence at once: change one"
        case _, _ if errno == ENOMEM:
            return "the kernel has no memory for it: free some (free -m), it is tried again at every look"
        case _, _ if errno in (EAFNOSUPPORT, EOPNOTSUPP):
            return "this kernel's IPVS was built without this address family or option: take another kernel"
    return "the kernel refused, and may say why in its own log (journalctl -k)"


def _not_started(daemon: SyncDaemon, errno: int) -> str:
    """Why a sync daemon does not run (start_sync_thread, ip_vs_sync.c)."""
    ipv6 = len(daemon.group) == 16
    match errno:
        case _ if errno == ENODEV:
            return f"there is no device {daemon.device} to share connections by"
        case _ if errno == EINVAL:
            off = f", or IPv6 is off on {daemon.device}" if ipv6 else ""
            return (
                "the kernel shares no connections while a service has real servers of another family "
                f"(somebody else's count, too){off}"
            )
        case _ if errno == EEXIST:
            return "somebody else started one just now; it is put right at the next look"
        case _ if errno == EADDRINUSE:
            return f"another program uses UDP port {daemon.port}"
        case _ if errno in (EAFNOSUPPORT, EOPNOTSUPP):
            return f"this kernel shares no connections over {'IPv6' if ipv6 else 'IPv4'}"
    return f"connections cannot be shared by {daemon.device}: {strerror(errno)}"
