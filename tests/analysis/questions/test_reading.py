"""A ledger's last calls are read whole, and numbers are written as a reader needs them."""

from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from optimizer.analysis.dry_run import Figure
from optimizer.analysis.questions.reading import Records, listed, open_frames, read_records, tidy, with_limits
from optimizer.errors import LedgerUnavailable
from optimizer.ledger.schema import open_database
from tests.analysis.questions.conftest import N_CALLS


def test_records_have_every_call_and_say_that_it_is_a_simulation(records: Records) -> None:
    assert len(records.calls) == N_CALLS
    assert records.is_simulated
    assert f"{N_CALLS:,} SIMULATED calls" in records.headline
    assert records.start <= records.calls[-1].selection.decided_at < records.end


def test_records_look_back_no_further_than_asked(ledger: Path) -> None:
    late = read_records(str(ledger), look_back=timedelta(hours=6))
    assert 0 < len(late.calls) < N_CALLS
    assert late.end - late.start <= timedelta(hours=6)


def test_an_empty_ledger_says_how_to_fill_it(tmp_path: Path) -> None:
    open_database(str(tmp_path / "empty.db")).close()
    with pytest.raises(LedgerUnavailable, match="optimizer demo"):
        read_records(str(tmp_path / "empty.db"))


def test_a_missing_ledger_says_how_to_make_one_to_frames_too(tmp_path: Path) -> None:
    with pytest.raises(LedgerUnavailable, match="`optimizer demo` makes one; ORCHESTRA_LEDGER names another"):
        open_frames(str(tmp_path / "gone.db"))


@pytest.mark.parametrize(
    ("figure", "words"),
    [
        (Figure(0.5, 0.4, 0.6), "$0.5 (95%: $0.4 to $0.6)"),
        (Figure(0.5), "$0.5"),
        (Figure(refused="too few"), "unknown"),
    ],
)
def test_figures_have_their_limits_where_they_are_known(figure: Figure, words: str) -> None:
    assert with_limits(figure, "{:.2g}", "$") == words


def test_lists_read_as_sentences_do() -> None:
    assert (listed([]), listed(["a"]), listed(["a", "b", "c"])) == ("none", "a", "a, b and c")


def test_tables_are_rounded_by_their_units() -> None:
    frame = pl.DataFrame({"usd_per_call": [0.0123456], "quality": [0.123456], "n": [3], "latency_ms": [1234.4]})
    assert tidy(frame).row(0) == (0.01235, 0.123, 3, 1234.0)
