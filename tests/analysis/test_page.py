"""Pieces of a page: money is short and exact enough, words stand left, figures keep prices and lose their inks."""

import re
from datetime import UTC, datetime

import polars as pl
import pytest

from optimizer.analysis import figures
from optimizer.analysis.page import figure, frame_table, table, usd
from tests.analysis.figures.samples import BELIEFS


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "$0.00"),
        (1234.5, "$1,234.50"),
        (-2.0, "-$2.00"),
        (0.0123456, "$0.0123"),
        (-0.5, "-$0.500"),
        (1.5e-7, "$0.000000150"),
    ],
)
def test_dollars_are_short_and_never_in_powers_of_ten(value: float, shown: str) -> None:
    assert usd(value) == shown


def test_columns_of_words_stand_left() -> None:
    found = table("all", ("a", "b", "c<"), [("1", "2", "three")], ("4", "5", "six"))
    assert '<th scope="col">b</th><th scope="col" class="word">c</th>' in found
    assert '<tr><th scope="row">1</th><td>2</td><td class="word">three</td></tr>' in found
    assert '<tr class="total"><th scope="row">4</th><td>5</td><td class="word">six</td></tr>' in found


def test_frame_shows_times_names_and_what_is_unknown() -> None:
    frame = pl.DataFrame({"at": [datetime(2026, 11, 24, 8, tzinfo=UTC)], "who": ["a<b"], "usd": [None], "other": [1]})
    found = frame_table("all", frame, {"at": ("from", None), "who": ("who", None), "usd": ("cost", usd)})
    assert '<th scope="row">2026-11-24 08:00</th><td>a&lt;b</td><td></td>' in found
    assert "other" not in found


def test_figure_takes_the_pages_inks_and_keeps_its_words() -> None:
    found = figure(figures.beliefs(BELIEFS), 'what is "believed"', "<table></table>")
    assert found.startswith('<figure><svg role="img" aria-label="what is &quot;believed&quot;" viewBox="0 0 ')
    assert found.endswith("<details><summary>The numbers</summary><table></table></details></figure>")
    assert ">$0.000123</text>" in found
    assert 'fill="var(--ink)"' in found
    assert not re.search(r"xmlns|#1B1B1B|\.\d{3,}[,)]", found)
