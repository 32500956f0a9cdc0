"""An export's stored tables, as any engine of ibis reads them from its Parquet files."""

from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

from optimizer.analysis.frames_columns import BY_DAY, STORED
from optimizer.analysis.frames_ledger import Backend, Table, duckdb_in_memory, old_names_allowed
from optimizer.errors import LedgerUnavailable


class ExportedTables:
    """The stored tables of a folder that `optimizer export` wrote.

    Raises
    ------
    LedgerUnavailable
        If the folder holds none.
    """

    def __init__(self, backend: Backend, folder: Path) -> None:
        if not any((folder / table).is_dir() for table in STORED):
            raise LedgerUnavailable(f"{folder} holds no export; `optimizer export {folder}` writes one")
        self.where = str(folder)
        self.backend = backend
        self._folder = folder
        self._ends = ExitStack()

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Return the tables, read by a DuckDB of their own."""
        with ExitStack() as ends:
            spill = Path(ends.enter_context(TemporaryDirectory(prefix="optimizer-frames-")))
            tables = cls(ends.enter_context(duckdb_in_memory(spill)), folder)
            tables._ends = ends.pop_all()
            return tables

    def table(self, name: str) -> Table:
        """Return a stored table; a decision's standings stand in the files of every day that it served on."""
        if not (self._folder / name).is_dir():
            raise LedgerUnavailable(f"{self.where} holds no {name}; `optimizer export {self.where}` writes them")
        files = "*/*.parquet" if name in BY_DAY else "*.parquet"
        if not any((self._folder / name).glob(files)):
            return _empty(name)
        with old_names_allowed():
            found = self.backend.read_parquet(str(self._folder / name / files))
        found = found.select(*(column.name for column in STORED[name]))
        return found.distinct() if name == "standings" else found

    def refresh(self) -> None:
        """Do nothing: files are read whenever something is asked."""

    def close(self) -> None:
        """Close what `open` opened."""
        self._ends.close()


def _empty(name: str) -> Table:
    """Return a table of a ledger without calls."""
    import ibis

    return ibis.memtable([], schema={column.name: column.type for column in STORED[name]})
