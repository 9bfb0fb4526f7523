"""Layers of happynear's fork: what is drawn, what is found, what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import caffelite
from caffelite.errors import NetError
from caffelite.files import parse_net


def net_of(layers: str, phase: int = caffelite.TEST, **shapes: tuple[int, ...]) -> caffelite.Net:
    text = "force_backward: true " + " ".join(
        f'input: "{name}" input_shape {{ {" ".join(f"dim: {n}" for n in shape)} }}'
        for name, shape in shapes.items()
    )
    return caffelite.Net(parse_net(text + layers, "f.net"), phase, dtype=np.float64, seed=2)


def test_slopes_are_drawn_between_the_bounds() -> None:
    text = (
        'layer { name: "i" type: "Insanity" bottom: "x" top: "y" insanity_param { lb: 2 ub: 4 } }'
    )
    net = net_of(text, caffelite.TRAIN, x=(50, 40))
    net.blobs["x"].data[...] = -1
    slopes = -net.forward()["y"].copy()
    assert slopes.min() > 0.25 and slopes.max() < 0.5 and slopes.std() > 0.05
    assert (1 / slopes).mean() == pytest.approx(3, abs=0.05)
    net.blobs["y"].diff[...] = 1
    net.backward()
    np.testing.assert_allclose(net.blobs["x"].diff, slopes)


def test_bounds_in_the_wrong_order() -> None:
    with pytest.raises(NetError, match="lb is 5 and ub 4"):
        net_of('layer { type: "Insanity" bottom: "x" top: "y" insanity_param { ub: 4 } }', x=(1, 2))


BOX = 'layer { name: "b" type: "PredictBox" bottom: "s" bottom: "t" top: "map" top: "boxes" }'


def test_boxes_come_column_by_column() -> None:
    net = net_of(BOX, s=(1, 2, 2, 3), t=(1, 4, 2, 3))
    net.blobs["s"].data[0, 1] = [[0.6, 0, 0.8], [0.7, 0.9, 0]]
    boxes = net.forward()["boxes"]
    assert boxes.shape == (1, 4, 5)
    np.testing.assert_allclose(boxes[0, :, 4], [0.6, 0.7, 0.9, 0.8])
    np.testing.assert_allclose(boxes[0, :, :2], [[0, 0], [0, 2], [2, 2], [4, 0]])
    net.blobs["s"].data[...] = 0
    assert net.forward()["boxes"].shape == (1, 1, 5) and not net.blobs["boxes"].data.any()


def test_two_pictures_have_maps_alone() -> None:
    net = net_of(BOX, s=(2, 2, 1, 1), t=(2, 4, 1, 1))
    net.blobs["s"].data[...] = 0.9
    assert not net.forward()["boxes"].any()
    np.testing.assert_allclose(net.blobs["map"].data[:, 4], 0.9)


def test_codes_of_another_size() -> None:
    with pytest.raises(NetError, match="expected N x 4 x H x W"):
        net_of(BOX, s=(1, 2, 2, 3), t=(1, 4, 3, 2))


def test_learned_points_are_made_one_long() -> None:
    text = 'layer { name: "d" type: "InnerDistance" bottom: "x" top: "y" inner_distance_param { '
    net = net_of(text + "num_output: 2 normalize: true } }", x=(1, 2))
    net.params["d"][0].data[...] = [[3, 4], [0, -9]]
    net.blobs["x"].data[...] = [[0.6, 0.8]]
    np.testing.assert_allclose(net.forward()["y"], [[0, 0.36 + 1.8**2]], atol=1e-6)
    np.testing.assert_allclose(net.params["d"][0].data, [[0.6, 0.8], [0, -1]], atol=1e-6)


def test_a_filler_of_rows_one_long() -> None:
    text = 'layer { name: "d" type: "InnerDistance" bottom: "x" top: "y" inner_distance_param { '
    text += 'num_output: 50 weight_filler { type: "gaussian_unitball" } } }'
    rows = net_of(text, x=(1, 3)).params["d"][0].data
    np.testing.assert_allclose((rows * rows).sum(1), 1)
    assert np.abs(rows.mean(0)).max() < 0.3 and rows.min() < -0.9


def test_a_margin_grows_from_pass_to_pass() -> None:
    text = (
        'layer { name: "a" type: "LabelSpecificAdd" bottom: "x" bottom: "s" top: "y" top: "b" '
        "label_specific_add_param { bias_base: 0 bias_gamma: -0.125 bias_min: -0.3 } }"
    )
    net = net_of(text, caffelite.TRAIN, x=(1, 2), s=(1,))
    net.blobs["x"].data[...] = 1
    found = [float(net.forward()["b"][0]) for _ in range(4)]
    assert found == pytest.approx([0, -0.125, -0.25, -0.3])
    np.testing.assert_allclose(net.blobs["y"].data, [[0.7, 1]])
    layer = net.layers[-1]
    assert layer.state() == {"passes": 4}
    layer.restore({"passes": 1})
    assert float(net.forward()["b"][0]) == pytest.approx(-0.125)


@pytest.mark.parametrize(
    ("layer", "shapes", "words"),
    [
        ('type: "InnerDistance"', {"x": (1, 2)}, "num_output is missing"),
        ('type: "InnerDistance"', {"x": (1, 2), "w": (3, 3)}, "expected M x 2"),
        (
            'type: "InnerDistance" inner_distance_param { distance_type: "L3" }',
            {"x": (1, 2), "w": (3, 2)},
            'distance_type is "L3"',
        ),
        ('type: "ChannelScale"', {"x": (2, 3, 4), "s": (2, 3)}, "a factor for each place"),
        (
            'type: "ChannelScale" channel_scale_param { global_scale: true }',
            {"x": (2, 3), "s": (2,)},
            "global_scale is not followed here",
        ),
        (
            'type: "GeneralContrastiveLoss" '
            "general_contrastive_loss_param { positive_first: true }",
            {"x": (2, 3), "s": (2,)},
            "positive_first is not followed here",
        ),
        ('type: "GeneralContrastiveLoss"', {"x": (2, 3, 4), "s": (2,)}, "expected N x C"),
        ('type: "LabelSpecificAdd"', {"x": (2, 3, 4), "s": (2,)}, "expected N x C"),
    ],
)
def test_what_is_refused(layer: str, shapes: dict[str, tuple[int, ...]], words: str) -> None:
    bottoms = " ".join(f'bottom: "{name}"' for name in shapes)
    with pytest.raises(NetError, match=words):
        net_of(f'layer {{ name: "l" {bottoms} top: "y" {layer} }}', caffelite.TRAIN, **shapes)
