"""Problems and places as they print."""

from __future__ import annotations

from lvs.config.located import Place, Problem, Severity


def test_problem() -> None:
    assert str(Problem("lvs.toml", 10, "virtual[0].port", "no")) == "lvs.toml:10: virtual[0].port: no"
    assert str(Problem("lvs.cf", 3, "", "no")) == "lvs.cf:3: no"
    assert str(Problem("lvs.cf", 0, "", "no")) == "lvs.cf: no"
    assert str(Problem("a", 1, "b", "c", Severity.WARNING)) == "a:1: warning: b: c"


def test_order_is_by_line() -> None:
    problems = [Problem("f", line, path, "") for line, path in ((10, "a"), (9, "z"), (10, "A"))]
    assert [(p.line, p.path) for p in sorted(problems)] == [(9, "z"), (10, "A"), (10, "a")]


def test_place() -> None:
    assert Place("port").path() == "port"
    assert Place("port", 2).path() == "virtual[2].port"
    assert Place("", 2, 0).path(5) == "virtual[7].server[0]"
    assert Place("port", 0, -1, "failover").path(1) == "failover[1].port"
