"""The figure of quality against cost: who is efficient, what really happened, and how sure either is."""

import math
from collections.abc import Callable

import altair as alt
import polars as pl

from optimizer.analysis.figures.placing import SIDES, log_ticks, sides_of
from optimizer.analysis.figures.style import (
    BLUE,
    GREY,
    KEY,
    ORANGE,
    USD,
    USD_IN_FULL,
    WIDTH,
    Chart,
    Theme,
    finished,
    nothing,
    panel_title,
    reach,
    stacked,
    tooltips,
)

HAPPENED, EFFICIENT, DOMINATED = "what happened", "efficient", "another is cheaper and as good"
_TITLE = "What quality costs"
_HEIGHT = 240
_USD_AXIS = alt.Axis(format=USD, tickCount=5)


def frontier(frame: pl.DataFrame, *, theme: Theme = "light") -> Chart:
    """Return quality against cost: the efficient points joined by a line, what really happened marked.

    Parameters
    ----------
    frame : DataFrame
        `label`, `usd_per_call`, `quality` in [0, 1], their 95% limits `usd_low`, `usd_high`, `quality_low` and
        `quality_high` (null where unknown), and `happened`, whether it really did rather than being estimated; points
        without a cost or a quality are left out. Where it has a column `use_case`, one panel for each.
    """
    frame = frame.drop_nulls(["usd_per_call", "quality"])
    if frame.is_empty():
        return nothing(_TITLE, "nothing is known of cost and quality yet", theme)
    words = "line: nothing is cheaper and as good; whiskers: 95% limits"
    if "use_case" not in frame.columns:
        return finished(_against_cost(frame), _TITLE, words, theme)
    panels = [_against_cost(part, str(name)) for (name,), part in frame.group_by("use_case", maintain_order=True)]
    return stacked(panels, _TITLE, words, theme)


def _against_cost(frame: pl.DataFrame, use_case: str = "") -> Chart:
    kinds = [HAPPENED, EFFICIENT, DOMINATED]
    frame = _placed(efficient(frame))
    x, y = _cost_axis(frame), alt.Y("quality:Q", title="quality, 0 to 1", scale=alt.Scale(domain=_qualities(frame)))
    base = alt.Chart(frame)
    points = base.mark_point(filled=True, size=110, opacity=1).encode(
        x=x,
        y=y,
        color=alt.Color("kind:N", scale=alt.Scale(domain=kinds, range=[ORANGE, BLUE, GREY]), legend=KEY),
        shape=alt.Shape("kind:N", scale=alt.Scale(domain=kinds, range=["diamond", "circle", "square"]), legend=KEY),
        tooltip=_told(),
    )
    layers = [
        alt.Chart(frame.filter(kind=EFFICIENT)).mark_line(color=BLUE, strokeWidth=1.5).encode(x=x, y=y),
        base.mark_rule(style="quiet").encode(x=x, y=alt.Y("quality_low:Q"), y2="quality_high:Q"),
        base.mark_rule(style="quiet").encode(x=alt.X("usd_low:Q"), x2="usd_high:Q", y=y),
        points,
        *(_labels(part, x, y) for _, part in frame.group_by("side", maintain_order=True)),
    ]
    chart = alt.layer(*layers).properties(width=WIDTH, height=_HEIGHT)
    return chart.properties(title=panel_title(use_case)) if use_case else chart


def efficient(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the points, the cheapest first and what happened last, with their `kind`.

    A point is efficient if no other estimate is at most as dear and at least as good, and better in one of the two.
    """
    frame = frame.sort("happened", "usd_per_call", "quality", descending=[False, False, True])
    estimates = frame.filter(~pl.col("happened"))
    # The cheapest first: whoever is not better than all before it is dominated by one of them.
    best = estimates.with_columns(before=pl.col("quality").cum_max().shift(1))
    kept = best.filter(pl.col("before").is_null() | (pl.col("quality") > pl.col("before")))["label"]
    kind = pl.when(pl.col("label").is_in(kept.to_list())).then(pl.lit(EFFICIENT)).otherwise(pl.lit(DOMINATED))
    return frame.with_columns(kind=pl.when("happened").then(pl.lit(HAPPENED)).otherwise(kind))


def _labels(part: pl.DataFrame, x: alt.X, y: alt.Y) -> Chart:
    side = SIDES[part["side"][0]]
    labels = alt.Chart(part).mark_text(style="ink", align=side.align, dx=side.dx, dy=side.dy)
    return labels.encode(x=x, y=y, text="label:N")


def _placed(frame: pl.DataFrame) -> pl.DataFrame:
    """Add to each point the side on which its label finds most room."""
    (left, right), (low, high), scale = _costs(frame), _qualities(frame), _scale(frame)
    points = [
        (
            WIDTH * (scale(usd) - scale(left)) / (scale(right) - scale(left)),
            _HEIGHT * (high - quality) / (high - low),
        )
        for usd, quality in frame.select("usd_per_call", "quality").iter_rows()
    ]
    return frame.with_columns(side=pl.Series(sides_of(points, frame["label"].to_list(), WIDTH), dtype=pl.Int64))


def _cost_axis(frame: pl.DataFrame) -> alt.X:
    """Return a log axis; a linear one where something is free, which a log axis has no place for."""
    domain = _costs(frame)
    if _is_free(frame):
        return alt.X("usd_per_call:Q", title="US dollars per call", scale=alt.Scale(domain=domain), axis=_USD_AXIS)
    title, scale = "US dollars per call (log axis)", alt.Scale(type="log", domain=domain, nice=False)
    return alt.X("usd_per_call:Q", title=title, scale=scale, axis=alt.Axis(format=USD, values=log_ticks(*domain)))


def _is_free(frame: pl.DataFrame) -> bool:
    return reach(frame, ("usd_per_call", "usd_low"))[0] <= 0.0


def _scale(frame: pl.DataFrame) -> Callable[[float], float]:
    return float if _is_free(frame) else math.log


def _costs(frame: pl.DataFrame) -> list[float]:
    """Return what the axis of cost reaches over: all points and limits, and an eighth more on either side."""
    low, high = reach(frame, ("usd_per_call", "usd_low", "usd_high"))
    if _is_free(frame):
        return [low - (high - low or 1.0) / 8.0, high + (high - low or 1.0) / 8.0]
    more = max((high / low) ** 0.125, 1.1)
    return [low / more, high * more]


def _qualities(frame: pl.DataFrame) -> list[float]:
    low, high = reach(frame, ("quality", "quality_low", "quality_high"))
    more = max((high - low) / 10.0, 0.01)
    return [max(low - more, 0.0), min(high + more, 1.0)]


def _told() -> list[alt.Tooltip]:
    return tooltips(
        "label",
        "kind",
        ("usd_per_call", "US dollars per call", USD_IN_FULL),
        ("usd_low", "from", USD_IN_FULL),
        ("usd_high", "to", USD_IN_FULL),
        ("quality", "quality", ".3f"),
        ("quality_low", "from", ".3f"),
        ("quality_high", "to", ".3f"),
    )
