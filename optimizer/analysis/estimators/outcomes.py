"""A model of the reward: shrunken means of contexts and arms, and straight lines in the features, from additive sums.

It need not be right: what rests on it is only how narrow a doubly robust interval is, never whether it holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from optimizer.decision.belief import FloatArray, IntArray

_EFFECT_WEIGHT = 10.0  # rewards at which the effect of an arm, a context or a cell is believed by half
_RIDGE = 20.0  # the same for slopes of standardised features
_ROUNDS, _SWEEPS = 3, 5


@dataclass(frozen=True)
class OutcomeModel:
    """Expected rewards.

    Attributes
    ----------
    cell : ndarray, shape (n_contexts, n_arms)
        At features of 0.
    slopes : ndarray, shape (n_features, n_arms)
    """

    cell: FloatArray
    slopes: FloatArray

    def predict(self, context: IntArray, features: FloatArray) -> FloatArray:
        """Return the expected reward of every arm, shape (n_calls, n_arms)."""
        return np.asarray(self.cell[context] + features @ self.slopes)


@dataclass(frozen=True)
class OutcomeSums:
    """What the model is fitted on: sums over calls, so that earlier ones never have to be read again.

    Attributes
    ----------
    n, total : ndarray, shape (n_contexts, n_arms)
        Known rewards, and their sum.
    where : ndarray, shape (n_contexts, n_arms, n_columns)
        Sums of the columns that the slopes belong to: features, and features of each arm.
    gram, product : ndarray, shape (n_columns, n_columns) and (n_columns,)
    """

    n: FloatArray
    total: FloatArray
    where: FloatArray
    gram: FloatArray
    product: FloatArray

    @classmethod
    def empty(cls, n_contexts: int, n_arms: int, n_features: int) -> "OutcomeSums":
        """Return the sums of no calls."""
        cells, width = (n_contexts, n_arms), n_features * (n_arms + 1)
        return cls(np.zeros(cells), np.zeros(cells), np.zeros((*cells, width)), np.zeros((width,) * 2), np.zeros(width))

    @classmethod
    def stacked(cls, parts: Sequence["OutcomeSums"]) -> "OutcomeSums":
        """Return the sums of several sets of calls along a new first axis; `counted` adds them up."""
        return cls(*(np.stack([getattr(part, field.name) for part in parts]) for field in fields(cls)))

    def counted(self, times: FloatArray) -> "OutcomeSums":
        """Return the total of stacked sums, each counted so many times."""
        return OutcomeSums(*(np.asarray(np.tensordot(times, getattr(self, field.name), 1)) for field in fields(self)))

    def after(self, context: IntArray, arm: IntArray, features: FloatArray, reward: FloatArray) -> "OutcomeSums":
        """Return the sums with some more calls, all of known reward."""
        n_arms = self.n.shape[1]
        columns = _columns(arm, features, n_arms)
        flat = context * n_arms + arm

        def by_cell(values: FloatArray | None) -> FloatArray:
            return np.bincount(flat, values, minlength=self.n.size).astype(np.float64)

        where = np.stack([by_cell(column) for column in columns.T], axis=1) if columns.size else self.where
        return OutcomeSums(
            self.n + by_cell(None).reshape(self.n.shape),
            self.total + by_cell(reward).reshape(self.n.shape),
            self.where + where.reshape(self.where.shape) if columns.size else self.where,
            self.gram + columns.T @ columns,
            self.product + columns.T @ reward,
        )

    def fit(self) -> OutcomeModel:
        """Return the model; there must be a known reward. Means and slopes take turns until they agree."""
        slopes: FloatArray = np.zeros(self.product.size)
        cell = self.n
        penalised = self.gram + _RIDGE * np.eye(slopes.size)
        for _ in range(_ROUNDS):
            cell = _shrunken(self.n, self.total - self.where @ slopes)
            slopes = np.asarray(
                np.linalg.solve(penalised, self.product - np.tensordot(cell, self.where, 2)), np.float64
            )
        by_arm = slopes.reshape(self.n.shape[1] + 1, -1)
        return OutcomeModel(cell, np.asarray((by_arm[0] + by_arm[1:]).T))


def _columns(arm: IntArray, features: FloatArray, n_arms: int) -> FloatArray:
    """Return the features, followed by a copy of them for each arm that is 0 elsewhere."""
    n, width = features.shape
    columns = np.zeros((n, n_arms + 1, width))
    columns[:, 0] = features
    columns[np.arange(n), arm + 1] = features
    return columns.reshape(n, (n_arms + 1) * width)


def _shrunken(n: FloatArray, total: FloatArray) -> FloatArray:
    """Return means of cells: the overall one, plus effects of arm, context and cell, each shrunk to none."""
    overall = total.sum() / n.sum()
    arm, context, cell = np.zeros(n.shape[1]), np.zeros((len(n), 1)), np.zeros_like(n)
    for _ in range(_SWEEPS):
        arm = (total - n * (overall + context + cell)).sum(axis=0) / (n.sum(axis=0) + _EFFECT_WEIGHT)
        rest = (total - n * (overall + arm + cell)).sum(axis=1, keepdims=True)
        context = rest / (n.sum(axis=1, keepdims=True) + _EFFECT_WEIGHT)
        cell = (total - n * (overall + arm + context)) / (n + _EFFECT_WEIGHT)
    return np.asarray(overall + arm + context + cell)
