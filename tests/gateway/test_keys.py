"""Keys: the first, the other where it is refused, and those of a file as it changes."""

import os
from pathlib import Path

from pydantic import SecretStr

from optimizer.gateway.keys import KeyRing
from tests.gateway.calls import asking, call, caught, completed, direct, failure
from tests.gateway.loopback import REPLY, Asked, http_reply, one_by_one, replying


async def only_new(asked: Asked, writer) -> None:
    """Accept the new key only."""
    status = 200 if asked.headers.get("authorization") == "Bearer new" else 401
    writer.write(http_reply(REPLY, status=status))


def keys_of(server) -> list[str]:
    return [asked.headers["authorization"].removeprefix("Bearer ") for asked in server.asked]


def test_a_refused_key_is_tried_with_the_second_one_which_is_preferred_from_then_on() -> None:
    async def thrice(client, server) -> list[str]:
        for _ in range(3):
            await client.complete(call())
        return keys_of(server)

    assert asking(only_new, thrice, client=lambda url: direct(url, "old", "new"))[0] == ["old", "new", "new", "new"]


def test_two_refused_keys_are_one_refusal_and_change_nothing() -> None:
    async def twice(client, server) -> list[str]:
        for _ in range(2):
            assert (await caught(client.complete(call()))).kind == "auth"
        return keys_of(server)

    refusing = replying({}, status=401)
    assert asking(refusing, twice, client=lambda url: direct(url, "a", "b"))[0] == ["a", "b", "a", "b"]


def test_one_key_is_tried_once() -> None:
    found, server = asking(
        replying({}, status=401), lambda client, _: caught(client.complete(call())), client=lambda url: direct(url, "a")
    )
    assert (found.kind, len(server.asked)) == ("auth", 1)


def test_another_error_of_the_second_key_is_the_answer() -> None:
    answers = one_by_one(replying({}, status=401), replying({}, status=429))
    assert failure(answers, client=lambda url: direct(url, "a", "b")).kind == "rate_limit"


def test_without_a_key_there_is_no_authorization() -> None:
    assert "authorization" not in completed(replying())[1].asked[0].headers


def test_a_file_is_read_again_when_it_has_changed_but_looked_at_once_a_second(tmp_path: Path) -> None:
    file, now = tmp_path / "keys", [0.0]
    file.write_text("first\nsecond\n")
    ring = KeyRing(file=str(file), clock=lambda: now[0])
    assert (ring.current(), ring.other_than("first")) == ("first", "second")
    file.write_text("third\n")
    os.utime(file, (5, 5))
    now[0] = 0.9
    assert ring.current() == "first"
    now[0] = 1.0
    assert ring.current() == "third"


def test_a_file_that_is_gone_leaves_the_keys_read_last(tmp_path: Path) -> None:
    file, now = tmp_path / "keys", [0.0]
    file.write_text("first\n")
    ring = KeyRing(file=str(file), clock=lambda: now[0])
    assert ring.current() == "first"
    file.unlink()
    now[0] = 2.0
    assert ring.current() == "first"
    assert KeyRing(file=str(file)).current() is None


def test_a_changed_file_begins_with_its_first_key_again(tmp_path: Path) -> None:
    file, now = tmp_path / "keys", [0.0]
    file.write_text("a\nb\n")
    ring = KeyRing(file=str(file), clock=lambda: now[0])
    ring.current()
    ring.prefer("b")
    assert ring.current() == "b"
    file.write_text("b\nccc\n")
    now[0] = 2.0
    assert ring.current() == "b"
    assert ring.other_than("b") == "ccc"


def test_a_ring_does_not_show_its_keys() -> None:
    assert repr(KeyRing([SecretStr("secret-key")])) == "KeyRing(1 keys)"


def test_keys_of_the_same_settings_keep_what_was_learned() -> None:
    ring = KeyRing([SecretStr("a"), SecretStr("b")])
    assert ring.same_as((SecretStr("a"), SecretStr("b")), None)
    assert not ring.same_as((SecretStr("b"),), None)
    assert not ring.same_as((), "keys")
