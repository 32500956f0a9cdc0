"""Which model a session stays with: the first choice that reaches the database is every worker's."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, select

from optimizer.ledger.database import Database
from optimizer.ledger.rows import to_us
from optimizer.ledger.statements import insert_into
from optimizer.ledger.tables import sessions


@dataclass(frozen=True, slots=True)
class SessionChoice:
    """A session's model; `instead_of` names the one it moves away from, where that one cannot serve any more."""

    use_case: str
    session_id: str
    model_id: str
    at: datetime
    instead_of: str | None = None


def remember_session(database: Database, choice: SessionChoice) -> str:
    """Keep the choice unless the session has one already; return the model in force.

    The writer takes a `SessionChoice` too, for callers that must not wait.
    """
    with database.writing() as connection:
        write_choices(connection, [choice])
        return _model(connection, choice.use_case, choice.session_id) or choice.model_id


def recall_session(database: Database, use_case: str, session_id: str) -> str | None:
    """Return the model that the session stays with in this use case; None where it has none."""
    with database.reading() as connection:
        return _model(connection, use_case, session_id)


def write_choices(connection: Connection, choices: Iterable[SessionChoice]) -> None:
    """Write choices in key order, the first one per session wins; one with `instead_of` replaces that very model."""
    insert = insert_into(sessions, connection.dialect)
    statement = insert.values(
        {name: bindparam(name) for name in ("use_case", "session_id", "model_id", "at_us")}
    ).on_conflict_do_update(
        index_elements=list(sessions.primary_key),
        set_={"model_id": insert.excluded.model_id, "at_us": insert.excluded.at_us},
        # Not an older move once more, as from a journal that is written a second time.
        where=(sessions.c.model_id == bindparam("instead_of", type_=sessions.c.model_id.type))
        & (sessions.c.at_us <= insert.excluded.at_us),
    )
    for choice in sorted(choices, key=lambda c: (c.use_case, c.session_id)):
        connection.execute(
            statement,
            {
                "use_case": choice.use_case,
                "session_id": choice.session_id,
                "model_id": choice.model_id,
                "at_us": to_us(choice.at),
                "instead_of": choice.instead_of,
            },
        )


def _model(connection: Connection, use_case: str, session_id: str) -> str | None:
    found: str | None = connection.scalar(
        select(sessions.c.model_id).where(sessions.c.use_case == use_case, sessions.c.session_id == session_id)
    )
    return found
