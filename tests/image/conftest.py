"""One pair of appliances for all tests here: a boot costs more than most tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab.appliances import Site, site


@pytest.fixture(scope="session")
def appliances() -> Iterator[Site]:
    """The deployment, both directors up and settled."""
    with site() as built:
        built.power_on()
        yield built
