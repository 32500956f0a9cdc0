"""The service on a real socket, in a thread, in front of the fake gateway."""

import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from optimizer.engine import Optimizer
from optimizer.ledger.database import TIMEOUT_S, Database
from optimizer.ledger.schema import open_database
from optimizer.router import Router
from optimizer.service.app import create_app
from optimizer.settings import Origin
from optimizer.simulation.fake_gateway import FakeServer, Script, running_gateway
from tests.engine.factory import CATALOG, pool
from tests.service.running import Served, running

Serve = Callable[..., Served]
PLAIN = pool("objective: quality", "routing: {retries: 0}")


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    with running_gateway(Script(strict=True), seed=1) as server:
        yield server


@pytest.fixture
def file(sqlite_template: Path, tmp_path: Path) -> Path:
    """The path of an empty ledger."""
    return Path(shutil.copy(sqlite_template, tmp_path / "ledger.db"))


@pytest.fixture
def serve(fake: FakeServer, file: Path, tmp_path: Path) -> Iterator[Serve]:
    """Start services, by default all on the same file, whose gateways are both played by the fake one."""
    gateways = {
        "PORTKEY_API_KEY": "pk-portkey",
        "PORTKEY_BASE_URL": fake.portkey_url,
        "OPENROUTER_API_KEY": "sk-or-openrouter",
        "OPENROUTER_BASE_URL": fake.openrouter_url,
    }
    with ExitStack() as stack:

        def start(
            text: str = PLAIN,
            *,
            database: str | None = None,
            environ: dict[str, str] | None = None,
            drain_s: int = 5,
            timeout_s: float = TIMEOUT_S,
            **options: Any,
        ) -> Served:
            config = tmp_path / "optimizer.yaml"
            config.write_text(text)
            origin = Origin(config, gateways if environ is None else environ)
            ledger = open_database(database or str(file), timeout_s=timeout_s)
            rng = random.Random(1)
            opened = Optimizer(origin.load(), CATALOG, ledger, rng=rng, background=False, origin=origin)
            router = Router(opened, rng=random.Random(1), owned=True)
            app = create_app(lambda: router, opened.settings.service, **options)
            return stack.enter_context(running(app, router, drain_s=drain_s))

        yield start


@pytest.fixture
def served(serve: Serve) -> Served:
    """One service that chooses among three models by quality."""
    return serve()


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    database = open_database(url)
    yield database
    database.close()
