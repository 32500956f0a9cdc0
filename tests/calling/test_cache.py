"""The exact cache: which requests are equal, which replies are given again, and for how long."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.calling.cache import ReplyCache, is_whole, reply_key
from optimizer.settings import CacheSettings

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
SECRET = b"s" * 32
BODY = {"messages": [{"role": "user", "content": "Hello"}], "temperature": 0.5}
WHOLE = {"choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": "Hi"}}]}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@dataclass(frozen=True)
class Kept:
    body: dict[str, Any]


class Shelf:
    """A cache whose clock the test turns."""

    def __init__(self, **settings: Any) -> None:
        self.now = NOON
        given = {"enabled": True, "ttl": timedelta(minutes=1), "max_entries": 3} | settings
        self.cache: ReplyCache[Kept] = ReplyCache(CacheSettings(**given), lambda: self.now)

    def put(self, key: bytes | None, body: dict[str, Any] = WHOLE) -> bool:
        return self.cache.put(key, Kept(body))


def key_of(body: dict[str, Any] = BODY, **asked: Any) -> bytes | None:
    return reply_key({"use_case": "chat", "tenant": None} | asked, body, secret=SECRET)


def reply(finish_reason: str | None = "stop", **message: Any) -> dict[str, Any]:
    return {"choices": [{"finish_reason": finish_reason, "message": {"role": "assistant", **message}}]}


@given(st.dictionaries(st.text(), json_values, max_size=6), st.randoms(use_true_random=False))
def test_order_of_keys_does_not_matter(body: dict[str, Any], random: Any) -> None:
    shuffled = dict(random.sample(list(body.items()), k=len(body)))
    assert key_of(shuffled) == key_of(body)


@given(json_values, json_values)
def test_bodies_that_differ_have_keys_that_differ(one: Any, other: Any) -> None:
    if repr(one) != repr(other):
        assert key_of({"x": one}) != key_of({"x": other}) or _as_sent(one) == _as_sent(other)


def _as_sent(value: Any) -> Any:
    return json.dumps(value, sort_keys=True)


def test_how_a_reply_is_sent_makes_no_difference() -> None:
    assert key_of({**BODY, "stream": True, "stream_options": {"include_usage": True}}) == key_of()


@pytest.mark.parametrize(
    "asked",
    [
        {"tenant": "acme"},
        {"use_case": "research"},
        {"model": "gpt-4o"},
        {"required_quality": 0.9},
        {"objective": "quality"},
        {"cost_tier": "premium"},
        {"max_cost_usd": 0.01},
    ],
)
def test_who_asks_and_what_for_makes_a_difference(asked: dict[str, Any]) -> None:
    assert key_of(**asked) != key_of()


def test_what_is_not_said_makes_no_difference() -> None:
    assert key_of(model=None) == key_of()


def test_without_the_secret_the_key_tells_nothing() -> None:
    assert reply_key({"use_case": "chat"}, BODY, secret=b"other") != key_of()


@pytest.mark.parametrize("strange", [b"bytes", float("nan"), object(), {1, 2}])
def test_what_is_no_json_is_not_cached(strange: object) -> None:
    assert key_of({**BODY, "strange": strange}) is None


def test_a_body_that_holds_itself_is_not_cached() -> None:
    body: dict[str, Any] = {}
    body["body"] = body
    assert key_of(body) is None


def test_a_whole_reply_is_given_again_until_its_time_is_over() -> None:
    shelf = Shelf()
    assert shelf.put(b"k")
    assert shelf.cache.get(b"k") == Kept(WHOLE)
    shelf.now += timedelta(seconds=60)
    assert shelf.cache.get(b"k") is None


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"choices": []},
        {"choices": ["?"]},
        {**WHOLE, "error": {"code": 502}},
        reply("length", content="Hi"),
        reply("content_filter", content="Hi"),
        reply("error", content="Hi"),
        reply(None, content="Hi"),
        reply(content=""),
        reply(content=None),
        reply(content="No.", refusal="No."),
        {"choices": [*WHOLE["choices"], *reply("length", content="Hi")["choices"]]},
    ],
)
def test_what_is_not_whole_is_not_kept(body: dict[str, Any]) -> None:
    shelf = Shelf()
    assert not shelf.put(b"k", body)
    assert shelf.cache.get(b"k") is None


def test_tool_calls_are_whole_without_text() -> None:
    assert is_whole(reply("tool_calls", content=None, tool_calls=[{"id": "1"}]))


def test_it_is_off_unless_asked_for() -> None:
    cache: ReplyCache[Kept] = ReplyCache(CacheSettings(), lambda: NOON)
    assert not cache.put(b"k", Kept(WHOLE))
    assert cache.get(b"k") is None


def test_no_key_means_no_reply() -> None:
    shelf = Shelf()
    assert not shelf.put(None)
    assert shelf.cache.get(None) is None


def test_the_longest_unused_are_dropped_first() -> None:
    shelf = Shelf()
    for key in (b"1", b"2", b"3"):
        shelf.put(key)
    shelf.cache.get(b"1")
    shelf.put(b"4")
    assert [shelf.cache.get(key) is not None for key in (b"1", b"2", b"3", b"4")] == [True, False, True, True]
    assert len(shelf.cache) == 3


def test_nobody_can_change_what_others_get() -> None:
    shelf = Shelf()
    mine = reply(content="Hi")
    shelf.put(b"k", mine)
    mine["choices"].clear()
    first = shelf.cache.get(b"k")
    assert first is not None
    first.body["choices"][0]["message"]["content"] = "Bye"
    assert shelf.cache.get(b"k") == Kept(reply(content="Hi"))
