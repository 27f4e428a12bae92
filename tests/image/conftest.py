"""One pair of appliances for all tests here: a boot costs more than most tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab.appliances import Site, site
from lab.lab import Lab


@pytest.fixture(scope="session")
def appliances() -> Iterator[Site]:
    """The deployment, both directors up and settled."""
    with site() as built:
        built.power_on()
        yield built


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """A lab in namespaces of this host: the kernels under test are the appliances' own."""
    with Lab.start("local") as made:
        yield made
