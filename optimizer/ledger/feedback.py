"""Ratings at rest: which one of two stands, and those of a set of calls."""

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import Connection, select

from optimizer.domain import Feedback
from optimizer.ledger.rows import to_feedback
from optimizer.ledger.tables import feedback

RaterKey = tuple[str, str]  # metric, rater


def supersedes(new: Feedback, old: Feedback | None) -> bool:
    """Return whether `new` takes the place of the same rater's `old` rating of the same metric.

    The later rating stands, in whatever order the two arrive, so every order of arrival leaves the same ledger; of
    two at the same moment, the one that arrives last.
    """
    return old is None or new.at > old.at or (new.at == old.at and new.value != old.value)


def ratings_of(connection: Connection, call_ids: Sequence[str]) -> dict[str, dict[RaterKey, Feedback]]:
    """Return call → (metric, rater) → rating, withdrawn ones (value None) included; at most some hundred calls."""
    found: dict[str, dict[RaterKey, Feedback]] = defaultdict(dict)
    rows = connection.execute(select(feedback).where(feedback.c.call_id.in_(call_ids))).mappings()
    for row in rows:
        found[row["call_id"]][row["metric"], row["rater"]] = to_feedback(row)
    return found
