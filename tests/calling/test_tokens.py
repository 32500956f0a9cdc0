"""Token estimates: sane before learning, right after it, and with a margin that holds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from optimizer.calling import tokens as module
from optimizer.calling.token_features import FEATURES, FloatArray, body_features, features
from optimizer.calling.tokens import START, Learned, TokenEstimator, estimate_output

# A made-up tokenizer that is a third dearer than the start, and dearer still in Chinese.
MADE_UP = START * 1.33 * np.where(np.array(FEATURES) == "cjk", 1.5, 1.0)
WORDS = ["the", "quick", "internationalisation", "42", "x = f(y)", "日本語", "naïve", "\n", "CamelCase", "привет"]


def texts(n: int, seed: int = 1) -> list[FloatArray]:
    rng = np.random.default_rng(seed)
    return [features(" ".join(rng.choice(WORDS, size=rng.integers(5, 800)))) for _ in range(n)]


def truth(counts: FloatArray, rng: np.random.Generator, noise: float = 0.05) -> int:
    return max(1, round(float(MADE_UP @ counts) * (1 + noise * rng.standard_normal())))


def after(n: int, seed: int = 2, noise: float = 0.05) -> Learned:
    rng, learned = np.random.default_rng(seed), Learned()
    for counts in texts(n, seed):
        learned = learned.after((counts, truth(counts, rng, noise)))
    return learned


def test_an_english_sentence_is_estimated_before_anything_is_learned() -> None:
    """OpenAI's tokenizer makes 10 of it, Claude's too."""
    mean, high = TokenEstimator().estimate(None, features("The quick brown fox jumps over the lazy dog."))
    assert mean in {9, 10, 11}
    assert high >= 13


def test_an_unknown_model_has_a_margin_of_thirty_percent_at_least() -> None:
    for counts in texts(20):
        mean, high = TokenEstimator().estimate("new", counts)
        assert high >= 1.3 * mean - 1


@given(st.text(), st.text())
def test_more_text_is_never_fewer_tokens(left: str, right: str) -> None:
    for learned in (Learned(), LEARNED):
        whole = learned.estimate(features(left + right))
        assert whole.mean >= learned.estimate(features(left)).mean >= 1
        assert whole.mean >= learned.estimate(features(right)).mean


LEARNED = after(40)


def test_nothing_is_estimated_as_at_least_one_token() -> None:
    assert Learned().estimate(np.zeros(len(FEATURES))).mean == 1


def test_weights_stay_positive_where_a_model_ignores_something() -> None:
    """Spaces at the start of lines are free here, and least squares would make them negative."""
    learned = Learned()
    for n in range(1, 60):
        learned = learned.after((features("word " * n + "\n    " * (60 - n)), n))
    assert learned._fit[0].min() >= 0.0


def test_learning_converges_on_a_made_up_tokenizer() -> None:
    learned, rng = after(300), np.random.default_rng(3)
    errors = [abs(learned.estimate(c).mean / truth(c, rng, noise=0.0) - 1) for c in texts(200, seed=4)]
    assert np.median(errors) < 0.01
    before = [abs(Learned().estimate(c).mean / truth(c, rng, noise=0.0) - 1) for c in texts(200, seed=4)]
    assert np.median(before) > 0.2


def test_ten_requests_already_help() -> None:
    learned, rng = after(10), np.random.default_rng(3)
    errors = [abs(learned.estimate(c).mean / truth(c, rng, noise=0.0) - 1) for c in texts(200, seed=4)]
    assert np.median(errors) < 0.05


@pytest.mark.parametrize("noise", [0.03, 0.15])
def test_the_margin_holds_in_95_of_100_cases(noise: float) -> None:
    """Over 2,000 texts one standard error is 0.5%, of a quantile of 400 it is 1.1%; bins of 1% widen the margin."""
    learned, rng = after(400, noise=noise), np.random.default_rng(5)
    within = np.mean([learned.estimate(c).high >= truth(c, rng, noise) for c in texts(2_000, seed=6)])
    assert 0.95 - 2 * 0.012 <= within <= 0.95 + 3 * 0.012


def test_the_margin_shrinks_with_what_is_known() -> None:
    [counts] = texts(1, seed=9)
    shares = [known.estimate(counts).high / known.estimate(counts).mean for known in (Learned(), after(29), after(300))]
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] < 1.15


def test_order_of_requests_does_not_matter_to_the_estimate() -> None:
    rng, counts = np.random.default_rng(7), texts(60)
    pairs = [(c, truth(c, rng)) for c in counts]
    forward, backward = Learned(), Learned()
    for c, tokens in pairs:
        forward = forward.after((c, tokens))
    for c, tokens in reversed(pairs):
        backward = backward.after((c, tokens))
    assert_allclose(forward._fit[0], backward._fit[0], rtol=1e-9)


def test_what_two_processes_learned_adds_up() -> None:
    """Sums of rows, so the sum of two halves weighs like the whole."""
    here, there = after(50, seed=1), after(50, seed=2)
    estimator = TokenEstimator({"m": here})
    estimator.add("m", there)
    both = estimator.learned("m")
    assert both.n == 100
    assert_allclose(both.gram, here.gram + there.gram)
    assert both.misses.sum() == 100


def test_models_are_learned_apart() -> None:
    estimator, [counts] = TokenEstimator(), texts(1)
    before = estimator.estimate("other", counts)
    for _ in range(20):
        estimator.learn("one", counts, 3 * before.mean)
    assert estimator.estimate("one", counts).mean > 2 * before.mean
    assert estimator.estimate("other", counts) == estimator.estimate(None, counts) == before


def test_of_many_requests_a_few_more_wait_for_company() -> None:
    """Of 64 known, three more than a 32nd part come in together, and weigh as they would one by one but for the fit."""
    known, [counts] = after(64), texts(1)
    estimator = TokenEstimator({"m": known})
    seen = []
    for _ in range(3):
        estimator.learn("m", counts, 100)
        seen.append(estimator.learned("m").n)
    assert seen == [64, 64, 67]
    assert_allclose(estimator.learned("m").gram, known.after(*[(counts, 100)] * 3).gram)


def test_learning_leaves_what_was_known_unchanged() -> None:
    known = after(3)
    gram = known.gram.copy()
    known.after((texts(1)[0], 100))
    assert known.n == 3
    assert_allclose(known.gram, gram)


@pytest.mark.parametrize("tokens", [0, -5, 10_000_000])
def test_a_number_that_counts_something_else_teaches_nothing(tokens: int) -> None:
    estimator = TokenEstimator()
    estimator.learn("m", features("hello world"), tokens)
    assert estimator.learned("m").n == 0


def test_the_model_that_was_learned_about_least_recently_is_forgotten_first() -> None:
    estimator = TokenEstimator({f"m{i}": Learned(1) for i in range(module.MOST_MODELS)})
    estimator.learn("m0", features("hello world"), 2)
    estimator.learn("new", features("hello world"), 2)
    assert [estimator.learned(name).n for name in ("m0", "m1", "m2", "new")] == [2, 0, 1, 1]


def test_the_received_part_of_a_stream_is_counted_by_the_same_weights() -> None:
    text = "The quick brown fox jumps over the lazy dog. " * 20
    assert estimate_output(text) == round(float(START @ features(text)))
    assert (estimate_output(""), estimate_output(" ")) == (0, 1)


def test_a_request_is_estimated_with_its_frame() -> None:
    """One word (0.96) and two turns (3.5 each)."""
    body = {"messages": [{"role": "user", "content": "hello"}]}
    assert TokenEstimator().estimate("m", body_features(body)).mean == 8
