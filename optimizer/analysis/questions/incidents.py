"""What went wrong? Attempts that failed, who stood in, and bills that differ from the price list; beside drift."""

from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from optimizer.analysis.questions import drift
from optimizer.analysis.questions.reading import Records, listed
from optimizer.domain import Attempt
from optimizer.ledger.calls import StoredCall

GAP = timedelta(minutes=30)  # between failures of one kind at one gateway that are one incident
LEAST = 3  # of them
_OFF_LIST = 0.05  # by which a bill may differ from the price list before it is called odd


# Failures


@dataclass(frozen=True)
class Incident:
    """Failures of one kind at one gateway that follow one another; `n_attempts` are all there, from first to last."""

    gateway: str
    kind: str
    failures: tuple[Attempt, ...]
    n_attempts: int

    def __str__(self) -> str:
        """Return what it was, in words."""
        first, last = self.failures[0].at, self.failures[-1].at
        models = listed(sorted({attempt.model_id for attempt in self.failures}))
        return (
            f"{self.gateway}, {self.kind}, {first:%Y-%m-%d %H:%M} until {last:%H:%M}: {len(self.failures)} of "
            f"{self.n_attempts} attempts failed that way ({models})"
        )


def incidents(records: Records) -> list[Incident]:
    """Return runs of three failures or more of one kind at one gateway, each half an hour after the last at most."""
    attempts = sorted((a for call in records.calls for a in call.attempts if a.reused is None), key=lambda a: a.at)
    open_runs: dict[tuple[str, str], list[Attempt]] = {}
    runs: list[list[Attempt]] = []
    for attempt in attempts:
        if attempt.error_kind is None:
            continue
        key = attempt.gateway, attempt.error_kind
        run = open_runs.get(key)
        if run is None or attempt.at - run[-1].at > GAP:
            run = open_runs[key] = []
            runs.append(run)
        run.append(attempt)
    return [
        Incident(
            run[0].gateway,
            run[0].error_kind or "",
            tuple(run),
            sum(a.gateway == run[0].gateway and run[0].at <= a.at <= run[-1].at for a in attempts),
        )
        for run in runs
        if len(run) >= LEAST
    ]


def failures_by_hour(records: Records) -> pl.DataFrame:
    """Return a row per hour and kind of trouble: failed attempts by kind, and calls that others served."""
    rows: list[tuple[object, str]] = []
    for call in records.calls:
        hour = call.selection.decided_at.replace(minute=0, second=0, microsecond=0)
        rows += [(hour, f"failed: {a.error_kind}") for a in call.attempts if a.error_kind is not None]
        served = call.failed_over_to
        if served is not None:
            rows.append((hour, "served by another " + ("model" if _is_other(call, served) else "gateway")))
    frame = pl.DataFrame(rows, schema={"at": pl.Datetime("us", "UTC"), "what": pl.String}, orient="row")
    counted = frame.group_by("at", "what").len("count").with_columns(until=pl.col("at") + timedelta(hours=1))
    return counted.with_columns(pl.col("count").cast(pl.Int64)).sort("at", "what")


def _is_other(call: StoredCall, served: Attempt) -> bool:
    return served.model_id != call.selection.model_id


# Bills


def bills(records: Records) -> pl.DataFrame:
    """Return a row per model and source of costs: what was paid, what the price list asks for the tokens, the ratio.

    `source` says who named the cost: the gateway (`reported`), or the price in force when the call was made (`priced`).
    Estimated costs and calls without usage are left out.
    """
    sums: dict[tuple[str, str], list[float]] = {}
    for call in records.calls:
        for attempt in call.attempts:
            listed_usd = _listed_usd(records, attempt)
            if listed_usd and attempt.cost_nano_usd is not None:
                row = sums.setdefault((attempt.model_id, attempt.cost_source), [0, 0.0, 0.0])
                row[0] += 1
                row[1] += attempt.cost_nano_usd / 1e9
                row[2] += listed_usd
    rows = [(*key, int(n), paid, asked, paid / asked) for key, (n, paid, asked) in sorted(sums.items())]
    schema = {"model": pl.String, "source": pl.String, "attempts": pl.Int64} | dict.fromkeys(
        ("paid_usd", "listed_usd", "ratio"), pl.Float64
    )
    return pl.DataFrame(rows, schema=schema, orient="row").sort("paid_usd", descending=True)


def _listed_usd(records: Records, attempt: Attempt) -> float | None:
    usage = attempt.usage
    if usage is None or attempt.cost_source not in ("reported", "priced") or attempt.model_id not in records.catalog:
        return None
    gateway = attempt.gateway
    if gateway not in ("portkey", "openrouter", "direct"):
        return None
    price = records.catalog.price(attempt.model_id, gateway, attempt.at)  # type: ignore[arg-type]
    return price.cost_usd(usage.input_tokens, usage.output_tokens, usage.cached_tokens)


# In words


def in_words(records: Records) -> str:
    """Return the answer: drift, failures, who stood in, and odd bills, a line or more each."""
    return "\n".join(
        [
            records.headline,
            *(f"Drift: {line}" for line in drift.in_words(records)),
            *_failures(records),
            _bills(records),
        ]
    )


def _failures(records: Records) -> list[str]:
    attempts = [a for call in records.calls for a in call.attempts if a.reused is None]
    n_failed = sum(a.error_kind is not None for a in attempts)
    stood_in = [(call, call.failed_over_to) for call in records.calls]
    others = [_is_other(call, served) for call, served in stood_in if served is not None]
    lost = sum(call.served is None for call in records.calls)
    found = incidents(records)
    share = n_failed / len(attempts) if attempts else 0.0
    lines = [
        f"Failures: {n_failed:,} of {len(attempts):,} attempts failed ({share:.1%}); in a row: {len(found)} incidents.",
        *(f"- {incident}" for incident in found),
        f"Who stood in: another gateway for {others.count(False):,} calls, another model for {others.count(True):,}; "
        f"{lost:,} calls went unanswered.",
    ]
    if not found:
        lines[0] = lines[0].partition("; in a row")[0] + "; never three of a kind in a row."
    return lines


def _bills(records: Records) -> str:
    frame = bills(records)
    odd = frame.filter((pl.col("ratio") - 1.0).abs() > _OFF_LIST)
    if odd.is_empty():
        return f"Bills: all {frame['attempts'].sum():,} that can be checked are what the price list asks for."
    words = [
        f"{row['model']} cost {row['ratio']:.2f} of its list price ({row['source']}, {row['attempts']:,} attempts)"
        for row in odd.iter_rows(named=True)
    ]
    return f"Bills: {listed(words)}; all others are within {_OFF_LIST:.0%} of the price list."
