"""`optimizer demo` plays a day into a new file, says that it is a simulation, and leaves other files alone."""

import json
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from optimizer.cli.app import App
from optimizer.cli.demo_tables import show_summary
from optimizer.cli.main import cli, run
from optimizer.engine import Optimizer
from optimizer.errors import OptimizerError
from optimizer.ledger.schema import open_database
from optimizer.ledger.totals import count_calls

Capture = pytest.CaptureFixture[str]
KEYS = [
    "simulation",
    "seed",
    "day",
    "n_calls",
    "n_ratings",
    "attempts",
    "use_cases",
    "total",
    "saving_method",
    "events",
    "explain_call_id",
    "explain_why",
    "database",
]
SMALL = ("--calls", "150", "--seed", "5")


class Shown(NamedTuple):
    """Two runs on the same file: the first printed for people, the second as JSON."""

    path: Path
    text: str
    progress: str
    found: dict[str, Any]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    path = tmp_path_factory.mktemp("demo") / "small.db"
    outputs = [_captured(*SMALL, "--database", str(path), *more) for more in ([], ["--json"])]
    (text, progress), (found, _) = outputs
    return Shown(path, text, progress, json.loads(found))


def _captured(*arguments: str) -> tuple[str, str]:
    with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
        assert _run("demo", *arguments) == 0
    return out.getvalue(), err.getvalue()


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _run(*arguments: str, environ: dict[str, str] | None = None) -> int:
    return run(cli, list(arguments), App(environ or {}))


def test_day_is_told_as_a_simulation(shown: Shown) -> None:
    assert shown.text.startswith("This is a SIMULATION")
    assert "over HTTP to a fake gateway on this machine" in " ".join(shown.text.split("\n\n")[0].split())
    assert "SIMULATED day begins: calls go over HTTP to a fake gateway" in shown.progress.splitlines()[0]
    for event in ("12:00  gemini-3.7-flash gets 60% cheaper", "18:00  gpt-5.6-luna gets worse"):
        assert event in shown.progress
    for title in ("against each use case's baseline", "as it truly was, and as it was rated", "Who was chosen"):
        assert title in shown.text


def test_commands_to_look_next_work(shown: Shown, capsys: Capture) -> None:
    show_summary(shown.found, f"--database sqlite:///{shown.path}")
    lines = capsys.readouterr().out.splitlines()
    commands = [line.split()[1:] for line in lines if line.startswith("  optimizer ")]
    assert [command[0] for command in commands] == ["report", "explain", "verify"]
    assert [_run(*command) for command in commands] == [0, 0, 0]
    assert "to the last unit" in capsys.readouterr().out


def test_json_holds_it_all(shown: Shown) -> None:
    found = shown.found
    assert list(found) == KEYS
    assert (found["simulation"], found["seed"], found["n_calls"]) == (True, 5, 150)
    parts, total = found["use_cases"], found["total"]
    assert len(parts) == 7
    assert set(total) == set(parts[0]) - {"use_case", "objective", "incumbent", "baseline", "share"}
    for name in ("n_calls", "n_rated", "cost_usd", "saved_usd", "true_cost_usd", "true_baseline_usd"):
        assert sum(part[name] for part in parts) == pytest.approx(total[name])
    assert all(sum(part["share"].values()) == pytest.approx(1.0) for part in parts)
    assert total["saved_low_usd"] < total["saved_usd"] < total["saved_high_usd"]
    assert [event["event"] for event in found["events"]] == ["price cut", "bad half hour", "key refused", "decline"]


def test_attempts_add_up(shown: Shown) -> None:
    attempts = shown.found["attempts"]
    n_served = shown.found["n_calls"] - attempts["n_unserved"]
    assert attempts["n_attempts"] == n_served + attempts["n_failed"]
    assert 0 < attempts["n_streamed"] < shown.found["n_calls"]
    assert attempts["n_retried"] + attempts["n_other_model"] + attempts["n_other_gateway"] > 0


def test_without_the_extra_nothing_is_touched(monkeypatch: pytest.MonkeyPatch, capsys: Capture, here: Path) -> None:
    earlier = here / "demo.db"
    earlier.write_bytes(b"")
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert _run("demo", *SMALL) == 1
    assert "the demo needs an extra: pip install 'orchestra-optimizer[service]'" in capsys.readouterr().err
    assert earlier.exists()


def test_configuration_reaches_no_gateway_of_its_own(capsys: Capture, here: Path) -> None:
    """Port 9 answers nobody: were it asked, no call would be served."""
    config = here / "own.yaml"
    config.write_text(
        "portkey_config: {base_url: 'http://127.0.0.1:9/v1', api_key: real}\n"
        "openrouter_config: {base_url: 'http://127.0.0.1:9/api/v1', api_key: real}\n"
        "use_cases: {chat: {judge: {model: gpt-4o, sample: 1.0, rubric: strict}}}\n"
    )
    assert _run("demo", "--calls", "40", "--config", str(config), "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["attempts"]["n_unserved"], sum(part["n_calls"] for part in found["use_cases"])) == (0, 40)


def test_spending_limits_hold_on_the_simulated_day(capsys: Capture, here: Path) -> None:
    config = here / "limited.yaml"
    config.write_text("routing: {cost_limits: {daily_usd: 1.0}}\n")
    assert _run("demo", *SMALL, "--config", str(config), "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["attempts"]["n_unserved"] > 0
    assert 0.5 < found["total"]["cost_usd"] <= 1.0


def test_same_seed_ends_the_same_way(shown: Shown, capsys: Capture) -> None:
    """Call ids aside, what the first run printed is what the second one found."""
    show_summary(shown.found, f"--database sqlite:///{shown.path}")
    both = (re.sub(r"[0-9a-f-]{36}", "CALL_ID", text) for text in (shown.text, capsys.readouterr().out))
    assert next(both) == next(both)


def test_other_files_are_left_alone(capsys: Capture, here: Path) -> None:
    notes, real = here / "notes.txt", here / "real.db"
    notes.write_text("mine")
    with Optimizer.open(database=str(real), environ={}, background=False) as opt:
        opt.select_optimal_model("chat")
    before = real.read_bytes()
    for path in (notes, real):
        assert _run("demo", *SMALL, "--database", str(path)) == 1
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert "--force" in err
    assert (notes.read_text(), real.read_bytes()) == ("mine", before)


def test_one_call_is_a_day_too_and_force_replaces_whatever_is_there(capsys: Capture, here: Path) -> None:
    notes = here / "notes.txt"
    notes.write_text("mine")
    assert _run("demo", "--calls", "1", "--database", str(notes), "--force") == 0
    assert "1 requests of" in capsys.readouterr().out
    assert _n_calls(notes) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--database", "postgresql://host/name"], 2, "SQLite file"),
        (["--database", "nowhere/demo.db"], 1, "a folder that exists"),
        (["--database", "."], 1, "no place for a file"),
        (["--calls", "0"], 2, "--calls"),
        (["--config", "gone.yaml"], 1, "gone.yaml"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(arguments: list[str], code: int, says: str, capsys: Capture) -> None:
    assert _run("demo", *arguments) == code
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert says in err


@pytest.fixture
def ctrl_c_after_some_calls(here: Path) -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    watcher = threading.Thread(target=_interrupt_when_under_way, args=(here / "demo.db",))
    watcher.start()
    yield
    watcher.join()
    signal.signal(signal.SIGINT, before)


def _interrupt_when_under_way(path: Path) -> None:
    for _ in range(600):
        time.sleep(0.05)
        if path.exists() and _n_calls(path) > 20:
            os.kill(os.getpid(), signal.SIGINT)
            return


def _n_calls(path: Path) -> int:
    try:
        database = open_database(str(path), create=False)
    except OptimizerError:
        return 0  # its schema is being made
    try:
        return count_calls(database)
    finally:
        database.close()


@pytest.mark.usefixtures("ctrl_c_after_some_calls")
def test_ctrl_c_keeps_what_is_written(capsys: Capture, here: Path) -> None:
    """DATABASE_URL may be the ledger of a real service, so the demo never reads it."""
    real = here / "real.db"
    assert _run("demo", "--calls", "4000", environ={"DATABASE_URL": f"sqlite:///{real}"}) == 130
    assert not real.exists()
    out, err = capsys.readouterr()
    assert out == ""
    assert "Stopped at " in err.splitlines()[-1]
    assert _n_calls(here / "demo.db") > 20
    assert _run("verify", "--database", "demo.db") == 0
