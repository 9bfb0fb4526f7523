"""MultiBoxLoss: which boxes are matched and mined, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from caffelite.errors import NetError
from caffelite.layers.box_matching import OUTSIDE, UNMATCHED, MatchType, encode, match
from caffelite.layers.cases import Case
from caffelite.layers.detection_output import decode
from caffelite.layers.prior_box import CodeType
from caffelite.testing import Bench

QUARTERS = [0.0, 0.0, 0.5, 0.5, 0.5, 0.0, 1.0, 0.5, 0.0, 0.5, 0.5, 1.0, 0.5, 0.5, 1.0, 1.0]
OBJECT = [0, 1, 0, 0.0, 0.0, 0.5, 0.5, 0]


def inputs(rows: list[list[float]], **changed: object) -> dict[str, Any]:
    """Four priors, the quarters of an image; all codes and scores 0, two classes."""
    values: dict[str, Any] = {
        "loc": np.zeros((1, 16)),
        "conf": np.zeros((1, 8)),
        "priors": [[QUARTERS, [0.1] * 16]],
        "objects": [[rows]],
    }
    return values | changed


def loss(param: str, values: dict[str, Any], rest: str = "") -> float:
    text = f'type: "MultiBoxLoss" multibox_loss_param {{ num_classes: 2 {param} }} {rest}'
    bench = Bench(Case(text, values, tops=["loss"]), dtype=np.float64)
    bench.forward()
    return float(bench.top[0])


BOXES = np.array([[0, 0, 0.4, 1], [0, 0, 0.5, 1], [0.5, 0, 1, 1], [-0.1, 0, 0.4, 1]])
OBJECTS = np.array([[0, 0, 0.5, 1], [0, 0, 0.45, 1]])


def test_each_object_gets_a_box_of_its_own_first() -> None:
    # overlaps with the first object: 0.8, 1, 0, 0.67; with the second: 0.89, 0.9, 0, 0.73
    found, best = match(BOXES, OBJECTS, MatchType.BIPARTITE, 0.5, False)
    assert found.tolist() == [1, 0, UNMATCHED, UNMATCHED]
    assert np.allclose(best, [0.4 / 0.45, 1, 0, 0.4 / 0.55])


def test_further_boxes_join_the_object_that_they_overlap_most() -> None:
    found, _ = match(BOXES, OBJECTS, MatchType.PER_PREDICTION, 0.7, False)
    assert found.tolist() == [1, 0, UNMATCHED, 1]
    found, _ = match(BOXES, OBJECTS, MatchType.PER_PREDICTION, 0.75, False)
    assert found.tolist() == [1, 0, UNMATCHED, UNMATCHED]


def test_boxes_over_the_border_are_left_out() -> None:
    found, best = match(BOXES, OBJECTS, MatchType.PER_PREDICTION, 0.5, True)
    assert (found[3], best[3]) == (OUTSIDE, 0)


@pytest.mark.parametrize("kind", CodeType)
def test_a_code_gives_the_box_again(kind: CodeType) -> None:
    rng = np.random.default_rng(1)
    low = rng.uniform(0, 0.4, (2, 6, 2))
    boxes, priors = np.concatenate([low, low + rng.uniform(0.1, 0.6, (2, 6, 2))], 2)
    variances = rng.uniform(0.1, 0.3, (6, 4))
    code = encode(boxes, priors, variances, kind)
    assert np.allclose(decode(code, priors, variances, kind, False), boxes)


def test_negatives_are_the_hardest_and_no_more_than_the_ratio_allows() -> None:
    # c of the background: ln 2 for the match, then ln 2, ln 3, ln 4
    conf = [[0, 0, 0, 0, 0, math.log(2), 0, math.log(3)]]
    values = inputs([OBJECT], conf=conf)
    assert loss("neg_pos_ratio: 1", values) == pytest.approx(math.log(2 * 4))
    assert loss("neg_pos_ratio: 2.9", values) == pytest.approx(math.log(2 * 4 * 3))
    assert loss("", values) == pytest.approx(math.log(2 * 4 * 3 * 2))


def test_a_box_that_overlaps_an_object_is_no_negative() -> None:
    # half of the second prior is in the object, which the first prior matches: 1/3
    values = inputs([[0, 1, 0, 0, 0, 0.75, 0.5, 0]], loc=[[0, 0, 2.5, 0] + [0] * 12])
    assert loss("match_type: BIPARTITE", values) == pytest.approx(4 * math.log(2))
    assert loss("match_type: BIPARTITE neg_overlap: 0.2", values) == pytest.approx(3 * math.log(2))


def test_of_boxes_that_overlap_only_the_hardest_is_mined() -> None:
    # the last two priors are one box
    priors = [[[*QUARTERS[:12], *QUARTERS[8:12]], [0.1] * 16]]
    conf = [[0, 0, 0, 0, 0, math.log(2), 0, math.log(3)]]
    values = inputs([OBJECT], conf=conf, priors=priors)
    nms = "nms_param { nms_threshold: 0.7 } use_prior_for_nms: true"
    assert loss(nms, values) == pytest.approx(math.log(2 * 4 * 2))
    assert loss(nms.replace("}", "top_k: 1 }"), values) == pytest.approx(math.log(2 * 4))
    found = nms.replace("use_prior_for_nms: true", "")  # of the boxes that are found
    assert loss(found, values) == pytest.approx(math.log(2 * 4 * 2))
    values["loc"] = np.zeros((1, 16))
    values["loc"][0, 13::2] = 2.5  # the last is found further down
    assert loss(found, values) == pytest.approx(math.log(2 * 4 * 3 * 2))


def test_the_boxes_that_are_found_may_be_matched() -> None:
    """The third prior's box is found where the object is, and the first one's somewhere else."""
    values = inputs([OBJECT])
    values["loc"][0, [0, 2]] = 5
    values["loc"][0, [9, 11]] = -5
    far = 2 * (5 - 1 / 2)
    priors, found = (
        f"match_type: BIPARTITE use_prior_for_matching: {w}" for w in ("true", "false")
    )
    assert loss(priors, values) == pytest.approx(4 * math.log(2) + far)
    assert loss(found, values) == pytest.approx(4 * math.log(2))


def test_without_mining_all_boxes_count() -> None:
    values = inputs([OBJECT], conf=[[0, 0, 0, 0, 0, 0, 0, math.log(3)]])
    assert loss("mining_type: NONE", values) == pytest.approx(math.log(2 * 2 * 2 * 4))


def test_an_image_without_objects() -> None:
    empty = inputs([[-1.0] * 8])
    assert loss("", empty) == 0
    assert loss("mining_type: NONE", empty) == pytest.approx(4 * math.log(2))


def test_difficult_objects_may_be_left_out() -> None:
    values = inputs([[*OBJECT[:7], 1]])
    assert loss("", values) == pytest.approx(4 * math.log(2))
    assert loss("use_difficult_gt: false", values) == 0


def test_coordinates_outside_of_the_image_may_have_no_loss() -> None:
    priors = [[[-0.1, 0, 0.5, 0.5, *QUARTERS[4:]], [0.1] * 16]]
    values = inputs([OBJECT], loc=[[3.0, 1, 0, 0] + [0] * 12], priors=priors)
    # the code is 1, 0, 0, 0: d is 2 and 1
    assert loss("", values) == pytest.approx(1.5 + 0.5 + 4 * math.log(2))
    assert loss("bp_inside: true", values) == pytest.approx(0.5 + 4 * math.log(2))


def test_a_term_may_be_left_out() -> None:
    values = inputs([OBJECT], loc=[[1.0] + [0] * 15])
    down = "propagate_down: {} propagate_down: {} propagate_down: false propagate_down: false"
    assert loss("", values, down.format("true", "false")) == pytest.approx(0.5)
    assert loss("", values, down.format("false", "true")) == pytest.approx(4 * math.log(2))


def test_all_objects_may_be_one_class() -> None:
    values = inputs([[0, 7, *OBJECT[2:]]], conf=[[0, math.log(3)] + [0] * 6])
    agnostic = loss("map_object_to_agnostic: true", values)
    assert agnostic == pytest.approx(math.log(4 / 3) + 3 * math.log(2))


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        ([[0, 2, *OBJECT[2:]]], "object 0 of the batch has class 2"),
        ([OBJECT, [0, 0, *OBJECT[2:]]], "object 1 of the batch has class 0, the background"),
        ([[1, *OBJECT[1:]]], "object 0 of the batch is in image 1"),
        ([[0.5, *OBJECT[1:]]], "object 0 of the batch is in image 0.5"),
        ([[-2, *OBJECT[1:]]], "object 0 of the batch is in image -2"),
    ],
)
def test_objects_that_cannot_be_are_refused(objects: list[list[float]], message: str) -> None:
    with pytest.raises(NetError, match=message):
        loss("", inputs(objects))


@pytest.mark.parametrize(
    ("param", "changed", "message"),
    [
        ("share_location: false", {}, "MAX_NEGATIVE needs one box for all classes"),
        ("do_neg_mining: false", {}, "do_neg_mining and mining_type MAX_NEGATIVE contradict"),
        ("background_label_id: 2", {}, "background_label_id is 2"),
        ("map_object_to_agnostic: true background_label_id: 1", {}, "map_object_to_agnostic"),
        ("", {"loc": np.zeros((1, 12))}, 'bottom "loc" is 1 x 12'),
        ("", {"objects": np.zeros((1, 1, 1, 7))}, 'bottom "objects" is 1 x 1 x 1 x 7'),
    ],
)
def test_refused(param: str, changed: dict[str, object], message: str) -> None:
    with pytest.raises(NetError, match=message):
        loss(param, inputs([OBJECT], **changed))
