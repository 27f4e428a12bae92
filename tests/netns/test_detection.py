"""The deployment with its real programs: what dies is seen in status, journal and kernel, and comes back.

Its own lvs.cf promises: a check every 6 s with 6 s for each step; two good ones bring a real server back.
A client sees no failed request but those that were under way at what died.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import Lab, LabError
from lab.clients import ask_directory, ask_names, ask_printing, print_lpd
from lab.deployment import VIP_DIRECTORY, VIP_NAMES, VIP_PRINTING, Deployment, deployment
from lab.services import Services, await_services, begin_services, start_cupsd, start_named, start_slapd

from .director import Director, until

pytestmark = pytest.mark.netns

CONFIG = Path(__file__).parents[1] / "fixtures" / "deployment.cf"
EVERY_S = LIMIT_S = 6.0
RISE = 2  # reentry 15 by timeout 6
SLACK_S = 15.0  # of an emulated machine on a busy host
SERVICES = 5
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

    def out_within(self, which: Callable[[str], bool], promised_s: float) -> float:
        """Wait until nothing of that kind is in use; seconds it took."""
        began = time.monotonic()
        until(self.in_use, lambda found: not any(map(which, found)), promised_s + SLACK_S)
        return time.monotonic() - began

    def whole_within(self, promised_s: float) -> None:
        """Wait until all is in use."""
        until(self.in_use, lambda found: len(found) == 2 * SERVICES, promised_s + SLACK_S)

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
    virtual, service, code = DEATHS[what]
    director, services = watched.director, watched.network.services["real1"]
    since = len(director.said)
    getattr(services, what).signal(9, group=True)
    watched.out_within(lambda one: one == f"{service} 10.0.0.3", EVERY_S + LIMIT_S)
    down = watched.state(virtual, "real1")
    assert (down["state"], down["serving"]) == (code, False)
    assert f"real server real1 of {virtual} (10.0.0.3:" in director.wait_for("is down: ", since)
    services = watched.network.services["real1"] = restarted(services, what)
    await_services([services])
    watched.whole_within((RISE + 1) * EVERY_S)
    director.wait_for(rf"real server real1 of {virtual} \S+ is up", since)
    assert watched.state(virtual, "real1")["state"] == "answered"


def test_b18_a_network_is_gone_and_comes_back(watched: Watched) -> None:
    """A pulled plug: all of a real server's services leave by the limit of their checks."""
    director, lan = watched.director, watched.network.lan
    since = len(director.said)
    lan.cut("real2")
    try:
        watched.out_within(lambda one: one.endswith(" 10.0.0.4"), EVERY_S + LIMIT_S)
        codes = {watched.state(one, "real2")["state"] for one in ("ipp", "lpd", "ldap", "dns_tcp")}
        assert codes <= {"timed_out", "unreachable"}
        assert watched.state("dns", "real2")["state"] in NO_ANSWER
        watched.all_answered_by("real1")
    finally:
        lan.mend("real2")
    watched.whole_within((RISE + 2) * EVERY_S)
    assert director.said[since:].count(" is down: ") == SERVICES


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
    director, client = watched.director, watched.network.client
    since = len(director.said)
    watched.network.real_servers[0].kill()
    took_s = watched.out_within(lambda one: one.endswith(" 10.0.0.3"), EVERY_S + LIMIT_S)
    failed = 0
    for _ in range(10):
        try:
            assert ask_names(client, VIP_NAMES) == "real2"
        except LabError:
            failed += 1
    assert failed == 0, took_s
    watched.all_answered_by("real2")
    assert director.said[since:].count(" is down: ") == SERVICES
    watched.network.services["real1"] = begin_services(watched.network.real_servers[0])
    await_services([watched.network.services["real1"]])
    watched.whole_within((RISE + 1) * EVERY_S)
    assert watched.state("ldap", "real1")["state"] == "answered"
