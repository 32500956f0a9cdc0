"""The benchmark of the service runs, and names its figures; how large they are is for `make bench` to say."""

from benchmarks.service_latency import calls_per_cpu_s, run


def test_the_benchmark_gives_its_figures() -> None:
    figures = run({2: 4}, rounds=1, others=())
    assert set(figures[2]) == {"direct", "ours"}
    assert all(0 < latency.p50_ms <= latency.p99_ms for latency in figures[2].values())


def test_the_benchmark_counts_the_processor_time_of_workers() -> None:
    by_workers = calls_per_cpu_s(rounds=1, n_calls=64)
    assert set(by_workers) == {1, 2}
    assert all(calls > 0 for calls in by_workers.values())
