"""`optimizer select`, `rate` and `explain`: choose a model for one call, say how it went, and ask why it was chosen."""

from typing import Any, get_args

import click

from optimizer.cli.app import App, Verb
from optimizer.cli.output import share, short_usd, show_json, show_table
from optimizer.domain import Attempt, CostTier
from optimizer.engine.ratings import parse_rating
from optimizer.ledger.calls import StoredCall, read_call
from optimizer.selection import Selection


@click.command(cls=Verb, epilog="optimizer select code_generation --context-length 6000 --required-quality 0.85")
@click.argument("use_case")
@click.option("--context-length", type=int, default=0, metavar="N", help="Tokens of the prompt.  [default: 0]")
@click.option("--required-quality", metavar="Q", help="In [0, 1], or 97% of the incumbent's: the cheapest good enough.")
@click.option("--objective", metavar="O", help="Such as average:97%, floor:0.9, value:0.05, budget:0.0005 or quality.")
@click.option("--needs-tools", is_flag=True, help="Only models that call tools.")
@click.option("--needs-json-schema", is_flag=True, help="Only models that keep to a JSON schema.")
@click.option("--needs-vision", is_flag=True, help="Only models that take images.")
@click.option("--cost-tier", type=click.Choice(get_args(CostTier)), help="Read by rules.")
@click.option("--session-id", metavar="ID", help="Calls of one session stay with one model.")
@click.option("--tenant", metavar="NAME", help="Whom the call is for.")
@click.option("--max-cost-usd", type=float, metavar="USD", help="Leave out what is expected to cost more.")
@click.option("--expected-output-tokens", type=int, metavar="N", help="Where you know better than the past.")
@click.option("--model", metavar="MODEL", help="Pin this candidate, whatever is drawn.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def select(app: App, /, use_case: str, *, as_json: bool, **asked: Any) -> None:  # noqa: ANN401 - the library's own keywords
    """Choose the model for one call of USE_CASE, and keep the choice in the ledger."""
    with app.optimizer() as opt:
        selection = opt.select_optimal_model(use_case, **asked)
        opt.flush()
    if as_json:
        show_json(selection.to_dict())
    else:
        _show_selection(app, selection)


def _show_selection(app: App, selection: Selection) -> None:
    low, high = selection.quality_interval
    quality = "unknown"
    if selection.expected_quality is not None and low is not None and high is not None:
        quality = f"{selection.expected_quality:.2f} ({low:.2f} to {high:.2f})"
    drawn = "not drawn" if selection.propensity is None else share(selection.propensity)
    if selection.overridden_by is not None:
        drawn += f" of {selection.drawn_model_id}; overridden by {selection.overridden_by}"
    lines = (
        ("model", selection.model_id),
        ("gateway", selection.provider),
        ("propensity", drawn),
        ("expected quality", quality),
        ("expected cost", short_usd(selection.expected_cost_usd)),
        ("call id", selection.call_id),
    )
    for name, value in lines:
        click.echo(f"{name:<17} {value}")
    if selection.decision.headline:
        click.echo(f"\n{selection.decision.headline}.")
    click.echo(f"\nRate it:  optimizer rate {selection.call_id} 0.9{ledger_options(app)}")
    click.echo(f"Why it:   optimizer explain {selection.call_id}{ledger_options(app)}")


def ledger_options(app: App) -> str:
    """Return the options that lead to the same ledger; an address that may hold a password is not repeated."""
    config = "" if app.config is None else f" --config {app.config}"
    return config if app.database is None or "@" in app.database else f"{config} --database {app.database}"


@click.command(cls=Verb, epilog="optimizer rate 01936b2e-7c1f-7d3a-9a55-0c1f5e7a2b90 4/5")
@click.argument("call_id")
@click.argument("value", required=False)
@click.option("--metric", metavar="NAME", help="What is rated.  [default: the use case's quality]")
@click.option("--rater", default="user", show_default=True, metavar="NAME", help="Who rates; judge:NAME for a model.")
@click.option("--withdraw", is_flag=True, help="Take this rater's rating back.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def rate(
    app: App, call_id: str, value: str | None, *, metric: str | None, rater: str, withdraw: bool, as_json: bool
) -> None:
    """Rate a call: VALUE is a number in [0, 1], true, false, stars such as 4/5, or a label that the use case has.

    Hours later is fine. A rater's later rating of the same metric takes the place of the earlier one.
    """
    if withdraw == (value is not None):
        raise click.UsageError("give a VALUE, or --withdraw without one")
    with app.ledger():  # nothing is rated in a ledger that is not there
        pass
    with app.optimizer() as opt:
        metrics = opt.routes[opt.call(call_id).selection.use_case].settings.metrics
        rating = None if value is None else parse_rating(value, metrics.labels)
        if rating is None:
            opt.withdraw(call_id, metric=metric, rater=rater)
        else:
            opt.rate(call_id, rating, metric=metric, rater=rater)
        opt.flush()
    metric = metric or metrics.quality
    if as_json:
        show_json({"call_id": call_id, "metric": metric, "rater": rater, "value": rating, "withdrawn": withdraw})
    else:
        click.echo(f"{call_id}: {metric} by {rater} {'withdrawn' if rating is None else f'is {rating:g}'}.")


@click.command(cls=Verb, epilog="optimizer explain 01936b2e-7c1f-7d3a-9a55-0c1f5e7a2b90")
@click.argument("call_id")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def explain(app: App, call_id: str, *, as_json: bool) -> None:
    """Say why the model of a call was chosen, and what came of the call."""
    with app.ledger() as database:
        call = read_call(database, call_id)
    if as_json:
        show_json(call.to_dict())
        return
    click.echo(call.explain())
    _show_attempts(call)
    _show_ratings(call)


def _show_attempts(call: StoredCall) -> None:
    if not call.attempts:
        click.echo("\nNothing is recorded of what came of it.")
        return
    rows = [
        (
            str(a.number + 1),
            a.model_id,
            a.gateway,
            _outcome(a),
            "" if a.status is None else str(a.status),
            "unknown" if a.latency_ms is None else f"{a.latency_ms:,.0f}",
            "unknown" if a.usage is None else f"{a.usage.input_tokens:,} / {a.usage.output_tokens:,}",
            "unknown" if a.cost_nano_usd is None else short_usd(a.cost_nano_usd / 1e9),
            a.cost_source,
        )
        for a in call.attempts
    ]
    click.echo()
    columns = ("#>", "attempt by", "gateway", "outcome", "HTTP", "ms>", "tokens in / out>", "cost>", "cost is")
    show_table(columns, rows, title="What came of it", n_whole=2)
    total = short_usd(call.known_cost_usd)
    more = f", and {call.n_unknown_costs} attempts of unknown cost" if call.n_unknown_costs else ""
    nobody = "" if call.served else "Nobody served it. "
    click.echo(f"{nobody}It cost {total}{more}.")


def _outcome(attempt: Attempt) -> str:
    if attempt.error_kind is not None:
        return f"failed: {attempt.error_kind}"
    return f"reused ({attempt.reused.replace('_', ' ')})" if attempt.reused else "served"


def _show_ratings(call: StoredCall) -> None:
    if not call.feedback:
        click.echo("\nNobody has rated it.")
        return
    rows = [(r.metric, r.rater, f"{r.value:g}", f"{r.at:%Y-%m-%d %H:%M} UTC") for r in call.feedback]
    click.echo()
    show_table(("metric", "rater", "value>", "when"), rows, title="Ratings")
