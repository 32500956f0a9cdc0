"""What the OpenAPI document promises holds for requests made from it, right ones and wrong ones."""

import os
import random
from collections.abc import Iterator
from pathlib import Path
from shutil import copy

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case
from schemathesis.checks import ignored_auth, positive_data_acceptance
from schemathesis.python.asgi import ASGIClient, get_client, shutdown_lifespans

from optimizer.engine import Optimizer
from optimizer.ledger.api_keys import create_key
from optimizer.router import Router
from optimizer.service.app import create_app
from optimizer.settings import ServiceSettings
from optimizer.simulation.fake_gateway import Script, running_gateway
from tests.engine.factory import CATALOG

N_EXAMPLES = int(os.environ.get("SCHEMA_EXAMPLES", "50"))
# A right body may name a call, a use case or a model that is not there; and the client sends its key with whatever
# is sent without one, so that what lies behind the gate is tried. Keys have tests of their own.
NOT_HELD_TO = [ignored_auth, positive_data_acceptance]

document = create_app(lambda: Router(Optimizer.open()), ServiceSettings()).openapi()
schema = schemathesis.openapi.from_dict(document)
schema.config.generation.update(with_security_parameters=False)  # the client of the tests has a key
schema.config.update(base_url="http://testserver")


@pytest.fixture(scope="module")
def client(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ASGIClient]:
    """A client of a service in this process, which is in front of the fake gateway."""
    database = str(copy(sqlite_template, tmp_path_factory.mktemp("schema") / "ledger.db"))
    with running_gateway(Script(), seed=1) as fake:
        environ = {"PORTKEY_API_KEY": "pk-portkey", "PORTKEY_BASE_URL": fake.portkey_url}

        def opened() -> Router:
            optimizer = Optimizer.open(database=database, environ=environ, catalog=CATALOG, background=False)
            return Router(optimizer, rng=random.Random(1), owned=True)

        with Optimizer.open(database=database, environ={}, background=False) as optimizer:
            key = create_key(optimizer.database, optimizer.clock(), label="schema", scopes=("admin",))[1]
        with get_client(create_app(opened, ServiceSettings())) as client:
            client.headers["authorization"] = f"Bearer {key}"
            yield client
        shutdown_lifespans()


@pytest.fixture(scope="module")
def call_id(client: ASGIClient) -> str:
    return str(client.post("/v1/select", json={"use_case": "chat"}).json()["call_id"])


@schema.parametrize()
@settings(max_examples=N_EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_requests_are_answered_as_the_document_says(case: Case, client: ASGIClient, call_id: str) -> None:
    """Every other call that is named is one that there is."""
    for part in (case.path_parameters, case.query, case.body):
        if isinstance(part, dict) and _may_be_replaced(part.get("call_id")):
            part["call_id"] = call_id
    case.call_and_validate(session=client, excluded_checks=NOT_HELD_TO)


def _may_be_replaced(given: object) -> bool:
    """Return whether it is a text that the document allows, of an odd length."""
    return isinstance(given, str) and len(given) <= 200 and len(given) % 2 == 1


def test_an_address_that_takes_other_methods_says_all_of_them(client: ASGIClient) -> None:
    answer = client.put("/v1/feedback")
    assert (answer.status_code, answer.headers["allow"]) == (405, "DELETE, POST")
