"""The tables of a real ledger, on both databases, agree with its report and its calls, and all of them can be drawn."""

import random
from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from optimizer.analysis import figures
from optimizer.analysis.figure_tables import FigureTables, read_figure_tables
from optimizer.analysis.parts import Report
from optimizer.analysis.report import make_report
from optimizer.domain import Usage
from optimizer.engine import Optimizer
from optimizer.ledger.calls import rated_calls

START = datetime(2026, 11, 24, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)
N_CALLS = 90
SETTINGS = """
routing: {cost_limits: {daily_usd: 5}}
use_cases:
  mine: {candidates: [gpt-4o, gpt-oss-120b], baseline: gpt-4o, exploration: 0.6}
  other: {candidates: [gpt-4o, gpt-oss-120b]}
"""


@pytest.fixture
def opened(url: str, tmp_path: Path) -> Iterator[Optimizer]:
    """Three hours of calls, thirty each; one in three is of the other use case, one in two is rated."""
    config, now = tmp_path / "o.yaml", [START]
    config.write_text(SETTINGS)
    with Optimizer.open(
        config, database=url, environ={}, clock=lambda: now[0], rng=random.Random(3), background=False
    ) as opt:
        for number in range(N_CALLS):
            now[0] = START + number * HOUR / 30
            selection = opt.select_optimal_model("mine" if number % 3 else "other", 1_000)
            opt.record(selection, usage=Usage(input_tokens=1_000, output_tokens=200), latency_ms=500.0)
            if number % 2:
                opt.rate(selection.call_id, 0.5)
        opt.flush()
        now[0] = START + 3 * HOUR
        yield opt


def _report(opt: Optimizer, **more: object) -> Report:
    return make_report(opt.database, opt.settings, opt.catalog, START + 3 * HOUR, **more)  # type: ignore[arg-type]


def _tables(opt: Optimizer, report: Report) -> FigureTables:
    return read_figure_tables(opt.database, opt.settings, opt.catalog, report)


def test_tables_agree_with_the_report(opened: Optimizer) -> None:
    report = _report(opened)
    tables = _tables(opened, report)
    assert tables.share_over_time["calls"].sum() == tables.latency["calls"].sum() == N_CALLS
    assert tables.calibration["calls"].sum() == report.totals.n_rated == N_CALLS // 2
    assert tables.calibration["rated"].to_list() == [0.5]
    assert tables.money["paid_usd"].sum() == pytest.approx(report.totals.cost_usd)
    last = tables.savings_build_up.row(-1, named=True)
    assert report.saving is not None
    assert last["saved_usd"] == pytest.approx(report.saving.saved_usd)
    assert last["saved_low_usd"] == pytest.approx(report.saving.low_usd)
    (limit,) = report.limits
    spent = tables.spend_against_budget
    assert spent["limit"].unique().to_list() == [limit.name]
    assert spent["spent_usd"].max() == pytest.approx(limit.spent_usd)
    assert spent["expected_usd"].max() == pytest.approx(limit.expected_usd)


def test_beliefs_are_of_every_candidate_and_shares_sum_to_one(opened: Optimizer) -> None:
    beliefs = _tables(opened, _report(opened)).beliefs
    assert beliefs.select("use_case", "model").height == 4
    sums = beliefs.group_by("use_case").agg(pl.col("served", "chance").sum())
    assert sums["served"].to_list() == pytest.approx([1.0, 1.0])
    assert sums["chance"].to_list() == pytest.approx([1.0, 1.0])
    assert (beliefs["usd_per_call"] > 0).all()


def test_one_use_case_or_hour_is_shown_alone(opened: Optimizer) -> None:
    mine = _tables(opened, _report(opened, use_case="mine"))
    for frame in (mine.money, mine.share_over_time, mine.beliefs, mine.frontier):
        assert frame["use_case"].unique().to_list() == ["mine"]
    assert mine.latency["calls"].sum() == 60
    assert mine.calibration["calls"].sum() == 30
    hour = _tables(opened, _report(opened, since=START + 2 * HOUR))
    assert hour.share_over_time["at"].unique().to_list() == [START + 2 * HOUR]
    assert hour.calibration["calls"].sum() == 15


def test_latest_rated_calls_come_first(opened: Optimizer) -> None:
    period = START, START + 3 * HOUR
    everything = list(rated_calls(opened.database, *period, use_cases=("mine", "other"), limit=1_000))
    assert len(everything) == N_CALLS // 2
    latest = list(rated_calls(opened.database, *period, use_cases=("mine",), limit=3))
    assert {call.selection.use_case for call in latest} == {"mine"}
    times = sorted(call.selection.decided_at for call in everything if call.selection.use_case == "mine")
    assert sorted(call.selection.decided_at for call in latest) == times[-3:]


def test_every_table_is_drawn_by_the_figure_of_its_name(opened: Optimizer, capfd: pytest.CaptureFixture[str]) -> None:
    report = _report(opened)
    full, empty = _tables(opened, report), _tables(opened, replace(report, use_cases=(), saving=None, limits=()))
    for field in fields(FigureTables):
        assert not getattr(full, field.name).is_empty()
        assert getattr(empty, field.name).is_empty()
        for tables in (full, empty):
            figures.as_svg(getattr(figures, field.name)(getattr(tables, field.name)))
    assert capfd.readouterr().err == ""
