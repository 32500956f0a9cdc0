"""Charts for notebooks, in colours that the colour-blind can tell apart and with units on every axis."""

from typing import Any

import polars as pl

from optimizer.analysis.frames import INCUMBENT, MOST_CHOSEN, OTHER
from optimizer.errors import MissingExtra

try:
    import altair as alt
except ImportError as missing:  # pragma: no cover - the suite installs every extra
    raise MissingExtra("a notebook's charts", "notebooks") from missing

# Okabe & Ito (2008), Color Universal Design.
BLUE, ORANGE, SKY, GREY = "#0072B2", "#E69F00", "#56B4E9", "#8C8C8C"
_WIDTH, _ROW = 560, 18
Chart = Any


def money_chart(money: pl.DataFrame) -> Chart:
    """Return what each use case paid and saved: together, what its baseline would have cost."""
    long = money.unpivot(["paid_usd", "saved_usd"], index=["use_case", "baseline_usd"], variable_name="part")
    long = long.with_columns(pl.col("part").replace_strict({"paid_usd": "paid", "saved_usd": "saved"}))
    order = money["use_case"].to_list()
    bars = (
        alt.Chart(long)
        .mark_bar()
        .encode(
            x=alt.X("value:Q", title="US dollars: paid and saved are what the baseline would have cost"),
            y=alt.Y("use_case:N", title=None, sort=order),
            color=alt.Color("part:N", title=None, scale=alt.Scale(domain=["paid", "saved"], range=[ORANGE, SKY])),
            order=alt.Order("part:N"),
            tooltip=["use_case", "part", alt.Tooltip("value:Q", format="$,.4f")],
        )
    )
    shares = (
        alt.Chart(money)
        .mark_text(align="left", dx=4)
        .encode(
            x="baseline_usd:Q",
            y=alt.Y("use_case:N", sort=order),
            text=alt.Text("saved_share:Q", format=".0%"),
        )
    )
    return (bars + shares).properties(
        width=_WIDTH, height=alt.Step(26), title="Where the money went, and how much stayed"
    )


def hours_chart(hours: pl.DataFrame) -> Chart:
    """Return who served each use case, hour by hour, as shares of the hour's calls."""
    parts = [
        alt.Chart(part)
        .mark_rect()
        .encode(
            x=alt.X(
                "hour:T", timeUnit="utcyearmonthdatehours", title="hour (UTC)", axis=alt.Axis(format="%d %b %H:%M")
            ),
            y=alt.Y("model:N", title=None, sort=part["model"].unique(maintain_order=True).to_list()),
            color=alt.Color(
                "share:Q",
                title="share of the hour's calls",
                scale=alt.Scale(scheme="blues", domain=[0, 1]),
                legend=alt.Legend(format=".0%"),
            ),
            tooltip=["model", "calls", alt.Tooltip("share:Q", format=".0%")],
        )
        .properties(width=_WIDTH, height=alt.Step(_ROW), title=str(use_case))
        for (use_case,), part in hours.group_by("use_case", maintain_order=True)
    ]
    title = alt.Title("Who served, hour by hour", subtitle="white: no calls in that hour")
    return alt.vconcat(*parts).resolve_scale(x="shared").properties(title=title)


def beliefs_chart(beliefs: pl.DataFrame) -> Chart:
    """Return what is believed of every candidate's quality, cheapest first, beside the quality asked for."""
    parts = [_believed(part, str(use_case)) for (use_case,), part in beliefs.group_by("use_case", maintain_order=True)]
    title = alt.Title(
        "What is believed of quality, the cheapest model first",
        subtitle="dashed: the quality asked for; on the right: expected US dollars a call",
    )
    return alt.vconcat(*parts).properties(title=title)


def _believed(part: pl.DataFrame, use_case: str) -> Chart:
    domain = [INCUMBENT, MOST_CHOSEN, OTHER]
    y = alt.Y("model:N", title=None, sort=part["model"].to_list())
    x = alt.X("quality:Q", title="believed quality, 0 to 1, with its 95% interval", scale=alt.Scale(domain=[0, 1]))
    base = alt.Chart(part)
    lines = base.mark_rule().encode(x=alt.X("low:Q", scale=alt.Scale(domain=[0, 1])), x2="high:Q", y=y)
    points = base.mark_point(filled=True, size=80, opacity=1).encode(
        x=x,
        y=y,
        color=alt.Color("role:N", title=None, scale=alt.Scale(domain=domain, range=[ORANGE, BLUE, GREY])),
        shape=alt.Shape("role:N", title=None, scale=alt.Scale(domain=domain, range=["diamond", "circle", "square"])),
        tooltip=[
            "model",
            alt.Tooltip("quality:Q", format=".3f"),
            alt.Tooltip("ratings:Q", format=".0f"),
            alt.Tooltip("usd_per_call:Q", format="$.5f"),
            alt.Tooltip("chance:Q", format=".1%"),
            alt.Tooltip("served:Q", format=".0%"),
        ],
    )
    labels = base.mark_text(align="left", dx=4, color="#404040").encode(
        x=alt.datum(1.0), y=y, text=alt.Text("usd_per_call:Q", format="$.5f")
    )
    floor = base.mark_rule(strokeDash=[4, 3], color="black").encode(x="mean(floor):Q")
    return (lines + floor + points + labels).properties(width=_WIDTH, height=alt.Step(_ROW), title=use_case)
