"""Alive, and ready: the database and one gateway are not known to be dead."""

from pathlib import Path

from optimizer.calling.breaker import WHOLE
from optimizer.errors import GatewayUnreachable
from tests.service.conftest import Serve
from tests.service.running import Served


def kill(served: Served, gateway: str) -> None:
    """Let as many calls fail as open a gateway's breaker."""
    breakers = served.router.line.breakers
    for _ in range(3):
        permit = breakers.acquire(gateway, "gpt-4o", forced=True)
        assert permit is not None
        breakers.failed(permit, GatewayUnreachable(gateway=gateway))
    assert not breakers.allows(gateway, WHOLE)


def test_it_is_alive_and_ready(served: Served) -> None:
    assert served.client.get("/healthz").json() == {"status": "ok"}
    answer = served.client.get("/readyz")
    gateways = {"portkey": "ok", "openrouter": "ok"}
    expected = {"status": "ok", "database": "ok", "gateways": gateways, "journal": 0}
    assert (answer.status_code, answer.json()) == (200, expected)


def test_one_gateway_is_enough(served: Served) -> None:
    kill(served, "portkey")
    answer = served.client.get("/readyz")
    assert (answer.status_code, answer.json()["gateways"]) == (200, {"portkey": "in trouble", "openrouter": "ok"})


def test_without_any_gateway_alive_it_is_not_ready(served: Served) -> None:
    kill(served, "portkey")
    kill(served, "openrouter")
    assert served.client.get("/readyz").status_code == 503
    assert served.client.get("/healthz").status_code == 200


def test_without_a_key_it_is_not_ready_and_says_what_to_do(serve: Serve) -> None:
    answer = serve(environ={}).client.get("/readyz")
    assert answer.status_code == 503
    assert "PORTKEY_API_KEY" in answer.json()["advice"]


def test_with_the_database_dead_it_is_not_ready(served: Served, file: Path) -> None:
    served.optimizer.database.close()
    file.write_bytes(b"this is no database any more, whatever it was" * 100)
    answer = served.client.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (503, "unavailable")
    assert str(file) not in answer.text
