"""While the database is away, choices go on, and nothing that is told gets lost."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from optimizer.engine import Optimizer
from optimizer.errors import InvalidRating, UnknownCall, UnknownMetric
from optimizer.ledger.audit import verify
from optimizer.ledger.calls import read_call
from optimizer.ledger.database import Database
from optimizer.ledger.schema import open_database
from optimizer.settings import Origin
from tests.engine.factory import CATALOG, CHEAP, USAGE, Clock, pool

TEXT = pool(
    "objective: quality, metrics: {quality: solved, others: [tone]}", "durability: sync\njournal_dir: waiting\n"
)

Opened = Callable[[], Optimizer]


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    database = open_database(url)
    yield database
    database.close()


@pytest.fixture
def hasty(url: str, tmp_path: Path) -> Iterator[Opened]:
    """Open optimizers that do not wait long for locks."""
    config = tmp_path / "o.yaml"
    config.write_text(TEXT)
    origin = Origin(config, {})
    optimizers: list[Optimizer] = []

    def open_one() -> Optimizer:
        database = open_database(url, timeout_s=0.05)
        rng = random.Random(1)
        more = {"clock": Clock(), "rng": rng, "background": False, "origin": origin}
        optimizers.append(Optimizer(origin.load(), CATALOG, database, **more))
        return optimizers[-1]

    yield open_one
    for opt in optimizers:
        opt.close()


@contextmanager
def outage(database: Database) -> Iterator[None]:
    """Keep everybody else from writing; on Postgres from reading, too."""
    with database.writing() as connection:
        if not database.is_sqlite:
            connection.execute(text("LOCK TABLE evidence, calls, attempts, feedback, sessions, decisions"))
        yield


def test_choices_records_and_ratings_go_on(database: Database, hasty: Opened, tmp_path: Path) -> None:
    opt = hasty()
    with outage(database):
        selection = opt.select_optimal_model("chat", 1000, session_id="s")
        opt.record(selection, usage=USAGE, latency_ms=700.0)
        opt.rate(selection.call_id, 0.75)
        again = opt.select_optimal_model("chat", 1000, session_id="s")
        assert again.model_id == selection.model_id
        assert opt.is_ledger_away
        assert opt.journal_length >= 3
        assert list((tmp_path / "waiting").iterdir())
    opt.flush()
    assert (opt.journal_length, list((tmp_path / "waiting").iterdir())) == (0, [])
    stored = read_call(database, selection.call_id)
    assert [rating.value for rating in stored.feedback] == [0.75]
    assert stored.attempts
    assert verify(database, opt.settings.reward_rule) == []


def test_a_rating_of_another_process_call_finds_its_metric_later(database: Database, hasty: Opened) -> None:
    """Nobody can look up whose use case it is, and so what its quality is called, while the database is away."""
    one, other = hasty(), hasty()
    call_id = one.select_optimal_model("chat", 1000).call_id
    one.flush()
    with outage(database):
        other.record(other.select_optimal_model("chat", 1000, model=CHEAP), latency_ms=1.0)
        other.rate(call_id, 0.5)
        other.rate(call_id, 1.0, metric="tone")
        with pytest.raises(UnknownMetric):
            other.rate(call_id, 0.5, metric="nonsense")
        with pytest.raises(InvalidRating):
            other.rate(call_id, 1.5)
    other.flush()
    found = {rating.metric: rating.value for rating in read_call(database, call_id).feedback}
    assert found == {"solved": 0.5, "tone": 1.0}
    assert verify(database, one.settings.reward_rule) == []


def test_a_rating_of_nobodys_call_is_dropped_later(
    database: Database, hasty: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    opt = hasty()
    with outage(database):
        opt.record(opt.select_optimal_model("chat", 1000), latency_ms=1.0)
        opt.rate("nobody", 0.5)
    opt.flush()
    assert "no call nobody" in caplog.text
    with pytest.raises(UnknownCall):
        opt.rate("nobody", 0.5)


def test_what_a_process_left_is_there_after_the_next_start(database: Database, hasty: Opened) -> None:
    opt = hasty()
    with outage(database):
        selection = opt.select_optimal_model("chat", 1000)
        opt.record(selection, latency_ms=1.0)
        opt.close()
    hasty()
    assert read_call(database, selection.call_id).attempts
