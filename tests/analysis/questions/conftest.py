"""A small simulated day that the questions are asked of."""

from pathlib import Path

import pytest

from optimizer.analysis.questions.reading import Records, read_records
from optimizer.ledger.schema import open_database
from optimizer.simulation.demo import Day
from tests.simulation.day import SETTINGS, a_day

N_CALLS = 800


@pytest.fixture(scope="session")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("questions") / "demo.db"
    Day(a_day(1, N_CALLS), SETTINGS, open_database(str(path))).play()
    return path


@pytest.fixture(scope="session")
def records(ledger: Path) -> Records:
    return read_records(str(ledger))
