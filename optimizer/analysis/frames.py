"""A ledger, or an export of one, as typed ibis tables: read from one moment, with DuckDB or any other engine of ibis.

What the columns mean stands in `frames_columns.py`; ready questions to them are in `frames_questions.py`.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Protocol, Self

from optimizer.analysis.frames_columns import COLUMNS
from optimizer.analysis.frames_ledger import Backend, LedgerTables, Table, old_names_allowed
from optimizer.analysis.frames_parquet import ExportedTables

_MADE_FROM = {"candidates": ("calls", "standings"), "served": ("calls", "attempts")}
_SERVED = tuple(column.name for column in COLUMNS["served"])


class Source(Protocol):
    """Where the stored tables are: a ledger, or an export."""

    where: str
    backend: Backend

    def names(self) -> Collection[str]:
        """Return which stored tables there are."""

    def known(self) -> Collection[str]:
        """Return which of them the backend's SQL knows already."""

    def table(self, name: str) -> Table:
        """Return a stored table."""

    def refresh(self) -> None:
        """Go on to the present."""

    def close(self) -> None:
        """Let go of all that was opened."""


class Frames:
    """A ledger's tables as expressions of ibis; their columns are in `frames_columns.COLUMNS`, with their meaning.

    Times are aware UTC, money is dollars, and null is unknown, never zero. Nothing is read before a result is asked
    for, by `to_polars()`, `to_pandas()`, `to_pyarrow()` or `execute()`. A context manager.

    Attributes
    ----------
    where : str
        What is read, for messages; without user or password.
    backend : ibis backend
        What computes the answers.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._tables: dict[str, Table] = {}
        self.where = source.where
        self.backend = source.backend

    @classmethod
    def open(cls, source: str | Path) -> Self:
        """Return the frames of a ledger, a database URL or a SQLite file, or of a folder that `optimizer export` wrote.

        A ledger is seen as it was at this moment, however many calls go on, until `refresh`. SQLite is copied for that,
        into the folder for temporary files; Postgres keeps a transaction open, so close what you do not need.

        Raises
        ------
        LedgerUnavailable
            If there is no such ledger or export, or it cannot be opened.
        MissingExtra
            If ibis or DuckDB is not installed: the extra is `analysis`.
        """
        if "://" not in str(source) and Path(source).is_dir():
            return cls(ExportedTables.open(Path(source)))
        return cls(LedgerTables.open(str(source)))

    @classmethod
    def on(cls, backend: Backend, folder: str | Path) -> Self:
        """Return the frames of an export, on an ibis backend of yours, such as `ibis.pyspark.connect(session)`.

        The folder may be whatever the backend reads, such as `s3a://bucket/folder`. `close` leaves the backend open.
        """
        return cls(ExportedTables(backend, folder))

    def refresh(self) -> None:
        """See the ledger as it is now; also what to do after a question that failed, which ends the transaction."""
        self._source.refresh()

    def close(self) -> None:
        """Let go of the ledger; the tables cannot be asked any more."""
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def calls(self) -> Table:
        """A row per call: what was asked, who was chosen, and how likely that was."""
        return self.table("calls")

    @property
    def tags(self) -> Table:
        """A row per call and tag."""
        return self.table("tags")

    @property
    def attempts(self) -> Table:
        """A row per HTTP attempt: who was asked, how it ended, how long it took, what it cost."""
        return self.table("attempts")

    @property
    def feedback(self) -> Table:
        """A row per call, metric and rater: the rating that stands."""
        return self.table("feedback")

    @property
    def standings(self) -> Table:
        """A row per decision and candidate: its probability, and what was believed of it."""
        return self.table("standings")

    @property
    def candidates(self) -> Table:
        """A row per call and candidate of its use case: `calls` with their `standings`."""
        return self.table("candidates")

    @property
    def served(self) -> Table:
        """A row per call that a reply of its own served: who served, how long it took, what all attempts cost."""
        return self.table("served")

    @property
    def evidence(self) -> Table:
        """A row per use case, segment, model, measure and bucket of time: the sums that are learned from."""
        return self.table("evidence")

    @property
    def prices(self) -> Table:
        """A row per model, gateway and moment from which on a price is in force."""
        return self.table("prices")

    @property
    def alarms(self) -> Table:
        """A row per alarm of drift."""
        return self.table("alarms")

    @property
    def budgets(self) -> Table:
        """A row per window of each limit in which something was spent."""
        return self.table("budgets")

    def table(self, name: str) -> Table:
        """Return a table by its name."""
        if name not in self._tables:
            made = {"candidates": self._candidates, "served": self._served}.get(name)
            found = self._source.table(name) if made is None else made()
            self._tables[name] = found.select(*(column.name for column in COLUMNS[name]))
        return self._tables[name]

    def sql(self, query: str) -> Table:
        """Return what a SELECT gives, in the backend's SQL, which knows all tables by their names."""
        with old_names_allowed():
            for name in COLUMNS:
                there = all(stored in self._source.names() for stored in _MADE_FROM.get(name, (name,)))
                if there and name not in self._source.known():
                    self.backend.create_view(name, self.table(name), overwrite=True)
            return self.backend.sql(query)

    def _candidates(self) -> Table:
        return self.calls.select("call_id", "decided_at", "use_case", "decision").join(self.standings, "decision")

    def _served(self) -> Table:
        made = self.attempts.filter(self.attempts.reused.isnull())
        tried = made.group_by("call_id").aggregate(
            number=made.number.min(where=made.served),
            n_attempts=made.count(),
            cost_usd=made.cost_usd.isnull().any().ifelse(None, made.cost_usd.sum()),
        )
        replies = made.drop("cost_usd").join(tried, ["call_id", "number"])
        calls = self.calls.rename(chosen_model="model")
        return calls.select(*(name for name in _SERVED if name in calls.columns)).join(replies, "call_id")
