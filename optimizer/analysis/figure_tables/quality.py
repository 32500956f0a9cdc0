"""Tables of quality: what is believed of candidates, what it costs, and whether ratings bear out what was expected."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import polars as pl

from optimizer.analysis.dry_run import ALL, DryRun, PolicyResult
from optimizer.analysis.dry_run_log import COST, QUALITY
from optimizer.analysis.figure_tables.buckets import measured
from optimizer.analysis.intervals import mean_estimate
from optimizer.analysis.roles import INCUMBENT, MOST_CHOSEN, OTHER
from optimizer.decision.credit import call_reward
from optimizer.decision.evidence import CALLS
from optimizer.domain import Request, RewardRule
from optimizer.engine.deciding import Versions, make_decision
from optimizer.engine.snapshot import Snapshot
from optimizer.errors import OptimizerError
from optimizer.ledger.calls import StoredCall
from optimizer.routes import Route

MIX = "the mix that served"
_GROUPS, _LEAST = 10, 30  # groups of calibration at most, and rated calls in each at least

_BELIEFS = {"use_case": pl.String, "model": pl.String, "role": pl.String} | dict.fromkeys(
    ("quality", "low", "high", "ratings", "usd_per_call", "chance", "served", "floor"), pl.Float64
)
_POINTS = {"use_case": pl.String, "label": pl.String} | dict.fromkeys(
    ("usd_per_call", "usd_low", "usd_high", "quality", "quality_low", "quality_high"), pl.Float64
)
_FRONTIER = _POINTS | {"happened": pl.Boolean}
_CALIBRATION = dict.fromkeys(("expected", "rated", "low", "high"), pl.Float64) | {"calls": pl.Int64}


def beliefs(snapshot: Snapshot, evidence: pl.DataFrame) -> pl.DataFrame:
    """Return a row per called use case and candidate, the cheapest first: what the next call would be decided by.

    Believed quality with its 95% interval, ratings behind it, expected dollars of a call of the use case's mean
    length, the chance to be drawn now, the share of calls served so far, and the quality asked for (`floor`). A use
    case that nobody can serve now is left out.
    """
    calls = measured(evidence, CALLS).group_by("use_case", "model").agg(pl.col("n", "total").sum())
    rows = [
        row
        for (name,), mine in calls.group_by("use_case", maintain_order=True)
        if (route := snapshot.routes.by_use_case.get(str(name))) is not None
        for row in _believed(snapshot, route, mine)
    ]
    return pl.DataFrame(rows, schema=_BELIEFS).sort("use_case", "usd_per_call", nulls_last=True)


def _believed(snapshot: Snapshot, route: Route, calls: pl.DataFrame) -> Iterator[dict[str, Any]]:
    served = Counter(dict(calls.select("model", "n").iter_rows()))
    n_calls = served.total()
    tokens = float(calls["total"].sum()) / n_calls if n_calls else 0.0
    request = Request(use_case=route.name, context_tokens=round(tokens))
    try:
        decision = make_decision(snapshot, route, "", request, tokens, Versions(""))
    except OptimizerError:  # no figure is worth a report that fails
        return
    for standing in decision.standings:
        model = standing.candidate.model_id
        yield {
            "use_case": route.name,
            "model": model,
            "role": _role(route, model, served),
            "quality": standing.expected_quality,
            "low": standing.quality_low,
            "high": standing.quality_high,
            "ratings": standing.n_ratings,
            "usd_per_call": standing.expected_cost_usd,
            "chance": standing.share,
            "served": served[model] / n_calls if n_calls else 0.0,
            "floor": _floor(route, decision.by_model[route.incumbent].expected_quality),
        }


def _role(route: Route, model: str, served: Counter[str]) -> str:
    if model == route.incumbent:
        return INCUMBENT
    return MOST_CHOSEN if served and model == served.most_common(1)[0][0] else OTHER


def _floor(route: Route, incumbent_quality: float | None) -> float | None:
    objective = route.objective
    if objective.kind not in ("floor", "average") or objective.amount is None or incumbent_quality is None:
        return None
    return objective.amount * incumbent_quality if objective.relative else objective.amount


def frontier_of_models(beliefs: pl.DataFrame) -> pl.DataFrame:
    """Return a point per use case and candidate, from a table of beliefs, and one of the mix that served so far.

    Cost and quality are those expected of a call of the use case's mean length, so that models are compared on alike
    calls; the mix's are their means by share served, null where that of a model which served is unknown.
    """
    points = beliefs.select(
        "use_case",
        "usd_per_call",
        "quality",
        label="model",
        quality_low="low",
        quality_high="high",
        happened=pl.lit(False),
    )
    served = beliefs.filter(pl.col("served") > 0.0).group_by("use_case", maintain_order=True)
    mix = served.agg(_mean_by_share("usd_per_call"), _mean_by_share("quality"))
    mix = mix.with_columns(label=pl.lit(MIX), happened=pl.lit(True))
    frames = [frame.with_columns(_missing(frame)).select(_FRONTIER.keys()) for frame in (points, mix)]
    return pl.concat(frames).sort("use_case", "happened", "usd_per_call", nulls_last=True)


def _mean_by_share(name: str) -> pl.Expr:
    mean = (pl.col(name) * pl.col("served")).sum() / pl.col("served").sum()
    return pl.when(pl.col(name).is_null().any()).then(None).otherwise(mean).alias(name)


def _missing(frame: pl.DataFrame) -> list[pl.Expr]:
    return [pl.lit(None, kind).alias(name) for name, kind in _FRONTIER.items() if name not in frame.columns]


def frontier_of_policies(found: DryRun, use_case: str = ALL) -> pl.DataFrame:
    """Return a point per policy of a dry run in a use case, or in all together, and what really happened.

    Refused estimates are null. Of one use case alone, `all` is that one.
    """
    names = {each.use_case for each in found.happened}
    wanted = next(iter(names)) if use_case == ALL and ALL not in names and len(names) == 1 else use_case
    rows = [_point(each, happened=True) for each in found.happened if each.use_case == wanted]
    rows += [_point(each, happened=False) for each in found.policies if each.use_case == wanted]
    return pl.DataFrame(rows, schema=_FRONTIER, orient="row")


def _point(result: PolicyResult, *, happened: bool) -> tuple[Any, ...]:
    cost, quality = result.figures[COST], result.figures[QUALITY]
    numbers = cost.value, cost.low, cost.high, quality.value, quality.low, quality.high
    return (result.use_case, result.policy, *numbers, happened)


def calibration(calls: Iterable[StoredCall], rules: Mapping[str, RewardRule]) -> pl.DataFrame:
    """Return rated calls in up to ten groups of equal size, by the quality expected of the model that served.

    A row has the means `expected` and `rated`, the 95% limits of the second over sessions, and the number of `calls`;
    a group has 30 calls at least, if there are as many.

    Parameters
    ----------
    rules : mapping of str to RewardRule
        Use case → what its quality is; calls of others are left out.
    """
    pairs = sorted((pair for call in calls if (pair := _pair(call, rules)) is not None), key=lambda pair: pair[0])
    n_groups = min(_GROUPS, max(len(pairs) // _LEAST, 1)) if pairs else 0
    rows = []
    for group in np.array_split(np.arange(len(pairs)), n_groups) if n_groups else ():
        expected, rated, sessions = zip(*(pairs[i] for i in group.tolist()), strict=True)
        found = mean_estimate(rated, sessions).interval()
        rows.append((float(np.mean(expected)), *found, len(expected)))
    return pl.DataFrame(rows, schema=_CALIBRATION, orient="row")


def _pair(call: StoredCall, rules: Mapping[str, RewardRule]) -> tuple[float, float, str] | None:
    """Return what was expected of a call's quality, how it was rated, and its session; None where one is unknown."""
    served, selection = call.served, call.selection
    rule = rules.get(selection.use_case)
    if served is None or served.reused is not None or rule is None:
        return None
    standing = selection.decision.by_model.get(served.model_id)
    rated = call_reward(call.feedback, rule)
    if standing is None or standing.expected_quality is None or rated is None:
        return None
    return standing.expected_quality, rated, selection.request.session_id or selection.call_id
