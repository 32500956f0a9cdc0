"""What calls were drawn from: every eligible model's share, and the holdout's, by the digest of the decision."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from optimizer.ledger.database import Database
from optimizer.ledger.rows import to_us
from optimizer.ledger.tables import calls, decisions

_BATCH = 2_000


@dataclass(frozen=True, slots=True)
class Drawn:
    """One decision's lottery.

    Attributes
    ----------
    shares : mapping of str to float
        Model → probability, of every eligible candidate; empty where nothing was drawn.
    held_share : float
        Probability of being held out, which is part of the incumbent's share.
    incumbent : str
    """

    shares: Mapping[str, float]
    held_share: float
    incumbent: str


def draws_between(
    database: Database, start: datetime, end: datetime, *, use_case: str | None = None
) -> dict[str, Drawn]:
    """Return digest → what was drawn from, of all decisions behind calls decided in [start, end)."""
    used = select(calls.c.decision_digest).where(
        calls.c.decided_at_us >= to_us(start), calls.c.decided_at_us < to_us(end)
    )
    if use_case is not None:
        used = used.where(calls.c.use_case == use_case)
    query = select(decisions.c.digest, decisions.c.document_json).where(decisions.c.digest.in_(used))
    with database.reading() as connection:
        rows = connection.execution_options(yield_per=_BATCH).execute(query)
        return {digest: _drawn(json.loads(document)) for digest, document in rows}


def _drawn(document: dict[str, Any]) -> Drawn:
    # The whole decision, validated, would take ten times as long, and a month has very many.
    shares = {
        standing["candidate"]["model_id"]: float(standing["steps"][-1][1])
        for standing in document["standings"]
        if standing.get("exclusion") is None and standing.get("steps")
    }
    incumbent = document["incumbent"]
    held = (1.0 - document.get("exploration", 0.0)) * document.get("holdout", 0.0)
    return Drawn(shares, held if incumbent in shares else 0.0, incumbent)
