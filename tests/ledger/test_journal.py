"""Files of what the database could not take: whole, in order, nobody else's, and honest about torn ends."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.errors import InvalidRequest, LedgerUnavailable
from optimizer.ledger.database import Database, connect
from optimizer.ledger.journal import Journal, Place, adopted

ROOT = Path(__file__).parents[2]

# Writes two words, says so, and waits to be killed.
DYING = """
import sys
from pathlib import Path
from optimizer.ledger.journal import Journal, Place
from tests.ledger.test_journal import Words
journal = Journal(Place(Path(sys.argv[1]), "it", "words"), Words)
journal.append(["one", "two"])
print("written", flush=True)
sys.stdin.read()
"""


class Words:
    """Writes words, with a record before each file's first one that explains them."""

    def __init__(self) -> None:
        self._explained = False

    def encode(self, item: str) -> list[bytes]:
        if not item.isalpha():
            raise InvalidRequest("word", "no word")
        records, self._explained = [b"", item.encode()][self._explained :], True
        return records

    def decode(self, record: bytes) -> str | None:
        return record.decode() or None


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "journal", "it", "words")


def left(place: Place) -> list[str]:
    """Return what dead processes have left, and forget it."""
    words = []
    for journal in adopted(place, Words):
        words += journal.read(100)
        journal.forget()
        journal.close()
    return words


def dead(place: Place, *words: str) -> Path:
    """Return the file of a process that wrote some words and died."""
    journal = Journal(place, Words)
    journal.append(words)
    assert journal.path is not None
    path = journal.path
    journal.close()
    return path


def test_what_is_written_is_read_in_order_and_the_file_goes(place: Place) -> None:
    journal = Journal(place, Words)
    journal.append(["one", "two"])
    assert journal.read(1) == ["one"]
    journal.append(["three"])
    journal.forget()
    assert journal.n_waiting == 2
    assert journal.read(5) == ["two", "three"]
    journal.forget()
    assert (journal.n_waiting, journal.path, place.left()) == (0, None, [])


def test_nothing_is_made_before_it_is_needed(place: Place) -> None:
    journal = Journal(place, Words)
    assert journal.read(5) == []
    journal.forget()
    journal.close()
    assert not place.folder.exists()


def test_a_file_that_is_emptied_is_begun_anew(place: Place) -> None:
    journal = Journal(place, Words)
    for word in ("one", "two"):
        journal.append([word])
        assert journal.read(5) == [word]
        journal.forget()
    journal.close()


def test_only_this_user_may_read_it(place: Place) -> None:
    path = dead(place, "one")
    assert (path.stat().st_mode & 0o777, place.folder.stat().st_mode & 0o777) == (0o600, 0o700)


def test_what_cannot_be_written_is_refused_alone(place: Place) -> None:
    journal = Journal(place, Words)
    first, second, third = journal.append(["one", "2", "three"])
    assert (first, third, journal.n_waiting) == (None, None, 2)
    assert isinstance(second, InvalidRequest)
    assert journal.read(5) == ["one", "three"]
    journal.close()


def test_a_full_journal_takes_nothing_and_keeps_what_it_has(place: Place) -> None:
    journal = Journal(place, Words, most_bytes=100)
    journal.append(["one"])
    with pytest.raises(LedgerUnavailable, match="full"):
        journal.append(["two", "x" * 100])
    journal.append(["three"])
    assert journal.read(5) == ["one", "three"]
    journal.close()


def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    journal = Journal(Place(tmp_path / "file" / "journal", "it", "words"), Words)
    with pytest.raises(LedgerUnavailable, match=r"the journal in .* cannot be written: Not a directory"):
        journal.append(["one"])


def test_a_living_process_keeps_its_file(place: Place) -> None:
    journal = Journal(place, Words)
    journal.append(["one"])
    assert left(place) == []
    journal.close()
    assert left(place) == ["one"]
    assert left(place) == []


def test_a_killed_process_leaves_its_file_to_others(place: Place) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", DYING, str(place.folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        assert left(place) == []
        process.kill()
    assert left(place) == ["one", "two"]


def test_journals_of_another_database_are_left_alone(place: Place) -> None:
    dead(Place(place.folder, "other", "words"), "one")
    dead(Place(place.folder, "it", "costs"), "two")
    assert left(place) == []


@given(cut=st.integers(0, 80), words=st.just(("alpha", "beta", "gamma")))
def test_a_torn_file_has_all_that_was_wholly_written(
    tmp_path_factory: pytest.TempPathFactory, cut: int, words: tuple[str, ...]
) -> None:
    """Whatever the moment of death, whole records before it are read, in order, and the file goes."""
    place = Place(tmp_path_factory.mktemp("torn"), "it", "words")
    path = dead(place, *words)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) - cut])
    found = left(place)
    assert tuple(found) == words[: len(found)]
    assert len(found) >= len(words) - 1 - cut // (12 + 4)
    assert place.left() == []


def test_a_torn_end_is_told_of(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    path = dead(place, "one", "two")
    path.write_bytes(path.read_bytes()[:-1])
    assert left(place) == ["one"]
    assert "last 14 bytes" in caplog.text
    assert "never wholly written" in caplog.text


@pytest.mark.parametrize("n", [1, 5, 15, 400])
def test_a_file_whose_last_bytes_never_left_the_memory_is_torn(place: Place, n: int) -> None:
    path = dead(place, "one", "two")
    path.write_bytes(path.read_bytes()[: -min(n, 15)] + bytes(n))
    assert left(place) == ["one"]
    assert place.left() == []


@pytest.mark.parametrize("at", [58, 70, 3])
def test_a_damaged_file_is_kept_aside(place: Place, at: int, caplog: pytest.LogCaptureFixture) -> None:
    """One byte of a head, of a text, or of the format's name: what comes before is read, the rest is for a person."""
    path = dead(place, "one", "two", "three")
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    assert left(place) == (["one"] if at > 3 else [])
    assert [each.name for each in place.folder.iterdir()] == [f"{path.name}.unreadable"]
    assert "cannot be read" in caplog.text


# Where it lies


def test_a_sqlite_ledger_has_its_journal_beside_it(tmp_path: Path) -> None:
    database = connect(str(tmp_path / "ledger.db"))
    place = Place.beside(database, None, "facts")
    assert place is not None
    assert place.folder == tmp_path
    database.close()


def test_a_server_has_its_journal_in_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("psycopg")
    monkeypatch.chdir(tmp_path)
    first, other = (connect(f"postgresql://{host}/ledger") for host in ("one", "two"))
    places = [Place.beside(database, None, "facts") for database in (first, other)]
    assert [place and place.folder for place in places] == [tmp_path / "optimizer-journal"] * 2
    assert len({place and place.ledger for place in places}) == 2


def test_settings_name_another_folder(tmp_path: Path, opened: Callable[[str], Database]) -> None:
    database = opened(str(tmp_path / "ledger.db"))
    place = Place.beside(database, tmp_path / "a" / "b", "facts")
    assert place is not None
    assert place.folder == tmp_path / "a" / "b"
