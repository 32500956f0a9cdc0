"""How far token estimates are off on real texts, by kind of text and tokenizer.

Before learning, after 300 requests of all kinds mixed, and after half the texts of that kind alone, as the traffic of
one use case would be; the other half is estimated. Given: median and 95th percentile of the relative error, and how
often the truth is within the margin. `--fit` prints the start's coefficients, fitted to all tokenizers at once, every
kind of text weighing the same.
"""

import random
import sys

import numpy as np
from scipy.optimize import nnls

from benchmarks.token_texts import Counter, texts, tokenizers
from optimizer.calling.token_features import FEATURES, N_TEXT, features
from optimizer.calling.tokens import OFFSET, Learned

PER_KIND, N_MIXED = 300, 300
Sample = tuple[str, str]  # kind and text


def main() -> None:
    """Print the tables."""
    counters = tokenizers()
    if not counters:
        print("skipped: no tokenizer is installed; pip install litellm tiktoken tokenizers")
        return
    rng = random.Random(5)
    samples = [(kind, text) for kind, pieces in texts(rng, PER_KIND).items() for text in pieces]
    if "--fit" in sys.argv:
        print("\n".join(f"{name:<12} {weight:.2f}" for name, weight in _fitted(samples, counters)))
        return
    rng.shuffle(samples)
    for name, count in counters.items():
        _show(name, count, samples)


def _show(name: str, count: Counter, samples: list[Sample]) -> None:
    known, asked = samples[: len(samples) // 2], samples[len(samples) // 2 :]
    mixed = _learned(count, known[:N_MIXED])
    print(f"{name:<24}" + "".join(f"{when:>14}{'p95':>6}{'in':>6}" for when in ("before", "mixed", "own kind")))
    for kind in dict.fromkeys(kind for kind, _ in samples):
        own = _learned(count, [sample for sample in known if sample[0] == kind])
        texts_asked = [text for found, text in asked if found == kind]
        figures = (_figures(learned, count, texts_asked) for learned in (Learned(), mixed, own))
        print(f"  {kind:<22}" + "".join(figures))


def _learned(count: Counter, samples: list[Sample]) -> Learned:
    learned = Learned()
    for _, text in samples:
        learned = learned.after((features(text), count(text)))
    return learned


def _figures(learned: Learned, count: Counter, asked: list[str]) -> str:
    truth = np.array([count(text) for text in asked])
    mean, high = np.array([learned.estimate(features(text)) for text in asked]).T
    far = np.abs(mean - truth) / truth
    return f"{np.median(far):>14.1%}{np.quantile(far, 0.95):>6.0%}{(high >= truth).mean():>6.0%}"


def _fitted(samples: list[Sample], counters: dict[str, Counter]) -> list[tuple[str, float]]:
    kinds = [kind for kind, _ in samples]
    weight = np.sqrt([1 / kinds.count(kind) for kind in kinds])
    counts = np.array([features(text)[:N_TEXT] for _, text in samples])
    truth = [np.array([count(text) for _, text in samples]) for count in counters.values()]
    rows = np.vstack([counts * (weight / (tokens + OFFSET))[:, None] for tokens in truth])
    wanted = np.concatenate([tokens * weight / (tokens + OFFSET) for tokens in truth])
    return list(zip(FEATURES, nnls(rows, wanted)[0], strict=False))


if __name__ == "__main__":
    main()
