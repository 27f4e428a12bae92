"""Options and settings of the whole test run."""

from __future__ import annotations

import pytest
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


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite", action="store_true", help="write transcripts anew; review them as a diff")


@pytest.fixture
def rewrite(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--rewrite"))
