"""What calls were drawn from: every eligible model's share, and the holdout's, by the digest of the decision."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from json import dumps
from typing import NotRequired

from pydantic import TypeAdapter
from sqlalchemy import false, func, or_, select

# pydantic refuses those of the standard library before Python 3.12.
from typing_extensions import TypedDict

from optimizer.ledger.database import Database, in_batches
from optimizer.ledger.tables import decisions

_BATCH = 500


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


def draws_of(
    database: Database, digests: Collection[str], *, naming: Collection[str] | None = None
) -> Iterator[tuple[str, Drawn]]:
    """Yield (digest, what was drawn from) of these decisions, in order of the digests.

    Parameters
    ----------
    naming : collection of str, optional
        Of decisions that name one of these models only; the others are not looked into.
    """
    wanted = sorted(digests)
    for begin in range(0, len(wanted), _BATCH):
        for digest, document in _documents(database, wanted[begin : begin + _BATCH], naming):
            yield digest, _drawn(document)


def _documents(database: Database, digests: Sequence[str], naming: Collection[str] | None) -> Sequence[tuple[str, str]]:
    query = select(decisions.c.digest, decisions.c.document_json).where(decisions.c.digest.in_(digests))
    with database.reading() as connection:
        if naming is not None:
            place_of = func.instr if database.is_sqlite else func.strpos
            quoted = (f'"model_id":{dumps(model, ensure_ascii=False)}' for model in naming)
            query = query.where(or_(false(), *(place_of(decisions.c.document_json, text) > 0 for text in quoted)))
        rows = chain.from_iterable(in_batches(connection, query.order_by(decisions.c.digest), _BATCH))
        return [(digest, document) for digest, document in rows]


class _Candidate(TypedDict):
    model_id: str


class _Standing(TypedDict):
    candidate: _Candidate
    exclusion: NotRequired[str | None]
    steps: NotRequired[list[tuple[str, float]]]


class _Lottery(TypedDict):
    """What a lottery needs of a decision's document: a month has very many, and the whole takes four times as long."""

    standings: list[_Standing]
    incumbent: str
    holdout: NotRequired[float]
    exploration: NotRequired[float]


@cache
def _lotteries() -> TypeAdapter[_Lottery]:
    return TypeAdapter(_Lottery)


def _drawn(document: str) -> Drawn:
    lottery = _lotteries().validate_json(document)
    shares = {
        standing["candidate"]["model_id"]: standing["steps"][-1][1]
        for standing in lottery["standings"]
        if standing.get("exclusion") is None and standing.get("steps")
    }
    incumbent = lottery["incumbent"]
    held = (1.0 - lottery.get("exploration", 0.0)) * lottery.get("holdout", 0.0)
    return Drawn(shares, held if incumbent in shares else 0.0, incumbent)
