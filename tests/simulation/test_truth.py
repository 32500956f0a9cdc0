"""The truth about a day is read off the world, call by call."""

from dataclasses import replace

import numpy as np
import pytest

from optimizer.simulation.demo import Played
from optimizer.simulation.truth import truth_of
from tests.simulation.day import a_day

WORLD = a_day(4, 300)
RESEARCH = [arrival for arrival in WORLD.arrivals if arrival.use_case == "research"]
PLAYED = [
    Played(arrival, f"call-{arrival.prompt}", "gpt-5.6-luna", 0.1 * (i % 10), 0.01, 0.02, 0)
    for i, arrival in enumerate(RESEARCH)
]


def test_floor_is_97_percent_of_the_incumbent_on_the_same_prompts() -> None:
    found = truth_of(WORLD, PLAYED)
    answers = [WORLD.answer(arrival, "gpt-4o").quality for arrival in RESEARCH]
    incumbent = np.mean([quality for quality in answers if quality is not None])
    assert found.incumbent_quality == pytest.approx(incumbent)
    assert found.floor == pytest.approx(0.97 * incumbent)
    assert found.quality == pytest.approx(np.mean([call.quality for call in PLAYED]))
    assert found.holds is (found.quality >= found.floor)


def test_money_and_failures_are_counted() -> None:
    unserved = replace(PLAYED[0], model_id=None, quality=None, paid_usd=0.0)
    found = truth_of(WORLD, [unserved, *PLAYED[1:]])
    assert (found.n_calls, found.n_unserved) == (len(PLAYED), 1)
    assert found.paid_usd == pytest.approx(0.01 * (len(PLAYED) - 1))
    assert found.baseline_usd == pytest.approx(0.02 * len(PLAYED))


def test_of_nothing_nothing_is_known() -> None:
    found = truth_of(WORLD, [])
    assert (found.quality, found.incumbent_quality, found.holds) == (None, None, None)
