"""What simulated models are like: ability per benchmark family, wordiness, speed and how often they fail.

Public benchmark figures say something about a simulated model and are sometimes wrong, as in life: its ability is what
the catalogue's figure suggests plus a deviation of its own, drawn from the world's seed.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from optimizer.catalog import Catalog
from optimizer.domain import Family

# In units of prompt difficulty: what one standard deviation of a benchmark tells, how far it is wrong, and what a
# tenfold price tells where no figure exists.
_PER_FIGURE, _DEVIATION, _PER_TENFOLD_PRICE = 0.55, 0.35, 0.4


@dataclass(frozen=True, slots=True)
class Traits:
    """One simulated model.

    Attributes
    ----------
    ability : mapping of family to float
        On the scale of prompt difficulty; 0 is the middle of the catalogue.
    wordiness : float
        Visible output tokens relative to the typical model.
    thinking : float
        Reasoning tokens per visible token where the use case asks for full thought; 0 for a model that does not.
    ttft_ms, tokens_per_s : float
        Typical time to the first token without a prompt or thought, and speed from there on.
    failure_rate, invalid_rate : float
        Shares of calls that fail, and of replies that miss a schema.
    """

    ability: Mapping[Family, float]
    wordiness: float
    thinking: float
    ttft_ms: float
    tokens_per_s: float
    failure_rate: float
    invalid_rate: float


class Nature:
    """Gives each model of a catalogue its traits, the same for the same seed, whatever was asked before."""

    def __init__(self, seed: int, catalog: Catalog) -> None:
        self._seed = seed
        self._catalog = catalog
        self._figures: dict[Family, dict[str, float]] = {}

    def traits(self, model_id: str, families: tuple[Family, ...]) -> Traits:
        """Return what a model of the catalogue is like, with its ability in these families.

        Raises
        ------
        UnknownModel
            If the catalogue has no such model.
        """
        model = self._catalog[model_id]
        rng = generator(self._seed, "traits", model_id)
        price = model.output_usd_per_mtok or 2.0
        wordiness, thinking, ttft, speed, failing, invalid = rng.normal(0.0, 1.0, 6)
        return Traits(
            ability={family: self._ability(model_id, family, price) for family in families},
            wordiness=math.exp(0.15 * wordiness),
            thinking=0.8 * (price / 5.0) ** 0.25 * math.exp(0.3 * thinking) if model.is_reasoning else 0.0,
            ttft_ms=260.0 * price**0.2 * math.exp(0.25 * ttft),
            tokens_per_s=150.0 * price**-0.25 * math.exp(0.2 * speed),
            failure_rate=0.004 * math.exp(0.6 * failing),
            invalid_rate=0.012 * price**-0.3 * math.exp(0.6 * invalid),
        )

    def _ability(self, model_id: str, family: Family, price: float) -> float:
        deviation = float(generator(self._seed, "ability", model_id, family).normal(0.0, _DEVIATION))
        figure = self._standardised(family).get(model_id)
        if figure is None:
            return _PER_TENFOLD_PRICE * math.log10(price / 5.0) + deviation
        return _PER_FIGURE * figure + deviation

    def _standardised(self, family: Family) -> dict[str, float]:
        """Return model → its figure in standard deviations from the catalogue's mean, within ±2.5."""
        if family not in self._figures:
            means = self._catalog.prior_means(family)
            centre, spread = (np.mean(list(means.values())), np.std(list(means.values()))) if means else (0.0, 0.0)
            scale = float(spread) or 1.0
            self._figures[family] = {m: float(np.clip((v - centre) / scale, -2.5, 2.5)) for m, v in means.items()}
        return self._figures[family]


def generator(seed: int, *names: str) -> np.random.Generator:
    """Return a generator of its own for a purpose: independent of all others and of the order of use."""
    key = blake2b("\0".join((str(seed), *names)).encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(key)))
