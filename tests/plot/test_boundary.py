"""The regions are those of the net: held against nets whose borders are known on paper."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import caffelite
from caffelite.blob import Array
from caffelite.errors import CaffeliteError, NetError
from caffelite.files import parse_net
from caffelite.net import Net
from caffelite.plot.boundary import Regions, decision_regions, draw_regions
from caffelite.plot.pictures import PNG, colours, save_png

W = np.array([1.0, -2.0])
B = 0.313
INPUT = 'layer { name: "in" type: "Input" top: "data" input_param { shape { dim: 4 dim: 2 } } }'
SPIRAL = 'layer { name: "in" type: "SpiralData" top: "data" top: "label" }'


def ip(outputs: int, top: str = "score") -> str:
    return (
        f'layer {{ name: "ip" type: "InnerProduct" bottom: "data" top: "{top}" '
        f"inner_product_param {{ num_output: {outputs} }} }}"
    )


def judge(kind: str, bottom: str = "score") -> str:
    ends = f'bottom: "{bottom}" bottom: "label" top: "{kind}"'
    return f'layer {{ name: "{kind}" type: "{kind}" {ends} }}'


def build(*layers: str, phase: caffelite.Phase = caffelite.TEST, seed: int = 3) -> Net:
    return Net(parse_net("\n".join(layers)), phase, seed=seed)


def linear(net: Net, factor: float = 1.0) -> Net:
    """Score 1 (or the only one) is ahead where w·x + b > 0."""
    weight, bias = net.params["ip"]
    weight.data[...], bias.data[...] = 0, 0
    weight.data[-1], bias.data[-1] = factor * W, factor * B
    if len(weight.data) == 3:  # the third class is never best
        weight.data[1], bias.data[1] = factor * W, factor * B
        weight.data[2], bias.data[2] = 0, -50
    return net


def above(points: Array) -> Array:
    return points @ W + B


def check_sides(regions: Regions) -> None:
    plane = np.stack(np.meshgrid(regions.x, regions.y), axis=-1)
    value = above(plane)
    clear = np.abs(value) > 1e-5
    assert clear.mean() > 0.99
    np.testing.assert_array_equal(regions.classes[clear], (value > 0)[clear])
    assert 0 < regions.classes.mean() < 1


@pytest.mark.parametrize("outputs", [1, 2, 3])
def test_regions_are_the_sides_of_a_line(outputs: int) -> None:
    regions = decision_regions(linear(build(INPUT, ip(outputs))), grid=41)
    assert regions.probabilities.shape == (41, 41, max(2, outputs))
    np.testing.assert_allclose(regions.probabilities.sum(axis=2), 1)
    check_sides(regions)
    assert regions.accuracy is None and not len(regions.points)


def test_probabilities_are_the_softmax_of_the_scores() -> None:
    for layers, outputs in (((INPUT, ip(2)), 2), ((INPUT, ip(1)), 1)):
        regions = decision_regions(linear(build(*layers)), grid=9)
        plane = np.stack(np.meshgrid(regions.x, regions.y), axis=-1)
        expected = 1 / (1 + np.exp(-above(plane)))
        np.testing.assert_allclose(
            regions.probabilities[..., 1], expected, rtol=1e-5, err_msg=f"{outputs} outputs"
        )


SIGMOID = 'layer { name: "p" type: "Sigmoid" bottom: "score" top: "p" }'


@pytest.mark.parametrize(
    ("layers", "blob"),
    [
        ((SPIRAL, ip(3), judge("SoftmaxWithLoss"), judge("Accuracy")), "score"),
        ((SPIRAL, ip(2), judge("HingeLoss")), "score"),
        ((SPIRAL, ip(1), judge("SigmoidCrossEntropyLoss")), "score"),
        ((SPIRAL, ip(1), SIGMOID, judge("EuclideanLoss", "p")), "p"),
        ((SPIRAL, ip(1), SIGMOID), "p"),
        ((INPUT, ip(2), 'layer { name: "s" type: "Softmax" bottom: "score" top: "s" }'), "s"),
        ((INPUT, 'layer { name: "r" type: "ReLU" bottom: "data" top: "r" }', ip(1)), "score"),
        (
            (
                INPUT,
                ip(2),
                'layer { name: "pw" type: "Power" bottom: "score" top: "score" '
                "power_param { scale: 2 } }",
            ),
            "score",
        ),
    ],
)
def test_the_scores_are_found(layers: tuple[str, ...], blob: str) -> None:
    net = linear(build(*(spec for spec in layers)))
    regions = decision_regions(net, grid=31, extent=(-1, 1, -1, 1))
    assert regions.blob == blob
    check_sides(regions)


def test_a_named_blob_is_taken_in_place_of_the_losses() -> None:
    net = linear(build(SPIRAL, ip(2), SIGMOID, judge("HingeLoss")))
    assert decision_regions(net, "p", grid=11).blob == "p"
    with pytest.raises(NetError, match=r'no blob "scor"(.|\n)*did you mean "score"'):
        decision_regions(net, "scor")


def test_euclidean_scores_are_divided_at_one_half() -> None:
    net = linear(build(SPIRAL, ip(1), judge("EuclideanLoss")))
    net.params["ip"][1].data[...] += 0.5
    check_sides(decision_regions(net, grid=31, extent=(-1, 1, -1, 1)))


def test_an_input_rewritten_in_place_and_four_axes() -> None:
    net = build(
        INPUT.replace("dim: 2", "dim: 2 dim: 1 dim: 1"),
        'layer { name: "pw" type: "Power" bottom: "data" top: "data" power_param { scale: 3 } }',
        ip(2),
    )
    linear(net, 1 / 3).params["ip"][1].data[1] = B
    check_sides(decision_regions(net, grid=31))


def test_the_net_itself_is_left_as_it_was() -> None:
    net = linear(build(SPIRAL, ip(3), judge("SoftmaxWithLoss")))
    net.forward()
    other = linear(build(SPIRAL, ip(3), judge("SoftmaxWithLoss")))
    other.forward()
    decision_regions(net, grid=11)
    for _ in range(20):
        assert net.forward_loss() == other.forward_loss()
        np.testing.assert_array_equal(net.blobs["data"].data, other.blobs["data"].data)


def test_dropout_is_off_also_for_a_net_in_training() -> None:
    drop = 'layer { name: "d" type: "Dropout" bottom: "data" top: "x" }' + ip(1).replace(
        'bottom: "data"', 'bottom: "x"'
    )
    check_sides(decision_regions(linear(build(INPUT, drop, phase=caffelite.TRAIN)), grid=31))


def test_points_of_the_spiral_and_their_accuracy() -> None:
    net = linear(build(SPIRAL, ip(3), judge("SoftmaxWithLoss"), judge("Accuracy")))
    regions = decision_regions(net, grid=21)
    layer = net.layer_dict["in"]
    np.testing.assert_array_equal(regions.points, layer.points)
    np.testing.assert_array_equal(regions.labels, layer.labels)
    expected = np.mean((above(layer.points) > 0) == layer.labels)
    assert regions.accuracy == pytest.approx(expected, abs=1e-9)
    assert regions.wrong.sum() == round(300 * (1 - expected))
    assert regions.x[0] < layer.points[:, 0].min() and regions.x[-1] > layer.points[:, 0].max()
    assert regions.y[0] < layer.points[:, 1].min() and regions.y[-1] > layer.points[:, 1].max()


@pytest.mark.parametrize(("batch", "shuffle"), [(4, "false"), (7, "true")])
def test_points_of_a_file_each_once(tmp_path: Path, batch: int, shuffle: str) -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform(-1, 1, (10, 2)).astype(np.float32)
    labels = (above(points) > 0).astype(np.float32)
    labels[0] = 1 - labels[0]
    np.savez(tmp_path / "d.npz", data=points, label=labels)
    data = (
        'layer { name: "in" type: "NumpyData" top: "data" top: "label" numpy_data_param { '
        f'source: "{tmp_path / "d.npz"}" batch_size: {batch} shuffle: {shuffle} }} }}'
    )
    net = linear(build(data, ip(2), judge("SoftmaxWithLoss")))
    regions = decision_regions(net, grid=21)
    assert sorted(map(tuple, regions.points)) == sorted(map(tuple, points.astype(float)))
    assert regions.accuracy == pytest.approx(0.9)
    np.testing.assert_array_equal(regions.points[regions.wrong][0], points[0])


def test_points_handed_over() -> None:
    memory = (
        'layer { name: "in" type: "MemoryData" top: "data" top: "label" memory_data_param { '
        "batch_size: 2 channels: 2 height: 1 width: 1 } }"
    )
    net = linear(build(memory, ip(1), judge("HingeLoss").replace("HingeLoss", "EuclideanLoss")))
    assert decision_regions(net, grid=5).accuracy is None
    points = np.array([[1, 0], [0, 1], [-1, 0], [3, 0]], np.float32)
    net.layer_dict["in"].set_input_arrays(points.reshape(4, 2, 1, 1), [1, -1, 1, 1])
    regions = decision_regions(net, grid=5)  # a negative label: divided at 0
    np.testing.assert_array_equal(regions.labels, [1, 0, 1, 1])
    np.testing.assert_array_equal(regions.predicted, [1, 0, 0, 1])
    given = decision_regions(
        linear(build(INPUT, ip(2))), grid=5, points=points, labels=[1, 0, 0, 1]
    )
    assert given.accuracy == 1


def test_dummy_data_has_points_too() -> None:
    dummy = (
        'layer { name: "in" type: "DummyData" top: "data" top: "label" dummy_data_param { '
        'data_filler { type: "uniform" min: -1 max: 1 } data_filler { } '
        "shape { dim: 50 dim: 2 } shape { dim: 50 } } }"
    )
    regions = decision_regions(linear(build(dummy, ip(2), judge("SoftmaxWithLoss"))), grid=5)
    assert regions.points.shape == (1000, 2)
    assert regions.accuracy == pytest.approx(np.mean(above(regions.points) <= 0), abs=1e-3)


def test_other_than_two_inputs_are_refused() -> None:
    net = build(INPUT.replace("dim: 2", "dim: 3"), ip(2))
    with pytest.raises(NetError, match=r'"data" has 3 numbers for each sample(.|\n)*two numbers'):
        decision_regions(net)
    two = build(
        INPUT.replace('top: "data"', 'top: "data" top: "more"'),
        ip(2),
        ip(2, "b").replace(
            'name: "ip" type: "InnerProduct" bottom: "data"',
            'name: "i2" type: "InnerProduct" bottom: "more"',
        ),
        'layer { name: "e" type: "Eltwise" bottom: "score" bottom: "b" top: "e" }',
    )
    with pytest.raises(NetError, match='are made from "data", "more"'):
        decision_regions(two)


def test_scores_that_are_not_one_row_a_sample_are_refused() -> None:
    total = 'layer { name: "r" type: "Reduction" bottom: "score" top: "r" }'
    with pytest.raises(NetError, match='blob "r" is no score for each sample'):
        decision_regions(build(INPUT, ip(2), total))


def test_scores_that_are_not_finite_are_refused() -> None:
    net = linear(build(INPUT, ip(2)))
    net.params["ip"][0].data[0, 0] = np.nan
    with pytest.raises(NetError, match="not finite"):
        decision_regions(net, grid=5)


@pytest.mark.parametrize("classes", [2, 12])
def test_the_picture_is_a_png(tmp_path: Path, classes: int) -> None:
    data = SPIRAL[:-1] + f"spiral_data_param {{ classes: {classes} }} }}"
    net = build(data, ip(classes), judge("SoftmaxWithLoss"))
    net.params["ip"][0].data[...] = np.random.default_rng(0).normal(size=(classes, 2))
    size = save_png(draw_regions(decision_regions(net, grid=60)), tmp_path / "a.png")
    data_read = (tmp_path / "a.png").read_bytes()
    assert data_read.startswith(PNG)
    assert "pixels" in size
    assert len(set(colours(classes))) == classes


def test_the_picture_shows_the_regions() -> None:
    """Left of x1 = 0 the first class's colour dominates, right of it the second's."""
    net = build(INPUT, ip(2))
    net.params["ip"][0].data[...] = [[-9, 0], [9, 0]]
    figure = draw_regions(decision_regions(net, grid=50))
    shown = figure.axes[0].images[0].get_array()
    blue, orange = shown[25, 5], shown[25, 45]
    assert blue[2] > blue[0] and orange[0] > orange[2]
    assert shown[25, 25].min() > blue.min()  # fades towards the border


def test_only_what_was_drawn_here_is_drawn_anew(tmp_path: Path) -> None:
    figure = draw_regions(decision_regions(linear(build(INPUT, ip(2))), grid=5))
    mine = tmp_path / "a.png"
    save_png(figure, mine)
    save_png(figure, mine)
    precious = tmp_path / "notes.png"
    precious.write_text("not a picture")
    with pytest.raises(CaffeliteError, match="not drawn by caffelite"):
        save_png(figure, precious)
    assert precious.read_text() == "not a picture"
    precious.write_bytes(PNG + b"of somebody else")
    with pytest.raises(CaffeliteError, match="not drawn by caffelite"):
        save_png(figure, precious)
    save_png(figure, precious, force=True)
    assert precious.read_bytes() == mine.read_bytes()
    with pytest.raises(CaffeliteError, match=r"does not end in \.png"):
        save_png(figure, tmp_path / "a.jpg")
    with pytest.raises(CaffeliteError, match="no folder"):
        save_png(figure, tmp_path / "nowhere" / "a.png")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "notes.png"]
