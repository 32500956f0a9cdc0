"""How gateways and their models fare, as breakers see it: one row each, the latest change stands."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, bindparam, select

from optimizer.ledger.database import Database
from optimizer.ledger.rows import Columns, to_datetime, to_us
from optimizer.ledger.statements import insert_into
from optimizer.ledger.tables import health

WHOLE_GATEWAY = "*"


@dataclass(frozen=True, slots=True)
class BreakerState:
    """One breaker since its last change.

    Attributes
    ----------
    model_id : str
        `*` is the gateway itself.
    error_kind : str or None
        What it opened for; never free text.
    n_failures : int
        In a row.
    changed_at, open_until : datetime
        Aware; nobody is asked before `open_until`, where the breaker is open.
    """

    gateway: str
    model_id: str
    state: Literal["closed", "open", "half_open"]
    error_kind: str | None
    n_failures: int
    changed_at: datetime
    open_until: datetime | None = None


def write_health(database: Database, states: Iterable[BreakerState]) -> None:
    """Keep states, each unless the ledger has a later one of the same breaker; the writer takes them too."""
    with database.writing() as connection:
        write_states(connection, states)


def read_health(database: Database) -> list[BreakerState]:
    """Return every breaker that ever changed, by gateway and model."""
    with database.reading() as connection:
        rows = connection.execute(select(health).order_by(health.c.gateway, health.c.model_id)).mappings().all()
    return [to_state(row) for row in rows]


def write_states(connection: Connection, states: Iterable[BreakerState]) -> None:
    """Write states in key order; a row of a later change stays."""
    insert = insert_into(health, connection.dialect)
    statement = insert.values({column.name: bindparam(column.name) for column in health.c}).on_conflict_do_update(
        index_elements=list(health.primary_key),
        set_={column.name: insert.excluded[column.name] for column in health.c if not column.primary_key},
        where=insert.excluded.changed_at_us >= health.c.changed_at_us,
    )
    for state in sorted(states, key=lambda s: (s.gateway, s.model_id)):
        connection.execute(statement, state_row(state))


def state_row(state: BreakerState) -> dict[str, Any]:
    """Return the row of `health`, by column."""
    return {
        "gateway": state.gateway,
        "model_id": state.model_id,
        "state": state.state,
        "error_kind": state.error_kind,
        "n_failures": state.n_failures,
        "changed_at_us": to_us(state.changed_at),
        "open_until_us": None if state.open_until is None else to_us(state.open_until),
    }


def to_state(row: Columns) -> BreakerState:
    """Return the state that `state_row` wrote."""
    until_us = row["open_until_us"]
    return BreakerState(
        row["gateway"],
        row["model_id"],
        row["state"],
        row["error_kind"],
        row["n_failures"],
        to_datetime(row["changed_at_us"]),
        None if until_us is None else to_datetime(until_us),
    )
