"""The service's API keys: make, list, find, revoke and replace them; the ledger holds a hash of each, never the key.

A key reads `oo_<id>_<secret>`. Its secret is 256 random bits, so a plain SHA-256 of the whole key is enough: nobody
can try that many, in tables made beforehand or otherwise, which is what salts and slow hashes are there to hinder. A
hash keyed with a secret of the settings would make every key useless the day that secret is changed.
"""

import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from hashlib import sha256
from typing import Any, Literal, get_args

from sqlalchemy import Connection, RowMapping, insert, or_, select, update

from optimizer.errors import InvalidRequest
from optimizer.ledger.database import Database
from optimizer.ledger.rows import to_datetime, to_us
from optimizer.ledger.tables import api_keys

Scope = Literal["call", "feedback", "read", "admin"]  # admin implies the others
SCOPES: tuple[Scope, ...] = get_args(Scope)
PREFIX = "oo"
_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What the ledger knows of a key.

    Attributes
    ----------
    hash : str
        SHA-256 of the key, in hexadecimal.
    scopes : frozenset of {"call", "feedback", "read", "admin"}
        What its bearer may do; `admin` implies the others.
    tenant : str or None
        Whose calls it makes and sees; None sees those of all.
    requests_per_minute : int or None
        In each worker; None is the settings' default.
    expires_at, revoked_at : datetime or None
        When it ends, or was ended, aware.
    last_used_on : date or None
        UTC.
    """

    key_id: str
    hash: str
    scopes: frozenset[Scope]
    label: str
    created_at: datetime
    tenant: str | None = None
    requests_per_minute: int | None = None
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_on: date | None = None

    def usable(self, now: datetime) -> bool:
        """Return whether the key still opens anything."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    def allows(self, scope: Scope) -> bool:
        """Return whether the key's bearer may do this."""
        return scope in self.scopes or "admin" in self.scopes

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the hash, as plain JSON types."""
        return {
            "id": self.key_id,
            "label": self.label,
            "scopes": [scope for scope in SCOPES if scope in self.scopes],
            "tenant": self.tenant,
            "requests_per_minute": self.requests_per_minute,
            "created_at": self.created_at.isoformat(),
            "expires_at": None if self.expires_at is None else self.expires_at.isoformat(),
            "revoked_at": None if self.revoked_at is None else self.revoked_at.isoformat(),
            "last_used_on": None if self.last_used_on is None else self.last_used_on.isoformat(),
        }


def hash_of(key: str) -> str:
    """Return what the ledger keeps of a key."""
    return sha256(key.encode()).hexdigest()


def id_of(key: str) -> str | None:
    """Return the id that a key names, or None where the text is no key of ours."""
    prefix, _, rest = key.partition("_")
    key_id, _, secret = rest.partition("_")
    return key_id if prefix == PREFIX and key_id and secret else None


def create_key(
    database: Database,
    now: datetime,
    *,
    label: str,
    scopes: Iterable[Scope],
    tenant: str | None = None,
    expires_at: datetime | None = None,
    requests_per_minute: int | None = None,
) -> tuple[ApiKey, str]:
    """Make a key; return what the ledger keeps of it, and the key, which is never to be seen again.

    Raises
    ------
    InvalidRequest
        If an argument is out of range; the error names it.
    """
    wanted = frozenset(scopes)
    if not wanted or not wanted <= set(SCOPES):
        raise InvalidRequest("scopes", f"one or more of {', '.join(SCOPES)}")
    _check_name("label", label)
    if tenant is not None:
        _check_name("tenant", tenant)
    if expires_at is not None and expires_at <= now:
        raise InvalidRequest("expires_at", "a time to come")
    if requests_per_minute is not None and not 1 <= requests_per_minute <= 1_000_000:
        raise InvalidRequest("requests_per_minute", "a number from 1 to 1000000")
    made, key = _new(wanted, label, now)
    made = replace(made, tenant=tenant, requests_per_minute=requests_per_minute, expires_at=expires_at)
    with database.writing() as connection:
        connection.execute(insert(api_keys), _row(made))
    return made, key


def read_keys(database: Database) -> list[ApiKey]:
    """Return every key that was ever made, the oldest first."""
    with database.reading() as connection:
        rows = connection.execute(select(api_keys).order_by(api_keys.c.created_at_us, api_keys.c.key_id)).mappings()
        return [_key(row) for row in rows]


def revoke_key(database: Database, key_id: str, now: datetime) -> ApiKey:
    """End a key now; one that was revoked before stays as it was.

    Raises
    ------
    InvalidRequest
        If there is no such key.
    """
    with database.writing() as connection:
        known = _known(connection, key_id)
        if known.revoked_at is not None:
            return known
        _change(connection, key_id, revoked_at_us=to_us(now))
        return replace(known, revoked_at=now)


def rotate_key(database: Database, key_id: str, now: datetime, *, overlap: timedelta) -> tuple[ApiKey, str]:
    """Make a key that may do what this one may, which itself ends after `overlap`; return as `create_key` does.

    The new key lives as long as the old one was made to live.

    Raises
    ------
    InvalidRequest
        If there is no such key, or it is of no use any more.
    """
    with database.writing() as connection:
        old = _known(connection, key_id)
        if not old.usable(now):
            raise InvalidRequest("key_id", f"key {key_id} has ended already; make a new one")
        made, key = _new(old.scopes, old.label, now)
        lifetime = None if old.expires_at is None else old.expires_at - old.created_at
        made = replace(
            made,
            tenant=old.tenant,
            requests_per_minute=old.requests_per_minute,
            expires_at=None if lifetime is None else now + lifetime,
        )
        connection.execute(insert(api_keys), _row(made))
        ends_at = now + overlap if old.expires_at is None else min(now + overlap, old.expires_at)
        _change(connection, key_id, expires_at_us=to_us(ends_at))
    return made, key


def note_use(database: Database, key_ids: Iterable[str], day: date) -> None:
    """Note that keys were used on a day."""
    last = api_keys.c.last_used_on
    earlier = or_(last.is_(None), last < day.isoformat())
    with database.writing() as connection:
        for key_id in sorted(key_ids):  # one order for all workers: no deadlocks
            used = update(api_keys).where(api_keys.c.key_id == key_id, earlier)
            connection.execute(used.values(last_used_on=day.isoformat()))


def _new(scopes: frozenset[Scope], label: str, now: datetime) -> tuple[ApiKey, str]:
    key_id = secrets.token_hex(6)
    key = f"{PREFIX}_{key_id}_{secrets.token_hex(32)}"
    return ApiKey(key_id, hash_of(key), scopes, label, now), key


def _check_name(field: str, text: str) -> None:
    if not text.strip() or len(text) > _LONGEST_NAME or not text.isprintable():
        raise InvalidRequest(field, f"a text of 1 to {_LONGEST_NAME} printable characters")


def _known(connection: Connection, key_id: str) -> ApiKey:
    row = connection.execute(select(api_keys).where(api_keys.c.key_id == key_id).with_for_update()).mappings().first()
    if row is None:
        raise InvalidRequest("key_id", f"no key {key_id}; see `optimizer keys list`")
    return _key(row)


def _change(connection: Connection, key_id: str, **values: int) -> None:
    connection.execute(update(api_keys).where(api_keys.c.key_id == key_id).values(values))


def _row(key: ApiKey) -> dict[str, object]:
    return {
        "key_id": key.key_id,
        "hash": key.hash,
        "scopes_json": json.dumps(sorted(key.scopes)),
        "tenant": key.tenant,
        "label": key.label,
        "requests_per_minute": key.requests_per_minute,
        "created_at_us": to_us(key.created_at),
        "expires_at_us": None if key.expires_at is None else to_us(key.expires_at),
    }


def _key(row: RowMapping) -> ApiKey:
    expires_us, revoked_us, used_on = row["expires_at_us"], row["revoked_at_us"], row["last_used_on"]
    return ApiKey(
        row["key_id"],
        row["hash"],
        frozenset(json.loads(row["scopes_json"])),
        row["label"],
        to_datetime(row["created_at_us"]),
        row["tenant"],
        row["requests_per_minute"],
        None if expires_us is None else to_datetime(expires_us),
        None if revoked_us is None else to_datetime(revoked_us),
        None if used_on is None else date.fromisoformat(used_on),
    )
