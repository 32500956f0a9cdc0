"""Settings and catalogue meet: who can be served, by whom, at what price; and which key is wrong where they cannot."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from optimizer.catalog import load_catalog
from optimizer.errors import InvalidSettings, UnknownUseCase
from optimizer.routes import Routes, effective_routes
from optimizer.settings import load_settings

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
CATALOG = load_catalog()


def _routes(tmp_path: Path, text: str = "", at: datetime = NOW, **environ: str) -> Routes:
    path = tmp_path / "o.yaml"
    path.write_text(text)
    return effective_routes(load_settings(path, environ), CATALOG, at, source="o.yaml")


def _problems(tmp_path: Path, text: str) -> tuple[str, ...]:
    with pytest.raises(InvalidSettings) as caught:
        _routes(tmp_path, text)
    return caught.value.problems


def test_built_in_use_cases_have_a_choice_at_different_prices(tmp_path: Path) -> None:
    """Five to eight served candidates each; the dearest output costs at least three times the cheapest."""
    for route in _routes(tmp_path).by_use_case.values():
        prices = [candidate.price.output_usd_per_mtok for candidate in route.candidates]
        assert 5 <= len(prices) <= 8
        assert None not in prices
        assert max(prices) >= 2.99 * min(prices)
        assert route.retired == ()
        assert route.incumbent in {candidate.model_id for candidate in route.candidates}
        assert len(route.prior_means) >= 5


def test_incumbent_is_the_baseline_where_it_is_still_served(tmp_path: Path) -> None:
    routes = _routes(tmp_path)
    for name in ("code_generation", "quick_responses", "research"):
        assert routes[name].incumbent == routes[name].baseline
    for name in ("business_analytics", "creative_content", "code_analysis", "chat"):
        assert not CATALOG.servable(routes[name].baseline, NOW)


def test_code_analysis_has_long_windows(tmp_path: Path) -> None:
    assert all((c.context_window_tokens or 0) >= 1_000_000 for c in _routes(tmp_path)["code_analysis"].candidates)


def test_aliases_and_the_default_lead_to_a_route(tmp_path: Path) -> None:
    routes = _routes(tmp_path)
    assert routes["code"].name == "code_generation"
    assert routes["nobody-knows"].name == "chat"
    with pytest.raises(UnknownUseCase, match=r"known: .*code_generation"):
        _routes(tmp_path, "default_use_case: null")["nobody-knows"]


def test_retired_candidate_is_left_out_and_named(tmp_path: Path) -> None:
    route = _routes(tmp_path, "use_cases: {chat: {candidates: [gpt-4o, claude-3-opus, o3]}}")["chat"]
    assert [candidate.model_id for candidate in route.candidates] == ["gpt-4o", "o3"]
    assert route.retired == ("claude-3-opus",)


def test_candidate_goes_on_the_day_its_vendor_stops(tmp_path: Path) -> None:
    text = "use_cases: {chat: {candidates: [gpt-4o, o3]}}"
    assert len(_routes(tmp_path, text, at=datetime(2026, 12, 9, 23, tzinfo=UTC))["chat"].candidates) == 2
    assert len(_routes(tmp_path, text, at=datetime(2026, 12, 10, tzinfo=UTC))["chat"].candidates) == 1


def test_incumbent_is_always_a_candidate(tmp_path: Path) -> None:
    route = _routes(tmp_path, "use_cases: {chat: {incumbent: gpt-4.1}}")["chat"]
    assert route.candidates[-1].model_id == route.incumbent == "gpt-4.1"


def test_gateway_with_a_key_serves_a_candidate_that_names_none(tmp_path: Path) -> None:
    route = _routes(tmp_path, OPENROUTER_API_KEY="k")["quick_responses"]
    assert {candidate.gateway for candidate in route.candidates} == {"openrouter"}
    text = "use_cases: {chat: {candidates: [gpt-4o, {model_id: o3, provider: direct}]}}"
    named = _routes(tmp_path, text, OPENROUTER_API_KEY="k")["chat"]
    assert [candidate.gateway for candidate in named.candidates] == ["openrouter", "direct"]


def test_fallbacks_are_marked_as_such(tmp_path: Path) -> None:
    route = _routes(tmp_path, "use_cases: {chat: {fallback_models: [gpt-4.1, gpt-4-turbo]}}")["chat"]
    assert [(f.model_id, f.fallback) for f in route.fallbacks] == [("gpt-4.1", True)]
    assert route.retired == ("gpt-4-turbo",)


def test_baseline_is_the_incumbent_where_none_is_named(tmp_path: Path) -> None:
    assert _routes(tmp_path, "use_cases: {mine: {model_id: gpt-4o}}")["mine"].baseline == "gpt-4o"


def test_price_in_force_is_the_candidates(tmp_path: Path) -> None:
    text = "use_cases: {chat: {model_id: gemini-3.8-flash}}"
    for at, price in ((NOW, 0.75), (datetime(2027, 1, 1, tzinfo=UTC), 1.5)):
        assert _routes(tmp_path, text, at=at)["chat"].candidates[0].price.input_usd_per_mtok == price


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("use_cases: {chat: {candidates: [gpt-4o, gpt-9]}}", "use_cases.chat.candidates[1]: no model 'gpt-9'"),
        ("use_cases: {chat: {incumbent: claude-3-haiku}}", "use_cases.chat.incumbent: 'claude-3-haiku' is not served"),
        (
            "use_cases: {chat: {model_id: claude-3-haiku}}",
            "use_cases.chat.candidates[0]: 'claude-3-haiku' is not served",
        ),
        (
            "use_cases: {chat: {candidates: [gpt-4o, {model_id: claude-3-opus, provider: openrouter}]}}",
            "use_cases.chat.candidates[1]: 'claude-3-opus' is not offered by openrouter",
        ),
        ("use_cases: {chat: {baseline: gpt-9}}", "use_cases.chat.baseline: no model 'gpt-9'"),
        ("use_cases: {chat: {fallback_models: [gpt-9]}}", "use_cases.chat.fallback_models[0]: no model 'gpt-9'"),
        ("use_cases: {chat: {judge: {model: gpt-9, rubric: r}}}", "use_cases.chat.judge.model: no model 'gpt-9'"),
        (
            "routing: {rules: [{name: a, condition: \"cost_tier == 'platinum'\", model: gpt-4o}]}",
            "routing.rules[0].condition: no cost tier 'platinum'",
        ),
        (
            "routing: {rules: [{name: a, condition: 'context_tokens > 1', model: gpt-9}]}",
            "routing.rules[0].model: no model 'gpt-9'",
        ),
    ],
)
def test_what_does_not_fit_is_said_with_its_key(tmp_path: Path, text: str, expected: str) -> None:
    assert any(problem.startswith(expected) for problem in _problems(tmp_path, text)), _problems(tmp_path, text)


def test_all_problems_are_said_at_once(tmp_path: Path) -> None:
    assert len(_problems(tmp_path, "use_cases: {chat: {incumbent: a}, code: {baseline: b}}")) == 2


def test_rules_know_aliases_and_carry_their_candidate(tmp_path: Path) -> None:
    text = "routing: {rules: [{name: long, condition: \"use_case == 'code'\", model: gpt-4.1, provider: openrouter}]}"
    (rule,) = _routes(tmp_path, text).rules
    assert (rule.name, rule.candidate.model_id, rule.candidate.gateway) == ("long", "gpt-4.1", "openrouter")
