"""The page loads nothing, says what JSON says, names its figures, and lets no name become markup."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest

from optimizer.analysis.figure_tables import FigureTables, read_figure_tables
from optimizer.analysis.figures import PALETTE
from optimizer.analysis.figures.style import INKS
from optimizer.analysis.page import usd
from optimizer.analysis.parts import Report
from optimizer.analysis.report import make_report
from optimizer.analysis.report_html import report_page
from optimizer.catalog import load_catalog
from optimizer.domain import Usage
from optimizer.engine import Optimizer
from tests.service.chromium import running_chromium

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
LATER = NOON + timedelta(minutes=1)
LOADING = {"src", "srcset", "href", "xlink:href", "action", "formaction", "data", "poster", "background"}
FIGURES = 8
LARGEST = 1_500_000  # bytes
NAMED = {
    "money": "use_case",
    "spend_against_budget": "limit",
    "share_over_time": "model",
    "latency": "model",
    "frontier": "label",
    "beliefs": "model",
}
SETTINGS = "routing: {cost_limits: {daily_usd: 5}}"


class Seen(HTMLParser):
    """Notes tags with their attributes, numbers by where they stand in JSON, and texts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.numbers: dict[str, float] = {}
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs) -> None:
        found = dict(attrs)
        self.tags.append((tag, found))
        if tag == "data":
            self.numbers[found["id"]] = json.loads(found["value"])
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Optimizer]:
    """Some calls of two use cases, one of a retired baseline, under a limit."""
    folder = tmp_path_factory.mktemp("page")
    config, path = folder / "o.yaml", folder / "ledger.db"
    config.write_text(SETTINGS)
    with Optimizer.open(config, database=str(path), environ={}, background=False, clock=lambda: NOON) as opt:
        for number in range(24):
            selection = opt.select_optimal_model("chat" if number % 3 else "code", 1_000 + number)
            opt.record(
                selection, usage=Usage(input_tokens=1_000 + number, output_tokens=100 + number), latency_ms=900.0
            )
            opt.rate(selection.call_id, 0.25 * (number % 5))
        opt.flush()
        yield opt


@pytest.fixture(scope="module")
def report(opened: Optimizer) -> Report:
    return make_report(opened.database, opened.settings, load_catalog(), LATER)


@pytest.fixture(scope="module")
def tables(opened: Optimizer, report: Report) -> FigureTables:
    return read_figure_tables(opened.database, opened.settings, load_catalog(), report)


@pytest.fixture(scope="module")
def page(report: Report, tables: FigureTables) -> str:
    return report_page(report, tables)


def test_page_loads_nothing(page: str) -> None:
    tags = Seen(page).tags
    assert not {"script", "link", "img", "iframe", "object", "embed", "base", "image", "use"} & {tag for tag, _ in tags}
    assert not any(LOADING & attributes.keys() for tag, attributes in tags)
    assert not re.search(r"https?:|//|url\(|@import|@font-face", page.replace("<!doctype html>", ""))
    assert "default-src 'none'" in page


def test_page_is_small(page: str) -> None:
    assert len(page.encode()) < LARGEST


def test_every_number_is_the_json_reports(report: Report, page: str) -> None:
    found, seen = json.loads(json.dumps(report.to_dict())), Seen(page).numbers
    assert len(seen) >= 40
    for path, number in seen.items():
        value = found
        for name in path.split("."):
            value = value[int(name)] if isinstance(value, list) else value[name]
        assert value == number
    wanted = {"totals.n_calls", "totals.cost_usd", "saving.saved_usd", "saving.low_usd", "use_cases.0.saving.share"}
    assert wanted <= seen.keys()


def test_what_is_shown_is_the_number_rounded(page: str) -> None:
    for value, shown in re.findall(r'<data value="([^"]+)" id="[^"]+cost_usd">([^<]+)</data>', page):
        assert float(shown.replace("$", "").replace(",", "")) == pytest.approx(float(value), rel=5e-3, abs=5e-3)


def test_figures_have_names_and_markup_is_closed(page: str) -> None:
    seen = Seen(page)
    drawn = [attributes for tag, attributes in seen.tags if tag == "svg"]
    names = [each["aria-label"] for each in drawn]
    assert len(set(names)) == len(names) == FIGURES
    assert all(each["role"] == "img" for each in drawn)
    assert page.count("<title>") == FIGURES + 1
    assert seen.open == []


def test_every_figure_has_its_numbers_in_a_table(page: str) -> None:
    # Those of money, and of quality against cost, stand in tables that the page has anyway.
    assert page.count("<details>") == FIGURES - 2
    assert page.count("</table></div></details>") == FIGURES - 2


def test_figures_show_prices_in_full(page: str, tables: FigureTables) -> None:
    least = min(tables.beliefs["usd_per_call"].drop_nulls().to_list())
    assert least < 0.01
    assert f">{usd(least).rstrip('0')}" in page


def test_page_reads_in_light_and_dark(page: str) -> None:
    assert 'content="light dark"' in page
    light, dark = (set(re.findall(r"--(\w+):", block)) for block in re.findall(r":root \{([^}]+)\}", page))
    assert light == dark
    colours = set(re.findall(r'(?:fill|stroke)="([^"]+)"', page))
    variables = {f"var(--{name})" for name in INKS["light"]._fields}
    assert colours <= {*PALETTE, *variables, "none", "transparent"}
    assert colours & variables


def test_names_never_become_markup(report: Report, tables: FigureTables) -> None:
    hostile = "<script>alert(1)</script>"
    part = report.use_cases[0]
    models = (replace(part.models[0], model_id=hostile), *part.models[1:])
    named = {name: getattr(tables, name).with_columns(pl.lit(hostile).alias(column)) for name, column in NAMED.items()}
    page = report_page(
        replace(report, use_cases=(replace(part, use_case=hostile, models=models),), headlines=(hostile,)),
        replace(tables, **named),
    )
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_empty_ledger_makes_a_page_too(opened: Optimizer, report: Report) -> None:
    nothing = replace(report, use_cases=(), saving=None, limits=(), headlines=("No calls in this period.",))
    page = report_page(nothing, read_figure_tables(opened.database, opened.settings, load_catalog(), nothing))
    assert "No calls in this period." in page
    assert "<svg" not in page


def test_browser_asks_for_nothing_else_and_follows_its_users_scheme(page: str, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(page)
    with running_chromium() as browser:
        for theme, inks in INKS.items():
            shown = browser.new_page(color_scheme=theme)
            asked, said = [], []
            shown.on("request", lambda request, asked=asked: asked.append(request.url))
            shown.on("console", lambda message, said=said: said.append(message.text))
            shown.goto(file.as_uri())
            assert asked == [file.as_uri()]
            assert said == []
            ink = shown.eval_on_selector("svg text[fill='var(--ink)']", "text => getComputedStyle(text).fill")
            assert ink == f"rgb({', '.join(str(int(inks.ink[i : i + 2], 16)) for i in (1, 3, 5))})"
            shown.close()


def test_page_without_the_extra_names_it(tmp_path: Path) -> None:
    ledger = str(tmp_path / "ledger.db")
    Optimizer.open(database=ledger, environ={}, background=False).close()
    command = ["report", "--html", str(tmp_path / "report.html"), "--database", ledger]
    program = (
        f"import sys; sys.modules['altair'] = None; sys.argv[1:] = {command}; from optimizer.cli import main; main()"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert found.returncode != 0
    assert "report --html needs an extra: pip install 'orchestra-optimizer[analysis]'" in found.stderr


def test_command_writes_the_page_and_prints_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from optimizer.cli.app import App
    from optimizer.cli.main import cli, run

    ledger, page = str(tmp_path / "ledger.db"), tmp_path / "report.html"
    with Optimizer.open(database=ledger, environ={}, background=False, clock=lambda: NOON) as opt:
        opt.record(opt.select_optimal_model("chat", 100), usage=Usage(input_tokens=100, output_tokens=10))
    app = App({}, now=lambda: NOON, database=ledger)
    assert run(cli, ["report", "--html", str(page)], app) == 0
    assert capsys.readouterr().out == ""
    assert page.read_text().startswith("<!doctype html>")
    assert run(cli, ["report", "--html", str(tmp_path / "no" / "where.html")], app) == 1
    assert "cannot be written" in capsys.readouterr().err
