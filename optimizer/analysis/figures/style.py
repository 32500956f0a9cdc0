"""What all figures share: Okabe and Ito's colours, a light and a dark theme, sizes, and what is drawn where nothing is.

Marks that are neither data nor background (words, reference lines) carry a style, `ink` or `quiet`, and get their
colour from the theme, so that a figure is drawn once. No figure has a background of its own.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal, NamedTuple

import altair as alt
import polars as pl

Chart = Any  # altair says of most methods that they return any of its eight kinds
Theme = Literal["light", "dark"]

# Okabe & Ito (2008), Color Universal Design; their yellow and black are left out: one of them is lost on either theme.
ORANGE, SKY, GREEN, BLUE = "#E69F00", "#56B4E9", "#009E73", "#0072B2"
VERMILLION, PURPLE, GREY = "#D55E00", "#CC79A7", "#8C8C8C"
PALETTE = (ORANGE, BLUE, SKY, GREEN, PURPLE, VERMILLION, GREY)

WIDTH, ROW = 600, 24
# Metrics are measured in the first of these that the renderer knows; all but the last are as wide as one another.
FONT = "Arial, Helvetica, 'Liberation Sans', Arimo, 'DejaVu Sans Condensed', sans-serif"
_TEXT, _TITLE = 12, 14

USD = "$,.3~r"  # in axes: short, and small sums keep their digits
USD_IN_FULL = "$,.4~r"
SHARE = ".0%"
TIME = "%d %b %H:%M"
# Vega's own labels would be in 12 hours.
_CLOCK: Any = {"month": "%b %Y", "week": "%d %b", "date": "%d %b", "day": "%d %b", "hours": "%H:%M", "minutes": "%H:%M"}


class Inks(NamedTuple):
    """Colours of words, of quieter words and lines, of the grid, and the paper that they are meant for."""

    ink: str
    quiet: str
    line: str
    paper: str


INKS: dict[Theme, Inks] = {
    "light": Inks("#1B1B1B", "#5F5F5F", "#D9D9D9", "#FFFFFF"),
    "dark": Inks("#ECECEC", "#A8A8A8", "#3A3A3A", "#151515"),
}


def finished(chart: Chart, title: str, subtitle: str | list[str] = "", theme: Theme = "light") -> Chart:
    """Return a chart under its title, in a theme."""
    heading = alt.Title(title, subtitle=subtitle) if subtitle else alt.Title(title)
    return chart.properties(title=heading).configure(**_config(INKS[theme]))


def stacked(
    parts: list[Chart], title: str, subtitle: str | list[str] = "", theme: Theme = "light", *, one_legend: bool = True
) -> Chart:
    """Return panels one below the other under one title, with one legend, or with one each."""
    legends: Any = "shared" if one_legend else "independent"
    panels = alt.vconcat(*parts, spacing=16).resolve_scale(color=legends, shape=legends)
    return finished(panels, title, subtitle, theme)


def panel_title(text: str) -> alt.Title:
    """Return the title of one panel among several."""
    return alt.Title(text, fontSize=_TEXT, fontWeight="normal", offset=6)


def nothing(title: str, why: str, theme: Theme = "light") -> Chart:
    """Return a figure that says, in the place of data, why there are none."""
    words = alt.Chart(pl.DataFrame({"why": [why]})).mark_text(style="quiet", fontSize=_TITLE).encode(text="why:N")
    return finished(words.properties(width=WIDTH, height=3 * ROW), title, theme=theme)


KEY = alt.Legend(title=None, orient="top", columnPadding=20)


def tooltips(*fields: str | tuple[str, str, str]) -> list[alt.Tooltip]:
    """Return tooltips: names of text columns, and (column, title, format) of numbers."""
    found = []
    for field in fields:
        if isinstance(field, str):
            found.append(alt.Tooltip(f"{field}:N", title=field.replace("_", " ")))
        else:
            found.append(alt.Tooltip(f"{field[0]}:Q", title=field[1], format=field[2]))
    return found


def time_axis(field: str, span: tuple[datetime, datetime] | None = None, *, title: bool = True) -> alt.X:
    """Return the axis of a column of aware times, which the reader's own time zone does not move.

    Parameters
    ----------
    span : tuple of datetime, optional
        From when to when, so that panels agree.
    """
    scale = alt.Scale(type="utc") if span is None else alt.Scale(type="utc", domain=[_js(at) for at in span])
    axis = alt.Axis(labelOverlap=True, tickCount=8, format=_CLOCK)
    return alt.X(f"{field}:T", title="time (UTC)" if title else None, scale=scale, axis=axis)


def _js(at: datetime) -> float:
    return at.timestamp() * 1_000.0


def time_tooltip(field: str = "at", title: str = "time (UTC)") -> alt.Tooltip:
    """Return the tooltip of a column of aware times."""
    # formatType time would show the reader's own time zone.
    return alt.Tooltip(f"{field}:T", title=title, timeUnit="utcyearmonthdatehoursminutes", format=TIME)


def reach(frame: pl.DataFrame, columns: Iterable[str]) -> tuple[float, float]:
    """Return the least and the largest known value in some columns of a table that has one."""
    values = [value for name in columns for value in frame[name].drop_nulls().to_list()]
    return min(values), max(values)


def _config(inks: Inks) -> dict[str, Any]:
    axis: dict[str, Any] = {"labelColor": inks.quiet, "titleColor": inks.quiet, "titleFontWeight": "normal"}
    lines = {"gridColor": inks.line, "domainColor": inks.line, "tickColor": inks.line}
    sizes = {"labelFontSize": _TEXT, "titleFontSize": _TEXT, "labelLimit": 260}
    axis["labelFlush"] = False  # else the outermost labels are moved inwards, onto their neighbours
    title = {"color": inks.ink, "subtitleColor": inks.quiet, "fontSize": _TITLE, "subtitleFontSize": _TEXT}
    return {
        "background": "transparent",
        "font": FONT,
        "padding": 8,
        "view": {"stroke": None},
        "axis": axis | lines | sizes,
        "axisY": {"labelColor": inks.ink},
        "legend": {"labelColor": inks.ink, "titleColor": inks.quiet, "titleFontWeight": "normal"} | sizes,
        "title": title | {"anchor": "start", "frame": "group", "fontWeight": 600, "offset": 10, "subtitlePadding": 4},
        "style": {
            "ink": {"color": inks.ink, "fontSize": _TEXT},
            "quiet": {"color": inks.quiet, "fontSize": _TEXT},
        },
    }
