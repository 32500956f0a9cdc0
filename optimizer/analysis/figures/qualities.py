"""Figures of quality: as believed of every model, and as expected beside as rated."""

import math

import altair as alt
import polars as pl

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
    reach,
    stacked,
    tooltips,
)
from optimizer.analysis.roles import INCUMBENT, MOST_CHOSEN, OTHER

_BELIEFS = "What is believed of quality, the cheapest model first"
_CALIBRATION = "Quality as expected, and as rated"
_FEW = alt.Axis(tickCount=6)


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
    parts = [(str(name), part) for (name,), part in frame.group_by("use_case", maintain_order=True)]
    panels = [_believed(part, name, titled=name == parts[-1][0]) for name, part in parts]
    return stacked(panels, _BELIEFS, words, theme)


def _believed(part: pl.DataFrame, use_case: str, *, titled: bool) -> Chart:
    roles, whole = [INCUMBENT, MOST_CHOSEN, OTHER], alt.Scale(domain=[0, 1])
    y = alt.Y("model:N", title=None, sort=part["model"].to_list())
    title = "believed quality, 0 to 1, with its 95% interval" if titled else None
    x = alt.X("quality:Q", title=title, scale=whole)
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
    x = alt.X("expected:Q", title="expected quality when the model was chosen, 0 to 1", scale=whole, axis=_FEW)
    y = alt.Y("rated:Q", title="mean rating, 0 to 1", scale=whole, axis=_FEW)
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
    least, most = reach(frame, ("expected", "rated", "low", "high"))
    low, high = math.floor(10.0 * max(least, 0.0)), math.ceil(10.0 * min(most, 1.0))
    return [low / 10.0, max(high, low + 1) / 10.0]
