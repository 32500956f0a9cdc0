"""Facts and orders of spending as records of a journal and back: the ledger's own rows, column by column, as JSON.

A row names its columns, so a later version still reads what an earlier one has left.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import Table

from optimizer.domain import Attempt, Feedback
from optimizer.ledger.batch import Fact, check_durations
from optimizer.ledger.health import BreakerState, state_row, to_state
from optimizer.ledger.reservations import Charge, Group, Reservation, Settle, WindowKey
from optimizer.ledger.rows import (
    Row,
    attempt_row,
    call_row,
    check_rating,
    feedback_row,
    to_attempt,
    to_datetime,
    to_feedback,
    to_selection,
    to_us,
)
from optimizer.ledger.sessions import SessionChoice
from optimizer.ledger.tables import attempts, calls, feedback
from optimizer.selection import Decision, Selection

Facts = tuple[Fact, ...]
Named = dict[str, Any]


class FactsCodec:
    """Submissions of facts; a decision stands in a file once, before the first call that was drawn from it.

    Parameters
    ----------
    keep_features : bool
        Whether raw request features are written.
    """

    def __init__(self, *, keep_features: bool = False) -> None:
        self._keep_features = keep_features
        self._written: set[str] = set()
        self._decisions: dict[str, Decision] = {}

    def encode(self, item: Facts) -> list[bytes]:
        """Return the records of a submission; what the ledger would refuse whatever it holds is refused here."""
        rows = [self._named(fact) for fact in item]
        new = {f.decision.digest: f.decision for f in item if isinstance(f, Selection)}
        decisions = [_bytes({"decision": decision.json}) for key, decision in new.items() if key not in self._written]
        self._written.update(new)
        return [*decisions, _bytes({"facts": rows})]

    def decode(self, record: bytes) -> Facts | None:
        """Return the submission; None where the record is the decision of those that follow."""
        found = json.loads(record)
        if "decision" in found:
            decision = Decision.parse(found["decision"])
            self._decisions[decision.digest] = decision
            return None
        return tuple(self._fact(kind, row) for kind, row in found["facts"])

    def _named(self, fact: Fact) -> tuple[str, Named]:
        if isinstance(fact, Selection):
            return "call", _by_column(calls, call_row(fact, keep_features=self._keep_features))
        return _KIND_OF[type(fact)], _ROW_OF[type(fact)](fact)

    def _fact(self, kind: str, row: Any) -> Fact:  # noqa: ANN401 - whatever JSON holds
        if kind == "call":
            return to_selection(row, self._decisions[row["decision_digest"]])
        return _FACT_OF[kind](row)


class CostsCodec:
    """Groups of costs to be charged, numbered, so that none is charged twice."""

    def encode(self, item: Group) -> list[bytes]:
        """Return the record of a group."""
        orders = [
            (order.cost_nano_usd, asdict(order.reservation))
            if isinstance(order, Settle)
            else (order.cost_nano_usd, order.windows)
            for order in item.orders
        ]
        return [_bytes({"teller": item.teller, "number": item.number, "orders": orders})]

    def decode(self, record: bytes) -> Group:
        """Return the group."""
        found = json.loads(record)
        return Group(found["teller"], found["number"], tuple(_order(cost, what) for cost, what in found["orders"]))


def _order(cost_nano_usd: int, what: Any) -> Settle | Charge:  # noqa: ANN401 - whatever JSON holds
    if isinstance(what, Mapping):
        windows = tuple(WindowKey(*key) for key in what["windows"])
        return Settle(Reservation(**{**what, "windows": windows}), cost_nano_usd)
    return Charge(tuple(WindowKey(*key) for key in what), cost_nano_usd)


def _by_column(table: Table, row: Row) -> Named:
    return dict(zip(table.columns.keys(), row, strict=True))


def _attempt_row(attempt: Attempt) -> Named:
    check_durations(attempt)
    return _by_column(attempts, attempt_row(attempt))


def _rating_row(rating: Feedback) -> Named:
    check_rating(rating)
    return _by_column(feedback, feedback_row(rating))


def _choice_row(choice: SessionChoice) -> Named:
    return {**asdict(choice), "at": to_us(choice.at)}


def _to_choice(row: Named) -> SessionChoice:
    return SessionChoice(**{**row, "at": to_datetime(row["at"])})


_KIND_OF = {Attempt: "attempt", Feedback: "rating", SessionChoice: "session", BreakerState: "breaker"}
_ROW_OF: dict[type, Callable[[Any], Named]] = {
    Attempt: _attempt_row,
    Feedback: _rating_row,
    SessionChoice: _choice_row,
    BreakerState: state_row,
}
_FACT_OF: dict[str, Callable[[Any], Fact]] = {
    "attempt": to_attempt,
    "rating": to_feedback,
    "session": _to_choice,
    "breaker": to_state,
}


def _bytes(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
