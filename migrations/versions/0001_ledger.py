"""Lay down calls, decisions, attempts, feedback, evidence, sessions and prices."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "decisions",
        sa.Column("digest", sa.Text, primary_key=True),
        sa.Column("document_json", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "calls",
        sa.Column("call_id", sa.Text, primary_key=True),
        sa.Column("decided_at_us", sa.BigInteger, nullable=False),
        sa.Column("use_case", sa.Text, nullable=False),
        sa.Column("segment", sa.Text, nullable=False),
        sa.Column("session_id", sa.Text),
        sa.Column("tenant", sa.Text),
        sa.Column("tags_json", sa.Text),
        sa.Column("decision_digest", sa.Text, sa.ForeignKey("decisions.digest"), nullable=False),
        sa.Column("model_id", sa.Text, nullable=False),
        sa.Column("drawn_model_id", sa.Text, nullable=False),
        sa.Column("propensity", sa.Double),
        sa.Column("overridden_by", sa.Text),
        sa.Column("held_out", sa.Boolean, nullable=False),
        sa.Column("objective", sa.Text, nullable=False),
        sa.Column("required_quality", sa.Text),
        sa.Column("price", sa.Double),
        sa.Column("exploration", sa.Double, nullable=False),
        sa.Column("context_tokens", sa.BigInteger, nullable=False),
        sa.Column("policy_version", sa.Text, nullable=False),
        sa.Column("price_version", sa.Text, nullable=False),
        sa.Column("segmenter_version", sa.Text, nullable=False),
        sa.Column("request_json", sa.Text),
        sa.Column("features_json", sa.Text),
        sa.Column("prompt_hmac", sa.Text),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_calls_decided_at_us", "calls", ["decided_at_us"])
    op.create_table(
        "attempts",
        sa.Column("call_id", sa.Text, sa.ForeignKey("calls.call_id"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("model_id", sa.Text, nullable=False),
        sa.Column("gateway", sa.Text, nullable=False),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sa.Column("served", sa.Boolean, nullable=False),
        sa.Column("status", sa.Integer),
        sa.Column("error_kind", sa.Text),
        sa.Column("provider", sa.Text),
        sa.Column("model_version", sa.Text),
        sa.Column("latency_ms", sa.Double),
        sa.Column("ttft_ms", sa.Double),
        sa.Column("input_tokens", sa.BigInteger),
        sa.Column("cached_tokens", sa.BigInteger),
        sa.Column("output_tokens", sa.BigInteger),
        sa.Column("reasoning_tokens", sa.BigInteger),
        sa.Column("cost_nano_usd", sa.BigInteger),
        sa.Column("cost_source", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "feedback",
        sa.Column("call_id", sa.Text, sa.ForeignKey("calls.call_id"), primary_key=True),
        sa.Column("metric", sa.Text, primary_key=True),
        sa.Column("rater", sa.Text, primary_key=True),
        sa.Column("value", sa.Double),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "evidence",
        sa.Column("use_case", sa.Text, primary_key=True),
        sa.Column("segment", sa.Text, primary_key=True),
        sa.Column("model_id", sa.Text, primary_key=True),
        sa.Column("measure", sa.Text, primary_key=True),
        sa.Column("bucket_start_s", sa.BigInteger, primary_key=True),
        sa.Column("bucket_width_s", sa.Integer, primary_key=True),
        sa.Column("n", sa.BigInteger, nullable=False),
        sa.Column("total", sa.BigInteger, nullable=False),
        sa.Column("square", sa.BigInteger, nullable=False),
        sa.Column("changed_at_us", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_evidence_changed_at_us", "evidence", ["changed_at_us"])
    state = op.create_table(
        "evidence_state",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("hours_before_s", sa.BigInteger, nullable=False),
        sa.Column("days_before_s", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(state, [{"id": 1, "epoch": 1, "hours_before_s": 0, "days_before_s": 0}])
    op.create_table(
        "sessions",
        sa.Column("use_case", sa.Text, primary_key=True),
        sa.Column("session_id", sa.Text, primary_key=True),
        sa.Column("model_id", sa.Text, nullable=False),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "prices",
        sa.Column("model_id", sa.Text, primary_key=True),
        sa.Column("from_at_us", sa.BigInteger, primary_key=True),
        sa.Column("input_nano_usd_per_mtok", sa.BigInteger),
        sa.Column("output_nano_usd_per_mtok", sa.BigInteger),
        sa.Column("cached_nano_usd_per_mtok", sa.BigInteger),
        sa.Column("long_over_tokens", sa.BigInteger),
        sa.Column("long_input_nano_usd_per_mtok", sa.BigInteger),
        sa.Column("long_output_nano_usd_per_mtok", sa.BigInteger),
        sa.Column("source", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )
