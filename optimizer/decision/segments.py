"""From a request's features to one of a few segments of its use case: k-means, fitted offline without labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Any, Self

import numpy as np
from scipy.cluster.vq import ClusterError, kmeans2, vq

from optimizer.decision.belief import FloatArray, IntArray
from optimizer.errors import InvalidRequest

N_RESTARTS = 8
_N_SWEEPS = 50
_FIELDS = ("centres", "location", "scale")


@dataclass(frozen=True, eq=False)
class Segmenter:
    """Centres of segments, the largest first.

    Attributes
    ----------
    centres : ndarray, shape (n_segments, n_features)
        In standardised features: (features − location) / scale.
    location, scale : ndarray, shape (n_features,)
    """

    centres: FloatArray
    location: FloatArray
    scale: FloatArray

    @property
    def n_features(self) -> int:
        """How many features a request must bring."""
        return int(self.centres.shape[1])

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the segments, s00 first."""
        return tuple(f"s{number:02d}" for number in range(len(self.centres)))

    @cached_property
    def version(self) -> str:
        """Short hash of the numbers: evidence of another version is of other segments."""
        digest = blake2b(digest_size=4)
        for name in _FIELDS:
            digest.update(np.ascontiguousarray(getattr(self, name), dtype="<f8").tobytes())
        return digest.hexdigest()

    def segment_of(self, features: Sequence[float] | FloatArray) -> str:
        """Return the name of the segment whose centre is nearest.

        Raises
        ------
        InvalidRequest
            If there are more or fewer features than the segments were fitted on, or one is not finite.
        """
        weights, bias = self._plane
        if len(features) != weights.shape[1]:
            raise InvalidRequest("features", f"{len(features)} numbers, where segments have {weights.shape[1]}")
        nearness = weights @ np.asarray(features, dtype=np.float64) + bias
        best = nearness.argmax()  # NaN counts as largest, so one look is enough
        if not -np.inf < nearness[best] < np.inf:
            raise InvalidRequest("features", "must be finite numbers")
        return self.names[best]

    def numbers_of(self, features: FloatArray) -> IntArray:
        """Return the number of each row's segment; `features` has shape (n_rows, n_features)."""
        weights, bias = self._plane
        if features.ndim != 2 or features.shape[1] != weights.shape[1]:
            raise InvalidRequest("features", f"{features.shape[-1]} numbers, where segments have {weights.shape[1]}")
        if not np.isfinite(features).all():
            raise InvalidRequest("features", "must be finite numbers")
        return np.asarray((features @ weights.T + bias).argmax(axis=1))

    def segments_of(self, features: FloatArray) -> tuple[str, ...]:
        """Return the name of each row's segment; `features` has shape (n_rows, n_features)."""
        return tuple(self.names[number] for number in self.numbers_of(features))

    @cached_property
    def _plane(self) -> tuple[FloatArray, FloatArray]:
        """Return (W, b) such that the nearest centre has the largest W·features + b: −|x − c|² less its part in x."""
        scaled = self.location / self.scale
        weights = 2.0 * self.centres / self.scale
        return weights, -(self.centres**2).sum(axis=1) - 2.0 * self.centres @ scaled

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types that `from_dict` reads back, to the last bit."""
        return {"version": self.version, **{name: getattr(self, name).tolist() for name in _FIELDS}}

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> Self:
        """Return the segmenter that `to_dict` wrote.

        Raises
        ------
        InvalidRequest
            If it is not what `to_dict` writes, or was changed since.
        """
        try:
            read = cls(*(np.array(saved[name], dtype=np.float64) for name in _FIELDS))
            version = str(saved["version"])
            fits = read.centres.ndim == 2 and read.location.shape == read.scale.shape == read.centres.shape[1:]
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidRequest("segments", f"unreadable or half-written: {error!r}") from None
        if not fits or not len(read.centres) or not all(np.isfinite(getattr(read, name)).all() for name in _FIELDS):
            raise InvalidRequest("segments", "shapes do not fit together, or a number is not finite")
        if not (read.scale > 0).all() or read.version != version:
            raise InvalidRequest("segments", f"version {version} does not fit the numbers; fit the segments anew")
        return read


def fit_segmenter(features: FloatArray, n_segments: int, rng: np.random.Generator) -> Segmenter:
    """Return k-means segments of the standardised features, the best of several restarts.

    Parameters
    ----------
    features : ndarray, shape (n_rows, n_features)
    n_segments : int
        Fewer come back where fewer rows are distinct.
    rng : numpy.random.Generator
        Chooses where the restarts begin.

    References
    ----------
    Arthur & Vassilvitskii (2007), SODA, for the beginnings.
    """
    if n_segments < 1 or features.ndim != 2 or not features.size:
        raise InvalidRequest("segments", "needs one segment or more, and rows of features to fit it on")
    if not np.isfinite(features).all():
        raise InvalidRequest("features", "must be finite numbers")
    location, spread = features.mean(axis=0), features.std(axis=0)
    scale = np.where(spread > 1e-9 * np.maximum(np.abs(location), 1.0), spread, 1.0)
    points = (features - location) / scale
    centres = _best_centres(points, min(n_segments, len(np.unique(points, axis=0))), rng)
    sizes = np.bincount(vq(points, centres)[0], minlength=len(centres))
    return Segmenter(centres[np.argsort(-sizes, kind="stable")], location, scale)


def _best_centres(points: FloatArray, n_segments: int, rng: np.random.Generator) -> FloatArray:
    """Return the centres of least inertia; where every restart leaves a segment empty, one segment fewer is tried."""
    best: FloatArray = points.mean(axis=0, keepdims=True)
    least = np.inf
    while n_segments > 1 and least == np.inf:
        for _ in range(N_RESTARTS):
            try:
                centres, _label = kmeans2(points, n_segments, iter=_N_SWEEPS, minit="++", missing="raise", rng=rng)
            except ClusterError:
                continue
            inertia = float((vq(points, centres)[1] ** 2).sum())
            if inertia < least:
                best, least = centres, inertia
        n_segments -= 1
    return best
