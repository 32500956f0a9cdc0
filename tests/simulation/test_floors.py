"""Replays of other floors and half-lives agree with what the table makes certain."""

from datetime import timedelta

import numpy as np
import pytest

from optimizer.simulation import floors
from optimizer.simulation.floors import INCUMBENT, STEADY

TABLE = floors.example_table()
BEST = TABLE.models.index("titan")


def test_a_floor_of_all_is_the_incumbent_and_a_lower_one_saves() -> None:
    points = floors.replay_floors(TABLE, ("average:90%", "average:100%"), n_seeds=2)
    rows = {row["label"]: row for row in points.iter_rows(named=True)}
    assert rows[INCUMBENT]["usd_per_call"] == pytest.approx(TABLE.cost_usd[:, BEST].mean())
    assert rows["average:100%"]["kept"] == pytest.approx(1.0)
    assert rows["average:90%"]["saved"] > 0.5
    assert rows["average:90%"]["quality_low"] <= rows["average:90%"]["quality"] <= rows["average:90%"]["quality_high"]


def test_all_but_the_best_model_decline_to_the_share_asked_for() -> None:
    steady, falling = (floors.declining(TABLE, lowest) for lowest in (1.0, 0.5))
    last = falling.table == len(falling.tables) - 1
    others = np.arange(len(TABLE.models)) != BEST
    assert np.allclose(falling.quality[last][:, others], 0.5 * steady.quality[last][:, others])
    assert np.array_equal(falling.quality[:, BEST], steady.quality[:, BEST])
    assert falling.models[falling.incumbent] == "titan"
    assert steady.quality.sum() == pytest.approx(TABLE.quality.sum())


def test_a_half_life_too_short_to_know_anybody_saves_less() -> None:
    lives = {"3h": timedelta(hours=3), "14d": timedelta(days=14)}
    points = floors.replay_half_lives(TABLE, lives, n_prompts=300, n_seeds=2).filter(use_case=STEADY)
    saved = dict(points.select("label", "saved").iter_rows())
    assert saved["3h"] < saved["14d"]
