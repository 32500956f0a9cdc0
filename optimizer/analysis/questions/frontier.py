"""What does quality cost? Candidates by what is believed of them, and those that can be measured, with what served."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import polars as pl

from optimizer.analysis.dry_run import ALL
from optimizer.analysis.dry_run_policy import FIXED
from optimizer.analysis.figure_tables import beliefs, frontier_of_models, frontier_of_policies
from optimizer.analysis.figure_tables.buckets import evidence_table
from optimizer.analysis.figures.efficiency import EFFICIENT, efficient
from optimizer.analysis.questions.other_policies import run_dry
from optimizer.analysis.questions.reading import Records, listed
from optimizer.analysis.roles import INCUMBENT
from optimizer.engine.snapshot import make_snapshot
from optimizer.routes import effective_routes

KNOWN = 20  # ratings from which a belief is a candidate's own rather than a guess from elsewhere
_SEEN = 0.25  # share of a use case's calls from which a model is worth measuring


@dataclass(frozen=True)
class Frontier:
    """What is believed of every candidate just after the last call, as figures of that name take it.

    Attributes
    ----------
    beliefs : DataFrame
        As `figure_tables.beliefs`: a row per use case and candidate.
    points : DataFrame
        The same as points of cost and quality, with `kind`: on the frontier, dominated, or the mix that served.
    """

    records: Records
    beliefs: pl.DataFrame
    points: pl.DataFrame


def read_frontier(records: Records) -> Frontier:
    """Return the frontier of every use case that was called."""
    routes = effective_routes(records.settings, records.catalog, records.end)
    rows = records.evidence.rows
    alarms = [raised.alarm for raised in records.alarms]
    believed = beliefs(make_snapshot(records.end, routes, rows, alarms=alarms), evidence_table(rows))
    # Without a price or a quality, nobody knows where a candidate lies.
    points = frontier_of_models(believed).drop_nulls(["usd_per_call", "quality"])
    panels = [efficient(part) for _, part in points.group_by("use_case", maintain_order=True)]
    return Frontier(records, believed, pl.concat(panels) if panels else points)


def measured(found: Frontier) -> pl.DataFrame:
    """Return a point, with 95% limits, per use case and model that can be measured had it served alone, and the truth.

    Doubly robust estimates of the calls' own cost and quality, whatever is believed; use cases of which no model can be
    measured in both are left out.
    """
    seen = found.beliefs.filter(pl.col("served") >= _SEEN)["model"].unique(maintain_order=True)
    dry = run_dry(found.records, [f"{FIXED}{model}" for model in seen]).found
    names = [each.use_case for each in dry.happened if each.use_case != ALL]
    frames = [frontier_of_policies(dry, name).drop_nulls(["usd_per_call", "quality"]) for name in names]
    told = [frame for frame in frames if not frame["happened"].all()]
    frame = pl.concat(told) if told else frontier_of_policies(dry).clear()
    return frame.with_columns(pl.col("label").str.strip_prefix(FIXED))


# In words


def in_words(found: Frontier) -> str:
    """Return the answer: where something cheaper is believed good enough, how sure that is, and what it would cost."""
    panels = [_Panel(str(name), part) for (name,), part in found.beliefs.group_by("use_case", maintain_order=True)]
    cheaper = [panel for panel in panels if panel.cheaper is not None]
    sure = [panel for panel in cheaper if panel.is_sure]
    on = found.points.filter(kind=EFFICIENT).join(
        found.beliefs.select("use_case", "ratings", label="model"), on=["use_case", "label"]
    )
    n_known = on.filter(pl.col("ratings") >= KNOWN).height
    return "\n".join(
        [
            found.records.headline,
            f"In {len(cheaper)} of {len(panels)} use cases a candidate cheaper than the incumbent is believed good "
            f"enough; in {len(sure)} of them with the whole of its 95% interval: "
            f"{listed([panel.use_case for panel in sure])}.",
            f"{on.height} candidates are on a frontier (nothing is believed cheaper and as good); {n_known} of them "
            f"have {KNOWN} ratings or more, the places of the others are guesses from elsewhere.",
            *(line for panel in panels for line in panel.lines()),
        ]
    )


@dataclass(frozen=True)
class _Panel:
    """One use case's beliefs."""

    use_case: str
    frame: pl.DataFrame

    @property
    def incumbent(self) -> dict[str, Any] | None:
        return next(self.frame.filter(role=INCUMBENT).iter_rows(named=True), None)

    @property
    def cheaper(self) -> dict[str, Any] | None:
        """The cheapest candidate that is believed good enough and costs less than the incumbent."""
        incumbent = self.incumbent
        if incumbent is None or incumbent["usd_per_call"] is None:
            return None
        good = (pl.col("quality") >= pl.col("floor").fill_null(incumbent["quality"])) & (
            pl.col("usd_per_call") < incumbent["usd_per_call"]
        )
        return next(self.frame.filter(good).sort("usd_per_call").iter_rows(named=True), None)

    @property
    def is_sure(self) -> bool:
        found, incumbent = self.cheaper, self.incumbent
        if found is None or incumbent is None:
            return False
        return bool(found["low"] >= (incumbent["quality"] if found["floor"] is None else found["floor"]))

    def lines(self) -> Iterator[str]:
        found, incumbent = self.cheaper, self.incumbent
        if incumbent is None or incumbent["usd_per_call"] is None:
            yield f"- {self.use_case}: what the incumbent costs is not known."
            return
        asked = incumbent["floor"]
        asks = "" if asked is None else f" ({asked:.3f} is asked for)"
        if found is None:
            yield f"- {self.use_case}{asks}: nothing cheaper than {_said(incumbent)}, the incumbent, is good enough."
        else:
            less = 1.0 - found["usd_per_call"] / incumbent["usd_per_call"]
            yield (
                f"- {self.use_case}{asks}: the cheapest believed good enough is {_said(found)}, {less:.0%} cheaper "
                f"than the incumbent, {_said(incumbent)}."
            )


def _said(row: dict[str, Any]) -> str:
    n = f"{row['ratings']:,.0f} ratings"
    return f"{row['model']} ({row['quality']:.3f}, 95%: {row['low']:.3f} to {row['high']:.3f}, on {n})"
