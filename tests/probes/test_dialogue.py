"""Line protocols, and steps of one's own."""

from __future__ import annotations

import time

import pytest
from hypothesis import given

from lvs.checks import Answer, Dialogue, Reason, Step, Tls
from lvs.probes import dialogue
from lvs.probes.dialogue import DialogueTalk
from probes.played import JUNK, endures, mangled, play, sound, verdicts

UP, WRONG, CLOSED = Reason.ANSWERED, Reason.WRONG_ANSWER, Reason.CLOSED

# What servers say, an answer to each step
GOOD = {
    "smtp": (
        dialogue.smtp(),
        [b"220 mx ESMTP\r\n", b"250-mx\r\n250-8BITMIME\r\n250 SIZE\r\n", b"221 Bye\r\n"],
    ),
    "lmtp": (
        dialogue.lmtp(),
        [b"220 store LMTP\r\n", b"250-store\r\n250 PIPELINING\r\n", b"221 2.0.0 OK\r\n"],
    ),
    "ftp": (dialogue.ftp(), [b"220-Welcome\r\n 220 is a number\r\nto all\r\n220 ready\r\n", b"221 Bye\r\n"]),
    "pop3": (dialogue.pop3(), [b"+OK ready <1.2@mx>\r\n", b"+OK\r\n"]),
    "imap": (dialogue.imap(), [b"* OK [CAPABILITY IMAP4rev2] ready\r\n", b"* BYE out\r\na2 OK done\r\n"]),
    "nntp": (dialogue.nntp(), [b"201 no posting\r\n", b"205 closing\r\n"]),
    "redis": (dialogue.redis(), [b"+PONG\r\n", b"+OK\r\n"]),
    "redis-auth": (dialogue.redis(), [b"-NOAUTH Authentication required.\r\n", b"+OK\r\n"]),
    "memcached": (dialogue.memcached(), [b"VERSION 1.6.18\r\n"]),
    "clamd": (dialogue.clamd(), [b"PONG\n"]),
}


def own(*steps: Step) -> DialogueTalk:
    return DialogueTalk(Dialogue(dialogue.OWN, steps))


@pytest.mark.parametrize("name", GOOD)
def test_good(name: str) -> None:
    check, answers = GOOD[name]
    talk = DialogueTalk(check)
    found = verdicts(talk, answers)
    assert found.ok
    assert found.text.startswith(f"{check.name}: answered ")
    assert verdicts(talk, [b"".join(answers)]).ok
    assert verdicts(talk, [*answers[:-1], answers[-1].rstrip()]).ok  # the last line may lack its end
    assert not talk.write_only


@pytest.mark.parametrize("name", GOOD)
def test_closed_too_early(name: str) -> None:
    check, answers = GOOD[name]
    for count in range(len(answers)):
        found = verdicts(DialogueTalk(check), answers[:count])
        assert (found.ok, found.reason) == (False, CLOSED)


@pytest.mark.parametrize("name", GOOD)
def test_wrong_at_once(name: str) -> None:
    """Nobody waits for the deadline once an answer is there that is not the expected one."""
    check, answers = GOOD[name]
    for count in range(len(answers)):
        for wrong in (b"554 no\r\n", b"-ERR no\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n"):
            if (check.name, count, wrong) == ("redis", 1, b"-ERR no\r\n"):
                continue  # QUIT is of no interest
            found = play(DialogueTalk(check), [*answers[:count], wrong], ends=False)
            assert isinstance(found, Answer)
            assert (found.ok, found.reason) == (False, WRONG)
            assert sound(found)


LOGS_IN = dialogue.redis(user="monitor", password="redis.password")


def test_redis_lets_us_in() -> None:
    """A password holds what it likes: it goes with its length."""
    secret = b"two words\r\n"
    sent = play(DialogueTalk(LOGS_IN, secret), [b"+OK\r\n", b"+PONG\r\n"], ends=False)
    assert sent == [
        b"*3\r\n$4\r\nAUTH\r\n$7\r\nmonitor\r\n$11\r\ntwo words\r\n\r\n",
        b"PING\r\n",
        b"QUIT\r\n",
    ]
    alone = DialogueTalk(dialogue.redis(password="redis.password"), secret)
    assert alone.begin() == b"*2\r\n$4\r\nAUTH\r\n$11\r\ntwo words\r\n\r\n"
    assert verdicts(alone, [b"+OK\r\n", b"+PONG\r\n", b"+OK\r\n"]).ok
    assert not verdicts(alone, [b"+OK\r\n", b"-NOAUTH\r\n"]).ok


@pytest.mark.parametrize(
    "said",
    [
        b"-WRONGPASS invalid username-password pair or user is disabled.\r\n",
        b"-ERR unknown command 'AUTH', with args beginning with: 'pencil' \r\n",
    ],
)
def test_redis_keeps_us_out(said: bytes) -> None:
    """What is down for its password does not show it, though the server does."""
    talk = DialogueTalk(LOGS_IN, b"pencil")
    for answers in ([said], [said[:-2]], [b"+OK\r\n", said]):
        found = verdicts(talk, answers)
        assert found.reason is (Reason.DENIED if len(answers) == 1 else WRONG)
        assert "pencil" not in found.text
    talk.begin()
    talk.received(said[:-2])
    assert "pencil" not in talk.silent()


def test_what_is_sent() -> None:
    assert play(DialogueTalk(dialogue.lmtp()), [b"220 x\r\n"], ends=False)[1:] == [b"LHLO lvsd.invalid\r\n"]  # type: ignore[index]
    talk = DialogueTalk(dialogue.smtp())
    assert play(talk, [b"220 mx\r\n", b"250 mx\r\n"], ends=False) == [
        b"",
        b"EHLO lvsd.invalid\r\n",
        b"QUIT\r\n",
    ]
    assert play(DialogueTalk(dialogue.redis()), [b"+PONG\r\n"], ends=False) == [b"PING\r\n", b"QUIT\r\n"]


def test_what_is_sent_last_is_a_farewell() -> None:
    talk = DialogueTalk(dialogue.memcached())
    assert talk.farewell() == b""
    found = play(talk, [b"VERSION 1\r\n"], ends=False)
    assert isinstance(found, Answer)
    assert found.text == 'memcached: answered "VERSION 1"'
    assert talk.farewell() == b"quit\r\n"
    assert talk.begin() == b"version\r\n"
    assert talk.farewell() == b""


def test_sentences() -> None:
    talk = DialogueTalk(dialogue.smtp())
    talk.begin()
    assert talk.silent() == 'step 1 of smtp, "^220"'
    assert verdicts(talk, [b"554 go away\r\n"]).text == (
        'smtp: answered "554 go away", "^220" expected (step 1)'
    )
    assert verdicts(talk, []).text == 'smtp: closed, "^220" expected (step 1)'
    assert verdicts(talk, [b"220-x\r\n"]).text == ('smtp: closed after "220-x", "^220" expected (step 1)')
    play(talk, [b"220-x\r\n"], ends=False)
    assert talk.silent() == 'step 1 of smtp, "^220", only "220-x" came'


def test_answers_of_several_lines_are_waited_for() -> None:
    talk = DialogueTalk(dialogue.ftp())
    talk.begin()
    for line in (b"220-Welcome\r\n", b"550 is no code here\r\n", b"\r\n", b"220-more\r\n"):
        assert talk.received(line) == b""
    assert talk.received(b"220 ready\r\n") == b"QUIT\r\n"


def test_an_answer_of_several_lines_is_refused_at_its_end() -> None:
    for middle in (b"220 service\r\n", b"service\r\n"):
        found = play(DialogueTalk(dialogue.smtp()), [b"554-no\r\n", middle + b"554 here\r\n"], ends=False)
        assert isinstance(found, Answer)
        assert found.text.startswith('smtp: answered "554-no..')
        assert found.text.endswith(', "^220" expected (step 1)')


def test_own_steps() -> None:
    talk = own(Step("ready$|ready\n", b"ping\n"), Step("^pong"), Step(None, b"bye\n"))
    assert verdicts(talk, [b"welcome\r\nto all\r\n\r\nall is ready\n", b"pong\n"]).text == (
        'dialogue: answered "pong"'
    )
    assert talk.farewell() == b"bye\n"
    # More lines may come, and nobody knows which is the last
    assert play(talk, [b"not yet\n"], ends=False) == [b""]
    assert talk.silent() == 'step 1 of dialogue, "ready$|ready", only "not yet" came'
    assert verdicts(talk, [b"not yet\n"]).reason is CLOSED


def test_without_expectations_sending_is_enough() -> None:
    talk = own(Step(None, b"a\n"), Step(None, b"b\n"))
    assert talk.write_only
    assert talk.begin() == b"a\nb\n"
    assert verdicts(talk, [b"c"]).ok
    assert talk.silent()
    assert not DialogueTalk(Dialogue("dialogue", (Step(None, b"a\n"),), Tls())).write_only


def test_endless() -> None:
    for check in (dialogue.smtp(), Dialogue("dialogue", (Step("^220"),))):
        for piece in (b"x" * 1000, b"220-\r\n" * 200, b"\n" * 1000):
            began = time.process_time()
            found = play(DialogueTalk(check), [piece] * 300, ends=False)
            assert time.process_time() - began < 0.5
            assert isinstance(found, Answer) or check.name == "dialogue"


def test_no_expression() -> None:
    with pytest.raises(ValueError, match="regular expression"):
        own(Step("(", None))


STARTTLS = {
    "smtp": (dialogue.smtp(starttls=True), [b"220 mx\r\n", b"250-mx\r\n250 STARTTLS\r\n", b"220 go\r\n"]),
    "pop3": (dialogue.pop3(starttls=True), [b"+OK\r\n", b"+OK\r\n"]),
    "imap": (dialogue.imap(starttls=True), [b"* OK\r\n", b"a1 OK\r\n"]),
}


@pytest.mark.parametrize("name", STARTTLS)
def test_starttls(name: str) -> None:
    check, answers = STARTTLS[name]
    assert check.tls == Tls()
    assert check.starttls is not None
    talk = DialogueTalk(check)
    talk.begin()
    for answer in answers[:-1]:
        said = talk.received(answer)
        assert talk.step < check.starttls
    assert isinstance(said, bytes)
    assert said.strip().endswith((b"STARTTLS", b"STLS"))
    # What is said now, is said within TLS
    assert talk.received(answers[-1]) in (b"EHLO lvsd.invalid\r\n", b"QUIT\r\n", b"a2 LOGOUT\r\n")
    assert talk.step >= check.starttls


@pytest.mark.parametrize("name", STARTTLS)
def test_what_comes_in_clear_before_tls_is_not_believed(name: str) -> None:
    """RFC 3207 section 4.2; CVE-2011-0411 is the server's side of it."""
    check, answers = STARTTLS[name]
    found = play(DialogueTalk(check), [*answers[:-1], answers[-1] + b"250 injected\r\n"], ends=False)
    assert isinstance(found, Answer)
    assert found.reason is Reason.GARBLED
    assert found.text == f'{name}: "250 injected" came in clear, where TLS begins'


def test_starttls_refused() -> None:
    found = verdicts(
        DialogueTalk(dialogue.smtp(starttls=True)), [b"220 mx\r\n", b"250 mx\r\n", b"454 no\r\n"]
    )
    assert found.text == 'smtp: answered "454 no", "^220" expected (step 3)'


@given(JUNK)
def test_endures_anything(junk: list[bytes]) -> None:
    for check, answers in GOOD.values():
        for count in range(len(answers)):
            endures(DialogueTalk(check), junk, answers[:count])
    endures(own(Step("a", b"b"), Step("[[:digit:]]")), junk)


@given(mangled(b"220-a\r\n220 b\r\n250-c\r\n250 d\r\n221 e\r\n"))
def test_endures_mangled_answers(said: bytes) -> None:
    verdicts(DialogueTalk(dialogue.smtp()), [said])
