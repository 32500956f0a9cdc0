"""Optimizers over a new SQLite file, with a clock and a chance of their own, closed after the test."""

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from optimizer.engine import Optimizer
from tests.engine.factory import CATALOG, Clock

Open = Callable[..., Optimizer]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def file(sqlite_template: Path, tmp_path: Path) -> Path:
    """The path of an empty ledger."""
    return Path(shutil.copy(sqlite_template, tmp_path / "ledger.db"))


@pytest.fixture
def opened(file: Path, tmp_path: Path, clock: Clock) -> Iterator[Open]:
    """Open optimizers, by default all on the same file; they refresh only when told to."""
    optimizers: list[Optimizer] = []

    def open_one(text: str = "", *, database: str | None = None, seed: int = 1, **environ: str) -> Optimizer:
        config = tmp_path / "optimizer.yaml"
        config.write_text(text)
        opt = Optimizer.open(
            config,
            database=database or str(file),
            environ=environ,
            catalog=CATALOG,
            clock=clock,
            rng=random.Random(seed),
            background=False,
        )
        optimizers.append(opt)
        return opt

    yield open_one
    for opt in optimizers:
        opt.close()
