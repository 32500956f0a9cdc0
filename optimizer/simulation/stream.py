"""A stream: recorded tables one after another, every prompt placed on common axes; and the order of serving."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from optimizer.decision.belief import FloatArray, IntArray
from optimizer.decision.evidence import bin_tokens, length_bin
from optimizer.decision.segments import Segmenter
from optimizer.errors import InvalidTable, UnknownModel
from optimizer.simulation.recorded import ReplayTable


@dataclass(frozen=True)
class Stream:
    """Recorded calls on common axes; prompts before `n_prior` are past ratings and are not served.

    Attributes
    ----------
    tables, models, use_cases, cells : tuple of str
        Names of the tables, and of the arm, use-case and context axes.
    table, use_case, context, row : ndarray of int, shape (n_prompts,)
        Where each prompt belongs; a row is a context and a bin of request length.
    context_use_case : ndarray of int, shape (n_contexts,)
    row_context, row_tokens : ndarray, shape (n_rows,)
    quality, cost_usd, input_tokens, output_tokens : ndarray, shape (n_prompts, n_arms)
        NaN where unknown.
    context_tokens : ndarray, shape (n_prompts,)
    features : ndarray, shape (n_prompts, n_features), or None
    input_usd, output_usd : ndarray, shape (n_tables, n_arms)
        Dollars per token in force while a table is served.
    incumbent : int
        Position of the incumbent on the arm axis.
    n_left_out : int
        Prompts that some chosen model lacks.
    """

    tables: tuple[str, ...]
    models: tuple[str, ...]
    use_cases: tuple[str, ...]
    cells: tuple[str, ...]
    table: IntArray
    use_case: IntArray
    context: IntArray
    row: IntArray
    context_use_case: IntArray
    row_context: IntArray
    row_tokens: FloatArray
    quality: FloatArray
    cost_usd: FloatArray
    input_tokens: FloatArray
    output_tokens: FloatArray
    context_tokens: FloatArray
    features: FloatArray | None
    input_usd: FloatArray
    output_usd: FloatArray
    incumbent: int
    n_left_out: int
    n_prior: int = 0

    @property
    def shape(self) -> tuple[int, int]:
        """(n_contexts, n_arms)."""
        return len(self.cells), len(self.models)


def make_stream(
    tables: Sequence[ReplayTable],
    *,
    segmenter: Segmenter | None = None,
    incumbent: str | None = None,
    prior: ReplayTable | None = None,
) -> Stream:
    """Return the stream of `tables`, all on one model axis.

    Parameters
    ----------
    tables : sequence of ReplayTable
    segmenter : Segmenter, optional
        Splits use cases by the tables' features.
    incumbent : str, optional
        Default: the best single model over the tables.
    prior : ReplayTable, optional
        Past ratings to start from; it may lack some models.
    """
    models = tables[0].models
    parts = (*(() if prior is None else (_on_axis(prior, models),)), *tables)
    n_prior = 0 if prior is None else prior.n_prompts
    names = [name for part in parts for name in part.use_cases]
    use_cases, use_case = np.unique(np.array(names), return_inverse=True)
    segments, segment = _segments(parts, segmenter)
    context = use_case * len(segments) + segment
    bins = np.array([length_bin(round(tokens)) for part in parts for tokens in part.context_tokens.tolist()])
    rows, row = np.unique(np.stack([context, bins], axis=1), axis=0, return_inverse=True)
    quality = np.concatenate([part.quality for part in parts])
    table = np.repeat(np.arange(len(parts)), [part.n_prompts for part in parts]) - (prior is not None)
    return Stream(
        tables=tuple(part.name for part in tables),
        models=models,
        use_cases=tuple(str(name) for name in use_cases),
        cells=tuple(f"{name}/{part}" for name in use_cases for part in segments),
        table=table,
        use_case=use_case,
        context=context,
        row=row.reshape(-1),
        context_use_case=np.repeat(np.arange(len(use_cases)), len(segments)),
        row_context=rows[:, 0],
        row_tokens=np.array([bin_tokens(number) for number in rows[:, 1].tolist()]),
        quality=quality,
        cost_usd=np.concatenate([part.cost_usd for part in parts]),
        input_tokens=np.concatenate([part.input_tokens for part in parts]),
        output_tokens=np.concatenate([part.output_tokens for part in parts]),
        context_tokens=np.concatenate([part.context_tokens for part in parts]),
        features=_features(parts),
        input_usd=np.array([part.input_usd for part in tables]),
        output_usd=np.array([part.output_usd for part in tables]),
        incumbent=_incumbent(incumbent, models, quality[n_prior:]),
        n_left_out=sum(part.n_left_out for part in tables),
        n_prior=n_prior,
    )


def served_order(stream: Stream, seed: int, limit: int | None = None) -> IntArray:
    """Return the prompts in the order in which `seed` serves them: table after table, each shuffled.

    The order depends on nothing else, so every policy gets the same; `limit` keeps the first of each table.
    """
    parts = []
    for number in range(len(stream.tables)):
        prompts = np.flatnonzero(stream.table == number)
        prompts = prompts[prompts >= stream.n_prior]
        parts.append(np.random.default_rng((seed, number)).permutation(prompts)[:limit])
    return np.concatenate(parts)


def blocks(stream: Stream, order: IntArray, size: int) -> Iterator[slice]:
    """Yield slices of `order`, of `size` calls or fewer: beliefs are refreshed before each, and with every table."""
    table = stream.table[order]
    start = 0
    while start < len(order):
        stop = min(start + size, int(np.searchsorted(table, table[start], side="right")))
        yield slice(start, stop)
        start = stop


def _on_axis(table: ReplayTable, models: tuple[str, ...]) -> ReplayTable:
    """Return the table with a column for each of `models`, NaN where it has none."""
    at = [models.index(model) for model in table.models]
    found = (table.quality, table.cost_usd, table.input_tokens, table.output_tokens)
    wide = np.full((len(found), table.n_prompts, len(models)), np.nan)
    wide[:, :, at] = found
    quality, cost, inputs, outputs = wide
    return replace(table, models=models, quality=quality, cost_usd=cost, input_tokens=inputs, output_tokens=outputs)


def _segments(parts: Sequence[ReplayTable], segmenter: Segmenter | None) -> tuple[tuple[str, ...], IntArray]:
    """Return the names of the segments, and each prompt's number among them."""
    if segmenter is None:
        return ("all",), np.zeros(sum(part.n_prompts for part in parts), dtype=np.intp)
    for part in parts:
        n_features = 0 if part.features is None else part.features.shape[1]
        if n_features != segmenter.n_features:
            raise InvalidTable(
                f"{part.name}: features: {n_features or 'none'} beside the table, "
                f"but the segments were fitted on {segmenter.n_features}"
            )
    return segmenter.names, np.concatenate([segmenter.numbers_of(part.features) for part in parts])  # type: ignore[arg-type]


def _features(parts: Sequence[ReplayTable]) -> FloatArray | None:
    """Return the features of all prompts, or None where some table has none or others."""
    found = [part.features for part in parts if part.features is not None]
    if len(found) < len(parts) or len({features.shape[1] for features in found}) > 1:
        return None
    return np.concatenate(found)


def _incumbent(name: str | None, models: tuple[str, ...], quality: FloatArray) -> int:
    if name is None:
        return int(quality.mean(axis=0).argmax())
    if name not in models:
        raise UnknownModel(name, models)
    return models.index(name)
