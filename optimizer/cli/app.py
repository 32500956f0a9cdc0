"""What every verb shares: the options that all take, what they lead to, and how help looks."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import click

from optimizer.catalog import Catalog, load_catalog
from optimizer.engine import Optimizer
from optimizer.errors import LedgerError
from optimizer.ledger.database import Database
from optimizer.ledger.prices import read_prices
from optimizer.ledger.schema import open_database
from optimizer.routes import Routes, effective_routes
from optimizer.settings import Settings, load_settings

DEFAULT_DATABASE = "sqlite:///optimizer.db"


@dataclass
class App:
    """The options given so far, and what they lead to, each read when a verb first asks for it."""

    environ: Mapping[str, str]
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    config: Path | None = None
    database: str | None = None

    @cached_property
    def settings(self) -> Settings:
        """The settings in `--config` and the environment."""
        return load_settings(self.config, self.environ)

    @cached_property
    def catalog(self) -> Catalog:
        """The catalogue that comes with the package."""
        return load_catalog()

    @cached_property
    def priced_catalog(self) -> Catalog:
        """The catalogue with the prices that the ledger has seen; where there is no ledger, as it is."""
        try:
            with self.ledger() as database:
                return self.catalog.with_prices(read_prices(database))
        except LedgerError as error:
            if self.database_url != DEFAULT_DATABASE:
                click.echo(f"optimizer: prices of the catalogue alone: {error}", err=True)
            return self.catalog

    def routes(self, at: datetime | None = None) -> Routes:
        """Return the routes in force at a time, by default now."""
        source = "environment" if self.config is None else str(self.config)
        return effective_routes(self.settings, self.priced_catalog, at or self.now(), source=source)

    @property
    def database_url(self) -> str:
        """`--database`, else DATABASE_URL, else a file in the working directory."""
        if self.database is not None:
            return self.database
        given = self.settings.database_url
        return DEFAULT_DATABASE if given is None else given.get_secret_value()

    @contextmanager
    def ledger(self) -> Iterator[Database]:
        """Lend the ledger, which must be there already."""
        database = open_database(self.database_url, create=False)
        try:
            yield database
        finally:
            database.close()

    def optimizer(self) -> Optimizer:
        """Return an optimizer that nobody but its caller refreshes; a SQLite file that is not there is made."""
        return Optimizer.open(
            self.config,
            database=self.database_url,
            environ=self.environ,
            catalog=self.catalog,
            clock=self.now,
            background=False,
        )


def _remember(ctx: click.Context, param: click.Parameter, value: object) -> None:
    if value is not None:
        setattr(ctx.ensure_object(App), str(param.name), value)


def common(database: str = "DATABASE_URL, else optimizer.db here") -> tuple[click.Option, ...]:
    """Return the options that every verb takes; `database` says in words where the ledger is by default."""
    return (
        click.Option(
            ["--config"],
            type=click.Path(dir_okay=False, path_type=Path),
            metavar="FILE",
            help="Read settings from this YAML file.",
            callback=_remember,
            expose_value=False,
        ),
        click.Option(
            ["--database"],
            metavar="URL",
            help=f"The ledger: a database URL.  [default: {database}]",
            callback=_remember,
            expose_value=False,
        ),
    )


class Verb(click.Command):
    """A command that takes `--config` and `--database` too, and whose `epilog` is an example, shown as it stands.

    The common options may stand before a verb or after it; the last one given counts.
    """

    common = common()

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the command's own parameters, the common ones, and help."""
        own = super().get_params(ctx)
        return [*own[: len(self.params)], *self.common, *own[len(self.params) :]]

    def get_help_option_names(self, ctx: click.Context) -> list[str]:
        """Let `-h` ask for help, too."""
        return ["-h", *super().get_help_option_names(ctx)]

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the example below all else."""
        formatter.write("\nExample:\n")
        for line in (ctx.command.epilog or "").splitlines():
            formatter.write(f"  {line.strip()}\n")


class VerbGroup(Verb, click.Group):
    """A group of verbs that takes the common options too, for those who write them first."""
