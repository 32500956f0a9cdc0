"""The tables that ship are what their descriptions say."""

import csv
import gzip
import runpy
from pathlib import Path

import pytest

DATA = Path(__file__).parents[1] / "data"


def test_synthetic_replay_is_what_its_generator_makes() -> None:
    generator = runpy.run_path(str(DATA / "make_synthetic_replay.py"))
    assert gzip.decompress((DATA / "synthetic_replay.csv.gz").read_bytes()).decode() == generator["csv_text"]()


def test_synthetic_replay_costs_are_tokens_times_price() -> None:
    with gzip.open(DATA / "synthetic_replay.csv.gz", "rt") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * 5 * 400
    for row in rows[::97]:
        cost = int(row["prompt_tokens"]) * float(row["input_usd_per_mtok"])
        cost += int(row["output_tokens"]) * float(row["output_usd_per_mtok"])
        assert float(row["cost_usd"]) == pytest.approx(cost / 1e6)
        assert 0.0 <= float(row["quality"]) <= 1.0
