"""Other floors and half-lives on a recorded table, where the truth is known, as points of cost and quality."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl

from optimizer.catalog.catalog import data_folder
from optimizer.decision.belief import IntArray
from optimizer.domain import Objective
from optimizer.simulation.experiment import report, run, tasks
from optimizer.simulation.recorded import ReplayTable
from optimizer.simulation.replay import ReplaySettings
from optimizer.simulation.stream import Stream, make_stream
from optimizer.simulation.tables import read_table

FLOORS = ("average:90%", "average:95%", "average:97%", "average:100%")
HALF_LIVES = {"6h": timedelta(hours=6), "3d": timedelta(days=3), "14d": timedelta(days=14)}
STEADY, DECLINING = "models stay as they are", "cheap models decline slowly"
INCUMBENT = "incumbent alone"
_CALLS_PER_HOUR = 5.0  # so that a few hundred calls take days, and half-lives matter
_POINTS = {"use_case": pl.String, "label": pl.String, "happened": pl.Boolean} | dict.fromkeys(
    ("usd_per_call", "usd_low", "usd_high", "quality", "quality_low", "quality_high", "kept", "saved"), pl.Float64
)


def example_table() -> ReplayTable:
    """Return the synthetic table that ships: three use cases, five invented models, every answer known."""
    return read_table(data_folder() / "synthetic_replay.csv.gz")


def replay_floors(table: ReplayTable, floors: Sequence[str] = FLOORS, *, n_seeds: int = 4) -> pl.DataFrame:
    """Return a point per floor: what calls cost, and how good they were, with 95% limits over orders of the prompts.

    `kept` is the quality as a share of the incumbent's, `saved` the share of its cost; the incumbent, the best single
    model, stands first.
    """
    stream = make_stream([table])
    return _points("replay", stream, {floor: (floor, ReplaySettings()) for floor in floors}, n_seeds)


def replay_half_lives(
    table: ReplayTable,
    half_lives: Mapping[str, timedelta] = HALF_LIVES,
    *,
    floor: str = "average:97%",
    n_prompts: int = 600,
    n_seeds: int = 3,
) -> pl.DataFrame:
    """Return a point per half-life, in a world where models stay as they are, and in one where cheap ones decline.

    A few hundred prompts of the table come at five an hour, so for some days. In the second world every model but the
    incumbent loses half of its quality from the first to the last of them, step by step.
    """
    part = _some(table, _order(table)[:n_prompts])
    frames = []
    for world, lowest in ((STEADY, 1.0), (DECLINING, 0.5)):
        stream = declining(part, lowest)
        runs = {
            name: (floor, ReplaySettings(calls_per_hour=_CALLS_PER_HOUR, half_life_hours=_hours(each)))
            for name, each in half_lives.items()
        }
        frames.append(_points(world, stream, runs, n_seeds))
    return pl.concat(frames)


def declining(table: ReplayTable, lowest: float, *, n_steps: int = 6) -> Stream:
    """Return the table's prompts as a stream in which all but the best model fall to a share of their quality."""
    best = int(table.quality.mean(axis=0).argmax())
    parts = []
    for rows, share in zip(np.array_split(_order(table), n_steps), np.linspace(1.0, lowest, n_steps), strict=True):
        part = _some(table, rows)
        factor = np.where(np.arange(len(table.models)) == best, 1.0, share)
        parts.append(replace(part, quality=part.quality * factor))
    return make_stream(parts, incumbent=table.models[best])


def _order(table: ReplayTable) -> IntArray:
    return np.asarray(np.random.default_rng(0).permutation(table.n_prompts), dtype=np.intp)


def _some(table: ReplayTable, rows: IntArray) -> ReplayTable:
    """Return some of a table's prompts, by their positions."""
    return replace(
        table,
        prompts=tuple(table.prompts[row] for row in rows.tolist()),
        use_cases=tuple(table.use_cases[row] for row in rows.tolist()),
        quality=table.quality[rows],
        cost_usd=table.cost_usd[rows],
        input_tokens=table.input_tokens[rows],
        output_tokens=table.output_tokens[rows],
        context_tokens=table.context_tokens[rows],
        features=None,
    )


def _points(world: str, stream: Stream, runs: Mapping[str, tuple[str, ReplaySettings]], n_seeds: int) -> pl.DataFrame:
    quality, usd = (float(values[:, stream.incumbent].mean()) for values in (stream.quality, stream.cost_usd))
    rows = [(world, INCUMBENT, True, usd, usd, usd, quality, quality, quality, 1.0, 0.0)]
    for label, (floor, settings) in runs.items():
        found = _replayed(stream, floor, settings, n_seeds)
        cost, mean = found["mean_cost_usd"], found["mean_quality"]
        limits = (cost, *found["ci95_cost_usd"], mean, *found["ci95_quality"])
        rows.append((world, label, False, *limits, mean / quality, 1.0 - cost / usd))
    return pl.DataFrame(rows, schema=_POINTS, orient="row")


def _replayed(stream: Stream, floor: str, settings: ReplaySettings, n_seeds: int) -> dict[str, Any]:
    todo = tasks(["thompson"], [Objective.parse(floor)], n_seeds)
    return report(stream, todo, dict(run(stream, todo, settings, n_jobs=1)))[0]


def _hours(duration: timedelta) -> float:
    return duration / timedelta(hours=1)
