"""A ledger's tables as DuckDB sees them through its scanners: each of the frames' stored tables is one view.

Whatever is asked is answered from one moment: of Postgres, everything is read in one transaction; of SQLite, a copy.
"""

import json
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

from optimizer.decision.evidence import QUALITY_UNIT
from optimizer.domain import NANO_USD, Candidate
from optimizer.errors import LedgerUnavailable, MissingExtra, OptimizerError
from optimizer.ledger.scanning import Scannable, scannable
from optimizer.ledger.schema import open_database

LEDGER = "ledger"
COPY = "ledger.db"  # of a SQLite file
Backend = Any  # of ibis, which has no types
Table = Any

_DOCUMENTS = """
    CREATE TEMP VIEW documents AS SELECT digest, document_json FROM {at}.decisions WHERE digest IS NOT NULL"""
# The first day of which calls are kept; those of earlier days are being deleted, or gone.
_KEPT_FROM = """
    CREATE TEMP VIEW kept_from AS
    SELECT CAST(make_timestamptz(kept_from_s * 1000000) AS DATE) AS day FROM {at}.evidence_state WHERE id IS NOT NULL"""
# What is read of a decision's document, all in one pass.
_SHAPE = {
    "incumbent": "VARCHAR",
    "threshold": "DOUBLE",
    "standings": [
        {
            "candidate": {"model_id": "VARCHAR", "gateway": "VARCHAR"},
            "exclusion": "VARCHAR",
            **dict.fromkeys(("expected_quality", "quality_low", "quality_high"), "DOUBLE"),
            **dict.fromkeys(("expected_cost_usd", "expected_latency_ms", "n_ratings"), "DOUBLE"),
            "steps": [["VARCHAR"]],
        }
    ],
}
_NAMES = {
    "nano": f"{NANO_USD}::DOUBLE",
    "quality": f"{QUALITY_UNIT}::DOUBLE",
    "shape": json.dumps(_SHAPE),
    "gateway": Candidate.model_fields["gateway"].default,  # what a decision's document leaves out
}
# SQLite's scanner reads the row's number where a query needs no column, and the ledger's tables have none: hence each
# view looks at its key.
VIEWS: Mapping[str, str] = {
    "calls": """
        SELECT call_id, make_timestamptz(decided_at_us) AS decided_at, use_case, segment, session_id, tenant,
            decision_digest AS decision, model_id AS model, drawn_model_id AS drawn_model, propensity, overridden_by,
            CAST(held_out AS BOOLEAN) AS held_out, objective, required_quality, price AS quality_per_usd, exploration,
            context_tokens, policy_version, price_version, segmenter_version
        FROM {at}.calls WHERE call_id IS NOT NULL""",
    "tags": """
        SELECT call_id, tag->>0 AS name, tag->>1 AS value
        FROM (SELECT call_id, unnest(CAST(tags_json AS JSON[])) AS tag FROM {at}.calls WHERE tags_json IS NOT NULL)""",
    "attempts": """
        SELECT call_id, CAST(number AS BIGINT) AS number, model_id AS model, gateway,
            make_timestamptz(at_us) AS ended_at, CAST(served AS BOOLEAN) AS served, CAST(status AS BIGINT) AS status,
            error_kind, provider, model_version, latency_ms, ttft_ms, input_tokens, cached_tokens, output_tokens,
            reasoning_tokens, usd(cost_nano_usd) AS cost_usd, cost_source, reused
        FROM {at}.attempts WHERE call_id IS NOT NULL""",
    "feedback": """
        SELECT call_id, metric, rater, value, make_timestamptz(at_us) AS rated_at
        FROM {at}.feedback WHERE call_id IS NOT NULL""",
    "standings": """
        WITH parsed AS (SELECT digest, from_json(document_json, '{shape}') AS decision FROM {documents}),
        each AS (
            SELECT digest, decision.incumbent, decision.threshold, unnest(decision.standings) AS standing
            FROM parsed)
        SELECT digest AS decision, standing.candidate.model_id AS model,
            coalesce(standing.candidate.gateway, '{gateway}') AS gateway,
            coalesce(CAST(standing.steps[-1][2] AS DOUBLE), 0.0) AS share, standing.exclusion,
            standing.candidate.model_id = incumbent AS is_incumbent, standing.expected_quality, standing.quality_low,
            standing.quality_high, threshold AS asked_quality, standing.expected_cost_usd,
            standing.expected_latency_ms, coalesce(standing.n_ratings, 0.0) AS n_ratings
        FROM each""",
    "evidence": """
        WITH named AS (
            SELECT *, split_part(measure, ':', 1) AS kind, substr(measure, strpos(measure, ':') + 1) AS detail
            FROM {at}.evidence WHERE n != 0 OR total != 0 OR square != 0),
        scaled AS (
            SELECT *, CASE kind WHEN 'cost_nano_usd' THEN {nano} WHEN 'quality' THEN {quality} ELSE 1.0 END AS unit
            FROM named)
        SELECT use_case, segment, model_id AS model,
            CASE kind WHEN 'cost_nano_usd' THEN 'cost_usd' WHEN 'latency' THEN 'latency_ms' WHEN 'ttft' THEN 'ttft_ms'
                ELSE kind END AS measure,
            CASE WHEN kind = 'quality' THEN detail END AS metric,
            CASE WHEN kind IN ('latency', 'ttft') AND detail != '0' THEN 2.0 ** (CAST(detail AS DOUBLE) / 8.0)
                WHEN kind IN ('latency', 'ttft') THEN 0.0
                WHEN kind = 'calls' THEN 2.0 ** (CAST(detail AS DOUBLE) / 2.0) - 1.0 END AS bin_from,
            make_timestamptz(bucket_start_s * 1000000) AS from_at, CAST(bucket_width_s AS BIGINT) AS width_s, n,
            total / unit AS total, square / unit / unit AS square
        FROM scaled""",
    "prices": """
        SELECT model_id AS model, gateway, make_timestamptz(from_at_us) AS from_at,
            usd(input_nano_usd_per_mtok) AS input_usd_per_mtok,
            usd(output_nano_usd_per_mtok) AS output_usd_per_mtok,
            usd(cached_nano_usd_per_mtok) AS cached_usd_per_mtok, long_over_tokens,
            usd(long_input_nano_usd_per_mtok) AS long_input_usd_per_mtok,
            usd(long_output_nano_usd_per_mtok) AS long_output_usd_per_mtok, source
        FROM {at}.prices WHERE model_id IS NOT NULL""",
    "alarms": """
        SELECT model_id AS model, subject, direction, make_timestamptz(since_at_us) AS since_at,
            make_timestamptz(raised_at_us) AS raised_at
        FROM {at}.alarms WHERE model_id IS NOT NULL""",
    "budgets": """
        SELECT scope_kind, scope_name, window_kind, make_timestamptz(start_at_us) AS start_at,
            usd(spent_nano_usd) AS spent_usd,
            usd(reserved_nano_usd) AS reserved_usd
        FROM {at}.budgets WHERE scope_kind IS NOT NULL""",
}


class LedgerTables:
    """The stored tables of a ledger, all as of one moment."""

    def __init__(self, url: str, where: str, backend: Backend, *, folder: Path, ends: ExitStack) -> None:
        self.where = where
        self.backend = backend
        self._url = url
        self._is_sqlite = (folder / COPY).exists()
        self._folder = folder
        self._ends = ends

    @classmethod
    def open(cls, url: str) -> Self:
        """Return the tables of the ledger at a URL as they are now.

        Raises
        ------
        LedgerUnavailable
            If it is not there, or DuckDB cannot open it.
        """
        with ExitStack() as ends:
            folder = Path(ends.enter_context(TemporaryDirectory(prefix="optimizer-frames-")))
            duck = ends.enter_context(duckdb_in_memory(folder))
            where, ledger = _found(url, folder)
            with _translated(where):
                _load_scanner(duck, ledger)
                _attach(duck, ledger)
                _define_views(duck, ledger)
                _begin(duck, ledger)
            return cls(url, where, duck, folder=folder, ends=ends.pop_all())

    def table(self, name: str) -> Table:
        """Return a stored table."""
        with old_names_allowed():
            return self.backend.table(name)

    def names(self) -> Collection[str]:
        """Return which stored tables there are: all."""
        return VIEWS.keys()

    def known(self) -> Collection[str]:
        """Return which of them DuckDB knows by their names: all."""
        return VIEWS.keys()

    def refresh(self) -> None:
        """See the ledger as it is now."""
        with _translated(self.where):
            if not self._is_sqlite:
                self.backend.raw_sql("ROLLBACK")
            self.backend.raw_sql(f"DETACH {LEDGER}")
            _, ledger = _found(self._url, self._folder)
            _attach(self.backend, ledger)
            _begin(self.backend, ledger)

    def close(self) -> None:
        """Let go of the ledger."""
        self._ends.close()


@contextmanager
def duckdb_in_memory(folder: Path) -> Iterator[Backend]:
    """Lend a DuckDB of ibis that loads nothing from elsewhere; what memory cannot hold goes into the folder.

    Raises
    ------
    MissingExtra
        If ibis or DuckDB is not installed.
    """
    try:
        import duckdb  # noqa: F401
        import ibis
    except ImportError:
        raise MissingExtra("frames", "analysis") from None
    backend = ibis.duckdb.connect(
        ":memory:",
        temp_directory=str(folder),
        secret_directory=str(folder),  # one of the user's own secrets could send us to another server
        autoinstall_known_extensions=False,
        autoload_known_extensions=False,
    )
    try:
        yield backend
    finally:
        backend.disconnect()


@contextmanager
def old_names_allowed() -> Iterator[None]:
    """Let ibis 12 call a method that DuckDB 1.5 has renamed, and warns of."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "fetch_arrow_table", DeprecationWarning)
        yield


@contextmanager
def duckdb_errors(failure: Callable[[str], OptimizerError]) -> Iterator[None]:
    """Raise what DuckDB refuses as an error of ours, made from the reason, and Ctrl-C as what it is elsewhere."""
    import duckdb

    try:
        yield
    except RuntimeError as error:
        if str(error) == "Query interrupted":
            raise KeyboardInterrupt from None
        raise
    except duckdb.Error as error:
        raise failure(str(error).splitlines()[0]) from None


def _translated(where: str) -> AbstractContextManager[None]:
    return duckdb_errors(lambda reason: LedgerUnavailable(f"{where}: DuckDB cannot read it: {reason}"))


def _found(url: str, folder: Path) -> tuple[str, Scannable]:
    database = open_database(url, create=False)
    try:
        return database.where, scannable(database, folder / COPY)
    finally:
        database.close()


def _load_scanner(duck: Backend, ledger: Scannable) -> None:
    """Load a scanner from the package that carries it; nothing is downloaded."""
    import duckdb

    name = "sqlite_scanner" if ledger.is_sqlite else "postgres_scanner"
    try:
        folder = resources.files(f"duckdb_extension_{name}")
    except ModuleNotFoundError:
        raise MissingExtra("frames", "analysis") from None
    duck.raw_sql(f"LOAD {_text(str(folder / 'extensions' / f'v{duckdb.__version__}' / f'{name}.duckdb_extension'))}")


def _attach(duck: Backend, ledger: Scannable) -> None:
    """Attach the ledger, so that all scans of it run in one transaction."""
    secret = ""
    if ledger.is_sqlite:
        duck.raw_sql("SET disabled_optimizers = 'cte_inlining'")  # fails where a table of the scanner is read twice
    else:
        # Parallel scans use further connections, the first of which misses the snapshot (duckdb-postgres, pull 527).
        duck.raw_sql("SET pg_use_ctid_scan = false")
    if ledger.password is not None:
        duck.raw_sql(f"CREATE OR REPLACE SECRET {LEDGER} (TYPE postgres, PASSWORD {_text(ledger.password)})")
        secret = f", SECRET {LEDGER}"
    kind = "sqlite" if ledger.is_sqlite else "postgres"
    duck.raw_sql(f"ATTACH {_text(ledger.address)} AS {LEDGER} (TYPE {kind}, READ_ONLY{secret})")


def _begin(duck: Backend, ledger: Scannable) -> None:
    if ledger.is_sqlite:
        return  # a copy does not change, and outside of a transaction a query that fails ends nothing
    duck.raw_sql("BEGIN")
    duck.raw_sql("SELECT count(*) FROM prices").fetchall()  # Postgres takes its snapshot at the first look


def _define_views(duck: Backend, ledger: Scannable) -> None:
    at = _at(ledger)
    duck.raw_sql(_KEPT_FROM.format(at=at))
    duck.raw_sql(_DOCUMENTS.format(at=at))
    duck.raw_sql("CREATE TEMP MACRO usd(nano_usd) AS nano_usd / {nano}".format(**_NAMES))
    for name, query in VIEWS.items():
        duck.raw_sql(f"CREATE TEMP VIEW {name} AS {query.format(at=at, documents='documents', **_NAMES)}")


def standings_of(documents: str) -> str:
    """Return the SELECT of the standings in some documents alone, a SELECT from `documents`: parsing takes the time."""
    return VIEWS["standings"].format(documents=documents, **_NAMES)


def _at(ledger: Scannable) -> str:
    return f'{LEDGER}."{ledger.schema}"' if ledger.schema else LEDGER


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
