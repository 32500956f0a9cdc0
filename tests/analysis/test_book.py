"""A ledger's book agrees with the ledger, and its tables with one another."""

from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from optimizer.analysis.book import LEDGER, Book, find_ledger, in_words, read_book
from optimizer.analysis.frames import Frames
from optimizer.analysis.frames_questions import spend
from optimizer.analysis.roles import INCUMBENT, MOST_CHOSEN
from optimizer.errors import LedgerUnavailable
from optimizer.ledger.schema import open_database
from optimizer.simulation.demo import Day
from tests.simulation.day import SETTINGS, a_day

N_CALLS = 1_200  # enough for a cheaper model to be chosen and rated
WORLD = a_day(6, N_CALLS)


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Book:
    path = tmp_path_factory.mktemp("book") / "demo.db"
    Day(WORLD, SETTINGS, open_database(str(path)), refresh_every=timedelta(hours=1)).play()
    return read_book(str(path))


def test_book_stands_at_the_last_call(book: Book) -> None:
    assert timedelta() < book.at - WORLD.arrivals[-1].at <= timedelta(seconds=1)
    assert book.report.totals.n_calls == N_CALLS
    assert book.snapshot.at == book.at


def test_example_was_drawn_for_another_model_and_rated(book: Book) -> None:
    selection = book.example.selection
    assert selection.propensity is not None
    assert selection.model_id != selection.decision.incumbent
    assert book.example.feedback


def test_words_are_the_reports_numbers(book: Book) -> None:
    cost, saving = book.report.totals.cost_usd, book.report.saving
    assert cost is not None
    assert saving is not None
    assert saving.share is not None
    first, second, third = in_words(book).splitlines()
    assert first.startswith(f"Money: {N_CALLS:,} calls cost ${cost:,.2f}, ")
    assert f"so {saving.share:.0%} (95%: {saving.share_low:.0%} to {saving.share_high:.0%}) was saved." in first
    assert second.startswith("Choice: ")
    assert f"{book.report.totals.n_rated:,} rated calls" in third


def test_money_is_paid_and_saved(book: Book) -> None:
    found = book.tables.money
    assert found["baseline_usd"].is_sorted(descending=True)
    gap = found["paid_usd"] + found["saved_usd"] - found["baseline_usd"]
    assert gap.abs().max() == pytest.approx(0.0, abs=1e-9)
    assert found["calls"].sum() == N_CALLS


def test_money_of_the_frames_is_the_reports(book: Book) -> None:
    with Frames.open(book.where) as frames:
        found = spend(frames, "use_case").to_polars()
    parts = {part.use_case: part.figures.cost_usd for part in book.report.use_cases}
    assert dict(found.select("use_case", "cost_usd").rows()) == pytest.approx(parts)


def test_shares_of_an_hour_sum_to_one(book: Book) -> None:
    found = book.tables.share_over_time
    assert found["calls"].sum() == book.report.totals.n_served
    sums = found.group_by("use_case", "at").agg(pl.col("share").sum())
    assert (sums["share"] - 1.0).abs().max() == pytest.approx(0.0, abs=1e-9)


def test_beliefs_have_every_candidate_cheapest_first(book: Book) -> None:
    found = book.tables.beliefs
    for (use_case,), part in found.group_by("use_case"):
        route = book.snapshot.routes[str(use_case)]
        assert sorted(part["model"]) == sorted(candidate.model_id for candidate in route.candidates)
        assert part["usd_per_call"].is_sorted()
        assert part["chance"].sum() == pytest.approx(1.0)
        assert (part["low"] <= part["quality"]).all()
        assert (part["quality"] <= part["high"]).all()
        (incumbent,) = part.filter(pl.col("role") == INCUMBENT).iter_rows(named=True)
        assert incumbent["model"] == route.incumbent
        assert part["floor"].unique().to_list() == pytest.approx([0.97 * incumbent["quality"]])
        assert (part["role"] == MOST_CHOSEN).sum() <= 1


def test_ledger_is_the_one_named_or_this_folders_or_a_demos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    assert find_ledger({LEDGER: "postgresql://host/name"}) == "postgresql://host/name"
    assert find_ledger({}) == "optimizer.db"
    (tmp_path / "demo.db").touch()
    assert find_ledger({}) == "../demo.db"
    (tmp_path / "optimizer.db").touch()
    assert find_ledger({}) == "../optimizer.db"


def test_ledger_without_calls_says_how_to_make_some(tmp_path: Path) -> None:
    with pytest.raises(LedgerUnavailable, match="optimizer demo"):
        read_book(str(tmp_path / "gone.db"))
    assert not (tmp_path / "gone.db").exists()
    open_database(str(tmp_path / "empty.db")).close()
    with pytest.raises(LedgerUnavailable, match="optimizer demo"):
        read_book(str(tmp_path / "empty.db"))
