"""Money is attributed to the last cent, whatever it is grouped by, and tenants are held to their own mix."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from optimizer.analysis import figures
from optimizer.analysis.frames import Frames
from optimizer.analysis.questions import spending
from optimizer.analysis.questions.spending import Spending
from optimizer.errors import LedgerUnavailable
from optimizer.ledger.schema import open_database
from tests.analysis.questions.conftest import N_CALLS


@pytest.fixture(scope="module")
def frames(ledger: Path) -> Iterator[Frames]:
    with Frames.open(str(ledger)) as opened:
        yield opened


@pytest.fixture(scope="module")
def found(frames: Frames) -> Spending:
    return spending.read_spending(frames)


def test_every_grouping_adds_up_to_the_whole(found: Spending) -> None:
    total = found.totals["cost_usd"].item()
    for name, frame in found.by.items():
        assert frame["cost_usd"].sum() == pytest.approx(total), name
        assert frame["share"].sum() == pytest.approx(1.0), name
        assert frame["cost_usd"].is_sorted(descending=True), name


def test_answer_says_what_for_whom_and_that_it_is_a_simulation(found: Spending) -> None:
    words = spending.in_words(found)
    assert f"{N_CALLS:,} SIMULATED calls cost ${found.totals['cost_usd'].item():,.2f}" in words
    first = found.by["use_case"].row(0, named=True)
    assert f"For: {first['use_case']} {first['share']:.0%}, " in words
    assert "On behalf of: acme " in words
    assert "By tag simulated: yes 100%." in words


def test_dearest_calls_cost_what_they_do(found: Spending) -> None:
    """Of four known costs, the dearest half is 8 + 4 of 15."""
    four = replace(found, calls=pl.DataFrame({"cost_usd": [1.0, 8.0, None, 2.0, 4.0]}))
    last = spending.concentration(four).row(-1, named=True)
    assert (last["calls"], last["share_of_money"]) == (2, pytest.approx(12.0 / 15.0))


def test_tenant_is_held_to_what_its_use_cases_usually_cost(found: Spending) -> None:
    """Two tenants, thirty calls each of one use case: at $1 and $3 the mean is $2, so they pay 0.5 and 1.5 of it."""
    calls = pl.DataFrame(
        {
            "call_id": [str(i) for i in range(60)],
            "use_case": ["chat"] * 60,
            "tenant": ["thrifty"] * 30 + ["dear"] * 30,
            "session_id": pl.Series([None] * 60, dtype=pl.String),
            "cost_usd": [1.0] * 30 + [3.0] * 30,
        }
    )
    rows = {row["tenant"]: row for row in spending.beside_mix(replace(found, calls=calls)).iter_rows(named=True)}
    assert rows["thrifty"]["ratio"] == pytest.approx(0.5)
    assert rows["dear"]["ratio"] == pytest.approx(1.5)
    assert rows["dear"]["ratio_low"] == pytest.approx(1.5)  # all alike: nothing is uncertain


def test_tenants_without_calls_enough_are_not_compared(found: Spending) -> None:
    few = replace(found, calls=found.calls.head(15))
    assert spending.beside_mix(few).is_empty()
    assert "no tenants to compare" in spending.in_words(few)


def test_figures_say_dollars(frames: Frames, found: Spending) -> None:
    pairs = spending.attributed(frames, "use_case", "tenant")
    assert "US dollars" in figures.spent(found.by["model"], "model").to_json()
    assert "US dollars" in figures.spent_by_two(pairs, "use_case", "tenant").to_json()
    for empty in (figures.spent(pairs.clear(), "tenant"), figures.spent_by_two(pairs.clear(), "use_case", "tenant")):
        assert "no cost is known yet" in empty.to_json()


def test_empty_ledger_says_how_to_fill_it(tmp_path: Path) -> None:
    open_database(str(tmp_path / "empty.db")).close()
    with Frames.open(str(tmp_path / "empty.db")) as frames, pytest.raises(LedgerUnavailable, match="optimizer demo"):
        spending.read_spending(frames)
