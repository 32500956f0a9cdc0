"""Plain CSV is read to the last cell or refused by its line, and what is judged by it holds the truth."""

from pathlib import Path

import numpy as np
import pytest

from optimizer.analysis.questions import own_logs
from optimizer.analysis.questions.own_logs import OwnLog
from optimizer.errors import InvalidTable
from optimizer.simulation.example_log import CONTEXTS, MODELS, truth, write_example_log

HEADER = "time,model,rating,cost_usd,context,session,chance:a,chance:b\n"
FIRST = "2026-11-02T08:00:00Z,a,1,0.01,easy,s1,0.5,0.5\n"


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> OwnLog:
    path = tmp_path_factory.mktemp("logs") / "calls.csv"
    write_example_log(path)
    return own_logs.read_log(path)


def _read(folder: Path, text: str, **options: object) -> OwnLog:
    path = folder / "log.csv"
    path.write_text(text)
    return own_logs.read_log(path, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("2026-11-02T08:00:00Z,a,4,,,,0.5,0.5", "line 3: rating is out of range"),
        ("2026-11-02T08:00:00Z,a,good,,,,0.5,0.5", "line 3: rating is not a number"),
        ("2026-11-02T08:00:00Z,a,nan,,,,0.5,0.5", "line 3: rating is out of range"),
        ("2026-11-02T08:00:00Z,a,1,-1,,,0.5,0.5", "line 3: cost_usd is out of range"),
        ("2026-11-02T08:00:00Z,a,1,inf,,,0.5,0.5", "line 3: cost_usd is out of range"),
        ("yesterday,a,1,,,,0.5,0.5", "line 3: time is no time as ISO 8601"),
        ("2026-11-02T08:00:00Z,,1,,,,0.5,0.5", "line 3: model is empty"),
        ("2026-11-02T08:00:00Z,a,1,,,,0.5,0.4", "line 3: chance of all models does not sum to 1"),
        ("2026-11-02T08:00:00Z,a,1,,,,0.5,", "line 3: chance is empty for some models only"),
        ("2026-11-02T08:00:00Z,b,1,,,,1,0", "line 3: model was drawn although its chance is 0"),
        ("2026-11-02T08:00:00Z,b,1,,,s2,,", "line 3: chance is empty, and no earlier row is of its session"),
        ("2026-11-02T08:00:00Z,c,1,,,,0.5,0.5", "no chance is given of c"),
    ],
)
def test_first_wrong_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(InvalidTable, match=message):
        _read(tmp_path, HEADER + FIRST + line + "\n")


def test_missing_columns_and_files_are_said(tmp_path: Path) -> None:
    with pytest.raises(InvalidTable, match="missing columns: time; it has: model"):
        _read(tmp_path, "model\na\n")
    with pytest.raises(InvalidTable, match="no rows"):
        _read(tmp_path, HEADER)
    with pytest.raises(InvalidTable, match="unreadable"):
        own_logs.read_log(tmp_path / "gone.csv")


def test_rows_are_sorted_and_later_rows_of_a_session_keep_its_draw(tmp_path: Path) -> None:
    later = "2026-11-02 09:00:00,a,,,easy,s1,,\n"
    found = _read(tmp_path, HEADER + later + FIRST)
    assert found.frame["line"].to_list() == [3, 2]
    assert found.logged is not None
    assert np.array_equal(found.logged.propensity, [0.5, np.nan], equal_nan=True)
    assert found.logged.unit[0] == found.logged.unit[1]
    assert own_logs.judge(found, "a", "a").quality.refused is not None  # two calls tell nothing


def test_an_experiments_chances_are_given_once(tmp_path: Path) -> None:
    found = _read(
        tmp_path, "time,model\n2026-11-02T08:00:00Z,a\n2026-11-02T08:01:00Z,b\n", chances={"a": 0.2, "b": 0.8}
    )
    assert found.logged is not None
    assert found.logged.propensity.tolist() == [0.2, 0.8]


def test_without_chances_no_policy_is_judged(tmp_path: Path) -> None:
    found = _read(tmp_path, "time,model\n2026-11-02T08:00:00Z,a\n")
    assert found.logged is None
    with pytest.raises(InvalidTable, match="only calls can be compared, not models"):
        own_logs.judge(found, "a", "a")


def test_plain_means_mislead_and_estimates_do_not(log: OwnLog) -> None:
    """The large model is the best in both contexts, and looks the worst, as it got the hard calls."""
    means = dict(own_logs.plain_means(log).select("model", "quality").iter_rows())
    assert means["large"] < means["medium"] < means["small"]
    judged = {model: own_logs.judge(log, model, model).quality.value or 0.0 for model in MODELS}
    assert judged["large"] > judged["medium"] > judged["small"]


def test_limits_hold_the_truth(log: OwnLog) -> None:
    policies = [dict.fromkeys(CONTEXTS, model) for model in MODELS] + [{"easy": "small", "hard": "large"}]
    for chosen in policies:
        found, (usd, quality) = own_logs.judge(log, "", chosen), truth(chosen)
        assert found.cost.low is not None
        assert found.cost.low - 0.0002 <= usd <= (found.cost.high or 0.0) + 0.0002
        assert (found.quality.low or 1.0) <= quality <= (found.quality.high or 0.0)


def test_answer_names_what_is_cheaper_and_what_is_better(log: OwnLog) -> None:
    words = own_logs.in_words(log, [own_logs.judge(log, f"always {model}", model) for model in MODELS])
    assert "Clearly cheaper than what served, and not clearly worse: always medium." in words
    assert "Clearly better rated: always large." in words


def test_policies_of_unknown_models_and_contexts_are_refused(log: OwnLog) -> None:
    with pytest.raises(InvalidTable, match="no model huge; it has: large, medium, small"):
        own_logs.judge(log, "huge", "huge")
    with pytest.raises(InvalidTable, match="says nothing of context hard"):
        own_logs.judge(log, "half", {"easy": "small"})
