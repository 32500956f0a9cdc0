"""The seven use cases out of the box, from how they differ in length, latency and sensitivity to cost."""

from collections.abc import Mapping
from typing import Any

# Baselines are what savings are measured against; all but gpt-4o and gpt-4o-mini are retired by their vendors.
# Incumbents are the baseline itself where it is still served, else a successor of the same size and price class that
# is generally available (no preview, which may go without notice) and whose price several lists confirm:
#   claude-3-sonnet → claude-sonnet-5     claude-3-opus → claude-opus-5     gemini-1.5-pro → gemini-3.5-flash (its
#   window of two million has no successor; the Pro of today is a preview)  gpt-3.5-turbo → gpt-5.4-nano
# Candidates differ in price by 3 to 40 times, and suit the length: 1M windows where requests are long, small
# models that answer at once where people wait. deepseek-v4-flash is left out: its price at peak hours is unknown.
USE_CASES: Mapping[str, Mapping[str, Any]] = {
    "code_generation": {
        "aliases": ["code"],
        "baseline": ["gpt-4o"],
        "incumbent": "gpt-4o",
        "candidates": [
            "gpt-4o", "claude-sonnet-5", "gpt-5.6-terra", "gpt-5.4-mini", "gemini-3.7-flash", "deepseek-v4-pro",
            "gpt-5.6-luna", "gpt-oss-120b",
        ],
        "fallback_models": ["gpt-4.1"],
        "family": "code",
        "max_tokens": 8_192,
        "expected_output_tokens": 900,
    },
    "business_analytics": {
        "aliases": ["analysis"],
        "baseline": ["claude-3-sonnet"],
        "incumbent": "claude-sonnet-5",
        "candidates": [
            "claude-sonnet-5", "gpt-5.6-terra", "gemini-3.5-flash", "gemini-3.7-flash", "deepseek-v4-pro",
            "gpt-5.6-luna", "gemini-3.1-flash-lite",
        ],
        "fallback_models": ["gpt-4.1"],
        "family": "reasoning",
        "max_tokens": 8_192,
        "expected_output_tokens": 900,
    },
    "creative_content": {
        "baseline": ["claude-3-opus"],
        "incumbent": "claude-opus-5",
        "candidates": [
            "claude-opus-5", "claude-sonnet-5", "gpt-5.4", "gemini-3.5-flash", "gemini-3.7-flash",
            "gemini-3.5-flash-lite", "deepseek-flash",
        ],
        "fallback_models": ["gpt-4.1"],
        "family": "writing",
        "max_tokens": 16_384,
        "expected_output_tokens": 1_500,
    },
    "quick_responses": {
        "aliases": ["quick"],
        "baseline": ["gpt-4o-mini"],
        "incumbent": "gpt-4o-mini",
        "candidates": [
            "gpt-4o-mini", "gemini-3.1-flash-lite", "gpt-5.4-nano", "gpt-5.6-luna", "llama-3.3-70b",
            "mistral-small-2603", "gpt-6-luna",
        ],
        "fallback_models": ["gpt-4.1-mini"],
        "family": "instruction",
        "max_tokens": 2_048,
        "expected_output_tokens": 150,
    },
    "code_analysis": {
        "baseline": ["gemini-1.5-pro"],
        "incumbent": "gemini-3.5-flash",
        "candidates": [
            "gemini-3.5-flash", "gemini-3.1-pro-preview", "claude-sonnet-5", "gpt-4.1", "gemini-3.7-flash",
            "deepseek-v4-pro", "gpt-4.1-mini", "gpt-5.6-luna",
        ],
        "fallback_models": ["gemini-3.6-flash"],
        "family": "long_context",
        "max_tokens": 8_192,
        "expected_output_tokens": 900,
    },
    "research": {
        "baseline": ["gpt-4o", "claude-3-opus"],
        "incumbent": "gpt-4o",
        "candidates": [
            "gpt-4o", "claude-opus-5", "gpt-5.6-sol", "claude-sonnet-5", "gpt-5.6-terra", "gemini-3.7-flash",
            "deepseek-v4-pro", "gpt-5.6-luna",
        ],
        "fallback_models": ["gpt-4.1"],
        "family": "knowledge",
        "max_tokens": 8_192,
        "expected_output_tokens": 1_200,
    },
    "chat": {
        "baseline": ["gpt-3.5-turbo", "claude-3-haiku"],
        "incumbent": "gpt-5.4-nano",
        "candidates": [
            "gpt-5.4-nano", "claude-haiku-4-5", "gemini-3.5-flash-lite", "gemini-3.1-flash-lite", "gpt-5.6-luna",
            "gpt-4o-mini", "deepseek-flash", "gpt-6-luna",
        ],
        "fallback_models": ["gpt-4.1-mini"],
        "family": "chat",
        "max_tokens": 2_048,
        "expected_output_tokens": 250,
    },
}  # fmt: skip
