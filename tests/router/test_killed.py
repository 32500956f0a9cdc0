"""Workers that are killed under load lose nothing that was answered; fifty of them die in `make bench`."""

from pathlib import Path

from benchmarks.kill_workers import run


def test_killed_workers_lose_nothing_and_hold_nothing(url: str, tmp_path: Path) -> None:
    figures = run(url, tmp_path, n_rounds=2, n_calls=30)
    assert figures["n_called"] >= 60
    assert figures["n_rated"] > 0
    assert figures["n_calls_lost"] == figures["n_ratings_lost"] == figures["n_differences"] == 0
    assert figures["n_reserved_after_expiry"] == figures["reserved_usd_after_expiry"] == 0
