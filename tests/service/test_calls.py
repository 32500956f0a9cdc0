"""Why a call went to its model, and how the limits stand; to those alone whose business it is."""

from pathlib import Path

import pytest
from uuid_utils import uuid7

from tests.engine.factory import pool
from tests.service.conftest import Serve
from tests.service.running import Served, error_of

LIMITS = "routing: {cost_limits: {daily_usd: 1}, tenant_limits: {acme: {hourly_usd: 0.5}, bolt: {hourly_usd: 0.5}}}"
ACME, BOLT = ({"x-optimizer-tenant-tag": name} for name in ("acme", "bolt"))


def test_a_call_says_why_and_what_came_of_it(served: Served) -> None:
    call_id = served.chat().headers["x-optimizer-call-id"]
    served.client.post("/v1/feedback", json={"call_id": call_id, "value": 0.5})
    answer = served.client.get(f"/v1/calls/{call_id}")
    stored = served.last
    assert answer.json() == {"call_id": call_id, "explanation": stored.selection.explain(), **stored.to_dict()}
    assert answer.json()["ratings"][0]["value"] == 0.5


@pytest.mark.parametrize(
    "call_id",
    ["nope", "a%00b", "01936b2e-7c1f-7d3a-9a55-0c1f5e7a2b90", str(uuid7())],
    ids=["a word", "a NUL", "an old one", "a new one"],
)
def test_an_unknown_call_is_not_found(served: Served, call_id: str) -> None:
    answer = served.client.get(f"/v1/calls/{call_id}")
    assert (answer.status_code, error_of(answer)["code"]) == (404, "call_not_found")


def test_another_workers_call_is_found_even_at_once(url: str, serve: Serve) -> None:
    one, other = serve(database=url), serve(database=url)
    for _ in range(5):
        call_id = one.chat().headers["x-optimizer-call-id"]
        assert other.client.get(f"/v1/calls/{call_id}").status_code == 200


def test_with_the_ledger_away_nobody_can_say(served: Served, file: Path) -> None:
    served.optimizer.database.close()
    file.write_bytes(b"this is no database any more, whatever it was" * 100)
    answer = served.client.get("/v1/calls/01936b2e-7c1f-7d3a-9a55-0c1f5e7a2b90")
    assert (answer.status_code, error_of(answer)["code"]) == (503, "ledger_unavailable")
    assert str(file) not in answer.text


def test_a_tenants_call_is_that_tenants_alone(served: Served) -> None:
    path = f"/v1/calls/{served.chat(headers=ACME).headers['x-optimizer-call-id']}"
    assert served.client.get(path, headers=ACME).status_code == 200
    assert served.client.get(path, headers=BOLT).status_code == 404
    assert served.client.get(path).status_code == 200  # nobody's in particular: whoever runs it


def test_limits_say_what_is_left(serve: Serve) -> None:
    served = serve(pool("objective: quality", LIMITS))
    served.chat(headers=ACME)
    served.optimizer.flush()
    answer = served.client.get("/v1/budgets").json()["data"]
    assert answer == [each.to_dict() for each in served.optimizer.purse.status()]
    assert [each["limit"] for each in answer] == ["everything", "tenant acme", "tenant bolt"]
    assert answer[0]["spent_usd"] == answer[1]["spent_usd"] > 0.0


def test_a_tenant_sees_its_own_limits_alone(serve: Serve) -> None:
    served = serve(pool("objective: quality", LIMITS))
    answer = served.client.get("/v1/budgets", headers=BOLT).json()["data"]
    assert [each["limit"] for each in answer] == ["tenant bolt"]


def test_without_limits_the_list_is_empty(served: Served) -> None:
    assert served.client.get("/v1/budgets").json() == {"object": "list", "data": []}
