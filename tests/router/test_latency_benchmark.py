"""The benchmark of latency runs, and names its figures; how large they are is for `make bench` to say."""

from benchmarks.router_latency import run


def test_the_benchmark_gives_its_figures() -> None:
    figures = run({2: 4}, rounds=1, litellm=False)
    assert set(figures[2]) == {"direct", "ours"}
    assert all(0 < latency.p50_ms <= latency.p99_ms for latency in figures[2].values())
