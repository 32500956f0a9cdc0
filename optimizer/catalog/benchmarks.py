"""Public benchmark figures, brought to one mean in [0, 1] per model and family: weak priors, never more.

Levels differ between families (SciCode 0.5 is strong, GPQA 0.5 is weak): compare models inside one family only.
"""

from collections.abc import Iterable, Mapping
from datetime import date
from statistics import median
from typing import Literal

from pydantic import NonNegativeFloat

from optimizer.catalog.tables import Row
from optimizer.domain import Family

PRIMARY: Mapping[Family, str] = {
    "code": "SciCode (Artificial Analysis)",
    "tools": "tau2-Bench Telecom (Artificial Analysis)",
    "reasoning": "GPQA Diamond (Artificial Analysis)",
    "knowledge": "AA-Omniscience accuracy (Artificial Analysis)",
    "chat": "LMArena text, overall, style control",
    "writing": "LMArena text, creative writing, style control",
    "long_context": "AA-LCR (Artificial Analysis, 2026-08 grading)",
    "instruction": "LMArena text, instruction following, style control",
}
CLIP = (0.05, 0.95)

# Secondary benchmark → (from this score on, intercept, slope) of lines onto the primary's scale that equate mean and
# standard deviation over the models which have both; the last line that begins at or below a score is its line.
LINES: Mapping[tuple[Family, str], tuple[tuple[float, float, float], ...]] = {
    ("tools", "tau3-Bench Banking (Artificial Analysis)"): ((0.0, 0.260, 2.022),),
    ("reasoning", "Humanity's Last Exam (Artificial Analysis)"): ((0.0, 0.550, 0.992), (0.2, 0.767, 0.355)),
    ("knowledge", "MMLU-Pro (Artificial Analysis)"): ((0.0, -1.126, 1.739),),
    ("instruction", "IFBench (Artificial Analysis)"): ((0.0, 0.108, 0.596),),
    ("long_context", "AA-LCR (Artificial Analysis, 2026-10 grading)"): ((0.0, -0.036, 1.0),),
}


class Figure(Row):
    """A line of `benchmarks.csv`: one model's published score on one benchmark."""

    key: str
    family: Family
    benchmark: str
    score: NonNegativeFloat
    scale: Literal["0-1", "percent", "elo"]
    reasoning_effort: str | None
    measured_on: date
    source_url: str
    read_on: date
    note: str | None


def prior_means(figures: Iterable[Figure], family: Family) -> dict[str, float]:
    """Return model → mean in [0, 1] for every model with a usable figure in this family.

    The primary benchmark counts where a model has it, else the secondary, mapped and clipped.
    """
    mine = [figure for figure in figures if figure.family == family]
    primaries = [figure for figure in mine if figure.benchmark == PRIMARY[family]]
    middle = median([figure.score for figure in primaries]) if primaries else 0.0
    means = {figure.key: _mapped(figure) for figure in mine if (family, figure.benchmark) in LINES}
    return means | {figure.key: _share(figure, middle) for figure in primaries}


def _share(figure: Figure, middle: float) -> float:
    """Return a score as a share; an Elo rating as the expected win rate against the median model."""
    if figure.scale == "elo":
        return float(1.0 / (1.0 + 10.0 ** ((middle - figure.score) / 400.0)))
    return figure.score / 100.0 if figure.scale == "percent" else figure.score


def _mapped(figure: Figure) -> float:
    score = _share(figure, middle=0.0)
    lines = LINES[figure.family, figure.benchmark]
    _, intercept, slope = max(line for line in lines if line[0] <= score)
    return min(max(intercept + slope * score, CLIP[0]), CLIP[1])
