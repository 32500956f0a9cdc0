"""Settings that change while calls go on: all of them or none, and nothing that is under way is confused."""

import threading
import time
from pathlib import Path

import pytest

from optimizer.engine.watch import LOOK_EVERY_S
from optimizer.errors import UnknownModel
from optimizer.ledger.calls import read_call
from tests.engine.conftest import Open
from tests.engine.factory import CHEAP, DEAR, MIDDLE, POOL, pool, teach

LIMITED = "routing: {cost_limits: {hourly_usd: 5}}"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "optimizer.yaml"


def test_other_candidates_and_objectives_count_at_once(opened: Open, config: Path) -> None:
    opt = opened(pool("objective: 'floor:0.6'"))
    before = opt.select_optimal_model("chat", 1000)
    config.write_text(f"use_cases: {{chat: {{candidates: [{MIDDLE}, {CHEAP}], objective: quality}}, own: {{{POOL}}}}}")
    assert opt.reload()
    after = opt.select_optimal_model("chat", 1000)
    assert set(after.distribution) == {MIDDLE, CHEAP}
    assert after.decision.objective == "quality"
    assert after.policy_version != before.policy_version
    assert set(opt.select_optimal_model("own", 1000).distribution) == {DEAR, MIDDLE, CHEAP}
    assert opt.settings.use_cases["chat"].objective == "quality"


def test_what_was_learned_stays(opened: Open, config: Path) -> None:
    opt = opened(pool())
    teach(opt, CHEAP, [1.0] * 5)
    config.write_text(pool("objective: quality"))
    opt.reload()
    assert opt.select_optimal_model("chat", 1000).decision.by_model[CHEAP].n_ratings == 5.0


@pytest.mark.parametrize(
    "text",
    [
        "use_cases: {chat: {objectiv: quality}}",
        "use_cases: [",
        "use_cases: {chat: {candidates: [gpt-99]}}",
        "use_cases: {chat: {segments: nowhere.json}}",
    ],
)
def test_a_wrong_file_is_refused_whole_with_one_warning(
    opened: Open, config: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    opt = opened(pool())
    before = opt.view
    config.write_text(f"{LIMITED}\n{text}")
    assert not opt.reload()
    assert opt.view is before
    assert not opt.purse.limited
    assert caplog.text.count("stays as it was") == 1


def test_a_file_that_is_gone_changes_nothing(opened: Open, config: Path) -> None:
    opt = opened(pool())
    config.unlink()
    assert not opt.reload()
    assert set(opt.select_optimal_model("chat", 1000).distribution) == {DEAR, MIDDLE, CHEAP}


def test_limits_come_and_go(opened: Open, config: Path) -> None:
    opt = opened(pool())
    assert opt.purse.status() == []
    config.write_text(pool(rest=LIMITED))
    opt.reload()
    assert [status.limit_nano_usd for status in opt.purse.status()] == [5_000_000_000]
    selection = opt.select_optimal_model("chat", 1000)
    opt.record(selection, cost_usd=1.0)
    opt.flush()
    assert opt.purse.status()[0].spent_nano_usd == 1_000_000_000
    config.write_text(pool())
    opt.reload()
    assert not opt.purse.limited


def test_a_flag_of_the_environment_counts_when_it_is_read_again(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    opt = opened(pool("objective: quality"))
    monkeypatch.setitem(opt.origin.environ, "LLM_ROUTING_ENABLED", "false")  # type: ignore[arg-type]
    opt.reload()
    assert opt.select_optimal_model("chat", 1000).overridden_by == "flag:routing"


def test_durability_counts_at_once(opened: Open, config: Path) -> None:
    opt = opened(pool("", "durability: batched"))
    config.write_text(pool("", "durability: sync"))
    opt.reload()
    selection = opt.select_optimal_model("chat", 1000)
    opt.record(selection, latency_ms=1.0)
    assert read_call(opt.database, selection.call_id).attempts


@pytest.mark.parametrize("through", ["choice", "refresh"])
def test_a_changed_file_is_seen_within_a_second(opened: Open, config: Path, through: str) -> None:
    opt = opened(pool())
    config.write_text(pool(rest=LIMITED))
    time.sleep(LOOK_EVERY_S)
    if through == "choice":
        opt.select_optimal_model("chat", 1000)
    else:
        opt.refresh()
    assert opt.purse.limited


def test_a_wrong_file_is_complained_of_once(opened: Open, config: Path, caplog: pytest.LogCaptureFixture) -> None:
    opt = opened(pool())
    config.write_text("use_cases: [")
    for _ in range(3):
        time.sleep(LOOK_EVERY_S)
        opt.select_optimal_model("chat", 1000)
    assert caplog.text.count("stays as it was") == 1


def test_a_file_that_is_emptied_counts_only_if_it_stays_empty(opened: Open, config: Path) -> None:
    """Whoever writes it anew empties it first; an empty file is a good one, and means the built-in use cases."""
    opt = opened(pool("objective: quality"))
    config.write_text("")
    found = []
    for _ in range(2):
        time.sleep(LOOK_EVERY_S)
        found.append(opt.select_optimal_model("chat", 1000).decision.objective)
    assert found == ["quality", "average:97%"]


def test_another_idea_of_quality_asks_for_a_rebuild(
    opened: Open, config: Path, caplog: pytest.LogCaptureFixture
) -> None:
    opt = opened(pool())
    config.write_text(pool("metrics: {quality: solved}", "journal_dir: elsewhere"))
    opt.reload()
    assert "What counts as quality has changed for chat: run `optimizer rebuild`" in caplog.text
    assert "journal_dir has changed: it counts from the next start on" in caplog.text


def test_choices_never_mix_two_files(opened: Open, config: Path) -> None:
    """While one thread reloads, each choice of another goes by one file wholly: its candidates, flags and version."""
    texts = [pool("objective: quality"), f"use_cases: {{chat: {{candidates: [{CHEAP}], objective: 'floor:0.6'}}}}"]
    opt = opened(texts[0])
    found: set[tuple[str, str, frozenset[str]]] = set()
    over = threading.Event()

    def choose() -> None:
        while not over.is_set():
            selection = opt.select_optimal_model("chat", 1000)
            found.add((selection.decision.objective, selection.policy_version, frozenset(selection.distribution)))

    thread = threading.Thread(target=choose)
    thread.start()
    for number in range(10):
        new = config.with_suffix(".new")
        new.write_text(texts[number % 2])
        new.replace(config)  # the file is never empty, not even for a moment
        assert opt.reload()
    over.set()
    thread.join()
    assert len(found) <= 2
    assert len({objective for objective, _, _ in found}) == len(found)


def test_a_candidate_that_is_gone_serves_no_pin(opened: Open, config: Path) -> None:
    opt = opened(pool())
    config.write_text(f"use_cases: {{chat: {{candidates: [{MIDDLE}, {CHEAP}]}}}}")
    opt.reload()
    with pytest.raises(UnknownModel, match=DEAR):
        opt.select_optimal_model("chat", 1000, model=DEAR)
