"""A journal on this machine's disk: what one process could not write to the database, fsynced, in order.

A file has a line that names its format, then records: length, checksum, text. One process writes each file and holds
a lock on it as long as it lives; a file that nobody holds is a dead process's, for whoever comes first to adopt. When
all of it is dealt with, it goes. Which database it belongs to stands in its name. What is in a record is left to a
`Codec`; when one is written and read, to `detour.py`.
"""

import logging
import os
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Generic, Protocol, Self, TypeVar
from uuid import uuid4

from optimizer.errors import LedgerUnavailable, OptimizerError
from optimizer.ledger.database import Database

try:
    import fcntl
except ImportError:  # no such locks on Windows: without them, nobody can tell whose process is dead
    fcntl = None  # type: ignore[assignment]

T = TypeVar("T")

FOLDER = "optimizer-journal"
MOST_BYTES = 1 << 30  # in one file: a day of five calls a second; then callers are told that the database is away
MAGIC = b"orchestra-optimizer journal 1\n"
_HEAD = struct.Struct("<III")  # length, checksum of the text, checksum of these two
_SEED = 1  # so that a head of zeros, as a disk may leave at the end of a file, is none

_log = logging.getLogger(__name__)


class Codec(Protocol[T]):
    """How the items of one file are written; a new one for every file."""

    def encode(self, item: T) -> Iterable[bytes]:
        """Return the records of an item; raises an `OptimizerError` where it cannot be written."""
        ...

    def decode(self, record: bytes) -> T | None:
        """Return the item of a record, or None for one that only explains those after it."""
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """Where the journals of one kind and one database lie."""

    folder: Path
    ledger: str
    kind: str

    @classmethod
    def beside(cls, database: Database, folder: str | Path | None, kind: str) -> Self | None:
        """Return the place for a database: the folder given, else the SQLite file's own, else one that can be written.

        None where there is none, or where this system has no locks that tell the living from the dead.
        """
        where = Path(database.where).resolve() if database.is_sqlite else database.where
        ledger = blake2b(str(where).encode(), digest_size=6).hexdigest()
        beside = where.parent if isinstance(where, Path) else Path(FOLDER)
        state = Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser()
        wished = (beside, state / FOLDER) if folder is None else (Path(folder).expanduser(),)
        found = next((each.absolute() for each in wished if _writable(each)), None)
        return None if found is None or fcntl is None else cls(found, ledger, kind)

    def new(self) -> Path:
        """Return the path of a file that is not there yet."""
        return self.folder / f"optimizer-{self.ledger}-{uuid4().hex[:12]}.{self.kind}"

    def left(self) -> list[Path]:
        """Return every file here, those of living processes too."""
        return sorted(self.folder.glob(f"optimizer-{self.ledger}-*.{self.kind}"))


class Journal(Generic[T]):
    """One file of items, made when the first one comes and removed when the last one is forgotten.

    Attributes
    ----------
    n_waiting : int
        Items that are written and not forgotten.
    """

    def __init__(self, place: Place, codec: Callable[[], Codec[T]], *, most_bytes: int = MOST_BYTES) -> None:
        self._place = place
        self._make_codec = codec
        self._codec, self._reader = codec(), codec()
        self._most_bytes = most_bytes
        self.path: Path | None = None
        self._file = -1
        self._end = 0  # what lies before it is on the disk
        self._read = 0
        self._n_read = 0  # items read since some were forgotten
        self.n_unreadable = 0
        self.n_waiting = 0

    def adopt(self, path: Path) -> bool:
        """Open a file that is there; return whether it is nobody's, and so this journal's from now on."""
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        if not _locked(self._file, path):
            self._shut()
            return False
        self.path, self._end = path, os.fstat(self._file).st_size
        if os.pread(self._file, len(MAGIC), 0) == MAGIC:
            self._read = len(MAGIC)
        elif self._end >= len(MAGIC):
            self.n_unreadable += 1  # of another version, or not ours at all
            self._read = self._end
        else:
            self._read = self._end  # its process died before it could write
        return True

    def append(self, items: Sequence[T]) -> list[OptimizerError | None]:
        """Write items and wait until they are on the disk; return why for those that cannot be written.

        Raises
        ------
        LedgerUnavailable
            If the disk does not take them; then it has none of them.
        """
        if not items:
            return []
        try:
            self._open()
            records, outcomes = self._encoded(items)
            data = b"".join(_head(record) + record for record in records)
            if self._end + len(data) > self._most_bytes:
                raise OSError("it is full")
            _write(self._file, data, self._end)
        except OSError as error:
            self._codec = self._make_codec()  # what it believes to have explained may not be there
            with suppress(OSError):
                os.ftruncate(self._file, self._end)
            reason = error.strerror or error
            raise LedgerUnavailable(f"the journal in {self._place.folder} cannot be written: {reason}") from error
        self._end += len(data)
        self.n_waiting += outcomes.count(None)
        return outcomes

    def _encoded(self, items: Sequence[T]) -> tuple[list[bytes], list[OptimizerError | None]]:
        records: list[bytes] = []
        outcomes: list[OptimizerError | None] = []
        for item in items:
            try:
                records += self._codec.encode(item)
            except OptimizerError as error:
                outcomes.append(error)
            else:
                outcomes.append(None)
        return records, outcomes

    def read(self, most: int) -> list[T]:
        """Return the next items, at most so many; fewer, or none, where the file ends."""
        items: list[T] = []
        while len(items) < most and (record := self._next()) is not None:
            try:
                item = self._reader.decode(record)
            except (ValueError, KeyError, TypeError):
                self.n_unreadable += 1
                continue
            if item is not None:
                items.append(item)
        self._n_read += len(items)
        return items

    def forget(self) -> None:
        """Let go of what was read; the file goes where that is all of it."""
        self.n_waiting -= min(self._n_read, self.n_waiting)
        self._n_read = 0
        if self.path is None or self._read < self._end:
            return
        if self.n_unreadable:
            aside = self.path.with_name(f"{self.path.name}.unreadable")
            _log.error("%d records of %s cannot be read; it is kept as %s", self.n_unreadable, self.path, aside)
            self.path.rename(aside)
        else:
            self.path.unlink()
        self._shut()

    def close(self) -> None:
        """Let go of the file, which stays where it holds anything that is not forgotten."""
        self._shut()

    def _open(self) -> None:
        while self._file < 0:
            self._place.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = self._place.new()
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            if not _locked(self._file, path):  # somebody came to adopt it before it was ours
                self._shut()
                continue
            self.path = path
            _write(self._file, MAGIC, 0)
            _sync_folder(self._place.folder)
            self._read = self._end = len(MAGIC)

    def _next(self) -> bytes | None:
        """Return the next record; None at the end, or where what follows was never whole."""
        left = self._end - self._read
        if left <= 0:
            return None
        head = os.pread(self._file, _HEAD.size, self._read)
        if left < _HEAD.size or zlib.crc32(head[:8], _SEED) != _HEAD.unpack(head)[2]:
            self._pass_over(is_end=left < _HEAD.size)
            return None
        length, checksum, _ = _HEAD.unpack(head)
        record = os.pread(self._file, length, self._read + _HEAD.size)
        if len(record) < length or zlib.crc32(record) != checksum:
            self._pass_over(is_end=_HEAD.size + length >= left)
            return None
        self._read += _HEAD.size + length
        return record

    def _pass_over(self, *, is_end: bool) -> None:
        """Read no further; nobody was told that a record is safe whose end was never written."""
        left, self._read = self._end - self._read, self._end
        # No record ends with a zero; a disk that was told of a file's length before its bytes leaves them.
        if is_end or os.pread(self._file, 1, self._end - 1) == b"\0":
            _log.warning("The last %d bytes of %s were never wholly written, and are left out", left, self.path)
        else:
            self.n_unreadable += 1

    def _shut(self) -> None:
        if self._file >= 0:
            os.close(self._file)
        self._file, self.path = -1, None
        self._end = self._read = self.n_unreadable = self.n_waiting = 0
        self._codec, self._reader = self._make_codec(), self._make_codec()


def adopted(place: Place, codec: Callable[[], Codec[T]]) -> Iterator[Journal[T]]:
    """Yield, open and locked, each journal that a dead process has left; the caller closes it."""
    for path in place.left():
        journal = Journal(place, codec)
        if journal.adopt(path):
            yield journal


def _locked(file: int, path: Path) -> bool:
    """Lock an open file and return whether it is ours: nobody holds it, and nobody removed it meanwhile."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return path.stat().st_ino == os.fstat(file).st_ino
    except OSError:
        return False


def _head(record: bytes) -> bytes:
    first = struct.pack("<II", len(record), zlib.crc32(record))
    return first + struct.pack("<I", zlib.crc32(first, _SEED))


def _write(file: int, data: bytes, at: int) -> None:
    written = 0
    while written < len(data):
        written += os.pwrite(file, data[written:], at + written)
    os.fsync(file)


def _sync_folder(folder: Path) -> None:
    """Make the name of a new file last, too."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _writable(folder: Path) -> bool:
    """Return whether files can be made there; the folder itself is made when the first one is."""
    there = next((each for each in (folder, *folder.absolute().parents) if each.exists()), None)
    return there is not None and there.is_dir() and os.access(there, os.W_OK | os.X_OK)
