"""A clock, a small pool of models, and calls that are made, recorded and rated at once."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select

from optimizer.catalog import load_catalog
from optimizer.domain import Usage
from optimizer.engine import Optimizer
from optimizer.ledger.tables import metadata

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
CATALOG = load_catalog()

DEAR, MIDDLE, CHEAP = "gpt-4o", "gpt-5.4-mini", "gpt-oss-120b"  # $2.5, $0.75 and $0.15 per million input tokens
POOL = f"candidates: [{DEAR}, {MIDDLE}, {CHEAP}], incumbent: {DEAR}"
USAGE = Usage(input_tokens=1000, output_tokens=200)


class Clock:
    """Stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **delta: float) -> None:
        self.now += timedelta(**delta)


def pool(more: str = "", rest: str = "") -> str:
    """Return a configuration whose use case `chat` chooses among three models of very different price."""
    return f"use_cases: {{chat: {{{POOL}{', ' + more if more else ''}}}}}\n{rest}"


def teach(opt: Optimizer, model: str, values: list[float], **asked: Any) -> None:
    """Let a model serve as many calls, each recorded and rated, and learn from them."""
    for value in values:
        selection = opt.select_optimal_model("chat", 1000, model=model, **asked)
        opt.record(selection, usage=USAGE, latency_ms=700.0)
        opt.rate(selection.call_id, value)
    opt.refresh(flush=True)


def contents(opt: Optimizer) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of every table, once all that waits is written."""
    opt.flush()
    with opt.database.reading() as connection:
        return {
            name: sorted(map(tuple, connection.execute(select(table)).all()), key=repr)
            for name, table in metadata.tables.items()
        }
