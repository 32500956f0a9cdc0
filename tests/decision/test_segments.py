"""Segments are found without labels, named alike everywhere, and refuse features that they were not fitted on."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.cluster.vq import whiten

from optimizer.decision.segments import Segmenter, fit_segmenter
from optimizer.errors import InvalidRequest

RNG = np.random.default_rng(5)
BLOBS = np.concatenate([RNG.normal(place, 0.1, (size, 2)) for place, size in ((0.0, 60), (5.0, 30), (9.0, 10))])


def _fit(features: np.ndarray, n_segments: int) -> Segmenter:
    return fit_segmenter(features, n_segments, np.random.default_rng(1))


def test_nearest_centre_by_hand() -> None:
    """Standardised, (3, 30) is (1, 2): from (0, 0) its squared distance is 5, from (2, 2) it is 1."""
    by_hand = Segmenter(np.array([[0.0, 0.0], [2.0, 2.0]]), np.array([1.0, 10.0]), np.array([2.0, 10.0]))
    assert by_hand.segment_of([3.0, 30.0]) == "s01"
    assert by_hand.segment_of([1.0, 10.0]) == "s00"


def test_blobs_are_found_and_the_largest_comes_first() -> None:
    found = _fit(BLOBS, 3)
    assert found.segments_of(BLOBS) == ("s00",) * 60 + ("s01",) * 30 + ("s02",) * 10


@given(st.lists(st.tuples(st.floats(-50, 50), st.floats(-50, 50)), min_size=1, max_size=20))
def test_one_request_at_a_time_gives_what_many_at_once_give(rows: list[tuple[float, float]]) -> None:
    found = _fit(BLOBS, 3)
    many = found.segments_of(np.array(rows))
    scaled = (np.array(rows) - found.location) / found.scale
    distance = ((scaled[:, None] - found.centres) ** 2).sum(axis=2)
    for i, row in enumerate(rows):
        assert distance[i, found.names.index(many[i])] == pytest.approx(distance[i].min(), abs=1e-6)
        assert distance[i, found.names.index(found.segment_of(row))] == pytest.approx(distance[i].min(), abs=1e-6)


def test_units_of_a_feature_do_not_matter() -> None:
    assert _fit(BLOBS, 3).segments_of(BLOBS) == _fit(BLOBS * [1.0, 1e6], 3).segments_of(BLOBS * [1.0, 1e6])
    assert_allclose(np.std(whiten(BLOBS), axis=0), 1.0)


def test_same_chance_gives_the_same_version() -> None:
    assert _fit(BLOBS, 3).version == _fit(BLOBS, 3).version != _fit(BLOBS, 2).version
    assert len(_fit(BLOBS, 3).version) == 8


@pytest.mark.parametrize("n_segments", [1, 2, 7])
def test_few_distinct_rows_give_few_segments(n_segments: int) -> None:
    """Two distinct rows make two segments at most, and no segment is empty."""
    rows = np.repeat([[1.0, 2.0], [1.0, 3.0]], 20, axis=0)
    found = _fit(rows, n_segments)
    assert len(found.names) == min(n_segments, 2)
    assert set(found.segments_of(rows)) == set(found.names)


def test_saved_and_read_back_it_is_the_same_to_the_last_bit() -> None:
    found = _fit(BLOBS, 3)
    read = Segmenter.from_dict(json.loads(json.dumps(found.to_dict())))
    assert read.version == found.version
    assert_array_equal(read.centres, found.centres)


@pytest.mark.parametrize(
    "change",
    [
        {"centres": [[0.0, 1.0]]},
        {"centres": [[0.0]]},
        {"scale": [1.0, 0.0]},
        {"scale": "wide"},
        {"location": [0.0, float("nan")]},
        {"version": "00000000"},
        {"centres": []},
    ],
)
def test_what_was_changed_by_hand_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(InvalidRequest, match="segments"):
        Segmenter.from_dict({**_fit(BLOBS, 3).to_dict(), **change})


def test_half_of_it_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="half-written"):
        Segmenter.from_dict({"version": "x"})


@pytest.mark.parametrize("features", [[], [1.0], [1.0, 2.0, 3.0], [float("nan"), 1.0], [float("inf"), 1.0]])
def test_features_of_another_length_or_not_finite_are_refused(features: list[float]) -> None:
    found = _fit(BLOBS, 3)
    with pytest.raises(InvalidRequest, match=r"^features: "):
        found.segment_of(features)
    with pytest.raises(InvalidRequest, match=r"^features: "):
        found.segments_of(np.array([features]))


@pytest.mark.parametrize("features", [np.zeros((0, 2)), np.array([[np.nan]]), np.zeros(3)])
def test_nothing_to_fit_on_is_refused(features: np.ndarray) -> None:
    with pytest.raises(InvalidRequest):
        _fit(features, 2)
