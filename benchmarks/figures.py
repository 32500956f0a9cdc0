"""Does it reach its figures? Recorded data, replayed by the production code, target beside what was reached.

The data lie in ORCHESTRA_DATA, by default in `../shared/data` beside the checkout. Each part prints the command that
replays the same. All of it takes hours of one core: `--seeds-scale 0.1` gives a first look, `--only` a part.
"""

import argparse
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from optimizer.cli.experiments import read_stream
from optimizer.cli.output import show_table
from optimizer.domain import Objective
from optimizer.simulation.experiment import report, run, tasks
from optimizer.simulation.replay import ReplaySettings
from optimizer.simulation.stream import Stream

DATA = Path(os.environ.get("ORCHESTRA_DATA", Path(__file__).parents[2] / "shared/data"))
PARETO = ("paretobandit_val", "paretobandit_test")
LADDER = (2.929e-5, 8.288e-5, 2.345e-4, 6.637e-4, 1.878e-3, 5.314e-3, 1.504e-2)
PUBLISHED = (0.793, 0.814, 0.862, 0.898, 0.918, 0.927, 0.933)
POOLS = {
    "bfcl_tools": (
        "claude-3-5-sonnet-20240620,gpt-4o-mini-2024-07-18,gpt-4o-2024-05-13-FC,mistral-medium-2312,"
        "gemini-1.5-flash-preview-0514,claude-3-haiku-20240307,gpt-3.5-turbo-0125-FC,open-mistral-nemo-2407-FC-Auto"
    ),
    "zeroeval_reasoning": (
        "claude-3-5-sonnet-20241022,gpt-4o-2024-08-06,gpt-4o-mini-2024-07-18,claude-3-5-haiku-20241022,"
        "deepseek-v2.5-0908,gemini-1.5-pro,gemini-1.5-flash,claude-3-haiku-20240307,gpt-3.5-turbo-0125,"
        "Meta-Llama-3.1-8B-Instruct"
    ),
}
# table: seeds, share of the static mix's gain with all and with few ratings, (quality kept, saved) by average:97%,
# quality kept by floor:97% without and with the guard
TABLES = {
    "mmlu_pro": (8, 0.94, 0.70, (0.965, 0.25), 0.97),
    "bfcl_tools": (24, 0.58, 0.07, (0.953, 0.54), 0.955),
    "zeroeval_reasoning": (24, 0.79, 0.41, (0.960, 0.38), 0.965),
    "routellm": (8, 0.85, 0.75, (0.968, 0.35), 0.97),
}
LEARNERS = ("thompson", "epsilon-greedy", "ucb1", "linucb")
PARTS_OF_WAY = (0.1, 0.3, 0.6)
FEW = {"rating_rate": 0.1, "rating_delay": 200}
SEEDS = 20

Line = dict[str, Any]
Row = tuple[str, str, str, str]


@dataclass(frozen=True)
class Replayed:
    """A stream, how it was replayed, and the lines that came of it by (policy, objective)."""

    stream: Stream
    lines: dict[tuple[str, str], Line]

    def line(self, policy: str, objective: Objective | str) -> Line:
        return self.lines[policy, str(objective)]


@dataclass
class Bench:
    """What the command line asks for."""

    scale: float
    n_jobs: int
    rows: list[Row] = field(default_factory=list)

    def replay(
        self,
        tables: Iterable[str],
        policies: Iterable[str],
        objectives: Iterable[Objective],
        n_seeds: int,
        *,
        segments: int = 0,
        **settings: Any,
    ) -> Replayed:
        """Replay, and print the command that does the same."""
        names, policies, objectives = tuple(tables), tuple(policies), tuple(objectives)
        n_seeds = max(1, round(n_seeds * self.scale))
        options = [f"--policy {policy}" for policy in policies] + [f"--objective {each}" for each in objectives]
        options += [f"--{key.replace('_', '-')} {value}" for key, value in settings.items() if value is not True]
        options += [f"--{key.replace('_', '-')}" for key, value in settings.items() if value is True]
        if segments:
            options.append(f"--segments {segments} --segments-from {_path('paretobandit_train')}")
        if names[0] in POOLS:
            options.append(f"--models {POOLS[names[0]]}")
        print(f"optimizer replay {' '.join(str(_path(name)) for name in names)} {' '.join(options)} --seeds {n_seeds}")
        stream = _stream(names, segments)
        todo = tasks(policies, objectives, n_seeds)
        done = dict(run(stream, todo, ReplaySettings(**settings), n_jobs=self.n_jobs))
        lines = {(line["policy"], line["objective"]): line for line in report(stream, todo, done)}
        return Replayed(stream, lines)

    def note(self, figure: str, reached: float, target: float, *, at_most: bool = False, digits: int = 3) -> None:
        """Keep a row: a figure meets its target as it is written, rounded."""
        met = round(reached, digits) <= target if at_most else round(reached, digits) >= target
        sign = "≤" if at_most else "≥"
        self.rows.append((figure, f"{sign} {target:.{digits}f}", f"{reached:.{digits}f}", "" if met else "short"))

    def show(self, title: str) -> None:
        """Print the rows so far, and forget them."""
        show_table(("figure", "target>", "reached>", ""), self.rows, title=title)
        self.rows.clear()


def ladder(bench: Bench) -> None:
    """The seven ceilings of the strongest published router, with all and with few ratings."""
    of_all, of_few = (
        (0.793, 0.821, 0.872, 0.922, 0.925, 0.929, 0.933),
        (0.793, 0.818, 0.867, 0.920, 0.923, 0.925, 0.928),
    )
    budgets = [Objective("budget", usd) for usd in LADDER]
    for targets, settings, name in ((of_all, {}, "all rated"), (of_few, FEW, "10% rated, 200 calls late")):
        got = bench.replay(PARETO, ["thompson"], budgets, SEEDS, segments=12, score_last=True, **settings)
        for budget, target, published in zip(budgets, targets, PUBLISHED, strict=True):
            line = got.line("thompson", budget)
            bench.note(f"quality at {budget} (published best {published})", line["mean_quality"], target)
            bench.note(f"utilisation at {budget}", line["budget_utilisation"], 1.01, at_most=True)
        bench.show(f"paretobandit, {name}")


def gain(bench: Bench) -> None:
    """Share of the static mix's gain over the cheapest model, against baselines with the same solver."""
    for name, (n_seeds, of_all, of_few, _, _) in TABLES.items():
        stream = _stream((name,), 0)
        budgets = _budgets(stream)
        for target, settings, rated in ((of_all, {}, "all rated"), (of_few, FEW, "10% rated, 200 calls late")):
            got = bench.replay([name], LEARNERS, budgets, n_seeds, **settings)
            mix = bench.replay([name], ["static-mix"], budgets, 1)
            shares = {policy: _shares_of_gain(got, mix, policy, budgets) for policy in LEARNERS}
            ours = _mean(shares["thompson"])
            bench.note(f"{name}: thompson, mean of the three", ours, target, digits=2)
            for budget, part, share in zip(budgets, PARTS_OF_WAY, shares["thompson"], strict=True):
                used = got.line("thompson", budget)["budget_utilisation"]
                bench.note(f"{name}: spend at {part:.0%} of the way (share {share:.2f})", used, 1.02, at_most=True)
            for policy in LEARNERS[1:]:
                bench.note(f"{name}: thompson less {policy}", ours - _mean(shares[policy]), 0.0)
            bench.show(f"share of the static mix's gain, {name}, {rated}")


def average(bench: Bench) -> None:
    """Quality kept and money saved where the mean quality must stay at 97% of the incumbent's."""
    for name, (_, _, _, (kept, saved), _) in TABLES.items():
        got = bench.replay([name], ["thompson"], [Objective.parse("average:97%")], SEEDS)
        quality, cost = _incumbent(got.stream)
        line = got.line("thompson", "average:97%")
        bench.note(f"{name}: quality kept", line["mean_quality"] / quality, kept)
        bench.note(f"{name}: saved", 1.0 - line["mean_cost_usd"] / cost, saved, digits=2)
    bench.show("average:97%, all rated")


def floor(bench: Bench) -> None:
    """Quality kept where every choice must be as good as 97% of the incumbent, without and with the guard."""
    variants = (
        ({}, "no guard"),
        ({"guard": 0.1}, "guard"),
        ({"guard": 0.1, **FEW}, "guard, 10% rated, 200 calls late"),
    )
    for settings, variant in variants:
        for name, (_, _, _, _, unguarded) in TABLES.items():
            got = bench.replay([name], ["thompson"], [Objective.parse("floor:97%")], SEEDS, **settings)
            target = (0.96 if "rating_rate" in settings else 0.97) if settings else unguarded
            quality, cost = _incumbent(got.stream)
            line = got.line("thompson", "floor:97%")
            saved = 1.0 - line["mean_cost_usd"] / cost
            bench.note(f"{name}: quality kept (saved {saved:.0%})", line["mean_quality"] / quality, target)
        bench.show(f"floor:97%, {variant}")


PARTS = {part.__name__: part for part in (ladder, gain, average, floor)}


def _path(name: str) -> Path:
    return DATA / f"{name}.csv.gz"


def _stream(names: tuple[str, ...], segments: int) -> Stream:
    pool = POOLS.get(names[0])
    return read_stream(
        [_path(name) for name in names],
        models=None if pool is None else pool.split(","),
        n_segments=segments,
        segments_from=_path("paretobandit_train") if segments else None,
        features=not segments,
    )


def _budgets(stream: Stream) -> list[Objective]:
    cost = stream.cost_usd.mean(axis=0)
    cheapest = float(cost.min())
    way = float(cost[stream.incumbent]) - cheapest
    return [Objective("budget", float(f"{cheapest + part * way:.12g}")) for part in PARTS_OF_WAY]


def _shares_of_gain(got: Replayed, mix: Replayed, policy: str, budgets: Iterable[Objective]) -> list[float]:
    cheapest = float(got.stream.quality[:, got.stream.cost_usd.mean(axis=0).argmin()].mean())
    return [
        (got.line(policy, budget)["mean_quality"] - cheapest)
        / (mix.line("static-mix", budget)["mean_quality"] - cheapest)
        for budget in budgets
    ]


def _incumbent(stream: Stream) -> tuple[float, float]:
    at = stream.incumbent
    return float(stream.quality[:, at].mean()), float(stream.cost_usd[:, at].mean())


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def main() -> None:
    """Print target and reached, part by part."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks figures", description=__doc__)
    parser.add_argument("--only", action="append", choices=list(PARTS), help="this part; may be repeated")
    parser.add_argument("--seeds-scale", type=float, default=1.0, help="times the seeds of every part")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    options = parser.parse_args()
    if not DATA.is_dir():
        print(f"skipped: no recorded data in {DATA}; set ORCHESTRA_DATA to where they are")
        return
    for name in options.only or PARTS:
        PARTS[name](Bench(options.seeds_scale, options.jobs))


if __name__ == "__main__":
    main()
