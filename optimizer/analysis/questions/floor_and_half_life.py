"""Which floor, and which half-life? What a ledger says of others, beside replays where it cannot tell."""

from collections.abc import Iterable
from datetime import timedelta

import polars as pl

from optimizer.analysis.dry_run import Figure
from optimizer.analysis.questions.other_policies import Alternatives, difference_lines
from optimizer.analysis.questions.reading import listed, with_limits


def in_words(found: Alternatives, floors: pl.DataFrame, half_lives: pl.DataFrame) -> str:
    """Return the answer: what the ledger says of other floors and half-lives, and what replays say, where it cannot.

    Parameters
    ----------
    floors, half_lives : DataFrame
        Points of replays, with the incumbent as what happened: `use_case` (the world), `label`, `happened`, `quality`
        and `usd_per_call` with their limits.
    """
    lines = [found.records.headline, *_ledger_lines(found)]
    lines += [f"Floor, replayed on the example table: {_said(floors)}."]
    for (world,), part in half_lives.group_by("use_case", maintain_order=True):
        lines.append(f"Half-life, replayed where {world}: {_said(part)}.")
    return "\n".join(lines)


def _ledger_lines(found: Alternatives) -> Iterable[str]:
    asked = {row.policy for row in found.found.policies}
    lives = {name for name in asked if name.startswith("half-life ")}
    told = difference_lines(found, lambda row: row.policy.startswith("average"))
    yield "Floor, on the ledger:" + ("" if told else " no other floor can be set beside what served.")
    yield from told
    days = (found.records.end - found.records.start) / timedelta(days=1)
    names = listed(sorted(name.removeprefix("half-life ") for name in lives))
    yield (
        f"Half-life, on the ledger: its calls span {days:.1f} days. Dry runs at {names}"
        + (":" if (told := difference_lines(found, lambda row: row.policy in lives)) else " can tell nothing.")
    )
    yield from told


def _said(points: pl.DataFrame) -> str:
    incumbent = points.filter("happened").row(0, named=True)
    parts = []
    for row in points.filter(~pl.col("happened")).iter_rows(named=True):
        kept = Figure(*(row[name] / incumbent["quality"] for name in ("quality", "quality_low", "quality_high")))
        dollars = (row["usd_per_call"], row["usd_high"], row["usd_low"])
        saved = Figure(*(1.0 - usd / incumbent["usd_per_call"] for usd in dollars))
        parts.append(f"{row['label']} kept {with_limits(kept, '{:.1%}')} and saved {with_limits(saved, '{:.0%}')}")
    return "; ".join(parts)
