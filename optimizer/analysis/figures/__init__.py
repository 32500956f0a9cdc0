"""Figures, drawn once for notebooks, reports and dashboards: each takes a small table and returns an Altair chart.

Colours can be told apart by the colour-blind, axes say their units, and a table without rows makes a figure that says
what is missing. They need the extra `analysis`.
"""

from optimizer.errors import MissingExtra

try:
    from optimizer.analysis.figures.attribution import spent, spent_by_two
    from optimizer.analysis.figures.dollars import money, savings_build_up, spend_against_budget
    from optimizer.analysis.figures.efficiency import frontier
    from optimizer.analysis.figures.incidents import ratings_moved, trouble
    from optimizer.analysis.figures.policies import policies_beside, weights, worth
    from optimizer.analysis.figures.qualities import beliefs, calibration
    from optimizer.analysis.figures.rendering import as_png, as_svg, draw_offline
    from optimizer.analysis.figures.style import PALETTE, Chart, Theme
    from optimizer.analysis.figures.traffic import latency, share_over_time
except ModuleNotFoundError as missing:
    raise MissingExtra("a figure", "analysis") from missing

__all__ = [
    "PALETTE",
    "Chart",
    "Theme",
    "as_png",
    "as_svg",
    "beliefs",
    "calibration",
    "draw_offline",
    "frontier",
    "latency",
    "money",
    "policies_beside",
    "ratings_moved",
    "savings_build_up",
    "share_over_time",
    "spend_against_budget",
    "spent",
    "spent_by_two",
    "trouble",
    "weights",
    "worth",
]
