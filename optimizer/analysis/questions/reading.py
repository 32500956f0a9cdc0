"""What the questions share: a ledger's last weeks as stored calls, and numbers as sentences and tables show them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from optimizer.analysis.book import HOW_TO_MAKE_ONE, opened
from optimizer.analysis.dry_run import Figure
from optimizer.analysis.frames import Frames
from optimizer.catalog import Catalog, load_catalog
from optimizer.errors import LedgerUnavailable, MissingExtra
from optimizer.ledger.alarms import RaisedAlarm, read_alarms
from optimizer.ledger.calls import StoredCall, calls_between, recent_calls
from optimizer.ledger.database import Database
from optimizer.ledger.evidence import EvidenceReader
from optimizer.ledger.prices import read_prices
from optimizer.settings import Settings, load_settings

try:
    import polars as pl
except ImportError as missing:  # pragma: no cover - the suite installs every extra
    raise MissingExtra("a notebook's tables", "notebooks") from missing

LOOK_BACK = timedelta(days=7)
_DIGITS = {"usd": 4, "ms": 4, "s": 3}  # significant ones, by the unit that ends a column's name
_DECIMALS = 3


@dataclass(frozen=True)
class Records:
    """The last calls of a ledger, in order of time, and what they were decided by; read whole into memory.

    Attributes
    ----------
    start, end : datetime
        Calls decided in [start, end); the end is just after the last one.
    evidence : EvidenceReader
        All evidence, older than the calls too.
    """

    where: str
    start: datetime
    end: datetime
    settings: Settings
    catalog: Catalog
    calls: tuple[StoredCall, ...]
    evidence: EvidenceReader
    alarms: tuple[RaisedAlarm, ...]

    @property
    def is_simulated(self) -> bool:
        """Whether every call says that it is a simulation's."""
        return all(("simulated", "yes") in call.selection.request.tags for call in self.calls)

    @property
    def headline(self) -> str:
        """Where the calls are from, in a line."""
        simulated = "SIMULATED " if self.is_simulated else ""
        return (
            f"{self.where}: {len(self.calls):,} {simulated}calls, {self.start:%Y-%m-%d %H:%M} until "
            f"{self.end:%Y-%m-%d %H:%M} UTC."
        )


def read_records(ledger: str, config: str | Path | None = None, *, look_back: timedelta = LOOK_BACK) -> Records:
    """Return the calls of a ledger's last days, by the settings in `config`, else the built-in ones.

    Raises
    ------
    LedgerUnavailable
        If it does not exist or holds no calls; the message says how to make one.
    """
    settings = load_settings(None if config is None else Path(config), {})
    database = opened(ledger)
    try:
        return _records(database, settings, look_back)
    finally:
        database.close()


def open_frames(source: str) -> Frames:
    """Return the frames of a ledger or an export, to be closed by whoever asked; an error says how to make a ledger."""
    try:
        return Frames.open(source)
    except LedgerUnavailable as error:
        raise LedgerUnavailable(f"{error} ({HOW_TO_MAKE_ONE})") from None


def _records(database: Database, settings: Settings, look_back: timedelta) -> Records:
    latest = recent_calls(database, limit=1)
    if not latest:
        raise LedgerUnavailable(f"{database.where} holds no calls; `optimizer demo` makes a day of them")
    end = latest[0].selection.decided_at + timedelta(seconds=1)
    calls = tuple(calls_between(database, end - look_back, end))
    evidence = EvidenceReader(database)
    evidence.refresh()
    catalog = load_catalog().with_prices(read_prices(database))
    start = calls[0].selection.decided_at
    return Records(database.where, start, end, settings, catalog, calls, evidence, tuple(read_alarms(database)))


def with_limits(figure: Figure, write: str = "{:.3f}", unit: str = "") -> str:
    """Return a figure as a sentence has it, such as `$0.0308 (95%: $0.0271 to $0.0344)`; or that it is not known."""
    if figure.value is None:
        return "unknown"
    value = unit + write.format(figure.value)
    if figure.low is None or figure.high is None:
        return value
    return f"{value} (95%: {unit}{write.format(figure.low)} to {unit}{write.format(figure.high)})"


def listed(names: "list[str] | tuple[str, ...]") -> str:
    """Return names as a sentence lists them; `none` where there are none."""
    if len(names) < 2:
        return "".join(names) or "none"
    return ", ".join(names[:-1]) + " and " + names[-1]


def tidy(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a table with its numbers rounded to what a reader needs, by the unit that ends a column's name."""
    floats = [name for name, kind in frame.schema.items() if kind.is_float()]
    return frame.with_columns(_rounded(name) for name in floats)


def _rounded(name: str) -> pl.Expr:
    digits = next((n for unit, n in _DIGITS.items() if f"_{unit}" in f"_{name}_" or name.endswith(f"_{unit}")), None)
    return pl.col(name).round(_DECIMALS) if digits is None else pl.col(name).round_sig_figs(digits)
