"""Savings in arrays next to the reference that goes call by call, on made ledgers and on random calls."""

import math
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.made_ledger import Plan, make
from optimizer.analysis import savings
from optimizer.analysis.accounts import BaselinePrices, read_accounts
from optimizer.analysis.estimators import Options
from optimizer.analysis.report import BEGINNING, END
from optimizer.analysis.savings import Saving
from optimizer.catalog import load_catalog
from optimizer.domain import Price
from optimizer.ledger.database import Database
from optimizer.ledger.draws import draws_of
from optimizer.ledger.outcomes import outcomes_between
from optimizer.ledger.schema import open_database
from optimizer.routes import effective_routes
from optimizer.settings import load_settings
from tests.analysis.one_by_one import Draw, ServedCall, calls_of, in_columns, saved

UNTIL = datetime(2026, 11, 24, tzinfo=UTC)
N_CALLS = 24_000  # for each method to have enough of them somewhere
CATALOG, SETTINGS = load_catalog(), load_settings(None, {})
PRICES = BaselinePrices(SETTINGS, CATALOG, effective_routes(SETTINGS, CATALOG, UNTIL))


@pytest.fixture
def made(url: str) -> Iterator[Database]:
    database = open_database(url)
    make(database, Plan(N_CALLS, UNTIL, days=40, calls_per_decision=20))
    yield database
    database.close()


def test_a_made_ledger_has_saved_what_the_reference_says(made: Database) -> None:
    accounts = read_accounts(made, PRICES, BEGINNING, END)
    outcomes = list(outcomes_between(made, BEGINNING, END))
    calls = calls_of(outcomes, PRICES, dict(draws_of(made, {outcome.digest for outcome in outcomes})))
    assert list(accounts.calls) == list(calls)
    for name, mine in calls.items():
        _check_alike(accounts.saving({name}), saved(mine))
    _check_alike(accounts.saving(), saved(call for mine in calls.values() for call in mine))
    kinds = str(accounts.saving())
    assert all(kind in kinds for kind in ("experiment: ", "off-policy estimate: ", "priced counterfactual: "))
    latencies = [outcome.latency_ms for outcome in outcomes if outcome.use_case == "chat"]
    assert accounts.latencies["chat"].tolist() == latencies


def test_a_period_and_a_use_case_are_kept_to(made: Database) -> None:
    half = datetime(2026, 11, 22, tzinfo=UTC)
    accounts = read_accounts(made, PRICES, half, END, use_case="chat")
    outcomes = list(outcomes_between(made, half, END, use_case="chat"))
    assert list(accounts.calls) == ["chat"]
    assert accounts.calls["chat"].n_calls == len(outcomes)


def test_nothing_is_known_of_an_empty_period(made: Database) -> None:
    assert read_accounts(made, PRICES, END, END).saving() is None


COSTS = st.one_of(st.none(), st.floats(0.0, 0.01))
TOKENS = st.one_of(st.none(), st.integers(0, 300_000))
PRICE = Price(1.0, 10.0, 0.1, long_over_tokens=200_000, long_input_usd_per_mtok=2.0, long_output_usd_per_mtok=15.0)
DRAWS = st.builds(
    Draw,
    first=st.just(True),
    baseline=st.booleans(),
    baseline_share=st.sampled_from([0.0, 0.2, 0.7, 1.0]),
    held_out=st.booleans(),
    held_share=st.sampled_from([0.0, 0.1, 0.5]),
    incumbent=st.sampled_from(["dear", "other"]),
    at_s=st.just(0.0),
).filter(lambda draw: (draw.baseline, draw.baseline_share) not in ((True, 0.0), (False, 1.0)))
CALLS = st.builds(
    ServedCall,
    use_case=st.sampled_from(["chat", "code", "research"]),
    model_id=st.sampled_from(["dear", "cheap", "other"]),
    baseline=st.just("dear"),
    baseline_price=st.sampled_from([PRICE, PRICE, PRICE, Price()]),
    input_tokens=TOKENS,
    output_tokens=TOKENS,
    paid_usd=COSTS,
    cached_tokens=st.just(0),
    session_id=st.sampled_from([None, None, "a", "b", "c"]),
    draw=st.one_of(st.none(), DRAWS),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(CALLS, min_size=1, max_size=150), st.randoms(use_true_random=False))
def test_arrays_save_what_the_reference_saves(calls, random) -> None:
    calls = [replace(call, held_out=call.draw is not None and call.draw.held_out) for call in calls]
    calls += random.choices(calls, k=60)  # enough for an experiment
    calls = [_at(call, float(i)) for i, call in enumerate(calls)]
    calls = _with_draws_of_sessions(calls)
    options = Options(min_ess=5.0)
    _check_alike(savings.saved(in_columns(calls), options), saved(calls, options))


def _at(call: ServedCall, at_s: float) -> ServedCall:
    return call if call.draw is None else replace(call, draw=replace(call.draw, at_s=at_s))


def _with_draws_of_sessions(calls: list[ServedCall]) -> list[ServedCall]:
    """Have later turns go with their session's first draw, as they do."""
    drawn: dict[tuple[str, str], Draw] = {}
    found = []
    for call in calls:
        key = call.use_case, call.session_id
        if call.session_id is None or call.draw is None:
            found.append(call)
        else:
            first = drawn.setdefault(key, call.draw)
            draw = replace(first, first=first is call.draw, at_s=call.draw.at_s)
            found.append(replace(call, draw=draw, held_out=first.held_out))
    return found


def _check_alike(found: Saving | None, wanted: Saving) -> None:
    """Everything to rounding of sums; limits, whose errors may be differences of like numbers, a little less."""
    if found is None:
        assert wanted.n_calls == 0
        return
    mine, other = asdict(found), asdict(wanted)
    scale = abs(wanted.baseline_usd) + abs(wanted.paid_usd)
    for name, value in other.items():
        if isinstance(value, float):
            near = 1e-9 * (1.0 if "share" in name else scale)
            assert mine[name] == pytest.approx(value, rel=1e-6, abs=near) or math.isnan(value), name
        else:
            assert mine[name] == value, name
    assert np.isfinite(found.saved_usd)
