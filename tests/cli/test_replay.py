"""`optimizer replay` prints a table or the JSON of the contract, and says in one line what it cannot do."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from optimizer.cli.app import App
from optimizer.cli.main import cli, run

Capture = pytest.CaptureFixture[str]
ROOT = Path(__file__).parents[2]
SYNTHETIC = str(ROOT / "data/synthetic_replay.csv.gz")
QUICK = ("--seeds", "2", "--limit", "80", "--jobs", "1")
KEYS = [
    "policy",
    "objective",
    "seeds",
    "n",
    "mean_quality",
    "mean_cost_usd",
    "ci95_quality",
    "ci95_cost_usd",
    "budget_utilisation",
    "share",
    "per_table",
    "per_use_case",
    "alarms",
    "decision_us_p50",
    "decision_us_p99",
]


def _replay(capsys: Capture, *options: str, tables: tuple[str, ...] = (SYNTHETIC,)) -> list[dict[str, Any]]:
    assert run(cli, ["replay", *tables, *QUICK, "--json", *options], App({})) == 0
    out, err = capsys.readouterr()
    assert err == ""
    found: list[dict[str, Any]] = json.loads(out)["policies"]
    return found


def test_json_has_the_keys_of_the_contract(capsys: Capture) -> None:
    (line,) = _replay(capsys, "--objective", "budget:0.002")
    assert list(line) == KEYS
    assert (line["policy"], line["objective"], line["seeds"], line["n"]) == ("thompson", "budget:0.002", 2, 80)
    assert line["budget_utilisation"] == pytest.approx(line["mean_cost_usd"] / 0.002)
    assert line["ci95_quality"][0] <= line["mean_quality"] <= line["ci95_quality"][1]
    assert sum(line["share"].values()) == pytest.approx(1.0)
    assert line["alarms"] == []
    assert list(line["per_table"][0]) == ["table", "n", "mean_quality", "mean_cost_usd"]
    assert set(line["per_use_case"]) == {"chat", "code", "summary"}
    assert set(line["per_use_case"]["chat"]) == {"mean_quality", "mean_cost_usd", "n"}
    assert line["decision_us_p50"] <= line["decision_us_p99"]


def test_every_policy_by_every_objective_has_a_line_in_order(capsys: Capture) -> None:
    lines = _replay(
        capsys, "--policy", "thompson", "--policy", "fixed:mote", "--objective", "quality", "--objective", "value:0.05"
    )
    assert [(line["objective"], line["policy"]) for line in lines] == [
        ("quality", "thompson"),
        ("quality", "fixed:mote"),
        ("value:0.05", "thompson"),
        ("value:0.05", "fixed:mote"),
    ]
    assert lines[0]["budget_utilisation"] is None


def test_only_the_last_table_counts_where_asked(capsys: Capture) -> None:
    (line,) = _replay(capsys, "--policy", "fixed:mote", "--score-last", tables=(SYNTHETIC, SYNTHETIC))
    (both,) = _replay(capsys, "--policy", "fixed:mote", tables=(SYNTHETIC, SYNTHETIC))
    assert (line["n"], both["n"]) == (80, 160)
    assert line["mean_quality"] == pytest.approx(line["per_table"][1]["mean_quality"])
    halves = [table["mean_quality"] for table in both["per_table"]]
    assert both["mean_quality"] == pytest.approx(sum(halves) / 2)
    assert line["per_use_case"]["chat"]["n"] <= 80


def test_processes_change_nothing(capsys: Capture) -> None:
    alone = _replay(capsys, "--objective", "budget:0.002")
    together = _replay(capsys, "--objective", "budget:0.002", "--jobs", "2")
    for line in (*alone, *together):
        del line["decision_us_p50"], line["decision_us_p99"]
    assert alone == together


def test_table_names_the_stream_and_its_incumbent(capsys: Capture) -> None:
    assert run(cli, ["replay", SYNTHETIC, *QUICK, "--models", "mote, swift", "--guard", "0.1"], App({})) == 0
    out = capsys.readouterr().out
    assert "synthetic_replay: 80 calls, 2 models; incumbent swift" in out
    assert "average:97%" in out


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ([], 2, "Missing argument 'TABLE...'"),
        (["gone.csv"], 1, "gone.csv: no such file"),
        ([SYNTHETIC, "--policy", "greedy"], 2, "'greedy' is none of thompson, "),
        ([SYNTHETIC, "--policy", "fixed:"], 2, "'fixed:' is none of thompson, "),
        ([SYNTHETIC, "--policy", "fixed:huge"], 1, "unknown model 'huge'; known: anvil, mote"),
        ([SYNTHETIC, "--objective", "cheap"], 2, "'cheap' is none of quality, "),
        ([SYNTHETIC, "--models", ","], 2, "names no model"),
        ([SYNTHETIC, "--models", "huge"], 1, "model: no rows of huge; it has: anvil"),
        ([SYNTHETIC, "--incumbent", "huge"], 1, "unknown model 'huge'"),
        ([SYNTHETIC, "--segments", "3"], 1, "synthetic_replay.features.csv.gz: no such file"),
        ([SYNTHETIC, "--segments-from", SYNTHETIC], 2, "--segments-from needs --segments"),
        ([SYNTHETIC, "--prior", "gone.csv"], 1, "gone.csv: no such file"),
        ([SYNTHETIC, "--seeds", "0"], 2, "'--seeds'"),
        ([SYNTHETIC, "--rating-rate", "1.5"], 2, "'--rating-rate'"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(arguments: list[str], code: int, says: str, capsys: Capture) -> None:
    assert run(cli, ["replay", *arguments], App({})) == code
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert says in err


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_ctrl_c_prints_what_is_finished(jobs: str) -> None:
    """As a terminal does it: the signal reaches the command and all of its processes."""
    for patience_s in (6.0, 30.0):  # a busy machine may need longer for the first replay
        code, out, err = _interrupted(jobs, patience_s)
        assert code == 130
        assert "Traceback" not in err
        if out:
            break
    assert "of 5000 replays, then Ctrl-C" in out


def _interrupted(jobs: str, after_s: float) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "optimizer", "replay", SYNTHETIC, "--seeds", "5000", "--jobs", jobs]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            process.communicate(timeout=after_s)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60.0)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    return process.returncode, out, err
