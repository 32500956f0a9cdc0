"""A report as one page of HTML that loads nothing: no script, no font, no picture from elsewhere.

Every number of the report is a `<data>` element that has it exactly, as JSON does, and where it stands there.
"""

from collections.abc import Callable, Iterable
from html import escape
from typing import Any

from optimizer.analysis import report_figures
from optimizer.analysis.figure_tables import FigureTables
from optimizer.analysis.page import Cell, colours, count, share, table, three, usd
from optimizer.analysis.parts import Report, UseCaseReport


def report_page(report: Report, tables: FigureTables) -> str:
    """Return the page of a report, with the figures of its tables."""
    found = report.to_dict()
    parts = (
        _heading(report),
        _lines(report.headlines),
        _saved(report, found, tables),
        _section("Spending limits", report_figures.limits(tables)),
        _quality(report, found, tables),
        _choices(report, found, tables),
        _section("What is believed", report_figures.beliefs(tables), report_figures.frontier(tables)),
        _lines((f"{alarm.meaning}, since {alarm.since:%Y-%m-%d %H:%M} UTC" for alarm in report.alarms), "Drift"),
        _lines(report.next_steps, "Where to look next"),
    )
    return _PAGE.format(style=_STYLE, body="\n".join(part for part in parts if part))


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Orchestra Optimizer: report</title>
<style>{style}</style>
</head>
<body><main>
{body}
</main></body>
</html>
"""
_STYLE = (
    f":root {{ {colours('light')} }}\n@media (prefers-color-scheme: dark) {{ :root {{ {colours('dark')} }} }}"
    + """
body { background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; margin: 0; }
main { max-width: 74rem; margin: 0 auto; padding: 1.5rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; } h3 { font-size: 1rem; margin-bottom: 0; }
p, li { max-width: 50rem; } .quiet { color: var(--quiet); }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child, .word { text-align: left; } tr.total { font-weight: 600; }
figure { margin: 1.2rem 0; } svg { max-width: 100%; height: auto; display: block; overflow: visible; }
@media (max-width: 40rem) { figure { overflow-x: auto; } svg { min-width: 36rem; } }
summary { color: var(--quiet); cursor: pointer; } details .scroll { max-height: 24rem; overflow-y: auto; }
"""
)


def _heading(report: Report) -> str:
    since = "the first call" if report.since is None else f"{report.since:%Y-%m-%d %H:%M} UTC"
    until = f"{report.until or report.at:%Y-%m-%d %H:%M} UTC"
    return f'<h1>Orchestra Optimizer: report</h1>\n<p class="quiet">Calls from {since} until {until}</p>'


def _lines(lines: Iterable[str], title: str = "") -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    heading = f"<h2>{title}</h2>\n" if title else ""
    return f"{heading}<ul>{items}</ul>" if items else ""


def _saved(report: Report, found: dict[str, Any], tables: FigureTables) -> str:
    if not report.use_cases:
        return ""
    columns = ("use case", "calls", "cost", "saved", "95% from", "to", "of the baseline", "baseline<", "method<")
    rows = [
        _money(part.use_case, found, f"use_cases.{i}", f"use_cases.{i}.n_calls", part)
        for i, part in enumerate(report.use_cases)
    ]
    total = _money("total", found, "", "totals.n_calls", None)
    methods = _lines(f"{part.use_case}: {part.saving.method}." for part in report.use_cases if part.saving)
    return _section(
        "Cost and savings",
        report_figures.money(tables),
        table("What calls cost and saved", columns, rows, total),
        methods,
        _apart(report, found),
        report_figures.savings(tables),
    )


def _section(title: str, *parts: str) -> str:
    """Return parts under a heading; nothing where all of them are."""
    body = "\n".join(part for part in parts if part)
    return f"<h2>{title}</h2>\n{body}" if body else ""


def _apart(report: Report, found: dict[str, Any]) -> str:
    if report.judging is None:
        return ""
    cost = _data(found, "judging.cost_usd", usd)
    return f"<p>Judging cost {cost}, which is part of the total cost and is not taken off the saving.</p>"


def _money(name: str, found: dict[str, Any], at: str, n_calls: str, part: UseCaseReport | None) -> list[Cell]:
    saving = f"{at}.saving" if at else "saving"
    cost = f"{at}.cost_usd" if at else "totals.cost_usd"
    baseline = "" if part is None else f"{part.baseline or ''}{' (retired)' if part.baseline_retired else ''}"
    names = ("saved_usd", "low_usd", "high_usd")
    return [
        escape(name),
        _data(found, n_calls, count),
        _data(found, cost, usd),
        *(_data(found, f"{saving}.{each}", usd) for each in names),
        _data(found, f"{saving}.share", share),
        escape(baseline),
        escape(str(_value(found, f"{saving}.kind") or "")),
    ]


def _quality(report: Report, found: dict[str, Any], tables: FigureTables) -> str:
    if not report.use_cases:
        return ""
    columns = ("use case", "rated", "mean rating", "asked for", "failed attempts", "p50 ms", "p95 ms")
    shown = (
        ("n_rated", count),
        ("mean_rating", three),
        ("asked_quality", three),
        ("n_failed_attempts", count),
        ("latency_p50_ms", count),
        ("latency_p95_ms", count),
    )
    rows = [
        [escape(part.use_case), *(_data(found, f"use_cases.{i}.{name}", written) for name, written in shown)]
        for i, part in enumerate(report.use_cases)
    ]
    return _section(
        "Quality and speed",
        table("Ratings and latency by use case", columns, rows),
        report_figures.calibration(tables),
        report_figures.latency(tables),
    )


def _choices(report: Report, found: dict[str, Any], tables: FigureTables) -> str:
    parts = [_chosen(i, part, found) for i, part in enumerate(report.use_cases)]
    return _section("Who was chosen", report_figures.shares(tables), *parts)


def _chosen(number: int, part: UseCaseReport, found: dict[str, Any]) -> str:
    columns = ("model", "calls", "share", "cost", "rated", "mean rating")
    names = (("n_calls", count), ("share", share), ("cost_usd", usd), ("n_rated", count), ("mean_rating", three))
    rows = [
        [escape(model.model_id), *(_data(found, f"use_cases.{number}.models.{i}.{name}", how) for name, how in names)]
        for i, model in enumerate(part.models)
    ]
    return f"<h3>{escape(part.use_case)}</h3>\n{table(f'Models chosen for {part.use_case}', columns, rows)}"


def _data(found: dict[str, Any], path: str, written: Callable[[float], str]) -> Cell:
    value = _value(found, path)
    if value is None:
        return "unknown" if path.endswith("cost_usd") else ""
    return f'<data value="{value!r}" id="{path}">{written(value)}</data>'


def _value(found: Any, path: str) -> Any:  # noqa: ANN401 - whatever JSON holds
    for name in path.split("."):
        if found is None:
            return None
        found = found[int(name)] if isinstance(found, list) else found[name]
    return found
