"""API keys: shown once, kept as a hash, ended at once or after an overlap."""

import re
from collections.abc import Callable
from datetime import date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from optimizer.errors import InvalidRequest
from optimizer.ledger.api_keys import create_key, hash_of, id_of, note_use, read_keys, revoke_key, rotate_key
from optimizer.ledger.database import Database
from optimizer.ledger.shared_secrets import shared_secret
from tests.ledger.factory import NOON

DAY = timedelta(days=1)


def test_a_key_reads_back_as_it_was_made(database: Database) -> None:
    made, key = create_key(
        database,
        NOON,
        label="web shop",
        scopes=("feedback", "call"),
        tenant="acme",
        expires_at=NOON + DAY,
        requests_per_minute=600,
    )
    assert read_keys(database) == [made]
    assert made.hash == hash_of(key)
    assert (made.scopes, made.tenant, made.requests_per_minute) == ({"call", "feedback"}, "acme", 600)
    assert made.to_dict()["scopes"] == ["call", "feedback"]


def test_a_key_names_its_id_and_holds_256_random_bits(database: Database) -> None:
    made, key = create_key(database, NOON, label="x", scopes=("call",))
    assert re.fullmatch(r"oo_[0-9a-f]{12}_[0-9a-f]{64}", key)
    assert id_of(key) == made.key_id


@given(st.text(max_size=30))
def test_other_texts_name_no_key(noise: str) -> None:
    assert id_of(noise) is None or noise.startswith("oo_")
    assert id_of(f"oo_{noise.replace('_', '')}") is None


def test_the_database_holds_no_key(database: Database) -> None:
    made, key = create_key(database, NOON, label="x", scopes=("call",))
    with database.reading() as connection:
        row = connection.execute(text("SELECT * FROM api_keys")).one()
    secret = key.rpartition("_")[2]
    assert not any(secret in str(value) for value in row)
    assert "hash" not in made.to_dict()


def test_the_admin_scope_implies_the_others(database: Database) -> None:
    admin, _ = create_key(database, NOON, label="x", scopes=("admin",))
    reader, _ = create_key(database, NOON, label="x", scopes=("read",))
    assert all(admin.allows(scope) for scope in ("call", "feedback", "read", "admin"))
    assert [scope for scope in ("call", "feedback", "read", "admin") if reader.allows(scope)] == ["read"]


def test_a_revoked_key_stays_revoked_since_the_first_time(database: Database) -> None:
    made, _ = create_key(database, NOON, label="x", scopes=("call",))
    assert made.usable(NOON)
    assert not revoke_key(database, made.key_id, NOON + DAY).usable(NOON + DAY)
    assert revoke_key(database, made.key_id, NOON + 2 * DAY).revoked_at == NOON + DAY
    assert [key.revoked_at for key in read_keys(database)] == [NOON + DAY]


def test_a_key_ends_when_it_expires(database: Database) -> None:
    made, _ = create_key(database, NOON, label="x", scopes=("call",), expires_at=NOON + DAY)
    assert made.usable(NOON + DAY - timedelta(seconds=1))
    assert not made.usable(NOON + DAY)


def test_rotation_makes_an_equal_key_and_ends_the_old_one_after_the_overlap(database: Database) -> None:
    old, key = create_key(database, NOON, label="x", scopes=("call",), tenant="acme", expires_at=NOON + 90 * DAY)
    new, other = rotate_key(database, old.key_id, NOON + 60 * DAY, overlap=DAY)
    assert key != other
    assert (new.scopes, new.tenant, new.label) == (old.scopes, "acme", "x")
    assert new.expires_at == NOON + 150 * DAY
    ends = {key.key_id: key.expires_at for key in read_keys(database)}
    assert ends == {old.key_id: NOON + 61 * DAY, new.key_id: NOON + 150 * DAY}


def test_rotation_never_lengthens_the_life_of_the_old_key(database: Database) -> None:
    old, _ = create_key(database, NOON, label="x", scopes=("call",), expires_at=NOON + timedelta(hours=1))
    rotate_key(database, old.key_id, NOON, overlap=DAY)
    assert read_keys(database)[0].expires_at == NOON + timedelta(hours=1)


@pytest.mark.parametrize("end", [revoke_key, lambda *given: rotate_key(*given, overlap=DAY)])
def test_an_unknown_key_is_said_to_be_unknown(database: Database, end: Callable[..., object]) -> None:
    with pytest.raises(InvalidRequest, match="keys list"):
        end(database, "abc", NOON)


def test_a_key_that_has_ended_is_not_rotated(database: Database) -> None:
    made, _ = create_key(database, NOON, label="x", scopes=("call",))
    revoke_key(database, made.key_id, NOON)
    with pytest.raises(InvalidRequest, match="ended already"):
        rotate_key(database, made.key_id, NOON, overlap=DAY)
    assert len(read_keys(database)) == 1


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"scopes": ()}, "scopes"),
        ({"scopes": ("write",)}, "scopes"),
        ({"label": " "}, "label"),
        ({"tenant": ""}, "tenant"),
        ({"expires_at": NOON}, "expires_at"),
        ({"requests_per_minute": 0}, "requests_per_minute"),
    ],
)
def test_what_is_wrong_with_a_key_is_named(database: Database, wrong: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        create_key(database, NOON, **{"label": "x", "scopes": ("call",), **wrong})  # type: ignore[arg-type]
    assert caught.value.field == field
    assert read_keys(database) == []


def test_the_last_day_of_use_only_moves_on(database: Database) -> None:
    made, _ = create_key(database, NOON, label="x", scopes=("call",))
    for day in (date(2026, 3, 3), date(2026, 3, 2)):
        note_use(database, [made.key_id, "unknown"], day)
    assert read_keys(database)[0].last_used_on == date(2026, 3, 3)


def test_all_who_share_a_database_share_a_secret(url: str, opened: Callable[[str], Database]) -> None:
    one, other = opened(url), opened(url)
    secret = shared_secret(one, "feedback")
    assert len(secret) == 32
    assert shared_secret(other, "feedback") == secret
    assert shared_secret(other, "another") != secret


def test_a_key_needs_a_time_with_a_zone(database: Database) -> None:
    with pytest.raises(InvalidRequest, match="time zone"):
        create_key(database, datetime(2026, 3, 2), label="x", scopes=("call",))  # noqa: DTZ001
