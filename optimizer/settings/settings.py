"""All settings as one frozen value."""

from datetime import timedelta
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, model_validator

from optimizer.domain import Gateway, RewardRule
from optimizer.settings.sections import (
    CacheSettings,
    DirectConfig,
    Flags,
    OpenRouterConfig,
    PortkeyConfig,
    RedactionSettings,
    RoutingSettings,
    ServiceSettings,
)
from optimizer.settings.use_cases import UseCase
from optimizer.settings.values import Duration, Name, Section, TimeZone


class Settings(Section):
    """The configuration file and the environment, in one.

    Attributes
    ----------
    default_use_case : str or None
        Where an unknown use case goes; None refuses it.
    durability : {"sync", "batched"}
        Whether a caller waits until its call is written, or at most 50 ms of calls may be lost in a crash.
    refresh_interval : timedelta
        How long until this process learns from what others have written.
    retention : timedelta or None
        How long calls are kept, with attempts and ratings; what they taught stays. None keeps them.
    journal_dir : str or None
        Where calls and ratings wait while the database is away, relative to the configuration file's folder; default:
        beside a SQLite file, else `optimizer-journal` in the working directory, else in the user's own state.
    direct_config : dict
        Provider → where it is reached directly.
    secret : SecretStr or None
        Key of the hash under which prompts are noted in the ledger; without it they are not noted at all. Feedback
        tokens are signed with it too; without it, with a secret that is made once and kept in the ledger.
    """

    primary_gateway: Gateway = "portkey"
    fallback_gateway: Gateway | None = "openrouter"
    portkey_config: PortkeyConfig = PortkeyConfig()
    openrouter_config: OpenRouterConfig = OpenRouterConfig()
    direct_config: dict[Name, DirectConfig] = Field(default_factory=dict)
    default_use_case: Name | None = "chat"
    use_cases: dict[Name, UseCase] = Field(min_length=1)
    routing: RoutingSettings = RoutingSettings()
    cache: CacheSettings = CacheSettings()
    redaction: RedactionSettings = RedactionSettings()
    service: ServiceSettings = ServiceSettings()
    durability: Literal["sync", "batched"] = "batched"
    refresh_interval: Duration = timedelta(seconds=5)
    timezone: TimeZone = "UTC"
    retention: Duration | None = None
    journal_dir: Annotated[str, Field(min_length=1)] | None = None
    database_url: SecretStr | None = None
    secret: SecretStr | None = None
    flags: Flags = Flags()

    @model_validator(mode="after")
    def _names_are_clear(self) -> Self:
        problems = [
            f"use_cases.{name}.aliases: {alias!r} is {'a use case' if alias in self.use_cases else 'an alias'} already"
            for name, use_case in self.use_cases.items()
            for alias in use_case.aliases
            if alias in self.use_cases or self.names[alias] != name
        ]
        if self.default_use_case is not None and self.default_use_case not in self.names:
            problems.append(f"default_use_case: no use case {self.default_use_case!r}")
        if problems:
            raise ValueError("\n".join(problems))
        return self

    @cached_property
    def names(self) -> dict[str, str]:
        """Every name that a request may give, aliases too → the use case it means."""
        names = {alias: name for name, use_case in reversed(self.use_cases.items()) for alias in use_case.aliases}
        return names | {name: name for name in self.use_cases}

    def reward_rule(self, use_case: str) -> RewardRule:
        """Return how ratings of a use case become what is learned; the plain rule for one that is not set any more."""
        known = self.use_cases.get(use_case)
        return RewardRule() if known is None else known.reward_rule

    @property
    def gateways(self) -> tuple[Gateway, ...]:
        """Gateways in order of preference, those that have keys; the primary one where none has."""
        usable = {"portkey": self.portkey_config.usable, "openrouter": self.openrouter_config.usable, "direct": True}
        order = dict.fromkeys(gateway for gateway in (self.primary_gateway, self.fallback_gateway) if gateway)
        return tuple(gateway for gateway in order if usable[gateway]) or (self.primary_gateway,)
