"""What the words that gateways and providers have for failures mean, and what a bare status means."""

import re
from collections.abc import Mapping

from optimizer.errors import (
    ContentBlocked,
    ContextLengthExceeded,
    Forbidden,
    GatewayError,
    GatewayTimeout,
    InvalidReply,
    ModelUnavailable,
    OutOfCredit,
    RateLimited,
    RequestRefused,
    ServerFailed,
    Unauthorized,
)


def _table(*rows: tuple[type[GatewayError], str]) -> Mapping[str, type[GatewayError]]:
    return {word: meaning for meaning, words in rows for word in words.split()}


# Words that say more than any status does: a 429 may be money, a 400 a policy, a 403 a model.
TELLING = _table(
    (
        ContextLengthExceeded,
        "context_length_exceeded max_tokens_exceeded token_limit_exceeded model_context_window_exceeded",
    ),
    (
        ContentBlocked,
        "content_policy_violation content_filter refusal hooks_failed responsibleaipolicyviolation moderation_blocked",
    ),
    (
        OutOfCredit,
        "insufficient_quota billing_hard_limit_reached billing_not_active billing_error payment_required "
        "insufficient_balance insufficient_credits virtual_key_exhaust_error integration_exhaust_error "
        "workspace_exhaust_error usage_limits_policy_exhaust_error",
    ),
    (
        Forbidden,
        "model_not_allowed_error permission_denied permission_error region_restricted privacy_restricted "
        "unsupported_country_region_territory",
    ),
    (
        ModelUnavailable,
        "model_not_found model_not_available deploymentnotfound not_found not_found_error wrong_endpoint no_endpoints "
        "model_deprecated model_unavailable_upstream constraint_filtered free_variant_ended",
    ),
    (
        RateLimited,
        "rate_limit_exceeded rate_limit_error rate_limited resource_exhausted too_many_requests "
        "api_key_rate_limit_error virtual_key_rate_limit_error integration_rate_limit_error "
        "workspace_rate_limit_error rate_limits_policy_exhaust_error",
    ),
    (Unauthorized, "invalid_api_key api_key_invalid authentication authentication_error unauthenticated"),
)
# Words that are read where no status says it, as in a reply that began with 200.
GENERAL = _table(
    (
        ServerFailed,
        "provider_overloaded provider_unavailable overloaded_error engine_overloaded capacity_exhausted "
        "temporarily_unavailable server server_error internal_server_error internal_error internal api_error "
        "unavailable service_unavailable unmapped",
    ),
    (GatewayTimeout, "timeout timeout_error request_timeout deadline_exceeded"),
    (
        RequestRefused,
        "invalid_request invalid_request_error invalid_prompt invalid_argument unprocessable payload_too_large "
        "request_too_large string_too_long string_above_max_length unsupported_parameter unsupported_value "
        "unknown_parameter missing_required_parameter invalid_value invalid_type invalid_image image_too_large "
        "image_too_small unsupported_image_format image_not_found image_download_failed precondition_failed",
    ),
)
# For those who have only sentences: Anthropic, Google and most servers for prompts, Portkey for its own settings.
SENTENCES: tuple[tuple[re.Pattern[str], type[GatewayError], str], ...] = (
    (
        re.compile(
            r"prompt is too long|maximum context length|context (length|window|size)|input token count.{0,80}exceeds"
            r"|too many (input )?tokens|maximum (number of )?(input )?tokens",
            re.IGNORECASE,
        ),
        ContextLengthExceeded,
        "context_length_exceeded",
    ),
    (re.compile(r"credit balance is too low", re.IGNORECASE), OutOfCredit, "insufficient_credits"),
    (
        re.compile(
            r"following keys are not valid|invalid config (id|passed)|invalid provider passed|invalid custom host"
            r"|x-portkey-config or x-portkey-provider|x-portkey-provider needs to be passed",
            re.IGNORECASE,
        ),
        ModelUnavailable,
        "gateway_configuration",
    ),
)
# What Portkey says of a provider that was asked and whose reply got lost: it may have been served and charged.
LOST = re.compile(r"ECONNRESET|EPIPE|other side closed|socket hang up|terminated", re.IGNORECASE)
STATUSES: Mapping[int, type[GatewayError]] = {
    401: Unauthorized,
    402: OutOfCredit,
    403: Forbidden,
    404: ModelUnavailable,
    408: GatewayTimeout,
    409: ServerFailed,
    412: OutOfCredit,
    425: ServerFailed,
    429: RateLimited,
    446: ContentBlocked,
    451: Forbidden,
    504: GatewayTimeout,
    524: GatewayTimeout,
}


def meaning_of(status: int) -> type[GatewayError]:
    """Return what a status means by itself."""
    if status in STATUSES:
        return STATUSES[status]
    if 400 <= status < 500:
        return RequestRefused
    return ServerFailed if status >= 500 else InvalidReply
