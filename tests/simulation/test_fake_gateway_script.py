"""A script says what happens when: by chance, by number, by time, the same for the same seed."""

from pathlib import Path

import httpx
import pytest
from pydantic import ValidationError

from optimizer.errors import InvalidSettings
from optimizer.simulation.fake_gateway import (
    Change,
    FakeServer,
    ModelScript,
    Prices,
    Script,
    Trouble,
    load_script,
    running_gateway,
)
from tests.simulation.fake_calls import PLAIN, ask, get, message

SHAKY = ModelScript(troubles=(Trouble(fault="server_error", probability=0.4),), output_sigma=0.7)
DEAD = Script(troubles=(Trouble(fault="reset", gateway="portkey", whole_gateway=True),))


def _statuses(server: FakeServer, n_calls: int) -> list[int]:
    return [ask(server).status_code for _ in range(n_calls)]


def _fates(seed: int, *, others: int = 0) -> list[tuple[int, int | None]]:
    with running_gateway(Script(default=SHAKY), seed=seed) as server:
        for _ in range(20):
            ask(server)
            for _ in range(others):
                ask(server, model="@anthropic/claude-haiku-4-5", max_tokens=9)
        mine = [served for served in server.served if served.key == "gpt-4o"]
    return [(served.status, served.usage and served.usage.output_tokens) for served in mine]


def test_the_same_seed_brings_the_same_and_another_one_something_else() -> None:
    assert _fates(1) == _fates(1)
    assert _fates(1) != _fates(2)


def test_what_a_model_comes_to_does_not_depend_on_calls_of_others() -> None:
    assert _fates(3) == _fates(3, others=1)


def test_chance_strikes_about_as_often_as_it_says() -> None:
    """Of 400 calls 160 fail on average, with a standard error of 9.8; four of them are 39."""
    with running_gateway(Script(default=SHAKY), seed=5) as server, httpx.Client(**PLAIN) as http:
        body = {"model": "gpt-4o", "messages": []}
        for _ in range(400):
            http.post(f"{server.portkey_url}/chat/completions", json=body)
        assert abs(server.n_failed["gpt-4o"] - 160) < 39
        assert server.n_failed.total() + server.n_served.total() == 400


def test_troubles_strike_by_the_number_of_the_call() -> None:
    trouble = Trouble(fault="unavailable", from_call=2, until_call=6, every=2)
    with running_gateway(Script(models={"gpt-4o": ModelScript(troubles=(trouble,))})) as server:
        assert _statuses(server, 6) == [200, 503, 200, 503, 200, 200]


@pytest.mark.parametrize(("after_s", "until_s", "is_due"), [(0, 10, True), (10, None, False), (0, 5, False)])
def test_troubles_strike_by_the_time(after_s: float, until_s: float | None, is_due: bool) -> None:
    trouble = Trouble(fault="unavailable", after_s=after_s, until_s=until_s)
    assert trouble.is_due(1, 5.0, "portkey") == is_due


def test_a_whole_gateway_can_be_dead_and_the_other_one_alive() -> None:
    with running_gateway(DEAD) as server:
        assert ask(server, "openrouter").status_code == get(f"{server.openrouter_url}/key").status_code == 200
        for path in ("", "/v1/models"):
            with pytest.raises(httpx.ReadError):
                get(server.url + path, headers={"x-portkey-api-key": "pk"})
        with pytest.raises(httpx.ReadError):
            ask(server)


def test_a_new_script_counts_anew() -> None:
    trouble = Trouble(fault="unavailable", until_call=2)
    with running_gateway(Script(troubles=(trouble,))) as server:
        assert _statuses(server, 2) == [503, 200]
        server.play(Script(troubles=(trouble,)))
        assert _statuses(server, 2) == [503, 200]


def test_prices_change_and_quality_drops_unannounced() -> None:
    """A call costs 1 dollar per million tokens and then 3."""
    changes = (Change(after_calls=1, quality=0.0), Change(after_calls=2, prices=_flat(3.0)))
    script = Script(models={"gpt-4o": ModelScript(prices=_flat(1.0), answer="Paris", changes=changes)})
    headers = {"x-fake-prompt-tokens": "10", "x-fake-completion-tokens": "10"}
    with running_gateway(script) as server:
        replies = [ask(server, "openrouter", headers=headers) for _ in range(3)]
        assert [served.is_good for served in server.served] == [True, False, False]
    texts = [message(reply)["content"] for reply in replies]
    assert texts == ["Paris", "Sorry, I cannot say.", "Sorry, I cannot say."]
    assert [reply.json()["usage"]["cost"] for reply in replies] == pytest.approx([20e-6, 20e-6, 60e-6])


def _flat(usd_per_mtok: float) -> Prices:
    return Prices(input_usd_per_mtok=usd_per_mtok, output_usd_per_mtok=usd_per_mtok)


def test_a_model_has_the_default_where_its_own_script_is_silent() -> None:
    default = ModelScript(answer="by default", cached_share=0.5)
    script = Script(default=default, models={"gpt-4o": ModelScript(answer="by its own")})
    with running_gateway(script) as server:
        own, other = ask(server, "openrouter"), ask(server, "openrouter", model="openai/gpt-4o-mini")
    assert (message(own)["content"], message(other)["content"]) == ("by its own", "by default")
    assert own.json()["usage"]["prompt_tokens_details"]["cached_tokens"] > 0


def test_one_name_of_the_catalogue_stands_for_all_on_the_wire() -> None:
    script = Script(models={"claude-haiku-4-5": ModelScript(answer="yes", served_as="claude-haiku-4-5-20251001")})
    with running_gateway(script) as server:
        portkey = ask(server, model="@anthropic/claude-haiku-4-5", max_tokens=9)
        openrouter = ask(server, "openrouter", model="anthropic/claude-haiku-4.5")
    assert message(portkey)["content"] == message(openrouter)["content"] == "yes"
    assert portkey.json()["model"] == "claude-haiku-4-5-20251001"


def test_unknown_models_may_be_refused() -> None:
    with running_gateway(Script(known_models_only=True, models={"mine": ModelScript()})) as server:
        assert [ask(server, model=f"@openai/{name}").status_code for name in ("mine", "gpt-4o", "no")] == [
            200,
            200,
            404,
        ]


def test_a_script_is_read_from_yaml(tmp_path: Path) -> None:
    path = tmp_path / "script.yaml"
    path.write_text(
        "mode: oss\n"
        "default: {ttft_s: 0.2, ttft_sigma: 0.4, tokens_per_s: 80}\n"
        "models:\n"
        "  gpt-4o:\n"
        "    prices: {input_usd_per_mtok: 2.5, output_usd_per_mtok: 10}\n"
        "    changes: [{after_s: 60, quality: 0.3}]\n"
        "    troubles: [{fault: 'rate_limit:7', probability: 0.05}]\n"
        "troubles: [{fault: hang, gateway: openrouter, after_s: 10, until_s: 20, whole_gateway: true}]\n"
    )
    script = load_script(path)
    assert (script.mode, script.default.ttft_s, script.models["gpt-4o"].changes[0].quality) == ("oss", 0.2, 0.3)
    assert script.troubles[0].whole_gateway


@pytest.mark.parametrize("text", ["modes: oss", "default: {ttft_s: -1}", "troubles: [{fault: 'reset:x'}]", "- a", "{"])
def test_a_wrong_script_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "script.yaml"
    path.write_text(text)
    with pytest.raises(InvalidSettings):
        load_script(path)


def test_a_trouble_must_have_a_known_fault() -> None:
    with pytest.raises(ValidationError, match="unknown fault"):
        Trouble(fault="earthquake")
