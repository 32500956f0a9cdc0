"""Drift in an open optimizer: an alarm is raised and told once, read by every worker, and makes old evidence light."""

import logging
import random
from datetime import timedelta

import pytest

from optimizer.decision.drift import Alarm
from optimizer.decision.evidence import FAILURE, FINE_S, HOUR_S, QUALITY, EvidenceKey, Sums
from optimizer.engine import Optimizer
from optimizer.engine.drift import Watch
from optimizer.ledger.alarms import raise_alarms, read_alarms
from optimizer.ledger.audit import verify
from tests.engine.conftest import Open
from tests.engine.factory import CHEAP, DEAR, NOON, USAGE, Clock, pool, teach

NOON_S = int(NOON.timestamp())


def _ratings(opt: Optimizer, model: str) -> float:
    context = opt.snapshot.context("chat", "")
    return float(opt.snapshot.arrays.ratings.n[context, opt.snapshot.axes.models.index(model)])


def _teach_hours(opts: list[Optimizer], clock: Clock, quality: float, n_hours: int) -> None:
    """Let the cheap model serve twelve calls an hour, through one optimizer after the other."""
    rng = random.Random(n_hours)
    for hour in range(n_hours):
        ratings = [float(rng.random() < quality) for _ in range(12)]
        teach(opts[hour % len(opts)], CHEAP, ratings)
        clock.forward(hours=1)
    for opt in opts:
        opt.refresh(flush=True)


def test_a_decline_is_told_once_and_makes_older_ratings_light(
    opened: Open, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Twenty hours at .9, then six at .3, learned by two workers in turn."""
    opts = [opened(pool()), opened(pool())]
    with caplog.at_level(logging.WARNING):
        _teach_hours(opts, clock, 0.9, 20)
        assert read_alarms(opts[0].database) == []
        _teach_hours(opts, clock, 0.3, 6)
    (raised,) = read_alarms(opts[0].database)
    assert (raised.alarm.model_id, raised.alarm.subject, raised.alarm.direction) == (CHEAP, "quality", "decline")
    assert abs(raised.since - (NOON + timedelta(hours=20))) <= timedelta(hours=1)
    assert [text for text in caplog.messages if "Drift" in text] == [
        f"Drift: {CHEAP} answers worse than before, since {raised.since:%Y-%m-%d %H:%M} UTC; "
        "what was seen before that weighs less from now on"
    ]
    for opt in opts:
        assert 24.0 + 60.0 < _ratings(opt, CHEAP) < 24.0 + 86.0  # 240 before at a tenth, 72 after, a little faded
    assert verify(opts[0].database, opts[0].settings.reward_rule) == []


@pytest.mark.parametrize("subject", ["quality", "failure"])
def test_an_alarm_makes_evidence_of_its_own_subject_light(opened: Open, clock: Clock, subject: str) -> None:
    """100 calls before, 40 an hour after; at an alarm between, those before weigh a tenth."""
    opt, other = opened(pool()), opened(pool())
    teach(opt, CHEAP, [0.8] * 100)
    clock.forward(hours=1)
    teach(opt, CHEAP, [0.8] * 40)
    raise_alarms(opt.database, [Alarm(NOON_S + FINE_S, CHEAP, subject, "decline")], clock())
    other.refresh()
    n_ratings = 40.0 + (10.0 if subject == "quality" else 100.0)
    assert _ratings(other, CHEAP) == pytest.approx(n_ratings, rel=0.01)
    arms = [other.snapshot.axes.models.index(model) for model in (CHEAP, DEAR)]
    rates = other.snapshot.arrays.failure_rate[other.snapshot.context("chat", ""), arms]
    n_attempts = 40.0 + (10.0 if subject == "failure" else 100.0)
    assert rates[0] == pytest.approx(0.2 / (n_attempts + 20.0), rel=0.01)
    assert rates[1] == pytest.approx(0.01)


def test_failures_raise_an_alarm_of_their_own(opened: Open, clock: Clock) -> None:
    opt = opened(pool())
    for hour in range(12):
        for number in range(12):
            selection = opt.select_optimal_model("chat", 1000, model=DEAR)
            failed = "timeout" if hour >= 8 and number % 2 else None
            opt.record(selection, usage=None if failed else USAGE, error=failed)
        clock.forward(hours=1)
        opt.refresh(flush=True)
    (raised,) = read_alarms(opt.database)
    assert str(raised.alarm) == f"{DEAR} fails more often than before"


def _rows(*cells: tuple[str, str, int, int]) -> dict[EvidenceKey, Sums]:
    """Rows of ten ratings of a use case, a model, an hour and a mean in tenths."""
    return {
        EvidenceKey(use_case, "", model, QUALITY + use_case, NOON_S - hour * HOUR_S, HOUR_S): Sums(
            10, tenths * 10_000, tenths * 10_000_000
        )
        for use_case, model, hour, tenths in cells
    }


def test_a_watch_fed_bit_by_bit_sees_what_one_fed_at_once_sees() -> None:
    """Rows come, change, go, and bring use cases and models that nobody knew."""
    cells = [(case, model, hour, 9 if hour > 4 else 2) for hour in range(12, 0, -1) for case in "ab" for model in "xy"]
    rows = _rows(*cells)
    whole, gradual = Watch({"a": "a", "b": "b"}), Watch({"a": "a", "b": "b"})
    whole.take(rows, NOON_S)
    gone = EvidenceKey("a", "", "z", FAILURE, NOON_S, HOUR_S)
    gradual.take({gone: Sums(5, 5, 5)} | dict.fromkeys(rows, Sums(1, 0, 0)), NOON_S)
    for key, sums in [*rows.items(), (gone, Sums())]:
        gradual.take({key: sums}, NOON_S)
    found = whole.alarms((), NOON_S)
    assert {(alarm.model_id, alarm.direction) for alarm in found} == {("x", "decline"), ("y", "decline")}
    assert {alarm.since_s for alarm in found} == {NOON_S - 4 * HOUR_S}
    assert gradual.alarms((), NOON_S) == found


def test_what_is_older_than_two_weeks_is_forgotten() -> None:
    rows = _rows(*(("a", "x", hour, 9 if hour > 4 else 2) for hour in range(12, 0, -1)))
    watch = Watch({"a": "a"})
    watch.take(rows, NOON_S)
    assert len(watch.alarms((), NOON_S)) == 1
    assert watch.alarms((), NOON_S + 15 * 24 * HOUR_S) == []
    watch.take(rows, NOON_S + 15 * 24 * HOUR_S)
    assert watch.alarms((), NOON_S + 15 * 24 * HOUR_S) == []
