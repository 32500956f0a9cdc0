"""A ledger made in bulk holds together like one that was written call by call."""

from datetime import UTC, datetime
from pathlib import Path

from benchmarks.made_ledger import Plan, make
from benchmarks.ten_million import measured
from optimizer.domain import RewardRule
from optimizer.ledger.audit import verify
from optimizer.ledger.calls import recent_calls
from optimizer.ledger.schema import open_database

UNTIL = datetime(2026, 11, 24, tzinfo=UTC)
PLAN = Plan(3_000, UNTIL, days=40, calls_per_decision=4)


def test_evidence_follows_from_the_calls_to_the_last_unit(url: str) -> None:
    """Forty days: buckets of all three widths."""
    database = open_database(url)
    told: list[int] = []
    make(database, PLAN, told.append)
    assert not verify(database, lambda _: RewardRule())
    assert told == [3_000]
    database.close()


def test_draws_are_of_their_decisions_and_turns_of_their_sessions(tmp_path: Path) -> None:
    database = open_database(str(tmp_path / "made.db"))
    make(database, PLAN)
    served: dict[str, str] = {}
    for call in reversed(recent_calls(database, limit=3_000)):
        chosen = call.selection
        if chosen.propensity is not None:
            assert chosen.distribution[chosen.drawn_model_id] == chosen.propensity
        if chosen.request.session_id is not None:
            begun = served.setdefault(chosen.request.session_id, chosen.drawn_model_id)
            assert chosen.drawn_model_id == begun
            assert (chosen.overridden_by == "session") == (chosen.propensity is None)
    assert served
    database.close()


def test_commands_are_measured(tmp_path: Path) -> None:
    path = str(tmp_path / "made.db")
    database = open_database(path)
    make(database, PLAN)
    database.close()
    seconds, gigabytes = measured(("savings",), path)
    assert seconds > 0.0
    assert 0.01 < gigabytes < 2.0
