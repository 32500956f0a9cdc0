"""Would another policy have been better? Policies run dry on a ledger's last calls, and what estimates rest on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from optimizer.analysis.dry_run import ALL, DryRun, Figure, PolicyResult, dry_run
from optimizer.analysis.dry_run_log import COST, LATENCY, QUALITY
from optimizer.analysis.dry_run_policy import (
    CONFIGURED,
    INCUMBENT,
    LOGGED,
    RANDOM,
    Decider,
    Policy,
    is_decided,
    simple,
    with_objective,
)
from optimizer.analysis.estimators import MIN_ESS
from optimizer.analysis.questions.reading import Records, listed, with_limits
from optimizer.settings import Settings

USUAL = (LOGGED, CONFIGURED, "average:90%", "average:100%", INCUMBENT, RANDOM)
# Measure → columns of its mean and of the 95% limits.
_COLUMNS = {
    COST: ("usd_per_call", "usd_low", "usd_high"),
    QUALITY: ("quality", "quality_low", "quality_high"),
    LATENCY: ("latency_ms", "latency_low_ms", "latency_high_ms"),
}
_NUMBERS = dict.fromkeys((name for names in _COLUMNS.values() for name in names), pl.Float64)
_HALF_LIFE = "half-life "


@dataclass(frozen=True)
class Alternatives:
    """Policies run dry, and the records that they were run on."""

    records: Records
    found: DryRun

    @property
    def use_cases(self) -> tuple[str, ...]:
        """Those with drawn calls; all of them together, where there are several, come last."""
        return tuple(each.use_case for each in self.found.happened)

    @property
    def whole(self) -> str:
        """The name of all drawn calls together."""
        return self.use_cases[0] if len(self.use_cases) == 1 else ALL

    def of(self, policy: str, use_case: str | None = None) -> PolicyResult:
        """Return the result of a policy, by default on all calls."""
        wanted = self.whole if use_case is None else use_case
        return next(each for each in self.found.policies if (each.policy, each.use_case) == (policy, wanted))


def run_dry(records: Records, names: Sequence[str] = USUAL, *, half_lives: Sequence[timedelta] = ()) -> Alternatives:
    """Return policies run dry, by the names that `optimizer evaluate` knows, and the settings at other half-lives."""
    policies = {name: _policy(records, name) for name in names}
    for half_life in half_lives:
        name = f"{_HALF_LIFE}{in_days(half_life)}"
        policies[name] = _decider(records, _fading(records.settings, half_life), override=False)
    rules = {name: each.reward_rule for name, each in records.settings.use_cases.items()}
    return Alternatives(records, dry_run(records.calls, policies, rules))


def in_days(duration: timedelta) -> str:
    """Return a duration as the settings write it, such as `14d` or `6h`."""
    hours = duration / timedelta(hours=1)
    return f"{hours / 24:g}d" if hours >= 24 else f"{hours:g}h"


def _policy(records: Records, name: str) -> Policy:
    if not is_decided(name):
        return simple(name)
    configured = name == CONFIGURED
    asked = records.settings if configured else with_objective(records.settings, name)
    return _decider(records, asked, override=not configured)


def _decider(records: Records, settings: Settings, *, override: bool) -> Decider:
    return Decider(settings, records.catalog, records.evidence.rows, override=override, alarms=records.alarms)


def _fading(settings: Settings, half_life: timedelta) -> Settings:
    use_cases = {name: each.model_copy(update={"half_life": half_life}) for name, each in settings.use_cases.items()}
    return settings.model_copy(update={"use_cases": use_cases})


# In words


def in_words(found: Alternatives) -> str:
    """Return the answer: whether a policy would clearly have been better, where the log can tell, and by how much."""
    if not found.found.happened:
        return f"{found.records.headline}\nNone of them was drawn, so nothing can be said of another policy."
    others = [row for row in found.found.policies if row.policy != LOGGED]
    judged = [row for row in others if row.beside.get(COST, _UNKNOWN).value is not None]
    rated = [row for row in judged if row.beside[QUALITY].value is not None]
    cheaper = [row for row in judged if _apart(row.beside[COST]) < 0 and _apart(row.beside[QUALITY]) >= 0]
    better = [row for row in rated if _apart(row.beside[QUALITY]) > 0]
    happened = next(row for row in found.found.happened if row.use_case == found.whole)
    lines = [
        found.records.headline,
        f"Clearly cheaper, and not clearly worse, would have been: {listed(_named(cheaper))}.",
        f"Clearly better rated would have been: {listed(_named(better))}.",
        f"{len(others)} questions were asked (policies times use cases). This log answers {len(judged)} of cost and "
        f"{len(rated)} of quality, and refuses the others rather than guess.",
        f"What really happened: {_mean(happened)}.",
    ]
    served = [row for row in found.found.policies if (row.policy, row.use_case) == (LOGGED, found.whole)]
    lines += [f"The same, estimated as if it were another policy: {_mean(row)}." for row in served]
    lines.append("Beside what served, on the same calls:" if judged else "Nothing can be set beside what served.")
    return "\n".join([*lines, *difference_lines(found)])


_UNKNOWN = Figure()


def _named(rows: Sequence[PolicyResult]) -> list[str]:
    return [f"{row.policy} in {row.use_case}" for row in rows]


def _mean(row: PolicyResult) -> str:
    cost, quality = row.figures[COST], row.figures[QUALITY]
    said = f"rated {with_limits(quality)}" if quality.value is not None else "its rating cannot be told"
    return f"{with_limits(cost, '{:.3g}', '$')} a call, {said}"


def difference_lines(
    found: Alternatives, wanted: Callable[[PolicyResult], bool] = lambda row: row.policy != LOGGED
) -> list[str]:
    """Return a line per use case and difference from what served; policies that decide alike share one."""
    said: dict[tuple[str, str], list[str]] = {}
    judged = [row for row in found.found.policies if row.beside.get(COST, _UNKNOWN).value is not None and wanted(row)]
    for row in sorted(judged, key=lambda row: row.use_case == ALL):
        said.setdefault((row.use_case, _difference(row)), []).append(row.policy)
    return [f"- {use_case}, {listed(policies)}: {words}" for (use_case, words), policies in said.items()]


def _difference(row: PolicyResult) -> str:
    cost, quality = row.beside[COST], row.beside[QUALITY]
    if cost.value == cost.low == cost.high == 0.0:
        return "exactly what served."
    value, low, high = (None if each is None else 1_000.0 * each for each in (cost.value, cost.low, cost.high))
    thousand = Figure(value, low, high)
    said = f"{with_limits(thousand, '{:+.2g}')} dollars per 1,000 calls"
    return f"{said}, rating {with_limits(quality, '{:+.3f}')}." if quality.value is not None else f"{said}."


def _apart(figure: Figure) -> int:
    """Return whether a difference is above (1) or below (-1) nothing with both limits; 0 where it may be nothing."""
    if figure.low is None or figure.high is None:
        return 0
    return int(figure.low > 0.0) - int(figure.high < 0.0)


def refusals(found: Alternatives) -> list[str]:
    """Return a line per reason for which costs are not estimated: to how many questions, an example, and its reason."""
    said: dict[str, list[PolicyResult]] = {}
    for row in found.found.policies:
        if row.figures[COST].refused is not None:
            said.setdefault(_kind(row), []).append(row)
    return [
        f"{len(rows)} refused because {why}. Such as {rows[0].policy} in {rows[0].use_case}: "
        f"{rows[0].figures[COST].refused}."
        for why, rows in said.items()
    ]


def _kind(row: PolicyResult) -> str:
    overlap = row.overlaps.get(COST)
    if overlap is None:
        return "hardly any call has its cost on record"
    if overlap.ess == 0.0:
        return "none of the policy's choices was ever drawn"
    if overlap.ess < MIN_ESS:
        return f"the log is worth fewer than {MIN_ESS:.0f} calls of the policy"
    return "the policy often chose somebody who could not be drawn"


# As tables


def results(found: Alternatives, use_case: str | None = None) -> pl.DataFrame:
    """Return a row per policy: each measure per call with 95% limits, null where refused; what happened first."""
    wanted = found.whole if use_case is None else use_case
    rows = [
        {"policy": row.policy, "happened": happened, **_figures(row.figures)}
        for happened, some in ((True, found.found.happened), (False, found.found.policies))
        for row in some
        if row.use_case == wanted
    ]
    return pl.DataFrame(rows, schema={"policy": pl.String, "happened": pl.Boolean, **_NUMBERS})


def _figures(figures: Mapping[str, Figure]) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for measure, figure in figures.items():
        found |= zip(_COLUMNS[measure], (figure.value, figure.low, figure.high), strict=True)
    return found


def differences(found: Alternatives) -> pl.DataFrame:
    """Return a row per use case and policy that can be set beside what served: how much more cost, quality, latency.

    Costs are dollars per 1,000 calls (`usd_per_1000`, `usd_low`, `usd_high`), the rest is per call.
    """
    rows = [
        {"use_case": row.use_case, "policy": row.policy, **_figures(row.beside)}
        for row in found.found.policies
        if row.policy != LOGGED and any(figure.value is not None for figure in row.beside.values())
    ]
    frame = pl.DataFrame(rows, schema={"use_case": pl.String, "policy": pl.String, **_NUMBERS})
    per_call = pl.col(*_COLUMNS[COST])
    return (
        frame.with_columns(per_call * 1_000.0)
        .rename({_COLUMNS[COST][0]: "usd_per_1000"})
        .sort(pl.col("use_case") == ALL, "use_case", maintain_order=True)
    )


def diagnostics(found: Alternatives) -> pl.DataFrame:
    """Return a row per use case, policy and measure: what an estimate rests on, and whether there is one.

    `worth` is the effective sample size: as many calls of the policy itself would tell as much. `off_support` is the
    share of its choices that could not have been drawn at the time, `largest_weight` how many calls the heaviest stands
    for.
    """
    schema = {
        "use_case": pl.String,
        "policy": pl.String,
        "measure": pl.String,
        "calls": pl.Int64,
        "known": pl.Int64,
        "worth": pl.Float64,
        "off_support": pl.Float64,
        "largest_weight": pl.Float64,
        "estimated": pl.Boolean,
    }
    rows = [
        {
            "use_case": row.use_case,
            "policy": row.policy,
            "measure": measure.removesuffix("_usd").removesuffix("_ms"),
            "calls": overlap.n_calls,
            "known": overlap.n_rated,
            "worth": overlap.ess,
            "off_support": row.off_support,
            "largest_weight": overlap.weights.largest,
            "estimated": row.figures[measure].value is not None,
        }
        for row in found.found.policies
        for measure, overlap in row.overlaps.items()
    ]
    return pl.DataFrame(rows, schema=schema)


def weights(found: Alternatives) -> pl.DataFrame:
    """Return a row per policy and bin of importance weights, over all calls: how many calls count for how much."""
    schema = {"policy": pl.String, "weight": pl.String, "order": pl.Int64, "calls": pl.Int64, "share": pl.Float64}
    rows = []
    for row in found.found.policies:
        overlap = row.overlaps.get(COST)
        if row.use_case != found.whole or overlap is None:
            continue
        edges, counts = overlap.weights.edges, overlap.weights.counts
        bins = [("0", overlap.weights.n_zero)]
        bins += [(_bin(low, high), n) for low, high, n in zip(edges[:-1], edges[1:], counts, strict=True)]
        rows += [(row.policy, name, i, n, n / overlap.n_calls) for i, (name, n) in enumerate(bins)]
    return pl.DataFrame(rows, schema=schema, orient="row")


def _bin(low: float, high: float) -> str:
    if low == 0.0:
        return f"under {high:g}"
    return f"{low:g} and more" if high == float("inf") else f"{low:g} to {high:g}"
