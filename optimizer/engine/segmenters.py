"""The segmenters that use cases name, read once, and the segment that a request falls into."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from optimizer.decision.segments import Segmenter
from optimizer.engine.arrays import Context
from optimizer.errors import InvalidRequest, InvalidSettings, OptimizerError
from optimizer.settings import Settings


@dataclass(frozen=True)
class Segmenters:
    """Use case → its segmenter, for those that have one.

    A segment's name carries its segmenter's version, so evidence of another fit stays apart; what it says of the use
    case as a whole still counts.
    """

    by_use_case: Mapping[str, Segmenter]

    @classmethod
    def load(cls, settings: Settings, folder: Path) -> Self:
        """Read the files that `use_cases.<name>.segments` names, relative to the configuration's folder.

        Raises
        ------
        InvalidSettings
            If a file is missing or holds no segmenter; the error names the key.
        """
        found, problems = {}, []
        for name, use_case in settings.use_cases.items():
            if use_case.segments is None:
                continue
            path = folder / use_case.segments
            try:
                found[name] = Segmenter.from_dict(json.loads(path.read_text()))
            except (OSError, ValueError, TypeError, KeyError, OptimizerError) as error:
                problems.append(f"use_cases.{name}.segments: {path} holds no segmenter ({type(error).__name__})")
        if problems:
            raise InvalidSettings("settings", tuple(problems))
        return cls(found)

    @property
    def contexts(self) -> tuple[Context, ...]:
        """Every (use case, segment) that a request may fall into."""
        return tuple((use_case, self._named(s, name)) for use_case, s in self.by_use_case.items() for name in s.names)

    def version_of(self, use_case: str) -> str:
        """Return the version of a use case's segmenter; empty where it has none."""
        known = self.by_use_case.get(use_case)
        return "" if known is None else known.version

    def segment_of(self, use_case: str, features: tuple[float, ...] | None) -> str:
        """Return the segment of a request; empty where the use case has none or the request brings no features.

        Raises
        ------
        InvalidRequest
            If there are more or fewer features than the segmenter was fitted on.
        """
        known = self.by_use_case.get(use_case)
        if known is None:
            if features is not None:
                raise InvalidRequest("features", f"use case {use_case!r} has no segments to place them in")
            return ""
        return "" if features is None else self._named(known, known.segment_of(features))

    @staticmethod
    def _named(segmenter: Segmenter, name: str) -> str:
        return f"{name}-{segmenter.version}"
