"""`optimizer prices sync` keeps what the gateways' lists say, doubts what looks wrong, and choices follow."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from optimizer.catalog import Catalog, load_catalog
from optimizer.cli.app import App
from optimizer.cli.main import cli, run
from optimizer.engine import Optimizer
from optimizer.ledger.prices import read_prices
from optimizer.ledger.schema import open_database
from optimizer.simulation.fake_gateway import FakeServer, Script, Trouble, running_gateway

Capture = pytest.CaptureFixture[str]
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
CATALOG = load_catalog()
NOWHERE = "http://127.0.0.1:9/v1"


def _with(**prices: float) -> Catalog:
    """Return the catalogue with other prices of gpt-4o, which costs 2.5 / 10 everywhere."""
    return replace(CATALOG, models={**CATALOG.models, "gpt-4o": CATALOG["gpt-4o"].model_copy(update=prices)})


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    """Lists in which gpt-4o has become cheaper at its vendor, and nearly free at OpenRouter."""
    with running_gateway(catalog=_with(input_usd_per_mtok=2.0, openrouter_input_usd_per_mtok=0.2)) as server:
        yield server


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def _run(server: FakeServer, path: Path, *options: str, now: datetime = NOW, **environ: str) -> int:
    urls = {"PORTKEY_BASE_URL": server.portkey_url, "OPENROUTER_BASE_URL": server.openrouter_url}
    return run(cli, ["prices", "sync", *options], App(urls | environ, now=lambda: now, database=str(path)))


def _json(capsys: Capture, server: FakeServer, path: Path, *options: str, **more: Any) -> dict[str, Any]:
    assert _run(server, path, "--json", *options, **more) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def _kept(path: Path) -> dict[tuple[str, str], tuple[float | None, datetime, str]]:
    database = open_database(str(path))
    try:
        return {
            (p.model_id, p.gateway): (p.price.input_usd_per_mtok, p.from_at, p.source) for p in read_prices(database)
        }
    finally:
        database.close()


def test_change_is_shown_and_kept_with_its_source_from_now_on(fake: FakeServer, path: Path, capsys: Capture) -> None:
    assert _run(fake, path) == 0
    out, err = capsys.readouterr()
    (line,) = (line for line in out.splitlines() if line.split()[:2] == ["gpt-4o", "portkey"])
    assert line.split() == ["gpt-4o", "portkey", "input", "2.5", "2", "Portkey's", "price", "API"]
    assert "that hold from 2026-11-24 12:00 UTC on" in out
    assert "Portkey's price API: 48 of 48 models" in err
    assert _kept(path)["gpt-4o", "portkey"] == (2.0, NOW, "Portkey's price API")


def test_second_look_finds_nothing_new(fake: FakeServer, path: Path, capsys: Capture) -> None:
    assert _json(capsys, fake, path)["changes"]
    kept, later = _kept(path), NOW + timedelta(hours=1)
    assert _json(capsys, fake, path, now=later)["changes"] == []
    assert _kept(path) == kept
    assert _run(fake, path, now=later) == 0
    assert "Nothing has changed." in capsys.readouterr().out


def test_dry_run_makes_not_even_a_ledger(fake: FakeServer, path: Path, capsys: Capture) -> None:
    found = _json(capsys, fake, path, "--dry-run")
    assert (found["dry_run"], path.exists()) == (True, False)
    (change,) = (each for each in found["changes"] if each["gateway"] == "portkey")
    assert (change["model"], change["before"]["input_usd_per_mtok"], change["after"]["input_usd_per_mtok"]) == (
        "gpt-4o",
        2.5,
        2.0,
    )


def test_leap_is_not_believed_unless_it_is_forced(fake: FakeServer, path: Path, capsys: Capture) -> None:
    assert _run(fake, path, "--gateway", "openrouter") == 0
    assert (
        "optimizer: gpt-4o at openrouter: not believed: its input price would move by more than 10×, "
        "from $2.5 to $0.2; --force believes it\n"
    ) in capsys.readouterr().err
    assert ("gpt-4o", "openrouter") not in _kept(path)
    _json(capsys, fake, path, "--gateway", "openrouter", "--force")
    assert _kept(path)["gpt-4o", "openrouter"][0] == 0.2


def test_list_that_cannot_be_read_is_named_and_the_other_one_counts(
    fake: FakeServer, path: Path, capsys: Capture
) -> None:
    assert _run(fake, path, "--force", PORTKEY_BASE_URL=NOWHERE) == 1
    err = capsys.readouterr().err
    assert err.splitlines()[-1].startswith(
        "optimizer: error: Portkey's price API cannot be read: portkey: no connection"
    )
    assert _kept(path)["gpt-4o", "openrouter"][0] == 0.2
    assert _run(fake, path, OPENROUTER_BASE_URL=NOWHERE) == 1
    assert "OpenRouter's list of models cannot be read" in capsys.readouterr().err
    assert _kept(path)["gpt-4o", "portkey"][0] == 2.0


@pytest.mark.parametrize("fault", ["garbage", "not_a_completion", "html_page", "rate_limit", "cut"])
def test_rubbish_changes_nothing(fake: FakeServer, path: Path, fault: str, capsys: Capture) -> None:
    fake.play(Script(troubles=(Trouble(fault=fault, whole_gateway=True),)))
    assert _run(fake, path, "--force") == 1
    assert capsys.readouterr().err.count("cannot be read") == 2
    assert _kept(path) == {}


def test_choices_of_a_running_process_follow(fake: FakeServer, path: Path, capsys: Capture) -> None:
    """Within a minute, at the new price and under another price version, with nothing to relearn."""
    now = NOW
    with Optimizer.open(database=str(path), environ={}, background=False, clock=lambda: now) as opt:
        before = opt.select_optimal_model("code", 1000)
        _json(capsys, fake, path)
        now += timedelta(minutes=1)
        opt.refresh()
        after = opt.select_optimal_model("code", 1000)
    prices = [each.decision.by_model["gpt-4o"].candidate.price.input_usd_per_mtok for each in (before, after)]
    assert prices == [2.5, 2.0]
    assert before.decision.price_version != after.decision.price_version


def test_prices_seen_are_those_that_are_shown(fake: FakeServer, path: Path, capsys: Capture) -> None:
    _json(capsys, fake, path)
    assert run(cli, ["prices", "--json", "--model", "gpt-4o"], App({}, now=lambda: NOW, database=str(path))) == 0
    (line,) = json.loads(capsys.readouterr().out)["prices"]
    assert line["input_usd_per_mtok"] == 2.0


def test_options_of_the_list_do_not_stand_before_sync(capsys: Capture) -> None:
    assert run(cli, ["prices", "--model", "gpt-4o", "sync"], App({})) == 2
    assert "options of sync stand behind it" in capsys.readouterr().err
