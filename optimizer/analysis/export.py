"""A ledger as a folder of Parquet files, by table and day; days that have not changed since are left as they are.

A day is the UTC day of a call, and all that belongs to a call stands in its day, however late it came: so a late rating
changes an old day. Whether a day has changed is told by what its file notes of what it holds (`fingerprints`), and not
by the day's age. A file is written beside its place and moved there when it is whole.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from optimizer.analysis.export_days import NOTE, Days, fingerprints, noted
from optimizer.analysis.frames_columns import BY_DAY, STORED
from optimizer.analysis.frames_ledger import LedgerTables, duckdb_errors, standings_of
from optimizer.errors import ExportFailed

FILE = "part-0.parquet"
_LOOKS, _LOOK_EVERY_S = 5, 0.05
AT_ONCE = 1_000_000  # calls whose rows are held while their days are written

# Calls come last, so none appears whose attempts are still missing.
_ORDER = ("evidence", "prices", "alarms", "budgets", "standings", "tags", "attempts", "feedback", "calls")
_STAGED = {
    "calls": "SELECT *, CAST(decided_at AS DATE) AS day FROM calls WHERE CAST(decided_at AS DATE) IN ({days})",
    "standings": """
        SELECT found.*, day FROM ({standings}) AS found JOIN (
            SELECT DISTINCT decision, CAST(decided_at AS DATE) AS day FROM calls
            WHERE CAST(decided_at AS DATE) IN ({days})) USING (decision)""",
    **dict.fromkeys(
        ("tags", "attempts", "feedback"),
        "SELECT {table}.*, day FROM {table} JOIN day_of_call USING (call_id) WHERE day IN ({days})",
    ),
}
_DRAWN_FROM = """
    (SELECT * FROM documents WHERE digest IN (
        SELECT decision FROM calls WHERE CAST(decided_at AS DATE) IN ({days})))"""
_SORTED = {
    "calls": "decided_at, call_id",
    "standings": "decision, model",
    "tags": "call_id, name, value",
    "attempts": "call_id, number",
    "feedback": "call_id, metric, rater",
    "evidence": "use_case, segment, model, measure, metric, from_at",
    "prices": "model, gateway, from_at",
    "alarms": "since_at, model",
    "budgets": "scope_kind, scope_name, window_kind, start_at",
}
_COPY = """
    COPY (SELECT {columns} FROM {source} ORDER BY {order}) TO '{path}'
    (FORMAT parquet, COMPRESSION zstd, KV_METADATA {{{key}: '{note}'}})"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of a ledger is to be exported.

    Attributes
    ----------
    since, until : date or None
        Days from the one on and before the other, UTC; tables that are not stored by day are written whole.
    force : bool
        Whether days that have not changed are written, too.
    """

    tables: tuple[str, ...] = tuple(STORED)
    since: date | None = None
    until: date | None = None
    force: bool = False


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: rows by table, days of which something was written, and how many were complete already."""

    where: str
    n_rows: Mapping[str, int]
    days: tuple[date, ...]
    n_complete_days: int


class Export:
    """A ledger as it was at one moment, and what of it a folder does not hold yet.

    Attributes
    ----------
    n_calls : int
        The work ahead: calls, counted once for each table that is written of their day.
    """

    def __init__(self, ledger: LedgerTables, folder: Path, wanted: Wanted) -> None:
        self._ledger = ledger
        self._folder = folder
        self._partial: Path | None = None
        self._tables = tuple(table for table in _ORDER if table in wanted.tables)
        self._known = fingerprints(ledger.backend, Days(wanted.since, wanted.until), self._tables)
        self._missing = {
            table: [
                day
                for day, known in self._known[table].items()
                if wanted.force or noted(ledger.backend, self._path(table, day)) != known.text
            ]
            for table in self._tables
            if table in BY_DAY
        }
        self.n_calls = sum(self._known[table][day].n_calls for table, days in self._missing.items() for day in days)

    def write(self, told: Callable[[int], None] = lambda _: None) -> Exported:
        """Write what is missing; `told` takes how much of `n_calls` is done.

        Whatever ends it, what was written stays and is whole, and the next export goes on from there.
        """
        n_rows, done = dict.fromkeys(self._tables, 0), 0
        with _translated(self._folder):
            for table in self._tables:
                (self._folder / table).mkdir(parents=True, exist_ok=True)
                if table not in BY_DAY:
                    n_rows[table] = self._copy(table, self._folder / table / FILE, table, note="")
                    continue
                for day, n in self._write_days(table):
                    n_rows[table] += n
                    done += self._known[table][day].n_calls
                    told(done)
        written = {day for days in self._missing.values() for day in days}
        every = {day for table in self._missing for day in self._known[table]}
        return Exported(self._ledger.where, n_rows, tuple(sorted(written)), len(every - written))

    def _write_days(self, table: str) -> Iterator[tuple[date, int]]:
        """Write the days that a table lacks; yield each with its rows."""
        for days in self._batches(table):
            listed = ", ".join(f"DATE '{day}'" for day in days)
            standings = standings_of(_DRAWN_FROM.format(days=listed))
            staged = _STAGED[table].format(table=table, days=listed, standings=standings)
            self._ledger.backend.raw_sql(f"CREATE OR REPLACE TEMP TABLE staged AS {staged}")
            for day in days:
                known = self._known[table][day].text
                source = f"staged WHERE day = DATE '{day}'"
                yield day, self._copy(table, self._path(table, day), source, note=known)
        self._ledger.backend.raw_sql("DROP TABLE IF EXISTS temp.staged")

    def _batches(self, table: str) -> Iterator[list[date]]:
        """Yield the days that a table lacks, as many at once as memory shall hold; each batch reads the table once."""
        batch: list[date] = []
        n_calls = 0
        for day in self._missing[table]:
            n_calls += self._known[table][day].n_calls
            if batch and n_calls > AT_ONCE:
                yield batch
                batch, n_calls = [], self._known[table][day].n_calls
            batch.append(day)
        if batch:
            yield batch

    def _copy(self, table: str, path: Path, source: str, *, note: str) -> int:
        """Write one file; return its rows."""
        path.parent.mkdir(exist_ok=True)
        # What begins with a dot is no file to any reader.
        partial = self._partial = path.with_name(f".{path.name}.{os.getpid()}")
        columns = ", ".join(column.name for column in STORED[table])
        text = {"columns": columns, "source": source, "order": _SORTED[table], "key": NOTE, "note": note}
        copy = _COPY.format(path=str(partial).replace("'", "''"), **text)
        (n_rows,) = self._ledger.backend.raw_sql(copy).fetchone()
        _to_disk(partial)
        partial.replace(path)
        self._partial = None
        return int(n_rows)

    def close(self) -> None:
        """Close the ledger, and only then, when DuckDB writes no more, remove what it may have left half done."""
        try:
            self._ledger.close()
        finally:
            self._remove_partial()

    def _remove_partial(self) -> None:
        """Remove what was left half done; looked for some times, since a thread of DuckDB's may be at it still."""
        for _ in range(_LOOKS if self._partial is not None else 0):
            for path in self._folder.rglob(f".{FILE}.{os.getpid()}"):
                path.unlink(missing_ok=True)
            time.sleep(_LOOK_EVERY_S)

    def _path(self, table: str, day: date) -> Path:
        return self._folder / table / f"day={day}" / FILE


@contextmanager
def open_export(url: str, folder: Path, wanted: Wanted) -> Iterator[Export]:
    """Lend an export of the ledger at a URL, as it is now, into a folder, which is made where it is missing.

    Raises
    ------
    LedgerUnavailable
        If the ledger cannot be read.
    ExportFailed
        If the folder cannot be written.
    MissingExtra
        If DuckDB is not installed: the extra is `analysis`.
    """
    with ExitStack() as ends:
        ledger = LedgerTables.open(url)
        ends.callback(ledger.close)
        with _translated(folder):
            folder.mkdir(parents=True, exist_ok=True)
            export = Export(ledger, folder, wanted)
        ends.callback(export.close)
        yield export


@contextmanager
def _translated(folder: Path) -> Iterator[None]:
    try:
        with duckdb_errors(lambda reason: ExportFailed(f"{folder}: {reason}")):
            yield
    except OSError as error:
        raise ExportFailed(f"{folder}: {error}") from None


def _to_disk(path: Path) -> None:
    """Wait until a file is on the disk, so that the name that it gets is never that of half a file."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
