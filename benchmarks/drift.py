"""Does it notice that a model has changed? A recorded decline and recovery, simulated declines, and steady streams.

The recorded data lie in ORCHESTRA_DATA, by default in `../shared/data` beside the checkout; the rest is simulated, so
it runs everywhere. All of it takes about ten minutes of one core; `--only` names a part, `--seeds` the seeds of each.
"""

import argparse
import os
from collections.abc import Sequence
from time import perf_counter

import numpy as np

from benchmarks.figures import DATA, Bench
from optimizer.decision.drift import Alarm, Buckets, alarms_in
from optimizer.decision.evidence import FINE_S, QUALITY
from optimizer.domain import Objective
from optimizer.simulation.policies import replay
from optimizer.simulation.recorded import ReplayTable
from optimizer.simulation.replay import ReplaySettings
from optimizer.simulation.stream import Stream, make_stream

TABLES = ("paretobandit_val", "paretobandit_degrade_1", "paretobandit_degrade_2", "paretobandit_degrade_3")
BUDGETS = {3e-4: (0.847, 0.843), 6.62e-4: (0.865, 0.849), 1.87e-3: (0.871, 0.867)}  # usd: target, best published
DEGRADED = "mistralai/mistral-large-2512"
DECLINE_AT, RECOVERY_AT = 1785 + 608, 1785 + 2 * 608

MODELS, USD = ("dear", "middle", "cheap"), (1e-2, 1e-3, 1e-4)
STEADY, DECLINED = (0.92, 0.9, 0.78), (0.92, 0.4, 0.78)
N_BEFORE, N_AFTER, N_STEADY = 2_400, 1_500, 100_000
OBJECTIVES = ("budget:0.002", "value:0.05", "average:97%")


def tables(bench: Bench, n_seeds: int) -> None:
    """Quality over a phase of .92, one of .75 and one of .92 again of the model that serves most calls."""
    if not DATA.is_dir():
        print(f"skipped: no recorded data in {DATA}; set ORCHESTRA_DATA to where they are")
        return
    got = bench.replay(TABLES, ["thompson"], [Objective("budget", usd) for usd in BUDGETS], n_seeds, segments=12)
    for usd, (target, published) in BUDGETS.items():
        line = got.line("thompson", Objective("budget", usd))
        phases = line["per_table"][1:]
        quality = sum(phase["mean_quality"] for phase in phases) / len(phases)
        spent = sum(phase["mean_cost_usd"] for phase in phases) / len(phases)
        each = " ".join(f"{phase['mean_quality']:.3f}" for phase in phases)
        bench.note(f"quality at {usd:g} (published best {published}; phases {each})", quality, target)
        bench.note(f"utilisation at {usd:g}", spent / usd, 1.02, at_most=True)
        due = {"decline": DECLINE_AT, "improvement": RECOVERY_AT}
        false = [a for a in line["alarms"] if a["model"] != DEGRADED or a["at_call"] < due[a["direction"]]]
        late = [a["at_call"] - due[a["direction"]] for a in line["alarms"] if a not in false]
        figure = f"false alarms at {usd:g} ({len(late)} right ones, after {np.mean(late):.0f} calls)"
        bench.note(figure, len(false), 1.0, at_most=True, digits=0)
    bench.show("a recorded decline and recovery")


def fall(bench: Bench, n_seeds: int) -> None:
    """How soon a model that falls from .9 to .4 loses nine tenths of its share."""
    for rate, n_calls in ((1.0, 200), (0.1, 900)):
        for objective in OBJECTIVES:
            settings = ReplaySettings(rating_rate=rate)
            played = [replay(_fallen(s), "thompson", Objective.parse(objective), settings, s) for s in range(n_seeds)]
            share = np.mean([each.shares[:, MODELS.index("middle")] for each in played], axis=0)
            before, after = share[N_BEFORE - 200 : N_BEFORE].mean(), share[N_BEFORE + n_calls :][:100].mean()
            figure = f"{objective}, {rate:.0%} rated: share after {n_calls} calls, of {before:.2f} before"
            bench.note(figure, float(after / before), 0.1, at_most=True)
    bench.show("a simulated decline")


def steady(bench: Bench, n_seeds: int) -> None:
    """False alarms in 100,000 calls where nothing changes, graded ratings and coins."""
    for number in range(max(1, n_seeds // 10)):
        for objective, graded in ((OBJECTIVES[0], False), (OBJECTIVES[1], True), (OBJECTIVES[2], False)):
            stream = make_stream([_table("steady", STEADY, N_STEADY, number, graded=graded)], incumbent="dear")
            alarms = replay(stream, "thompson", Objective.parse(objective), ReplaySettings(), number).alarms
            kind = "graded" if graded else "coins"
            bench.note(f"{objective}, {kind}, stream {number}", len(alarms), 1.0, at_most=True, digits=0)
    bench.show("false alarms in 100,000 calls of a steady stream")


def speed(bench: Bench, n_seeds: int) -> None:
    """The scan of 10 models by 20 cells by two weeks of buckets of 15 minutes, an alarm already known."""
    rng = np.random.default_rng(0)
    n = rng.poisson(3, (14 * 96, 20, 10)).astype(np.float64)
    total = rng.binomial(n.astype(np.intp), 0.8).astype(np.float64)
    buckets = {QUALITY: Buckets(np.arange(len(n)) * FINE_S, n, total, total)}
    models, known = tuple(f"model {i}" for i in range(10)), (Alarm(5 * FINE_S, "model 1", "quality", "decline"),)
    bench.note("ms, best of many", min(_timed(buckets, models, known) for _ in range(n_seeds)), 10.0, at_most=True)
    bench.show("one scan")


PARTS = {part.__name__: part for part in (tables, fall, steady, speed)}


def _timed(buckets: dict[str, Buckets], models: Sequence[str], known: Sequence[Alarm]) -> float:
    started = perf_counter()
    alarms_in(buckets, models, known)
    return 1e3 * (perf_counter() - started)


def _fallen(seed: int) -> Stream:
    before = _table("before", STEADY, N_BEFORE, seed)
    return make_stream([before, _table("after", DECLINED, N_AFTER, 1000 + seed)], incumbent="dear")


def _table(name: str, means: tuple[float, ...], n: int, seed: int, *, graded: bool = False) -> ReplayTable:
    """Ratings of these means, two points more in one use case and less in the other."""
    rng = np.random.default_rng(seed)
    harder = rng.integers(2, size=n)
    mean = np.array(means) + 0.02 - 0.04 * harder[:, None]
    quality = rng.beta(8 * mean, 8 * (1 - mean)) if graded else (rng.random((n, 3)) < mean).astype(np.float64)
    unknown, prices = np.full((n, 3), np.nan), np.full(3, np.nan)
    prompts, use_cases = tuple(f"{name}{i}" for i in range(n)), tuple(np.array(["chat", "code"])[harder].tolist())
    return ReplayTable(
        name, MODELS, prompts, use_cases, quality, np.tile(USD, (n, 1)), unknown, unknown, np.zeros(n), prices, prices
    )


def main() -> None:
    """Print target and reached, part by part."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks drift", description=__doc__)
    parser.add_argument("--only", action="append", choices=list(PARTS), help="this part; may be repeated")
    parser.add_argument("--seeds", type=int, default=20, help="seeds of every part")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    options = parser.parse_args()
    for name in options.only or PARTS:
        PARTS[name](Bench(1.0, options.jobs), options.seeds)


if __name__ == "__main__":
    main()
