"""Figures as pictures, rendered on this machine without a browser and without the network."""

from typing import Any

import altair as alt
import vl_convert

from optimizer.analysis.figures.style import INKS, Chart, Theme

_SCALE = 2.0
_OFFLINE = "orchestra-offline"
_NEWEST = vl_convert.get_vegalite_versions()[-1]


def as_svg(chart: Chart, *, described: bool = True) -> str:
    """Return a chart as one SVG element.

    Parameters
    ----------
    described : bool
        Whether axes and marks describe themselves to those who cannot see them; say no where the whole has a name.
    """
    spec = chart.to_dict()
    spec["config"] = spec.get("config", {}) | {"aria": described}
    return vl_convert.vegalite_to_svg(spec, vl_version=_version(), allowed_base_urls=[])


def as_png(chart: Chart, theme: Theme = "light", *, scale: float = _SCALE) -> bytes:
    """Return a chart as a PNG picture, on the paper of the theme that it was made for."""
    spec = chart.to_dict()
    spec["config"] = spec.get("config", {}) | {"background": INKS[theme].paper}
    return vl_convert.vegalite_to_png(spec, vl_version=_version(), scale=scale, allowed_base_urls=[])


def draw_offline(theme: Theme = "light") -> None:
    """Let notebooks show charts as pictures from now on, on paper of their own.

    Altair's own way loads a library from elsewhere into the page, and shows nothing where there is no network; and a
    chart without paper cannot be read where the notebook is dark and the chart is not.
    """

    def drawn(spec: dict[str, Any]) -> dict[str, str]:
        spec = spec | {"config": spec.get("config", {}) | {"background": INKS[theme].paper}}
        return {"image/svg+xml": vl_convert.vegalite_to_svg(spec, vl_version=_version(), allowed_base_urls=[])}

    alt.renderers.register(_OFFLINE, drawn)
    alt.renderers.enable(_OFFLINE)


def _version() -> str:
    """Return the version of the grammar that charts are written in, or the newest that is known where it is not."""
    wanted = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
    return wanted if wanted in vl_convert.get_vegalite_versions() else _NEWEST
