"""The configuration: YAML and environment, validated once, passed on as frozen values."""

from optimizer.settings.load import load_settings
from optimizer.settings.origin import Origin
from optimizer.settings.sections import (
    CacheSettings,
    CostLimits,
    DirectConfig,
    Flags,
    HealthChecks,
    OpenRouterConfig,
    PortkeyConfig,
    RedactionSettings,
    RoutingSettings,
    RuleSettings,
    ServiceSettings,
)
from optimizer.settings.settings import Settings
from optimizer.settings.use_cases import CandidateSettings, Judge, Metrics, UseCase

__all__ = [
    "CacheSettings",
    "CandidateSettings",
    "CostLimits",
    "DirectConfig",
    "Flags",
    "HealthChecks",
    "Judge",
    "Metrics",
    "OpenRouterConfig",
    "Origin",
    "PortkeyConfig",
    "RedactionSettings",
    "RoutingSettings",
    "RuleSettings",
    "ServiceSettings",
    "Settings",
    "UseCase",
    "load_settings",
]
