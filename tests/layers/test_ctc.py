"""CTC's losses and decoder: every way counted by hand, PyTorch's loss, and a net that learns."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import caffelite
from caffelite.cli import main
from caffelite.errors import NetError
from caffelite.files import parse_net
from caffelite.layers.ctc import Lattice, best_path
from caffelite.layers.sequences import edits


def probability(p: np.ndarray, labels: list[int], blank: int, merge: bool) -> float:
    """The sum over all ways that read as the labels, one by one."""
    return sum(
        float(np.prod([p[t, c] for t, c in enumerate(way)]))
        for way in itertools.product(range(p.shape[1]), repeat=len(p))
        if best_path(way, blank, merge) == labels
    )


@pytest.mark.parametrize("merge", [True, False])
@pytest.mark.parametrize("blank", [0, 2])
def test_every_way_is_counted(blank: int, merge: bool) -> None:
    scores = np.random.default_rng(blank).normal(size=(4, 1, 3))
    p = np.exp(scores[:, 0])
    p /= p.sum(1, keepdims=True)
    a, b = sorted({0, 1, 2} - {blank})
    total = 0.0
    for count in range(5):
        for labels in itertools.product((a, b), repeat=count):
            row = list(labels)
            cost = Lattice(scores, [row], [4], blank, merge).costs()[0]
            assert np.exp(-cost) == pytest.approx(probability(p, row, blank, merge))
            total += np.exp(-cost)
    assert total == pytest.approx(1)  # something is read, whatever the way


def test_as_pytorch_has_it() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(3)
    scores = rng.normal(size=(9, 4, 5)) * 2
    labels, lengths = [[1, 1, 2], [3], [], [4, 2, 4, 1]], [9, 3, 5, 8]
    lattice = Lattice(scores, labels, lengths, 0)
    x = torch.tensor(scores, requires_grad=True)
    costs = torch.nn.functional.ctc_loss(
        torch.log_softmax(x, 2),
        torch.tensor([x for row in labels for x in row]),
        torch.tensor(lengths),
        torch.tensor([len(row) for row in labels]),
        reduction="none",
    )
    costs.sum().backward()
    np.testing.assert_allclose(lattice.costs(), costs.detach().numpy(), rtol=1e-12)
    np.testing.assert_allclose(lattice.gradients(), x.grad.numpy(), atol=1e-12)


def net_of(text: str, shapes: dict[str, Sequence[int]], phase: Any = caffelite.TRAIN) -> Any:
    heads = "".join(
        f'layer {{ name: "{name}" type: "Input" top: "{name}" input_param {{ shape {{ '
        f"{' '.join(f'dim: {n}' for n in shape)} }} }} }}\n"
        for name, shape in shapes.items()
    )
    return caffelite.Net(parse_net(f"force_backward: true\n{heads}{text}"), phase, seed=1)


def loss_of(type_: str, param: str, bottoms: dict[str, np.ndarray]) -> float:
    names = " ".join(f'bottom: "{name}"' for name in bottoms)
    net = net_of(
        f'layer {{ name: "l" type: "{type_}" {names} top: "l" ctc_loss_param {{ {param} }} }}',
        {name: value.shape for name, value in bottoms.items()},
    )
    for name, value in bottoms.items():
        net.blobs[name].data[...] = value
    return float(net.forward()["l"])


def test_the_forks_ways_to_say_it_agree() -> None:
    x = np.random.default_rng(0).normal(size=(5, 2, 4)).astype(np.float32)
    go = np.array([[0, 0], [1, 1], [1, 1], [1, 1], [1, 0]])
    by_row = np.array([[1, 2], [3, 0]])  # 0 is the blank: the second has one label
    with_go = loss_of(
        "CTCLoss", "blank_index: 0", {"x": x, "go": go, "y": np.array([[1, 3], [2, -1]])}
    )
    numbers = {"x": x, "steps": np.array([5, 4]), "count": np.array([2, 1]), "y": by_row.T}
    assert loss_of("WarpCTCLoss", "", numbers) == pytest.approx(with_go, rel=1e-6)
    # counted from 0 beside indicators, where class 0 is the blank
    shifted = {"x": x, "go": go, "y": np.array([[0, 2], [1, -1]])}
    assert loss_of("WarpCTCLoss", "", shifted) == pytest.approx(with_go, rel=1e-6)
    whole = loss_of("CTCLoss", "blank_index: 0", {"x": x, "go": go * 0 + 1, "y": shifted["y"] + 1})
    assert loss_of("WarpCTCLoss", "", {"x": x, "y": by_row}) == pytest.approx(
        loss_of("CtcLoss", "alphabet_size: 4 time_step: 5", {"x": x, "y": by_row})
    )
    assert whole != with_go


@pytest.mark.parametrize(
    "type_, param, shapes, word",
    [
        ("CTCLoss", "", [(4, 2, 3), (3, 2), (2, 2)], "4 x 2, steps x sequences"),
        ("CTCLoss", "", [(4, 2, 3), (4, 2), (2, 3)], "a column for each sequence"),
        ("CTCLoss", "blank_index: 3", [(4, 2, 3), (4, 2), (2, 2)], "the blank is class 3"),
        ("CTCLoss", "", [(4, 2), (4, 2), (2, 2)], "steps x sequences x classes"),
        ("WarpCTCLoss", "", [(4, 2, 3), (3, 2)], "a row for each sequence"),
        ("WarpCTCLoss", "", [(4, 2, 3), (2,), (3,), (3, 2)], "one for each sequence"),
        ("CtcLoss", "alphabet_size: 4", [(4, 2, 3), (2, 2)], "alphabet_size is 4"),
        ("CtcLoss", "time_step: 5", [(4, 2, 3), (2, 2)], "time_step is 5"),
    ],
)
def test_shapes_that_do_not_fit(type_: str, param: str, shapes: Any, word: str) -> None:
    with pytest.raises(NetError, match=word):
        loss_of(type_, param, {f"b{i}": np.ones(shape) for i, shape in enumerate(shapes)})


@pytest.mark.parametrize(
    "type_, bottoms, word",
    [
        ("CTCLoss", [np.ones((3, 1)), [[5.0]]], "label 5 is not a class"),
        ("CTCLoss", [np.ones((3, 1)), [[0.5]]], "label 0.5 is not a class"),
        ("CTCLoss", [np.ones((3, 1)), [[1.0], [1.0]]], "2 labels, for which its 3 steps"),
        ("WarpCTCLoss", [[[-1.0]]], "label -1 is below 0"),
        ("CtcLoss", [[[-1.0]]], "label -1 is below 0"),
        ("WarpCTCLoss", [[7.0], [1.0], [[1.0]]], 'bottom "b1" says 7'),
        ("WarpCTCLoss", [[2.0], [1.5], [[1.0]]], 'bottom "b2" says 1.5'),
    ],
)
def test_values_that_are_wrong(type_: str, bottoms: Any, word: str) -> None:
    given = {f"b{i}": np.array(v, np.float64) for i, v in enumerate(bottoms, 1)}
    if "for which" in word:
        given["b2"] = np.array([[1.0], [1.0]])
        given["b1"] = np.array([[1.0], [1.0], [0.0]])
        word = "2 labels, for which its 2 steps"
    with pytest.raises(NetError, match=word):
        loss_of(type_, "", {"x": np.zeros((3, 1, 3)), **given})


LEARNS = """
layer { name: "go" type: "ContinuationIndicator" top: "go"
  continuation_indicator_param { time_step: 6 batch_size: 8 } }
layer { name: "lstm" type: "LSTM" bottom: "x" bottom: "go" top: "lstm"
  recurrent_param { num_output: 12 weight_filler { type: "uniform" min: -0.2 max: 0.2 } } }
layer { name: "fc" type: "InnerProduct" bottom: "lstm" top: "fc"
  inner_product_param { num_output: 4 axis: 2 weight_filler { type: "xavier" } } }
"""


@pytest.mark.parametrize("type_", ["CTCLoss", "WarpCTCLoss"])
def test_a_net_learns_to_spell(type_: str) -> None:
    """Rows of two letters in noise, each at some step: which, and in which order, is learned."""
    tail = f'layer {{ name: "l" type: "{type_}" bottom: "fc" bottom: "go" bottom: "y" top: "l" }}'
    net = net_of(
        LEARNS
        + tail
        + 'layer { name: "d" type: "CTCGreedyDecoder" bottom: "fc" bottom: "go" bottom: "y" '
        'top: "read" top: "accuracy" }',
        {"x": (6, 8, 3), "y": (3, 8)},
    )
    rng = np.random.default_rng(0)
    net.blobs["y"].data[:2] = y = rng.integers(0, 3, (2, 8))
    net.blobs["y"].data[2] = -1
    x = net.blobs["x"].data
    x[...] = rng.normal(0, 0.1, x.shape)
    for n in range(8):
        x[1, n, y[0, n]] = x[4, n, y[1, n]] = 2
    losses = []
    speed = {}
    for _ in range(120):
        losses.append(float(net.forward()["l"]))
        net.clear_param_diffs()
        net.backward()
        for layer, blobs in net.params.items():
            for i, blob in enumerate(blobs):
                v = 0.9 * speed.get((layer, i), 0) + 0.2 * blob.diff
                speed[layer, i] = v
                blob.data[...] -= v
    assert losses[0] > 3 and losses[-1] < 0.1
    if type_ == "CTCLoss":  # the other's labels are counted from 1 there
        assert net.blobs["accuracy"].data.item() == 1
        np.testing.assert_array_equal(net.blobs["read"].data[:, :2, 0, 0], y.T)


def test_edits() -> None:
    assert edits([], []) == 0 and edits([1, 2], []) == 2 and edits([], [3]) == 1
    assert edits([1, 2, 3], [1, 3]) == 1 and edits([1, 2], [2, 1]) == 2
    assert edits([5, 1, 2, 3], [1, 2, 4]) == 2


def test_a_deploy_net_of_a_fork(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Without indicators, as the fork for licence plates has it."""
    path = tmp_path / "deploy.prototxt"
    path.write_text(
        'input: "x" input_shape { dim: 5 dim: 2 dim: 4 }\n'
        'layer { name: "fc" type: "InnerProduct" bottom: "x" top: "fc" '
        "inner_product_param { num_output: 3 axis: 2 } }\n"
        'layer { name: "result" type: "CTCGreedyDecoder" bottom: "fc" top: "result" }\n'
    )
    assert main(["check", str(path)]) == 0
    assert main(["summary", str(path)]) == 0
    assert "2x5x1x1" in capsys.readouterr().out
    net = caffelite.Net(str(path), caffelite.TEST)
    net.params["fc"][1].data[...] = [0, 1, 0]
    np.testing.assert_array_equal(net.forward()["result"].reshape(2, 5), [[1, -1, -1, -1, -1]] * 2)


def test_time_and_gradcheck_find_inputs(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "train.prototxt"
    path.write_text(
        'input: "x" input_shape { dim: 5 dim: 2 dim: 4 } input: "y" input_shape { dim: 2 dim: 3 }\n'
        'layer { name: "fc" type: "InnerProduct" bottom: "x" top: "fc" inner_product_param { '
        'num_output: 4 axis: 2 weight_filler { type: "xavier" } } }\n'
        'layer { name: "l" type: "WarpCTCLoss" bottom: "fc" bottom: "y" top: "l" }\n'
    )
    assert main(["gradcheck", str(path)]) == 0, capsys.readouterr().out
