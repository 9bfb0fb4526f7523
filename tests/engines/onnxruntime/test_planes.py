"""Models that take planes of any size, and inference without a net's own memory."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="needs ONNX Runtime: pip install caffelite[onnx]")

from caffelite import TEST, Net
from caffelite.engines.onnxruntime.inference import Inference, _by_values
from caffelite.engines.onnxruntime.planes import ALIKE, any_size, opened
from caffelite.errors import CaffeliteError
from caffelite.files import parse_net
from caffelite.layers.base import Layer, registry
from caffelite.onnx.export import describe
from caffelite.schema.net import LayerParameter

CONV = "convolution_param { num_output: 3 kernel_size: 3 stride: 2 pad: 1 dilation: 1"
FILLED = ' weight_filler { type: "xavier" } }'
FIELDS = {
    "Clip": "clip_param { min: -1 max: 1 }",
    "Convolution": CONV + FILLED,
    "DepthwiseConvolution": CONV.replace("3 k", "4 k") + FILLED,
    "Deconvolution": CONV + FILLED,
    "Permute": "permute_param { order: 0 order: 1 order: 3 order: 2 }",
    "Pooling": "pooling_param { kernel_size: 3 stride: 2 }",
    "LRN": "lrn_param { local_size: 3 }",
    "Exp": "exp_param { base: 2 scale: 0.5 }",
    "Log": "log_param { shift: 20 }",
    "Power": "power_param { power: 2 scale: 0.5 shift: 9 }",
    "Scale": "scale_param { bias_term: true }",
}
TWO = {"Eltwise", "Concat"}


def net(layers: str, planes: tuple[int, int], images: int = 2, **more: str) -> Net:
    text = f"""
    layer {{ name: "in" type: "Input" top: "x" input_param {{
      shape {{ dim: {images} dim: 4 dim: {planes[0]} dim: {planes[1]} }} }} }} {layers}"""
    return Net(parse_net(text), TEST, seed=1, engine="numpy")


def layer(kind: str, fields: str | None = None) -> str:
    bottoms = 'bottom: "x" bottom: "x"' if kind in TWO else 'bottom: "x"'
    fields = FIELDS.get(kind, "") if fields is None else fields
    return f'layer {{ name: "l" type: "{kind}" {bottoms} top: "y" {fields} }}'


SIZES = [(7, 9), (8, 8), (10, 6), (9, 15), (33, 5)]


@pytest.mark.parametrize("kind", sorted(ALIKE - {"Input"}))
def test_the_nodes_are_the_same_for_all_sizes(kind: str) -> None:
    seen = []
    for size in SIZES:
        made = net(layer(kind), size)
        assert any_size(made.layers)
        graph = opened(describe(made).model).graph
        tensors = [t.SerializeToString() for t in graph.initializer]
        seen.append(([n.SerializeToString() for n in graph.node], tensors))
    assert all(one == seen[0] for one in seen)


@pytest.mark.parametrize("kind", sorted(ALIKE - {"Input"}))
def test_one_model_gives_what_the_net_gives_at_each_size(kind: str) -> None:
    rng = np.random.default_rng(0)
    model = Inference(net(layer(kind), SIZES[0]), [(1, 0)], 1)
    for size in SIZES:
        for images in (1, 3):
            there = net(layer(kind), size, images)
            x = rng.normal(size=(images, 4, *size)).astype(np.float32)
            there.blobs["x"].data[...] = x
            (y,) = model({"x": x}) or [None]
            want = there.forward()["y"]
            assert y is not None and y.shape == want.shape
            assert np.allclose(y, want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("Pooling", "pooling_param { kernel_size: 3 stride: 2 pad: 1 }"),
        ("Pooling", "pooling_param { kernel_size: 1 stride: 2 }"),
        ("Pooling", "pooling_param { kernel_size: 3 stride: 2 pool: AVE }"),
        ("Pooling", "pooling_param { kernel_size: 3 stride: 2 round_mode: FLOOR }"),
        ("Pooling", "pooling_param { global_pooling: true pool: STOCHASTIC }"),
        ("LRN", "lrn_param { norm_region: WITHIN_CHANNEL local_size: 3 }"),
        ("Softmax", "softmax_param { axis: 2 }"),
        ("Concat", "concat_param { axis: 2 }"),
        ("Concat", "concat_param { concat_dim: 2 }"),
        ("Reshape", "reshape_param { shape { dim: 0 dim: 0 dim: 63 dim: 1 } }"),
        ("Flatten", ""),
        ("Interp", "interp_param { zoom_factor: 2 }"),
        ("Convolution", CONV.replace("3 k", "4 axis: 2 k").replace("3 s", "3 s") + FILLED),
    ],
)
def test_what_asks_for_the_size_is_left_to_models_of_one_size(kind: str, fields: str) -> None:
    assert not any_size(net(layer(kind, fields), (7, 9)).layers)


def test_global_pooling_takes_any_size_and_two_inputs_do_not() -> None:
    for pool in ("MAX", "AVE"):
        fields = f"pooling_param {{ global_pooling: true pool: {pool} }}"
        made = net(layer("Pooling", fields), (3, 4))
        assert any_size(made.layers)
        x = np.random.default_rng(0).normal(size=(1, 4, 5, 2)).astype(np.float32)
        found = Inference(made, [(1, 0)], 1)({"x": x})
        want = x.max((2, 3)) if pool == "MAX" else x.mean((2, 3))
        assert found is not None and np.allclose(found[0][..., 0, 0], want, atol=1e-6)
    shape = "input_param { shape { dim: 1 dim: 1 dim: 1 dim: 1 } }"
    more = f'layer {{ name: "b" type: "Input" top: "b" {shape} }}'
    assert not any_size(net(more, (3, 4)).layers)
    rows = layer("InnerProduct", "inner_product_param { num_output: 2 }")
    fixed = Inference(net(rows, (3, 4)), [(1, 0)], 1)
    assert not fixed.any_size
    assert fixed.takes({"x": (5, 4, 3, 4)}) and not fixed.takes({"x": (5, 4, 4, 3)})


def test_what_the_net_refuses_is_not_taken() -> None:
    """ONNX's operators would repeat what Caffe refuses."""
    text = """
    layer { name: "p" type: "Pooling" bottom: "x" top: "p"
      pooling_param { kernel_size: 2 stride: 2 } }
    layer { name: "q" type: "Pooling" bottom: "x" top: "q"
      pooling_param { kernel_size: 3 stride: 2 } }
    layer { name: "y" type: "Eltwise" bottom: "p" bottom: "q" top: "y" }"""
    model = Inference(net(text, (4, 6)), [(3, 0)], 1)
    assert model.any_size and model.takes({"x": (1, 4, 8, 2)})
    assert model({"x": np.zeros((1, 4, 8, 2), np.float32)}) is not None
    odd = {"x": np.zeros((1, 4, 3, 3), np.float32)}  # planes of 2 x 2, and of 1 x 1
    assert not model.takes({"x": (1, 4, 3, 3)}) and model(odd) is None
    assert not model.takes({"x": (1, 3, 8, 2)})


def test_a_model_that_does_not_keep_to_the_shapes_is_not_believed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = Inference(net(layer("ReLU"), (3, 4)), [(1, 0)], 1)
    x = {"x": np.ones((1, 4, 3, 4), np.float32)}
    assert model(x) is not None
    monkeypatch.setattr(model._runtime, "session", Wrong())
    assert model(x) is None and not model.takes({"x": (1, 4, 3, 4)})
    model = Inference(net(layer("ReLU"), (3, 4)), [(1, 0)], 1)
    monkeypatch.setattr(model._runtime, "session", None)
    assert model(x) is None


class Wrong:
    def run(self, names: list[str], inputs: object) -> list[np.ndarray]:
        return [np.zeros((1, 4, 3, 3), np.float32)]


def test_a_top_that_is_asked_for_twice_comes_in_two_arrays() -> None:
    model = Inference(net(layer("ReLU"), (3, 4)), [(1, 0), (1, 0)], 1)
    found = model({"x": np.ones((1, 4, 3, 4), np.float32)})
    assert found is not None and len(found) == 2 and found[0] is not found[1]
    found[0][...] = 5
    assert (found[1] == 1).all()


def test_shapes_that_depend_on_values_are_not_foretold() -> None:
    def one(name: str, bottom: str, top: str, dynamic: bool = False) -> Layer:
        spec = LayerParameter(name=name, type="ReLU", bottom=[bottom], top=[top])
        made = registry["ReLU"](spec)
        made.dynamic = dynamic  # type: ignore[misc]
        return made

    chain = [one("a", "x", "a"), one("f", "a", "f", True), one("g", "f", "g")]
    chain += [one("again", "x", "f"), one("h", "f", "h"), one("i", "g", "i")]
    assert _by_values(chain) == {1, 2, 5}


def test_what_it_cannot_be_made_of() -> None:
    with pytest.raises(CaffeliteError, match="an input is asked for"):
        Inference(net(layer("ReLU"), (3, 4)), [(0, 0)], 1)
    lstm = """
    layer { name: "c" type: "Input" top: "c" input_param { shape { dim: 2 dim: 4 } } }
    layer { name: "l" type: "LSTM" bottom: "x" bottom: "c" top: "y"
      recurrent_param { num_output: 2 } }"""
    with pytest.raises(CaffeliteError, match="remembers"):
        Inference(net(lstm, (3, 4)), [(2, 0)], 1)
