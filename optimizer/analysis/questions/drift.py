"""Which models are no longer what they were? Alarms of drift with what raised them, and how close others are to one."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from optimizer.analysis.dry_run import Figure
from optimizer.analysis.intervals import Estimate, combined, mean_estimate
from optimizer.analysis.questions.reading import Records, with_limits
from optimizer.decision.credit import call_reward
from optimizer.decision.drift import THRESHOLD, changed_since, shifts, subject_of
from optimizer.engine.drift import Watch
from optimizer.ledger.alarms import RaisedAlarm
from optimizer.ledger.calls import StoredCall

_TIME = pl.Datetime("us", "UTC")
_RATINGS = pl.Schema(
    [
        *(("model", pl.String()), ("at", _TIME), ("until", _TIME), ("rated", pl.Int64())),
        *((name, pl.Float64()) for name in ("rating", "low", "high")),
    ]
)


@dataclass(frozen=True)
class Rated:
    """Calls that a model served and somebody rated: how many, and their mean rating; None where there are none."""

    n: int
    mean: Estimate | None


@dataclass(frozen=True)
class Shift:
    """An alarm, and what it was raised by.

    Attributes
    ----------
    before, after : Rated
        The model's ratings until the time that the alarm names, and from then on.
    share_before, share_after : float or None
        Its share of the calls that it could have served, from the time the alarm names until it was raised, and from
        then on.
    """

    raised: RaisedAlarm
    before: Rated
    after: Rated
    share_before: float | None
    share_after: float | None

    @property
    def difference(self) -> Figure:
        """Mean rating after less that before, with its 95% limits."""
        if self.before.mean is None or self.after.mean is None:
            return Figure()
        return Figure(*combined([self.after.mean, self.before.mean], [1.0, -1.0]).interval())


def read_shifts(records: Records) -> list[Shift]:
    """Return the alarms that name a time among the records, the earliest first."""
    return [_shift(records, raised) for raised in records.alarms if raised.since >= records.start]


def _shift(records: Records, raised: RaisedAlarm) -> Shift:
    model = raised.alarm.model_id
    able = [call for call in records.calls if model in call.selection.distribution]
    mine = [call for call in records.calls if call.served is not None and call.served.model_id == model]
    return Shift(
        raised,
        _rated(records, (call for call in mine if call.selection.decided_at < raised.since)),
        _rated(records, (call for call in mine if call.selection.decided_at >= raised.since)),
        _share(model, (call for call in able if raised.since <= call.selection.decided_at < raised.raised_at)),
        _share(model, (call for call in able if call.selection.decided_at >= raised.raised_at)),
    )


def _rated(records: Records, calls: Iterable[StoredCall]) -> Rated:
    values, sessions = [], []
    for call in calls:
        value = call_reward(call.feedback, records.settings.reward_rule(call.selection.use_case))
        if value is not None:
            values.append(value)
            sessions.append(call.selection.request.session_id or call.selection.call_id)
    return Rated(len(values), mean_estimate(values, sessions) if values else None)


def _share(model: str, calls: Iterable[StoredCall]) -> float | None:
    chosen = [call.selection.model_id == model for call in calls]
    return sum(chosen) / len(chosen) if chosen else None


def closeness(records: Records) -> pl.DataFrame:
    """Return a row per model and subject, the clearest first: how clear its clearest shift is, and since when.

    `deviations` is its size, in standard deviations of what chance does to a model that stays as it is; above 0 is a
    change for the better. It counts from the model's latest alarm on, if there is one.
    """
    now_s = int(records.end.timestamp())
    watch = Watch({name: each.metrics.quality for name, each in records.settings.use_cases.items()})
    watch.take(records.evidence.rows, now_s)
    alarms = [raised.alarm for raised in records.alarms]
    rows = []
    for measure, buckets in watch.measures(now_s).items():
        subject = subject_of(measure)
        if subject is None:
            continue
        begun = changed_since(alarms, subject)
        begun_s = np.array([begun.get(model, np.iinfo(np.int64).min) for model in watch.models], dtype=np.int64)
        scores, since_s = shifts(buckets, begun_s)
        sign = 1.0 if subject == "quality" else -1.0
        counts = buckets.n.sum(axis=(0, 1))
        rows += [
            (model, subject, int(counts[arm]), sign * float(scores[arm]), int(since_s[arm]))
            for arm, model in enumerate(watch.models)
            if counts[arm]
        ]
    schema = {"model": pl.String, "subject": pl.String, "seen": pl.Int64, "deviations": pl.Float64, "since": pl.Int64}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    since = pl.from_epoch("since", time_unit="s").dt.replace_time_zone("UTC")
    return frame.with_columns(since=since).sort(pl.col("deviations").abs(), descending=True)


def ratings_over_time(records: Records, models: Collection[str], every: timedelta = timedelta(hours=2)) -> pl.DataFrame:
    """Return a row per model and stretch of time with ratings: `at`, `until`, `rated`, mean `rating`, 95% limits."""
    stretches: dict[tuple[str, int], list[StoredCall]] = {}
    for call in records.calls:
        model = None if call.served is None else call.served.model_id
        if model in models:
            number = (call.selection.decided_at - _midnight(records)) // every
            stretches.setdefault((str(model), number), []).append(call)
    rows = []
    for (model, number), calls in sorted(stretches.items()):
        rated, at = _rated(records, calls), _midnight(records) + number * every
        if rated.mean is not None:
            mean, low, high = rated.mean.interval()
            limits = (None if limit is None else min(max(limit, 0.0), 1.0) for limit in (low, high))
            rows.append((model, at, at + every, rated.n, mean, *limits))
    return pl.DataFrame(rows, schema=_RATINGS, orient="row")


def _midnight(records: Records) -> datetime:
    return records.start.replace(hour=0, minute=0, second=0, microsecond=0)


def suspects(records: Records) -> list[str]:
    """Return the models that alarms name; without any, the one whose ratings have the clearest shift."""
    found = list(dict.fromkeys(shift.raised.alarm.model_id for shift in read_shifts(records)))
    return found or closeness(records).filter(subject="quality")["model"].head(1).to_list()


def alarm_times(records: Records) -> pl.DataFrame:
    """Return a row per alarm: `model`, the time `since` that it names, and when it was `raised`."""
    rows = [(s.raised.alarm.model_id, s.raised.since, s.raised.raised_at) for s in read_shifts(records)]
    times = dict.fromkeys(("since", "raised"), _TIME)
    return pl.DataFrame(rows, schema={"model": pl.String, **times}, orient="row")


def in_words(records: Records) -> list[str]:
    """Return a line per alarm, or one on the model that is closest to one."""
    found = read_shifts(records)
    if not found:
        closest = closeness(records)
        if closest.is_empty():
            return ["nothing is known of any model yet."]
        row = closest.row(0, named=True)
        return [
            f"no alarm. The clearest shift is {row['model']}'s in {row['subject']}: {row['deviations']:+.1f} "
            f"standard deviations, where an alarm asks for more than {THRESHOLD:g}."
        ]
    return [_shift_words(shift) for shift in found]


def _shift_words(shift: Shift) -> str:
    raised = shift.raised
    late = (raised.raised_at - raised.since) / timedelta(hours=1)
    said = (
        f"{raised.alarm}, since {raised.since:%Y-%m-%d %H:%M}; noticed at {raised.raised_at:%H:%M}, {late:.1f} h later."
    )
    if raised.alarm.subject == "quality":
        said += (
            f" Its mean rating changed by {with_limits(shift.difference, '{:+.2f}')}, from {shift.before.n} ratings "
            f"before to {shift.after.n} after."
        )
    if shift.share_before is not None and shift.share_after is not None:
        said += (
            f" It served {shift.share_before:.1%} of its use cases' calls until then, {shift.share_after:.1%} after."
        )
    return said
