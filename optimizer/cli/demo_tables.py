"""Prints what a demo's day came to: that it is a simulation, money, quality, models, events, and where to look next."""

from collections.abc import Iterator, Mapping
from shutil import get_terminal_size
from textwrap import fill
from typing import Any

import click

from optimizer.cli.output import share, short_usd, show_table

Json = Mapping[str, Any]
_TOP = 3
_WIDE = 100
_WORTH_NAMING = 0.005
_TELLING = 0.02  # a share that moves less has hardly moved


def show_summary(found: Json, options: str, command: str = "optimizer") -> None:
    """Print everything; `options` lead the other verbs to the same ledger, `command` is how to call us here."""
    _paragraph(_what_it_is(found))
    _paragraph(_failures_in_words(found["attempts"]))
    _show_money(found)
    _paragraph(_savings_in_words(found["total"]))
    _show_quality(found)
    _paragraph(_floors_in_words(found))
    _show_models(found)
    click.echo("\nWhat happened on that day")
    for event in _events(found):
        _paragraph(event, indent="  ")
    click.echo("\nWhere to look next")
    for line in _next(found, options, command):
        click.echo(f"  {line}")


def _paragraph(text: str, indent: str = "") -> None:
    """Print text in lines that are easy to read: as wide as the terminal, or 100 characters."""
    width = min(get_terminal_size((_WIDE, 24)).columns, _WIDE)
    click.echo(fill(text, width, initial_indent=indent, subsequent_indent=indent and " " * 9, break_on_hyphens=False))


def _what_it_is(found: Json) -> str:
    return (
        f"This is a SIMULATION: no model was called and no money was spent. {found['n_calls']:,} requests of "
        f"{found['day']} (seed {found['seed']}), their answers, {found['n_ratings']:,} ratings and all failures come "
        "from a simulated world, which knows how good every answer truly was. The optimizer that chose and the router "
        "that called are the real ones: they saw prices, replies, errors and ratings, never the truth. All calls went "
        "over HTTP to a fake gateway on this machine, which played Portkey and OpenRouter."
    )


def _failures_in_words(attempts: Json) -> str:
    n = {name: f"{count:,}" for name, count in attempts.items()}
    unserved = n["n_unserved"] if attempts["n_unserved"] else "none"
    return (
        f"Of {n['n_attempts']} attempts {n['n_failed']} failed. The router asked the same model once more "
        f"({n['n_retried']} calls), another model ({n['n_other_model']}) or the other gateway "
        f"({n['n_other_gateway']}); {unserved} of the calls went unanswered. {n['n_streamed']} replies were streamed."
    )


def _rows(found: Json) -> Iterator[tuple[str, Json]]:
    for part in found["use_cases"]:
        yield part["use_case"], part
    yield "total", found["total"]


def _show_money(found: Json) -> None:
    click.echo()
    columns = ("use case", "calls>", "cost>", "saved>", "95% interval>", "share>")
    rows = [(name, *_money(part)) for name, part in _rows(found)]
    show_table(columns, rows, title="Cost, and what was saved against each use case's baseline")


def _money(part: Json) -> tuple[str, ...]:
    low, high = part["saved_low_usd"], part["saved_high_usd"]
    limits = "too few calls" if low is None or high is None else f"{short_usd(low)} to {short_usd(high)}"
    cost = short_usd(part["cost_usd"])
    return f"{part['n_calls']:,}", cost, short_usd(part["saved_usd"]), limits, share(part["saved_share"])


def _savings_in_words(total: Json) -> str:
    spent, baseline = total["true_cost_usd"], total["true_baseline_usd"]
    return (
        "Saved is what the baseline would have cost on each call, less what was paid; `optimizer savings` says how it "
        "was found for each use case. The interval says how far off that may be for these very calls. Here "
        f"the truth is known: the baselines would have cost {short_usd(baseline)} and {short_usd(spent)} was spent, so "
        f"{short_usd(baseline - spent)} was truly saved."
    )


def _show_quality(found: Json) -> None:
    click.echo()
    columns = ("use case", "true quality>", "incumbent's>", "floor>", "", "mean rating>", "rated calls>")
    rows = [(name, *_quality(part)) for name, part in _rows(found)]
    show_table(columns, rows, title="Quality from 0 to 1: as it truly was, and as it was rated")


def _quality(part: Json) -> tuple[str, ...]:
    numbers = (_number(part[name]) for name in ("true_quality", "true_incumbent_quality", "floor"))
    holds = {None: "", True: "holds", False: "missed"}[part["floor_holds"]]
    return *numbers, holds, _number(part["mean_rating"]), f"{part['n_rated']:,}"


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}"


def _floors_in_words(found: Json) -> str:
    objectives = {part["objective"] for part in found["use_cases"]}
    floor = ""
    if len(objectives) == 1 and (objective := objectives.pop()).startswith("average:"):
        asked = objective.removeprefix("average:")
        of = " of the incumbent's true quality on the same prompts" if asked.endswith("%") else ""
        floor = (
            f"The floor is {asked}{of}. {objective} asks it of the mean over the use cases that have the same "
            "incumbent, as far as ratings tell: of two of them, one may lie below while the other lies above. "
            f"`required_quality: {asked}` in a use case's settings asks it of every choice there. "
        )
    return floor + (
        "Ratings are not the truth: few answers are rated, bad ones more often, and users of chat and quick_responses "
        "never praise, so mean ratings lie below true quality there, for every model alike."
    )


def _show_models(found: Json) -> None:
    click.echo()
    rows = [(p["use_case"], p["baseline"], p["incumbent"], _chosen(p["share"])) for p in found["use_cases"]]
    show_table(("use case", "baseline", "incumbent", "chosen"), rows, title="Who was chosen")


def _chosen(shares: Mapping[str, float]) -> str:
    top = list(shares.items())[:_TOP]
    return ", ".join(f"{model} {part:.0%}" for model, part in top if part >= _WORTH_NAMING)


def _events(found: Json) -> Iterator[str]:
    cut, outage, lockout, decline = found["events"]
    yield (
        f"{cut['at']}  {cut['model']} got {cut['cheaper_by']:.0%} cheaper. Its share of the calls that it may serve "
        f"was {share(cut['share_before'])} in the {cut['window_hours']:g} hours before and "
        f"{share(cut['share_after'])} in those after.{_little(cut)}"
    )
    yield (
        f"{outage['at']}  {outage['model']} failed on {outage['failure_rate']:.0%} of its calls for half an hour. "
        f"{_noticed(outage)}"
    )
    yield (f"{lockout['at']}  {lockout['gateway']} refused our key until {lockout['until']}. {_survived(lockout)}")
    yield (
        f"{decline['at']}  {decline['model']} got worse: its answers' true quality was "
        f"{_number(decline['true_quality_before'])} in the six hours before and "
        f"{_number(decline['true_quality_after'])} after. Its share was {share(decline['share_before'])} in the "
        f"{decline['window_hours']:g} hours before, {share(decline['share_after'])} in those after, and "
        f"{share(decline['share_late'])} in the last ones. {_reaction(decline)}"
    )
    yield "       Shares are given as if every window had the same mix of use cases."


def _noticed(outage: Json) -> str:
    if not outage["n_chosen"]:
        return "No call was meant for it then, so nobody noticed."
    return f"{outage['n_chosen']:,} calls had chosen it, {outage['n_failed_attempts']:,} attempts of theirs failed."


def _survived(lockout: Json) -> str:
    if not lockout["n_calls"]:
        return "No call came in that time."
    unserved = f"{lockout['n_unserved']:,} went unanswered" if lockout["n_unserved"] else "none went unanswered"
    later = f", and {lockout['n_later']:,} more before it was tried again" if lockout["n_later"] else ""
    return (
        f"{lockout['n_calls']:,} calls came in that time, and {unserved}: {lockout['n_elsewhere']:,} were served "
        f"through the other gateway{later}. {lockout['n_failed']:,} attempts failed, until a breaker kept calls "
        "away and whenever it let one try again."
    )


def _little(cut: Json) -> str:
    before, after = cut["share_before"], cut["share_after"]
    if before is None or after is None or abs(after - before) >= _TELLING:
        return ""
    return " So the cut changed little: cheaper models were believed good enough before and after it."


def _reaction(decline: Json) -> str:
    before, late = decline["share_before"], decline["share_late"]
    heard = f"{decline['n_rated_after']:,} rated calls since then stand against {decline['n_rated_before']:,} before"
    if before is None or late is None:
        return heard + "."
    if late < 0.5 * before:
        return f"The optimizer has turned away from it: {heard}."
    if late < 0.9 * before:
        return f"The optimizer has begun to turn away: {heard}."
    return f"By midnight the optimizer has hardly noticed: {heard}."


def _next(found: Json, options: str, command: str) -> Iterator[str]:
    yield f"{command} report {options}"
    if found["explain_call_id"] is not None:
        yield f"{command} explain {found['explain_call_id']} {options}"
        yield f"    ({found['explain_why']})"
    yield f"{command} verify {options}"
    yield "notebooks/first_look.ipynb, which reads the same ledger: where the money went, what was chosen and why"
