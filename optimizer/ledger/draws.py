"""What calls were drawn from: every eligible model's share, and the holdout's, by the digest of the decision."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import NotRequired

from pydantic import TypeAdapter
from sqlalchemy import select

# pydantic refuses those of the standard library before Python 3.12.
from typing_extensions import TypedDict

from optimizer.ledger.database import Database, in_batches, no_garbage
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


def draws_of(database: Database, digests: Collection[str]) -> Iterator[tuple[str, Drawn]]:
    """Yield (digest, what was drawn from) of these decisions, in order of the digests."""
    wanted = sorted(digests)
    for begin in range(0, len(wanted), _BATCH):
        with no_garbage():
            documents = _documents(database, wanted[begin : begin + _BATCH])
            found = [(digest, _drawn(document)) for digest, document in documents]
        yield from found


def _documents(database: Database, digests: Sequence[str]) -> Sequence[Sequence[str]]:
    query = select(decisions.c.digest, decisions.c.document_json).where(decisions.c.digest.in_(digests))
    with database.reading() as connection:
        return list(chain.from_iterable(in_batches(connection, query.order_by(decisions.c.digest), _BATCH)))


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
