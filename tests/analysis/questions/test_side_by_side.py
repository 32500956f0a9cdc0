"""A row per prompt becomes a row per prompt and model, as replay reads it."""

from pathlib import Path

import pytest

from optimizer.analysis.questions.side_by_side import as_replay_table
from optimizer.errors import InvalidTable
from optimizer.simulation.example_log import MODELS, write_side_by_side
from optimizer.simulation.tables import read_table


def test_made_table_is_one_that_replay_reads(tmp_path: Path) -> None:
    scores, replay = tmp_path / "scores.csv", tmp_path / "replay.csv"
    write_side_by_side(scores, 50)
    as_replay_table(scores).write_csv(replay)
    found = read_table(replay)
    assert found.models == tuple(sorted(MODELS))
    assert found.n_prompts == 50
    assert set(found.use_cases) == {"easy", "hard"}


def test_cells_stay_with_their_prompt_and_model(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("prompt_id,quality:a,cost_usd:a,quality:b,cost_usd:b\np,0.5,1,1,2\nq,,3,0,4\n")
    rows = as_replay_table(path).select("prompt_id", "use_case", "model", "quality", "cost_usd").rows()
    assert rows == [
        ("p", "all", "a", 0.5, 1),
        ("q", "all", "a", None, 3),
        ("p", "all", "b", 1, 2),
        ("q", "all", "b", 0, 4),
    ]


@pytest.mark.parametrize(
    ("header", "message"),
    [("prompt_id,score", "needs the columns"), ("prompt_id,quality:a,cost_usd:b", "a, b: has only one of")],
)
def test_missing_columns_are_said(tmp_path: Path, header: str, message: str) -> None:
    path = tmp_path / "scores.csv"
    path.write_text(header + "\n" + ",".join("0" for _ in header.split(",")) + "\n")
    with pytest.raises(InvalidTable, match=message):
        as_replay_table(path)
