"""What would another choice have done, by logs of your own? Plain CSV: read, checked, and judged without a ledger."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from optimizer.analysis.dry_run import Figure
from optimizer.analysis.estimators import Estimate, LoggedCalls, Options, doubly_robust, robust_difference
from optimizer.analysis.intervals import mean_interval
from optimizer.analysis.questions.reading import listed, with_limits
from optimizer.decision.belief import FloatArray
from optimizer.errors import InvalidTable

CHANCE = "chance:"  # before the name of a model: how likely it was to be drawn
_WHOLE = "all"
_ROUNDING = 1e-3  # chances are often written with a few digits
_NUMBERS = ("rating", "cost_usd")
_TEXTS = ("time", "model", "context", "session")

Chosen = str | Mapping[str, str]


@dataclass(frozen=True)
class OwnLog:
    """A log of calls, one row each, checked and in order of time.

    Attributes
    ----------
    frame : DataFrame
        `line` of the file, `time`, `model`, `context`, `session`, `rating`, `cost_usd`; null where unknown.
    models, contexts : tuple of str
        The arms, and the kinds of calls that are told apart.
    logged : LoggedCalls or None
        As the estimators take it; None where nobody wrote down how likely each choice was.
    """

    name: str
    frame: pl.DataFrame
    models: tuple[str, ...]
    contexts: tuple[str, ...]
    logged: LoggedCalls | None


def read_log(path: Path, chances: Mapping[str, float] | None = None) -> OwnLog:
    """Return a log from a CSV file.

    Columns: `time` (ISO 8601; without a zone, UTC) and `model`, who served; where known, `rating` in [0, 1],
    `cost_usd`, `context` (a kind of call: what the choice hung on), `session` (whose later rows kept the first one's
    model), and for every model `chance:MODEL`, how likely it was to be drawn. Later rows of a session leave the chances
    empty.

    Parameters
    ----------
    chances : mapping of str to float, optional
        Model → its chance, where it was the same for all calls, as in an experiment.

    Raises
    ------
    InvalidTable
        If the file cannot be read or a cell is not what its column says; the message names the first such line.
    """
    frame = _read(path)
    for name in _NUMBERS:
        frame = frame.with_columns(_number(path, frame, name, 1.0 if name == "rating" else None))
    frame = _with_times(path, frame).sort("time", maintain_order=True)
    models, shares = _shares(path, frame, chances)
    contexts = tuple(sorted(frame["context"].unique().to_list()))
    kept = frame.select("line", "time", "model", "context", "session", *_NUMBERS)
    logged = None if shares is None else _logged(path, kept, models, contexts, shares)
    return OwnLog(path.name, kept, models, contexts, logged)


def _read(path: Path) -> pl.DataFrame:
    try:
        frame = pl.read_csv(path, infer_schema=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InvalidTable(f"{path}: unreadable: {str(error).splitlines()[0]}") from None
    missing = [name for name in ("time", "model") if name not in frame.columns]
    if missing:
        raise InvalidTable(f"{path}: missing columns: {', '.join(missing)}; it has: {', '.join(frame.columns)}")
    if frame.is_empty():
        raise InvalidTable(f"{path}: no rows")
    frame = frame.with_columns(pl.lit(None, pl.String).alias(n) for n in (*_TEXTS, *_NUMBERS) if n not in frame.columns)
    frame = frame.with_columns(pl.col("context").fill_null(_WHOLE)).with_row_index("line", offset=2)
    _refuse(path, frame, pl.col("model").is_null(), "model", "is empty")
    return frame


def _refuse(path: Path, frame: pl.DataFrame, wrong: pl.Expr, column: str, why: str) -> None:
    found = frame.filter(wrong)
    if not found.is_empty():
        more = f", as in {found.height - 1:,} further lines" if found.height > 1 else ""
        raise InvalidTable(f"{path}, line {found['line'][0]}: {column} {why}{more}")


def _number(path: Path, frame: pl.DataFrame, name: str, most: float | None = None) -> pl.Expr:
    number = pl.col(name).cast(pl.Float64, strict=False)
    _refuse(path, frame, pl.col(name).is_not_null() & number.is_null(), name, "is not a number")
    upper = number > most if most is not None else number.is_infinite()
    _refuse(path, frame, (number < 0.0) | upper | number.is_nan(), name, "is out of range")
    return number


def _with_times(path: Path, frame: pl.DataFrame) -> pl.DataFrame:
    zoned = pl.col("time").str.to_datetime(time_zone="UTC", time_unit="us", strict=False, format="%+")
    plain = [
        pl.col("time").str.to_datetime(form, time_unit="us", strict=False).dt.replace_time_zone("UTC")
        for form in ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f")
    ]
    times = pl.coalesce(zoned, *plain)
    _refuse(path, frame, times.is_null(), "time", "is no time as ISO 8601 has it, such as 2026-11-24T09:30:00+00:00")
    return frame.with_columns(time=times)


def _shares(
    path: Path, frame: pl.DataFrame, chances: Mapping[str, float] | None
) -> tuple[tuple[str, ...], FloatArray | None]:
    """Return the models, and each call's chances of them, NaN on later rows of a session; None where nobody knows."""
    used = set(frame["model"].to_list())
    columns = [name for name in frame.columns if name.startswith(CHANCE)]
    if chances is None and not columns:
        return tuple(sorted(used)), None
    models = tuple(sorted(chances or (name.removeprefix(CHANCE) for name in columns)))
    if unknown := sorted(used - set(models)):
        raise InvalidTable(f"{path}: model: no chance is given of {', '.join(unknown)}")
    if chances is not None:
        later = frame["session"].is_not_null() & frame.select(pl.col("session").is_first_distinct().not_())["session"]
        shares = np.tile(np.array([chances[model] for model in models], dtype=np.float64), (frame.height, 1))
        shares[later.to_numpy()] = np.nan
    else:
        wide = frame.with_columns(_number(path, frame, f"{CHANCE}{model}", 1.0) for model in models)
        names = [f"{CHANCE}{model}" for model in models]
        none, some = (kind(pl.col(name).is_null() for name in names) for kind in (pl.all_horizontal, pl.any_horizontal))
        _refuse(path, wide, some & ~none, "chance", "is empty for some models only")
        total = pl.sum_horizontal(names)
        _refuse(path, wide, ~none & ((total - 1.0).abs() > _ROUNDING), "chance", "of all models does not sum to 1")
        shares = wide.select(names).to_numpy() / wide.select(total).to_numpy()
    return models, shares


def _logged(
    path: Path, frame: pl.DataFrame, models: tuple[str, ...], contexts: tuple[str, ...], shares: FloatArray
) -> LoggedCalls:
    arm = np.array([models.index(model) for model in frame["model"].to_list()], dtype=np.intp)
    propensity = shares[np.arange(frame.height), arm]
    named = frame.with_columns(
        chance=pl.Series(propensity).fill_nan(None), unit=pl.col("session").fill_null(pl.format("line {}", "line"))
    )
    _refuse(path, named, pl.col("chance") <= 0.0, "model", "was drawn although its chance is 0")
    first = pl.col("unit").is_first_distinct()
    _refuse(path, named, first & pl.col("chance").is_null(), "chance", "is empty, and no earlier row is of its session")
    units = {unit: number for number, unit in enumerate(named["unit"].unique(maintain_order=True).to_list())}
    return LoggedCalls(
        arm=arm,
        propensity=propensity,
        reward=frame["rating"].fill_null(np.nan).to_numpy(),
        context=np.array([contexts.index(name) for name in frame["context"].to_list()], dtype=np.intp),
        unit=np.array([units[unit] for unit in named["unit"].to_list()], dtype=np.intp),
        time_s=frame["time"].dt.epoch("us").to_numpy() / 1e6,
        distribution=np.nan_to_num(shares),
    )


# Judging


def plain_means(log: OwnLog) -> pl.DataFrame:
    """Return a row per model: calls, mean rating and mean cost of the calls that it happened to get, with 95% limits.

    These compare calls, not models: who got the hard ones looks bad.
    """
    rows = []
    for model in log.models:
        mine = log.frame.filter(model=model)
        row: dict[str, object] = {"model": model, "calls": mine.height, "rated": mine["rating"].count()}
        for name, column in (("usd", "cost_usd"), ("quality", "rating")):
            values = mine[column].drop_nulls().to_list()
            value, low, high = mean_interval(values) if values else (None, None, None)
            row |= {"usd_per_call" if name == "usd" else name: value, f"{name}_low": low, f"{name}_high": high}
        rows.append(row)
    return pl.DataFrame(rows, infer_schema_length=None)


@dataclass(frozen=True)
class Judged:
    """A policy on a log: mean cost and rating per call, and by how much they are above those of what served."""

    name: str
    cost: Figure
    quality: Figure
    more_cost: Figure
    more_quality: Figure
    worth: float


def judge(log: OwnLog, name: str, chosen: Chosen) -> Judged:
    """Return what a policy would have cost and earned: one model for all calls, or one for each context.

    Raises
    ------
    InvalidTable
        If the log does not say how likely its choices were, or the policy names what it does not know.
    """
    if log.logged is None:
        raise InvalidTable(
            f"{log.name}: no column chance:MODEL; without chances, only calls can be compared, not models"
        )
    target = _target(log, chosen)
    costs = log.logged.with_rewards(log.frame["cost_usd"].fill_null(np.nan).to_numpy())
    plain = Options(stabilised=False)
    cost, quality = doubly_robust(costs, target, plain), doubly_robust(log.logged, target)
    beside = [robust_difference(calls, target, _drawn(log)) for calls in (costs, log.logged)]
    more_cost, more_quality = map(_figure, beside)
    return Judged(name, _figure(cost), _figure(quality), more_cost, more_quality, quality.ess)


def _target(log: OwnLog, chosen: Chosen) -> FloatArray:
    by_context = dict.fromkeys(log.contexts, chosen) if isinstance(chosen, str) else dict(chosen)
    if missing := sorted(set(log.contexts) - by_context.keys()):
        raise InvalidTable(f"{log.name}: the policy says nothing of context {', '.join(missing)}")
    if unknown := sorted(set(by_context.values()) - set(log.models)):
        raise InvalidTable(f"{log.name}: no model {', '.join(unknown)}; it has: {', '.join(log.models)}")
    arms = [log.models.index(by_context[context]) for context in log.frame["context"].to_list()]
    return np.eye(len(log.models))[arms]


def _drawn(log: OwnLog) -> FloatArray:
    """Return what was drawn from; on later rows of a session, which are not read, whoever served."""
    assert log.logged is not None  # noqa: S101 - seen to by `judge`
    shares = np.array(log.logged.distribution)
    later = ~log.logged.drawn
    shares[later] = np.eye(len(log.models))[log.logged.arm[later]]
    return shares


def _figure(found: Estimate) -> Figure:
    return Figure(found.value, found.low, found.high, found.refused)


def judged_table(judged: list[Judged]) -> pl.DataFrame:
    """Return a row per policy: means with 95% limits, and `worth`, the rated calls of its own that the log equals."""
    rows = [
        {
            "policy": each.name,
            "usd_per_call": each.cost.value,
            "usd_low": each.cost.low,
            "usd_high": each.cost.high,
            "quality": each.quality.value,
            "quality_low": each.quality.low,
            "quality_high": each.quality.high,
            "worth": each.worth,
        }
        for each in judged
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


# In words


def in_words(log: OwnLog, judged: list[Judged]) -> str:
    """Return the answer: what the log is, which policies would have been cheaper or better, and by how much."""
    return "\n".join(_lines(log, judged))


def _lines(log: OwnLog, judged: list[Judged]) -> Iterator[str]:
    frame = log.frame
    yield (
        f"{log.name}: {frame.height:,} calls, {frame['rating'].count():,} of them rated, "
        f"{frame['time'][0]:%Y-%m-%d %H:%M} until {frame['time'][-1]:%Y-%m-%d %H:%M} UTC; {listed(log.models)} served, "
        f"contexts: {listed(log.contexts)}."
    )
    told = [each for each in judged if each.quality.refused is None]
    cheaper = [each.name for each in told if _above(each.more_cost) < 0 and _above(each.more_quality) >= 0]
    better = [each.name for each in told if _above(each.more_quality) > 0]
    yield f"Clearly cheaper than what served, and not clearly worse: {listed(cheaper)}."
    yield f"Clearly better rated: {listed(better)}."
    yield from (f"- {each.name}: {_said(each)}." for each in judged)


def _above(figure: Figure) -> int:
    if figure.low is None or figure.high is None:
        return 0
    return int(figure.low > 0.0) - int(figure.high < 0.0)


def _said(each: Judged) -> str:
    if each.quality.refused is not None:
        return f"refused, as {each.quality.refused}"
    rated, better = with_limits(each.quality), with_limits(each.more_quality, "{:+.3f}")
    cost, more = with_limits(each.cost, "{:.2g}", "$"), each.more_cost
    value, low, high = (None if usd is None else 1_000.0 * usd for usd in (more.value, more.low, more.high))
    dearer = with_limits(Figure(value, low, high), "{:+.2f}")
    return f"{cost} a call, rated {rated}; beside what served {dearer} dollars per 1,000 calls, rating {better}"
