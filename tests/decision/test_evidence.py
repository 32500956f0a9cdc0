"""Sums form a commutative group, so evidence may be added in any order, taken away, and added again."""

import math

from hypothesis import given
from hypothesis import strategies as st

from optimizer.decision.evidence import EvidenceKey, Sums, added, bin_tokens, length_bin

whole = st.integers(-(10**15), 10**15)
sums = st.builds(Sums, whole, whole, whole)
keys = st.builds(
    EvidenceKey,
    st.sampled_from(("chat", "code")),
    st.sampled_from(("", "maths")),
    st.sampled_from(("small", "large")),
    st.just("calls"),
    st.just(0),
    st.just(900),
)
parts = st.lists(st.dictionaries(keys, sums, max_size=6), max_size=5)


def test_two_ratings_by_hand() -> None:
    """.5 and .25 in units of 10⁻⁴: 5000 + 2500 = 7500, 25 000 000 + 6 250 000 = 31 250 000."""
    assert Sums(1, 5000, 25_000_000) + Sums(1, 2500, 6_250_000) == Sums(2, 7500, 31_250_000)


@given(sums, sums, sums)
def test_addition_commutes_and_associates(a: Sums, b: Sums, c: Sums) -> None:
    assert a + b == b + a
    assert (a + b) + c == a + (b + c)


@given(sums)
def test_nothing_added_changes_nothing_and_everything_can_be_taken_away(a: Sums) -> None:
    assert a + Sums() == a
    assert a + -a == Sums()


@given(parts, st.randoms(use_true_random=False))
def test_order_of_parts_does_not_matter(dealt: list[dict[EvidenceKey, Sums]], random: object) -> None:
    shuffled = list(dealt)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert added(shuffled) == added(dealt)


@given(parts)
def test_added_is_the_sum_key_by_key_without_what_came_to_nothing(dealt: list[dict[EvidenceKey, Sums]]) -> None:
    """Against plain integer sums over every key that occurs."""
    found = added(dealt)
    for key in {key for part in dealt for key in part}:
        columns = zip(*(part.get(key, Sums()) for part in dealt), strict=True)
        expected = Sums(*(sum(column) for column in columns))
        assert found.get(key, Sums()) == expected
        assert (key in found) == (expected != Sums())


@given(st.dictionaries(keys, sums, max_size=6))
def test_a_part_and_its_negative_leave_no_rows(part: dict[EvidenceKey, Sums]) -> None:
    assert added([part, {key: -value for key, value in part.items()}]) == {}


@given(st.integers(0, 10**7))
def test_a_bin_stands_for_lengths_within_half_of_it(tokens: int) -> None:
    """Half a half-octave either way is a factor 2^¼ of tokens + 1."""
    octaves = math.log2((tokens + 1.0) / (bin_tokens(length_bin(tokens)) + 1.0))
    assert abs(octaves) <= 0.25 + 1e-9


@given(st.integers(6, 60))
def test_the_length_that_stands_for_a_bin_lies_in_it(number: int) -> None:
    """From seven tokens on, above which whole lengths are closer than bins."""
    assert length_bin(round(bin_tokens(number))) == number
