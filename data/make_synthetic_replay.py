"""Makes `synthetic_replay.csv.gz`: invented models answering invented prompts, the same bytes every time.

A prompt has a difficulty that all models share, so a prompt that one model fails is hard for the others too. A model
has a skill per use case. Quality is graded, not tossed: a logistic curve of skill less difficulty, some noise of this
answer alone, rounded to the twentieths that a five-star scale with judges' averages gives. Harder prompts are longer
and get longer answers; cost is tokens times the list price; latency is a start-up time plus a time per output token.
No part of it is the likelihood that the optimizer assumes.
"""

import csv
import gzip
import io
import math
from pathlib import Path

import numpy as np

PATH = Path(__file__).with_name("synthetic_replay.csv.gz")
SEED = 20_261_124
N_PROMPTS = 400

# use case: median prompt tokens, median output tokens, mean difficulty
USE_CASES = {"code": (2_400, 700, 0.6), "chat": (600, 180, -0.4), "summary": (6_000, 260, 0.0)}

# model: input and output dollars per million tokens, seconds to start, seconds per output token, verbosity,
# and skill in code, chat, summary. "swift" is cheap and good at chat; "quill" writes summaries as well as "titan".
MODELS = {
    "titan": (5.00, 25.00, 0.9, 0.0150, 1.2, (2.9, 2.2, 2.4)),
    "anvil": (1.50, 6.00, 0.6, 0.0100, 1.0, (2.6, 1.4, 1.3)),
    "quill": (0.60, 2.40, 0.5, 0.0080, 0.9, (0.8, 1.5, 2.3)),
    "swift": (0.15, 0.60, 0.3, 0.0040, 0.8, (0.3, 1.9, 0.9)),
    "mote": (0.05, 0.20, 0.2, 0.0030, 0.7, (-0.8, 0.5, 0.1)),
}
COLUMNS = (
    "prompt_id", "use_case", "prompt_tokens", "model", "quality", "cost_usd", "output_tokens", "latency_s",
    "input_usd_per_mtok", "output_usd_per_mtok",
)  # fmt: skip


def rows(seed: int = SEED) -> list[dict[str, object]]:
    """Return the rows of the table, prompt by prompt."""
    rng = np.random.default_rng(seed)
    table = []
    for position, (use_case, (median_in, median_out, hardness)) in enumerate(USE_CASES.items()):
        for number in range(N_PROMPTS):
            difficulty = hardness + rng.normal(0.0, 1.1)
            n_in = max(20, round(median_in * math.exp(rng.normal(0.12 * difficulty, 0.5))))
            for model, (usd_in, usd_out, start_s, token_s, verbosity, skills) in MODELS.items():
                level = 1.0 / (1.0 + math.exp(-1.3 * (skills[position] - difficulty + rng.normal(0.0, 0.6))))
                n_out = max(5, round(verbosity * median_out * math.exp(rng.normal(0.15 * difficulty, 0.35))))
                latency_s = start_s * math.exp(rng.normal(0.0, 0.3)) + n_out * token_s * math.exp(rng.normal(0.0, 0.1))
                table.append(
                    {
                        "prompt_id": f"{use_case}-{number:03d}",
                        "use_case": use_case,
                        "prompt_tokens": n_in,
                        "model": model,
                        "quality": f"{round(level * 20) / 20:.2f}",
                        "cost_usd": f"{(n_in * usd_in + n_out * usd_out) / 1e6:.9g}",
                        "output_tokens": n_out,
                        "latency_s": f"{latency_s:.2f}",
                        "input_usd_per_mtok": f"{usd_in:g}",
                        "output_usd_per_mtok": f"{usd_out:g}",
                    }
                )
    return table


def csv_text(seed: int = SEED) -> str:
    """Return the table as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows(seed))
    return text.getvalue()


def main() -> None:
    """Write the table beside this file."""
    # No file name and no time in the header: the same bytes every time.
    with PATH.open("wb") as file, gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed:
        packed.write(csv_text().encode())


if __name__ == "__main__":
    main()
