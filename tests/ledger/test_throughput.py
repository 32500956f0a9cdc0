"""The benchmark runs, and names its figures; how large they are is for `make bench` to say."""

from benchmarks.ledger_throughput import run


def test_the_benchmark_gives_its_figures() -> None:
    figures = run(n_calls=20, rounds=1)
    assert figures["n_calls"] == 20
    assert all(value > 0 for value in figures.values())
