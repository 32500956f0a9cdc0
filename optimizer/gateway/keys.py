"""Keys of one account, one or two during a rotation, from the settings or from a file that is looked at again."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import SecretStr

LOOK_AGAIN_S = 1.0


class KeyRing:
    """Keys in the order of their use: the first, unless it was refused and another was not.

    A file takes the place of the keys given; it has one key a line, and is read again when it has changed, which is
    looked at once a second at most. While it cannot be read, the keys that were read last are used.
    """

    def __init__(
        self, keys: Sequence[SecretStr] = (), file: str | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._given = tuple(keys), file
        self._keys = tuple(key.get_secret_value() for key in keys) if file is None else ()
        self._file = None if file is None else Path(file)
        self._clock = clock
        self._looked_at: float | None = None
        self._version: tuple[int, int, int] | None = None
        self._preferred: str | None = None

    def __repr__(self) -> str:
        return f"KeyRing({len(self._keys)} keys)"

    def same_as(self, keys: Sequence[SecretStr], file: str | None) -> bool:
        """Return whether it was made of these, so that what it has learned still holds."""
        return self._given == (tuple(keys), file)

    def current(self) -> str | None:
        """Return the key to use; None where there is none."""
        self._look_again()
        if self._preferred in self._keys:
            return self._preferred
        return self._keys[0] if self._keys else None

    def other_than(self, refused: str | None) -> str | None:
        """Return the key to try instead of a refused one; None where there is none."""
        return next((key for key in self._keys if key != refused), None)

    def prefer(self, key: str) -> None:
        """Use this key from now on."""
        self._preferred = key

    def _look_again(self) -> None:
        now = self._clock()
        if self._file is None or (self._looked_at is not None and now - self._looked_at < LOOK_AGAIN_S):
            return
        self._looked_at = now
        try:
            stat = self._file.stat()
            version = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            if version != self._version:
                self._keys = tuple(dict.fromkeys(self._file.read_text(encoding="utf-8").split()))[:2]
                self._version, self._preferred = version, None
        except (OSError, UnicodeDecodeError):
            return
