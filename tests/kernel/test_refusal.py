"""Each errno of ip_vs_ctl.c, as a sentence that names what to do, and its name."""

from __future__ import annotations

import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

import strategies
from lvs.kernel.refusal import reason
from lvs.kernel.state import (
    MASTER,
    ROUTE,
    SYNC_GROUP,
    AddDestination,
    AddService,
    Destination,
    DestinationKey,
    RemoveDestination,
    RemoveService,
    ServiceOptions,
    SetDestination,
    SetService,
    SetTimeouts,
    StartDaemon,
    StopDaemon,
    SyncDaemon,
    TableOp,
    Timeouts,
)

KEY = strategies.KEYS[0]
REAL = DestinationKey(strategies.REALS[4][0], 80)
ADD = AddService(KEY, ServiceOptions("mh", 0, 0, strategies.ALL_IPV4, ""))
SET = SetService(KEY, ServiceOptions("wlc", 0, 60, strategies.ALL_IPV4, "sip"))
ADD_REAL = AddDestination(KEY, REAL, Destination(ROUTE, 1))
SET_REAL = SetDestination(KEY, REAL, Destination(ROUTE, 1))
START = StartDaemon(SyncDaemon(MASTER, "eth9", 1, 1472, SYNC_GROUP, 8848, 1))
START6 = StartDaemon(SyncDaemon(MASTER, "eth9", 1, 1452, strategies.GROUPS[2], 8848, 1))


@pytest.mark.parametrize(
    ("op", "code", "said"),
    [
        (ADD, errno.EPERM, "not permitted: run lvsd as root or give it CAP_NET_ADMIN (EPERM)"),
        (ADD, errno.ENOENT, "this kernel has no scheduler ip_vs_mh: install the module (ENOENT)"),
        (SET, errno.ENOENT, "no scheduler ip_vs_wlc or persistence engine ip_vs_pe_sip: install the module"),
        (ADD, errno.EEXIST, "somebody else added it just now"),
        (ADD, errno.EINVAL, "flags and persistence at once: change one (EINVAL)"),
        (
            ADD,
            errno.EAFNOSUPPORT,
            "built without this address family or option: take another kernel (EAFNOSUPPORT)",
        ),
        (ADD, errno.ENOMEM, "it is tried again at every look (ENOMEM)"),
        (SET, errno.ESRCH, "somebody else removed this virtual server just now"),
        (RemoveService(KEY), errno.ESRCH, "somebody else removed this virtual server just now"),
        (ADD_REAL, errno.ESRCH, "somebody else removed this virtual server just now"),
        (ADD_REAL, errno.EEXIST, "somebody else added it just now"),
        (ADD_REAL, errno.EINVAL, "its address is not unicast here (is the loopback device up"),
        (SET_REAL, errno.EINVAL, "of another family while the sync daemon runs (EINVAL)"),
        (SET_REAL, errno.ENOENT, "somebody else removed this real server just now"),
        (RemoveDestination(KEY, REAL), errno.ENOENT, "somebody else removed this real server just now"),
        (SetTimeouts(Timeouts(1, 1, 1)), errno.EINVAL, "in its own log (journalctl -k) (EINVAL)"),
        (START, errno.ENODEV, "there is no device eth9 to share connections by (ENODEV)"),
        (START6, errno.EINVAL, "(somebody else's count, too), or IPv6 is off on eth9 (EINVAL)"),
        (START, errno.EINVAL, "shares no connections while a service has real servers of another family"),
        (START, errno.EEXIST, "somebody else started one just now"),
        (START, errno.EADDRINUSE, "another program uses UDP port 8848 (EADDRINUSE)"),
        (START6, errno.EAFNOSUPPORT, "this kernel shares no connections over IPv6"),
        (START, errno.ENETUNREACH, "connections cannot be shared by eth9: Network is unreachable"),
        (START, errno.EPERM, "not permitted: run lvsd as root"),
        (StopDaemon(MASTER), errno.ESRCH, "somebody else stopped it just now"),
        (ADD, 5000, "in its own log (journalctl -k) (5000)"),
    ],
)
def test_reasons(op: TableOp, code: int, said: str) -> None:
    assert said in reason(op, code)


@given(strategies.table_ops(), st.sampled_from(sorted(errno.errorcode)))
def test_every_errno_has_a_sentence_and_its_name(op: TableOp, code: int) -> None:
    said = reason(op, code)
    assert said.endswith(f" ({errno.errorcode[code]})")
    assert "\n" not in said
