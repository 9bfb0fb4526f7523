"""Random inputs are values that the layers which read them accept."""

from __future__ import annotations

import numpy as np
import pytest

import caffelite
from caffelite.files import parse_net
from caffelite.layers.samples import random_inputs

X = (3, 2, 6, 8)


def drawn(
    layer: str, *shapes: tuple[int, ...], between: str = "", tops: int = 1
) -> list[np.ndarray]:
    """What is drawn for the bottoms of a layer; the second one goes through `between`."""
    inputs = "".join(
        f'input: "x{i}" input_shape {{ {" ".join(f"dim: {n}" for n in shape)} }} '
        for i, shape in enumerate(shapes)
    )
    bottoms = [f'bottom: "x{i}"' for i in range(len(shapes))]
    if between:
        bottoms[1] = 'bottom: "between"'
        between = f'layer {{ name: "b" bottom: "x1" top: "between" {between} }} '
    named = " ".join(f'top: "y{i}"' for i in range(tops))
    text = f'{inputs} {between} layer {{ name: "l" {" ".join(bottoms)} {named} {layer} }}'
    net = caffelite.Net(parse_net(text), caffelite.TEST)
    wanted = {f"x{i}": shape for i, shape in enumerate(shapes)}
    found = random_inputs(net.layers, wanted, np.random.default_rng(4))
    for name, values in found.items():
        net.blobs[name].data[...] = values
    net.forward()  # refuses nothing
    return list(found.values())


@pytest.mark.parametrize("between", ["", 'type: "Flatten" flatten_param { axis: 0 }'])
def test_labels_are_classes(between: str) -> None:
    _, labels = drawn('type: "SoftmaxWithLoss"', (40, 3), (40,), between=between)
    assert set(labels) == {0, 1, 2}


@pytest.mark.parametrize("kind", ["ROIPooling", "ROIAlign"])
def test_regions_lie_in_the_image(kind: str) -> None:
    text = f'type: "{kind}" roi_pooling_param {{ pooled_h: 2 pooled_w: 2 spatial_scale: 0.5 }}'
    _, rois = drawn(text, X, (50, 5))
    assert set(rois[:, 0]) == {0, 1, 2}
    assert (rois[:, 1:] >= 0).all()
    assert (rois[:, 1] <= rois[:, 3]).all() and (rois[:, 2] <= rois[:, 4]).all()
    assert 8 < rois[:, 3].max() <= 16 and 6 < rois[:, 4].max() <= 12


def test_a_sequence_begins_with_the_pass() -> None:
    _, marks = drawn(
        'type: "LSTM" recurrent_param { num_output: 2 weight_filler { type: "xavier" } }',
        (20, 3, 4),
        (20, 3),
    )
    assert not marks[0].any() and set(marks.reshape(-1)) == {0, 1}


def test_a_selector_keeps_a_sample_at_least() -> None:
    selectors = [drawn('type: "Filter"', (2, 3), (2,))[1] for _ in range(2)]
    assert all(selector[0] == 1 and set(selector) <= {0, 1} for selector in selectors)


def test_a_mask_has_no_place_twice() -> None:
    _, mask = drawn('type: "Upsample" upsample_param { scale: 2 }', X, X)
    for plane in mask.reshape(6, 48):
        assert len(set(plane)) == 48 and plane.min() >= 0 and plane.max() < 4 * 48


def test_logarithms_are_of_what_is_above_0() -> None:
    (x,) = drawn('type: "Log"', (50,))
    assert x.min() >= 0.5 and x.max() < 2


def test_words_are_of_the_table() -> None:
    (words,) = drawn(
        'type: "Embed" embed_param { num_output: 2 input_dim: 5 weight_filler { type: "xavier" } }',
        (60,),
    )
    assert set(words) == {0, 1, 2, 3, 4}


def test_rows_that_are_chosen_are_there() -> None:
    _, rows = drawn('type: "BatchReindex"', (4, 2), (60,))
    assert set(rows) == {0, 1, 2, 3}
