"""Figures of what money was spent on: by one thing as bars, by two as a table of shades."""

import altair as alt
import polars as pl

from optimizer.analysis.figures.style import (
    BLUE,
    ROW,
    SHARE,
    USD,
    USD_IN_FULL,
    WIDTH,
    Chart,
    Theme,
    finished,
    nothing,
    tooltips,
)

_SPENT = "What was spent"
_WIDTH = WIDTH - 160
_SHOWN = 15
_NUMBERS = ("cost_usd", "US dollars", USD_IN_FULL), ("n_calls", "calls", ",.0f"), ("share", "share", SHARE)


def spent(frame: pl.DataFrame, by: str, *, theme: Theme = "light") -> Chart:
    """Return what each value of a column spent, the most on top, with its share of the money; fifteen at most.

    Parameters
    ----------
    frame : DataFrame
        The column `by`, `cost_usd`, `share`, `n_calls`; null where unknown.
    """
    title = f"{_SPENT}, by {by.replace('_', ' ')}"
    frame = frame.drop_nulls("cost_usd").sort("cost_usd", descending=True)
    if frame.is_empty():
        return nothing(title, "no cost is known yet", theme)
    bars = frame.head(_SHOWN).rename({by: "group"})
    y = alt.Y("group:N", title=None, sort=bars["group"].to_list())
    x = alt.X("cost_usd:Q", title="US dollars", axis=alt.Axis(format=USD, tickCount=5))
    base = alt.Chart(bars)
    layers = [
        base.mark_bar(color=BLUE).encode(x=x, y=y, tooltip=tooltips("group", *_NUMBERS)),
        base.mark_text(style="ink", align="left", dx=4).encode(x=x, y=y, text=alt.Text("share:Q", format=".1%")),
    ]
    rest = "" if frame.height <= _SHOWN else f"; the {_SHOWN} with the most of {frame.height}"
    chart = alt.layer(*layers).properties(width=_WIDTH, height=alt.Step(ROW))
    return finished(chart, title, f"percent of all that was spent{rest}", theme)


def spent_by_two(frame: pl.DataFrame, rows: str, columns: str, *, theme: Theme = "light") -> Chart:
    """Return what was spent on each pair of values of two columns, as shades with the dollars in them.

    Parameters
    ----------
    frame : DataFrame
        The columns `rows` and `columns`, `cost_usd`, `share`, `n_calls`; values beyond the fifteen with the most are
        left out.
    """
    title = f"{_SPENT}, by {rows.replace('_', ' ')} and {columns.replace('_', ' ')}"
    frame = frame.drop_nulls("cost_usd")
    if frame.is_empty():
        return nothing(title, "no cost is known yet", theme)
    named = {name: _by_dollars(frame, name) for name in (rows, columns)}
    frame = frame.filter(*(pl.col(name).is_in(values) for name, values in named.items()))
    cells = frame.with_columns(dark=pl.col("cost_usd") > 0.5 * pl.col("cost_usd").max())
    base = alt.Chart(cells.rename({rows: "row", columns: "column"})).encode(
        x=alt.X("column:N", title=None, sort=named[columns], axis=alt.Axis(labelAngle=-30)),
        y=alt.Y("row:N", title=None, sort=named[rows]),
    )
    shade = alt.Color("cost_usd:Q", title="US dollars", scale=alt.Scale(scheme="blues"), legend=alt.Legend(format=USD))
    ink = alt.condition("datum.dark", alt.value("white"), alt.value("black"))
    words = base.mark_text(fontSize=11).encode(text=alt.Text("cost_usd:Q", format=USD), color=ink)
    chart = base.mark_rect().encode(color=shade, tooltip=tooltips("row", "column", *_NUMBERS)) + words
    return finished(chart.properties(width=_WIDTH, height=alt.Step(ROW)), title, "numbers: US dollars", theme)


def _by_dollars(frame: pl.DataFrame, name: str) -> list[str]:
    totals = frame.group_by(name).agg(pl.col("cost_usd").sum())
    return totals.sort("cost_usd", descending=True)[name].head(_SHOWN).to_list()
