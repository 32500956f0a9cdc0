"""Facts as rows of the ledger and back: selections, attempts and feedback, without loss."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import RowMapping

from optimizer.domain import Attempt, Feedback, Request, Usage
from optimizer.errors import InvalidRating, InvalidRequest
from optimizer.selection import Decision, Selection

Row = tuple[Any, ...]  # in the order of the table's columns
Columns = RowMapping | Mapping[str, Any]  # by the columns' names, from the database or from a journal

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_OWN_COLUMNS = {"context_tokens", "context_tokens_high", "session_id", "tenant", "tags", "features"}
_OWN_COLUMNS_AND_NAME = _OWN_COLUMNS | {"use_case"}


def to_us(at: datetime) -> int:
    """Return microseconds since the epoch; `at` must be aware."""
    try:
        return (at - _EPOCH) // _MICROSECOND
    except TypeError:
        raise InvalidRequest("at", "a time needs its time zone, such as datetime.now(UTC)") from None


def to_datetime(us: int) -> datetime:
    """Return the aware UTC time of microseconds since the epoch."""
    return _EPOCH + us * _MICROSECOND


def call_row(selection: Selection, *, keep_features: bool) -> Row:
    """Return the row of `calls`; raw features stay out unless they are to be kept."""
    request, decision = selection.request, selection.decision
    return (
        selection.call_id,
        to_us(selection.decided_at),
        decision.use_case,
        decision.segment,
        request.session_id,
        request.tenant,
        json.dumps(request.tags) if request.tags else None,
        decision.digest,
        selection.model_id,
        selection.drawn_model_id,
        selection.propensity,
        selection.overridden_by,
        selection.held_out,
        decision.objective,
        decision.required_quality,
        decision.price,
        decision.exploration,
        request.context_tokens,
        decision.policy_version,
        decision.price_version,
        decision.segmenter_version,
        _unusual(request, decision),
        json.dumps(request.features) if keep_features and request.features is not None else None,
        selection.prompt_hmac,
    )


def _unusual(request: Request, decision: Decision) -> str | None:
    """Return the rest of the request as JSON, where it differs from a request that asks for nothing in particular."""
    left_out = _OWN_COLUMNS_AND_NAME if request.use_case == decision.use_case else _OWN_COLUMNS
    if request.model_fields_set <= left_out:
        return None
    rest = request.model_dump(mode="json", exclude_defaults=True, exclude=left_out)
    return json.dumps(rest) if rest else None


def to_selection(row: Columns, decision: Decision) -> Selection:
    """Return the selection that `call_row` wrote, its features only where they were kept."""
    request: dict[str, Any] = {"use_case": row["use_case"]}
    request |= {name: row[name] for name in ("context_tokens", "session_id", "tenant")}
    request |= {"tags": json.loads(row["tags_json"] or "[]"), "features": json.loads(row["features_json"] or "null")}
    request |= json.loads(row["request_json"] or "{}")
    return Selection(
        call_id=row["call_id"],
        decided_at=to_datetime(row["decided_at_us"]),
        request=Request.model_validate(request),
        decision=decision,
        model_id=row["model_id"],
        drawn_model_id=row["drawn_model_id"],
        propensity=row["propensity"],
        overridden_by=row["overridden_by"],
        held_out=row["held_out"],
        prompt_hmac=row["prompt_hmac"],
    )


def attempt_row(attempt: Attempt) -> Row:
    """Return the row of `attempts`."""
    usage = attempt.usage
    tokens = (
        (None, None, None, None)
        if usage is None
        else (usage.input_tokens, usage.cached_tokens, usage.output_tokens, usage.reasoning_tokens)
    )
    return (
        attempt.call_id,
        attempt.number,
        attempt.model_id,
        attempt.gateway,
        to_us(attempt.at),
        attempt.served,
        attempt.status,
        attempt.error_kind,
        attempt.provider,
        attempt.model_version,
        attempt.latency_ms,
        attempt.ttft_ms,
        *tokens,
        attempt.cost_nano_usd,
        attempt.cost_source,
        attempt.reused,
    )


def to_attempt(row: Columns) -> Attempt:
    """Return the attempt that `attempt_row` wrote."""
    facts = dict(row)
    tokens = {name: facts.pop(name) for name in Usage.model_fields}
    usage = None if tokens["input_tokens"] is None else Usage(**tokens)
    return Attempt(at=to_datetime(facts.pop("at_us")), usage=usage, **facts)


def check_rating(rating: Feedback) -> None:
    """Raise `InvalidRating` unless the value is in [0, 1] or withdrawn; NaN is neither."""
    if rating.value is not None and not 0.0 <= rating.value <= 1.0:
        raise InvalidRating("value", f"{rating.value!r} is not a number in [0, 1]")


def feedback_row(rating: Feedback) -> Row:
    """Return the row of `feedback`."""
    return rating.call_id, rating.metric, rating.rater, rating.value, to_us(rating.at)


def to_feedback(row: Columns) -> Feedback:
    """Return the rating that `feedback_row` wrote; its value is None where it was withdrawn."""
    return Feedback(row["call_id"], row["metric"], row["rater"], row["value"], to_datetime(row["at_us"]))
