"""In a notebook a figure is a picture that loads nothing."""

from collections.abc import Iterator

import altair as alt
import pytest

from optimizer.analysis import figures
from tests.analysis.figures import samples


@pytest.fixture
def offline() -> Iterator[None]:
    before = alt.renderers.active
    figures.draw_offline("dark")
    yield
    alt.renderers.enable(before)


def test_a_chart_is_shown_as_a_picture_on_its_own_paper(offline: None, capfd: pytest.CaptureFixture[str]) -> None:
    chart = figures.money(samples.MONEY, theme="dark")
    (kind, picture), *more = chart._repr_mimebundle_().items()
    assert (kind, more) == ("image/svg+xml", [])
    assert picture.startswith("<svg")
    assert "http" not in picture.replace("http://www.w3.org/", "")
    assert 'fill="#' in picture
    assert capfd.readouterr().err == ""
