"""What `optimizer replay` does with its options: read, run with a progress bar, print."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from optimizer.cli.output import console, show_json, show_table
from optimizer.decision.segments import fit_segmenter
from optimizer.domain import Objective
from optimizer.simulation.experiment import Task, report, run, tasks
from optimizer.simulation.policies import check_models
from optimizer.simulation.replay import ReplaySettings
from optimizer.simulation.stream import Stream, make_stream
from optimizer.simulation.summary import SeedResult
from optimizer.simulation.tables import features_of, read_prior, read_tables

_SEGMENT_SEED = 7  # segments are fitted once, before any replay: they are not among what seeds vary
_SHARES_SHOWN = 3


def run_experiment(
    *,
    tables: Sequence[Path],
    policies: Sequence[str],
    objectives: Sequence[Objective],
    models: Sequence[str] | None,
    incumbent: str | None,
    segments: int,
    segments_from: Path | None,
    prior: Path | None,
    seeds: int,
    n_jobs: int,
    as_json: bool,
    **settings: Any,  # noqa: ANN401 - fields of ReplaySettings
) -> bool:
    """Replay, print, and return whether Ctrl-C cut it short."""
    stream = read_stream(
        tables,
        models=models,
        incumbent=incumbent,
        n_segments=segments,
        segments_from=segments_from,
        prior=prior,
        features=bool(segments) or "linucb" in policies,
    )
    for policy in policies:
        check_models(policy, stream.models)
    todo = tasks(policies, objectives, seeds)
    done, interrupted = _run(stream, todo, ReplaySettings(**settings), n_jobs)
    lines = report(stream, todo, done)
    if as_json:
        show_json({"policies": lines})
    else:
        _show(stream, lines, f"{len(done)} of {len(todo)} replays, then Ctrl-C" if interrupted else "")
    return interrupted


def read_stream(
    tables: Sequence[Path],
    *,
    models: Sequence[str] | None = None,
    incumbent: str | None = None,
    n_segments: int = 0,
    segments_from: Path | None = None,
    prior: Path | None = None,
    features: bool = False,
) -> Stream:
    """Return the stream of some files; `features` reads what lies beside them."""
    features = features or n_segments > 0
    read = read_tables(tables, models, features=features)
    segmenter = None
    if n_segments:
        of_table = features_of(segments_from or tables[0])
        segmenter = fit_segmenter(of_table, n_segments, np.random.default_rng(_SEGMENT_SEED))
    past = None if prior is None else read_prior(prior, read[0].models, features=features)
    return make_stream(read, segmenter=segmenter, incumbent=incumbent, prior=past)


def _run(
    stream: Stream, todo: Sequence[Task], settings: ReplaySettings, n_jobs: int
) -> tuple[dict[Task, SeedResult], bool]:
    done: dict[Task, SeedResult] = {}
    try:
        with _progress() as progress, closing(run(stream, todo, settings, n_jobs=n_jobs)) as results:
            bar = progress.add_task("replaying", total=len(todo))
            for task, result in results:
                done[task] = result
                progress.update(bar, advance=1, description=f"{task.policy} {task.objective}")
    except KeyboardInterrupt:
        return done, True
    return done, False


def _progress() -> Progress:
    err = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(
        *columns, TimeElapsedColumn(), TimeRemainingColumn(), console=err, transient=True, disable=not err.is_terminal
    )


def _show(stream: Stream, lines: Sequence[dict[str, Any]], note: str) -> None:
    n = lines[0]["n"] if lines else 0
    left_out = f", {stream.n_left_out:,} prompts left out" if stream.n_left_out else ""
    columns = ("policy", "objective", "seeds>", "quality>", "±>", "USD per call>", "±>", "of budget>")
    show_table(
        (*columns, "share of models", "µs p50>", "p99>"),
        [_cells(line) for line in lines],
        title=f"{', then '.join(stream.tables)}: {n:,} calls, {len(stream.models)} models{left_out}; "
        f"incumbent {stream.models[stream.incumbent]}",
    )
    if note:
        console().print(note)


def _cells(line: dict[str, Any]) -> tuple[str, ...]:
    used, p50, p99 = line["budget_utilisation"], line["decision_us_p50"], line["decision_us_p99"]
    share = sorted(line["share"].items(), key=lambda item: -item[1])[:_SHARES_SHOWN]
    return (
        line["policy"],
        str(line["objective"]),
        str(line["seeds"]),
        f"{line['mean_quality']:.4f}",
        f"{line['ci95_quality'][1] - line['mean_quality']:.4f}",
        f"{line['mean_cost_usd']:.4g}",
        f"{line['ci95_cost_usd'][1] - line['mean_cost_usd']:.2g}",
        "" if used is None else f"{used:.3f}",
        ", ".join(f"{model} {part:.0%}" for model, part in share if part >= 0.005),
        "" if p50 is None else f"{p50:.1f}",
        "" if p99 is None else f"{p99:,.0f}",
    )
