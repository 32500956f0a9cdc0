"""What the gateways' OpenAPI documents say of a body; the documents lie beside the checkout, not in it."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

SPECS = Path(__file__).parents[2].parent / "shared" / "specs"
TYPELESS = {"anyOf", "oneOf", "allOf", "$ref"}


def refused(spec: str, body: object, *, path: str, method: str = "post", status: int | None = None) -> list[str]:
    """Return what a document finds wrong with a body, place by place; empty where it is valid.

    `spec` is `portkey`, `portkey-models`, `openrouter` or `openai`. Without `status` the body is a request's,
    with it a reply's.
    """
    errors = _validator(spec, path, method, status).iter_errors(body)
    return [f"{error.json_path}: {error.message}" for error in errors]


def refused_by_schema(spec: str, body: object, name: str) -> list[str]:
    """Return what a named schema of a document finds wrong with a body, such as `ChatStreamChunk`."""
    validator = _named(spec, name)
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(body)]


def document(spec: str) -> Mapping[str, Any]:
    """Return a document, or skip the test where there is none."""
    path = SPECS / f"{spec}.openapi.json"
    if not path.exists():
        pytest.skip(f"needs {path.name} in the folder shared/specs beside the checkout")
    return _read(path)


@cache
def _read(path: Path) -> Mapping[str, Any]:
    found: Mapping[str, Any] = _strict_about_null(json.loads(path.read_text()))
    return found


def _validator(spec: str, path: str, method: str, status: int | None) -> Draft202012Validator:
    whole = document(spec)
    operation = whole["paths"][path][method]
    part = operation["requestBody"] if status is None else operation["responses"][str(status)]
    schema = part["content"]["application/json"]["schema"]
    return Draft202012Validator({"allOf": [schema], "components": whole["components"]})


def _named(spec: str, name: str) -> Draft202012Validator:
    whole = document(spec)
    return Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": whole["components"]})


def _strict_about_null(node: Any) -> Any:
    """Rewrite `nullable: true`, which JSON Schema does not know, to a choice between the schema and null."""
    if isinstance(node, list):
        return [_strict_about_null(item) for item in node]
    if not isinstance(node, dict):
        return node
    rewritten = {key: _strict_about_null(value) for key, value in node.items() if key != "nullable"}
    if node.get("nullable") is not True or not (TYPELESS | {"type", "enum"}) & rewritten.keys():
        return rewritten
    return {"anyOf": [rewritten, {"type": "null"}]}
