"""What the router's benchmarks stand on: an optimizer in a folder of its own, whose gateways are fake ones."""

import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from optimizer import Optimizer

POOL = "candidates: [gpt-4o, gpt-5.4-mini, gpt-oss-120b], incumbent: gpt-4o, objective: quality"


@contextmanager
def opened(
    portkey_url: str, openrouter_url: str, *, routing: str = "", use_case: str = POOL, seed: int = 1
) -> Iterator[Optimizer]:
    """Lend an optimizer with one use case, `bench`, on a new SQLite file; `routing` is that section, in YAML."""
    environ = {
        "PORTKEY_API_KEY": "pk-bench",
        "PORTKEY_BASE_URL": portkey_url,
        "OPENROUTER_API_KEY": "sk-or-bench",
        "OPENROUTER_BASE_URL": openrouter_url,
    }
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "optimizer.yaml"
        config.write_text(f"use_cases: {{bench: {{{use_case}}}}}\nrouting: {{{routing}}}\n")
        database = f"sqlite:///{folder}/bench.db"
        with Optimizer.open(config, database=database, environ=environ, rng=random.Random(seed)) as optimizer:
            yield optimizer


def percentile(values: list[float], share: float) -> float:
    """Return the value below which this share of the values lies."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def show(figure: str, reached: str, met: bool) -> None:
    """Print one line."""
    print(f"{figure:<64} {reached:>16}{'' if met else '   missed'}")
