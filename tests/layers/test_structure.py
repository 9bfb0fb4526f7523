"""The layers that move values around: what they refuse, and what one case cannot say."""

from __future__ import annotations

import numpy as np
import pytest

import caffelite
from caffelite.errors import CaffeliteError, NetError, Source
from caffelite.schema.bind import bind
from caffelite.schema.net import NetParameter
from caffelite.text import parse


def net(text: str, seed: int = 1, **shapes: tuple[int, ...]) -> caffelite.Net:
    """A net of Inputs of these shapes and the layers in `text`."""
    inputs = "".join(
        f'layer {{ name: "{name}" type: "Input" top: "{name}" input_param {{ shape {{ '
        + " ".join(f"dim: {n}" for n in shape)
        + " } } }\n"
        for name, shape in shapes.items()
    )
    param = bind(parse(Source("test.net", "force_backward: true\n" + inputs + text)), NetParameter)
    return caffelite.Net(param, caffelite.TRAIN, seed=seed)


def layer(rest: str, bottoms: str = "x", tops: str = "y") -> str:
    wires = "".join(f' bottom: "{b}"' for b in bottoms.split())
    wires += "".join(f' top: "{t}"' for t in tops.split())
    return f'layer {{ name: "it" {wires} type: {rest} }}'


REFUSED = [
    ('"Concat" concat_param { axis: 2 }', "x", "y", "axis 2 is out of range"),
    ('"Concat" concat_param { axis: 1 concat_dim: 1 }', "x", "y", "both given"),
    ('"Concat" concat_param { axis: 0 }', "x z", "y", '"z" is 4 x 3'),
    ('"Slice" slice_param { slice_point: 3 slice_point: 2 }', "x", "a b c", "increase"),
    ('"Slice" slice_param { slice_point: 6 }', "x", "a b", "increase, between 0 and 6"),
    ('"Slice" slice_param { slice_point: 0 }', "x", "a b", "would be 0 to 0"),
    ('"Slice" slice_param { slice_point: 1 }', "x", "a b c", "1 slice_point for 3 tops"),
    ('"Slice"', "x", "a b c d", "cannot be cut into 4 equal parts"),
    ('"Slice" slice_param { axis: 0 slice_dim: 0 }', "x", "a b", "both given"),
    ('"Flatten" flatten_param { axis: 1 end_axis: 0 }', "x", "y", "axis is 1 and end_axis is 0"),
    ('"Reshape" reshape_param { shape { dim: -1 dim: -1 } }', "x", "y", "at most one -1"),
    ('"Reshape" reshape_param { shape { dim: 5 dim: -1 } }', "x", "y", "a multiple of 5"),
    ('"Reshape" reshape_param { shape { dim: 7 dim: 4 } }', "x", "y", "4 x 6 (24)"),
    ('"Reshape" reshape_param { shape { dim: 4 dim: 6 dim: 0 } }', "x", "y", "no axis 2"),
    ('"Reshape" reshape_param { axis: 1 num_axes: 2 }', "x", "y", "no 2 axes"),
    ('"Tile" tile_param { axis: 0 }', "x", "y", "tiles is missing"),
    ('"Tile" tile_param { tiles: -1 }', "x", "y", "tiles cannot be -1"),
    ('"Crop" crop_param { axis: 0 offset: 1 }', "x z", "y", "4 from 1 on is more than there is"),
    ('"Crop" crop_param { axis: 1 offset: 1 offset: 2 }', "x z", "y", "2 offsets"),
    ('"Reduction" reduction_param { axis: 3 }', "x", "y", "axis 3 is out of range"),
    ('"ArgMax" argmax_param { top_k: 7 }', "x", "y", "there are 6 values to compare"),
    ('"ArgMax" argmax_param { top_k: 0 }', "x", "y", "top_k cannot be 0"),
    ('"BatchReindex"', "x z", "y", "expected one axis"),
    ('"Filter"', "x z i", "y", "1 tops for 2 bottoms and a selector"),
    ('"Filter"', "x z", "y", "one value a sample"),
    ('"Filter"', "x i", "y", "expected 3 samples"),
    ('"Parameter"', "", "y", "the shape is missing"),
    ('"Embed" embed_param { num_output: 2 }', "i", "y", "input_dim is missing"),
    ('"Embed" embed_param { input_dim: 2 num_output: 0 }', "i", "y", "num_output cannot be 0"),
    ('"DummyData"', "", "y", "shape is missing"),
    ('"DummyData" dummy_data_param { shape { } shape { } }', "", "a b c", "2 shape for 3 tops"),
    ('"DummyData" dummy_data_param { num: 1 channels: 1 height: 1 }', "", "y", "width is missing"),
    ('"DummyData" dummy_data_param { shape { } num: 1 }', "", "y", "shape and num are both given"),
    ('"Permute" permute_param { order: 0 order: 0 }', "x", "y", "each at most once"),
    ('"Permute" permute_param { order: 2 }', "x", "y", "axes from 0 to 1"),
    ('"ShuffleChannel" shuffle_channel_param { group: 4 }', "x", "y", "4 equal groups"),
    ('"Upsample" upsample_param { scale_h: 2 }', "x", "y", "scale_h without scale_w"),
    ('"Upsample" upsample_param { upsample_h: 2 upsample_w: 2 }', "x", "y", "mask"),
    ('"Upsample"', "x", "y", "N x C x H x W"),
    ('"Interp"', "x", "y", "the size is missing"),
    ('"Interp" interp_param { zoom_factor: 2 pad_beg: 1 }', "x", "y", "pad_beg cannot be 1"),
    ('"Interp" interp_param { zoom_factor: 2 }', "x", "y", "N x C x H x W"),
]


@pytest.mark.parametrize(("rest", "bottoms", "tops", "message"), REFUSED)
def test_what_cannot_be_is_refused_with_its_place(
    rest: str, bottoms: str, tops: str, message: str
) -> None:
    inputs = {"x": (4, 6), "z": (4, 3), "i": (3,)}
    used = {name: inputs[name] for name in bottoms.split()}
    with pytest.raises(CaffeliteError) as refusal:
        net(layer(rest, bottoms, tops), **used)
    assert message in str(refusal.value)
    assert f"test.net:{len(used) + 2}:" in str(refusal.value)
    if isinstance(refusal.value, NetError):  # what is out of bounds is refused before
        assert 'layer "it"' in str(refusal.value)


@pytest.mark.parametrize("index", [-1.0, 2.0, 0.5, np.nan])
@pytest.mark.parametrize(
    "text",
    [
        layer('"Embed" embed_param { input_dim: 2 num_output: 3 }', "i"),
        layer('"BatchReindex"', "x i"),
    ],
)
def test_an_index_that_names_nothing_is_refused_with_its_sample(text: str, index: float) -> None:
    it = net(text, x=(2, 3), i=(4,))
    it.forward()
    it.blobs["i"].data[2] = index
    with pytest.raises(CaffeliteError, match="of sample 2 is none of the 2"):
        it.forward()


def test_a_mask_that_points_outside_is_refused() -> None:
    it = net(layer('"Upsample"', "x mask"), x=(1, 1, 1, 2), mask=(1, 1, 1, 2))
    it.blobs["mask"].data[...] = 8
    with pytest.raises(CaffeliteError, match="2 x 4 pixels"):
        it.forward()


def test_filter_changes_its_tops_shapes_with_the_selector() -> None:
    it = net(
        layer('"Filter"', "x z s", "a b")
        + 'layer { name: "sum" type: "Reduction" bottom: "a" top: "sum" }',
        x=(3, 2), z=(3, 1, 4), s=(3, 1),
    )  # fmt: skip
    x = it.blobs["x"].data
    x[...] = [[1, 2], [3, 4], [5, 6]]
    for chosen in ([1, 0, 1], [0, 0, 1], [0, 0, 0], [1, 1, 1]):
        it.blobs["s"].data[:, 0] = chosen
        it.forward()
        rows = np.flatnonzero(chosen)
        assert it.blobs["a"].shape == (len(rows), 2)
        assert it.blobs["b"].shape == (len(rows), 1, 4)
        np.testing.assert_array_equal(it.blobs["a"].data, x[rows])
        assert it.blobs["sum"].data == x[rows].sum()
        it.blobs["sum"].diff[...] = 1
        it.backward()
        np.testing.assert_array_equal(it.blobs["x"].diff, np.array(chosen)[:, None] * [[1, 1]])


def test_reshape_infers_the_same_extents_for_an_empty_batch() -> None:
    it = net(layer('"Reshape" reshape_param { shape { dim: 0 dim: 2 dim: -1 } }'), x=(3, 8))
    it.blobs["x"].reshape(0, 8)
    it.forward()
    assert it.blobs["y"].shape == (0, 2, 4)


DUMMY = layer(
    '"DummyData" dummy_data_param { shape { dim: 50 } '
    'data_filler { value: 2 } data_filler { type: "gaussian" } }',
    "",
    "still drawn",
)


def test_dummy_data_draws_random_tops_anew_and_leaves_constant_ones_alone() -> None:
    it = net(DUMMY)
    it.forward()
    still, drawn = it.blobs["still"].data, it.blobs["drawn"].data
    assert (still == 2).all()
    first = drawn.copy()
    still[3] = 7
    it.forward()
    assert still[3] == 7
    assert not np.isin(drawn, first).any()


def test_dummy_data_repeats_with_the_seed() -> None:
    def two_passes(seed: int) -> list[np.ndarray]:
        it = net(DUMMY, seed)
        return [it.forward()["drawn"].copy() for _ in range(2)]

    np.testing.assert_array_equal(two_passes(3), two_passes(3))
    assert not np.isin(two_passes(3), two_passes(4)).any()


def test_equal_values_in_argmax_come_last_first() -> None:
    it = net(layer('"ArgMax" argmax_param { top_k: 3 }'), x=(1, 40))
    it.blobs["x"].data[0, [4, 9, 30]] = 1
    assert it.forward()["y"].ravel().tolist() == [30, 9, 4]


def test_interp_by_a_whole_factor_keeps_the_given_pixels() -> None:
    """Zoomed by z, every z-th pixel is one of the image."""
    it = net(layer('"Interp" interp_param { zoom_factor: 3 }'), x=(2, 1, 4, 5))
    x = it.blobs["x"].data
    x[...] = np.random.default_rng(0).normal(size=x.shape)
    np.testing.assert_allclose(it.forward()["y"][:, :, ::3, ::3], x, atol=1e-6)


def test_upsample_undoes_pooling() -> None:
    """Each maximum goes back to its place; everything else is 0."""
    it = net(
        'layer { name: "pool" type: "Pooling" bottom: "x" top: "p" top: "mask" '
        "pooling_param { kernel_size: 2 stride: 2 } }" + layer('"Upsample"', "p mask"),
        x=(2, 3, 4, 6),
    )
    x = it.blobs["x"].data
    x[...] = np.random.default_rng(0).uniform(1, 2, x.shape)
    y = it.forward()["y"]
    kept = y != 0
    np.testing.assert_array_equal(y[kept], x[kept])
    assert kept.sum() == x.size / 4
