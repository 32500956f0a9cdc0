"""Replays of other floors and half-lives agree with what the table makes certain."""

from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from optimizer.analysis.questions import floor_and_half_life as choices
from optimizer.analysis.questions.floor_and_half_life import INCUMBENT, STEADY
from optimizer.analysis.questions.other_policies import run_dry
from optimizer.analysis.questions.reading import Records

TABLE = choices.example_table()
BEST = TABLE.models.index("titan")


def test_a_floor_of_all_is_the_incumbent_and_a_lower_one_saves() -> None:
    points = choices.replay_floors(TABLE, ("average:90%", "average:100%"), n_seeds=2)
    rows = {row["label"]: row for row in points.iter_rows(named=True)}
    assert rows[INCUMBENT]["usd_per_call"] == pytest.approx(TABLE.cost_usd[:, BEST].mean())
    assert rows["average:100%"]["kept"] == pytest.approx(1.0)
    assert rows["average:90%"]["saved"] > 0.5
    assert rows["average:90%"]["quality_low"] <= rows["average:90%"]["quality"] <= rows["average:90%"]["quality_high"]


def test_all_but_the_best_model_decline_to_the_share_asked_for() -> None:
    steady, falling = (choices.declining(TABLE, lowest) for lowest in (1.0, 0.5))
    last = falling.table == len(falling.tables) - 1
    others = np.arange(len(TABLE.models)) != BEST
    assert np.allclose(falling.quality[last][:, others], 0.5 * steady.quality[last][:, others])
    assert np.array_equal(falling.quality[:, BEST], steady.quality[:, BEST])
    assert falling.models[falling.incumbent] == "titan"
    assert steady.quality.sum() == pytest.approx(TABLE.quality.sum())


def test_a_half_life_too_short_to_know_anybody_saves_less() -> None:
    lives = (timedelta(hours=3), timedelta(days=14))
    points = choices.replay_half_lives(TABLE, lives, n_prompts=300, n_seeds=2).filter(use_case=STEADY)
    saved = dict(points.select("label", "saved").iter_rows())
    assert saved["3h"] < saved["14d"]


def test_answer_has_the_ledger_and_both_replays(records: Records) -> None:
    found = run_dry(records, ("logged", "average:90%"), half_lives=[timedelta(days=14)])
    floors = choices.replay_floors(TABLE, ("average:100%",), n_seeds=2)
    words = choices.in_words(found, floors, floors.with_columns(use_case=pl.lit(STEADY)))
    assert "its calls span 1.0 days. Dry runs at 14d" in words
    assert "average:100% kept 100.0% (95%: 100.0% to 100.0%) and saved 0%" in words
    assert f"Half-life, replayed where {STEADY}: average:100% kept" in words
