"""Who is let in: keys by scope and tenant, tokens for one call, everybody where no key was ever made."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import httpx
import pytest

from optimizer.errors import LedgerUnavailable
from optimizer.ledger.api_keys import create_key, read_keys, revoke_key
from optimizer.ledger.database import Database
from optimizer.ledger.schema import open_database
from optimizer.service.known_keys import REREAD_S, KnownKeys
from optimizer.service.rate_limits import RateLimits
from optimizer.service.security import Caller, Gate, configured
from optimizer.service.tokens import FeedbackTokens
from tests.ledger.factory import NOON
from tests.service.gated import gated_app

ALL = ["admin", "call", "feedback", "read"]


class Clocks:
    """Time as a test sets it, on the wall and for intervals."""

    at_s = 0.0

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.at_s)

    def timer(self) -> float:
        return self.at_s


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def make_gate(database: Database, clocks: Clocks) -> Callable[..., Gate]:
    def make(per_minute: int | None = None) -> Gate:
        keys = KnownKeys(database, clock=clocks.now, timer=clocks.timer)
        tokens = FeedbackTokens(b"s" * 32, timedelta(days=7))
        return Gate(keys, tokens, per_minute=per_minute, clock=clocks.now, limits=RateLimits(clocks.timer))

    return make


@pytest.fixture
def ask(make_gate: Callable[..., Gate]) -> Iterator[Callable[..., httpx.Response]]:
    """Ask the gated service for a path; the gate is made at the first question."""
    gates: list[Gate] = []
    with asyncio.Runner() as runner:

        def ask(path: str, key: str | None = None, *, method: str = "GET", **headers: str) -> httpx.Response:
            if not gates:
                gates.append(make_gate())
            sent = {f"x-optimizer-{name.replace('_', '-')}": value.encode() for name, value in headers.items()}
            sent |= {} if key is None else {"authorization": f"Bearer {key}".encode()}

            async def send() -> httpx.Response:
                transport = httpx.ASGITransport(gated_app(gates[0]))
                async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
                    return await client.request(method, path, headers=sent)

            return runner.run(send())

        yield ask
        for gate in gates:
            runner.run(gate.aclose())


Ask = Callable[..., httpx.Response]


def _key(database: Database, *scopes: str, **more: object) -> str:
    return create_key(database, NOON, label="x", scopes=scopes, **more)[1]  # type: ignore[arg-type]


def test_where_no_key_exists_everybody_may_do_everything(ask: Ask) -> None:
    reply = ask("/admin", "whatever", tenant_tag="acme")
    assert reply.json() == {"tenant": "acme", "scopes": ALL, "key_id": None, "call_id": None}


def test_a_key_is_let_in_by_its_scopes(ask: Ask, database: Database) -> None:
    key = _key(database, "call", "read")
    assert [ask(f"/{scope}", key).status_code for scope in ("call", "read", "feedback", "admin")] == [
        200,
        200,
        403,
        403,
    ]
    assert ask("/admin", key).json()["code"] == "insufficient_permissions"


def test_the_admin_scope_opens_all(ask: Ask, database: Database) -> None:
    key = _key(database, "admin")
    assert [ask(f"/{scope}", key).json()["scopes"] for scope in ALL] == [ALL] * 4


@pytest.mark.parametrize("key", [None, "", "sk-123", "oo_", "oo_abc", "oo_abc_def", "oo_ü_ü"])
def test_without_a_right_key_nobody_is_let_in(ask: Ask, database: Database, key: str | None) -> None:
    _key(database, "call")
    reply = ask("/call", key)
    assert (reply.status_code, reply.json()["code"]) == (401, "invalid_api_key")


def test_a_right_id_with_a_wrong_secret_is_refused_without_saying_more(ask: Ask, database: Database) -> None:
    key = _key(database, "call")
    wrong = key[:-1] + ("0" if key[-1] != "0" else "1")
    unknown = "oo_000000000000_" + key[-64:]
    assert ask("/call", wrong).json() == ask("/call", unknown).json()
    assert wrong not in ask("/call", wrong).text
    assert ask("/call", key).status_code == 200


def test_the_tenant_of_a_key_stands_whatever_the_header_says(ask: Ask, database: Database) -> None:
    of_acme, of_all = _key(database, "call", tenant="acme"), _key(database, "call")
    assert ask("/call", of_acme, tenant_tag="other").json()["tenant"] == "acme"
    assert ask("/call", of_all, tenant_tag="other").json()["tenant"] == "other"
    assert ask("/call", of_all).json()["tenant"] is None


def test_tenants_see_their_own_calls_alone() -> None:
    assert Caller("acme").may_see("a", "acme")
    assert not Caller("acme").may_see("a", "other")
    assert not Caller("acme").may_see("a", None)
    assert Caller().may_see("a", "other")
    assert Caller(call_id="a").may_see("a", "acme")
    assert not Caller(call_id="a").may_see("b", None)


def test_a_revoked_key_is_refused_once_keys_are_read_again(ask: Ask, database: Database, clocks: Clocks) -> None:
    key = _key(database, "call")
    assert ask("/call", key).status_code == 200
    revoke_key(database, read_keys(database)[0].key_id, clocks.now())
    clocks.at_s += REREAD_S
    assert ask("/call", key).status_code == 401


def test_a_key_that_was_revoked_does_not_open_the_service(ask: Ask, database: Database) -> None:
    key = _key(database, "call")
    revoke_key(database, read_keys(database)[0].key_id, NOON)
    assert ask("/call").status_code == ask("/call", key).status_code == 401


def test_the_first_key_closes_a_service_that_was_open(ask: Ask, database: Database, clocks: Clocks) -> None:
    assert ask("/call").status_code == 200
    key = _key(database, "call")
    clocks.at_s += REREAD_S
    assert ask("/call").status_code == 401
    assert ask("/call", key).status_code == 200


def test_a_key_is_refused_from_the_moment_it_expires(ask: Ask, database: Database, clocks: Clocks) -> None:
    key = _key(database, "call", expires_at=NOON + timedelta(seconds=1))
    assert ask("/call", key).status_code == 200
    clocks.at_s = 1.0
    assert ask("/call", key).status_code == 401


def test_the_day_of_the_last_use_is_noted(ask: Ask, database: Database, clocks: Clocks) -> None:
    key = _key(database, "call")
    ask("/call", key)
    assert read_keys(database)[0].last_used_on is None
    clocks.at_s += REREAD_S
    ask("/call", key)
    assert read_keys(database)[0].last_used_on == NOON.date()


def test_more_requests_than_the_key_allows_are_told_when_to_come_again(
    ask: Ask, database: Database, clocks: Clocks
) -> None:
    limited, free = _key(database, "call", requests_per_minute=2), _key(database, "call")
    assert [ask("/call", limited).status_code for _ in range(3)] == [200, 200, 429]
    refused = ask("/call", limited)
    assert (refused.json()["code"], refused.headers["retry-after"]) == ("rate_limit_exceeded", "30")
    assert ask("/call", free).status_code == 200
    clocks.at_s += 30.0
    assert ask("/call", limited).status_code == 200


def test_a_feedback_token_rates_its_own_call_without_a_key(ask: Ask, database: Database, clocks: Clocks) -> None:
    _key(database, "call")
    token = FeedbackTokens(b"s" * 32, timedelta(days=7)).sign("a", clocks.now())
    reply = ask("/rate", method="POST", feedback_token=token)
    assert reply.json() == {"tenant": None, "scopes": ["feedback"], "key_id": None, "call_id": "a"}
    assert ask("/call", feedback_token=token).status_code == 401
    clocks.at_s = 8 * 86_400.0
    reply = ask("/rate", method="POST", feedback_token=token)
    assert (reply.status_code, reply.json()["code"]) == (401, "invalid_feedback_token")


def test_feedback_without_a_token_needs_a_key_with_its_scope(ask: Ask, database: Database) -> None:
    rater, caller = _key(database, "feedback"), _key(database, "call")
    codes = [ask("/rate", key, method="POST").status_code for key in (None, caller, rater)]
    assert codes == [401, 403, 200]


def test_a_token_cannot_be_used_to_flood(ask: Ask, clocks: Clocks) -> None:
    token = FeedbackTokens(b"s" * 32, timedelta(days=7)).sign("a", clocks.now())
    codes = {ask("/rate", method="POST", feedback_token=token).status_code for _ in range(61)}
    assert codes == {200, 429}


def test_all_without_a_key_share_the_settings_limit(make_gate: Callable[..., Gate]) -> None:
    async def ask() -> None:
        gate = make_gate(1)
        await gate.caller("call", None, "a")
        with pytest.raises(Exception, match="1 requests per minute"):
            await gate.caller("call", None, "b")

    asyncio.run(ask())


def test_only_a_key_that_opens_something_counts_as_configured(database: Database) -> None:
    assert not configured(database, NOON)
    create_key(database, NOON, label="x", scopes=("call",), expires_at=NOON + timedelta(hours=1))
    assert configured(database, NOON)
    assert not configured(database, NOON + timedelta(hours=1))


def test_while_the_database_is_away_the_keys_known_last_go_on(
    tmp_path_factory: pytest.TempPathFactory, clocks: Clocks
) -> None:
    path = tmp_path_factory.mktemp("away") / "ledger.db"
    database = open_database(str(path))
    key = _key(database, "call")

    async def use() -> None:
        keys = KnownKeys(database, clock=clocks.now, timer=clocks.timer)
        database.close()
        path.rename(path.with_suffix(".gone"))
        path.mkdir()  # nothing can be opened there
        with pytest.raises(LedgerUnavailable):
            read_keys(database)
        clocks.at_s = 60.0
        assert await keys.find(key) is not None
        await keys.aclose()

    asyncio.run(use())
    database.close()
