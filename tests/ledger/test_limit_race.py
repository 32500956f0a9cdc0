"""A few processes, some of them killed, keep a limit together and use it up; more of them race in `make bench`."""

from pathlib import Path

from benchmarks.limit_race import Plan, run
from optimizer.ledger.schema import upgrade


def test_killed_processes_neither_pass_a_limit_nor_use_it_up_for_nothing(bare_url: str, tmp_path: Path) -> None:
    """What settles after it has expired is charged all the same, so that alone may pass the limit."""
    upgrade(bare_url)
    journals = tmp_path / "journals"
    journals.mkdir()
    figures = run(bare_url, journals, Plan(n_processes=3, limit_usd=0.05, ttl_s=1.0, n_calls=150))
    assert figures["n_killed"] > 0
    assert max(figures["highest"], figures["highest_seen"]) <= 1.0 + figures["late"]
    assert figures["spent"] >= 0.95
    assert figures["charged"] <= figures["spent"] + 1e-9
    assert figures["refused_at_first"] == 1.0
