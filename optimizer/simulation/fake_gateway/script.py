"""The script of a fake gateway: how every model behaves, what goes wrong and when; from Python or a YAML file."""

from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, ValidationError

from optimizer.domain import Gateway, Price, Share
from optimizer.errors import InvalidSettings
from optimizer.settings.values import Section
from optimizer.simulation.fake_gateway.faults import FaultText

_WHEN = {"after_calls", "after_s"}


class Prices(Section):
    """Dollars per million tokens; None is unknown, and a reply that needs it then has no cost."""

    input_usd_per_mtok: NonNegativeFloat | None = None
    output_usd_per_mtok: NonNegativeFloat | None = None
    cached_usd_per_mtok: NonNegativeFloat | None = None

    @cached_property
    def price(self) -> Price:
        """The same as the library's own noun."""
        return Price(self.input_usd_per_mtok, self.output_usd_per_mtok, self.cached_usd_per_mtok)


class Trouble(Section):
    """A fault and when it strikes: on some calls, for some time, with some chance; all that is given must hold.

    Attributes
    ----------
    fault : str
        A name of `FAULTS`, where it makes sense with a number, such as `rate_limit:7` or `slow_tokens:0.1`.
    from_call, until_call, every : int
        The first call that it strikes, the first that it no longer strikes, and each which of them. A model's own
        troubles count the model's calls, those of the whole script every gateway's.
    after_s, until_s : float
        Seconds since the script began.
    gateway : str or None
        One gateway only.
    whole_gateway : bool
        Whether its other endpoints fail too, those included that health checks ask. Only faults by which no
        completion comes make sense there. Ignored in a model's own troubles.
    """

    fault: FaultText
    probability: Share = 1.0
    from_call: PositiveInt = 1
    until_call: PositiveInt | None = None
    every: PositiveInt = 1
    after_s: NonNegativeFloat = 0.0
    until_s: PositiveFloat | None = None
    gateway: Gateway | None = None
    whole_gateway: bool = False

    def is_due(self, call: int, elapsed_s: float, gateway: Gateway) -> bool:
        """Return whether it may strike the call with this number, chance aside."""
        return (
            self.gateway in {None, gateway}
            and self.from_call <= call < (self.until_call or call + 1)
            and (call - self.from_call) % self.every == 0
            and self.after_s <= elapsed_s < (self.until_s or float("inf"))
        )


class Behaviour(Section):
    """How a model answers.

    Attributes
    ----------
    ttft_s, ttft_sigma : float
        Median of the seconds until the first token, which are log-normal, and sigma of their logarithm.
    tokens_per_s : float or None
        None: all at once.
    output_tokens, output_sigma : int, float
        Median of the reply's length, which is log-normal too, without reasoning.
    reasoning_tokens : int
        Thought before the answer, and billed as output.
    cached_share : float
        Part of the prompt that counts as read from the provider's cache.
    prices : Prices or None
        None: the catalogue's on the day that the server started.
    quality : float
        Share of replies that are good; the others are short apologies, and no JSON where JSON was asked.
    answer : str or None
        What good replies say; None is filler of the right length.
    served_as : str or None
        The model that the reply names; None is the one asked for.
    """

    ttft_s: NonNegativeFloat = 0.0
    ttft_sigma: NonNegativeFloat = 0.0
    tokens_per_s: PositiveFloat | None = None
    output_tokens: PositiveInt = 24
    output_sigma: NonNegativeFloat = 0.0
    reasoning_tokens: NonNegativeInt = 0
    cached_share: Share = 0.0
    prices: Prices | None = None
    quality: Share = 1.0
    answer: str | None = Field(default=None, repr=False)
    served_as: str | None = None


class Change(Behaviour):
    """What of a model's behaviour is different from some call or time on, announced to nobody."""

    after_calls: NonNegativeInt = 0
    after_s: NonNegativeFloat = 0.0


class ModelScript(Behaviour):
    """How a model answers, how that changes, and what goes wrong with it."""

    changes: tuple[Change, ...] = ()
    troubles: tuple[Trouble, ...] = ()

    def over(self, default: "ModelScript") -> "ModelScript":
        """Return this model's script with the default's wherever it says nothing."""
        return default.model_copy(update={name: getattr(self, name) for name in self.model_fields_set})

    def at(self, call: int, elapsed_s: float) -> Behaviour:
        """Return the behaviour at the call with this number, the model's first being 1."""
        due = [change for change in self.changes if change.after_calls < call and change.after_s <= elapsed_s]
        if not due:
            return self
        update = {name: getattr(change, name) for change in due for name in change.model_fields_set - _WHEN}
        return self.model_copy(update=update)


class Script(Section):
    """A whole scripted world.

    Attributes
    ----------
    mode : {"hosted", "oss"}
        Which Portkey is played under /v1: the hosted one, or the open-source gateway.
    time_scale : float
        What every wait is multiplied with; 0 waits for nothing, except where a fault says so.
    models : dict
        Name of the catalogue or on the wire → script; what it does not say, `default` does.
    troubles : tuple of Trouble
        Of every model.
    echo : bool
        Replies are the last user message.
    tools : {"call", "never"}
        Whether a tool is called where the request offers one.
    keys : tuple of str
        The only keys accepted; empty: any, or none.
    slugs : dict
        Name of a stored provider at Portkey → provider; empty: any name, with the provider that has the model.
    configs : dict
        Id of a stored configuration at Portkey → the configuration.
    strict : bool
        Whether parameters that the real model refuses are refused, and those that get lost are lost.
    known_models_only : bool
        Whether a model is unknown (404) that neither the script nor the catalogue has.
    n_generation_misses : int
        How often /generation has not heard of a generation.
    """

    mode: Literal["hosted", "oss"] = "hosted"
    time_scale: NonNegativeFloat = 1.0
    default: ModelScript = ModelScript()
    models: dict[str, ModelScript] = Field(default_factory=dict)
    troubles: tuple[Trouble, ...] = ()
    echo: bool = False
    tools: Literal["call", "never"] = "call"
    keys: tuple[str, ...] = Field(default=(), repr=False)
    slugs: dict[str, str] = Field(default_factory=dict)
    configs: dict[str, dict[str, Any]] = Field(default_factory=dict, repr=False)
    strict: bool = True
    known_models_only: bool = False
    n_generation_misses: NonNegativeInt = 1


def load_script(path: Path) -> Script:
    """Return the script in a YAML file.

    Raises
    ------
    InvalidSettings
        If it cannot be read or something in it is wrong; names every wrong key.
    """
    try:
        given = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InvalidSettings(str(path), (f"cannot be read: {error}",)) from None
    try:
        return Script.model_validate(given or {})
    except ValidationError as error:
        raise InvalidSettings(str(path), tuple(_problem(dict(found)) for found in error.errors())) from None


def _problem(found: dict[str, Any]) -> str:
    where = ".".join(str(part) for part in found["loc"]) or "the file"
    what = "unknown key" if found["type"] == "extra_forbidden" else found["msg"].removeprefix("Value error, ")
    return f"{where}: {what}"
