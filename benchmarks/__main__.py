"""Runs benchmarks by name: `python -m benchmarks [name …]`; without a name, all of them; `--list` names them."""

import importlib
import sys

BENCHMARKS = {
    "decision_speed": "how long a choice takes",
    "ledger_throughput": "the ledger next to the bare driver",
    "token_estimates": "token estimates next to real tokenizers",
    "limit_race": "processes that are killed at random keep a spending limit together",
    "kill_workers": "workers that are killed under load, and a ledger that has all they answered",
    "postgres_outage": "a Postgres that is stopped under load, and a journal that loses nothing",
    "coverage": "how often the intervals of off-policy estimates hold",
    "router_resilience": "calls that survive failures, and a ledger that is right about each",
    "router_streams": "streams left at random moments, and what stays behind",
    "savings_coverage": "how often the limits of a saving hold what was truly saved",
    "router_latency": "what the Router adds to a direct call, next to what LiteLLM adds",
    "drift": "how soon a model that has changed is noticed, and how often one that has not",
    "figures": "quality and savings on recorded data, through the production replay",
    "ten_million": "report and savings over ten million rows",
    "service_latency": "what our service adds to a direct call, next to what two others add",
}


def main() -> None:
    """Run what the command line names; options belong to the benchmark before them."""
    given = sys.argv[1:]
    if given == ["--list"]:
        for name, what in BENCHMARKS.items():
            print(f"{name:<20} {what}")
        return
    names = [word for word in given if word in BENCHMARKS]
    if given and given[0] not in BENCHMARKS:
        sys.exit(f"no benchmark {given[0]!r}; known: {', '.join(BENCHMARKS)}")
    options = [word for word in given if word not in BENCHMARKS]
    for name in names or BENCHMARKS:
        print(f"\n{name}: {BENCHMARKS[name]}\n", flush=True)
        sys.argv = [name, *(options if len(names) == 1 else [])]
        importlib.import_module(f"benchmarks.{name}").main()


if __name__ == "__main__":
    main()
