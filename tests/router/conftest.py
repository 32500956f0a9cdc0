"""A fake gateway on a real socket, and optimizers whose calls go there."""

import random
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from optimizer.engine import Optimizer
from optimizer.simulation.fake_gateway import FakeServer, Script, running_gateway
from tests.engine.factory import CATALOG

Opened = Callable[..., Optimizer]


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    with running_gateway(Script(strict=True), seed=1) as server:
        yield server


@pytest.fixture
def file(sqlite_template: Path, tmp_path: Path) -> Path:
    """The path of an empty ledger."""
    return Path(shutil.copy(sqlite_template, tmp_path / "ledger.db"))


@pytest.fixture
def opened(fake: FakeServer, file: Path, tmp_path: Path) -> Iterator[Opened]:
    """Open optimizers whose gateways are both played by the fake one."""
    optimizers: list[Optimizer] = []

    def open_one(
        text: str = "", *, database: str | None = None, at: datetime | None = None, seed: int = 1, **environ: str
    ) -> Optimizer:
        config = tmp_path / "optimizer.yaml"
        config.write_text(text)
        gateways = {
            "PORTKEY_API_KEY": "pk-portkey",
            "PORTKEY_BASE_URL": fake.portkey_url,
            "OPENROUTER_API_KEY": "sk-or-openrouter",
            "OPENROUTER_BASE_URL": fake.openrouter_url,
        }
        opt = Optimizer.open(
            config,
            database=database or str(file),
            environ=gateways | environ,
            catalog=CATALOG,
            clock=lambda: at or datetime.now(UTC),
            rng=random.Random(seed),
            background=False,
        )
        optimizers.append(opt)
        return opt

    yield open_one
    for opt in optimizers:
        opt.close()
