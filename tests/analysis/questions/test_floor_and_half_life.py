"""The answer has what the ledger says, and what replays say."""

from datetime import timedelta

import polars as pl

from optimizer.analysis.questions.floor_and_half_life import in_words
from optimizer.analysis.questions.other_policies import run_dry
from optimizer.analysis.questions.reading import Records
from optimizer.simulation import floors


def test_answer_has_the_ledger_and_both_replays(records: Records) -> None:
    found = run_dry(records, ("logged", "average:90%"), half_lives=[timedelta(days=14)])
    replayed = floors.replay_floors(floors.example_table(), ("average:100%",), n_seeds=2)
    words = in_words(found, replayed, replayed.with_columns(use_case=pl.lit(floors.STEADY)))
    assert "its calls span 1.0 days. Dry runs at 14d" in words
    assert "average:100% kept 100.0% (95%: 100.0% to 100.0%) and saved 0%" in words
    assert f"Half-life, replayed where {floors.STEADY}: average:100% kept" in words
