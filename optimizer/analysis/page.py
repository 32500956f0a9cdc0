"""The pieces of a page that loads nothing: figures in the page's own colours, tables, numbers as people read them."""

import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from html import escape

import polars as pl

from optimizer.analysis.figures import Chart, as_svg
from optimizer.analysis.figures.style import INKS, Theme

Cell = str
Written = Callable[[float], str]

_PLACES = re.compile(r' (?:transform|d|x|y|x2|y2|width|height)="[^"]*"')
_FRACTION = re.compile(r"(\.\d{2})\d+")


def colours(theme: Theme) -> str:
    """Return the colours of a theme as CSS variables."""
    return " ".join(f"--{name}: {value};" for name, value in INKS[theme]._asdict().items())


def figure(chart: Chart, about: str, table: str) -> str:
    """Return a figure with its name for those who cannot see it, and its numbers below, folded.

    Parameters
    ----------
    chart : Chart
        In the light theme, whose colours become the page's variables: one drawing for light and dark.
    """
    numbers = f"<details><summary>The numbers</summary>{table}</details>" if table else ""
    return f"<figure>{_inline(chart, about)}{numbers}</figure>"


def _inline(chart: Chart, about: str) -> str:
    # The picture as a whole has a name and a table: a reader of every mark's own name would go on for minutes.
    root, _, drawn = as_svg(chart, described=False).partition(">")
    width, height = (int(size) for size in re.findall(r' (?:width|height)="(\d+)', root)[:2])
    for name, colour in INKS["light"]._asdict().items():
        drawn = drawn.replace(f'="{colour}"', f'="var(--{name})"')
    # Hundredths of a pixel are enough.
    drawn = _PLACES.sub(lambda place: _FRACTION.sub(r"\1", place[0]), drawn)
    head = f'<svg role="img" aria-label="{escape(about)}" viewBox="0 0 {width} {height}" width="{width}">'
    return f"{head}<title>{escape(about)}</title>{drawn}"


def table(about: str, columns: Sequence[str], rows: Iterable[Sequence[Cell]], total: Sequence[Cell] = ()) -> str:
    """Return a table of cells that are markup already; the first one of a row is its name.

    Parameters
    ----------
    columns : sequence of str
        Titles; those of columns that hold words end in `<`, and stand on the left.
    """
    words = {i for i, name in enumerate(columns, 1) if name.endswith("<")}
    head = "".join(_titled(name) for name in columns)
    body = "".join(_row(cells, words) for cells in rows) + (_row(total, words, "total") if total else "")
    return (
        f'<div class="scroll" role="region" aria-label="{escape(about)}" tabindex="0"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _titled(name: str) -> str:
    kind = ' class="word"' if name.endswith("<") else ""
    return f'<th scope="col"{kind}>{name.removesuffix("<")}</th>'


def _row(cells: Sequence[Cell], words: Collection[int], kind: str = "") -> str:
    first, *rest = cells
    others = "".join(
        f'<td class="word">{cell}</td>' if i in words else f"<td>{cell}</td>" for i, cell in enumerate(rest, 2)
    )
    start = f'<tr class="{kind}">' if kind else "<tr>"
    return f'{start}<th scope="row">{first}</th>{others}</tr>'


def frame_table(about: str, frame: pl.DataFrame, shown: Mapping[str, tuple[str, Written | None]]) -> str:
    """Return a frame as a table.

    Parameters
    ----------
    shown : mapping of str to (str, callable or None)
        Column → its title, and how its numbers are written; None for names and times.
    """
    written = [how for _, how in shown.values()]
    rows = (
        [_cell(value, how) for value, how in zip(row, written, strict=True)] for row in frame.select(*shown).iter_rows()
    )
    return table(about, [title for title, _ in shown.values()], rows)


def _cell(value: str | float | datetime | None, how: Written | None) -> Cell:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    return escape(str(value)) if isinstance(value, str) or how is None else how(value)


def usd(value: float) -> str:
    """Return dollars, small sums with three digits that count."""
    sign, size = "-" if value < 0 else "", abs(value)
    if size >= 1 or size == 0:
        return f"{sign}${size:,.2f}"
    return f"{sign}${size:.{2 - math.floor(math.log10(size))}f}"


def count(value: float) -> str:
    """Return a whole number."""
    return f"{value:,.0f}"


def share(value: float) -> str:
    """Return a percentage."""
    return f"{value:.1%}"


def three(value: float) -> str:
    """Return a quality or a rating."""
    return f"{value:.3f}"
