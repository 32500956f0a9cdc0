"""Alarms of drift at rest: each is written once, whichever worker finds it first, and read by all."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, func, select, text

from optimizer.decision.drift import APART_S, Alarm
from optimizer.decision.evidence import DAY_S
from optimizer.ledger.database import Database
from optimizer.ledger.rows import to_datetime, to_us
from optimizer.ledger.statements import insert_into
from optimizer.ledger.tables import alarms

_ADVISORY_KEY = 0x6F7263_68_04
_S = 1_000_000  # microseconds


@dataclass(frozen=True, slots=True)
class RaisedAlarm:
    """An alarm, and when it was written; aware."""

    alarm: Alarm
    raised_at: datetime

    @property
    def since(self) -> datetime:
        """The time that the alarm names; aware."""
        return to_datetime(self.alarm.since_s * _S)


def raise_alarms(database: Database, found: Iterable[Alarm], at: datetime) -> list[Alarm]:
    """Keep alarms; return those that were new, which is whom people have not been told of yet.

    One of the same model, subject and direction less than a day away stands for the other, so workers that date the
    same shift differently keep one of them.
    """
    with database.writing() as connection:
        if not database.is_sqlite:  # there, a write transaction is alone anyway
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_KEY})
        return [alarm for alarm in sorted(found) if _written(connection, alarm, at)]


def read_alarms(database: Database) -> list[RaisedAlarm]:
    """Return every alarm ever raised, in the order of the times that they name."""
    with database.reading() as connection:
        rows = connection.execute(select(alarms).order_by(alarms.c.since_at_us, alarms.c.model_id)).mappings().all()
    return [
        RaisedAlarm(
            Alarm(row["since_at_us"] // _S, row["model_id"], row["subject"], row["direction"]),
            to_datetime(row["raised_at_us"]),
        )
        for row in rows
    ]


def _written(connection: Connection, alarm: Alarm, at: datetime) -> bool:
    if _known(connection, alarm):
        return False
    insert = insert_into(alarms, connection.dialect).values({c.name: bindparam(c.name) for c in alarms.c})
    statement = insert.on_conflict_do_nothing().returning(alarms.c.day)
    return connection.scalar(statement, _row(alarm, at)) is not None


def _known(connection: Connection, alarm: Alarm) -> bool:
    c = alarms.c
    same = (c.model_id == alarm.model_id) & (c.subject == alarm.subject) & (c.direction == alarm.direction)
    near = func.abs(c.since_at_us - alarm.since_s * _S) < APART_S * _S
    return connection.scalar(select(c.day).where(same & near).limit(1)) is not None


def _row(alarm: Alarm, at: datetime) -> dict[str, object]:
    return {
        "model_id": alarm.model_id,
        "subject": alarm.subject,
        "direction": alarm.direction,
        "day": alarm.since_s // DAY_S,
        "since_at_us": alarm.since_s * _S,
        "raised_at_us": to_us(at),
    }
