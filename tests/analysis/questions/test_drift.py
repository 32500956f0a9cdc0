"""Alarms are told with what raised them; without one, the model that is closest to one is."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from optimizer.analysis import figures
from optimizer.analysis.questions import drift
from optimizer.analysis.questions.reading import Records
from optimizer.decision.credit import call_reward
from optimizer.decision.drift import THRESHOLD, Alarm
from optimizer.ledger.alarms import RaisedAlarm
from tests.simulation.day import clock

MODEL = "gpt-4o"


@pytest.fixture
def alarmed(records: Records) -> Records:
    """The day, as if an alarm had named noon, at two."""
    alarm = Alarm(int(clock(12).timestamp()), MODEL, "quality", "decline")
    return replace(records, alarms=(RaisedAlarm(alarm, clock(14)),))


def _mean(records: Records, start: datetime, end: datetime) -> float:
    values = [
        value
        for call in records.calls
        if call.served is not None and call.served.model_id == MODEL and start <= call.selection.decided_at < end
        if (value := call_reward(call.feedback, records.settings.reward_rule(call.selection.use_case))) is not None
    ]
    return sum(values) / len(values)


def test_a_steady_day_has_no_alarm_and_says_who_is_closest(records: Records) -> None:
    steady = replace(records, alarms=())
    (line,) = drift.in_words(steady)
    row = drift.closeness(steady).row(0, named=True)
    assert line.startswith(f"no alarm. The clearest shift is {row['model']}'s")
    assert f"more than {THRESHOLD:g}" in line


def test_an_alarm_is_told_with_ratings_before_and_after(alarmed: Records) -> None:
    (shift,) = drift.read_shifts(alarmed)
    changed = _mean(alarmed, clock(12), clock(24)) - _mean(alarmed, clock(0), clock(12))
    assert shift.difference.value == pytest.approx(changed)
    assert shift.difference.low < changed < shift.difference.high
    assert f"{MODEL} answers worse than before" in drift.in_words(alarmed)[0]


def test_an_alarm_of_earlier_days_is_left_out(alarmed: Records) -> None:
    (raised,) = alarmed.alarms
    old = replace(raised, alarm=replace(raised.alarm, since_s=raised.alarm.since_s - 10 * 86_400))
    assert drift.read_shifts(replace(alarmed, alarms=(old,))) == []


def test_ratings_over_time_add_up_to_all_of_the_models_ratings(alarmed: Records) -> None:
    assert drift.suspects(alarmed) == [MODEL]
    frame = drift.ratings_over_time(alarmed, [MODEL], timedelta(hours=3))
    mean = (frame["rating"] * frame["rated"]).sum() / frame["rated"].sum()
    assert mean == pytest.approx(_mean(alarmed, clock(0), clock(25)))
    chart = figures.ratings_moved(frame, drift.alarm_times(alarmed)).to_json()
    assert "mean rating, 0 to 1" in chart
    assert "no call was rated" in figures.ratings_moved(frame.clear(), drift.alarm_times(alarmed)).to_json()
