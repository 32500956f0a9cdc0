"""Invented logs as plain CSV, as somebody may have kept them, with the truth about them.

Three models, easy and hard requests; hard ones mostly went to the large model, so its plain mean rating looks bad.
"""

import csv
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

SEED = 20_261_124
MODELS = ("small", "medium", "large")
CONTEXTS = ("easy", "hard")
COLUMNS = ("time", "context", "model", *(f"chance:{model}" for model in MODELS), "rating", "cost_usd")
_HARD = 0.4  # share of the requests
# By context and model: the chance to be drawn, mean rating, and mean dollars.
_CHANCE = np.array([[0.7, 0.2, 0.1], [0.1, 0.2, 0.7]])
_QUALITY = np.array([[0.86, 0.88, 0.90], [0.42, 0.58, 0.72]])
_USD = np.array([[0.0004, 0.0020, 0.0080], [0.0010, 0.0050, 0.0200]])
_RATED = np.array([0.6, 0.4])  # share of the calls that somebody rated, by context
_START = datetime(2026, 11, 2, 8, tzinfo=UTC)


def write_example_log(path: Path, n_calls: int = 4_000, seed: int = SEED) -> None:
    """Write the log, a call every two minutes, the same one for every seed."""
    rng = np.random.default_rng(seed)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for number in range(n_calls):
            context = int(rng.random() < _HARD)
            model = int(rng.choice(len(MODELS), p=_CHANCE[context]))
            stars = rng.binomial(4, _QUALITY[context, model]) / 4
            rating = f"{stars:.2f}" if rng.random() < _RATED[context] else ""
            usd = _USD[context, model] * rng.lognormal(-0.125, 0.5)
            at = _START + number * timedelta(minutes=2)
            row = (at.isoformat(), CONTEXTS[context], MODELS[model], *_CHANCE[context], rating, f"{usd:.9f}")
            writer.writerow(row)


def write_side_by_side(path: Path, n_prompts: int = 400, seed: int = SEED) -> None:
    """Write what every model scored on the same prompts and what that cost, a row per prompt."""
    rng = np.random.default_rng(seed)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        names = [f"{what}:{model}" for model in MODELS for what in ("quality", "cost_usd")]
        writer.writerow(("prompt_id", "use_case", *names))
        for number in range(n_prompts):
            context = int(rng.random() < _HARD)
            scores = rng.binomial(4, _QUALITY[context]) / 4
            usd = _USD[context] * rng.lognormal(-0.125, 0.5, len(MODELS))
            cells = [f"{value:.9g}" for pair in zip(scores, usd, strict=True) for value in pair]
            writer.writerow((f"prompt-{number:03d}", CONTEXTS[context], *cells))


def truth(policy: Mapping[str, str]) -> tuple[float, float]:
    """Return the true means of (dollars, rating) per call of a policy that says for each context which model serves."""
    shares = np.array([1.0 - _HARD, _HARD])
    arms = [MODELS.index(policy[context]) for context in CONTEXTS]
    each = np.arange(len(CONTEXTS))
    return float(shares @ _USD[each, arms]), float(shares @ _QUALITY[each, arms])
