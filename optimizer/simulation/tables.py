"""Replay tables: the long CSV or Parquet of prompts by models, read once into arrays and checked."""

import gzip
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from optimizer.decision.belief import FloatArray
from optimizer.errors import InvalidTable, MissingExtra
from optimizer.simulation.recorded import ReplayTable

try:
    import polars as pl
except ImportError as missing:  # pragma: no cover - the suite installs every extra
    raise MissingExtra("replay", "replay") from missing

_TEXTS = ("prompt_id", "use_case", "model")
_NUMBERS = ("prompt_tokens", "quality", "cost_usd", "output_tokens", "latency_s")
_PRICES = ("input_usd_per_mtok", "output_usd_per_mtok")
_LIST = ("price_in_usd_per_m", "price_out_usd_per_m")


def table_name(path: Path) -> str:
    """Return the file name without `.csv`, `.csv.gz` or `.parquet`."""
    name = path.name
    for ending in (".csv.gz", ".csv", ".parquet"):
        name = name.removesuffix(ending)
    return name


def read_table(path: Path, models: Sequence[str] | None = None, *, features: bool = False) -> ReplayTable:
    """Return the table in `path`, restricted to `models`, with the features beside it where they are asked for.

    Raises
    ------
    InvalidTable
        If the file is missing, unreadable or half-written, a column is missing, a quality is outside [0, 1], a cost or
        token count is negative, a prompt and model stand twice, or no prompt has all the models; likewise its features.
    """
    table = _as_table(path, _frame(path), models)
    return _with_features(path, table) if features else table


def read_tables(
    paths: Sequence[Path], models: Sequence[str] | None = None, *, features: bool = False
) -> tuple[ReplayTable, ...]:
    """Return several tables on one model axis: `models`, else those that all of the tables have."""
    frames = [_frame(path) for path in paths]
    if models is None:
        shared = set.intersection(*(set(frame["model"].to_list()) for frame in frames))
        if not shared:
            raise InvalidTable(f"{paths[-1]}: model: none that all {len(paths)} tables have; a stream needs one pool")
        models = sorted(shared)
    tables = [_as_table(path, frame, models) for path, frame in zip(paths, frames, strict=True)]
    if not features:
        return tuple(tables)
    return tuple(_with_features(path, table) for path, table in zip(paths, tables, strict=True))


def read_prior(path: Path, models: Sequence[str], *, features: bool = False) -> ReplayTable:
    """Return the table of past ratings, of those of the models that it has."""
    frame = _frame(path)
    known = set(frame["model"].to_list())
    if not known & set(models):
        raise InvalidTable(f"{path}: model: none of {', '.join(models)}")
    table = _as_table(path, frame, [model for model in models if model in known])
    return _with_features(path, table) if features else table


def read_features(path: Path) -> tuple[tuple[str, ...], FloatArray] | None:
    """Return (prompt ids, features) of the file beside a table, or None where there is none."""
    beside = _beside(path)
    if not beside.exists():
        return None
    frame = _read(beside, ("prompt_id",), ())
    numbers = frame.drop("prompt_id")
    texts = [name for name, kind in numbers.schema.items() if not (kind.is_numeric() or kind == pl.Null)]
    if texts:
        raise InvalidTable(f"{beside}: {texts[0]}: not a number in some rows")
    if frame["prompt_id"].is_duplicated().any():
        raise InvalidTable(f"{beside}: prompt_id: some prompt stands twice")
    return tuple(frame["prompt_id"].to_list()), np.nan_to_num(numbers.cast(pl.Float64).to_numpy())


def features_of(path: Path) -> FloatArray:
    """Return the features beside a table, all rows; without them is an error."""
    found = read_features(path)
    if found is None:
        raise InvalidTable(f"{_beside(path)}: no such file; segments need the features of every prompt")
    return found[1]


def _beside(path: Path) -> Path:
    return path.with_name(f"{table_name(path)}.features.csv.gz")


def _with_features(path: Path, table: ReplayTable) -> ReplayTable:
    found = read_features(path)
    if found is None:
        return table
    at = {prompt: position for position, prompt in enumerate(found[0])}
    unknown = [prompt for prompt in table.prompts if prompt not in at]
    if unknown:
        raise InvalidTable(f"{_beside(path)}: prompt_id: no row of {unknown[0]!r}, which the table has")
    return replace(table, features=found[1][[at[prompt] for prompt in table.prompts]])


def _as_table(path: Path, frame: pl.DataFrame, models: Sequence[str] | None) -> ReplayTable:
    if models is not None:
        known = sorted(frame["model"].unique().to_list())
        unknown = [model for model in models if model not in known]
        if unknown:
            raise InvalidTable(f"{path}: model: no rows of {', '.join(unknown)}; it has: {', '.join(known)}")
        frame = frame.filter(pl.col("model").is_in(list(models)))
    names = tuple(sorted(frame["model"].unique().to_list()))
    kept, n_left_out = _complete(path, frame, names)
    shape = (len(kept) // len(names), len(names))
    arrays = {column: kept[column].cast(pl.Float64).fill_null(np.nan).to_numpy().reshape(shape) for column in _NUMBERS}
    first = kept.filter(pl.col("model") == names[0])
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
        _context_tokens(arrays["prompt_tokens"]),
        inputs,
        outputs,
        n_left_out,
    )


def _complete(path: Path, frame: pl.DataFrame, names: tuple[str, ...]) -> tuple[pl.DataFrame, int]:
    """Return the rows of prompts that every model answered at a known cost, in order, and how many prompts fell out."""
    whole = frame.filter(pl.col("quality").is_not_null() & pl.col("cost_usd").is_not_null())
    complete = whole.group_by("prompt_id").len().filter(pl.col("len") == len(names))["prompt_id"]
    if complete.is_empty():
        without = sorted(set(names) - set(whole["model"].to_list()))
        advice = f"{', '.join(without)} has none; choose models" if without else "choose fewer models"
        raise InvalidTable(f"{path}: no prompt has a quality and a cost_usd of all {len(names)} models: {advice}")
    kept = whole.filter(pl.col("prompt_id").is_in(complete.implode())).sort("prompt_id", "model")
    if kept.group_by("prompt_id").agg(pl.col("use_case").n_unique())["use_case"].max() != 1:
        raise InvalidTable(f"{path}: use_case: some prompt has more than one")
    return kept, frame["prompt_id"].n_unique() - len(complete)


def _read(path: Path, texts: Sequence[str], numbers: Sequence[str]) -> pl.DataFrame:
    if not path.exists():
        raise InvalidTable(f"{path}: no such file")
    try:
        if path.suffix == ".parquet":
            frame = pl.read_parquet(path)
        else:
            kinds = dict.fromkeys(texts, pl.String)
            frame = pl.read_csv(_whole(path), schema_overrides=kinds, infer_schema_length=None)
        missing = [column for column in (*texts, *numbers) if column not in frame.columns]
        frame = frame.with_columns(pl.col(column).cast(pl.String) for column in texts if not missing)
    except (pl.exceptions.PolarsError, OSError, EOFError, zlib.error) as error:
        raise InvalidTable(f"{path}: unreadable or half-written: {str(error).splitlines()[0]}") from None
    if missing:
        raise InvalidTable(f"{path}: missing columns: {', '.join(missing)}")
    if frame.is_empty():
        raise InvalidTable(f"{path}: no rows")
    empty = [column for column in texts if frame[column].null_count()]
    if empty:
        raise InvalidTable(f"{path}: {empty[0]}: empty in some rows; is the file cut short?")
    return frame


def _whole(path: Path) -> bytes:
    """Return the text of a CSV, unpacked, unless it was cut off inside a row."""
    packed = path.read_bytes()
    text = gzip.decompress(packed) if packed.startswith(b"\x1f\x8b") else packed
    lines = text.rstrip(b"\r\n")
    header, last = lines[: lines.find(b"\n")], lines[lines.rfind(b"\n") + 1 :]
    if b'"' not in last and last.count(b",") < header.count(b","):
        n_columns = last.count(b",") + 1
        raise InvalidTable(f"{path}: half-written: the last row has {n_columns} of {header.count(b',') + 1} columns")
    return text


def _frame(path: Path) -> pl.DataFrame:
    """Return the rows of a table, checked."""
    frame = _read(path, _TEXTS, _NUMBERS)
    for column in (*_NUMBERS, *(price for price in _PRICES if price in frame.columns)):
        values = frame[column]
        if not (values.dtype.is_numeric() or values.null_count() == len(values)):
            raise InvalidTable(f"{path}: {column}: not a number in some rows")
        values = values.cast(pl.Float64)
        bad = ~values.is_between(0.0, 1.0 if column == "quality" else np.finfo(np.float64).max) | values.is_nan()
        if bad.any():
            raise InvalidTable(f"{path}: {column}: row {int(bad.arg_max() or 0) + 1} is out of range")
    if frame.select("prompt_id", "model").is_duplicated().any():
        raise InvalidTable(f"{path}: prompt_id, model: some pair stands twice")
    return frame


def _prices(path: Path, kept: pl.DataFrame, names: tuple[str, ...]) -> tuple[FloatArray, FloatArray]:
    """Return dollars per (input, output) token: the table's own columns, else the list beside it, else NaN."""
    if set(_PRICES) <= set(kept.columns):
        last = kept.group_by("model", maintain_order=True).last().sort("model")
        inputs, outputs = (last[column].cast(pl.Float64).fill_null(np.nan).to_numpy() / 1e6 for column in _PRICES)
        return inputs, outputs
    rows = _listed(path.with_name("models.csv"), table_name(path))
    listed = np.array([[rows.get(name, (None, None))[side] for name in names] for side in range(2)], dtype=np.float64)
    return listed[0] / 1e6, listed[1] / 1e6


def _listed(path: Path, dataset: str) -> Mapping[str, tuple[float | None, float | None]]:
    """Return the list prices of a data set; none where the file is missing or another kind of list."""
    if not path.exists() or not {"dataset", "model", *_LIST} <= _header(path):
        return {}
    frame = _read(path, ("dataset", "model"), _LIST).filter(pl.col("dataset") == dataset)
    try:
        return {model: (inputs, outputs) for model, inputs, outputs in frame.select("model", *_LIST).iter_rows()}
    except ValueError:
        raise InvalidTable(f"{path}: {_LIST[0]}: not a number in some rows") from None


def _header(path: Path) -> set[str]:
    with path.open(encoding="utf-8", errors="replace") as lines:
        return set(lines.readline().strip().split(","))


def _context_tokens(prompt_tokens: FloatArray) -> FloatArray:
    """Return the median over the models, which count the same text differently; 0 where nobody counted."""
    known = np.where(np.isnan(prompt_tokens).all(axis=1, keepdims=True), 0.0, prompt_tokens)
    return np.asarray(np.nanmedian(known, axis=1))


def _output_tokens(arrays: Mapping[str, FloatArray], input_usd: FloatArray, output_usd: FloatArray) -> FloatArray:
    """Return output tokens; where only the bill is known, what it and the price come to."""
    with np.errstate(divide="ignore", invalid="ignore"):
        billed = (arrays["cost_usd"] - np.nan_to_num(arrays["prompt_tokens"]) * input_usd) / output_usd
    derived = np.where(np.isfinite(billed), np.maximum(billed, 0.0), np.nan)
    return np.where(np.isnan(arrays["output_tokens"]), derived, arrays["output_tokens"])
