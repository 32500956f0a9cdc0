"""How long a choice takes with ten candidates: a repeat decision end to end, and a fresh distribution by each rule.

Both are also given as multiples of one plain Thompson draw in numpy, timed side by side in the same run, since
microseconds differ from machine to machine.
"""

import random
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np

from optimizer import Optimizer, Request

CONFIG = """
use_cases:
  ten:
    candidates: [gpt-4o, gpt-4.1, gpt-5.4-mini, gpt-5.6-terra, gpt-5.6-luna, claude-sonnet-5, claude-haiku-4-5,
                 gemini-3.5-flash, gemini-3.7-flash, gpt-oss-120b]
    incumbent: gpt-4o
"""
N_REPEAT, N_FRESH, N_RATED = 20_000, 400, 400


def run() -> dict[str, float]:
    """Return p50 in µs, and in plain numpy draws."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "optimizer.yaml"
        config.write_text(CONFIG)
        url = f"sqlite:///{folder}/speed.db"
        with Optimizer.open(config, database=url, environ={}, rng=random.Random(1), background=False) as optimizer:
            _teach(optimizer)
            found = {
                "repeat decision": _p50(lambda: optimizer.select_optimal_model("ten", 6000), N_REPEAT),
                "fresh, best score": _fresh(optimizer, "average:97%"),
                "fresh, cheapest good enough": _fresh(optimizer, "floor:97%"),
                "one plain draw in numpy": _p50(_plain_draw(), N_FRESH),
            }
    return found


def _teach(optimizer: Optimizer) -> None:
    quality = np.random.default_rng(1)
    models = [c.model_id for c in optimizer.routes["ten"].candidates]
    for i in range(N_RATED):
        selection = optimizer.select_optimal_model("ten", 6000, model=models[i % len(models)])
        optimizer.record(selection, usage={"input_tokens": 6000, "output_tokens": 400}, latency_ms=900.0)
        optimizer.rate(selection.call_id, float(quality.random() < 0.8))
    optimizer.refresh(flush=True)


def _fresh(optimizer: Optimizer, objective: str) -> float:
    """Return the p50 of making a distribution that no request has asked for yet; λ is solved before."""
    view = optimizer.view
    request, route = Request(use_case="ten", context_tokens=6000, objective=objective), view.routes["ten"]
    view.lottery(route, request)

    def fresh() -> None:
        view.lotteries.clear()
        view.lottery(route, request)

    return _p50(fresh, N_FRESH)


def _plain_draw() -> Callable[[], object]:
    rng = np.random.default_rng(1)
    a, b, cost = np.full(10, 40.0), np.full(10, 10.0), np.linspace(0.001, 0.02, 10)
    return lambda: int((rng.beta(a, b) - 5.0 * cost).argmax())


def _p50(call: Callable[[], object], n: int) -> float:
    seconds = []
    for _ in range(n):
        started = perf_counter()
        call()
        seconds.append(perf_counter() - started)
    return statistics.median(seconds) * 1e6


def main() -> None:
    """Print the table."""
    found = run()
    plain = found["one plain draw in numpy"]
    for name, us in found.items():
        print(f"{name:<30} p50 {us:8.1f} µs   {us / plain:6.1f} plain draws")


if __name__ == "__main__":
    main()
