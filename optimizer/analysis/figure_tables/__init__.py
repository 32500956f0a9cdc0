"""The small tables that figures are drawn from: one function for each figure of that name, and all of a report at once.

Most come from evidence, which has as many rows for ten million calls as for a hundred thousand.
"""

from optimizer.errors import MissingExtra

try:
    from optimizer.analysis.figure_tables.limits import Paced, spend_against_budget
    from optimizer.analysis.figure_tables.quality import beliefs, calibration, frontier_of_models, frontier_of_policies
    from optimizer.analysis.figure_tables.reading import FigureTables, read_figure_tables
    from optimizer.analysis.figure_tables.saving import money, savings_build_up
    from optimizer.analysis.figure_tables.traffic import latency, share_over_time
except ModuleNotFoundError as missing:
    raise MissingExtra("a figure's table", "analysis") from missing

__all__ = [
    "FigureTables",
    "Paced",
    "beliefs",
    "calibration",
    "frontier_of_models",
    "frontier_of_policies",
    "latency",
    "money",
    "read_figure_tables",
    "savings_build_up",
    "share_over_time",
    "spend_against_budget",
]
