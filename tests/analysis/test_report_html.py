"""The page loads nothing, says what JSON says, names its charts, and lets no name become markup."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from optimizer.analysis.parts import Report
from optimizer.analysis.report import make_report
from optimizer.analysis.report_html import report_page
from optimizer.catalog import load_catalog
from optimizer.domain import Usage
from optimizer.engine import Optimizer

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
LOADING = {"src", "srcset", "href", "xlink:href", "action", "formaction", "data", "poster", "background"}


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
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """The report on some calls of two use cases, one of a retired baseline."""
    path = tmp_path_factory.mktemp("page") / "ledger.db"
    catalog = load_catalog()
    with Optimizer.open(database=str(path), environ={}, catalog=catalog, background=False, clock=lambda: NOON) as opt:
        for number in range(24):
            selection = opt.select_optimal_model("chat" if number % 3 else "code", 1_000 + number)
            opt.record(
                selection, usage=Usage(input_tokens=1_000 + number, output_tokens=100 + number), latency_ms=900.0
            )
            opt.rate(selection.call_id, 0.25 * (number % 5))
        opt.flush()
        return make_report(opt.database, opt.settings, catalog, NOON)


def test_page_loads_nothing(report: Report) -> None:
    page = report_page(report)
    tags = Seen(page).tags
    assert not {"script", "link", "img", "iframe", "object", "embed", "base", "image", "use"} & {tag for tag, _ in tags}
    assert not any(LOADING & attributes.keys() for tag, attributes in tags)
    assert not re.search(r"https?:|//|url\(|@import|@font-face", page.replace("<!doctype html>", ""))
    assert "default-src 'none'" in page


def test_every_number_is_the_json_reports(report: Report) -> None:
    found, seen = json.loads(json.dumps(report.to_dict())), Seen(report_page(report)).numbers
    assert len(seen) >= 40
    for path, number in seen.items():
        value = found
        for name in path.split("."):
            value = value[int(name)] if isinstance(value, list) else value[name]
        assert value == number
    wanted = {"totals.n_calls", "totals.cost_usd", "saving.saved_usd", "saving.low_usd", "use_cases.0.saving.share"}
    assert wanted <= seen.keys()


def test_what_is_shown_is_the_number_rounded(report: Report) -> None:
    page = report_page(report)
    for value, shown in re.findall(r'<data value="([^"]+)" id="[^"]+cost_usd">([^<]+)</data>', page):
        assert float(shown.replace("$", "").replace(",", "")) == pytest.approx(float(value), rel=5e-3, abs=5e-3)


def test_charts_have_names_and_markup_is_closed(report: Report) -> None:
    seen = Seen(report_page(report))
    charts = [attributes for tag, attributes in seen.tags if tag == "svg"]
    assert len(charts) == 3
    assert all(chart["role"] == "img" and chart["aria-label"] for chart in charts)
    assert seen.open == []


def test_page_reads_in_light_and_dark(report: Report) -> None:
    page = report_page(report)
    assert 'content="light dark"' in page
    light, dark = (set(re.findall(r"--(\w+):", block)) for block in re.findall(r":root \{([^}]+)\}", page))
    assert light == dark
    assert not re.search(r'(fill|stroke)="', page)


def test_names_never_become_markup(report: Report) -> None:
    hostile = "<script>alert(1)</script>"
    part = report.use_cases[0]
    models = (replace(part.models[0], model_id=hostile), *part.models[1:])
    page = report_page(
        replace(report, use_cases=(replace(part, use_case=hostile, models=models),), headlines=(hostile,))
    )
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_empty_ledger_makes_a_page_too(report: Report) -> None:
    page = report_page(replace(report, use_cases=(), saving=None, headlines=("No calls in this period.",)))
    assert "No calls in this period." in page
    assert "<svg" not in page


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
