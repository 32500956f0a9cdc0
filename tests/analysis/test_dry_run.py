"""Dry runs on a ledger whose two models always cost and earn the same, so that every policy's truth is known."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from optimizer.analysis.dry_run import ALL, DryRun, Figure, dry_run
from optimizer.analysis.dry_run_policy import Decider, check_policy, simple, with_objective
from optimizer.catalog import load_catalog
from optimizer.domain import RewardRule
from optimizer.engine import Optimizer
from optimizer.errors import InvalidRequest
from optimizer.ledger.calls import calls_between
from optimizer.ledger.evidence import EvidenceReader
from optimizer.selection import Selection
from optimizer.settings import load_settings

START = datetime(2026, 11, 24, 8, tzinfo=UTC)
END = START + timedelta(days=1)
CHEAP, DEAR = "gpt-oss-120b", "gpt-4o"
USD, QUALITY = {CHEAP: 0.001, DEAR: 0.004}, {CHEAP: 0.6, DEAR: 0.9}
SETTINGS = """
use_cases:
  mine: {candidates: [gpt-4o, gpt-oss-120b, gpt-4o-mini], objective: "average:0.7", exploration: 0.6, holdout: 0}
  other: {candidates: [gpt-4o, gpt-oss-120b], objective: "average:0.7", exploration: 0.6}
"""


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Optimizer]:
    """Six hours of calls, a hundred each; some in sessions, some pinned, seven in eight rated."""
    folder = tmp_path_factory.mktemp("dry_run")
    config = folder / "o.yaml"
    config.write_text(SETTINGS)
    now = [START]
    with Optimizer.open(
        config,
        database=str(folder / "ledger.db"),
        environ={},
        catalog=load_catalog(),
        clock=lambda: now[0],
        rng=random.Random(3),
        background=False,
    ) as opt:
        for number in range(600):
            now[0] = START + timedelta(seconds=36 * number)
            if number % 50 == 0:
                opt.refresh(flush=True)
            _call(opt, number)
        opt.flush()
        yield opt


def _call(opt: Optimizer, number: int) -> None:
    selection = opt.select_optimal_model(
        "other" if number % 6 == 5 else "mine",
        1_000 + number % 7,
        session_id=f"s{number // 4}" if number % 4 < 2 and number > 300 else None,
        model=DEAR if number % 40 == 0 else None,
    )
    usd = USD.get(selection.model_id, 0.002)
    opt.record(selection, cost_usd=usd, latency_ms=1e6 * usd, usage={"prompt_tokens": 1_000, "completion_tokens": 100})
    if number % 8:
        opt.rate(selection.call_id, QUALITY.get(selection.model_id, 0.7))


def _run(opt: Optimizer, *names: str) -> DryRun:
    rules = {"mine": RewardRule(), "other": RewardRule()}
    return dry_run(calls_between(opt.database, START, END), {name: simple(name) for name in names}, rules)


def _all(found: DryRun, policy: str):
    return next(row for row in found.policies if (row.policy, row.use_case) == (policy, ALL))


def _near(figure: Figure, truth: float) -> bool:
    assert figure.value is not None
    return figure.value == pytest.approx(truth, rel=0.05)


def test_fixed_policy_costs_and_earns_what_its_model_does(opened: Optimizer) -> None:
    row = _all(_run(opened, f"fixed:{DEAR}"), f"fixed:{DEAR}")
    assert _near(row.figures["cost_usd"], USD[DEAR])
    assert _near(row.figures["latency_ms"], 4_000.0)
    assert _near(row.figures["quality"], QUALITY[DEAR])
    assert row.share[DEAR].value == pytest.approx(1.0)
    assert row.total_usd.value == pytest.approx(row.n_calls * (row.figures["cost_usd"].value or 0.0))


def test_logged_policy_is_about_what_happened(opened: Optimizer) -> None:
    found = _run(opened, "logged")
    happened = next(row for row in found.happened if row.use_case == ALL)
    cost, real = _all(found, "logged").figures["cost_usd"], happened.figures["cost_usd"].value
    assert cost.low < real < cost.high
    assert {row.use_case for row in found.happened} == {"mine", "other", ALL}


def test_what_was_not_drawn_is_left_out_and_counted(opened: Optimizer) -> None:
    found = _run(opened, "logged")
    assert found.left_out["not drawn: pin"] == 15
    assert next(row for row in found.happened if row.use_case == ALL).n_calls + sum(found.left_out.values()) == 600


def test_model_that_was_never_a_candidate_is_refused_with_the_reason(opened: Optimizer) -> None:
    row = _all(_run(opened, "fixed:claude-opus-5"), "fixed:claude-opus-5")
    assert row.off_support == pytest.approx(1.0)
    assert row.figures["cost_usd"].value is None
    assert "never could be drawn" in str(row.figures["cost_usd"].refused)


def test_decided_anew_knows_nothing_of_its_own_hour_and_later(opened: Optimizer) -> None:
    """Evidence of later hours, whatever it says, changes no distribution; that of earlier ones does."""
    calls = [call.selection for call in calls_between(opened.database, START, END)]
    at = START + timedelta(hours=3)
    early = [s for s in calls if s.decided_at < at and s.propensity is not None]
    reader = EvidenceReader(opened.database)
    reader.refresh()
    before = {
        key: sums for key, sums in reader.rows.items() if key.bucket_start_s < (at - timedelta(hours=1)).timestamp()
    }
    settings = with_objective(opened.settings, "quality")
    whole, part, none = (Decider(settings, opened.catalog, rows, override=True) for rows in (reader.rows, before, {}))
    assert [whole(s) for s in early] == [part(s) for s in early]
    assert whole(early[-1]) != none(early[-1])


def test_decided_anew_chooses_among_those_that_were_eligible(opened: Optimizer) -> None:
    decider = Decider(with_objective(opened.settings, "quality"), opened.catalog, {}, override=True)
    selection = next(c.selection for c in calls_between(opened.database, START, END) if c.selection.use_case == "mine")
    assert decider(selection).keys() <= selection.distribution.keys()
    assert sum(decider(selection).values()) == pytest.approx(1.0)


def test_objectives_are_policies(opened: Optimizer) -> None:
    reader = EvidenceReader(opened.database)
    reader.refresh()
    decider = Decider(with_objective(opened.settings, "quality"), opened.catalog, reader.rows, override=True)
    rules = {"mine": RewardRule(), "other": RewardRule()}
    found = dry_run(calls_between(opened.database, START, END), {"quality": decider}, rules)
    dear = _all(found, "quality")
    assert (dear.share[DEAR].value or 0.0) > 0.4
    assert dear.figures["cost_usd"].value is not None


def test_use_cases_that_are_not_configured_are_counted(opened: Optimizer) -> None:
    found = dry_run(calls_between(opened.database, START, END), {"logged": simple("logged")}, {"mine": RewardRule()})
    assert found.left_out["of use cases that are not configured"] > 50
    assert [row.use_case for row in found.happened] == ["mine"]


@pytest.mark.parametrize("name", ["fixed:", "best", "average:200%", ""])
def test_names_that_are_no_policy_are_refused(name: str) -> None:
    with pytest.raises(InvalidRequest, match="is none of logged, incumbent, random, configured, fixed:<model>"):
        check_policy(name)


def test_settings_with_an_objective_stand_above_required_qualities(tmp_path: Path) -> None:
    config = tmp_path / "o.yaml"
    config.write_text("use_cases: {mine: {candidates: [gpt-4o], required_quality: 0.9}}")
    settings = with_objective(load_settings(config, {}), "value:0.01")
    assert str(settings.use_cases["mine"].asks) == "value:0.01"


def test_a_policy_stands_beside_the_one_that_served(opened: Optimizer) -> None:
    """Half of the drawn calls at random, of two models whose costs never vary: their difference hardly does."""
    found = _run(opened, f"fixed:{DEAR}", "logged")
    row, served = _all(found, f"fixed:{DEAR}"), _all(found, "logged")
    difference = row.beside["cost_usd"]
    assert difference.value is not None
    assert difference.value == pytest.approx(USD[DEAR] - (served.figures["cost_usd"].value or 0.0), rel=0.1)
    assert difference.low <= difference.value <= difference.high
    assert served.beside["cost_usd"] == Figure(0.0, 0.0, 0.0)
    assert row.to_dict()["beside"]["cost_usd"]["value"] == difference.value
    assert row.overlaps["cost_usd"].ess == row.ess


def test_a_policy_that_chose_otherwise_where_it_can_be_seen_is_refused(opened: Optimizer) -> None:
    """For an hour it chooses a model that nobody could draw; the hours after that do not speak for this one."""

    def changing(selection: Selection) -> dict[str, float]:
        return {"o3": 1.0} if selection.decided_at < START + timedelta(hours=1) else selection.distribution

    found = dry_run(calls_between(opened.database, START, END), {"changing": changing}, {"mine": RewardRule()})
    (row,) = found.policies
    assert row.figures["cost_usd"].value is None
    assert "chose otherwise at the times that the log can speak of" in row.figures["cost_usd"].refused
    assert row.beside["cost_usd"].value is None
