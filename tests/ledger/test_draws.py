"""What calls were drawn from, read back without the rest of the decision."""

import random
from datetime import UTC, datetime
from pathlib import Path

from optimizer.engine import Optimizer
from optimizer.ledger.draws import draws_of

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
SETTINGS = """
use_cases:
  mine: {candidates: [gpt-4o, gpt-oss-120b], objective: "average:90%", holdout: 0.3, exploration: 0.1}
  other: {candidates: [gpt-4o, gpt-oss-120b], objective: "value:0.01"}
"""


def test_shares_and_holdout_are_those_that_calls_were_drawn_by(url: str, tmp_path: Path) -> None:
    """After the warm-up 0.3 · (1 − 0.1) = 27% are held out; before, and without a relative floor, nobody is."""
    config = tmp_path / "o.yaml"
    config.write_text(SETTINGS)
    rng = random.Random(5)
    with Optimizer.open(config, database=url, environ={}, background=False, clock=lambda: NOON, rng=rng) as opt:
        warm = _calls(opt, "mine", 60)
        opt.refresh(flush=True)
        later, other = _calls(opt, "mine", 300), _calls(opt, "other", 5)
        opt.flush()
        stored = {s.call_id: opt.call(s.call_id).selection for s in (*warm, *later, *other)}
        digests = {selection.decision.digest for selection in stored.values()}
        found = dict(draws_of(opt.database, digests))
        assert not dict(draws_of(opt.database, {"none"}))
    for selection in stored.values():
        assert found[selection.decision.digest].shares == selection.distribution
        assert found[selection.decision.digest].incumbent == "gpt-4o"
    held = [{round(found[s.decision.digest].held_share, 9) for s in calls} for calls in (warm, later, other)]
    assert held == [{0.0}, {0.27}, {0.0}]
    n_held = sum(selection.held_out for selection in later)
    assert abs(n_held - 0.27 * 300) < 3 * (300 * 0.27 * 0.73) ** 0.5


def _calls(opt: Optimizer, use_case: str, n: int):
    selections = [opt.select_optimal_model(use_case, 1_000) for _ in range(n)]
    for selection in selections:
        opt.record(selection, usage={"prompt_tokens": 1_000, "completion_tokens": 100})
        opt.rate(selection.call_id, 0.9)
    return selections
