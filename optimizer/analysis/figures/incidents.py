"""Figures of what went wrong: failures hour by hour, and ratings of models that alarms name."""

import altair as alt
import polars as pl

from optimizer.analysis.figures.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    WIDTH,
    Chart,
    Theme,
    finished,
    nothing,
    panel_title,
    stacked,
    time_axis,
    time_tooltip,
    tooltips,
)

_TROUBLE = "What failed, and what others served"
_MOVED = "Ratings over time, of models that may have changed"
_COLOURS = (VERMILLION, PURPLE, BLUE, GREEN, SKY, ORANGE, GREY)
_HEIGHT = 180


def trouble(frame: pl.DataFrame, *, theme: Theme = "light") -> Chart:
    """Return failed attempts by their kind, and calls that another model or gateway served, hour by hour.

    Parameters
    ----------
    frame : DataFrame
        `at` and `until` (aware: an hour), `what`, `count`.
    """
    if frame.is_empty():
        return nothing(_TROUBLE, "nothing failed", theme)
    kinds = sorted(frame["what"].unique().to_list())
    bars = frame.sort("at", "what").with_columns(top=pl.col("count").cum_sum().over("at"))
    bars = bars.with_columns(bottom=pl.col("top") - pl.col("count"))
    scale = alt.Scale(domain=kinds, range=list(_COLOURS[: len(kinds)]))
    span = frame["at"].min(), frame["until"].max()
    chart = alt.Chart(bars).mark_rect()
    encoded = chart.encode(
        x=time_axis("at", span),  # type: ignore[arg-type]
        x2="until:T",
        y=alt.Y("bottom:Q", title="attempts and calls"),
        y2="top:Q",
        color=alt.Color("what:N", title=None, scale=scale, legend=alt.Legend(labelLimit=200)),
        tooltip=[time_tooltip(), *tooltips("what", ("count", "how many", ",.0f"))],
    )
    return finished(encoded.properties(width=WIDTH - 100, height=_HEIGHT), _TROUBLE, theme=theme)


def ratings_moved(frame: pl.DataFrame, alarms: pl.DataFrame, *, theme: Theme = "light") -> Chart:
    """Return the mean ratings of models over time, with 95% limits; lines mark what alarms say, and when it was said.

    Parameters
    ----------
    frame : DataFrame
        `model`, `at` and `until` (aware: a stretch of time), `rated`, `rating` in [0, 1], its limits `low` and `high`.
    alarms : DataFrame
        `model`, `since` and `raised`, aware.
    """
    if frame.is_empty():
        return nothing(_MOVED, "no call was rated", theme)
    words = "lines: since when, by an alarm, and (dashed) when that was noticed; numbers: rated calls"
    panels = [
        _moved(part, alarms.filter(model=model), str(model))
        for (model,), part in frame.group_by("model", maintain_order=True)
    ]
    return stacked(panels, _MOVED, words, theme)


def _moved(part: pl.DataFrame, alarms: pl.DataFrame, model: str) -> Chart:
    part = part.with_columns(middle=pl.col("at") + (pl.col("until") - pl.col("at")) / 2)
    x = time_axis("middle", (part["at"].min(), part["until"].max()))  # type: ignore[arg-type]
    whole = alt.Scale(domain=[0, 1])
    y = alt.Y("rating:Q", title="mean rating, 0 to 1", scale=whole)
    base = alt.Chart(part)
    told = [
        time_tooltip("at", "from (UTC)"),
        *tooltips(("rated", "rated calls", ",.0f"), ("rating", "mean rating", ".3f"), ("low", "from", ".3f")),
    ]
    layers = [
        alt.Chart(alarms).mark_rule(style="ink").encode(x=alt.X("since:T")),
        alt.Chart(alarms).mark_rule(style="ink", strokeDash=[4, 3]).encode(x=alt.X("raised:T")),
        base.mark_rule(color=SKY, strokeWidth=2).encode(x=x, y=alt.Y("low:Q", scale=whole), y2="high:Q"),
        base.mark_point(filled=True, size=80, opacity=1, color=BLUE).encode(x=x, y=y, tooltip=told),
        base.mark_text(style="quiet", align="left", dx=7).encode(x=x, y=y, text="rated:Q"),
    ]
    return alt.layer(*layers).properties(width=WIDTH, height=_HEIGHT, title=panel_title(model))
