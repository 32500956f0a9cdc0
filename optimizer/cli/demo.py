"""`optimizer demo`: a simulated day through the real router, on a new SQLite file, watched as it happens."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import which

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from optimizer.cli.app import App, Verb, common
from optimizer.cli.demo_summary import DayBook, summary
from optimizer.cli.demo_tables import show_summary
from optimizer.cli.output import short_usd, show_json
from optimizer.errors import LedgerUnavailable, OptimizerError
from optimizer.ledger.database import connect
from optimizer.ledger.schema import open_database
from optimizer.ledger.totals import count_calls
from optimizer.routes import effective_routes
from optimizer.settings import Settings, load_settings
from optimizer.simulation.demo import TAGS, Day, Played, check_extra
from optimizer.simulation.demo_gateway import at_fake
from optimizer.simulation.events import EVENTS
from optimizer.simulation.world import World

DEFAULT_FILE = "demo.db"
START = datetime(2026, 11, 23, tzinfo=UTC)  # fixed, as prices and models in service are another day's result
_TOLD_EVERY = timedelta(minutes=5)
_LINE_EVERY = timedelta(hours=3)  # where no terminal can show a bar


class DemoVerb(Verb):
    """The demo, whose ledger is a file of its own."""

    common = common(f"{DEFAULT_FILE} here")


@click.command(cls=DemoVerb, epilog="optimizer demo --seed 7 --database demo.db")
@click.option(
    "--seed", type=click.IntRange(0), default=1, show_default=True, help="Which day; the same one every time."
)
@click.option(
    "--calls", "n_calls", type=click.IntRange(1), default=6_000, show_default=True, help="Requests that come."
)
@click.option("--force", is_flag=True, help="Replace the file even if it is no demo's.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def demo(ctx: click.Context, *, seed: int, n_calls: int, force: bool, as_json: bool) -> None:
    """Simulate a day of the seven use cases: choose, call, rate and learn, with a price cut and a model in decline.

    No key, no account, no model: every call goes through the real router, over HTTP, to a fake gateway on this very
    machine, which plays Portkey and OpenRouter and answers out of a simulated world. The settings are those that a
    user gets. --database names a new SQLite file (default: demo.db here), which keeps everything; an earlier demo's
    is replaced. Neither DATABASE_URL nor any other variable of the environment is read, and no real gateway is asked,
    whatever --config says.
    """
    app: App = ctx.obj
    check_extra()
    path = _file(app.database)
    settings = at_fake(load_settings(app.config, {}))
    routes = effective_routes(settings, app.catalog, START, source=str(app.config))
    world = World.day(seed, start=START, n_calls=n_calls, routes=routes, catalog=app.catalog)
    _make_room(path, force=force)
    book = _played(world, settings, path)
    if book is None:
        ctx.exit(130)
    try:
        found = {**summary(book), "database": f"sqlite:///{path}"}
    finally:
        book.database.close()
    options = f"--database sqlite:///{path}" + (f" --config {app.config}" if app.config else "")
    if as_json:
        show_json(found)
    else:
        show_summary(found, options, _command())


def _command() -> str:
    """Return what to type for this very program: after `make demo`, it is not on the path."""
    started = sys.argv[0]
    if which("optimizer") is None and Path(started).name == "optimizer":
        return started
    return "optimizer"


def _file(database: str | None) -> Path:
    """Return the path of the SQLite file that `--database` names, as a path or a URL."""
    given = connect(database or DEFAULT_FILE)
    try:
        if not given.is_sqlite or given.where.startswith("file:"):
            raise click.BadParameter("the demo writes a SQLite file of its own; name one, such as demo.db")
        return Path(given.where)
    finally:
        given.close()


def _make_room(path: Path, *, force: bool) -> None:
    """Remove an earlier demo's ledger; refuse to touch anything else."""
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise LedgerUnavailable(f"{path}: no place for a file; name one in a folder that exists")
    if path.exists() and not force and not _is_demo(path):
        raise LedgerUnavailable(f"{path} holds something else than a demo; name a new file, or use --force to lose it")
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def _is_demo(path: Path) -> bool:
    """Return whether a file is a ledger, and every call in it simulated."""
    if path.stat().st_size == 0:
        return True
    try:
        database = open_database(str(path), create=False)
    except OptimizerError:
        return False
    try:
        return count_calls(database) == count_calls(database, tags=TAGS)
    finally:
        database.close()


def _played(world: World, settings: Settings, path: Path) -> DayBook | None:
    """Play the day into a new file; None where Ctrl-C ended it."""
    day = Day(world, settings, open_database(str(path)))
    try:
        with _watched(world) as told:
            day.play(lambda at: told(at, day.played))
    except KeyboardInterrupt:
        where = f"{day.time.at:%H:%M} of the simulated day"
        click.echo(f"Stopped at {where}: the {len(day.played):,} calls until then are in {path}.", err=True)
        return None
    return DayBook(world, settings, open_database(str(path)), day.played)


_Told = Callable[[datetime, list[Played]], None]


@contextmanager
def _watched(world: World) -> Iterator[_Told]:
    """Lend what shows on stderr how the day goes: a bar with the time and the money, and a line per event."""
    watch = _Watch(world)
    if not sys.stderr.isatty():
        yield watch.in_lines
        return
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True, highlight=False), transient=True) as bar:
        watch.show_in(bar)
        yield watch.in_bar


class _Watch:
    """Follows a day: the money so far, the events that have been told, and when the next word is due."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._events = list(EVENTS)
        self._n_counted = 0
        self._paid_usd = self._baseline_usd = 0.0
        self._next = world.start
        self._bar: Progress | None = None

    def show_in(self, bar: Progress) -> None:
        self._bar = bar
        self._task = bar.add_task("", total=len(self._world.arrivals))

    def in_bar(self, at: datetime, played: list[Played]) -> None:
        """Move the bar; events go above it."""
        if at < self._next or self._bar is None:
            return
        self._next = at + _TOLD_EVERY
        for event in self._due(at):
            self._bar.console.print(event)
        self._bar.update(self._task, completed=len(played), description=self._state(at, played))

    def in_lines(self, at: datetime, played: list[Played]) -> None:
        """Write a line for every event, and one every few hours."""
        for event in self._due(at):
            click.echo(event, err=True)
        if at >= self._next and at - self._world.start <= timedelta(days=1):
            self._next += _LINE_EVERY
            click.echo(f"{self._state(at, played)}, {len(played):,} calls", err=True)

    def _due(self, at: datetime) -> Iterator[str]:
        while self._events and at - self._world.start >= self._events[0][0]:
            when, what = self._events.pop(0)
            yield f"{self._world.start + when:%H:%M}  {what}"

    def _state(self, at: datetime, played: list[Played]) -> str:
        for call in played[self._n_counted :]:
            self._paid_usd += call.paid_usd
            self._baseline_usd += call.baseline_usd
        self._n_counted = len(played)
        time = f"{at:%H:%M}" if at - self._world.start < timedelta(days=1) else "late ratings"
        return f"{time}  spent {short_usd(self._paid_usd)}, the baselines {short_usd(self._baseline_usd)}"
