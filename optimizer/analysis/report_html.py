"""A report as one page of HTML that loads nothing: no script, no font, no picture from elsewhere.

Every figure is a `<data>` element that has the exact number, as the JSON report has it, and where it stands there.
"""

from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import Any

from optimizer.analysis.parts import Report, UseCaseReport
from optimizer.analysis.report_svg import money_chart, shares_chart

Cell = str


def report_page(report: Report) -> str:
    """Return the page."""
    found = report.to_dict()
    parts = (
        _heading(report),
        _lines(report.headlines),
        _saved(report, found),
        _quality(report, found),
        _choices(report, found),
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
# Okabe & Ito's colours, which the colour-blind can tell apart, on white and on black.
_STYLE = """
:root { --ink: #1b1b1b; --paper: #fff; --quiet: #5f5f5f; --line: #d9d9d9; --paid: #e69f00; --saved: #56b4e9; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #ececec; --paper: #151515; --quiet: #a8a8a8; --line: #3a3a3a; --paid: #d18f00; --saved: #3f93c4; }
}
body { background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; margin: 0; }
main { max-width: 74rem; margin: 0 auto; padding: 1.5rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; } h3 { font-size: 1rem; margin-bottom: 0; }
p, li { max-width: 50rem; } .quiet { color: var(--quiet); fill: var(--quiet); }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child, .word { text-align: left; } tr.total { font-weight: 600; }
svg { max-width: 100%; height: auto; display: block; margin: .5rem 0; } svg text { fill: var(--ink); font-size: 13px; }
svg text.quiet { fill: var(--quiet); } .paid { fill: var(--paid); } .saved { fill: var(--saved); }
.whisker { stroke: var(--ink); stroke-width: 1.5; fill: none; } .tick { stroke: var(--line); }
.key { display: inline-block; width: .8rem; height: .8rem; margin: 0 .3rem 0 .8rem; }
.key.paid { background: var(--paid); } .key.saved { background: var(--saved); }
"""


def _heading(report: Report) -> str:
    since = "the first call" if report.since is None else f"{report.since:%Y-%m-%d %H:%M} UTC"
    until = f"{report.until or report.at:%Y-%m-%d %H:%M} UTC"
    return f'<h1>Orchestra Optimizer: report</h1>\n<p class="quiet">Calls from {since} until {until}</p>'


def _lines(lines: Iterable[str], title: str = "") -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    heading = f"<h2>{title}</h2>\n" if title else ""
    return f"{heading}<ul>{items}</ul>" if items else ""


def _saved(report: Report, found: dict[str, Any]) -> str:
    if not report.use_cases:
        return ""
    columns = ("use case", "calls", "cost", "saved", "95% from", "to", "of the baseline", "baseline", "method")
    rows = [
        _money(part.use_case, found, f"use_cases.{i}", f"use_cases.{i}.n_calls", part)
        for i, part in enumerate(report.use_cases)
    ]
    total = _money("total", found, "", "totals.n_calls", None)
    key = '<p><span class="key paid"></span>paid<span class="key saved"></span>saved; lines: its 95% interval</p>'
    methods = _lines(f"{part.use_case}: {part.saving.method}." for part in report.use_cases if part.saving)
    chart = money_chart(report.use_cases)
    table = _table("What calls cost and saved", columns, rows, total)
    return f"<h2>Cost and savings</h2>\n{chart and key}{chart}\n{table}\n{methods}{_apart(report, found)}"


def _apart(report: Report, found: dict[str, Any]) -> str:
    if report.judging is None:
        return ""
    cost = _data(found, "judging.cost_usd", _usd)
    return f"<p>Judging cost {cost}, which is part of the total cost and is not taken off the saving.</p>"


def _money(name: str, found: dict[str, Any], at: str, n_calls: str, part: UseCaseReport | None) -> list[Cell]:
    saving = f"{at}.saving" if at else "saving"
    cost = f"{at}.cost_usd" if at else "totals.cost_usd"
    baseline = "" if part is None else f"{part.baseline or ''}{' (retired)' if part.baseline_retired else ''}"
    names = ("saved_usd", "low_usd", "high_usd")
    return [
        escape(name),
        _data(found, n_calls, _count),
        _data(found, cost, _usd),
        *(_data(found, f"{saving}.{each}", _usd) for each in names),
        _data(found, f"{saving}.share", _share),
        escape(baseline),
        escape(str(_value(found, f"{saving}.kind") or "")),
    ]


def _quality(report: Report, found: dict[str, Any]) -> str:
    if not report.use_cases:
        return ""
    columns = ("use case", "rated", "mean rating", "asked for", "failed attempts", "p50 ms", "p95 ms")
    shown = (
        ("n_rated", _count),
        ("mean_rating", _three),
        ("asked_quality", _three),
        ("n_failed_attempts", _count),
        ("latency_p50_ms", _count),
        ("latency_p95_ms", _count),
    )
    rows = [
        [escape(part.use_case), *(_data(found, f"use_cases.{i}.{name}", written) for name, written in shown)]
        for i, part in enumerate(report.use_cases)
    ]
    return f"<h2>Quality and speed</h2>\n{_table('Ratings and latency by use case', columns, rows)}"


def _choices(report: Report, found: dict[str, Any]) -> str:
    parts = [_chosen(i, part, found) for i, part in enumerate(report.use_cases)]
    key = '<p><span class="key paid"></span>incumbent<span class="key saved"></span>other candidates</p>'
    return f"<h2>Who was chosen</h2>\n{key}" + "\n".join(parts) if parts else ""


def _chosen(number: int, part: UseCaseReport, found: dict[str, Any]) -> str:
    columns = ("model", "calls", "share", "cost", "rated", "mean rating")
    names = (("n_calls", _count), ("share", _share), ("cost_usd", _usd), ("n_rated", _count), ("mean_rating", _three))
    rows = [
        [escape(model.model_id), *(_data(found, f"use_cases.{number}.models.{i}.{name}", how) for name, how in names)]
        for i, model in enumerate(part.models)
    ]
    table = _table(f"Models chosen for {part.use_case}", columns, rows)
    return f"<h3>{escape(part.use_case)}</h3>\n{shares_chart(part)}\n{table}"


def _table(about: str, columns: Sequence[str], rows: Iterable[Sequence[Cell]], total: Sequence[Cell] = ()) -> str:
    head = "".join(f'<th scope="col">{name}</th>' for name in columns)
    body = "".join(_row(cells) for cells in rows) + (_row(total, "total") if total else "")
    return (
        f'<div class="scroll" role="region" aria-label="{escape(about)}" tabindex="0"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _row(cells: Sequence[Cell], kind: str = "") -> str:
    first, *rest = cells
    return f'<tr class="{kind}"><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in rest)}</tr>'


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


def _usd(value: float) -> str:
    sign, size = "-" if value < 0 else "", abs(value)
    return f"{sign}${size:,.2f}" if size >= 1 or size == 0 else f"{sign}${size:.3g}"


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _share(value: float) -> str:
    return f"{value:.1%}"


def _three(value: float) -> str:
    return f"{value:.3f}"
