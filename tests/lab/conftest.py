"""The shared lab, emptied after each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .lab import Lab


@pytest.fixture
def lab() -> Iterator[Lab]:
    shared = Lab.shared()
    yield shared
    shared.reset()
