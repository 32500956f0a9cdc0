"""`POST` and `DELETE /v1/feedback`: how a call went, from any client, hours later too."""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import anyio
from fastapi import APIRouter, Body, Depends, Query
from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, WithJsonSchema

from optimizer.engine.ratings import parse_rating
from optimizer.errors import InvalidRating, InvalidRequest, LedgerUnavailable, NoGateway, UnknownMetric
from optimizer.selection import Selection
from optimizer.service import docs
from optimizer.service.errors import ApiError, answer_to
from optimizer.service.hints import LONGEST, plain
from optimizer.service.lookup import latest_of_session, selection_of
from optimizer.service.security import Caller, feedback_caller
from optimizer.service.state import Service, ServiceOf
from optimizer.settings import Metrics

MOST = 1_000  # ratings in one request

router = APIRouter(tags=["feedback"])
Rater = Annotated[Caller, Depends(feedback_caller)]
Name = Annotated[str, Field(min_length=1, max_length=LONGEST)]


def _value(value: object) -> object:
    """Return a rating's value if it has one of the four shapes; what it is worth, its use case says."""
    if isinstance(value, dict):
        return _stars(value)
    if isinstance(value, int | float) and 0.0 <= value <= 1.0:
        return value
    if isinstance(value, str) and 0 < len(value) <= LONGEST:
        return value
    raise ValueError('must be a number in [0, 1], true, false, {"stars": 4, "of": 5}, or a label of the use case')


def _stars(value: dict[str, Any]) -> str:
    numbers = {"of": 5, **value}
    are_numbers = all(isinstance(each, int | float) and not isinstance(each, bool) for each in numbers.values())
    if not are_numbers or numbers.keys() != {"stars", "of"} or not 0 <= numbers["stars"] <= numbers["of"] < math.inf:
        raise ValueError('stars are {"stars": 4, "of": 5}, from 0 up to `of`')
    if numbers["of"] == 0:
        raise ValueError("stars are of more than 0")
    return f"{numbers['stars']}/{numbers['of']}"


def _refuse_comment(value: object) -> object:
    if value is not None:
        raise ValueError("free text is not kept, for it may hold what nobody should read; send a value")
    return value


class Subject(BaseModel):
    """Whose rating of which call: by its id, or the latest call of a session."""

    model_config = ConfigDict(extra="forbid", strict=True)

    call_id: Name | None = None
    session_id: Name | None = None
    metric: Name | None = None
    rater: Name = "user"


class Rating(Subject):
    """One rating: a number in [0, 1], a boolean, stars, or a label that the use case gives a value."""

    value: Annotated[Any, BeforeValidator(_value), WithJsonSchema(docs.RATING_VALUE)]
    comment: Annotated[None, BeforeValidator(_refuse_comment)] = None


def _shape(body: object) -> str:
    return "many" if isinstance(body, list) else "one"


Ratings = Annotated[
    Annotated[Rating, Tag("one")] | Annotated[list[Rating], Tag("many"), Field(min_length=1, max_length=MOST)],
    Discriminator(_shape),
    Body(examples=docs.FEEDBACK_REQUESTS),
]
Withdrawals = Annotated[
    Annotated[Subject, Tag("one")] | Annotated[list[Subject], Tag("many"), Field(min_length=1, max_length=MOST)],
    Discriminator(_shape),
]


async def _named(
    call_id: Annotated[str | None, Query(min_length=1, max_length=LONGEST)] = None,
    session_id: Annotated[str | None, Query(min_length=1, max_length=LONGEST)] = None,
    metric: Annotated[str | None, Query(min_length=1, max_length=LONGEST)] = None,
    rater: Annotated[str, Query(min_length=1, max_length=LONGEST)] = "user",
) -> Subject:
    return Subject(call_id=call_id, session_id=session_id, metric=metric, rater=rater)


@dataclass(frozen=True, slots=True)
class Given:
    """One rating, understood: of which call, by which metric; None is the use case's quality, whichever that is."""

    call_id: str
    metric: str | None
    rater: str
    value: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON types."""
        return {"call_id": self.call_id, "metric": self.metric, "rater": self.rater, "value": self.value}


@router.post("/v1/feedback", summary="Rate calls", responses=docs.FEEDBACK_REPLIES)
async def feedback(body: Ratings, service: ServiceOf, caller: Rater) -> dict[str, Any]:
    """Rate one call, or many at once: all of them are taken, or none.

    A rater's later rating of the same call and metric takes the place of the earlier one. With `session_id`, the
    session's latest call is rated.
    """
    given = await _understood(service, body, caller)
    for each in given:
        with suppress(NoGateway):  # nobody to pass it on to; it is in the ledger
            await service.router.rate(each.call_id, each.value or 0.0, metric=each.metric, rater=each.rater)
    return {"object": "list", "data": [each.to_dict() for each in given]}


@router.delete("/v1/feedback", summary="Take ratings back", responses=docs.WITHDRAW_REPLIES)
async def withdraw(
    service: ServiceOf,
    caller: Rater,
    named: Annotated[Subject, Depends(_named)],
    body: Annotated[Withdrawals | None, Body(examples=docs.WITHDRAW_REQUESTS)] = None,
) -> dict[str, Any]:
    """Take a rater's rating of a call and metric back; where there is none, nothing changes.

    Which one is said in the body, as at `POST`, or in the query for clients that cannot send one.
    """
    given = await _understood(service, body or named, caller)
    for each in given:
        take_back = partial(service.optimizer.withdraw, each.call_id, metric=each.metric, rater=each.rater)
        await anyio.to_thread.run_sync(take_back)
    return {"object": "list", "data": [each.to_dict() for each in given]}


async def _understood(service: Service, body: Subject | Sequence[Subject], caller: Caller) -> list[Given]:
    """Return every rating with its call found and its value read, before the first of them is written."""
    if isinstance(body, Subject):
        return [await _given(service, body, caller)]
    given = []
    for i, each in enumerate(body):
        try:
            given.append(await _given(service, each, caller))
        except (InvalidRequest, ApiError) as error:
            told = answer_to(error, service.optimizer.clock())
            told.param = f"{i}.{told.param}"
            raise told from None
    return given


async def _given(service: Service, subject: Subject, caller: Caller) -> Given:
    call_id = await _call_id(service, subject, caller)
    rater = plain("rater", subject.rater)
    try:
        selection = await selection_of(service, call_id, caller)
    except LedgerUnavailable as away:
        if caller.tenant is not None:
            raise
        # Whether there is such a call is seen when the ledger is back; until then the journal has the rating.
        return Given(call_id, subject.metric, rater, _worth_anywhere(subject, away))
    metrics = _metrics(service, selection)
    metric = subject.metric or metrics.quality
    if metric not in metrics.names:
        raise UnknownMetric(metric, metrics.names)
    value = _worth(subject.value, metrics.labels) if isinstance(subject, Rating) else None
    return Given(call_id, metric, rater, value)


def _worth_anywhere(subject: Subject, away: LedgerUnavailable) -> float | None:
    """Return what a rating is worth in every use case alike; where only its own could tell, the ledger is needed."""
    try:
        return _worth(subject.value, {}) if isinstance(subject, Rating) else None
    except InvalidRating:
        raise away from None


async def _call_id(service: Service, subject: Subject, caller: Caller) -> str:
    """Return which call is meant; whoever comes with a call's token may mean no other one."""
    if subject.call_id is not None and subject.session_id is not None:
        raise InvalidRequest("call_id", "give call_id or session_id, not both")
    if caller.call_id is not None:
        if subject.session_id is not None or subject.call_id not in (None, caller.call_id):
            raise ApiError(403, "this token is for another call", code="insufficient_permissions", param="call_id")
        return caller.call_id
    if subject.session_id is not None:
        return await latest_of_session(service, plain("session_id", subject.session_id), caller)
    if subject.call_id is None:
        raise InvalidRequest("call_id", "give call_id or session_id")
    return subject.call_id


def _metrics(service: Service, selection: Selection) -> Metrics:
    route = service.optimizer.routes.by_use_case.get(selection.use_case)
    if route is None:
        raise InvalidRequest("call_id", "its use case is not set any more, or is a judge's; nobody rates it")
    return route.settings.metrics


def _worth(value: bool | float | str, labels: Mapping[str, float]) -> float:
    """Return a rating's value in [0, 1]; the error does not repeat what may be somebody's words."""
    if not isinstance(value, str):
        return float(value)
    try:
        return parse_rating(value, labels)
    except InvalidRating:
        known = f": {', '.join(labels)}" if labels else "; it has none"
        raise InvalidRating("value", f"is neither a rating nor a label of the use case{known}") from None
