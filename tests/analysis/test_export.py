"""An export holds what the ledger held at one moment, is read back as the same tables, and goes on where it ended."""

from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from polars.testing import assert_frame_equal

from optimizer.analysis.export import Exported, Wanted, open_export
from optimizer.analysis.frames import Frames
from optimizer.analysis.frames_columns import BY_DAY, COLUMNS, STORED
from optimizer.errors import ExportFailed, LedgerUnavailable
from optimizer.ledger.retention import forget_calls
from optimizer.ledger.schema import open_database
from optimizer.ledger.writer import Writer
from tests.analysis.small_ledger import DAY, fill, going_on
from tests.ledger.factory import NOON, make_rating, rule_of

ALL = Wanted()
FIRST = NOON.date()
DAYS = tuple(FIRST + timedelta(days=number) for number in range(3))


@pytest.fixture
def filled(url: str) -> str:
    fill(url)
    return url


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "exports" / "ledger"


def test_export_reads_back_as_the_ledgers_own_tables(filled: str, folder: Path) -> None:
    _export(filled, folder)
    _assert_same(filled, folder)


def test_files_stand_by_table_and_day(filled: str, folder: Path) -> None:
    written = _export(filled, folder)
    expected = {f"{table}/day={day}/part-0.parquet" for table in BY_DAY for day in DAYS}
    expected |= {f"{table}/part-0.parquet" for table in STORED if table not in BY_DAY}
    assert set(_files(folder)) == expected
    assert (written.days, written.n_complete_days, written.n_rows["calls"]) == (DAYS, 0, 5)


def test_files_hold_the_dictionarys_columns_and_no_others(filled: str, folder: Path) -> None:
    _export(filled, folder)
    for name in _files(folder):
        table = name.partition("/")[0]
        assert pq.read_schema(folder / name).names == [column.name for column in STORED[table]]


def test_days_that_have_not_changed_are_left_alone(filled: str, folder: Path) -> None:
    _export(filled, folder)
    before = _files(folder)
    written = _export(filled, folder)
    assert (written.days, written.n_complete_days, written.n_rows["calls"]) == ((), 3, 0)
    assert _changed(before, folder) == set()


@pytest.mark.parametrize(
    "late",
    [
        make_rating("a", 0.3, rater="new", minute=90_000),
        make_rating("a", 0.9, minute=90_000),
        make_rating("a", 0.7),  # of the same moment as the one that stood
        make_rating("a", None, minute=90_000),
    ],
    ids=["new", "later", "corrected", "withdrawn"],
)
def test_a_late_rating_changes_the_file_of_its_calls_day_alone(filled: str, folder: Path, late: object) -> None:
    _export(filled, folder)
    before = _files(folder)
    _write(filled, late)
    written = _export(filled, folder)
    assert written.days == DAYS[:1]
    assert _changed(before, folder) == {f"feedback/day={FIRST}/part-0.parquet"}
    _assert_same(filled, folder)


def test_days_that_are_no_longer_kept_stay_in_the_folder(filled: str, folder: Path) -> None:
    """Calls `b` and `c` are of the second day, of which only one is deleted as yet."""
    _export(filled, folder)
    before = _files(folder)
    database = open_database(filled)
    assert forget_calls(database, NOON + 2 * DAY, most=2) == 2
    database.close()
    assert _export(filled, folder, Wanted(force=True)).days == DAYS[2:]
    assert _changed(before, folder) == {f"{table}/day={DAYS[2]}/part-0.parquet" for table in BY_DAY}
    with Frames.open(folder) as frames:
        assert sorted(frames.calls.to_polars()["call_id"]) == ["a", "b", "c", "lost", "open"]


def test_force_writes_every_day(filled: str, folder: Path) -> None:
    _export(filled, folder)
    assert _export(filled, folder, Wanted(force=True)).days == DAYS


def test_an_export_that_was_interrupted_goes_on_where_it_ended(filled: str, folder: Path) -> None:
    with pytest.raises(KeyboardInterrupt), open_export(filled, folder, Wanted()) as export:
        export.write(_stop_after(export.n_calls // 2))
    before = _files(folder)
    assert not any(Path(name).name.startswith(".") for name in before)
    assert 0 < len(before) < 5 * 3
    _export(filled, folder)
    assert {name for name in _changed(before, folder) if "day=" in name} == set()
    _assert_same(filled, folder)


def test_half_a_file_is_written_anew(filled: str, folder: Path) -> None:
    _export(filled, folder)
    broken = folder / f"attempts/day={FIRST}/part-0.parquet"
    broken.write_bytes(broken.read_bytes()[:-20])
    assert _export(filled, folder).days == DAYS[:1]
    _assert_same(filled, folder)


def test_everything_is_of_one_moment_while_calls_go_on(filled: str, folder: Path) -> None:
    """Five calls have five attempts and six ratings; each of the others has one of each."""
    with going_on(filled):
        for _ in range(3):
            _export(filled, folder)
            with Frames.open(folder) as frames:
                n_calls, n_attempts, n_ratings = (
                    frames.table(name).count().to_pyarrow().as_py() for name in ("calls", "attempts", "feedback")
                )
            assert n_calls == n_attempts == n_ratings - 1
    _export(filled, folder)
    _assert_same(filled, folder)


def test_period_and_tables_are_kept_to(filled: str, folder: Path) -> None:
    wanted = Wanted(("calls", "prices"), since=DAYS[1], until=DAYS[2])
    assert _export(filled, folder, wanted).days == DAYS[1:2]
    assert set(_files(folder)) == {f"calls/day={DAYS[1]}/part-0.parquet", "prices/part-0.parquet"}
    with Frames.open(folder) as frames:
        assert sorted(frames.calls.to_polars()["call_id"]) == ["b", "c"]
        with pytest.raises(LedgerUnavailable, match=r"no attempts; `optimizer export"):
            frames.attempts.count()


def test_days_are_written_in_batches(filled: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("optimizer.analysis.export.AT_ONCE", 1)
    _export(filled, folder)
    _assert_same(filled, folder)


def test_a_ledger_without_calls_has_empty_tables(url: str, folder: Path) -> None:
    assert _export(url, folder).days == ()
    with Frames.open(folder) as frames:
        assert frames.served.to_polars().columns == [column.name for column in COLUMNS["served"]]


def test_folder_that_cannot_be_written_is_told(sqlite_template: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ExportFailed, match="file"):
        _export(str(sqlite_template), tmp_path / "file")


def _export(url: str, folder: Path, wanted: Wanted = ALL) -> Exported:
    with open_export(url, folder, wanted) as export:
        return export.write()


def _assert_same(url: str, folder: Path) -> None:
    with Frames.open(url) as stored, Frames.open(folder) as exported:
        for name in COLUMNS:
            found, expected = (frames.table(name).to_polars() for frames in (exported, stored))
            assert_frame_equal(found, expected, check_row_order=False)


def _files(folder: Path) -> dict[str, tuple[int, int]]:
    """Return every file's name and what changes when it is replaced."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}


def _changed(before: dict[str, tuple[int, int]], folder: Path) -> set[str]:
    """Return which of those files were written anew; tables without days always are, and do not count."""
    after = _files(folder)
    return {name for name, was in before.items() if "day=" in name and after[name] != was}


def _write(url: str, *facts: object) -> None:
    database = open_database(url)
    writer = Writer(database, rule_of, durability="sync")
    writer.submit(*facts).result()
    writer.close()
    database.close()


def _stop_after(limit: int):
    def told(done: int) -> None:
        if done > limit:
            raise KeyboardInterrupt

    return told
