"""Reads the configuration file and the environment; everything wrong with them is said at once, key by key."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from optimizer.errors import InvalidSettings
from optimizer.settings import sections, use_cases
from optimizer.settings.built_in import USE_CASES
from optimizer.settings.settings import Settings
from optimizer.settings.values import Section

# Environment variable → the key it sets, over what the file says; an empty variable sets nothing.
VARIABLES: Mapping[str, tuple[str, ...]] = {
    "PORTKEY_API_KEY": ("portkey_config", "api_key"),
    "PORTKEY_BASE_URL": ("portkey_config", "base_url"),
    "PORTKEY_OPENAI_VIRTUAL_KEY": ("portkey_config", "virtual_keys", "openai"),
    "PORTKEY_ANTHROPIC_VIRTUAL_KEY": ("portkey_config", "virtual_keys", "anthropic"),
    "PORTKEY_GEMINI_VIRTUAL_KEY": ("portkey_config", "virtual_keys", "google"),
    "OPENROUTER_API_KEY": ("openrouter_config", "api_key"),
    "OPENROUTER_BASE_URL": ("openrouter_config", "base_url"),
    "DATABASE_URL": ("database_url",),
    "OPTIMIZER_SECRET": ("secret",),
    "LLM_ROUTING_ENABLED": ("flags", "routing"),
    "LLM_COST_OPTIMIZATION": ("flags", "cost_optimization"),
    "LLM_FALLBACK_ENABLED": ("flags", "fallback"),
    "LLM_MONITORING_ENABLED": ("flags", "monitoring"),
}
ENVIRONMENT_ONLY = ("flags", "database_url", "secret")
WORDS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
MESSAGES = {
    "extra_forbidden": "unknown key",
    "missing": "is required",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
    "tuple_type": "must be a list",
    "too_short": "must not be empty",
}


def load_settings(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """Return the settings in a YAML file (none: the defaults) and in `environ`, which has the last word.

    A use case of the file extends the built-in one of the same name key by key; new candidates come with the first of
    them as incumbent unless the file names one.

    Raises
    ------
    InvalidSettings
        If the file cannot be read or something in it or in the environment is wrong; names every wrong key.
    """
    source = "environment" if path is None else str(path)
    given = {} if path is None else _read(path)
    problems = [
        f"{key}: is set in the environment only" for key in ENVIRONMENT_ONLY if given.pop(key, None) is not None
    ]
    values = _with_built_in(source, given)
    variables, wrong = _from_environment(environ)
    for name, value in variables.items():
        _put(values, VARIABLES[name], value)
    problems += wrong
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        problems += _problems(error, {VARIABLES[name]: name for name in variables})
    if problems:
        raise InvalidSettings(source, tuple(problems))
    return settings


class _Loader(yaml.SafeLoader):
    """YAML that refuses a key given twice, of which the first would be lost."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True) if isinstance(key_node, yaml.ScalarNode) else None
            if key is not None and key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} is given a second time", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.load(path.read_bytes().decode("utf-8-sig"), _Loader)  # noqa: S506 a SafeLoader
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSettings(str(path), (f"cannot be read: {getattr(error, 'strerror', None) or error}",)) from error
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise InvalidSettings(str(path), (f"{line}is no YAML: {error.problem}; half-written?",)) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InvalidSettings(str(path), (f"is no YAML: {error}",)) from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise InvalidSettings(str(path), ("must be a mapping of keys, such as `use_cases:`",))
    return content


def _with_built_in(source: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values with the built-in use cases beneath those of the file."""
    values = dict(given)
    if "use_case_models" in values:
        if "use_cases" in values:
            raise InvalidSettings(source, ("use_case_models: is another name of use_cases; give one of them",))
        values["use_cases"] = values.pop("use_case_models")
    own = {} if values.get("use_cases") is None else values["use_cases"]
    if isinstance(own, Mapping):
        values["use_cases"] = _with_own(source, own)
    return values


def _with_own(source: str, own: Mapping[str, Any]) -> dict[str, Any]:
    """Return the built-in use cases with those of the file over them; an alias means the use case it names."""
    aliases = {alias: name for name, use_case in USE_CASES.items() for alias in use_case.get("aliases", ())}
    merged: dict[str, Any] = dict(USE_CASES)
    for key, use_case in own.items():
        name = aliases.get(key, key)
        if name != key and name in own:
            raise InvalidSettings(source, (f"use_cases.{key}: is another name of {name}, which is given too",))
        merged[name] = _extended(USE_CASES.get(name), use_case)
    return merged


def _extended(built_in: Mapping[str, Any] | None, given: object) -> object:
    if built_in is None or not isinstance(given, Mapping):
        return given
    replaced = {"candidates", "incumbent"} if {"candidates", "model_id"} & set(given) else set()
    return {**{key: value for key, value in built_in.items() if key not in replaced}, **given}


def _from_environment(environ: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    """Return variable → value of those that are set, and what is wrong with the flags among them."""
    values: dict[str, Any] = {name: environ[name] for name in VARIABLES if environ.get(name)}
    flags = {name: text.strip().lower() for name, text in values.items() if VARIABLES[name][0] == "flags"}
    wrong = [f"{name}: must be true or false (or 1, 0, yes, no, on, off)" for name in flags if flags[name] not in WORDS]
    values |= {name: WORDS.get(text, True) for name, text in flags.items()}
    return values, wrong


def _put(values: dict[str, Any], key: tuple[str, ...], value: object) -> None:
    """Set one key deep down, without changing what others hold; what is no mapping stays, to be refused."""
    *parents, last = key
    for parent in parents:
        below = values.get(parent)
        if below is not None and not isinstance(below, Mapping):
            return
        values[parent] = dict(below or {})
        values = values[parent]
    values[last] = value


def _problems(error: ValidationError, variables: Mapping[tuple[str, ...], str]) -> Iterator[str]:
    details = error.errors(include_url=False, include_input=False)
    for detail in details:
        if detail["type"] == "too_short" and any(_below(other["loc"], detail["loc"]) for other in details):
            continue  # nothing is left of the list because its entries are wrong, which is said already
        loc = tuple(part for part in detail["loc"] if part != "[key]")
        message = MESSAGES.get(
            detail["type"], detail["msg"].removeprefix("Value error, ").replace("Input should", "must")
        )
        if detail["type"] == "extra_forbidden":
            message += _suggestion(str(loc[-1]))
        if not loc:
            yield from message.split("\n")
        else:
            yield f"{variables.get(tuple(map(str, loc)), _dotted(loc))}: {message}"


def _below(loc: tuple[int | str, ...], above: tuple[int | str, ...]) -> bool:
    return len(loc) > len(above) and loc[: len(above)] == above


def _dotted(loc: tuple[int | str, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).removeprefix(".")


def _suggestion(key: str) -> str:
    close = get_close_matches(key, sorted(_known_keys()), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _known_keys() -> set[str]:
    modules = (sections, use_cases)
    types = [value for module in modules for value in vars(module).values() if isinstance(value, type)]
    models: list[type[BaseModel]] = [Settings, *(kind for kind in types if issubclass(kind, Section))]
    return {"use_case_models", "model_id", *(field for model in models for field in model.model_fields)}
