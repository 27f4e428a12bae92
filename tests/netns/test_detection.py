"""The deployment with its real programs: what dies is seen in status, journal and kernel, and comes back.

Its own lvs.cf promises: a check every 6 s with 6 s for each step; two good ones bring a real server back.
A client sees no failed request but those that what died was given until it was out.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import Lab
from lab.clients import ask_directory, ask_names, ask_printing, print_lpd
from lab.deployment import REAL_SERVERS, VIP_DIRECTORY, VIP_NAMES, VIP_PRINTING, Deployment, deployment
from lab.peers import Traffic, traffic
from lab.services import Services, await_services, begin_services, start_cupsd, start_named, start_slapd

from .director import Director, until

pytestmark = pytest.mark.netns

CONFIG = Path(__file__).parents[1] / "fixtures" / "deployment.cf"
EVERY_S = LIMIT_S = 6.0
RISE = 2  # reentry 15 by timeout 6
SLACK_S = 15.0  # of an emulated machine on a busy host
VIRTUAL_SERVERS = ("ipp", "lpd", "dns", "dns_tcp", "ldap")
SERVICES = len(VIRTUAL_SERVERS)
IN_FLIGHT_S = 0.5  # a request that began so shortly before may be under way
NO_ANSWER = ("wrong_answer", "program_timed_out")  # checkdns prints FAIL, or does not come to that


class Watched:
    """The deployment under lvsd."""

    def __init__(self, network: Deployment, director: Director) -> None:
        self.network, self.director = network, director

    def in_use(self) -> set[str]:
        """`-t VIP:port RIP` of what has a weight in the kernel."""
        found = set()
        for line in self.director.table():
            words = line.split()
            if words[0] == "-a" and words[-1] != "0":
                found.add(f"{words[1]} {words[2]} {words[4].partition(':')[0]}")
        return found

    def out(self, which: Callable[[str], bool]) -> float:
        """Wait until nothing of that kind is in use; when, on the machines' clock."""
        until(self.in_use, lambda found: not any(map(which, found)))
        return self.network.client.clock()

    def down_in_time(self, server: str, virtual: Iterable[str], since: float) -> None:
        """Hold the moments at which it went down to what the configuration promises."""
        moved = [(name, server) for name in virtual]
        assert not self.director.too_late(moved, since, EVERY_S + LIMIT_S)

    def whole_within(self, promised_s: float) -> None:
        """Wait until all is in use."""
        until(self.in_use, lambda found: len(found) == 2 * SERVICES, promised_s + SLACK_S)

    def asking(self) -> tuple[str, Traffic]:
        """A client that asks for names all the time, and the real server that it is bound to."""
        client = self.network.client
        bound = ask_names(client, VIP_NAMES)
        return bound, traffic(client, "names", VIP_NAMES, 53, period_s=0.1)

    def state(self, virtual: str, server: str) -> dict[str, Any]:
        (row,) = [
            row
            for one in self.director.status()["virtual_servers"]
            if one["name"] == virtual
            for row in one["real_servers"]
            if row["name"] == server
        ]
        found: dict[str, Any] = row
        return found

    def all_answered_by(self, name: str) -> None:
        """The client asks everything there is."""
        client = self.network.client
        asked = [
            ask_printing(client, VIP_PRINTING),
            ask_directory(client, VIP_DIRECTORY),
            ask_names(client, VIP_NAMES),
            ask_names(client, VIP_NAMES, tcp=True),
        ]
        assert asked == [name] * 4
        print_lpd(client, VIP_PRINTING)


def failed_between(names: Traffic, began: float, out: float) -> bool:
    """Whether any request failed; only such as began before what died was out, and none when it was back."""
    time.sleep(1.0)
    tally = names.stop()
    outside = [at for at in tally.failed_at if not began - IN_FLIGHT_S <= at <= out]
    assert not outside, (tally, began, out)
    assert tally.answered > 0
    return tally.failed > 0


def other(name: str) -> str:
    """The other real server."""
    (found,) = set(REAL_SERVERS) - {name}
    return found


@pytest.fixture(scope="module")
def watched(running_lab: Lab) -> Iterator[Watched]:
    try:
        network = deployment(running_lab)
        director = Director(network.director, "/etc/lvs/lvs.cf", checked=True)
        director.start(CONFIG.read_text().replace("backup_active = 1", "backup_active = 0"))  # it is alone
        found = Watched(network, director)
        found.whole_within(10 * EVERY_S)  # dig gives a name server that just started one second
        yield found
    finally:
        running_lab.reset()


def test_the_first_answers_bring_everything_in(watched: Watched) -> None:
    """Nothing waits for a second good check at the start."""
    said = watched.director.said
    assert said.count(" is up: ") == 2 * SERVICES
    assert not re.search(r"of (ipp|lpd|dns_tcp|ldap) \S+ is down: ", said)
    assert watched.state("dns", "real1")["state"] == "answered"
    for server in ("real1", "real2"):
        explained = watched.director.lvsd("explain", server)
        assert explained.count("[answered]") == 2 * SERVICES, explained


def restarted(services: Services, what: str) -> Services:
    """A program of a real server started again; the directory's begins with its data made anew."""
    starts = {"cupsd": start_cupsd, "slapd": start_slapd, "named": start_named}
    fields = {name: getattr(services, name) for name in ("cupsd", "lpd", "slapd", "named")}
    return Services(services.machine, **(fields | {what: starts[what](services.machine)}))


DEATHS = {
    "cupsd": ("ipp", f"-t {VIP_PRINTING}:631", "refused"),
    "slapd": ("ldap", f"-t {VIP_DIRECTORY}:389", "refused"),
    "named": ("dns", f"-u {VIP_NAMES}:53", "wrong_answer"),
}


@pytest.mark.parametrize("what", DEATHS)
def test_b16_a_program_dies_and_is_started_again(watched: Watched, what: str) -> None:
    """A client that asks for names is bound to that machine; it fails if that is what died."""
    virtual, service, code = DEATHS[what]
    bound, names = watched.asking()
    address = REAL_SERVERS[bound]
    director, services = watched.director, watched.network.services[bound]
    since, began = len(director.said), watched.network.client.clock()
    getattr(services, what).signal(9, group=True)
    died = time.monotonic()
    out = watched.out(lambda one: one == f"{service} {address}")
    watched.down_in_time(bound, [virtual], died)
    down = watched.state(virtual, bound)
    assert (down["state"], down["serving"]) == (code, False)
    assert f"real server {bound} of {virtual} ({address}:" in director.wait_for("is down: ", since)
    services = watched.network.services[bound] = restarted(services, what)
    await_services([services])
    watched.whole_within((RISE + 1) * EVERY_S)
    director.wait_for(rf"real server {bound} of {virtual} \S+ is up", since)
    assert watched.state(virtual, bound)["state"] == "answered"
    assert failed_between(names, began, out) == (what == "named")


def test_b18_a_network_is_gone_and_comes_back(watched: Watched) -> None:
    """A pulled plug: all of a real server's services leave by the limit of their checks."""
    director, lan = watched.director, watched.network.lan
    bound, names = watched.asking()
    since, began = len(director.said), watched.network.client.clock()
    lan.cut(bound)
    died = time.monotonic()
    try:
        out = watched.out(lambda one: one.endswith(f" {REAL_SERVERS[bound]}"))
        watched.down_in_time(bound, VIRTUAL_SERVERS, died)
        codes = {watched.state(one, bound)["state"] for one in ("ipp", "lpd", "ldap", "dns_tcp")}
        assert codes <= {"timed_out", "unreachable"}
        assert watched.state("dns", bound)["state"] in NO_ANSWER
        watched.all_answered_by(other(bound))
    finally:
        lan.mend(bound)
    watched.whole_within((RISE + 2) * EVERY_S)
    assert director.said[since:].count(" is down: ") == SERVICES
    assert failed_between(names, began, out)


def test_b18_a_machine_stands_still_and_goes_on(watched: Watched) -> None:
    """A hypervisor's pause: the kernel still accepts, so only what is asked beyond that tells."""
    watched.network.real_servers[0].pause()
    try:
        until(
            lambda: watched.state("dns", "real1")["state"],
            NO_ANSWER.__contains__,
            EVERY_S + LIMIT_S + SLACK_S,
        )
    finally:
        watched.network.real_servers[0].resume()
    watched.whole_within((RISE + 2) * EVERY_S)


def test_a_machine_is_powered_off_and_started(watched: Watched) -> None:
    """Everything on it dies at once, under a client that asks all the time."""
    director = watched.director
    bound, names = watched.asking()
    machine = watched.network.services[bound].machine
    since, began = len(director.said), watched.network.client.clock()
    machine.kill()
    died = time.monotonic()
    out = watched.out(lambda one: one.endswith(f" {REAL_SERVERS[bound]}"))
    watched.down_in_time(bound, VIRTUAL_SERVERS, died)
    watched.all_answered_by(other(bound))
    assert director.said[since:].count(" is down: ") == SERVICES
    watched.network.services[bound] = begin_services(machine)
    await_services([watched.network.services[bound]])
    watched.whole_within((RISE + 1) * EVERY_S)
    assert watched.state("ldap", bound)["state"] == "answered"
    assert failed_between(names, began, out)
