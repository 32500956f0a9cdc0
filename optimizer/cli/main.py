"""The `optimizer` command: every verb, and one policy for whatever goes wrong in them."""

import os
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import NoReturn

import click

from optimizer.cli.app import App, VerbGroup
from optimizer.cli.ask import ask
from optimizer.cli.budgets import budgets
from optimizer.cli.calls import explain, rate, select
from optimizer.cli.config import config
from optimizer.cli.demo import demo
from optimizer.cli.evaluate import evaluate
from optimizer.cli.export import export
from optimizer.cli.fake_gateway import fake_gateway
from optimizer.cli.keys import keys
from optimizer.cli.ledger import db, rebuild, verify
from optimizer.cli.prices import prices
from optimizer.cli.replay import replay
from optimizer.cli.report import report
from optimizer.cli.savings import savings
from optimizer.cli.serve import serve
from optimizer.errors import OptimizerError

TRACEBACK = "OPTIMIZER_TRACEBACK"  # set: an unforeseen error is raised as it is


def _show_version(ctx: click.Context, _: click.Parameter, wanted: object) -> None:
    if not wanted:
        return
    try:
        click.echo(f"optimizer {version('orchestra-optimizer')}")
    except PackageNotFoundError:
        click.echo("optimizer (a checkout that is not installed)")
    ctx.exit()


@click.group(cls=VerbGroup, epilog="optimizer config check optimizer.yaml")
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help="Show it.")
def cli() -> None:
    """Choose the cheapest language model that is good enough, call by call."""


for command in (
    demo,
    serve,
    fake_gateway,
    ask,
    select,
    rate,
    explain,
    report,
    savings,
    evaluate,
    export,
    budgets,
    keys,
    verify,
    rebuild,
    db,
    config,
    prices,
    replay,
):
    cli.add_command(command)


def main() -> NoReturn:
    """Run the command line on this process's arguments and environment."""
    sys.exit(run(cli, sys.argv[1:], App(os.environ)))


def run(command: click.Command, arguments: Sequence[str], app: App) -> int:
    """Run a command and return its exit code: 0, 1 for what we refuse, 2 for wrong usage, 130 for Ctrl-C.

    Whatever goes wrong is one line on stderr, never a traceback; a reader that went away is not an error.
    """
    try:
        code = command.main(list(arguments), prog_name="optimizer", standalone_mode=False, obj=app)
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return 2
    except click.UsageError as error:
        return _failed(f"{error.format_message()}{_where_help_is(error)}", 2)
    except (click.ClickException, OptimizerError) as error:
        return _failed(error.format_message() if isinstance(error, click.ClickException) else str(error), 1)
    except (click.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # a user is never shown a traceback, nor left without a reason
        if app.environ.get(TRACEBACK):
            raise
        return _failed(f"unforeseen {type(error).__name__}: {error} (set {TRACEBACK}=1 to see where)", 1)
    return code if isinstance(code, int) else 0


def _failed(message: str, code: int) -> int:
    click.echo(f"optimizer: error: {' '.join(message.split())}", err=True)
    return code


def _where_help_is(error: click.UsageError) -> str:
    return f" (see {error.ctx.command_path} --help)" if error.ctx else ""
