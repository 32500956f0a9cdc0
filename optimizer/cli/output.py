"""Prints tables for people and JSON for programs, both to stdout; numbers as short as they are exact."""

import json
from collections.abc import Iterable, Sequence
from typing import Literal

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

UNLIMITED = 10_000  # columns where nobody looks on: a table is as wide as what it holds


def show_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str = "") -> None:
    """Print a table; a column whose name ends in `>` is aligned to the right. Nothing is ever cut off."""
    table = Table(title=title or None, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    lines = [tuple(row) for row in rows]
    for i, column in enumerate(columns):
        justify: Literal["left", "right"] = "right" if column.endswith(">") else "left"
        whole = max((len(line[i]) for line in lines), default=0) if i == 0 else None  # ids stay in one piece
        table.add_column(column.removesuffix(">"), justify=justify, overflow="fold", min_width=whole)
    for line in lines:
        table.add_row(*line)
    console().print(table)


def console() -> Console:
    """Return what writes to stdout: as wide as the terminal, or unlimited where it is none."""
    plain = Console(highlight=False, markup=False, emoji=False)
    return plain if plain.is_terminal else Console(highlight=False, markup=False, emoji=False, width=UNLIMITED)


def show_json(value: object) -> None:
    """Print a value of plain JSON types."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


def usd(value: float | None) -> str:
    """Return dollars as short as they are exact; None is unknown."""
    return "unknown" if value is None else f"{value:.12g}"
