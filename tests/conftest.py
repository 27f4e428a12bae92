"""Options and settings of the whole test run."""

from __future__ import annotations

import pytest
from _pytest.runner import runtestprotocol
from hypothesis import HealthCheck, settings

# Unit tests end in seconds and give the same answer to the same code; to look for what they miss,
# `pytest --hypothesis-profile=thorough` tries others each time, and many more.
settings.register_profile(
    "quick",
    max_examples=30,
    deadline=None,
    derandomize=True,
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "thorough", settings.get_profile("quick"), max_examples=2000, derandomize=False, print_blob=True
)
settings.load_profile("quick")


FIRST = "what the first try said"  # in a report of the second: it reaches whoever writes, from any process


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite", action="store_true", help="write transcripts anew; review them as a diff")


@pytest.fixture
def rewrite(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--rewrite"))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Run a test on real IPVS or of the image once more if it fails, and show both failures.

    An emulated guest stands still now and then for longer than a heartbeat may be late. What fails
    twice in a row fails.
    """
    if not any(item.iter_markers("netns")) and not any(item.iter_markers("image")):
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    reports = runtestprotocol(item, nextitem=nextitem, log=False)
    failed = [report for report in reports if report.failed]
    if failed:
        item._initrequest()  # type: ignore[attr-defined]  # its fixtures anew, as pytest does for a first run
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
        reports[-1].user_properties.append((FIRST, failed[0].longreprtext))
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, said in getattr(report, "user_properties", ()):
                if name == FIRST:
                    terminalreporter.section(f"{report.nodeid} failed, and was run once more")
                    terminalreporter.write_line(said)
