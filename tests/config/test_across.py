"""Virtual servers judged together; the rules as operators meet them are in test_build.py."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvs.config.across import Facts, Together, across, twice
from lvs.config.load import load
from lvs.config.located import Severity
from lvs.kernel.desired import desired

VIPS = st.none() | st.tuples(
    st.integers(1, 3),
    st.sampled_from(["eth0", "eth1"]),
    st.none() | st.just("eth0:1"),
    st.none() | st.just(24),
)
FACTS = st.builds(
    Facts,
    name=st.sampled_from("abc"),
    masquerading=st.booleans(),
    identity=st.integers(0, 3),
    vip=VIPS,
    mark=st.integers(0, 2),
    agreement=st.just(("IPv4", "wlc", frozenset(), None, "nat", None))
    | st.just(("IPv4", "rr", frozenset(), None, "nat", None)),
    mixed=st.booleans(),
)


@given(st.lists(FACTS, max_size=5), st.booleans())
def test_against_a_dumb_twin(facts: list[Facts], syncdaemon: bool) -> None:
    notes = across(tuple(facts), syncdaemon=syncdaemon).notes
    expected = set()
    for index, fact in enumerate(facts):
        before = facts[:index]
        if any(other.name == fact.name for other in before):
            expected.add((index, "", Severity.WARNING))
        if fact.identity and any(other.identity == fact.identity for other in before):
            expected.add((index, "address", Severity.ERROR))
        same_vip = [other.vip for other in before if other.vip and fact.vip and other.vip[0] == fact.vip[0]]
        if same_vip and same_vip[0] != fact.vip:
            expected.add((index, "address", Severity.WARNING))
        same_mark = [other for other in before if other.mark == fact.mark != 0]
        if same_mark and same_mark[0].agreement != fact.agreement:
            expected.add((index, "scheduler", Severity.ERROR))
        if syncdaemon and fact.mixed:
            expected.add((index, "", Severity.ERROR))
    assert {(note.place.block, note.place.key, note.severity) for note in notes} == expected


@given(st.lists(st.tuples(st.lists(FACTS, max_size=3), st.booleans()), max_size=3))
def test_what_was_said_before_is_said_only_of_the_same(rounds: list[tuple[list[Facts], bool]]) -> None:
    before = Together()
    for facts, syncdaemon in rounds:
        before = across(tuple(facts), syncdaemon=syncdaemon, before=before)
        assert before == across(tuple(facts), syncdaemon=syncdaemon)


def told(text: str, name: str = "lvs.toml") -> list[str]:
    return [str(problem) for problem in load(text, name).problems]


def virtual(name: str, address: str = "10.0.0.5", /, **more: object) -> str:
    """A virtual server in five lines and one for each of `more`; further lines may follow."""
    rest = "".join(f"{key} = {value}\n" for key, value in more.items())
    named = f'[[virtual]]\nname = "{name}"\naddress = "{address}"\ndevice = "eth0:1"\n'
    return named + ("" if "port" in more else "port = 80\n") + rest


def server(address: str = "10.0.0.3", /, **more: object) -> str:
    rest = "".join(f"{key} = {value}\n" for key, value in more.items())
    return f'[[virtual.server]]\nname = "s{address[-1]}"\naddress = "{address}"\n{rest}'


# Virtual servers that share a firewall mark

HTTP = virtual("http", fwmark=80, forwarding='"nat"')  # 7 lines
HTTPS = virtual("https", fwmark=80, forwarding='"nat"', port=443)
ONE_SERVICE = "with the same fwmark 80 both are one service to the kernel"


@pytest.mark.parametrize(
    ("option", "first", "second"),
    [("weight", 1, 2), ("weight", 0, 3), ("upper_threshold", 9, 0), ("upper_threshold", 0, 9)],
)
def test_one_real_server_given_two_ways(option: str, first: int, second: int) -> None:
    text = HTTP + server(**{option: first}) + HTTPS + server("10.0.0.4") + server(**{option: second})
    message = (
        f"lvs.toml:25: warning: virtual[1].server[1].{option}: "
        f"virtual[0].server[0] (s3) gives 10.0.0.3 {option} {first}, which counts: {ONE_SERVICE}"
    )
    assert told(text) == [message]
    loaded = load(text, "lvs.toml")
    assert loaded.config is not None
    (service,) = desired(loaded.config).state.services.values()
    (found,) = (one for key, one in service.destinations.items() if key.address == bytes((10, 0, 0, 3)))
    assert getattr(found, option) == first


def test_a_real_server_that_gets_nothing_from_one_gets_nothing_from_all() -> None:
    third = virtual("ftp", fwmark=80, forwarding='"nat"', port=21)
    text = HTTP + server(weight=3) + HTTPS + server(weight=0) + third + server(weight=3)
    said = (
        "lvs.toml:{}: warning: virtual[{}].server[0].weight: "
        "virtual[{}].server[0] (s3) gives 10.0.0.3 weight {}"
    )
    assert told(text) == [
        said.format(22, 1, 0, 3) + f", but 0 counts: {ONE_SERVICE}",
        said.format(33, 2, 1, 0) + f", which counts: {ONE_SERVICE}",
    ]


def test_a_lower_threshold_given_two_ways() -> None:
    text = HTTP + server(upper_threshold=9) + HTTPS + server(upper_threshold=9, lower_threshold=3)
    message = (
        "lvs.toml:23: warning: virtual[1].server[0].lower_threshold: "
        f"virtual[0].server[0] (s3) gives 10.0.0.3 lower_threshold 0, which counts: {ONE_SERVICE}"
    )
    assert told(text) == [message]


def test_many_ports_are_counted_in_each_message() -> None:
    many = "".join(server(port=8000 + number).replace('"s3"', f'"s{number}"') for number in range(9))
    said = [problem for problem in told(HTTP + many + HTTPS + server(port=8443)) if "forwards to" in problem]
    assert len(said) == 1
    assert "forwards to 10.0.0.3 at 9 ports, this one at port 8443" in said[0]


@pytest.mark.parametrize(
    ("first", "second", "theirs", "ours"),
    [
        (8080, 8443, "port 8080", "port 8443"),
        (8080, 443, "port 8080", "each connection's own port"),
        (80, 8443, "each connection's own port", "port 8443"),
    ],
)
def test_one_real_server_at_two_ports(first: int, second: int, theirs: str, ours: str) -> None:
    text = HTTP + server(port=first) + HTTPS + server(port=second)
    message = (
        f"lvs.toml:22: virtual[1].server[0].port: virtual[0] (http) forwards to 10.0.0.3 at {theirs}, "
        f"this one at {ours}; {ONE_SERVICE}, and a connection may go to either"
    )
    assert told(text) == [message]
    direct = text.replace('"nat"', '"direct"')
    assert all("keeps the port" in one for one in told(direct))


def test_one_real_server_at_several_ports() -> None:
    both = server(port=8080) + server(port=8081).replace('"s3"', '"t"')
    assert told(HTTP + both + HTTPS + both) == []
    assert [
        one.partition(": ")[2].partition(":")[0] for one in told(HTTP + both + HTTPS + server(port=8081))
    ] == ["virtual[1].server[0].port"]
    assert "at port 8080 and port 8081;" in told(HTTP + server(port=8081) + HTTPS + both)[0]


def test_real_servers_that_need_not_agree() -> None:
    both = HTTP + server(weight=1) + HTTPS
    assert told(both + server(weight=1)) == []
    assert told(both + server("10.0.0.4", weight=2)) == []
    assert told(both + server(weight=2, active="false")) == []
    assert told(both.replace("fwmark = 80", "fwmark = 81", 1) + server(weight=2)) == []
    assert told(both + "active = false\n" + server(weight=2)) == []


@given(st.lists(st.lists(st.tuples(st.integers(3, 4), st.integers(0, 1)), max_size=2), max_size=4))
def test_without_a_warning_all_are_as_they_are_written(given: list[list[tuple[int, int]]]) -> None:
    """What is taken otherwise than it is written comes with a warning."""
    text = "".join(
        virtual(f"v{index}", fwmark=80, port=80 + index)
        + "".join(server(f"10.0.0.{host}", weight=weight) for host, weight in dict(servers).items())
        for index, servers in enumerate(given)
    )
    loaded = load(text or "serial_no = 1\n", "lvs.toml")
    assert loaded.config is not None
    weights = {
        key.address[3]: one.weight
        for service in desired(loaded.config).state.services.values()
        for key, one in service.destinations.items()
    }
    written = [pair for servers in given for pair in dict(servers).items()]
    assert bool([one for one in loaded.problems if one.path.endswith("weight")]) == any(
        weights[host] != weight for host, weight in written
    )


def test_one_service_twice() -> None:
    again = "virtual[1].address: virtual[0] (one) has this VIP, protocol"
    two = virtual("one") + virtual("two")
    assert told(two) == [f"lvs.toml:8: {again} and port already"]
    marked = virtual("one", fwmark=3) + virtual("two", fwmark=3)
    assert told(marked) == [f"lvs.toml:9: {again}, port and fwmark already"]
    for other in ("fwmark=4", "port=81", 'protocol="sctp"', "active=False"):
        key, _, value = other.partition("=")
        assert told(virtual("one", fwmark=3) + virtual("two", **{"fwmark": 3, key: value.lower()})) == []
    assert told(virtual("one") + virtual("two", fwmark=3)) == []


# Addresses that are held

PAIR = 'primary = "10.0.0.1"\nbackup = "10.0.0.2"\n'
PRIVATE = 'primary_private = "10.9.0.1"\nbackup_private = "10.9.0.2"\n'
MOVES = "one is needed that moves to the director that is active"


@pytest.mark.parametrize(
    ("address", "whose"),
    [
        ("10.0.0.1", "primary director's own address (primary)"),
        ("10.0.0.2", "backup director's own address (backup)"),
        ("10.9.0.1", "primary director's own address (primary_private)"),
        ("10.9.0.2", "backup director's own address (backup_private)"),
    ],
)
def test_a_directors_own_address(address: str, whose: str) -> None:
    text = PAIR + PRIVATE + virtual("web", address)
    assert told(text) == [f"lvs.toml:7: virtual[0].address: the {whose}; {MOVES}"]
    router = PAIR + PRIVATE + f'nat_router = "{address}"\nnat_router_device = "eth1"\n'
    nat = virtual("web", forwarding='"nat"')
    assert told(router + nat) == [f"lvs.toml:5: nat_router: the {whose}; {MOVES}"]
    # A lone director holds its own address anyway, and goes on doing so.
    lone = "the primary director's own address (primary); that does for one director only"
    for alone in ('primary = "10.0.0.1"\n', PAIR + "backup_active = false\n"):
        loaded = load(alone + virtual("web", "10.0.0.1"), "lvs.toml")
        assert [(one.message, one.severity) for one in loaded.problems] == [(lone, Severity.WARNING)]
    assert told(PAIR + virtual("web", "10.0.0.1", active="false")) == []


ROUTER = 'nat_router = "10.0.0.5"\nnat_router_device = "eth1:1"\n'
UNHELD = "nat_router: no active virtual server has nat forwarding, so it is not held"


def test_a_nat_router_that_is_a_vip() -> None:
    held = (
        "lvs.toml:1: nat_router: virtual[0] (web) holds this address on {}, as its VIP; "
        "it would be held twice"
    )
    nat = virtual("web", forwarding='"nat"')
    assert told(ROUTER + nat) == [held.format("eth0:1")]
    assert told(ROUTER + nat + "vip_nmask = 24\n") == [held.format("eth0:1/24")]
    assert told(ROUTER.replace("eth1:1", "eth0") + nat) == [held.format("eth0:1")]
    # One place is one address, and a router that is not held is in nobody's way.
    assert told(ROUTER.replace("eth1:1", "eth0:1") + nat) == []
    assert told(ROUTER + virtual("web", forwarding='"direct"')) == [f"lvs.toml:1: warning: {UNHELD}"]
    assert told(ROUTER + nat.replace("10.0.0.5", "10.0.0.6")) == []


def test_a_nat_router_beside_inactive_virtual_servers() -> None:
    nat = virtual("web", "10.0.0.6", forwarding='"nat"')
    assert told(ROUTER + nat + "active = false\n") == [f"lvs.toml:1: warning: {UNHELD}"]
    assert told(ROUTER + nat + "active = false\n" + nat.replace("80", "81")) == [
        "lvs.toml:10: warning: virtual[1]: the name web is also that of virtual[0]; both are served"
    ]


@pytest.mark.parametrize(("router", "vip"), list(product(("10.0.0.5", "10.0.0.6"), repeat=2)))
def test_a_router_and_a_vip_are_two_addresses_or_one(router: str, vip: str) -> None:
    """What passes is held in as many places as there are addresses."""
    text = f'nat_router = "{router}"\nnat_router_device = "eth0:1"\n' + virtual(
        "web", vip, forwarding='"nat"'
    )
    loaded = load(text, "lvs.toml")
    assert loaded.config is not None
    held = desired(loaded.config).state.vips
    assert len(held) == len({one.address for one in held}) == len({router, vip})


def test_twice() -> None:
    assert list(twice(["a", "b", "a", "", "", None, None, "a"])) == [(2, 0), (7, 0)]
