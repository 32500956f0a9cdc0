"""Settings are read once, whole or not at all, and everything wrong is named by its key."""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from tempfile import NamedTemporaryFile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.domain import Objective, RewardRule
from optimizer.errors import InvalidSettings
from optimizer.settings import Settings, load_settings
from optimizer.settings.values import parse_duration

Load = Callable[..., Settings]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def load(text: str, **environ: str) -> Settings:
        path = tmp_path / "optimizer.yaml"
        path.write_bytes(text.encode())
        return load_settings(path, environ)

    return load


def _problems(load: Load, text: str, **environ: str) -> tuple[str, ...]:
    with pytest.raises(InvalidSettings) as caught:
        load(text, **environ)
    return caught.value.problems


def test_without_a_file_the_seven_use_cases_are_there() -> None:
    settings = load_settings(None, {})
    assert set(settings.use_cases) == {
        "code_generation",
        "business_analytics",
        "creative_content",
        "quick_responses",
        "code_analysis",
        "research",
        "chat",
    }
    assert settings.default_use_case == "chat"
    assert settings.durability == "batched"
    assert settings.use_cases["chat"].asks == Objective("average", 0.97, relative=True)


@pytest.mark.parametrize(
    ("alias", "name"),
    [("code", "code_generation"), ("analysis", "business_analytics"), ("quick", "quick_responses"), ("chat", "chat")],
)
def test_aliases_mean_a_use_case(alias: str, name: str) -> None:
    assert load_settings(None, {}).names[alias] == name


@pytest.mark.parametrize(
    ("name", "baseline"),
    [
        ("code_generation", ("gpt-4o",)),
        ("business_analytics", ("claude-3-sonnet",)),
        ("creative_content", ("claude-3-opus",)),
        ("quick_responses", ("gpt-4o-mini",)),
        ("code_analysis", ("gemini-1.5-pro",)),
        ("research", ("gpt-4o", "claude-3-opus")),
        ("chat", ("gpt-3.5-turbo", "claude-3-haiku")),
    ],
)
def test_savings_are_measured_against_the_named_baseline(name: str, baseline: tuple[str, ...]) -> None:
    assert load_settings(None, {}).use_cases[name].baseline == baseline


def test_file_extends_a_built_in_use_case_key_by_key(load: Load) -> None:
    built_in = load_settings(None, {}).use_cases["chat"]
    chat = load("use_cases: {chat: {guard: null, half_life: 36h, objective: 'floor:90%'}}").use_cases["chat"]
    assert (chat.guard, chat.half_life, chat.objective) == (None, timedelta(hours=36), "floor:90%")
    assert (chat.candidates, chat.incumbent, chat.baseline) == (
        built_in.candidates,
        built_in.incumbent,
        built_in.baseline,
    )


def test_new_candidates_come_with_their_own_incumbent(load: Load) -> None:
    code = load("use_cases: {code: {candidates: [gpt-4.1, {model_id: o3, provider: openrouter}]}}").use_cases[
        "code_generation"
    ]
    assert code.incumbent is None
    assert [(c.model_id, c.provider) for c in code.candidates] == [("gpt-4.1", None), ("o3", "openrouter")]
    assert code.baseline == ("gpt-4o",)


def test_one_model_with_its_provider_is_the_only_candidate(load: Load) -> None:
    text = "use_case_models: {support: {model_id: gpt-4o, provider: openrouter, max_tokens: 500}}"
    support = load(text).use_cases["support"]
    assert [(c.model_id, c.provider) for c in support.candidates] == [("gpt-4o", "openrouter")]
    assert support.max_tokens == 500


def test_required_quality_asks_for_floor(load: Load) -> None:
    settings = load("use_cases: {chat: {required_quality: 0.85}, code: {required_quality: 97%}}")
    assert settings.use_cases["chat"].asks == Objective("floor", 0.85)
    assert settings.use_cases["code_generation"].asks == Objective("floor", 0.97, relative=True)


def test_metrics_say_how_ratings_become_a_reward(load: Load) -> None:
    text = "use_cases: {chat: {metrics: {quality: stars, others: [speed], gates: [valid], labels: {good: 1.0}}}}"
    metrics = load(text).use_cases["chat"].metrics
    assert metrics.names == ("stars", "speed", "valid")
    assert load(text).use_cases["chat"].reward_rule == RewardRule("stars", ("valid",))


def test_every_wrong_key_is_named_at_once(load: Load) -> None:
    problems = _problems(
        load,
        """
use_cases:
  chat: {guard: 1.5, objectve: floor, half_life: 14, objective: cheap, judge: {model: x}}
  mine: {candidates: [gpt-4o, {model_id: o3, provider: azure}]}
routing: {rules: [{name: a}], cost_limits: {hourly_usd: -1}, health_checks: {failure_threshold: 0}}
timezone: Mars
durability: mostly
cash: 1
redaction: {patterns: ['(']}
""",
    )
    keys = {problem.partition(": ")[0] for problem in problems}
    assert keys == {
        "use_cases.chat.guard",
        "use_cases.chat.objectve",
        "use_cases.chat.half_life",
        "use_cases.chat.objective",
        "use_cases.chat.judge.rubric",
        "use_cases.mine.candidates[1].provider",
        "routing.rules[0].condition",
        "routing.rules[0].model",
        "routing.cost_limits.hourly_usd",
        "routing.health_checks.failure_threshold",
        "timezone",
        "durability",
        "cash",
        "redaction.patterns[0]",
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("use_cases: {chat: {objectve: floor}}", "use_cases.chat.objectve: unknown key; did you mean objective?"),
        ("use_cases: {chat: {quality_min: .nan}}", "use_cases.chat.quality_min: must be a finite number"),
        ("use_cases: {chat: {required_quality: 2}}", "use_cases.chat.required_quality: '2' is out of range"),
        ("use_cases: {chat: {candidates: []}}", "use_cases.chat.candidates: must not be empty"),
        ("use_cases: {chat: {candidates: [a, a]}}", "use_cases.chat: candidates names a twice"),
        ("use_cases: {chat: {candidates: [a], model_id: b}}", "use_cases.chat: give candidates or one model_id"),
        ("use_cases: {chat: 3}", "use_cases.chat: must be a mapping"),
        ("use_cases: 3", "use_cases: must be a mapping"),
        ("use_cases: {mine: {}}", "use_cases.mine.candidates: is required"),
        ("use_cases: {chat: {aliases: [code]}}", "use_cases.chat.aliases: 'code' is an alias already"),
        ("use_cases: {chat: {aliases: [research]}}", "use_cases.chat.aliases: 'research' is a use case already"),
        ("use_cases: {code: {}, code_generation: {}}", "use_cases.code: is another name of code_generation"),
        ("{use_cases: {}, use_case_models: {}}", "use_case_models: is another name of use_cases"),
        ("default_use_case: mine", "default_use_case: no use case 'mine'"),
        ("refresh_interval: 5", "refresh_interval: must be a number with a unit"),
        ("portkey_config: {base_url: 'ftp://x'}", "portkey_config.base_url: must be a URL"),
        ("flags: {routing: false}", "flags: is set in the environment only"),
        (
            "use_cases: {chat: {judge: {model: a, rubric: b, metric: c}}}",
            "use_cases.chat: judge.metric must be one of metrics: quality",
        ),
        ("use_cases:\n  chat: {\n", "line 3: is no YAML"),
        ("a: 1\nb: 2\na: 3\n", "line 3: is no YAML: key 'a' is given a second time"),
        ("- 1", "must be a mapping of keys"),
        ("a: 2026-13-45", "is no YAML"),
        ("[" * 5000, "is no YAML"),
        ("a: \x00", "is no YAML"),
        ("? [a]\n: 1", "line 1: is no YAML"),
        ("!!python/object:os.system {}", "line 1: is no YAML"),
    ],
)
def test_what_is_wrong_is_said_with_its_key(load: Load, text: str, expected: str) -> None:
    assert any(problem.startswith(expected) for problem in _problems(load, text)), _problems(load, text)


def test_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00a")
    for path in (tmp_path / "missing.yaml", tmp_path, tmp_path / "binary.yaml"):
        with pytest.raises(InvalidSettings, match="cannot be read"):
            load_settings(path, {})


@given(st.text(max_size=60))
def test_any_text_is_settings_or_a_clear_refusal(text: str) -> None:
    """Nothing but our own error may come out of a file, whatever is in it."""
    with NamedTemporaryFile(suffix=".yaml") as file:
        file.write(text.encode("utf-8", "replace"))
        file.flush()
        with suppress(InvalidSettings):
            load_settings(Path(file.name), {})


def test_cut_file_never_raises_anything_else(load: Load) -> None:
    text = "use_cases:\n  chat: {guard: 0.2, candidates: [gpt-4o, 'o3']}\ntimezone: Europe/Berlin\n"
    for end in range(len(text)):
        with suppress(InvalidSettings):
            load(text[:end])


# The environment


def test_environment_has_the_last_word(load: Load) -> None:
    settings = load(
        "portkey_config: {api_key: from-file, base_url: 'https://a.example/v1/'}", PORTKEY_API_KEY="from-environment"
    )
    assert [key.get_secret_value() for key in settings.portkey_config.api_key] == ["from-environment"]
    assert settings.portkey_config.base_url == "https://a.example/v1"


def test_virtual_keys_are_filed_by_provider() -> None:
    names = ("PORTKEY_OPENAI_VIRTUAL_KEY", "PORTKEY_ANTHROPIC_VIRTUAL_KEY", "PORTKEY_GEMINI_VIRTUAL_KEY")
    keys = load_settings(None, {name: name.lower() for name in names}).portkey_config.virtual_keys
    assert set(keys) == {"openai", "anthropic", "google"}
    assert keys["google"].get_secret_value() == "portkey_gemini_virtual_key"


@pytest.mark.parametrize("text", ["true", "1", "YES", "on", ""])
def test_flag_is_on(text: str) -> None:
    assert load_settings(None, {"LLM_ROUTING_ENABLED": text}).flags.routing is True


@pytest.mark.parametrize("text", ["false", "0", "No", " off "])
@pytest.mark.parametrize(
    ("variable", "flag"),
    [
        ("LLM_ROUTING_ENABLED", "routing"),
        ("LLM_COST_OPTIMIZATION", "cost_optimization"),
        ("LLM_FALLBACK_ENABLED", "fallback"),
        ("LLM_MONITORING_ENABLED", "monitoring"),
    ],
)
def test_flag_is_off(variable: str, flag: str, text: str) -> None:
    flags = load_settings(None, {variable: text}).flags.model_dump()
    assert [name for name, on in flags.items() if not on] == [flag]


def test_wrong_variable_is_named_itself() -> None:
    with pytest.raises(InvalidSettings) as caught:
        load_settings(None, {"LLM_FALLBACK_ENABLED": "maybe", "OPENROUTER_BASE_URL": "nowhere"})
    assert caught.value.source == "environment"
    assert {problem.partition(":")[0] for problem in caught.value.problems} == {
        "LLM_FALLBACK_ENABLED",
        "OPENROUTER_BASE_URL",
    }


def test_secrets_are_never_shown(load: Load) -> None:
    text = "portkey_config: {api_key: s3cret-a, virtual_keys: {openai: s3cret-b}}"
    settings = load(text, OPENROUTER_API_KEY="s3cret-c", DATABASE_URL="postgresql://u:s3cret-d@h/d")
    assert "s3cret" not in repr(settings) + str(settings) + settings.model_dump_json()
    problems = _problems(load, "portkey_config: {api_key: {s3cret-a: 1}}\nopenrouter_config: s3cret-b")
    assert "s3cret" not in "".join(problems)


@pytest.mark.parametrize(
    ("environ", "text", "expected"),
    [
        ({}, "", ("portkey",)),
        ({"OPENROUTER_API_KEY": "k"}, "", ("openrouter",)),
        ({"OPENROUTER_API_KEY": "k", "PORTKEY_API_KEY": "k"}, "", ("portkey", "openrouter")),
        ({"OPENROUTER_API_KEY": "k", "PORTKEY_BASE_URL": "http://127.0.0.1:8787/v1"}, "", ("portkey", "openrouter")),
        ({"OPENROUTER_API_KEY": "k", "PORTKEY_API_KEY": "k"}, "fallback_gateway: null", ("portkey",)),
        (
            {"OPENROUTER_API_KEY": "k", "PORTKEY_API_KEY": "k"},
            "{primary_gateway: openrouter, fallback_gateway: portkey}",
            ("openrouter", "portkey"),
        ),
    ],
)
def test_gateways_that_have_keys_are_used_in_order(load: Load, environ: dict, text: str, expected: tuple) -> None:
    assert load(text, **environ).gateways == expected


# Durations


@pytest.mark.parametrize(
    ("text", "seconds"), [("14d", 1_209_600), ("36h", 129_600), ("1.5h", 5_400), ("250ms", 0.25), ("2w", 1_209_600)]
)
def test_duration_is_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("value", ["14", 14, "d", "-1d", "0s", "1e9d", "1y", "99999999d", None, True])
def test_duration_without_sense_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="must be"):
        parse_duration(value)


def test_the_service_is_closed_to_browsers_unless_an_origin_is_named(load: Load) -> None:
    assert load("").service.cors_origins == ()
    service = load("service: {cors_origins: ['https://App.example.com/', '*'], requests_per_minute: 60}").service
    assert service.cors_origins == ("https://app.example.com", "*")
    assert (service.requests_per_minute, service.max_body_mb) == (60, 10.0)
    assert service.feedback_token_ttl == timedelta(days=7)


@pytest.mark.parametrize("origin", ["app.example.com", "https://app.example.com/path", "https://user@example.com"])
def test_an_origin_is_a_scheme_and_a_host(load: Load, origin: str) -> None:
    (problem,) = _problems(load, f"service: {{cors_origins: ['{origin}']}}")
    assert problem.startswith("service.cors_origins[0]: must be")
