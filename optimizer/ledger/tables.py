"""The ledger's tables and columns: the only place in the code that names them.

The schema itself is made by `migrations/` alone; a test holds both to one another. Times are microseconds since the
epoch, UTC (`_at_us`), money is nano-dollars, texts that hold JSON end in `_json`.

What a call was decided by is split in two: `calls` keeps what differs from call to call and what reports group by,
and `decisions` keeps the whole distribution, the eligible set, the exclusions and every candidate's standing, once
for all calls that were drawn from it. So a repeat decision costs the bytes of a digest.
"""

from sqlalchemy import BigInteger, Boolean, Column, Double, ForeignKey, Index, Integer, MetaData, Table, Text
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.expression import ColumnElement, literal_column

SCHEMA_REVISION = "0006"  # the newest file in migrations/versions
VERSION_TABLE = "ledger_version"  # not alembic's own name: the database may be shared with another application

metadata = MetaData()

# Without a rowid, SQLite keeps rows in the primary key's own tree: one tree to write instead of two.
decisions = Table(
    "decisions",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("document_json", Text, nullable=False),
    sqlite_with_rowid=False,
)

calls = Table(
    "calls",
    metadata,
    Column("call_id", Text, primary_key=True),
    Column("decided_at_us", BigInteger, nullable=False),
    Column("use_case", Text, nullable=False),
    Column("segment", Text, nullable=False),
    Column("session_id", Text),
    Column("tenant", Text),
    Column("tags_json", Text),  # a list of [name, value]
    Column("decision_digest", Text, ForeignKey("decisions.digest"), nullable=False),
    Column("model_id", Text, nullable=False),  # who shall serve
    Column("drawn_model_id", Text, nullable=False),
    Column("propensity", Double),  # of the drawn model; NULL on later turns of a session
    Column("overridden_by", Text),
    Column("held_out", Boolean, nullable=False),
    Column("objective", Text, nullable=False),
    Column("required_quality", Text),
    Column("price", Double),  # λ
    Column("exploration", Double, nullable=False),
    Column("context_tokens", BigInteger, nullable=False),
    Column("policy_version", Text, nullable=False),
    Column("price_version", Text, nullable=False),
    Column("segmenter_version", Text, nullable=False),
    Column("request_json", Text),  # what else the request asked for; NULL where it asked for nothing unusual
    Column("features_json", Text),  # only where the user asks for raw features to be kept
    Column("prompt_hmac", Text),
    Index("ix_calls_decided_at_us", "decided_at_us"),
    # Calls outside of sessions, mostly all of them, cost it nothing.
    Index(
        "ix_calls_session_id",
        "session_id",
        "decided_at_us",
        sqlite_where=literal_column("session_id IS NOT NULL"),
        postgresql_where=literal_column("session_id IS NOT NULL"),
    ),
    sqlite_with_rowid=False,
)

attempts = Table(
    "attempts",
    metadata,
    Column("call_id", Text, ForeignKey("calls.call_id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("model_id", Text, nullable=False),
    Column("gateway", Text, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("served", Boolean, nullable=False),
    Column("status", Integer),
    Column("error_kind", Text),
    Column("provider", Text),
    Column("model_version", Text),
    Column("latency_ms", Double),
    Column("ttft_ms", Double),
    Column("input_tokens", BigInteger),
    Column("cached_tokens", BigInteger),
    Column("output_tokens", BigInteger),
    Column("reasoning_tokens", BigInteger),
    Column("cost_nano_usd", BigInteger),  # NULL is unknown, never free
    Column("cost_source", Text, nullable=False),
    Column("reused", Text),  # where the reply is another call's
    sqlite_with_rowid=False,
)

feedback = Table(
    "feedback",
    metadata,
    Column("call_id", Text, ForeignKey("calls.call_id"), primary_key=True),
    Column("metric", Text, primary_key=True),
    Column("rater", Text, primary_key=True),
    Column("value", Double),  # NULL: withdrawn, and kept so that an older rating arriving later does not come back
    Column("at_us", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

evidence = Table(
    "evidence",
    metadata,
    Column("use_case", Text, primary_key=True),
    Column("segment", Text, primary_key=True),
    Column("model_id", Text, primary_key=True),
    Column("measure", Text, primary_key=True),
    Column("bucket_start_s", BigInteger, primary_key=True),
    Column("bucket_width_s", Integer, primary_key=True),
    Column("n", BigInteger, nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("square", BigInteger, nullable=False),
    Column("changed_at_us", BigInteger, nullable=False),  # database clock
    Index("ix_evidence_changed_at_us", "changed_at_us"),
    sqlite_with_rowid=False,
)

# One row. Evidence before `days_before_s` stands in rows of a day, before `hours_before_s` in rows of an hour, the
# rest in rows of 15 minutes; so which row a call belongs to follows from its time and this row alone.
evidence_state = Table(
    "evidence_state",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("epoch", BigInteger, nullable=False),  # raised whenever rows were moved or recomputed
    Column("hours_before_s", BigInteger, nullable=False),
    Column("days_before_s", BigInteger, nullable=False),
    Column("kept_from_s", BigInteger, nullable=False, server_default="0"),  # evidence before it outlives its calls
)

sessions = Table(
    "sessions",
    metadata,
    Column("use_case", Text, primary_key=True),
    Column("session_id", Text, primary_key=True),
    Column("model_id", Text, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# What was spent and is reserved in each window of each limit; a row is made by the first who reserves there.
budgets = Table(
    "budgets",
    metadata,
    Column("scope_kind", Text, primary_key=True),  # everything, use_case or tenant
    Column("scope_name", Text, primary_key=True),  # empty for everything
    Column("window_kind", Text, primary_key=True),
    Column("start_at_us", BigInteger, primary_key=True),
    Column("spent_nano_usd", BigInteger, nullable=False),
    Column("reserved_nano_usd", BigInteger, nullable=False),  # the sum of the reservations that name this window
    sqlite_with_rowid=False,
)

reservations = Table(
    "reservations",
    metadata,
    Column("reservation_id", Text, primary_key=True),
    Column("granted_nano_usd", BigInteger, nullable=False),
    Column("expires_at_us", BigInteger, nullable=False),  # database clock
    Column("windows_json", Text, nullable=False),  # keys of budgets
    Index("ix_reservations_expires_at_us", "expires_at_us"),
    sqlite_with_rowid=False,
)

# Drift. The day, of `since_at_us`, makes a second row of the same kind and day impossible; that none follows within 24
# hours is seen to by who writes.
alarms = Table(
    "alarms",
    metadata,
    Column("model_id", Text, primary_key=True),
    Column("subject", Text, primary_key=True),  # quality or failure
    Column("direction", Text, primary_key=True),  # decline or improvement
    Column("day", Integer, primary_key=True),  # since the epoch, UTC
    Column("since_at_us", BigInteger, nullable=False),
    Column("raised_at_us", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

health = Table(
    "health",
    metadata,
    Column("gateway", Text, primary_key=True),
    Column("model_id", Text, primary_key=True),  # * is the gateway itself
    Column("state", Text, nullable=False),
    Column("error_kind", Text),
    Column("n_failures", Integer, nullable=False),
    Column("changed_at_us", BigInteger, nullable=False),
    Column("open_until_us", BigInteger),
    sqlite_with_rowid=False,
)

prices = Table(
    "prices",
    metadata,
    Column("model_id", Text, primary_key=True),
    Column("gateway", Text, primary_key=True),
    Column("from_at_us", BigInteger, primary_key=True),
    Column("input_nano_usd_per_mtok", BigInteger),  # NULL is unknown, never free
    Column("output_nano_usd_per_mtok", BigInteger),
    Column("cached_nano_usd_per_mtok", BigInteger),
    Column("long_over_tokens", BigInteger),
    Column("long_input_nano_usd_per_mtok", BigInteger),
    Column("long_output_nano_usd_per_mtok", BigInteger),
    Column("source", Text, nullable=False),
    sqlite_with_rowid=False,
)


api_keys = Table(
    "api_keys",
    metadata,
    Column("key_id", Text, primary_key=True),
    Column("hash", Text, nullable=False),  # the key itself is nowhere
    Column("scopes_json", Text, nullable=False),
    Column("tenant", Text),
    Column("label", Text, nullable=False),
    Column("requests_per_minute", Integer),
    Column("created_at_us", BigInteger, nullable=False),
    Column("expires_at_us", BigInteger),
    Column("revoked_at_us", BigInteger),
    Column("last_used_on", Text),  # a day, UTC: finer times would be a write per call
    sqlite_with_rowid=False,
)

# What all workers at this database sign with, where the settings give nothing.
shared_secrets = Table(
    "shared_secrets",
    metadata,
    Column("name", Text, primary_key=True),
    Column("secret", Text, nullable=False),
    sqlite_with_rowid=False,
)


def now_us(dialect: Dialect) -> ColumnElement[int]:
    """Return the database's own clock as an SQL expression, in microseconds since the epoch.

    On Postgres the time now, not that of the transaction's begin.
    """
    if dialect.name == "sqlite":
        # strftime gives whole milliseconds; unixepoch('subsec') needs SQLite 3.42.
        seconds = "CAST(strftime('%s', 'now') AS INTEGER) * 1000000"
        return literal_column(f"({seconds} + CAST(substr(strftime('%f', 'now'), 4) AS INTEGER) * 1000)", BigInteger)
    return literal_column("CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)", BigInteger)
