"""In-place layers and blobs with several readers: the same numbers as the net written out."""

from __future__ import annotations

import numpy as np
import pytest

from caffelite import TRAIN, Net
from caffelite.files import parse_net

DATA = """
layer { name: "data" type: "Input" top: "x" top: "t"
  input_param { shape { dim: 4 dim: 3 } shape { dim: 4 dim: 3 } } }
"""


def dense(name: str, bottom: str, top: str) -> str:
    return f"""
layer {{ name: "{name}" type: "InnerProduct" bottom: "{bottom}" top: "{top}"
  inner_product_param {{ num_output: 3 weight_filler {{ type: "xavier" }} }} }}
"""


def layer(kind: str, name: str, bottoms: str, tops: str, more: str = "") -> str:
    ends = [f'bottom: "{b}"' for b in bottoms.split()] + [f'top: "{t}"' for t in tops.split()]
    return f'layer {{ name: "{name}" type: "{kind}" {" ".join(ends)} {more} }}\n'


def trained(text: str, passes: int = 2) -> Net:
    net = Net(parse_net("force_backward: true" + DATA + text), TRAIN, seed=3, dtype=np.float64)
    rng = np.random.default_rng(0)
    values = {name: rng.normal(size=net.blobs[name].shape) for name in net.inputs}
    for _ in range(passes):
        for name, value in values.items():
            net.blobs[name].data[...] = value
        net.clear_param_diffs()
        net.forward_backward()
    return net


def assert_same(one: Net, other: Net) -> None:
    assert one.forward_loss() != 0
    for name, blobs in one.params.items():
        for a, b in zip(blobs, other.params[name]):
            np.testing.assert_allclose(a.diff, b.diff, rtol=1e-12, atol=1e-15)
            assert a.diff.any()
    np.testing.assert_allclose(one.blobs["x"].diff, other.blobs["x"].diff, rtol=1e-12)


LOSS = layer("EuclideanLoss", "loss", "y t", "loss")

IN_PLACE = {
    "a chain of them": (
        layer("TanH", "n1", "h", "h") + layer("ReLU", "n2", "h", "h") + dense("ip2", "h", "y"),
        layer("TanH", "n1", "h", "a") + layer("ReLU", "n2", "a", "b") + dense("ip2", "b", "y"),
    ),
    "another layer reads the old values before": (
        dense("ip2", "h", "s") + layer("ReLU", "n", "h", "h") + layer("Eltwise", "e", "h s", "y"),
        dense("ip2", "h", "s") + layer("ReLU", "n", "h", "a") + layer("Eltwise", "e", "a s", "y"),
    ),
    "other layers read the new values": (
        layer("Sigmoid", "n", "h", "h")
        + dense("ip2", "h", "s")
        + layer("Eltwise", "e", "h s", "y"),
        layer("Sigmoid", "n", "h", "a")
        + dense("ip2", "a", "s")
        + layer("Eltwise", "e", "a s", "y"),
    ),
    "the layer before needs its top": (
        layer("Sigmoid", "n", "h", "h") + layer("ReLU", "m", "h", "h") + dense("ip2", "h", "y"),
        layer("Sigmoid", "n", "h", "a") + layer("ReLU", "m", "a", "b") + dense("ip2", "b", "y"),
    ),
    "dropout over a layer that needs its top": (
        layer("Sigmoid", "n", "h", "h") + layer("Dropout", "m", "h", "h") + dense("ip2", "h", "y"),
        layer("Sigmoid", "n", "h", "a") + layer("Dropout", "m", "a", "b") + dense("ip2", "b", "y"),
    ),
    "a layer that needs its bottom": (
        layer("AbsVal", "n", "h", "h") + dense("ip2", "h", "y"),
        layer("AbsVal", "n", "h", "a") + dense("ip2", "a", "y"),
    ),
    "the last layer before the loss": (
        dense("ip2", "h", "y") + layer("TanH", "n", "y", "y"),
        dense("ip2", "h", "a") + layer("TanH", "n", "a", "y"),
    ),
}


@pytest.mark.parametrize(("inside", "outside"), IN_PLACE.values(), ids=IN_PLACE.keys())
def test_in_place_is_the_same_as_written_out(inside: str, outside: str) -> None:
    start = dense("ip1", "x", "h")
    assert_same(trained(start + inside + LOSS), trained(start + outside + LOSS))


def test_a_weighted_blob_may_be_rewritten() -> None:
    weighted = dense("ip1", "x", "h").replace("top:", "loss_weight: 2 top:")
    inside = weighted + layer("ReLU", "n", "h", "h") + dense("ip2", "h", "y") + LOSS
    outside = weighted + layer("ReLU", "n", "h", "a") + dense("ip2", "a", "y") + LOSS
    assert trained(inside).forward_loss() == trained(outside).forward_loss()
    assert_same(trained(inside), trained(outside))


def test_in_place_takes_no_memory_where_nobody_misses_the_old_values() -> None:
    net = trained(dense("ip1", "x", "y") + layer("ReLU", "n", "y", "y") + LOSS)
    ip, relu = (net.plan.graph.nodes[i].tops[0] for i in (1, 2))
    assert net.executor.look_at(ip) is net.executor.look_at(relu)


class TestInPlaceOnAnInput:
    TEXT = layer("TanH", "n", "x", "x") + dense("ip", "x", "y") + LOSS

    def test_the_input_is_filled_and_shown_under_its_name(self) -> None:
        net = Net(parse_net("force_backward: true" + DATA + self.TEXT), TRAIN, dtype=np.float64)
        x = np.linspace(-1, 1, 12).reshape(4, 3)
        for _ in range(2):
            net.forward(x=x)
            np.testing.assert_allclose(net.blobs["x"].data, np.tanh(x))
        net.backward()
        through = net.blobs["y"].diff @ net.params["ip"][0].data
        np.testing.assert_allclose(net.blobs["x"].diff, through * (1 - np.tanh(x) ** 2))

    def test_others_may_read_it_before(self) -> None:
        aside = layer("Power", "p", "x", "p")
        rest = dense("ip", "x", "s") + layer("Eltwise", "e", "s p", "y") + LOSS
        net = Net(parse_net(DATA + aside + layer("TanH", "n", "x", "x") + rest), TRAIN)
        x = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)
        for _ in range(2):
            net.forward(x=x)
            np.testing.assert_array_equal(net.blobs["p"].data, x)


FAN_OUT = {
    "three readers": (
        dense("a", "h", "a") + dense("b", "h", "b") + layer("Eltwise", "e", "a b h", "y"),
        layer("Split", "s", "h", "h1 h2 h3")
        + dense("a", "h1", "a")
        + dense("b", "h2", "b")
        + layer("Eltwise", "e", "a b h3", "y"),
    ),
    "one reader twice": (
        layer("Eltwise", "e", "h h", "y", "eltwise_param { operation: PROD }"),
        layer("Split", "s", "h", "h1 h2")
        + layer("Eltwise", "e", "h1 h2", "y", "eltwise_param { operation: PROD }"),
    ),
    "one of the readers wants no gradient": (
        dense("a", "h", "y") + dense("b", "h", "b") + layer("Silence", "q", "b", "").strip(),
        layer("Split", "s", "h", "h1 h2")
        + dense("a", "h1", "y")
        + dense("b", "h2", "b")
        + layer("Silence", "q", "b", "").strip(),
    ),
}


@pytest.mark.parametrize(("plain", "split"), FAN_OUT.values(), ids=FAN_OUT.keys())
def test_fan_out_is_the_same_as_with_split_layers(plain: str, split: str) -> None:
    start = dense("ip1", "x", "h")
    one, other = trained(start + plain + LOSS), trained(start + split + LOSS)
    for name in one.params:
        for a, b in zip(one.params[name], other.params[name]):
            np.testing.assert_allclose(a.diff, b.diff, rtol=1e-12)
    np.testing.assert_allclose(one.blobs["h"].diff, other.blobs["h"].diff, rtol=1e-12)
    assert one.blobs["h"].diff.any()


def test_a_steady_pass_makes_no_new_blobs() -> None:
    net = trained(
        dense("ip1", "x", "h") + dense("a", "h", "a") + layer("Eltwise", "e", "a h", "y") + LOSS
    )
    before = {name: (blob.data, blob.diff) for name, blob in net.blobs.items()}
    net.forward_backward()
    for name, blob in net.blobs.items():
        assert blob.data is before[name][0] and blob.diff is before[name][1]


def test_a_backward_pass_from_the_middle_is_the_same_each_time() -> None:
    """`a` has a reader above the start, which would have written its gradient first."""
    text = """
        force_backward: true
        layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 } } }
        layer { name: "a" type: "Power" bottom: "x" top: "a" power_param { scale: 2 } }
        layer { name: "b" type: "Power" bottom: "a" top: "b" power_param { scale: 3 } }
        layer { name: "c" type: "Eltwise" bottom: "a" bottom: "b" top: "c" }
    """
    net = Net(parse_net(text), TRAIN, dtype=np.float64)
    for _ in range(2):
        net.forward()
        net.blobs["b"].diff[...] = 1
        assert net.backward(start="b")["x"].tolist() == [6, 6]


def test_a_constant_stays_where_a_layer_works_in_place_on_it() -> None:
    text = """
        layer { name: "two" type: "DummyData" top: "x"
                dummy_data_param { shape { dim: 1 } data_filler { value: 2 } } }
        layer { name: "times" type: "Power" bottom: "x" top: "x" power_param { scale: 3 } }
    """
    net = Net(parse_net(text), TRAIN)
    assert [net.forward()["x"].tolist() for _ in range(3)] == [[6], [6], [6]]


PARTS = """
    force_backward: true
    layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 } } }
    layer { name: "plus" type: "Power" bottom: "x" top: "h" power_param { shift: 1 } }
    layer { name: "cube" type: "Power" bottom: "h" top: "h" power_param { power: 3 } }
    layer { name: "minus" type: "Power" bottom: "h" top: "h" power_param { shift: -1 } }
    layer { name: "twice" type: "Power" bottom: "h" top: "y" power_param { scale: 2 } }
"""


def test_a_part_of_the_forward_pass_leaves_what_it_made_under_the_blobs_name() -> None:
    net = Net(parse_net(PARTS), TRAIN)
    for end, values in (("plus", [2, 3]), ("cube", [8, 27]), ("minus", [7, 26])):
        net.blobs["x"].data[...] = [1, 2]
        assert net.forward(end=end)["h"].tolist() == values
        assert net.blobs["h"].data.tolist() == values


def test_a_part_of_the_forward_pass_reads_what_stands_under_the_blobs_name() -> None:
    net = Net(parse_net(PARTS), TRAIN)
    net.forward(end="plus")
    net.blobs["h"].data[...] = [2, 3]
    assert net.forward(start="cube")["y"].tolist() == [14, 52]


def test_a_part_of_the_backward_pass_takes_and_gives_the_gradient_where_it_is() -> None:
    net = Net(parse_net(PARTS), TRAIN)
    net.forward(x=np.array([1, 2]))
    assert net.backward(y=1, end="cube")["h"].tolist() == [2 * 3 * 2**2, 2 * 3 * 3**2]
    assert net.backward(start="plus", h=5)["x"].tolist() == [5, 5]
