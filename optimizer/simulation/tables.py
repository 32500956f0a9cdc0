"""Replay tables: the long CSV or Parquet of prompts by models, read once into arrays and checked."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from optimizer.decision.belief import FloatArray, IntArray
from optimizer.errors import InvalidTable, MissingExtra

try:
    import polars as pl
except ImportError as missing:  # pragma: no cover - the suite installs every extra
    raise MissingExtra("replay", "replay") from missing

_COLUMNS = {"prompt_id": pl.String, "use_case": pl.String, "model": pl.String}
_NUMBERS = ("prompt_tokens", "quality", "cost_usd", "output_tokens", "latency_s")
_PRICES = ("input_usd_per_mtok", "output_usd_per_mtok")


@dataclass(frozen=True)
class ReplayTable:
    """What every chosen model would have answered to every prompt; arrays are (n_prompts, n_models).

    Attributes
    ----------
    name : str
        File name without its endings.
    models, prompts, use_cases : tuple of str
        Names of the model axis, of the prompt axis, and of each prompt's use case.
    quality : ndarray
        In [0, 1].
    cost_usd, input_tokens, output_tokens : ndarray
        Of the call; tokens NaN where unknown.
    context_tokens : ndarray, shape (n_prompts,)
        Length of the request, known before the choice.
    input_usd, output_usd : ndarray, shape (n_models,)
        Dollars per token; NaN where the table and models.csv give none.
    n_left_out : int
        Prompts that some chosen model lacks, in quality or cost.
    """

    name: str
    models: tuple[str, ...]
    prompts: tuple[str, ...]
    use_cases: tuple[str, ...]
    quality: FloatArray
    cost_usd: FloatArray
    input_tokens: FloatArray
    output_tokens: FloatArray
    context_tokens: FloatArray
    input_usd: FloatArray
    output_usd: FloatArray
    n_left_out: int

    @property
    def n_prompts(self) -> int:
        """Number of prompts that every chosen model answered."""
        return len(self.prompts)


def table_name(path: Path) -> str:
    """Return the file name without `.csv`, `.csv.gz` or `.parquet`."""
    name = path.name
    for ending in (".csv.gz", ".csv", ".parquet"):
        name = name.removesuffix(ending)
    return name


def read_table(path: Path, models: tuple[str, ...] | None = None) -> ReplayTable:
    """Return the table in `path`, restricted to `models`.

    Raises
    ------
    InvalidTable
        If the file is missing, unreadable or half-written, a column is missing, a quality is outside [0, 1], a cost or
        token count is negative, a prompt and model stand twice, or no prompt has all the models.
    """
    frame = _read(path, _COLUMNS, _NUMBERS)
    if models is not None:
        unknown = [model for model in models if model not in set(frame["model"].to_list())]
        if unknown:
            known = ", ".join(sorted(frame["model"].unique().to_list()))
            raise InvalidTable(f"{path}: model: no rows of {', '.join(unknown)}; it has: {known}")
        frame = frame.filter(pl.col("model").is_in(models))
    names = tuple(sorted(frame["model"].unique().to_list()))
    n_prompts = frame["prompt_id"].n_unique()
    whole = frame.filter(pl.col("quality").is_not_null() & pl.col("cost_usd").is_not_null())
    counts = whole.group_by("prompt_id").len()
    complete = counts.filter(pl.col("len") == len(names))["prompt_id"]
    kept = whole.filter(pl.col("prompt_id").is_in(complete.implode())).sort("prompt_id", "model")
    if kept.is_empty():
        raise InvalidTable(
            f"{path}: no prompt has a quality and a cost of all {len(names)} models; choose fewer models"
        )
    shape = (len(complete), len(names))
    arrays = {column: kept[column].cast(pl.Float64).fill_null(np.nan).to_numpy().reshape(shape) for column in _NUMBERS}
    first = kept.filter(pl.col("model") == names[0])
    context = np.nan_to_num(np.nanmedian(_or_zero(arrays["prompt_tokens"]), axis=1))
    inputs, outputs = _prices(path, kept, names)
    return ReplayTable(
        table_name(path),
        names,
        tuple(first["prompt_id"].to_list()),
        tuple(first["use_case"].to_list()),
        arrays["quality"],
        arrays["cost_usd"],
        arrays["prompt_tokens"],
        _output_tokens(arrays, inputs, outputs),
        context,
        inputs,
        outputs,
        n_prompts - len(complete),
    )


def read_features(path: Path) -> tuple[tuple[str, ...], FloatArray] | None:
    """Return (prompt ids, features) of the file beside a table, or None where there is none."""
    beside = path.with_name(f"{table_name(path)}.features.csv.gz")
    if not beside.exists():
        return None
    frame = _read(beside, {"prompt_id": pl.String}, ())
    numbers = frame.drop("prompt_id").cast(pl.Float64)
    return tuple(frame["prompt_id"].to_list()), np.nan_to_num(numbers.to_numpy())


def _or_zero(tokens: FloatArray) -> FloatArray:
    return np.where(np.isnan(tokens).all(axis=1, keepdims=True), 0.0, tokens)


def _read(path: Path, texts: dict[str, type[pl.String]], numbers: tuple[str, ...]) -> pl.DataFrame:
    if not path.exists():
        raise InvalidTable(f"{path}: no such file")
    try:
        if path.suffix == ".parquet":
            frame = pl.read_parquet(path)
        else:
            frame = pl.read_csv(path, schema_overrides=texts, infer_schema_length=None)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InvalidTable(f"{path}: unreadable or half-written: {str(error).splitlines()[0]}") from None
    missing = [column for column in (*texts, *numbers) if column not in frame.columns]
    if missing:
        raise InvalidTable(f"{path}: missing columns: {', '.join(missing)}")
    empty = [column for column in texts if frame[column].null_count()]
    if empty:
        raise InvalidTable(f"{path}: {empty[0]}: empty in some rows; is the file cut short?")
    for column in numbers:
        values = frame[column]
        if not (values.dtype.is_numeric() or values.null_count() == len(values)):
            raise InvalidTable(f"{path}: {column}: not a number in some rows")
        highest = 1.0 if column == "quality" else np.inf
        bad = values.cast(pl.Float64).is_between(0.0, highest).not_() | values.cast(pl.Float64).is_nan()
        if bad.any():
            raise InvalidTable(f"{path}: {column}: row {int(bad.arg_max() or 0) + 2} is out of range")
    if {"prompt_id", "model"} <= set(texts) and frame.select("prompt_id", "model").is_duplicated().any():
        raise InvalidTable(f"{path}: some prompt and model stand twice")
    return frame


def _prices(path: Path, kept: pl.DataFrame, names: tuple[str, ...]) -> tuple[FloatArray, FloatArray]:
    """Return dollars per (input, output) token: the table's own columns, else the list beside it, else NaN."""
    if set(_PRICES) <= set(kept.columns):
        last = kept.group_by("model").last().sort("model")
        return tuple(last[column].cast(pl.Float64).fill_null(np.nan).to_numpy() / 1e6 for column in _PRICES)  # type: ignore[return-value]
    unknown = np.full(len(names), np.nan)
    listed = path.with_name("models.csv")
    if not listed.exists():
        return unknown, unknown
    columns = ("price_in_usd_per_m", "price_out_usd_per_m")
    frame = _read(listed, {"dataset": pl.String, "model": pl.String}, ()) if _is_price_list(listed) else None
    if frame is None:
        return unknown, unknown
    rows = {row["model"]: row for row in frame.filter(pl.col("dataset") == table_name(path)).iter_rows(named=True)}
    found = [[rows.get(name, {}).get(column) for name in names] for column in columns]
    inputs, outputs = np.array([[np.nan if v is None else float(v) / 1e6 for v in row] for row in found])
    return inputs, outputs


def _is_price_list(path: Path) -> bool:
    with path.open() as lines:
        return lines.readline().startswith("dataset,model,price_in_usd_per_m")


def _output_tokens(arrays: dict[str, FloatArray], input_usd: FloatArray, output_usd: FloatArray) -> FloatArray:
    """Return output tokens; where only the bill is known, what it and the price come to."""
    with np.errstate(divide="ignore", invalid="ignore"):
        billed = (arrays["cost_usd"] - np.nan_to_num(arrays["prompt_tokens"]) * input_usd) / output_usd
    derived = np.where(np.isfinite(billed), np.maximum(billed, 0.0), np.nan)
    return np.where(np.isnan(arrays["output_tokens"]), derived, arrays["output_tokens"])


def contexts_of(use_cases: tuple[str, ...]) -> tuple[tuple[str, ...], IntArray]:
    """Return the distinct use cases in order of name, and each prompt's position among them."""
    names, position = np.unique(np.array(use_cases), return_inverse=True)
    return tuple(str(name) for name in names), position
