"""INSERTs of many rows in few statements, compiled once per database and run with tuples.

Many rows stand in one statement because SQLite's driver lets go of the interpreter at every step of a statement: with
`executemany`, that is at every row, and next to a busy thread each row then waits 5 ms to get it back (measured: 10 ms
against 0.3 ms a call). On Postgres it saves the round trips.
"""

from collections.abc import Sequence
from functools import cache, cached_property
from itertools import chain
from typing import Any

from sqlalchemy import Connection, Insert, Table, bindparam
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect

from optimizer.ledger import tables
from optimizer.ledger.rows import Row

_SIZES = (1024, 256, 64, 16, 4, 1)  # rows per statement: few texts for the driver to keep
_MOST_PARAMETERS = 32_000  # both databases take a few more


def insert_into(table: Table, dialect: Dialect) -> Any:  # noqa: ANN401 - the two kinds share no base with ON CONFLICT
    """Return an INSERT that knows `on_conflict_do_update` in either dialect."""
    return sqlite.insert(table) if dialect.name == "sqlite" else postgresql.insert(table)


class ManyRows:
    """One INSERT, cut so that its row can be repeated."""

    def __init__(self, text: str, n_columns: int) -> None:
        self._sizes = [size for size in _SIZES if size * n_columns <= _MOST_PARAMETERS]
        self._head, values, rest = text.partition(" VALUES ")
        self._row, conflict, action = rest.partition(" ON CONFLICT ")
        self._head += values
        self._tail = conflict + action

    def run(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Insert the rows, in their order."""
        begin = 0
        for size in self._sizes:
            while len(rows) - begin >= size:
                some = rows[begin : begin + size]
                connection.exec_driver_sql(self._of_size(size), tuple(chain.from_iterable(some)))
                begin += size

    @cache  # noqa: B019 - one instance per statement and writer
    def _of_size(self, size: int) -> str:
        return self._head + ", ".join([self._row] * size) + self._tail


class Statements:
    """The INSERTs of those who write much."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect

    @cached_property
    def decision(self) -> ManyRows:
        """Insert a decision unless it is there."""
        return self._text(insert_into(tables.decisions, self._dialect).on_conflict_do_nothing(), tables.decisions)

    @cached_property
    def call(self) -> ManyRows:
        """Insert a call; one that is there is an error."""
        return self._text(insert_into(tables.calls, self._dialect), tables.calls)

    @cached_property
    def attempt(self) -> ManyRows:
        """Insert an attempt; one that is there is an error."""
        return self._text(insert_into(tables.attempts, self._dialect), tables.attempts)

    @cached_property
    def rating(self) -> ManyRows:
        """Insert or replace a rating."""
        return self._replacing(tables.feedback, "value", "at_us")

    @cached_property
    def evidence(self) -> ManyRows:
        """Add a difference to a row of evidence."""
        insert, table = insert_into(tables.evidence, self._dialect), tables.evidence
        new: dict[str, Any] = {name: table.c[name] + insert.excluded[name] for name in ("n", "total", "square")}
        new["changed_at_us"] = insert.excluded.changed_at_us
        return self._text(insert.on_conflict_do_update(index_elements=list(table.primary_key), set_=new), table)

    @cached_property
    def budget(self) -> ManyRows:
        """Insert or replace what was spent and is reserved in a window."""
        return self._replacing(tables.budgets, "spent_nano_usd", "reserved_nano_usd")

    @cached_property
    def reservation(self) -> ManyRows:
        """Insert a reservation, or move its expiry; of a teller's mark, its number too."""
        return self._replacing(tables.reservations, "granted_nano_usd", "expires_at_us")

    def _replacing(self, table: Table, *names: str) -> ManyRows:
        insert = insert_into(table, self._dialect)
        new = {name: insert.excluded[name] for name in names}
        return self._text(insert.on_conflict_do_update(index_elements=list(table.primary_key), set_=new), table)

    def _text(self, insert: Insert, table: Table) -> ManyRows:
        values = {column.name: bindparam(column.name, type_=column.type) for column in table.columns}
        return ManyRows(str(insert.values(values).compile(dialect=self._dialect)), len(values))
