"""An export's stored tables, as any engine of ibis reads them from its Parquet files."""

from collections.abc import Collection
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

from optimizer.analysis.frames_columns import BY_DAY, STORED
from optimizer.analysis.frames_ledger import Backend, Table, duckdb_in_memory, old_names_allowed
from optimizer.errors import LedgerUnavailable


class ExportedTables:
    """The stored tables of a folder that `optimizer export` wrote, here or, as `s3a://bucket/folder`, elsewhere.

    Raises
    ------
    LedgerUnavailable
        If the folder is here and holds none.
    """

    def __init__(self, backend: Backend, folder: str | Path) -> None:
        self.where = str(folder)
        self.backend = backend
        self._here = None if "://" in self.where else Path(folder)
        if self._here is not None and not any((self._here / table).is_dir() for table in STORED):
            raise LedgerUnavailable(f"{folder} holds no export; `optimizer export {folder}` writes one")
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
        files = "*/*.parquet" if name in BY_DAY else "*.parquet"
        if name not in self.names():
            raise LedgerUnavailable(f"{self.where} holds no {name}; `optimizer export {self.where}` writes them")
        if self._here is not None and not any((self._here / name).glob(files)):
            return _empty(name)
        with old_names_allowed():
            found = self.backend.read_parquet(f"{self.where}/{name}/{files}")
        types = {column.name: column.type for column in STORED[name]}
        found = found.select(*types).cast(types)  # some engines forget that times are UTC
        return found.distinct() if name == "standings" else found

    def names(self) -> Collection[str]:
        """Return which stored tables were exported; of a folder elsewhere, all are said to be."""
        return [name for name in STORED if self._here is None or (self._here / name).is_dir()]

    def known(self) -> Collection[str]:
        """Return which tables the backend knows by their names: none."""
        return ()

    def refresh(self) -> None:
        """Do nothing: files are read whenever something is asked."""

    def close(self) -> None:
        """Close what `open` opened."""
        self._ends.close()


def _empty(name: str) -> Table:
    """Return a table of a ledger without calls."""
    import ibis

    return ibis.memtable([], schema={column.name: column.type for column in STORED[name]})
