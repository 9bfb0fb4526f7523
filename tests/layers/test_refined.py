"""RefineDet: priors that a first stage moves, image by image."""

from __future__ import annotations

import numpy as np
import pytest

import caffelite
from caffelite.errors import NetError
from caffelite.files import parse_net
from caffelite.layers.box_matching import encode
from caffelite.layers.detection_output import decode
from caffelite.layers.prior_box import CodeType

RNG = np.random.default_rng(8)
COUNT = 6
CORNERS = RNG.uniform(0.1, 0.5, (COUNT, 4)) + np.array([0, 0, 0.35, 0.35])
VARIANCES = np.tile([0.1, 0.1, 0.2, 0.2], (COUNT, 1))
LOC, MOVES = RNG.normal(size=(2, 2, COUNT * 4))
CONF = RNG.normal(size=(2, COUNT * 3))
FIRST = RNG.uniform(0, 1, (2, COUNT * 2))
OBJECTS = np.array([[0, 1, 0, 0.2, 0.2, 0.6, 0.7, 0], [1, 2, 0, 0.4, 0.1, 0.9, 0.5, 0]])


def net_of(layer: str, values: dict[str, np.ndarray], phase: int) -> caffelite.Net:
    text = "force_backward: true " + " ".join(
        f'input: "{name}" input_shape {{ {" ".join(f"dim: {n}" for n in value.shape)} }}'
        for name, value in values.items()
    )
    bottoms = " ".join(f'bottom: "{name}"' for name in values)
    net = caffelite.Net(
        parse_net(text + f' layer {{ name: "l" {bottoms} top: "y" {layer} }}', "f.net"),
        phase,
        dtype=np.float64,
    )
    for name, value in values.items():
        net.blobs[name].data[...] = value
    return net


def priors(corners: np.ndarray) -> np.ndarray:
    return np.stack([corners.ravel(), VARIANCES.ravel()])[None]


def moved(image: int) -> np.ndarray:
    codes = MOVES[image].reshape(1, COUNT, 1, 4)
    kind = CodeType.CENTER_SIZE
    found = decode(codes, CORNERS[:, None], VARIANCES[:, None], kind, False)
    return found.reshape(COUNT, 4)


OUTPUT = (
    'type: "DetectionOutput" detection_output_param { num_classes: 3 code_type: CENTER_SIZE '
    "confidence_threshold: 0.1 nms_param { nms_threshold: 0.6 } objectness_score: 0.4 }"
)
LOSS = (
    'type: "MultiBoxLoss" multibox_loss_param { num_classes: 3 code_type: CENTER_SIZE '
    "overlap_threshold: 0.4 objectness_score: 0.4 }"
)


def test_each_image_has_its_own_priors() -> None:
    scores = np.exp(CONF.reshape(2, COUNT, 3))
    scores /= scores.sum(-1, keepdims=True)
    values = {"loc": LOC, "conf": scores.reshape(2, -1), "p": priors(CORNERS), "first": FIRST}
    both = net_of(OUTPUT, values | {"moves": MOVES}, caffelite.TEST)
    assert both.layers[-1].type == "RefinedDetectionOutput"
    found, rows = both.forward()["y"][0, 0], []
    for image in range(2):
        cut = scores[image].copy()
        cut[FIRST[image].reshape(-1, 2)[:, 1] < 0.4] = [1, 0, 0]
        single = {"loc": LOC[[image]], "conf": cut.reshape(1, -1), "p": priors(moved(image))}
        one = net_of(OUTPUT.replace(" objectness_score: 0.4", ""), single, caffelite.TEST)
        mine = one.forward()["y"][0, 0].copy()
        mine[:, 0] = image
        rows.append(mine)
    np.testing.assert_allclose(found, np.concatenate(rows), rtol=1e-6)


def test_the_loss_is_that_of_moved_priors() -> None:
    first = FIRST.copy()
    first.reshape(2, COUNT, 2)[..., 1] = 1  # all may be mined
    values = {"loc": LOC, "conf": CONF, "p": priors(CORNERS), "o": OBJECTS[None, None]}
    both = net_of(LOSS, values | {"first": first, "moves": MOVES}, caffelite.TRAIN)
    assert both.layers[-1].type == "RefinedMultiBoxLoss"
    total = float(both.forward()["y"])
    both.backward()
    losses, slopes = [], []
    for image in range(2):
        own = OBJECTS[[image]].copy()
        own[:, 0] = 0
        single = {"loc": LOC[[image]], "conf": CONF[[image]], "p": priors(moved(image))}
        one = net_of(
            LOSS + " loss_param { normalization: NONE }", single | {"o": own[None, None]}, 0
        )
        losses.append(float(one.forward()["y"]))
        one.backward()
        slopes.append(one.blobs["loc"].diff.copy())
    matches = np.count_nonzero(np.concatenate(slopes).reshape(-1, 4).any(1))
    assert total == pytest.approx(sum(losses) / matches)
    np.testing.assert_allclose(both.blobs["loc"].diff, np.concatenate(slopes) / matches)


def test_codes_of_an_object_are_zero_where_its_prior_lies() -> None:
    np.testing.assert_allclose(
        encode(moved(0), moved(0), VARIANCES, CodeType.CENTER_SIZE), 0, atol=1e-9
    )


def test_what_is_refused() -> None:
    values = {"loc": LOC, "conf": CONF, "p": priors(CORNERS), "o": OBJECTS[None, None]}
    more = values | {"first": FIRST}
    for field in ("use_prior_for_matching: false", "mining_type: HARD_EXAMPLE"):
        with pytest.raises(NetError, match=r"not priors|among refined priors"):
            net_of(LOSS.replace("objectness_score", field + " objectness_score"), more, 0)
    with pytest.raises(NetError, match=r"expected 2 x 12 \(24\)"):
        net_of(LOSS, values | {"first": FIRST[:, :6]}, 0)
