"""Secrets that all workers at one database share: made by the first who asks, the same for everybody after."""

import secrets

from sqlalchemy import select

from optimizer.ledger.database import Database
from optimizer.ledger.statements import insert_into
from optimizer.ledger.tables import shared_secrets


def shared_secret(database: Database, name: str) -> bytes:
    """Return 32 random bytes, the same to all who ask this database for them by this name."""
    query = select(shared_secrets.c.secret).where(shared_secrets.c.name == name)
    with database.reading() as connection:
        found = connection.scalar(query)
    if found is None:
        insert = insert_into(shared_secrets, database.engine.dialect).on_conflict_do_nothing()
        with database.writing() as connection:
            connection.execute(insert, {"name": name, "secret": secrets.token_hex(32)})
            found = connection.scalar(query)
    return bytes.fromhex(str(found))
