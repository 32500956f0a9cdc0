"""Figures of money: paid and saved by use case, savings as they built up, spending against its limits."""

import altair as alt
import polars as pl

from optimizer.analysis.figures.style import (
    BLUE,
    KEY,
    ORANGE,
    ROW,
    SHARE,
    SKY,
    USD,
    USD_IN_FULL,
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

_MONEY = "Where the money went, and how much stayed"
_BUILT_UP = "How savings built up"
_LIMITS = "Spending against its limits"
_PANEL = 150  # height of a panel that shows one thing over time
_PAID_SAVED = alt.Scale(domain=["paid", "saved"], range=[ORANGE, SKY])


def money(frame: pl.DataFrame, *, theme: Theme = "light") -> Chart:
    """Return what each use case paid and saved: together, what its baseline would have cost.

    Parameters
    ----------
    frame : DataFrame
        `use_case`, `paid_usd`, `saved_usd` (below 0 where the baseline would have been cheaper), `baseline_usd`, and
        `saved_share` of the baseline, in the order of the rows; `saved_low_usd` and `saved_high_usd`, the 95% limits,
        where they are known.
    """
    if frame.is_empty():
        return nothing(_MONEY, "no call has a baseline to be compared with yet", theme)
    frame = _with_ends(frame)
    y = alt.Y("use_case:N", title=None, sort=frame["use_case"].to_list(), scale=alt.Scale(paddingInner=0.3))
    words = "bars: paid, and saved by it, which together the baseline would have cost; lines: 95% limits of that sum"
    layers = [
        _stretch(frame, y, "paid", "start", "paid_usd"),
        _stretch(frame.filter(pl.col("saved_usd") > 0), y, "saved", "paid_usd", "baseline_usd"),
        alt.Chart(frame).mark_rule(style="ink").encode(y=y, x="low:Q", x2="high:Q"),
        *(alt.Chart(frame).mark_tick(style="ink", size=8).encode(y=y, x=f"{end}:Q") for end in ("low", "high")),
        alt.Chart(frame).mark_text(style="ink", align="left", dx=6).encode(y=y, x="end:Q", text="words:N"),
    ]
    chart = alt.layer(*layers).properties(width=WIDTH, height=alt.Step(ROW))
    return finished(chart, _MONEY, words, theme)


def _with_ends(frame: pl.DataFrame) -> pl.DataFrame:
    """Add where bars and whiskers begin and end, and what stands beside them."""
    limits = [name if name in frame.columns else None for name in ("saved_low_usd", "saved_high_usd")]
    low, high = (pl.lit(None, pl.Float64) if name is None else pl.col(name).cast(pl.Float64) for name in limits)
    share = pl.col("saved_share").abs().mul(100).round(0).cast(pl.Int64, strict=False).cast(pl.String)
    words = share + pl.when(pl.col("saved_share") < 0).then(pl.lit("% more")).otherwise(pl.lit("% saved"))
    return frame.with_columns(
        start=pl.lit(0.0),
        low=(pl.col("paid_usd") + low).clip(lower_bound=0.0),
        high=(pl.col("paid_usd") + high).clip(lower_bound=0.0),
        words=words.fill_null(""),
    ).with_columns(end=pl.max_horizontal("paid_usd", "baseline_usd", "high"))


def _stretch(frame: pl.DataFrame, y: alt.Y, part: str, start: str, end: str) -> Chart:
    return (
        alt.Chart(frame.with_columns(part=pl.lit(part)))
        .mark_bar()
        .encode(
            x=alt.X(f"{start}:Q", title="US dollars", axis=alt.Axis(format=USD, tickCount=6)),
            x2=f"{end}:Q",
            y=y,
            color=alt.Color("part:N", title=None, scale=_PAID_SAVED, legend=KEY),
            tooltip=tooltips(
                "use_case",
                ("paid_usd", "paid", USD_IN_FULL),
                ("saved_usd", "saved", USD_IN_FULL),
                ("baseline_usd", "baseline", USD_IN_FULL),
                ("saved_share", "saved share", SHARE),
            ),
        )
    )


def savings_build_up(frame: pl.DataFrame, *, theme: Theme = "light") -> Chart:
    """Return dollars summed up over time: paid beside the baseline's, and what was saved with its 95% band.

    Parameters
    ----------
    frame : DataFrame
        `at` (aware), and from the beginning until then: `paid_usd`, `baseline_usd`, `saved_usd`, `saved_low_usd`,
        `saved_high_usd` (null where unknown).
    """
    if frame.is_empty():
        return nothing(_BUILT_UP, "no call has a baseline to be compared with yet", theme)
    return stacked([_two_sums(frame), _saved_band(frame)], _BUILT_UP, theme=theme, one_legend=False)


def _two_sums(frame: pl.DataFrame) -> Chart:
    both = {"paid_usd": "paid", "baseline_usd": "the baseline would have cost"}
    long = frame.unpivot(list(both), index=["at"], variable_name="what", value_name="usd")
    long = long.with_columns(pl.col("what").replace_strict(both))
    scale = alt.Scale(domain=list(both.values()), range=[ORANGE, BLUE])
    chart = alt.Chart(long).mark_line(strokeWidth=2.5)
    return chart.encode(
        x=time_axis("at", title=False),
        y=alt.Y("usd:Q", title="US dollars so far", axis=alt.Axis(format=USD, tickCount=5)),
        color=alt.Color("what:N", title=None, scale=scale, legend=KEY),
        strokeDash=alt.StrokeDash("what:N", legend=None, scale=alt.Scale(domain=scale.domain, range=[[1, 0], [6, 3]])),
        tooltip=[time_tooltip(), *tooltips("what", ("usd", "US dollars", USD_IN_FULL))],
    ).properties(width=WIDTH, height=_PANEL)


def _saved_band(frame: pl.DataFrame) -> Chart:
    base = alt.Chart(frame).encode(x=time_axis("at"))
    y = alt.Y("saved_usd:Q", title="US dollars saved so far", axis=alt.Axis(format=USD, tickCount=5))
    shown = tooltips(
        ("saved_usd", "saved", USD_IN_FULL),
        ("saved_low_usd", "from", USD_IN_FULL),
        ("saved_high_usd", "to", USD_IN_FULL),
    )
    band = base.mark_area(color=SKY, opacity=0.4).encode(y=alt.Y("saved_low_usd:Q"), y2="saved_high_usd:Q")
    # In blue it would be lost on the band where the page is dark.
    line = base.mark_line(style="ink", strokeWidth=2).encode(y=y, tooltip=[time_tooltip(), *shown])
    zero = alt.Chart(pl.DataFrame({"usd": [0.0]})).mark_rule(style="quiet").encode(y="usd:Q")
    title = panel_title("saved, with its 95% band")
    return alt.layer(band, zero, line).properties(width=WIDTH, height=_PANEL, title=title)


def spend_against_budget(frame: pl.DataFrame, *, theme: Theme = "light") -> Chart:
    """Return what was spent in each limit's windows as time went on, beside the limit and the pace that lasts.

    Parameters
    ----------
    frame : DataFrame
        `limit` (its name, such as `the daily limit of chat`), `window` (when it began, aware), `at` (aware), and there
        `spent_usd` since the window began (null in the future), `expected_usd` (null in the past), `pace_usd` (what
        may be spent by then if the limit is to last) and `limit_usd`.
    """
    if frame.is_empty():
        return nothing(_LIMITS, "no limit of spending is set, or nobody has spent anything yet", theme)
    words = "steps back to 0: a new window; dashed: the pace that lasts until a window's end; dotted: what is expected"
    panels = [_limit(part, str(name)) for (name,), part in frame.group_by("limit", maintain_order=True)]
    return stacked(panels, _LIMITS, words, theme)


def _limit(part: pl.DataFrame, name: str) -> Chart:
    base = alt.Chart(part).encode(x=time_axis("at"), detail="window:T")
    y = alt.Y("spent_usd:Q", title="US dollars so far", axis=alt.Axis(format=USD, tickCount=5), stack=None)
    shown = [
        time_tooltip(),
        *tooltips(
            ("spent_usd", "spent", USD_IN_FULL),
            ("expected_usd", "expected", USD_IN_FULL),
            ("pace_usd", "pace that lasts", USD_IN_FULL),
            ("limit_usd", "limit", USD_IN_FULL),
        ),
    ]
    layers = [
        base.mark_area(color=SKY, opacity=0.4).encode(y=y),
        base.mark_line(color=BLUE, strokeWidth=2.5).encode(y=y, tooltip=shown),
        base.mark_line(color=BLUE, strokeWidth=2, strokeDash=[2, 3]).encode(y="expected_usd:Q", tooltip=shown),
        base.mark_line(style="quiet", strokeDash=[6, 3]).encode(y="pace_usd:Q", tooltip=shown),
        base.mark_line(color=VERMILLION, strokeWidth=2).encode(y="limit_usd:Q", tooltip=shown),
        alt.Chart(part.tail(1))
        .mark_text(style="ink", align="right", dy=-8)
        .encode(x=time_axis("at"), y="limit_usd:Q", text=alt.Text("limit_usd:Q", format=USD)),
    ]
    return alt.layer(*layers).properties(width=WIDTH, height=_PANEL, title=panel_title(name))
