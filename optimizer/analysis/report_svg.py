"""Charts of a report as inline SVG, drawn from the page's own colours, so that they read well in light and dark."""

import math
from collections.abc import Iterator, Sequence
from html import escape

from optimizer.analysis.parts import UseCaseReport
from optimizer.analysis.savings import Saving

_WIDTH, _NAMES, _ROW, _BAR = 860, 250, 26, 16
_ROOM = _WIDTH - _NAMES - 90  # for bars; labels stand right of them
_WORTH_SHOWING = 0.005
_AXIS = 34
_MOST_TICKS = 5


def money_chart(use_cases: Sequence[UseCaseReport]) -> str:
    """Return what each use case paid and saved: together, what its baseline would have cost; empty without any."""
    known = [(part.use_case, part.saving) for part in use_cases if part.saving is not None]
    if not known:
        return ""
    known.sort(key=lambda row: -row[1].baseline_usd)
    most = max(max(s.baseline_usd, s.paid_usd, s.paid_usd + (s.high_usd or 0.0)) for _, s in known) or 1.0
    rows = "".join(_money_row(i, name, saving, _ROOM / most) for i, (name, saving) in enumerate(known))
    about = "Dollars paid and saved by use case, with the 95% interval of what was saved"
    return _svg(about, rows + _scale(len(known), most, "US dollars"), len(known))


def _money_row(row: int, name: str, saving: Saving, per_usd: float) -> str:
    paid, baseline = saving.paid_usd * per_usd, saving.baseline_usd * per_usd
    parts = [_name(row, name), _rect(row, 0.0, paid, "paid", f"{name}: paid ${saving.paid_usd:,.4g}")]
    if baseline > paid:
        parts.append(_rect(row, paid, baseline - paid, "saved", f"{name}: saved ${saving.saved_usd:,.4g}"))
    end = max(paid, baseline)
    if saving.low_usd is not None and saving.high_usd is not None:
        low, high = (max(paid + usd * per_usd, 0.0) for usd in (saving.low_usd, saving.high_usd))
        parts.append(_whisker(row, low, high))
        end = max(end, high)
    label = "" if saving.share is None else f"{saving.share:.0%} saved"
    return "".join(parts) + _label(row, end, label)


def shares_chart(use_case: UseCaseReport) -> str:
    """Return which models a use case's calls were given to; empty where there were none."""
    models = [model for model in use_case.models if model.share >= _WORTH_SHOWING]
    if not models:
        return ""
    rows = []
    for i, model in enumerate(models):
        kind = "paid" if model.model_id == use_case.incumbent else "saved"
        what = f"{model.model_id}: {model.share:.1%} of {use_case.figures.n_calls:,} calls"
        rows += [_name(i, model.model_id), _rect(i, 0.0, model.share * _ROOM, kind, what)]
        rows.append(_label(i, model.share * _ROOM, f"{model.share:.1%}"))
    about = f"Share of the calls of {use_case.use_case} by the model chosen"
    return _svg(about, "".join(rows), len(models), axis=0)


def _svg(about: str, body: str, n_rows: int, *, axis: int = _AXIS) -> str:
    height = n_rows * _ROW + axis + 4
    return (
        f'<svg role="img" aria-label="{escape(about)}" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}">'
        f"<title>{escape(about)}</title>{body}</svg>"
    )


def _middle(row: int) -> float:
    return row * _ROW + _ROW / 2


def _name(row: int, name: str) -> str:
    return f'<text x="{_NAMES - 8}" y="{_middle(row) + 4:.0f}" text-anchor="end">{escape(name)}</text>'


def _label(row: int, at: float, text: str) -> str:
    return f'<text x="{_NAMES + at + 6:.1f}" y="{_middle(row) + 4:.0f}">{escape(text)}</text>'


def _rect(row: int, start: float, width: float, kind: str, about: str) -> str:
    top = _middle(row) - _BAR / 2
    return (
        f'<rect class="{kind}" x="{_NAMES + start:.1f}" y="{top:.0f}" width="{max(width, 0.0):.1f}" height="{_BAR}">'
        f"<title>{escape(about)}</title></rect>"
    )


def _whisker(row: int, low: float, high: float) -> str:
    middle, left, right = _middle(row), _NAMES + low, _NAMES + high
    ends = "".join(f"M{x:.1f} {middle - 4:.0f}v8" for x in (left, right))
    return f'<path class="whisker" d="M{left:.1f} {middle:.0f}H{right:.1f}{ends}"/>'


def _scale(n_rows: int, most: float, unit: str) -> str:
    return "".join(_ticks(n_rows * _ROW, most)) + (
        f'<text class="quiet" x="{_NAMES + _ROOM / 2:.0f}" y="{n_rows * _ROW + 32}" text-anchor="middle">{unit}</text>'
    )


def _ticks(bottom: int, most: float) -> Iterator[str]:
    step = _step(most)
    for number in range(int(most / step) + 1):
        x = _NAMES + number * step / most * _ROOM
        yield f'<path class="tick" d="M{x:.1f} 0V{bottom}"/>'
        yield f'<text class="quiet" x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">${number * step:,.6g}</text>'


def _step(most: float) -> float:
    """Return a round step of which two to five reach `most`."""
    power = float(10.0 ** math.floor(math.log10(most)))
    return next(step * power for step in (0.2, 0.5, 1.0, 2.0, 5.0) if most / (step * power) <= _MOST_TICKS)
