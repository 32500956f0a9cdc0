"""A worker that makes calls with a ledger, counts them, and lives until its input ends."""

import sys

from optimizer.engine import Optimizer


def main(database: str, n_calls: str) -> None:
    with Optimizer.open(database=database, environ={}, background=False) as optimizer:
        for _ in range(int(n_calls)):
            selection = optimizer.select_optimal_model("chat", 900)
            usage = {"prompt_tokens": 900, "completion_tokens": 100}
            optimizer.record(selection, usage=usage, latency_ms=600.0, cost_usd=0.25)
        optimizer.rate(selection.call_id, 0.75)
        optimizer.refresh(flush=True)
        sys.stdout.write("counted\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
