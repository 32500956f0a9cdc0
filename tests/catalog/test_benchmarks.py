"""Benchmark figures become one mean per model and family, by the rules in `data/README.md`."""

from datetime import date

import pytest

from optimizer.catalog import load_catalog
from optimizer.catalog.benchmarks import LINES, PRIMARY, Figure, prior_means

CATALOG = load_catalog()


def _figure(key: str, family: str, benchmark: str, score: float, scale: str = "0-1") -> Figure:
    return Figure.model_construct(
        key=key, family=family, benchmark=benchmark, score=score, scale=scale, measured_on=date(2026, 8, 22)
    )


def test_elo_becomes_the_win_rate_against_the_median_model() -> None:
    """Median of 1300, 1400, 1500 is 1400; 100 above it wins 1/(1 + 10^(-1/4)) = 1/(1 + 0.562341) = 0.640065."""
    elo = [_figure(f"m{score}", "chat", PRIMARY["chat"], score, "elo") for score in (1300, 1400, 1500)]
    means = prior_means(elo, "chat")
    assert means["m1400"] == 0.5
    assert means["m1500"] == pytest.approx(0.640065, abs=1e-6)
    assert means["m1300"] == pytest.approx(1 - 0.640065, abs=1e-6)


def test_primary_wins_over_the_secondary() -> None:
    primary = _figure("m", "tools", PRIMARY["tools"], 0.7)
    secondary = _figure("m", "tools", "tau3-Bench Banking (Artificial Analysis)", 0.1)
    assert prior_means([primary, secondary], "tools") == {"m": 0.7}
    assert prior_means([secondary], "tools") == {"m": pytest.approx(0.260 + 2.022 * 0.1)}


@pytest.mark.parametrize(("score", "expected"), [(0.1, 0.550 + 0.0992), (0.2, 0.767 + 0.071), (0.9, 0.95)])
def test_reasoning_is_mapped_on_two_lines_and_clipped(score: float, expected: float) -> None:
    """Below 0.2 the first line holds, from 0.2 on the second; 0.767 + 0.355·0.9 = 1.0865 is clipped to 0.95."""
    figure = _figure("m", "reasoning", "Humanity's Last Exam (Artificial Analysis)", score)
    assert prior_means([figure], "reasoning") == {"m": pytest.approx(expected)}


def test_secondary_on_an_elo_family_lands_on_the_win_rate() -> None:
    figure = _figure("m", "instruction", "IFBench (Artificial Analysis)", 0.5)
    assert prior_means([figure], "instruction") == {"m": pytest.approx(0.108 + 0.298)}


def test_model_without_a_usable_figure_has_no_prior() -> None:
    aider = _figure("m", "code", "Aider polyglot (225 exercises, pass after 2 tries)", 50.0, "percent")
    assert prior_means([aider], "code") == {}


@pytest.mark.parametrize(
    ("family", "n_models"),
    [
        ("code", 62),
        ("tools", 50),
        ("reasoning", 63),
        ("knowledge", 54),
        ("chat", 61),
        ("writing", 61),
        ("long_context", 56),
        ("instruction", 62),
    ],
)
def test_catalogue_has_means_for_most_models(family: str, n_models: int) -> None:
    means = CATALOG.prior_means(family)
    assert len(means) == n_models
    assert all(0.0 < mean < 1.0 for mean in means.values())


def test_every_named_benchmark_stands_in_the_table() -> None:
    present = {(figure.family, figure.benchmark) for figure in CATALOG.figures}
    assert set(LINES) <= present
    assert set(PRIMARY.items()) <= present
