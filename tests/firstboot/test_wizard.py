"""The dialogue, question by question, and what comes of it."""

from __future__ import annotations

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

from firstboot.given import public_key
from lvs.config.load import load
from lvs.firstboot import wizard
from lvs.firstboot.decide import decide
from lvs.firstboot.values import Memory
from lvs.firstboot.wizard import QUESTIONS, Outcome, State, answered, given, prompt, refused

START = State(("ens3", "ens4"))
KEY = public_key()
ALONE = ["lvs1", "", "", KEY, "", "192.0.2.1/24", "", "10.0.0.3, 10.0.0.4", "", "yes"]
PAIR = ["", "ens4", "10.0.0.2/24", "10.0.0.254", "", "", "10.0.0.1", "backup", *ALONE[5:]]


def typed(*lines: str, state: State = START) -> State:
    for line in lines:
        state = answered(state, line)
    return state


def texts(state: State) -> dict[str, str]:
    return {one.name: one.content.decode() for one in given(state)}


def test_a_director_alone() -> None:
    state = typed(*ALONE)
    assert state.outcome is Outcome.CONFIRMED
    made = texts(state)
    assert made["hostname"] == "lvs1\n"
    assert made["authorized_keys"] == f"{KEY}\n"
    assert "Name=ens3\n" in made["network/10-ens3.network"]
    assert "DHCP=yes\n" in made["network/10-ens3.network"]
    loaded = load(made["lvs.toml"], "lvs.toml")
    assert loaded.problems == ()
    assert loaded.config is not None
    (server,) = loaded.config.virtual_servers
    assert (str(server.address), server.port, str(server.protocol)) == ("192.0.2.1", 80, "tcp")
    assert [str(one.address) for one in server.real_servers] == ["10.0.0.3", "10.0.0.4"]
    assert not loaded.config.pair.backup_active


def test_one_of_a_pair_with_an_address_of_its_own() -> None:
    state = typed(*PAIR)
    assert state.outcome is Outcome.CONFIRMED
    made = texts(state)
    assert "authorized_keys" not in made
    assert "Address=10.0.0.2/24\nGateway=10.0.0.254\n" in made["network/10-ens4.network"]
    config = load(made["lvs.toml"], "lvs.toml").config
    assert config is not None
    assert (str(config.pair.primary), str(config.pair.backup)) == ("10.0.0.1", "10.0.0.2")


def test_with_dhcp_a_pair_needs_to_know_the_own_address() -> None:
    state = typed("", "", "dhcp", "", "10.0.0.2")
    assert QUESTIONS[state.at].key == "own"
    state = typed("10.0.0.1", "p", *ALONE[5:-1], state=state)
    assert 'primary = "10.0.0.1"\nbackup = "10.0.0.2"' in texts(state)["lvs.toml"]


def test_udp_is_taken_and_told_that_nothing_checks_it() -> None:
    loaded = load(texts(typed(*ALONE[:6], "53/udp", *ALONE[7:]))["lvs.toml"], "lvs.toml")
    assert [str(problem.severity) for problem in loaded.problems] == ["warning"]


def test_ipv6() -> None:
    lines = [*ALONE[:5], "2001:db8::1/64", "80", "2001:db8::3", "t", "y"]
    loaded = load(texts(typed(*lines))["lvs.toml"], "lvs.toml")
    assert loaded.problems == ()


@pytest.mark.parametrize("questions", [ALONE, PAIR])
def test_all_of_it_is_taken_by_the_decision_that_judges_everything(questions: list[str]) -> None:
    offered = given(typed(*questions))
    decision = decide(offered, Memory(), None, lambda _content, _where: ("", "no"))
    assert decision.problems == ()
    assert len(decision.files) == len(offered)


@pytest.mark.parametrize(
    ("key", "line", "wrong"),
    [
        ("hostname", "a b", "letters, digits, dashes and dots"),
        ("device", "eth 0", "the name of a device"),
        ("address", "10.0.0.1", "an address with its prefix length"),
        ("address", "10.0.0.300/24", "an address with its prefix length"),
        ("gateway", "gw", "an address is asked for"),
        ("key", "-----BEGIN OPENSSH PRIVATE KEY-----", "is a private key"),
        ("key", "ssh-ed25519 AAAA", "cut off or damaged"),
        ("other", "peer", "an address is asked for"),
        ("role", "p b", "one of primary, backup"),
        ("role", "x", "one of primary, backup"),
        ("vip", "", "an address with its prefix length"),
        ("service", "0", "a port is asked for"),
        ("service", "80/icmp", "a port is asked for"),
        ("servers", " , ", "at least one address"),
        ("servers", "10.0.0.3 real2", "got 'real2'"),
        ("method", "nat", "one of direct, tunnel"),
    ],
)
def test_a_wrong_answer_is_asked_for_again(key: str, line: str, wrong: str) -> None:
    at = next(at for at, question in enumerate(QUESTIONS) if question.key == key)
    state = answered(State(START.devices, at, {"address": "10.0.0.1/24"}), line)
    assert state.at == at
    assert wrong in state.said
    assert wrong in prompt(state)


def test_back_and_out() -> None:
    state = typed("lvs1", "ens4", "b")
    assert prompt(state) == "Network device [ens4]: "
    assert typed("b", "b", "b", state=state).at == 0
    assert typed("q", state=state).outcome is Outcome.LEFT
    # past questions that are not asked
    assert QUESTIONS[typed("", "", "dhcp", "b").at].key == "address"


def test_only_yes_confirms() -> None:
    state = typed(*ALONE[:-1])
    assert prompt(state).startswith("Write this?")
    assert "yes, b or q" in prompt(answered(state, ""))
    assert answered(state, "").outcome is Outcome.ASKING


def test_refused_begins_anew_with_what_was_answered() -> None:
    state = refused(typed(*ALONE), "why")
    assert prompt(state) == "  why\nHost name [lvs1]: "


@drawn(st.lists(st.text(max_size=12) | st.sampled_from([*ALONE, *PAIR, "b"]), max_size=30))
def test_whatever_is_typed_what_comes_out_is_no_broken_toml(lines: list[str]) -> None:
    state = START
    for line in lines:
        if state.outcome is Outcome.ASKING:
            state = answered(state, line)
    if state.outcome is Outcome.CONFIRMED or state.at == len(QUESTIONS):
        for problem in load(texts(state)["lvs.toml"], "lvs.toml").problems:
            assert problem.path  # no line is misread; addresses may still contradict each other
    assert wizard.prompt(state)
