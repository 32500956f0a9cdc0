"""What a ledger holds of each day, told in a few numbers, and what a file notes of the day that it was written from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from hashlib import blake2b
from pathlib import Path
from typing import Any

from optimizer.analysis.frames_columns import BY_DAY, STORED
from optimizer.analysis.frames_ledger import Backend

FORMAT = 1  # raised when files of the same rows are to be written anew
NOTE = "ledger"  # by this key

# Calls, their tags and what they were drawn from never change, nor do attempts: they are added. A rating gives way to a
# later one, or, of the same moment, to one of another value.
_DAYS = """
    CREATE OR REPLACE TEMP TABLE day_of_call AS
    SELECT * FROM (SELECT call_id, CAST(decided_at AS DATE) AS day FROM calls)
    WHERE day >= (SELECT max(day) FROM kept_from) AND {condition}"""
_OF_CALLS = "SELECT day, count(*), min(call_id), max(call_id) FROM day_of_call GROUP BY day ORDER BY day"
_OF = {
    "attempts": """
        SELECT day, count(*), min(call_id), max(call_id) FROM attempts JOIN day_of_call USING (call_id) GROUP BY day""",
    "feedback": """
        SELECT day, count(*), min(call_id), max(call_id), sum(epoch_us(rated_at)),
            sum(CAST(round(coalesce(value, -1.0) * 1e9) AS BIGINT))
        FROM feedback JOIN day_of_call USING (call_id) GROUP BY day""",
}


@dataclass(frozen=True, slots=True)
class Days:
    """Days from one on and before another; None is no limit."""

    since: date | None = None
    until: date | None = None

    @property
    def condition(self) -> str:
        """Whether `day` is one of them, in SQL."""
        limits = [f"day >= DATE '{self.since}'"] if self.since else []
        limits += [f"day < DATE '{self.until}'"] if self.until else []
        return " AND ".join(limits) or "true"


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a table holds of a day: the same text, the same rows; and how many calls the day has."""

    text: str
    n_calls: int


def fingerprints(duck: Backend, days: Days, tables: Sequence[str]) -> dict[str, dict[date, Fingerprint]]:
    """Return table → day with calls → its fingerprint, in order of time; leave each call's day as `day_of_call`.

    Days of which calls are no longer kept are left out, also where not all of their calls are deleted yet.
    """
    duck.raw_sql(_DAYS.format(condition=days.condition))
    calls = _counted(duck, _OF_CALLS)
    return {
        table: {
            day: Fingerprint(_text(table, counts.get(day, ())), calls[day][0])
            for counts in [_counted(duck, _OF[table]) if table in _OF else calls]
            for day in calls
        }
        for table in tables
        if table in BY_DAY
    }


def noted(duck: Backend, file: Path) -> str | None:
    """Return the fingerprint that a file notes; None where there is no such file, or half a one."""
    import duckdb

    if not file.exists():
        return None
    query = "SELECT decode(value) FROM parquet_kv_metadata(?) WHERE decode(key) = ?"
    with duck.con.cursor() as apart:  # an error would end the transaction in which the ledger is read
        try:
            found = apart.execute(query, [str(file), NOTE]).fetchone()
        except duckdb.Error:
            return None
    return None if found is None else str(found[0])


def _counted(duck: Backend, query: str) -> Mapping[date, tuple[Any, ...]]:
    return {day: tuple(counts) for day, *counts in duck.raw_sql(query).fetchall()}


def _text(table: str, counts: tuple[Any, ...]) -> str:
    columns = blake2b(repr([column[:2] for column in STORED[table]]).encode(), digest_size=4).hexdigest()
    return " ".join(map(str, (FORMAT, columns, *counts)))
