"""Every figure can be drawn, in light and dark, says its units, keeps to its colours, and says so where nothing is."""

import re
from collections.abc import Iterator
from typing import Any

import polars as pl
import pytest

from optimizer.analysis import figures
from optimizer.analysis.figures import PALETTE, Chart, as_png, as_svg
from optimizer.analysis.figures.efficiency import DOMINATED, EFFICIENT, HAPPENED, efficient
from optimizer.analysis.figures.style import INKS
from tests.analysis.figures.samples import BELIEFS, FRONTIER, LATENCY, MONEY, NOON, SAMPLES, SHARES, SPEND, Sample

EVERY = pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES)
THEMES = pytest.mark.parametrize("theme", INKS)
PNG = b"\x89PNG"


def _drawn(chart: Chart, capfd: pytest.CaptureFixture[str]) -> str:
    """Return a chart as SVG; what its renderer had to complain of goes to stderr and nowhere else."""
    picture = as_svg(chart)
    assert capfd.readouterr().err == ""
    return picture


def _words(picture: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)<", picture)


def _named(spec: Any, name: str) -> Iterator[Any]:
    """Yield everything of a name in a specification."""
    if isinstance(spec, dict):
        yield from (value for key, value in spec.items() if key == name)
        for value in spec.values():
            yield from _named(value, name)
    elif isinstance(spec, list):
        for value in spec:
            yield from _named(value, name)


@EVERY
@THEMES
def test_figure_is_drawn_and_says_its_units(
    sample: Sample, theme: figures.Theme, capfd: pytest.CaptureFixture[str]
) -> None:
    words = " | ".join(_words(_drawn(sample.draw(sample.frame, theme=theme), capfd)))
    for unit in sample.units:
        assert unit in words


@EVERY
def test_empty_table_says_what_is_missing(sample: Sample, capfd: pytest.CaptureFixture[str]) -> None:
    assert sample.empty in " ".join(_words(_drawn(sample.draw(sample.frame.clear()), capfd)))


@EVERY
@THEMES
def test_colours_are_the_palettes_or_the_themes(sample: Sample, theme: figures.Theme) -> None:
    spec = sample.draw(sample.frame, theme=theme).to_json()
    colours = {colour.upper() for colour in re.findall(r'"(#\w{6})"', spec)}
    assert colours <= {*PALETTE, *INKS[theme]}


@EVERY
def test_figure_has_no_background(sample: Sample) -> None:
    assert sample.draw(sample.frame).to_dict()["config"]["background"] == "transparent"


@EVERY
def test_themes_differ_in_inks_alone(sample: Sample) -> None:
    light, dark = (sample.draw(sample.frame, theme=theme).to_dict() for theme in INKS)
    assert light.pop("config") != dark.pop("config")
    assert light == dark


@EVERY
def test_numbers_are_told_where_one_points(sample: Sample) -> None:
    assert any(_named(sample.draw(sample.frame).to_dict(), "tooltip"))


def test_picture_has_the_paper_of_its_theme() -> None:
    light, dark = (as_png(figures.money(MONEY, theme=theme), theme) for theme in INKS)
    assert light.startswith(PNG)
    assert light != dark


def test_loss_is_called_more(capfd: pytest.CaptureFixture[str]) -> None:
    words = _words(_drawn(figures.money(MONEY), capfd))
    assert {"75% saved", "25% more"} <= set(words)


def test_limits_of_savings_may_be_left_out(capfd: pytest.CaptureFixture[str]) -> None:
    assert "75% saved" in _words(_drawn(figures.money(MONEY.drop("saved_low_usd", "saved_high_usd")), capfd))


def test_models_beyond_five_are_put_together() -> None:
    words = _words(as_svg(figures.share_over_time(SHARES)))
    assert {"old", "new-0", "new-4", "others"} <= set(words)
    assert "new-5" not in words


def test_use_cases_have_a_panel_each() -> None:
    both = pl.concat([LATENCY.with_columns(use_case=pl.lit(name)) for name in ("chat", "code")])
    assert {"chat", "code"} <= set(_words(as_svg(figures.latency(both))))
    points = pl.concat([FRONTIER.with_columns(use_case=pl.lit(name)) for name in ("chat", "code")])
    assert {"chat", "code"} <= set(_words(as_svg(figures.frontier(points))))


def test_efficient_is_whoever_nobody_beats_in_both() -> None:
    kinds = dict(efficient(FRONTIER).select("label", "kind").iter_rows())
    assert kinds == {"what happened": HAPPENED, "cheap": EFFICIENT, "good": EFFICIENT, "worse": DOMINATED}


def test_point_at_the_same_cost_but_worse_is_dominated() -> None:
    same = FRONTIER.filter(~pl.col("happened")).with_columns(usd_per_call=pl.lit(0.01))
    kinds = dict(efficient(same).select("label", "kind").iter_rows())
    assert kinds == {"good": EFFICIENT, "cheap": DOMINATED, "worse": DOMINATED}


def test_free_models_have_a_place_too(capfd: pytest.CaptureFixture[str]) -> None:
    free = FRONTIER.with_columns(usd_per_call=pl.when(label="cheap").then(0.0).otherwise("usd_per_call"))
    words = _words(_drawn(figures.frontier(free), capfd))
    assert "US dollars per call" in words
    assert "cheap" in words


def test_points_without_a_cost_are_left_out() -> None:
    unknown = FRONTIER.with_columns(usd_per_call=pl.when(label="cheap").then(None).otherwise("usd_per_call"))
    assert "cheap" not in _words(as_svg(figures.frontier(unknown)))


def test_belief_without_a_floor_or_a_price_is_shown(capfd: pytest.CaptureFixture[str]) -> None:
    unknown = BELIEFS.with_columns(floor=pl.lit(None, pl.Float64), usd_per_call=pl.lit(None, pl.Float64))
    assert "new" in _words(_drawn(figures.beliefs(unknown), capfd))


def test_limits_of_spending_have_a_panel_each() -> None:
    both = pl.concat([SPEND, SPEND.with_columns(limit=pl.lit("the hourly limit of chat"))])
    assert {"the daily limit", "the hourly limit of chat"} <= set(_words(as_svg(figures.spend_against_budget(both))))


def test_hours_are_those_of_utc() -> None:
    words = _words(as_svg(figures.share_over_time(SHARES)))
    assert f"{NOON:%H:%M}" in words
