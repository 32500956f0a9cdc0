"""`optimizer serve`: one base URL for any OpenAI client."""

import json

import click

from optimizer.cli.app import App, Verb
from optimizer.errors import MissingExtra

_EXAMPLE = {"model": "auto", "messages": [{"role": "user", "content": "Say hello."}]}


@click.command(cls=Verb, epilog="optimizer serve --port 8080 --config optimizer.yaml")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=8080, show_default=True, help="Port; 0 is any that is free."
)
@click.option("--workers", type=click.IntRange(1, 256), default=1, show_default=True, help="Processes.")
@click.option(
    "--max-in-flight",
    type=click.IntRange(1),
    default=256,
    show_default=True,
    help="Requests under way per worker; more are told to come again.",
)
@click.option(
    "--drain-seconds",
    type=click.IntRange(0),
    default=30,
    show_default=True,
    help="How long calls under way may go on at the end.",
)
@click.pass_obj
def serve(app: App, *, host: str, port: int, workers: int, max_in_flight: int, drain_seconds: int) -> None:
    """Serve any OpenAI client until Ctrl-C: only its base URL and its model, `auto`, differ.

    Without an API key (`optimizer keys create`) everybody on this machine may call, and no other machine can.
    """
    try:
        from optimizer.service import serve as service
    except ImportError:
        raise MissingExtra("the service", "service") from None
    serving = service.Serving(
        app.config,
        app.database_url,
        host=host,
        port=port,
        workers=workers,
        max_in_flight=max_in_flight,
        drain_s=drain_seconds,
    )
    service.serve(serving, app.environ, ready=_show)


def _show(base_url: str, is_open: bool) -> None:
    click.echo(f"export OPENAI_BASE_URL={base_url}")
    key = "" if is_open else " -H 'authorization: Bearer YOUR_KEY'"
    click.echo(f"curl {base_url}/chat/completions{key} -H 'content-type: application/json' -d '{json.dumps(_EXAMPLE)}'")
    if is_open:
        click.echo("There is no API key: everybody on this machine may call.", err=True)
    click.echo("The service listens. Ctrl-C ends it.", err=True)
