"""Dated prices: append them, and read those in force at a time."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, func, select

from optimizer.domain import NANO_USD, Price
from optimizer.ledger.database import Database
from optimizer.ledger.rows import to_us
from optimizer.ledger.statements import insert_into
from optimizer.ledger.tables import prices

_AMOUNTS = {
    "input_usd_per_mtok": "input_nano_usd_per_mtok",
    "output_usd_per_mtok": "output_nano_usd_per_mtok",
    "cached_usd_per_mtok": "cached_nano_usd_per_mtok",
    "long_input_usd_per_mtok": "long_input_nano_usd_per_mtok",
    "long_output_usd_per_mtok": "long_output_nano_usd_per_mtok",
}


@dataclass(frozen=True, slots=True)
class DatedPrice:
    """What a model charges through a gateway from a moment on, and where that was found."""

    model_id: str
    gateway: str
    from_at: datetime
    price: Price
    source: str


def append_prices(database: Database, dated: Iterable[DatedPrice]) -> None:
    """Keep prices; one for the same model, gateway and moment takes the place of the earlier one."""
    rows = [_row(each) for each in dated]
    insert = insert_into(prices, database.engine.dialect)
    new = {c.name: insert.excluded[c.name] for c in prices.c if not c.primary_key}
    statement = insert.on_conflict_do_update(index_elements=list(prices.primary_key), set_=new)
    with database.writing() as connection:
        for row in rows:
            connection.execute(statement, row)


def prices_at(database: Database, at: datetime) -> dict[tuple[str, str], Price]:
    """Return (model, gateway) → the price in force at this time, for every pair that has one by then."""
    p = prices.c
    latest = (
        select(p.model_id, p.gateway, func.max(p.from_at_us).label("from_at_us"))
        .where(p.from_at_us <= to_us(at))
        .group_by(p.model_id, p.gateway)
        .subquery()
    )
    same = (latest.c[name] == p[name] for name in ("model_id", "gateway", "from_at_us"))
    query = select(prices).join(latest, and_(*same))
    with database.reading() as connection:
        return {(row["model_id"], row["gateway"]): _price(dict(row)) for row in connection.execute(query).mappings()}


def _row(dated: DatedPrice) -> dict[str, object]:
    amounts = {column: _to_nano(getattr(dated.price, name)) for name, column in _AMOUNTS.items()}
    key = {"model_id": dated.model_id, "gateway": dated.gateway, "from_at_us": to_us(dated.from_at)}
    return key | amounts | {"long_over_tokens": dated.price.long_over_tokens, "source": dated.source}


def _price(row: dict[str, int | None]) -> Price:
    amounts = {name: _to_usd(row[column]) for name, column in _AMOUNTS.items()}
    return Price(**amounts, long_over_tokens=row["long_over_tokens"])


def _to_nano(usd: float | None) -> int | None:
    return None if usd is None else round(usd * NANO_USD)


def _to_usd(nano_usd: int | None) -> float | None:
    return None if nano_usd is None else nano_usd / NANO_USD
