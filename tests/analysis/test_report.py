"""The report, computed by hand on ledgers of a few calls."""

import json
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from optimizer.analysis.parts import Report
from optimizer.analysis.report import make_report
from optimizer.catalog import load_catalog
from optimizer.decision.drift import Alarm
from optimizer.domain import Attempt, Usage
from optimizer.engine import Optimizer
from optimizer.errors import UnknownUseCase
from optimizer.ledger.alarms import raise_alarms
from optimizer.ledger.health import BreakerState, write_health
from optimizer.router.judging import judge_selection
from optimizer.selection import Selection

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
CATALOG = load_catalog()
USAGE = Usage(input_tokens=1000, output_tokens=200)
Open = Callable[..., Optimizer]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    """Open optimizers on one ledger, closed after the test; the clock stands at noon."""
    optimizers: list[Optimizer] = []

    def open_one(text: str = "", **environ: str) -> Optimizer:
        config = tmp_path / "o.yaml"
        config.write_text(text)
        opt = Optimizer.open(
            config,
            database=str(tmp_path / "ledger.db"),
            environ=environ,
            catalog=CATALOG,
            clock=lambda: NOON,
            rng=random.Random(7),
            background=False,
        )
        optimizers.append(opt)
        return opt

    yield open_one
    for opt in optimizers:
        opt.close()


def _call(opt: Optimizer, use_case: str = "code", rating: float | None = None, **came: Any) -> str:
    selection = opt.select_optimal_model(use_case, 1000, model=came.pop("pin", None))
    opt.record(selection, **({"usage": USAGE, "latency_ms": 800.0} | came))
    if rating is not None:
        opt.rate(selection.call_id, rating)
    return selection.call_id


def _report(opt: Optimizer, **asked: Any) -> Report:
    opt.flush()
    return make_report(opt.database, opt.settings, CATALOG, NOON, **asked)


def test_empty_ledger_says_so(opened: Open) -> None:
    report = _report(opened())
    assert report.headlines == ("No calls in this period.",)
    assert (report.totals.n_calls, report.totals.cost_usd, report.saving, report.use_cases) == (0, None, None, ())
    assert report.next_steps == ("optimizer select USE_CASE: make a first choice",)


def test_without_ratings_it_says_that_nothing_can_be_learned(opened: Open) -> None:
    opt = opened()
    call_id = _call(opt)
    report = _report(opt)
    assert report.headlines == (
        "0 ratings of 1 calls.",
        "Nothing can be learned: no rating source for code_generation; "
        "rate calls, set `judge`, or name a free check as quality.",
        "code_generation: 0 ratings: staying on gpt-4o until enough is known of it.",
    )
    assert report.next_steps[0].startswith(f"optimizer rate {call_id} 0.9")


@pytest.mark.parametrize(
    ("given", "has_source"),
    [
        ("judge: {model: claude-sonnet-5, rubric: Right or wrong}", True),
        ("judge: {model: claude-sonnet-5, rubric: Kind or not, metric: kind}, metrics: {others: [kind]}", False),
        ("metrics: {quality: valid_json}", True),
        ("metrics: {gates: [valid_json]}", False),
    ],
)
def test_judge_or_free_check_of_the_quality_is_a_rating_source(opened: Open, given: str, has_source: bool) -> None:
    opt = opened(f"use_cases: {{mine: {{candidates: [gpt-4o], {given}}}}}")
    _call(opt, "mine")
    assert ("no rating source" in " ".join(_report(opt).headlines)) is not has_source


def test_use_case_that_was_rated_once_has_a_rating_source(opened: Open) -> None:
    opt = opened()
    _call(opt, "code", rating=0.9)
    _call(opt, "chat")
    assert _report(opt).headlines[:2] == (
        "1 of 2 calls are rated.",
        "Nothing can be learned: no rating source for chat; rate calls, set `judge`, or name a free check as quality.",
    )
    assert "no rating source" not in " ".join(_report(opt, use_case="code").headlines)


def test_ratings_of_calls_that_are_not_recorded_wait(opened: Open) -> None:
    opt = opened()
    opt.rate(opt.select_optimal_model("code", 1000).call_id, 0.5)
    report = _report(opt)
    assert report.headlines[0] == "1 ratings wait: they count once it is recorded what came of their calls."
    assert "1 calls have no served attempt on record: tell what came of them with record()" in report.next_steps


def test_figures_by_hand(opened: Open) -> None:
    """gpt-4o: 1000·$2.5/M + 200·$10/M = $0.0045 a call; gpt-oss-120b was pinned and said to cost $0.0005.

    Against the baseline gpt-4o the pinned call saved 0.0045 − 0.0005 = 0.004; one call failed at unknown cost.
    """
    opt = opened()
    _call(opt, rating=0.9)
    _call(opt, rating=0.5, latency_ms=1600.0)
    _call(opt, rating=0.7, pin="gpt-oss-120b", cost_usd=0.0005)
    _call(opt, error="timeout", usage=None, latency_ms=None)
    report = _report(opt)
    (code,) = report.use_cases
    assert code.figures == report.totals
    assert (code.figures.n_calls, code.figures.n_served, code.figures.n_failed_attempts) == (4, 3, 1)
    assert code.figures.cost_usd == pytest.approx(0.0095)
    assert (code.figures.n_unknown_costs, code.figures.n_rated) == (1, 3)
    assert code.figures.mean_rating == pytest.approx(0.7)
    assert code.asked_quality == pytest.approx(0.97 * 0.7)  # gpt-4o's own mean: (0.9 + 0.5) / 2
    assert code.saving is not None
    assert code.saving.saved_usd == pytest.approx(0.004)
    assert code.saving.share == pytest.approx(0.004 / 0.0135)
    assert (code.saving.n_calls, code.saving.n_unknown) == (3, 0)
    assert (code.latency_p50_ms, code.latency_p95_ms) == (800.0, pytest.approx(1520.0))  # 800 + 0.9·800
    assert {m.model_id: m.share for m in code.models} == {"gpt-4o": 0.75, "gpt-oss-120b": 0.25}
    assert report.headlines[0] == "3 of 4 calls are rated."


def test_unknown_cost_is_never_zero(opened: Open) -> None:
    opt = opened()
    _call(opt, usage=None)
    report = _report(opt)
    assert (report.totals.cost_usd, report.totals.n_unknown_costs, report.saving) == (None, 1, None)
    assert "1 attempts of unknown cost: give record() their usage or cost_usd" in report.next_steps


def test_retired_baseline_is_priced_and_said_to_be_retired(opened: Open) -> None:
    """claude-3-sonnet charged $3 and $15 per million: 1000·3/M + 200·15/M = $0.006; the call cost $0.001."""
    opt = opened()
    _call(opt, "analysis", cost_usd=0.001)
    (analysis,) = _report(opt).use_cases
    assert (analysis.baseline, analysis.baseline_retired) == ("claude-3-sonnet", True)
    assert analysis.saving is not None
    assert analysis.saving.saved_usd == pytest.approx(0.005)


def test_period_and_use_case_choose_the_calls(opened: Open) -> None:
    opt = opened()
    _call(opt, "code")
    _call(opt, "chat")
    assert [u.use_case for u in _report(opt, use_case="code").use_cases] == ["code_generation"]
    assert _report(opt, since=NOON + timedelta(seconds=1)).totals.n_calls == 0
    assert _report(opt, until=NOON).totals.n_calls == 0
    assert _report(opt, since=NOON, until=NOON + timedelta(seconds=1)).totals.n_calls == 2
    with pytest.raises(UnknownUseCase):
        _report(opt, use_case="poetry")


def test_use_case_that_is_configured_no_more_is_reported_all_the_same(opened: Open) -> None:
    before = opened("use_cases: {mine: {candidates: [gpt-4o]}}")
    _call(before, "mine", rating=1.0)
    before.flush()
    report = _report(opened(), use_case="mine")
    (mine,) = report.use_cases
    assert (mine.objective, mine.saving, mine.figures.n_rated) == (None, None, 1)
    assert "mine: is in the ledger, but not in the configuration" in report.next_steps


def test_observe_mode_says_what_would_have_been_chosen(opened: Open) -> None:
    """The dearer incumbent serves; an objective of `value` would go for the cheaper one at once."""
    text = "use_cases: {code: {candidates: [gpt-4o, gpt-oss-120b], objective: 'value:0.0001', exploration: 0}}"
    opt = opened(text, LLM_COST_OPTIMIZATION="false")
    for _ in range(3):
        _call(opt)
    report = _report(opt)
    assert any("Observe mode" in line for line in report.headlines)
    (code,) = report.use_cases
    assert code.observed is not None
    assert (code.observed.n_calls, code.observed.choices, code.observed.n_unknown) == (3, {"gpt-oss-120b": 3}, 0)
    assert 0 < code.observed.chosen_cost_usd < code.observed.expected_cost_usd
    assert code.observed.low_usd < code.observed.would_have_saved_usd < code.observed.high_usd
    assert code.saving is not None
    assert code.saving.saved_usd == 0.0


def test_flag_that_switches_routing_off_is_said(opened: Open) -> None:
    opt = opened("", LLM_ROUTING_ENABLED="false")
    _call(opt)
    assert any("Routing is off (LLM_ROUTING_ENABLED)" in line for line in _report(opt).headlines)


def test_report_is_the_same_on_both_databases(url: str) -> None:
    """Postgres adds whole numbers up to decimal ones, which JSON does not know."""
    with Optimizer.open(database=url, environ={}, catalog=CATALOG, clock=lambda: NOON, background=False) as opt:
        _call(opt, rating=0.9)
        _call(opt, rating=0.7, pin="gpt-oss-120b", cost_usd=0.0005)
        found = json.loads(json.dumps(_report(opt).to_dict()))
    assert found["totals"]["cost_usd"] == pytest.approx(0.005)
    assert found["totals"]["mean_rating"] == pytest.approx(0.8)
    assert found["saving"]["saved_usd"] == pytest.approx(0.004)


def test_json_keeps_its_keys(opened: Open) -> None:
    opt = opened("", LLM_COST_OPTIMIZATION="false")
    _call(opt, rating=1.0)
    found = _report(opt, since=NOON).to_dict()
    keys = "at since until headlines totals saving use_cases next_steps judging breakers limits alarms"
    assert list(found) == keys.split()
    assert (found["since"], found["until"]) == ("2026-11-24T12:00:00+00:00", None)
    (code,) = found["use_cases"]
    figures = {
        "n_calls",
        "n_served",
        "n_failed_attempts",
        "cost_usd",
        "n_unknown_costs",
        "n_rated",
        "mean_rating",
        "n_reused",
        "n_failovers",
    }
    assert set(found["totals"]) == figures
    assert set(code) == figures | {
        "use_case",
        "headline",
        "objective",
        "incumbent",
        "baseline",
        "baseline_retired",
        "asked_quality",
        "saving",
        "latency_p50_ms",
        "latency_p95_ms",
        "models",
        "observed",
    }
    assert set(code["models"][0]) == figures | {"model_id", "share"}
    assert set(code["observed"]) == {
        "n_calls",
        "choices",
        "n_unknown",
        "expected_cost_usd",
        "chosen_cost_usd",
        "low_usd",
        "high_usd",
        "would_have_saved_usd",
    }


LIMITED = """
use_cases: {{chat: {{candidates: [gpt-4o, gpt-oss-120b], incumbent: gpt-4o, cost_limits: {{monthly_usd: 50}}}}}}
routing: {{cost_limits: {{daily_usd: {daily}}}}}
"""


def test_small_spending_is_written_out(opened: Open) -> None:
    opt = opened(LIMITED.format(daily=20.0))
    opt.purse.charge("chat", None, 92_400).result()
    found = make_report(opt.database, opt.settings, CATALOG, NOON + timedelta(minutes=15))
    assert any("$0.000092 spent" in line for line in found.headlines)


@pytest.mark.parametrize(("daily", "held"), [(20.0, ()), (0.02, ("chat",))])
def test_limits_are_reported_with_their_pace(opened: Open, daily: float, held: tuple[str, ...]) -> None:
    """Two calls of $0.0045 in a quarter of an hour make 94 in the eleven and three quarters left, some $0.42."""
    opt = opened(LIMITED.format(daily=daily))
    for _ in range(2):
        _call(opt, "chat", pin="gpt-4o")
    opt.flush()
    found = make_report(opt.database, opt.settings, CATALOG, NOON + timedelta(minutes=15))
    day, month = found.limits
    assert (day.name, month.name) == ("the daily limit", "the monthly limit of chat")
    assert (day.limit_usd, day.spent_usd, day.held, month.held) == (daily, 0.009, held, ())
    assert day.expected_usd == pytest.approx(0.44 if not held else 0.02, abs=0.03)
    line = next(line for line in found.headlines if line.startswith("The daily limit, $"))
    assert "$0.009 spent, on pace for $" in line
    assert "by 2026-11-25 00:00 UTC" in line
    assert line.endswith("; it holds back chat." if held else "UTC.")
    assert json.loads(json.dumps(found.to_dict()))["limits"][0]["spent_usd"] == 0.009


def test_without_limits_none_are_reported(opened: Open) -> None:
    opt = opened()
    _call(opt)
    assert _report(opt).limits == ()
    assert not any("limit" in line for line in _report(opt).headlines)


JUDGED = "use_cases: {chat: {judge: {model: gpt-4o, rubric: Is it polite}}}"


def _judge(opt: Optimizer, judged: Selection) -> None:
    """Let gpt-4o judge a call with 1,000 and 200 tokens, at 2.5 / 10: $0.0045."""
    candidate = opt.catalog.candidate("gpt-4o", "portkey", NOON)
    selection = judge_selection(candidate, judged, 1000, NOON)
    attempt = Attempt(selection.call_id, "gpt-4o", "portkey", NOON, usage=USAGE, cost_nano_usd=4_500_000)
    opt.keep(selection, attempt)


def test_judges_are_shown_apart_and_belong_to_no_saving(opened: Open) -> None:
    """The user's call costs $0.00045 (1,000 at 0.2 and 200 at 1.25 per million), its judge ten times as much."""
    opt = opened(JUDGED)
    call_id = _call(opt, "chat", pin="gpt-5.4-nano")
    opt.flush()
    _judge(opt, opt.call(call_id).selection)
    report = _report(opt)
    assert report.judging is not None
    assert (report.judging.n_calls, report.judging.cost_usd) == (1, 0.0045)
    assert (report.totals.n_calls, report.totals.cost_usd) == (2, pytest.approx(0.00495))
    assert [u.use_case for u in report.use_cases] == ["chat"]
    assert report.saving is not None
    assert (report.saving.n_calls, report.headlines[0]) == (1, "0 ratings of 1 calls.")
    assert f"optimizer explain {call_id}" in report.next_steps[-2]
    assert not any(step.startswith("judge: ") for step in report.next_steps)
    assert json.loads(json.dumps(report.to_dict()))["judging"]["cost_usd"] == 0.0045


def test_without_judges_nothing_is_said_of_them_and_asked_for_by_name_they_are_a_use_case(opened: Open) -> None:
    opt = opened(JUDGED)
    call_id = _call(opt, "chat")
    assert _report(opt).judging is None
    _judge(opt, opt.call(call_id).selection)
    report = _report(opt, use_case="judge")
    assert ([u.use_case for u in report.use_cases], report.judging) == (["judge"], None)
    assert _report(opt, use_case="chat").totals.n_calls == 1


def test_calls_that_another_model_served_are_counted(opened: Open) -> None:
    """One failed over, one was served by its own model at the second attempt, one not at all."""
    opt = opened()
    failed_over, again, _ = (_call(opt, "chat", error="timeout") for _ in range(3))
    opt.record(failed_over, usage=USAGE, attempt=1, model="gpt-4o-mini")
    opt.record(again, usage=USAGE, attempt=1)
    report = _report(opt)
    assert (report.totals.n_failovers, report.totals.n_failed_attempts) == (1, 3)
    assert "1 calls were served by another model than the one chosen (failover)." in report.headlines


def test_breakers_that_are_not_closed_are_listed(opened: Open) -> None:
    opt = opened()
    until = NOON + timedelta(seconds=30)
    states = [
        BreakerState("portkey", "gpt-4o", "open", "server", 3, NOON, until),
        BreakerState("portkey", "o3", "closed", None, 0, NOON),
        BreakerState("openrouter", "*", "half_open", "unreachable", 5, NOON),
    ]
    write_health(opt.database, states)
    report = _report(opt)
    assert report.breakers == (states[2], states[0])
    assert report.to_dict()["breakers"][1]["open_until"] == until.isoformat()


def test_alarms_of_the_period_and_of_its_candidates_are_listed(opened: Open) -> None:
    """One raised an hour before noon about a candidate of chat, one at noon about a model that nobody offers."""
    opt = opened()
    _call(opt, "chat")
    for hours, model in ((1, "gpt-5.4-nano"), (0, "a model of old")):
        raise_alarms(opt.database, [Alarm(0, model, "quality", "decline")], NOON - timedelta(hours=hours))
    listed = [alarm.model_id for alarm in _report(opt, until=NOON + timedelta(hours=1)).alarms]
    assert listed == ["a model of old", "gpt-5.4-nano"]
    assert [alarm.model_id for alarm in _report(opt, since=NOON).alarms] == ["a model of old"]
    (alarm,) = _report(opt, use_case="chat").alarms
    assert (alarm.model_id, alarm.direction) == ("gpt-5.4-nano", "decline")
    assert alarm.meaning == "gpt-5.4-nano answers worse than before"
