"""`optimizer fake-gateway`: a gateway on this machine that speaks as the real ones do, and fails as they do."""

from pathlib import Path

import click

from optimizer.cli.app import Verb
from optimizer.simulation.fake_gateway import FakeServer, Script, load_script, serve_gateway


@click.command("fake-gateway", cls=Verb, epilog="optimizer fake-gateway --port 8787 --script outage.yaml")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=8787, show_default=True, help="Port; 0 is any that is free."
)
@click.option(
    "--script",
    "path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="How models answer and what goes wrong, in YAML.  [default: all answer at once, nothing goes wrong]",
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="What chance brings; the same every time."
)
def fake_gateway(*, host: str, port: int, path: Path | None, seed: int) -> None:
    """Serve a fake Portkey, OpenRouter and OpenAI until Ctrl-C, so that everything can be tried without a key.

    The two lines that it prints point Orchestra Optimizer at it. A request may ask for a fault itself, by a header
    such as `x-fake-fault: rate_limit:7`.
    """
    script = Script() if path is None else load_script(path)
    serve_gateway(script, host=host, port=port, seed=seed, ready=_show)


def _show(server: FakeServer) -> None:
    click.echo(f"export PORTKEY_BASE_URL={server.portkey_url}")
    click.echo(f"export OPENROUTER_BASE_URL={server.openrouter_url}")
    click.echo("The fake gateway listens. Ctrl-C ends it.", err=True)
