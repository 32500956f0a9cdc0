"""A fake gateway that all tests of one file share."""

from collections.abc import Iterator

import pytest

from optimizer.simulation.fake_gateway import FakeServer, running_gateway


@pytest.fixture(scope="module")
def server() -> Iterator[FakeServer]:
    with running_gateway() as running:
        yield running
