"""The loading of the gateways' documents: they accept what they should, and refuse what they should."""

from tests.gateway.specs import refused, refused_by_schema

CALL = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}


def test_all_three_dialects_accept_a_plain_call() -> None:
    found = {spec: refused(spec, CALL, path="/chat/completions") for spec in ("portkey", "openrouter", "openai")}
    assert found == {"portkey": [], "openrouter": [], "openai": []}


def test_a_wrong_type_is_refused_with_its_place() -> None:
    assert refused("portkey", CALL | {"temperature": "hot"}, path="/chat/completions")[0].startswith("$.temperature")


def test_null_is_accepted_only_where_the_document_says_so() -> None:
    assert refused("portkey", CALL | {"temperature": None}, path="/chat/completions") == []
    assert refused("portkey", CALL | {"messages": None}, path="/chat/completions") != []


def test_feedback_wants_an_integer() -> None:
    assert refused("portkey", {"trace_id": "t", "value": 3}, path="/feedback") == []
    assert refused("portkey", {"trace_id": "t", "value": 2.5}, path="/feedback") != []


def test_a_named_schema_is_found() -> None:
    assert refused_by_schema("openrouter", {"error": {"code": 400, "message": "no"}}, "BadRequestResponse") == []
