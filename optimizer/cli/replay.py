"""`optimizer replay`: any policy on recorded data, where every model's answer to every prompt is known."""

import os
from pathlib import Path
from typing import Any

import click

from optimizer.cli.app import Verb
from optimizer.domain import Objective
from optimizer.errors import InvalidRequest

_FILE = click.Path(dir_okay=False, path_type=Path)
_SHARE = click.FloatRange(0.0, 1.0)


def _models(_: click.Context, __: click.Parameter, text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names:
        raise click.BadParameter("names no model")
    return names


def _objectives(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> tuple[Objective, ...]:
    try:
        return tuple(dict.fromkeys(Objective.parse(text) for text in texts))
    except InvalidRequest as error:
        raise click.BadParameter(str(error).removeprefix("objective: ")) from None


def _policies(_: click.Context, __: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    from optimizer.simulation.policies import check_policy

    try:
        return tuple(dict.fromkeys(check_policy(name) for name in names))
    except InvalidRequest as error:
        raise click.BadParameter(str(error).removeprefix("policy: ")) from None


def _n_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@click.command(
    cls=Verb,
    epilog="""\
    optimizer replay data/synthetic_replay.csv.gz --objective average:97% --objective budget:0.002 \\
      --policy thompson --policy ucb1 --policy static-mix --seeds 4""",
)
@click.argument("tables", nargs=-1, required=True, type=_FILE, metavar="TABLE...")
@click.option(
    "--policy",
    "policies",
    multiple=True,
    default=("thompson",),
    callback=_policies,
    metavar="NAME",
    help="thompson, epsilon-greedy, ucb1, linucb, fixed:<model>, random, or what hindsight could do: static-mix, "
    "oracle; may be repeated.  [default: thompson]",
)
@click.option(
    "--objective",
    "objectives",
    multiple=True,
    default=("average:97%",),
    callback=_objectives,
    metavar="TEXT",
    help="quality, floor:0.9, floor:97%, average:0.9, average:97%, value:0.05 or budget:0.0005; may be repeated.  "
    "[default: average:97%]",
)
@click.option("--models", callback=_models, metavar="A,B,C", help="Choose among these.  [default: all]")
@click.option("--incumbent", metavar="MODEL", help="Who would serve without us.  [default: the best single model]")
@click.option("--guard", type=_SHARE, default=0.0, show_default="off", help="Share of calls for the unproven (floor).")
@click.option("--holdout", type=_SHARE, default=0.02, show_default=True, help="Share that goes on measuring MODEL.")
@click.option(
    "--temperature", type=click.FloatRange(0.0, 1.0, min_open=True), default=0.4, show_default=True, help="The coldest."
)
@click.option("--exploration", type=_SHARE, default=0.0, show_default=True, help="Share spread over what is left in.")
@click.option("--refresh", type=click.IntRange(1), default=20, show_default=True, help="Calls between two refreshes.")
@click.option("--segments", type=click.IntRange(0), default=0, show_default="none", help="Split use cases into N.")
@click.option("--segments-from", type=_FILE, metavar="TABLE", help="Fit them here.  [default: the first table]")
@click.option("--prior", type=_FILE, metavar="TABLE", help="Rated rows to start from.")
@click.option("--seeds", type=click.IntRange(1), default=20, show_default=True, help="Orders of the prompts.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Serve at most N prompts of each table.")
@click.option("--rating-rate", type=_SHARE, default=1.0, show_default=True, help="Share of calls that are rated.")
@click.option("--rating-delay", type=click.IntRange(0), default=0, show_default=True, help="Calls until it arrives.")
@click.option(
    "--calls-per-hour",
    type=click.FloatRange(0.0, min_open=True),
    default=240.0,
    show_default=True,
    help="Speed of the simulated clock, on which evidence fades.",
)
@click.option("--score-last/--score-all", default=False, help="Count the last table only, or all.  [default: all]")
@click.option("--jobs", type=click.IntRange(1), metavar="N", help="Processes.  [default: one per core]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def replay(ctx: click.Context, /, jobs: int | None, **options: Any) -> None:  # noqa: ANN401 - passed on as they are
    """Replay policies on TABLE, recorded data that knows every model's answer to every prompt.

    Several tables are one stream: learn on the first, go on with the next. A policy learns only from what it was
    served. Every policy gets the same orders of the prompts. Ctrl-C stops and shows what is finished.
    """
    from optimizer.cli.experiments import run_experiment

    if options["segments_from"] is not None and not options["segments"]:
        raise click.UsageError("--segments-from needs --segments")
    if run_experiment(**options, n_jobs=jobs or _n_cores()):
        ctx.exit(130)
