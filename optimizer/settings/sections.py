"""The sections beside the use cases: gateways, routing, cache, redaction, the service, and the four flags."""

from datetime import timedelta
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, SecretStr

from optimizer.domain import Gateway
from optimizer.settings.values import CorsOrigin, Duration, Keys, Name, Regex, Section, Url

PORTKEY_URL = "https://api.portkey.ai/v1"
OPENROUTER_URL = "https://openrouter.ai/api/v1"
PiiKind = Literal["email", "phone", "card", "iban", "ssn", "ip", "secret"]


class PortkeyConfig(Section):
    """How to reach Portkey, hosted or self-hosted.

    Attributes
    ----------
    api_key : tuple of SecretStr
        One key, or two during a rotation; the second is used where the first is refused.
    api_key_file : str or None
        A file that holds the keys, one a line, looked at again when it changes; it takes the place of `api_key`.
    virtual_keys : dict
        Provider (openai, anthropic, google) → the name under which its key is stored at Portkey.
    provider_keys : dict
        Provider → its own key or keys, for a gateway of one's own, which stores none.
    config : str or dict or None
        A stored configuration's id, or a configuration itself.
    custom_host : str or None
        Another host that speaks the provider's dialect.
    feedback : bool
        Whether ratings are sent on to Portkey (hosted only).
    """

    api_key: Keys = ()
    api_key_file: str | None = None
    base_url: Url = PORTKEY_URL
    virtual_keys: dict[Name, SecretStr] = Field(default_factory=dict)
    provider_keys: dict[Name, Keys] = Field(default_factory=dict)
    config: str | dict[str, Any] | None = Field(default=None, repr=False)  # it may hold providers' keys
    custom_host: Url | None = None
    metadata: dict[Name, Annotated[str, Field(max_length=128)]] = Field(default_factory=dict)
    cache_namespace: Name | None = None
    cache_force_refresh: bool = False
    feedback: bool = False

    @property
    def usable(self) -> bool:
        """Whether there is a key, or a gateway of one's own that may need none."""
        return bool(self.api_key) or self.api_key_file is not None or self.base_url != PORTKEY_URL


class OpenRouterConfig(Section):
    """How to reach OpenRouter.

    Attributes
    ----------
    provider : dict
        Preferences among providers, as OpenRouter names them (`order`, `only`, `data_collection`, `max_price` …).
    suffixes : dict
        Model of the catalogue → suffix of its name, such as `nitro` or `floor`.
    send_fallback_models : bool
        Whether a use case's fallback models are named to OpenRouter, which then fails over by itself.
    referer, title : str or None
        What OpenRouter attributes calls to.
    """

    api_key: Keys = ()
    api_key_file: str | None = None
    base_url: Url = OPENROUTER_URL
    provider: dict[str, Any] = Field(default_factory=dict)
    suffixes: dict[Name, Name] = Field(default_factory=dict)
    send_fallback_models: bool = False
    referer: Url | None = None
    title: Annotated[str, Field(min_length=1, max_length=100)] | None = None

    @property
    def usable(self) -> bool:
        """Whether there is a key, or an address that is not OpenRouter's own."""
        return bool(self.api_key) or self.api_key_file is not None or self.base_url != OPENROUTER_URL


class DirectConfig(Section):
    """How to reach a provider, or any OpenAI-compatible server, without a gateway in between."""

    base_url: Url
    api_key: Keys = ()
    api_key_file: str | None = None


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
    """Rules that override the choice, health checks, limits, and how long and often a call is tried.

    Attributes
    ----------
    cost_limits : CostLimits
        For everything together; use cases have limits of their own.
    tenant_limits : dict
        Tenant → its limits; `*` stands for every tenant that is not named, each with limits of its own.
    unknown_price : {"refuse", "allow"}
        What happens under a limit to a model whose price is unknown.
    min_output_tokens : int
        Lowest `max_tokens` that a call is cut down to where a limit leaves no more.
    deadline_seconds, attempt_timeout_seconds, token_timeout_seconds : float
        For a whole call with its retries and failovers; for one attempt at a reply that comes at once; and, of a
        stream, until its first token and from one to the next.
    retries : int
        How often the same candidate is asked again.
    """

    rules: tuple[RuleSettings, ...] = ()
    health_checks: HealthChecks = HealthChecks()
    cost_limits: CostLimits = CostLimits()
    tenant_limits: dict[Name, CostLimits] = Field(default_factory=dict)
    unknown_price: Literal["refuse", "allow"] = "refuse"
    min_output_tokens: PositiveInt = 64
    deadline_seconds: PositiveFloat = 600.0
    attempt_timeout_seconds: PositiveFloat = 300.0
    token_timeout_seconds: PositiveFloat = 60.0
    retries: NonNegativeInt = 2


class CacheSettings(Section):
    """Whether equal requests are answered from memory, and for how long.

    `deduplicate` lets equal requests that are in flight at the same time share one call.
    """

    enabled: bool = False
    ttl: Duration = timedelta(hours=1)
    max_entries: PositiveInt = 10_000
    deduplicate: bool = False


class RedactionSettings(Section):
    """Whether personal data is masked before a prompt leaves, and further patterns of it (regular expressions).

    Attributes
    ----------
    kinds : tuple
        What is looked for.
    regions : tuple of str
        Countries whose phone numbers are recognised without a prefix, such as `US`.
    engine : {"built-in", "presidio"}
        `presidio` needs the extra of the same name, and finds names and places too.
    """

    enabled: bool = False
    patterns: tuple[Regex, ...] = ()
    kinds: tuple[PiiKind, ...] = get_args(PiiKind)
    regions: tuple[Annotated[str, Field(pattern="^[A-Z]{2}$")], ...] = ("US",)
    engine: Literal["built-in", "presidio"] = "built-in"


class ServiceSettings(Section):
    """What `optimizer serve` lets in, and how much of it.

    Attributes
    ----------
    cors_origins : tuple of str
        Origins whose pages may call the service from a browser, such as `https://app.example.com`; `*` is every one.
    max_body_mb : float
        A longer request is refused, in millions of bytes.
    requests_per_minute : int or None
        Of each API key that has no limit of its own, and of all callers without a key together; each worker counts
        for itself. None is no limit.
    feedback_token_ttl : timedelta
        How long a browser may rate a call with the token that came with the reply.
    """

    cors_origins: tuple[CorsOrigin, ...] = ()
    max_body_mb: PositiveFloat = 10.0
    requests_per_minute: PositiveInt | None = None
    feedback_token_ttl: Duration = timedelta(days=7)


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
