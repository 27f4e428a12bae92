"""One lab for the whole run, emptied after each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab import Lab


@pytest.fixture(scope="session")
def running_lab() -> Lab:
    return Lab.shared()


@pytest.fixture
def lab(running_lab: Lab) -> Iterator[Lab]:
    yield running_lab
    running_lab.reset()
