"""The logged propensity of a model is how often it is drawn, exactly, whatever the objective."""

import pytest
from scipy.stats import chisquare
from sqlalchemy import func, select

from optimizer.ledger.tables import calls
from tests.engine.conftest import Open
from tests.engine.factory import CHEAP, DEAR, MIDDLE, pool, teach

N = 10_000


@pytest.mark.parametrize(
    ("objective", "qualities", "seed"),
    [
        ("quality", (0.8, 0.78, 0.79), 11),
        ("average:97%", (0.8, 0.74, 0.76), 12),
        ("floor:0.7", (0.8, 0.74, 0.76), 13),
        ("value:0.5", (0.8, 0.74, 0.76), 14),
    ],
)
def test_propensities_are_the_frequencies_of_ten_thousand_choices(
    opened: Open, objective: str, qualities: tuple[float, float, float], seed: int
) -> None:
    """Pearson's chi-square over the drawn models, at a fixed seed; a right propensity fails one seed in a thousand."""
    opt = opened(pool(f"objective: '{objective}', guard: 0.3, holdout: 0.1, exploration: 0.1"), seed=seed)
    for model, value in zip((DEAR, MIDDLE, CHEAP), qualities, strict=True):
        teach(opt, model, [value, value - 0.3, value + 0.2] * 14)
    for _ in range(N):
        selection = opt.select_optimal_model("chat", 1000)
    opt.flush()
    c = calls.c
    query = select(c.drawn_model_id, c.propensity, func.count()).where(c.overridden_by.is_(None))
    with opt.database.reading() as connection:
        logged = connection.execute(query.group_by(c.drawn_model_id, c.propensity)).all()
    assert {model: propensity for model, propensity, _ in logged} == {
        model: share for model, share in selection.distribution.items() if share > 0
    }
    assert len(logged) >= 2
    assert sum(n for _, _, n in logged) == N
    expected = [N * propensity for _, propensity, _ in logged]
    assert chisquare([n for _, _, n in logged], expected).pvalue > 0.001
