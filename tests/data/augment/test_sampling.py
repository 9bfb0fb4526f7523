"""Parts of images that are drawn: their geometry, and which of them count."""

from __future__ import annotations

import numpy as np
import pytest

from caffelite.data.augment.boxes import area, covered, covers, jaccard, locate, mirrored, project
from caffelite.data.augment.sampling import draw_part, sample, satisfies
from caffelite.schema.sampling import BatchSampler, SampleConstraint, Sampler

OBJECTS = np.array([[0.0, 0.0, 0.5, 0.5], [0.4, 0.4, 0.6, 0.6]])
PART = np.array([0.0, 0.0, 1.0, 0.5])


def test_measures() -> None:
    # common: 0.25 and 0.02; areas 0.25, 0.04, the part's 0.5
    np.testing.assert_allclose(jaccard(PART, OBJECTS), [0.5, 0.02 / 0.52])
    np.testing.assert_allclose(covers(PART, OBJECTS), [0.5, 0.04])
    np.testing.assert_allclose(covered(OBJECTS, PART), [1.0, 0.5])
    assert area(np.array([0.5, 0.5, 0.4, 0.9])) == 0  # turned over
    assert covered(np.array([[0.1, 0.1, 0.1, 0.5]]), PART).tolist() == [0]


def test_boxes_in_a_window() -> None:
    window = np.array([0.25, 0.0, 0.75, 0.5])
    boxes = np.array([[0.0, 0.0, 0.5, 0.5], [0.25, 0.25, 1.0, 1.0], [0.8, 0.0, 0.9, 0.1]])
    inside, seen = project(boxes, window)
    np.testing.assert_allclose(inside[:2], [[0, 0, 0.5, 1], [0, 0.5, 1, 1]])
    assert seen.tolist() == [True, True, False]
    np.testing.assert_allclose(locate(window, np.array([0.5, 0.5, 1, 1])), [0.5, 0.25, 0.75, 0.5])
    box = np.array([[0.1, 0.0, 0.5, 0.5]])
    np.testing.assert_allclose(mirrored(box), [[0.5, 0, 0.9, 0.5]])


@pytest.mark.parametrize(
    "bounds, expected",
    [
        ({}, True),
        ({"min_jaccard_overlap": 0.5}, True),
        ({"min_jaccard_overlap": 0.51}, False),
        ({"max_jaccard_overlap": 0.04}, True),
        ({"max_jaccard_overlap": 0.01}, False),
        ({"min_jaccard_overlap": 0.1, "max_jaccard_overlap": 0.4}, False),
        ({"min_sample_coverage": 0.5}, True),
        ({"min_sample_coverage": 0.6}, False),
        ({"max_sample_coverage": 0.03}, False),
        ({"min_object_coverage": 1.0}, True),
        ({"max_object_coverage": 0.6}, True),
        ({"max_object_coverage": 0.4}, False),
        # one object must do for all
        ({"min_object_coverage": 0.9, "max_sample_coverage": 0.1}, False),
    ],
)
def test_which_parts_count(bounds: dict[str, float], expected: bool) -> None:
    constraint = SampleConstraint(**bounds)
    assert satisfies(PART, OBJECTS, constraint) is expected
    assert satisfies(PART, np.empty((0, 4)), constraint) is (not bounds)


def test_parts_have_the_scale_and_the_ratio_that_are_asked_for() -> None:
    sampler = Sampler(min_scale=0.3, max_scale=0.9, min_aspect_ratio=0.5, max_aspect_ratio=2.0)
    rng = np.random.default_rng(3)
    scales, ratios, centres = [], [], []
    for _ in range(500):
        x1, y1, x2, y2 = draw_part(sampler, rng)
        assert 0 <= x1 < x2 <= 1 + 1e-12 and 0 <= y1 < y2 <= 1 + 1e-12
        scales.append(np.sqrt((x2 - x1) * (y2 - y1)))
        ratios.append((x2 - x1) / (y2 - y1))
        centres.append([x1 + x2, y1 + y2])
    assert 0.3 <= min(scales) < 0.32 and 0.88 < max(scales) <= 0.9
    assert 0.5 <= min(ratios) < 0.55 and 1.9 < max(ratios) <= 2
    assert np.ptp(centres, axis=0).min() > 1  # all over the image


def test_a_ratio_that_leaves_the_image_is_brought_nearer_to_1() -> None:
    wide = Sampler(min_scale=0.5, max_scale=0.5, min_aspect_ratio=100, max_aspect_ratio=100)
    x1, y1, x2, y2 = draw_part(wide, np.random.default_rng(1))
    np.testing.assert_allclose([x2 - x1, y2 - y1], [1.0, 0.25])


def whole(**more: object) -> BatchSampler:
    return BatchSampler(**more)


def test_one_of_all_that_were_found_is_taken() -> None:
    small = BatchSampler(max_sample=1, max_trials=50, sampler=Sampler(min_scale=0.4, max_scale=0.5))
    rng = np.random.default_rng(4)
    parts = [sample(OBJECTS, [whole(max_trials=1), small], rng) for _ in range(200)]
    entire = sum(part is not None and part.tolist() == [0, 0, 1, 1] for part in parts)
    assert 70 < entire < 130


@pytest.mark.parametrize(
    "sampler",
    [
        whole(use_original_image=False),
        whole(max_trials=0),
        whole(max_sample=0),
        whole(sample_constraint=SampleConstraint(min_object_coverage=1.5)),
    ],
)
def test_nothing_is_taken_where_nothing_was_found(sampler: BatchSampler) -> None:
    assert sample(OBJECTS, [sampler], np.random.default_rng(1)) is None


def test_trials_and_samples_are_counted() -> None:
    """So many draws, each of four numbers, and one that chooses."""
    for more, draws in (
        ({"max_sample": 3, "max_trials": 50}, 3),
        ({"max_trials": 7}, 7),
        ({"max_trials": 7, "max_sample": 9}, 7),
    ):
        rng, same = np.random.default_rng(6), np.random.default_rng(6)
        sample(OBJECTS, [whole(**more)], rng)
        same.random(4 * draws)
        same.integers(draws)
        assert rng.random() == same.random()
