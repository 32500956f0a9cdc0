"""The sections beside the use cases: gateways, routing, cache, redaction, and the four flags."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field, PositiveFloat, PositiveInt, SecretStr

from optimizer.domain import Gateway
from optimizer.settings.values import Duration, Name, Regex, Section, Url

PORTKEY_URL = "https://api.portkey.ai/v1"
OPENROUTER_URL = "https://openrouter.ai/api/v1"


class PortkeyConfig(Section):
    """How to reach Portkey; `virtual_keys` maps a provider (openai, anthropic, google) to its stored key's name."""

    api_key: SecretStr | None = None
    base_url: Url = PORTKEY_URL
    virtual_keys: dict[Name, SecretStr] = Field(default_factory=dict)

    @property
    def usable(self) -> bool:
        """Whether there is a key, or a gateway of one's own that may need none."""
        return self.api_key is not None or self.base_url != PORTKEY_URL


class OpenRouterConfig(Section):
    """How to reach OpenRouter."""

    api_key: SecretStr | None = None
    base_url: Url = OPENROUTER_URL

    @property
    def usable(self) -> bool:
        """Whether there is a key, or an address that is not OpenRouter's own."""
        return self.api_key is not None or self.base_url != OPENROUTER_URL


class RuleSettings(Section):
    """Where `condition` holds, `model` serves; of several rules the first one that holds."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    condition: Annotated[str, Field(min_length=1)]
    model: Name
    provider: Gateway | None = None


class HealthChecks(Section):
    """When a model at a gateway counts as down, and how often it is asked again."""

    interval_seconds: PositiveFloat = 30.0
    timeout_seconds: PositiveFloat = 10.0
    failure_threshold: PositiveInt = 3


class CostLimits(Section):
    """Hard limits of spending, in dollars per calendar hour, day and month; None is no limit."""

    hourly_usd: PositiveFloat | None = None
    daily_usd: PositiveFloat | None = None
    monthly_usd: PositiveFloat | None = None


class RoutingSettings(Section):
    """Rules that override the choice, health checks and limits."""

    rules: tuple[RuleSettings, ...] = ()
    health_checks: HealthChecks = HealthChecks()
    cost_limits: CostLimits = CostLimits()


class CacheSettings(Section):
    """Whether equal requests are answered from memory, and for how long."""

    enabled: bool = False
    ttl: Duration = timedelta(hours=1)
    max_entries: PositiveInt = 10_000


class RedactionSettings(Section):
    """Whether personal data is masked before a prompt leaves, and further patterns of it (regular expressions)."""

    enabled: bool = False
    patterns: tuple[Regex, ...] = ()


class Flags(Section):
    """The four switches of the environment; all are on unless said otherwise.

    Attributes
    ----------
    routing : bool
        LLM_ROUTING_ENABLED. Off: every call goes to its use case's incumbent.
    cost_optimization : bool
        LLM_COST_OPTIMIZATION. Off: the incumbent serves, and our own choice is logged beside it.
    fallback : bool
        LLM_FALLBACK_ENABLED. Off: the first candidate's error is the answer.
    monitoring : bool
        LLM_MONITORING_ENABLED. Off: no instruments; the ledger stays.
    """

    routing: bool = True
    cost_optimization: bool = True
    fallback: bool = True
    monitoring: bool = True
