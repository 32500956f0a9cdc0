"""Reads a CSV file into typed rows, or says which file, line and column is wrong."""

import csv
import io
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, NonNegativeFloat, PositiveInt, ValidationError, model_validator
from pydantic_core import ErrorDetails

from optimizer.domain import Price
from optimizer.errors import InvalidCatalog


class Row(BaseModel):
    """One line of a table whose columns are its fields; an empty cell is None."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _empty_is_unknown(cls, cells: dict[str, str]) -> dict[str, str | None]:
        return {column: cell.strip() or None for column, cell in cells.items()}


class PricedRow(Row):
    """A line that names a vendor's price, in dollars per million tokens."""

    input_usd_per_mtok: NonNegativeFloat | None
    output_usd_per_mtok: NonNegativeFloat | None
    cached_input_usd_per_mtok: NonNegativeFloat | None
    long_context_over_tokens: PositiveInt | None
    long_input_usd_per_mtok: NonNegativeFloat | None
    long_output_usd_per_mtok: NonNegativeFloat | None

    @property
    def price(self) -> Price:
        """The price itself."""
        return Price(
            self.input_usd_per_mtok,
            self.output_usd_per_mtok,
            self.cached_input_usd_per_mtok,
            self.long_context_over_tokens,
            self.long_input_usd_per_mtok,
            self.long_output_usd_per_mtok,
        )


R = TypeVar("R", bound=Row)


def read_rows(path: Path, row_type: type[R]) -> list[tuple[int, R]]:
    """Return (line number, row) of every line below the header.

    Raises
    ------
    InvalidCatalog
        If the file cannot be read, lacks a column, has one too many, or a cell is not what its column says.
    """
    text = _text(path)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        columns = next(reader, [])
        _check_header(path, columns, row_type)
        return [(reader.line_num, _row(path, reader.line_num, columns, cells, row_type)) for cells in reader]
    except csv.Error as error:
        raise InvalidCatalog(f"{path}, line {reader.line_num}: {error}; half-written?") from error


def _text(path: Path) -> str:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidCatalog(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if not text.endswith("\n"):
        line = text.count("\n") + 1
        raise InvalidCatalog(f"{path}, line {line}: the last line has no end; half-written?")
    return text


def _check_header(path: Path, columns: list[str], row_type: type[Row]) -> None:
    expected = list(row_type.model_fields)
    for column in expected:
        if columns.count(column) != 1:
            raise InvalidCatalog(f"{path}, line 1, column {column}: must stand in the header once")
    if strange := set(columns) - set(expected):
        raise InvalidCatalog(f"{path}, line 1, column {min(strange)}: not a column of this table")


def _row(path: Path, line: int, columns: list[str], cells: list[str], row_type: type[R]) -> R:
    if len(cells) != len(columns):
        column = columns[min(len(cells), len(columns) - 1)]
        raise InvalidCatalog(
            f"{path}, line {line}, column {column}: {len(cells)} cells where {len(columns)} belong; half-written?"
        )
    try:
        return row_type.model_validate(dict(zip(columns, cells, strict=True)))
    except ValidationError as error:
        first = min(error.errors(), key=lambda wrong: columns.index(_column(wrong, columns)))  # as a person reads
        name = _column(first, columns)
        given = "" if first["input"] is None or not first["loc"] else f" ({first['input']!r})"
        raise InvalidCatalog(f"{path}, line {line}, column {name}: {first['msg']}{given}") from error


def _column(wrong: ErrorDetails, columns: list[str]) -> str:
    return str(wrong["loc"][0]) if wrong["loc"] else columns[0]
