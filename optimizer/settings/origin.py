"""Where settings come from, so that they can be read again when their file has changed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from optimizer.settings.load import load_settings
from optimizer.settings.settings import Settings


@dataclass(frozen=True)
class Origin:
    """A configuration file, or none, and the environment that has the last word."""

    path: Path | None = None
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """What errors call it."""
        return "environment" if self.path is None else str(self.path)

    @property
    def folder(self) -> Path:
        """The folder that files in the settings are relative to."""
        return Path() if self.path is None else self.path.parent

    @property
    def stamp(self) -> tuple[int, int] | None:
        """What changes when the file does; None where there is no file, or it cannot be seen now."""
        try:
            found = None if self.path is None else self.path.stat()
        except OSError:
            return None
        return None if found is None else (found.st_mtime_ns, found.st_size)

    def load(self) -> Settings:
        """Return the settings as they stand now.

        Raises
        ------
        InvalidSettings
            If they are wrong; the error names every key.
        """
        return load_settings(self.path, self.environ)
