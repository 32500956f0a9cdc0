"""Prints tables for people and JSON for programs, both to stdout; numbers as short as they are exact."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from math import floor, log10
from typing import Literal

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

WORTH_TELLING = 20_000  # calls that take a second or more
READ_IN_SECONDS = 500_000  # calls between two lines about a long reading
UNLIMITED = 10_000  # columns where nobody looks on: a table is as wide as what it holds


def show_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str = "", n_whole: int = 1) -> None:
    """Print a table; a column whose name ends in `>` is aligned to the right.

    Nothing is ever cut off, and the cells of the first `n_whole` columns, which hold names, are not folded either.
    """
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    lines = [tuple(row) for row in rows]
    for i, column in enumerate(columns):
        justify: Literal["left", "right"] = "right" if column.endswith(">") else "left"
        whole = max((len(line[i]) for line in lines), default=0) if i < n_whole else None
        table.add_column(column.removesuffix(">"), justify=justify, overflow="fold", min_width=whole)
    for line in lines:
        table.add_row(*line)
    if title:
        console().print(title, style="italic")  # not the table's own, which would be as narrow as the table
    console().print(table)


def console() -> Console:
    """Return what writes to stdout: as wide as the terminal, or unlimited where it is none."""
    plain = Console(highlight=False, markup=False, emoji=False)
    return plain if plain.is_terminal else Console(highlight=False, markup=False, emoji=False, width=UNLIMITED)


def show_json(value: object) -> None:
    """Print a value of plain JSON types."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


def short_usd(value: float | None) -> str:
    """Return dollars as a person reads them: cents from a dollar on, three digits below; None is unknown."""
    if value is None:
        return "unknown"
    if value == 0 or abs(value) >= 1:
        return f"{'-' if value < 0 else ''}${abs(value):,.2f}"
    places = 2 - floor(log10(abs(value)))
    return f"{'-' if value < 0 else ''}${abs(value):.{min(places, 9)}f}"


def share(value: float | None) -> str:
    """Return a share as a person reads it; None is unknown."""
    if value is None:
        return "unknown"
    return "<0.1%" if 0 < value < 0.001 else f"{value:.1%}"


def usd(value: float | None) -> str:
    """Return dollars as short as they are exact; None is unknown."""
    return "unknown" if value is None else f"{value:.12g}"


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show on stderr how far a count has come: a bar in a terminal, one line elsewhere, nothing where it is short.

    Lends what takes the count so far.
    """
    if total < WORTH_TELLING:
        yield lambda _: None
        return
    if not sys.stderr.isatty():
        click.echo(f"{what}: {total:,}", err=True)
        yield lambda _: None
        return
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda n: bar.update(task, completed=n)


@contextmanager
def reading(what: str) -> Iterator[Callable[[int], None]]:
    """Show on stderr how many have been read, where nobody knows how many there are and it takes a while.

    Lends what takes the count so far.
    """
    told_at = 0

    def tell(n: int) -> None:
        nonlocal told_at
        if n >= told_at + READ_IN_SECONDS:
            told_at = n
            click.echo(f"{what}: {n:,}", err=True)

    yield tell
