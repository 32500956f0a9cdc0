"""Figures of quality: against cost, as believed of every model, and as expected beside as rated."""

import math
from collections.abc import Callable, Iterable

import altair as alt
import polars as pl

from optimizer.analysis.book_tables import INCUMBENT, MOST_CHOSEN, OTHER
from optimizer.analysis.figures.placing import SIDES, log_ticks, sides_of
from optimizer.analysis.figures.style import (
    BLUE,
    GREY,
    KEY,
    ORANGE,
    ROW,
    SHARE,
    SKY,
    USD,
    USD_IN_FULL,
    WIDTH,
    Chart,
    Theme,
    finished,
    nothing,
    panel_title,
    stacked,
    tooltips,
)

HAPPENED, EFFICIENT, DOMINATED = "what happened", "efficient", "another is cheaper and as good"
_FRONTIER = "What quality costs"
_BELIEFS = "What is believed of quality, the cheapest model first"
_CALIBRATION = "Quality as expected, and as rated"
_HEIGHT = 260
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
        return nothing(_FRONTIER, "nothing is known of cost and quality yet", theme)
    words = "line: nothing is cheaper and as good; whiskers: 95% limits"
    if "use_case" not in frame.columns:
        return finished(_against_cost(frame), _FRONTIER, words, theme)
    panels = [_against_cost(part, str(name)) for (name,), part in frame.group_by("use_case", maintain_order=True)]
    return stacked(panels, _FRONTIER, words, theme)


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
    return _reach(frame, ("usd_per_call", "usd_low"))[0] <= 0.0


def _scale(frame: pl.DataFrame) -> Callable[[float], float]:
    return float if _is_free(frame) else math.log


def _costs(frame: pl.DataFrame) -> list[float]:
    """Return what the axis of cost reaches over: all points and limits, and an eighth more on either side."""
    low, high = _reach(frame, ("usd_per_call", "usd_low", "usd_high"))
    if _is_free(frame):
        return [low - (high - low or 1.0) / 8.0, high + (high - low or 1.0) / 8.0]
    more = max((high / low) ** 0.125, 1.1)
    return [low / more, high * more]


def _qualities(frame: pl.DataFrame) -> list[float]:
    low, high = _reach(frame, ("quality", "quality_low", "quality_high"))
    more = max((high - low) / 10.0, 0.01)
    return [max(low - more, 0.0), min(high + more, 1.0)]


def _reach(frame: pl.DataFrame, columns: Iterable[str]) -> tuple[float, float]:
    values = [value for name in columns for value in frame[name].drop_nulls().to_list()]
    return min(values), max(values)


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


def beliefs(frame: pl.DataFrame, *, theme: Theme = "light") -> Chart:
    """Return what is believed of every candidate's quality, cheapest first, beside the quality asked for.

    Parameters
    ----------
    frame : DataFrame
        `use_case`, `model`, `role` (`incumbent`, `most chosen` or `other candidate`), `quality` with its 95% limits
        `low` and `high`, `ratings` behind it, `usd_per_call`, `chance` to be drawn now, share `served` so far, and
        `floor`, the quality asked for; the last five are null where unknown.
    """
    if frame.is_empty():
        return nothing(_BELIEFS, "no call has been served yet", theme)
    words = "dashed: the quality asked for; on the right: expected US dollars per call"
    panels = [_believed(part, str(name)) for (name,), part in frame.group_by("use_case", maintain_order=True)]
    return stacked(panels, _BELIEFS, words, theme)


def _believed(part: pl.DataFrame, use_case: str) -> Chart:
    roles, whole = [INCUMBENT, MOST_CHOSEN, OTHER], alt.Scale(domain=[0, 1])
    y = alt.Y("model:N", title=None, sort=part["model"].to_list())
    x = alt.X("quality:Q", title="believed quality, 0 to 1, with its 95% interval", scale=whole)
    base = alt.Chart(part)
    points = base.mark_point(filled=True, size=80, opacity=1).encode(
        x=x,
        y=y,
        color=alt.Color("role:N", scale=alt.Scale(domain=roles, range=[ORANGE, BLUE, GREY]), legend=KEY),
        shape=alt.Shape("role:N", scale=alt.Scale(domain=roles, range=["diamond", "circle", "square"]), legend=KEY),
        tooltip=tooltips(
            "model",
            ("quality", "believed quality", ".3f"),
            ("ratings", "ratings", ",.0f"),
            ("usd_per_call", "US dollars per call", USD_IN_FULL),
            ("chance", "chance to be drawn now", ".1%"),
            ("served", "share served so far", SHARE),
        ),
    )
    layers = [
        base.mark_rule(style="quiet", strokeWidth=1.5).encode(x=alt.X("low:Q", scale=whole), x2="high:Q", y=y),
        alt.Chart(part.head(1)).mark_rule(style="ink", strokeDash=[4, 3]).encode(x="floor:Q"),
        points,
        base.mark_text(style="quiet", align="left", dx=6).encode(
            x=alt.datum(1.0), y=y, text=alt.Text("usd_per_call:Q", format=USD)
        ),
    ]
    return alt.layer(*layers).properties(width=WIDTH - 160, height=alt.Step(ROW - 4), title=panel_title(use_case))


def calibration(frame: pl.DataFrame, *, theme: Theme = "light") -> Chart:
    """Return the mean rating of calls beside the quality that was expected of them: honest beliefs lie on the diagonal.

    Parameters
    ----------
    frame : DataFrame
        Calls put together by what was expected: `expected` and `rated`, both means in [0, 1], `low` and `high`, the
        95% limits of the second (null where unknown), and `calls`.
    """
    if frame.is_empty():
        return nothing(_CALIBRATION, "no ratings yet", theme)
    domain = _around(frame)
    ends, whole = pl.DataFrame({"expected": domain, "rated": domain}), alt.Scale(domain=domain)
    x = alt.X("expected:Q", title="expected quality when the model was chosen, 0 to 1", scale=whole)
    y = alt.Y("rated:Q", title="mean rating, 0 to 1", scale=whole)
    base = alt.Chart(frame)
    told = tooltips(
        ("expected", "expected", ".3f"),
        ("rated", "mean rating", ".3f"),
        ("low", "from", ".3f"),
        ("high", "to", ".3f"),
        ("calls", "calls", ",.0f"),
    )
    layers = [
        alt.Chart(ends).mark_line(style="quiet", strokeDash=[6, 3]).encode(x=x, y=y),
        base.mark_rule(color=SKY, strokeWidth=2).encode(x=x, y=alt.Y("low:Q", scale=whole), y2="high:Q"),
        base.mark_point(filled=True, color=BLUE, opacity=1, size=90).encode(x=x, y=y, tooltip=told),
    ]
    words = [
        f"{frame['calls'].sum():,} rated calls, in {frame.height} groups by what was expected of them",
        "lines: 95% limits of the mean; dashed: rated as expected",
    ]
    return finished(alt.layer(*layers).properties(width=380, height=380), _CALIBRATION, words, theme)


def _around(frame: pl.DataFrame) -> list[float]:
    """Return the tenths around everything that is shown, the same for both axes."""
    least, most = _reach(frame, ("expected", "rated", "low", "high"))
    low, high = math.floor(10.0 * max(least, 0.0)), math.ceil(10.0 * min(most, 1.0))
    return [low / 10.0, max(high, low + 1) / 10.0]
