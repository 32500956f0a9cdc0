"""Figures of traffic: who served, as time went on, and how long callers waited."""

import altair as alt
import polars as pl

from optimizer.analysis.figures.placing import log_ticks
from optimizer.analysis.figures.style import (
    BLUE,
    GREEN,
    GREY,
    KEY,
    ORANGE,
    PURPLE,
    ROW,
    SHARE,
    SKY,
    VERMILLION,
    WIDTH,
    Chart,
    Theme,
    nothing,
    panel_title,
    stacked,
    time_axis,
    time_tooltip,
    tooltips,
)

OTHERS = "others"
_SERVED = "Who served, as time went on"
_WAITED = "How long callers waited for the whole reply"
_COLOURS = (BLUE, SKY, GREEN, PURPLE, VERMILLION)  # of the models that are not the incumbent, most calls first
_PANEL = 90
_WHOLE = alt.Scale(domain=[0, 1])
_LOG = alt.Scale(type="log", nice=False, padding=16)
_PERCENTILES = {"p50_ms": "half of the calls", "p95_ms": "95 of 100", "p99_ms": "99 of 100"}


def share_over_time(frame: pl.DataFrame, *, theme: Theme = "light") -> Chart:
    """Return who served each use case as time went on, as shares of the calls: the incumbent at the bottom.

    Parameters
    ----------
    frame : DataFrame
        `use_case`, `model`, `at` and `until` (aware: a stretch of time), `calls`, `share` of the stretch's calls, and
        `incumbent`, whether the model is it. The models beyond the five with most calls are put together.
    """
    if frame.is_empty():
        return nothing(_SERVED, "no call was served yet", theme)
    words = "each use case's incumbent is orange, at the bottom; where nothing is drawn there were no calls"
    parts = [(str(name), part) for (name,), part in frame.group_by("use_case", maintain_order=True)]
    last, span = parts[-1][0], (min(frame["at"].to_list()), max(frame["until"].to_list()))
    x = {name: time_axis("at", span, title=name == last) for name, _ in parts}
    return stacked([_served(part, name, x[name]) for name, part in parts], _SERVED, words, theme, one_legend=False)


def _served(part: pl.DataFrame, use_case: str, x: alt.X) -> Chart:
    totals = part.group_by("model").agg(pl.col("incumbent").any(), pl.col("calls").sum())
    ranked = totals.sort(["incumbent", "calls", "model"], descending=[True, True, False])
    colours = _colours(ranked)
    order = list(colours)
    named = pl.when(pl.col("model").is_in(order)).then("model").otherwise(pl.lit(OTHERS)).alias("model")
    bars = part.with_columns(named).group_by("at", "until", "model").agg(pl.col("calls", "share").sum())
    rank = pl.col("model").replace_strict(order, range(len(order)), return_dtype=pl.Int64)
    bars = bars.sort(pl.col("at"), rank).with_columns(top=pl.col("share").cum_sum().over("at"))
    bars = bars.with_columns(bottom=pl.col("top") - pl.col("share"))
    colour = alt.Color(
        "model:N",
        title=None,
        sort=order,
        scale=alt.Scale(domain=order, range=list(colours.values())),
        legend=alt.Legend(orient="right", symbolType="square", labelLimit=190),
    )
    chart = alt.Chart(bars).mark_rect()
    return chart.encode(
        x=x,
        x2="until:T",
        y=alt.Y("bottom:Q", title="share of calls", scale=_WHOLE, axis=alt.Axis(format=SHARE, values=[0, 0.5, 1])),
        y2="top:Q",
        color=colour,
        tooltip=[time_tooltip(), *tooltips("model", ("calls", "calls", ",.0f"), ("share", "share", SHARE))],
    ).properties(width=WIDTH - 100, height=_PANEL, title=panel_title(use_case))


def _colours(ranked: pl.DataFrame) -> dict[str, str]:
    """Return model → colour, the incumbent first, then the five with most calls, then all others together."""
    incumbent = ranked.filter("incumbent")["model"].to_list()[:1]
    rest = [model for model in ranked["model"].to_list() if model not in incumbent]
    found = dict.fromkeys(incumbent, ORANGE) | dict(zip(rest, _COLOURS, strict=False))
    return found | ({OTHERS: GREY} if len(rest) > len(_COLOURS) else {})


def latency(frame: pl.DataFrame, *, theme: Theme = "light") -> Chart:
    """Return how long the calls of each model took: half of them, 95 and 99 of 100, in ms on a log axis.

    Parameters
    ----------
    frame : DataFrame
        `model`, `calls`, `p50_ms`, `p95_ms`, `p99_ms`; where it has a column `use_case`, one panel for each.
    """
    frame = frame.drop_nulls("p50_ms")
    if frame.is_empty():
        return nothing(_WAITED, "no call has told how long it took yet", theme)
    if "use_case" not in frame.columns:
        return stacked([_waited(frame)], _WAITED, theme=theme)
    panels = [_waited(part, str(name)) for (name,), part in frame.group_by("use_case", maintain_order=True)]
    return stacked(panels, _WAITED, theme=theme)


def _waited(part: pl.DataFrame, use_case: str = "") -> Chart:
    y = alt.Y("model:N", title=None, sort=part.sort("p50_ms")["model"].to_list())
    long = part.unpivot(list(_PERCENTILES), index=["model", "calls"], variable_name="within", value_name="ms")
    long = long.with_columns(pl.col("within").replace_strict(_PERCENTILES)).drop_nulls("ms")
    names = list(_PERCENTILES.values())
    ticks = log_ticks(min(long["ms"].to_list()), max(long["ms"].to_list()))
    x = alt.X("ms:Q", title="latency, ms (log axis)", scale=_LOG, axis=alt.Axis(format=",d", values=ticks))
    points = (
        alt.Chart(long)
        .mark_point(filled=True, size=90, opacity=1)
        .encode(
            x=x,
            y=y,
            color=alt.Color("within:N", scale=alt.Scale(domain=names, range=[BLUE, ORANGE, VERMILLION]), legend=KEY),
            shape=alt.Shape(
                "within:N", scale=alt.Scale(domain=names, range=["circle", "square", "diamond"]), legend=KEY
            ),
            tooltip=tooltips("model", "within", ("ms", "ms", ",.0f"), ("calls", "calls", ",.0f")),
        )
    )
    lines = alt.Chart(part).mark_rule(style="quiet").encode(x=alt.X("p50_ms:Q"), x2="p99_ms:Q", y=y)
    chart = alt.layer(lines, points).properties(width=WIDTH, height=alt.Step(ROW))
    return chart.properties(title=panel_title(use_case)) if use_case else chart
