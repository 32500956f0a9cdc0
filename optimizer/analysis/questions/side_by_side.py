"""Scores of several models on the same prompts, a row per prompt, as the replay table that `optimizer replay` reads."""

from pathlib import Path

import polars as pl

from optimizer.errors import InvalidTable

QUALITY, COST = "quality:", "cost_usd:"  # before the name of a model
_KNOWN = ("prompt_tokens", "output_tokens", "latency_s")


def as_replay_table(path: Path) -> pl.DataFrame:
    """Return a CSV of prompts by models in the long form of replay tables, a row per prompt and model.

    Columns: `prompt_id`, `use_case` (without it, all prompts are of one), and for every model `quality:MODEL` in [0, 1]
    and `cost_usd:MODEL`. What it does not know of tokens and latency stays empty. `simulation.tables.read_table` checks
    every number once the table is written.

    Raises
    ------
    InvalidTable
        If the file cannot be read, has no such columns, or a model has the one but not the other.
    """
    try:
        frame = pl.read_csv(path, infer_schema_length=None)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InvalidTable(f"{path}: unreadable: {str(error).splitlines()[0]}") from None
    models = [name.removeprefix(QUALITY) for name in frame.columns if name.startswith(QUALITY)]
    priced = [name.removeprefix(COST) for name in frame.columns if name.startswith(COST)]
    if "prompt_id" not in frame.columns or not models:
        raise InvalidTable(f"{path}: needs the columns prompt_id, {QUALITY}MODEL and {COST}MODEL")
    if odd := sorted(set(models) ^ set(priced)):
        raise InvalidTable(f"{path}: {', '.join(odd)}: has only one of {QUALITY} and {COST}")
    use_case = pl.col("use_case") if "use_case" in frame.columns else pl.lit("all")
    parts = [
        frame.select(
            "prompt_id",
            use_case.alias("use_case"),
            *(pl.lit(None, pl.Float64).alias(name) for name in _KNOWN),
            pl.lit(model).alias("model"),
            pl.col(f"{QUALITY}{model}").alias("quality"),
            pl.col(f"{COST}{model}").alias("cost_usd"),
        )
        for model in models
    ]
    return pl.concat(parts, how="vertical_relaxed")
