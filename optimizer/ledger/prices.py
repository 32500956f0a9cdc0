"""Dated prices, as lists were seen to name them: append them, read them back."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import select

from optimizer.domain import NANO_USD, DatedPrice, Price
from optimizer.ledger.database import Database
from optimizer.ledger.rows import to_datetime, to_us
from optimizer.ledger.statements import insert_into
from optimizer.ledger.tables import prices

_AMOUNTS = {
    "input_usd_per_mtok": "input_nano_usd_per_mtok",
    "output_usd_per_mtok": "output_nano_usd_per_mtok",
    "cached_usd_per_mtok": "cached_nano_usd_per_mtok",
    "long_input_usd_per_mtok": "long_input_nano_usd_per_mtok",
    "long_output_usd_per_mtok": "long_output_nano_usd_per_mtok",
}


def append_prices(database: Database, dated: Iterable[DatedPrice]) -> None:
    """Keep prices; one for the same model, gateway and moment takes the place of the earlier one."""
    rows = [_row(each) for each in dated]
    insert = insert_into(prices, database.engine.dialect)
    new = {c.name: insert.excluded[c.name] for c in prices.c if not c.primary_key}
    statement = insert.on_conflict_do_update(index_elements=list(prices.primary_key), set_=new)
    with database.writing() as connection:
        for row in rows:
            connection.execute(statement, row)


def read_prices(database: Database) -> tuple[DatedPrice, ...]:
    """Return every price that was ever appended, by model and gateway, and of each the earliest first."""
    query = select(prices).order_by(*prices.primary_key)
    with database.reading() as connection:
        return tuple(_dated(row) for row in connection.execute(query).mappings())


def _dated(row: Mapping[Any, Any]) -> DatedPrice:
    from_at = to_datetime(row["from_at_us"])
    return DatedPrice(row["model_id"], row["gateway"], from_at, _price(row), row["source"])


def _row(dated: DatedPrice) -> dict[str, object]:
    amounts = {column: _to_nano(getattr(dated.price, name)) for name, column in _AMOUNTS.items()}
    key = {"model_id": dated.model_id, "gateway": dated.gateway, "from_at_us": to_us(dated.from_at)}
    return key | amounts | {"long_over_tokens": dated.price.long_over_tokens, "source": dated.source}


def _price(row: Mapping[Any, Any]) -> Price:
    amounts = {name: _to_usd(row[column]) for name, column in _AMOUNTS.items()}
    return Price(**amounts, long_over_tokens=row["long_over_tokens"])


def _to_nano(usd: float | None) -> int | None:
    return None if usd is None else round(usd * NANO_USD)


def _to_usd(nano_usd: int | None) -> float | None:
    return None if nano_usd is None else nano_usd / NANO_USD
