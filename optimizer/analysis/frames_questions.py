"""Questions that most ledgers are asked, as expressions over frames: spend, speed, shares, ratings, by what you like.

Each takes names to group by: `use_case`, `segment`, `tenant`, `model`, `gateway`, `provider` and other columns of its
table, `hour` or `day` (UTC, when the model was chosen), and `tag:NAME`, which is null where a call has no such tag.
"""

from typing import Any

from optimizer.analysis.frames import Frames
from optimizer.analysis.frames_columns import TIME
from optimizer.analysis.frames_ledger import Table
from optimizer.decision.credit import JUDGE

_TAG = "tag:"
_UNITS = {"hour": "h", "day": "D"}


def spend(frames: Frames, *by: str) -> Table:
    """Return what was spent on each group, the most first: `n_calls`, `n_attempts`, `cost_usd`, `n_unknown_costs`.

    Every attempt counts, failed ones too, for the `model` that made it; replies that are another call's cost nothing
    and are left out. `cost_usd` sums what is known, and is null where nothing is.
    """
    calls = frames.calls.rename(chosen_model="model").drop("decision")
    attempts = frames.attempts.filter(frames.attempts.reused.isnull())
    found = _with(frames, attempts.join(calls, "call_id"), by)
    sums = found.aggregate(
        by=by,
        n_calls=found.call_id.nunique(),
        n_attempts=found.count(),
        cost_usd=found.cost_usd.sum(),
        n_unknown_costs=found.cost_usd.isnull().sum(),
    )
    return sums.order_by(sums.cost_usd.desc(nulls_first=False))


def percentiles(
    frames: Frames, *by: str, of: str = "latency_ms", levels: tuple[float, ...] = (0.5, 0.95, 0.99)
) -> Table:
    """Return how long served calls took in each group: `n_calls` of known duration, and `p50_ms` and the like.

    Parameters
    ----------
    of : {"latency_ms", "ttft_ms"}
        To the last token, or to the first.
    """
    found = _with(frames, frames.served, by)
    found = found.filter(found[of].notnull())
    at = {f"p{100 * level:g}_ms".replace(".", "_"): found[of].quantile(level) for level in levels}
    return _in_order(found.aggregate(by=by, n_calls=found.count(), **at), by)


def shares(frames: Frames, *, every: str = "hour") -> Table:
    """Return who served each use case over time: `use_case`, `model`, `hour` or `day`, `n_calls`, `share` of its calls.

    A model that served nobody in an hour has no row there.
    """
    by = ("use_case", every)
    found = _with(frames, frames.served, by)
    counts = found.aggregate(by=(*by, "model"), n_calls=found.count())
    share = counts.n_calls / counts.n_calls.sum().over(group_by=by)
    return _in_order(counts.mutate(share=share), (*by, "model"))


def ratings(frames: Frames) -> Table:
    """Return every standing rating of a served call, beside who served: `value` in [0, 1], `is_judge`, and the call."""
    served = frames.served.drop("latency_ms", "ttft_ms", "n_attempts")
    given = frames.feedback.filter(frames.feedback.value.notnull())
    return given.mutate(is_judge=given.rater.startswith(JUDGE)).join(served, "call_id")


def quality(frames: Frames, *by: str) -> Table:
    """Return the mean rating of each group and metric: `n_rated` calls, `mean`, and its standard error `stderr`.

    A call's rating is the mean over its people, or, where none rated it, over its judges; gates are not applied.
    """
    found = _with(frames, ratings(frames), by)
    keys = ("call_id", "metric", *by)
    people = found.value.mean(where=~found.is_judge)
    calls = found.aggregate(by=keys, value=people.fill_null(found.value.mean()))
    means = calls.aggregate(
        by=(*by, "metric"),
        n_rated=calls.count(),
        mean=calls.value.mean(),
        stderr=calls.value.std() / calls.count().sqrt(),
    )
    return _in_order(means, (*by, "metric"))


def _with(frames: Frames, table: Table, by: tuple[str, ...]) -> Table:
    """Return a table of calls with the columns that are asked for and that it does not have itself."""
    for name in by:
        if name in _UNITS:
            table = table.mutate(**{name: _beginning(table.decided_at, _UNITS[name])})
        elif name.startswith(_TAG):
            tags = frames.tags.filter(frames.tags.name == name.removeprefix(_TAG)).drop("name").rename({name: "value"})
            table = table.left_join(tags, "call_id").drop("call_id_right")
    return table


def _in_order(table: Table, by: tuple[str, ...]) -> Table:
    return table.order_by(by) if by else table


def _beginning(at: Any, unit: str) -> Any:  # noqa: ANN401 - of ibis, which has no types
    return at.truncate(unit).cast(TIME)  # truncating forgets that the time was UTC
