"""The global options: the pair, its links and times, the NAT router."""

from __future__ import annotations

from config.test_build import V4, good, told, virtual, warned

# --- the pair


def test_one_link() -> None:
    pair = good('primary = "10.0.0.1"\nbackup = "10.0.0.2"\n').pair
    assert (pair.primary_private, pair.backup_private) == (pair.primary, pair.backup)
    assert pair.backup_active


def test_two_links() -> None:
    pair = good('primary = "10.0.0.1"\nprimary_private = "10.1.0.1"\nbackup = "10.0.0.2"\n').pair
    assert (str(pair.primary_private), str(pair.backup_private)) == ("10.1.0.1", "10.0.0.2")


def test_backup_private_without_primary_private() -> None:
    text = "primary = 10.0.0.1\nbackup = 10.0.0.2\nbackup_private = 10.1.0.2\nbackup_active = 1\n"
    message = "backup_private: ignored without primary_private: there is one heartbeat link, the public one"
    pair = warned(text, message, "lvs.cf").pair
    assert (pair.primary_private, pair.backup_private) == (pair.primary, pair.backup)


def test_backup_active() -> None:
    assert not good("primary = 10.0.0.1\nbackup = 10.0.0.2\n", "lvs.cf").pair.backup_active
    text = "primary = 10.0.0.1\nbackup = 0.0.0.0\nbackup_active = 1\n"
    config = warned(text, "backup_active: there is no backup, so this director runs alone", "lvs.cf")
    assert not config.pair.backup_active
    assert config.pair.backup is None
    assert told('backup = "10.0.0.2"\n') == [
        "primary: missing; of two directors the addresses of both are needed"
    ]


def test_directors_are_two() -> None:
    assert told('primary = "10.0.0.1"\nbackup = "10.0.0.1"\n') == [
        "backup: 10.0.0.1 is the primary's address; each director has its own"
    ]
    assert told('primary = "10.0.0.1"\nbackup = "2001:db8::1"\n') == [
        "backup: IPv6, but the primary's address is IPv4"
    ]


def test_keepalive_is_less_than_deadtime() -> None:
    assert told("keepalive = 30\ndeadtime = 18\n", "lvs.cf") == [
        "keepalive: less than deadtime is asked for (18), got 30"
    ]
    assert told("keepalive = 5\n", "lvs.cf") == [
        "keepalive: less than deadtime is asked for (5, its default), got 5"
    ]
    assert told("deadtime = 2\n", "lvs.cf") == [
        "deadtime: more than keepalive is asked for (2, its default), got 2"
    ]
    assert told("deadtime = 0.1\n") == [
        "deadtime: more than keepalive is asked for (0.2, its default), got 0.1"
    ]


# --- nat_router


def test_nat_router() -> None:
    text = 'nat_router = "10.1.0.254"\nnat_router_device = "eth1:1"\n'
    router = good(text + virtual(V4)).nat_router
    assert router is not None
    assert (router.device, router.label, router.prefix) == ("eth1", "eth1:1", None)
    message = "nat_router: no active virtual server has nat forwarding, so it is not held"
    warned('network = "direct"\n' + text + virtual(V4), message)
    good('network = "direct"\n' + text + virtual(V4, forwarding='"nat"'))
    assert told('nat_router = "10.1.0.254"\n' + virtual(V4)) == [
        "nat_router_device: missing; nat_router needs a device to be held on"
    ]
    assert told('nat_router_device = "eth1"\n' + virtual(V4)) == [
        "nat_router: missing beside nat_router_device"
    ]
    assert good("nat_router = 0.0.0.0 eth1:1\n", "lvs.cf").nat_router is None
