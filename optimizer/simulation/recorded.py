"""A recorded table: what every chosen model answered to every prompt, as arrays; reading files is left to `tables`."""

from dataclasses import dataclass

from optimizer.decision.belief import FloatArray


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
    features : ndarray, shape (n_prompts, n_features), or None
        From the file beside the table, where it was asked for.
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
    n_left_out: int = 0
    features: FloatArray | None = None

    @property
    def n_prompts(self) -> int:
        """Number of prompts that every chosen model answered."""
        return len(self.prompts)
