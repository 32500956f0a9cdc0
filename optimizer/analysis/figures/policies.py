"""Figures of policies that never ran: beside what served, and how much a log can say of them."""

import altair as alt
import polars as pl

from optimizer.analysis.estimators import MIN_ESS
from optimizer.analysis.figures.style import (
    BLUE,
    GREY,
    ROW,
    SHARE,
    SKY,
    WIDTH,
    Chart,
    Theme,
    finished,
    nothing,
    tooltips,
)

_JUDGED = "How policies compare with what served, on the same calls"
_WEIGHTS = "How many calls each logged call stands for"
_WORTH = "How many calls the log is worth, by policy"


def policies_beside(frame: pl.DataFrame, *, theme: Theme = "light") -> Chart:
    """Return by how much policies cost more or less than what served, and are rated better or worse, with 95% limits.

    Parameters
    ----------
    frame : DataFrame
        `use_case`, `policy`, differences `usd_per_1000` calls and `quality` (null where refused), and their limits
        `usd_low`, `usd_high`, `quality_low`, `quality_high`.
    """
    if frame.is_empty():
        return nothing(_JUDGED, "this log can set no policy beside what served", theme)
    frame = frame.with_columns(pl.concat_str("use_case", "policy", separator=": ").alias("name"))
    order = frame["name"].to_list()
    panels = [
        _limits(frame, order, "usd", "usd_per_1000", "US dollars per 1,000 calls"),
        _limits(frame, order, "quality", "quality", "quality, 0 to 1", named=False),
    ]
    words = "0 is what served; lines: 95% limits; cost: left is cheaper; quality: right is better; no point: refused"
    return finished(alt.hconcat(*panels, spacing=20), _JUDGED, words, theme)


def _limits(frame: pl.DataFrame, order: list[str], name: str, value: str, title: str, *, named: bool = True) -> Chart:
    y = alt.Y("name:N", title=None, sort=order, axis=alt.Axis() if named else None, scale=alt.Scale(domain=order))
    x = alt.X(f"{value}:Q", title=f"difference, {title}", axis=alt.Axis(format="+.3~g", tickCount=5))
    base = alt.Chart(frame)
    told = tooltips("name", (value, title, "+.4~g"), (f"{name}_low", "from", "+.4~g"), (f"{name}_high", "to", "+.4~g"))
    layers = [
        alt.Chart(pl.DataFrame({value: [0.0]})).mark_rule(style="ink", strokeDash=[4, 3]).encode(x=x),
        base.mark_rule(style="quiet", strokeWidth=1.5).encode(x=alt.X(f"{name}_low:Q"), x2=f"{name}_high:Q", y=y),
        base.mark_point(filled=True, size=90, opacity=1, color=BLUE).encode(x=x, y=y, tooltip=told),
    ]
    return alt.layer(*layers).properties(width=WIDTH // 2 - 60, height=alt.Step(ROW))


def weights(frame: pl.DataFrame, *, theme: Theme = "light") -> Chart:
    """Return, for each policy, which share of the calls stands for none, for part of one, for one, and for many.

    Parameters
    ----------
    frame : DataFrame
        `policy`, `weight` (a bin, in words), `order` of the bins, `calls`, `share` of the policy's calls.
    """
    if frame.is_empty():
        return nothing(_WEIGHTS, "no policy was judged", theme)
    policies = frame["policy"].unique(maintain_order=True).to_list()
    bins = frame.sort("order")["weight"].unique(maintain_order=True).to_list()
    base = alt.Chart(frame).encode(
        x=alt.X(
            "weight:N",
            title="importance weight: how many calls one stands for",
            sort=bins,
            axis=alt.Axis(labelAngle=-40),
        ),
        y=alt.Y("policy:N", title=None, sort=policies),
    )
    shade = alt.Color(
        "share:Q",
        title="share of calls",
        scale=alt.Scale(scheme="blues", domain=[0, 1]),
        legend=alt.Legend(format=SHARE),
    )
    told = tooltips("policy", "weight", ("calls", "calls", ",.0f"), ("share", "share", ".1%"))
    dark = alt.condition("datum.share > 0.5", alt.value("white"), alt.value("black"))
    words = base.transform_filter("datum.calls > 0").mark_text(fontSize=11).encode(text="calls:Q", color=dark)
    chart = (base.mark_rect().encode(color=shade, tooltip=told) + words).properties(width=WIDTH, height=alt.Step(ROW))
    return finished(chart, _WEIGHTS, "numbers: calls; a few far to the right make an estimate shaky", theme)


def worth(frame: pl.DataFrame, *, theme: Theme = "light") -> Chart:
    """Return how many calls of each policy the log is worth, by use case, where an estimate needs a hundred.

    Parameters
    ----------
    frame : DataFrame
        `use_case`, `policy`, `worth`, `estimated`, of one measure.
    """
    if frame.is_empty():
        return nothing(_WORTH, "no policy was judged", theme)
    policies, use_cases = (frame[name].unique(maintain_order=True).to_list() for name in ("policy", "use_case"))
    base = alt.Chart(frame).encode(
        x=alt.X("policy:N", title=None, sort=policies, axis=alt.Axis(labelAngle=-30)),
        y=alt.Y("use_case:N", title=None, sort=use_cases),
    )
    answer = alt.Color("estimated:N", title="estimated", scale=alt.Scale(domain=[True, False], range=[SKY, GREY]))
    told = tooltips("use_case", "policy", ("worth", "worth, calls", ",.0f"), "estimated")
    words = base.mark_text(fontSize=11).encode(text=alt.Text("worth:Q", format=",.0f"), color=alt.value("black"))
    chart = (base.mark_rect(stroke="white").encode(color=answer, tooltip=told) + words).properties(
        width=WIDTH - 60, height=alt.Step(ROW)
    )
    return finished(chart, _WORTH, f"at least {MIN_ESS:.0f} are needed, and a tenth at most off support", theme)
