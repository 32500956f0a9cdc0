"""Frames show a ledger's facts, typed as their dictionary says, as of one moment, whatever goes on meanwhile."""

import os
import re
import shutil
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import ibis
import pytest

from optimizer.analysis.export import Wanted, open_export
from optimizer.analysis.frames import Frames
from optimizer.analysis.frames_columns import COLUMNS, STORED, data_dictionary
from optimizer.analysis.frames_ledger import VIEWS, Table
from optimizer.errors import LedgerUnavailable, MissingExtra
from optimizer.ledger.outcomes import outcomes_between
from optimizer.ledger.schema import open_database
from optimizer.ledger.tables import metadata
from tests.analysis.small_ledger import fill, going_on
from tests.ledger.factory import DECISION, NOON

DOCS = Path(__file__).parents[2] / "docs" / "analysis.md"
# Columns that nobody shall find in a frame, and others that only the optimizer itself can read.
SECRET = {"prompt_hmac", "features_json"}
INTERNAL = {"request_json", "day", "changed_at_us"}
TABLES = {"decisions": "standings", **{name: name for name in STORED if name in metadata.tables}}
LEFT_OUT = {"api_keys", "shared_secrets", "sessions", "reservations", "health", "evidence_state"}


@pytest.fixture
def filled(url: str) -> str:
    fill(url)
    return url


def test_tables_have_the_columns_and_types_of_the_dictionary(filled: str) -> None:
    with Frames.open(filled) as frames:
        for name, columns in COLUMNS.items():
            found = {column: kind.copy(nullable=True) for column, kind in frames.table(name).schema().items()}
            assert found == {column.name: ibis.dtype(column.type) for column in columns}, name
            assert _count(frames.table(name)) > 0, name


def test_docs_example_runs(sqlite_template: Path, tmp_path: Path) -> None:
    fill(str(shutil.copy(sqlite_template, tmp_path / "optimizer.db")))
    example = re.search(r"```python\n(from optimizer.*?)```", DOCS.read_text("utf-8"), flags=re.DOTALL)
    assert example is not None
    subprocess.run(
        [sys.executable, "-W", "error", "-c", example.group(1)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(DOCS.parents[1])},
        stdout=subprocess.DEVNULL,
        check=True,
        timeout=60,
    )


def test_sql_knows_all_tables_by_their_names(filled: str, tmp_path: Path) -> None:
    count = "SELECT '{0}' AS name, count(*) AS n FROM {0}"
    query = " UNION ALL ".join(count.format(name) for name in COLUMNS)
    with open_export(filled, tmp_path / "exported", Wanted()) as export:
        export.write()
    with Frames.open(filled) as stored, Frames.open(tmp_path / "exported") as exported:
        for frames in (stored, stored, exported):
            rows = dict(frames.sql(query).to_polars().rows())
            assert rows == {name: _count(frames.table(name)) for name in COLUMNS}


def test_dictionary_stands_in_the_docs() -> None:
    assert data_dictionary() in DOCS.read_text("utf-8")


def test_every_column_of_the_ledger_is_shown_or_left_out_on_purpose() -> None:
    assert {*metadata.tables} == {*TABLES, *LEFT_OUT}
    for table, view in TABLES.items():
        for column in metadata.tables[table].columns:
            text = VIEWS[view] + VIEWS["tags"]
            shown = re.search(rf"\b{column.name}\b", text) is not None
            assert shown != (column.name in SECRET | INTERNAL), f"{table}.{column.name}"


def test_served_calls_are_the_ledgers_outcomes(filled: str) -> None:
    database = open_database(filled)
    expected = {o.call_id: o for o in outcomes_between(database, NOON, NOON + timedelta(days=9))}
    database.close()
    with Frames.open(filled) as frames:
        found = {row["call_id"]: row for row in frames.served.to_polars().iter_rows(named=True)}
    assert found.keys() == expected.keys() == {"a", "b"}
    for call_id, outcome in expected.items():
        row = found[call_id]
        assert (row["model"], row["latency_ms"], row["cost_usd"]) == (
            outcome.model_id,
            outcome.latency_ms,
            outcome.paid_usd,
        )
        assert (row["decided_at"], row["input_tokens"]) == (outcome.decided_at, outcome.input_tokens)
    assert (found["a"]["n_attempts"], found["a"]["chosen_model"], found["b"]["cost_usd"]) == (2, "small", None)


def test_candidates_are_every_calls_distribution(filled: str) -> None:
    with Frames.open(filled) as frames:
        rows = frames.candidates.filter(frames.candidates.call_id == "a").to_polars()
    assert dict(zip(rows["model"], rows["share"], strict=True)) == {**DECISION.distribution, "shut": 0.0}
    assert rows["exclusion"].drop_nulls().to_list() == ["its window is too short"]
    assert rows.filter(rows["is_incumbent"])["model"].to_list() == ["large"]


def test_evidence_is_in_natural_units(filled: str) -> None:
    """Call `a` cost the large model 360,000 nano-dollars at 812.5 ms; its people rated 0.8 and 0.4."""
    with Frames.open(filled) as frames:
        table = frames.evidence
        rows = table.filter(table.model == "large").to_polars().rows_by_key("measure", named=True)
    assert rows["cost_usd"][0]["total"] == pytest.approx(0.00036)
    assert (rows["quality"][0]["metric"], rows["quality"][0]["total"]) == ("quality", pytest.approx(0.6))
    assert rows["quality"][0]["square"] == pytest.approx(0.36)
    assert rows["latency_ms"][0]["bin_from"] == pytest.approx(2 ** (77 / 8))  # 789 ms; the next bin begins at 861
    assert rows["latency_ms"][0]["n"] == 1


def test_tags_are_read_as_they_were_given(filled: str) -> None:
    with Frames.open(filled) as frames:
        rows = frames.tags.order_by("name", "value").to_polars().rows()
    assert rows == [("a", "team", "b"), ("a", "team", "it's"), ("a", "x", "")]


def test_all_tables_are_of_one_moment_until_refreshed(filled: str) -> None:
    with going_on(filled), Frames.open(filled) as frames:
        first = _counts(frames)
        for _ in range(3):
            time.sleep(0.1)
            assert _counts(frames) == first
        assert first["attempts"] - first["calls"] == 0  # five calls have five attempts, and each of the others one
        frames.refresh()
        assert _counts(frames)["calls"] > first["calls"]


def _counts(frames: Frames) -> dict[str, int]:
    """Return rows of each table, and of joins, which read several at once."""
    calls, attempts, feedback = frames.calls, frames.attempts, frames.feedback
    both = attempts.select("call_id", "number").join(feedback.select("call_id", "rater"), "call_id", how="left")
    both = both.drop("call_id_right").join(calls.select("call_id", "use_case"), "call_id")
    found = {"calls": calls, "attempts": attempts, "feedback": feedback, "both": both, "served": frames.served}
    return {name: _count(table) for name, table in found.items()}


def _count(table: Table) -> int:
    rows: int = table.count().to_pyarrow().as_py()  # not by pandas, whose version 3 warns of what ibis does
    return rows


def test_a_question_that_fails_is_over_after_a_refresh(filled: str) -> None:
    with Frames.open(filled) as frames:
        with pytest.raises(Exception, match="Conversion Error"):
            frames.calls.use_case.cast("int64").sum().to_pyarrow()
        frames.refresh()
        assert _count(frames.calls) == 5


def test_password_is_shown_nowhere(postgres_ledger: str) -> None:
    fill_url = postgres_ledger.replace("ledger@", "ledger:pa'ss%40word@")
    with Frames.open(fill_url) as frames:
        assert _count(frames.calls) >= 0
        shown = frames.backend.raw_sql("SELECT path FROM duckdb_databases()").fetchall()
        shown += frames.backend.raw_sql("SELECT secret_string FROM duckdb_secrets()").fetchall()
    assert "ss@word" not in repr((shown, frames.where))


def test_what_is_no_ledger_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(LedgerUnavailable, match="does not exist"):
        Frames.open(tmp_path / "gone.db")
    with pytest.raises(LedgerUnavailable, match="optimizer export"):
        Frames.open(tmp_path)


@pytest.mark.parametrize("package", ["ibis", "duckdb", "duckdb_extension_sqlite_scanner"])
def test_missing_package_names_its_extra(package: str, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtra, match=r"orchestra-optimizer\[analysis\]"):
        Frames.open(sqlite_template)
