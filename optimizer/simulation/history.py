"""What happened in each quarter of an hour of a replay: sums by bucket, kept beside the faded ones."""

from typing import Any

import numpy as np

from optimizer.decision.belief import FloatArray, IntArray

PAST = -1  # the bucket of what was there before the first call


class History:
    """Sums by bucket, not faded; bucket −1 holds what was there before the first call.

    Parameters
    ----------
    shape : tuple of int
        Of one bucket's sums.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._rows = np.zeros((64, *shape))
        self._n_rows = 0

    def add(self, buckets: IntArray, where: tuple[Any, ...], values: FloatArray) -> None:
        """Add values in their buckets, at positions that may repeat."""
        if not len(buckets):
            return
        self._n_rows = max(self._n_rows, int(buckets.max()) + 2)
        while len(self._rows) < self._n_rows:
            self._rows = np.concatenate([self._rows, np.zeros_like(self._rows)])
        np.add.at(self._rows, (buckets + 1, *where), values)

    def since(self, bucket: int) -> tuple[IntArray, FloatArray]:
        """Return the buckets from `bucket` on, and their sums, shape (n_buckets, …); a view, not to be changed."""
        first = min(max(bucket + 1, 0), self._n_rows)
        return np.arange(first - 1, self._n_rows - 1), self._rows[first : self._n_rows]

    def before(self, buckets: IntArray, weight: FloatArray) -> FloatArray:
        """Return the sums before `buckets`, shape (n_arms,), along the last axis.

        Parameters
        ----------
        weight : ndarray, shape (n_weights,)
            Of buckets −1, 0, … .
        """
        found = np.zeros(self._rows.shape[1:])
        for arm, bucket in enumerate(buckets.tolist()):
            n_rows = min(max(bucket + 1, 0), self._n_rows)
            found[..., arm] = np.tensordot(weight[:n_rows], self._rows[:n_rows, ..., arm], axes=1)
        return found
