"""ONNX models as nets: verified tensor by tensor, and refused with all reasons at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import caffelite
from caffelite import Net
from caffelite.cli import main
from caffelite.errors import CaffeliteError
from caffelite.files import parse_net

onnx = pytest.importorskip("onnx", reason="needs the extra onnx")
pytest.importorskip("onnxruntime", reason="needs the extra onnx")

from onnx import helper, numpy_helper  # noqa: E402

from caffelite.layers.samples import random_inputs  # noqa: E402
from caffelite.onnx.export import build  # noqa: E402
from caffelite.onnx.importing import Imported, import_model, verify_batches, verify_import  # noqa: E402
from caffelite.onnx.runtime import Runtime  # noqa: E402
from caffelite.onnx.verify import check, relative_error  # noqa: E402

from .sweep import SHIPPED, shipped  # noqa: E402


def built(imported: Imported) -> Net:
    return imported.fill(Net(imported.net, caffelite.TEST, seed=0))


RNG = np.random.default_rng(0)


def model_of(nodes: list, shape: tuple[int, ...] = (1, 4, 7, 6), **constants: np.ndarray) -> object:
    """A model from x to the last node's first output."""
    tensors, whole = [], 7 if nodes[-1].op_type.startswith("Arg") else 1
    for name, value in constants.items():
        kind = np.float32 if np.asarray(value).dtype.kind == "f" else np.int64
        tensors.append(numpy_helper.from_array(np.asarray(value, kind), name))
    graph = helper.make_graph(
        nodes,
        "made",
        [helper.make_tensor_value_info("x", 1, shape)],
        [helper.make_tensor_value_info(nodes[-1].output[0], whole, None)],
        tensors,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    inferred = onnx.shape_inference.infer_shapes(model)
    if inferred.graph.output[0].type.tensor_type.HasField("shape"):
        onnx.checker.check_model(inferred)
    return inferred


def one(kind: str, *more: str, **attrs: object) -> list:
    return [helper.make_node(kind, ["x", *more], ["y"], name="node", **attrs)]


W = RNG.normal(size=(6, 4, 3, 3))
CASES = {
    "conv, pads at the end": (
        one("Conv", "w", pads=[0, 0, 1, 1], strides=[2, 2]), {"w": W}),
    "conv, pads at the start": (
        one("Conv", "w", "b", pads=[2, 1, 0, 0], strides=[1, 2]),
        {"w": W, "b": RNG.normal(size=6)}),
    "conv, SAME_UPPER": (one("Conv", "w", auto_pad="SAME_UPPER", strides=[2, 2]), {"w": W}),
    "conv, dilated": (one("Conv", "w", dilations=[2, 1], pads=[2, 0, 2, 1]), {"w": W}),
    "deconv, output_padding": (
        one("ConvTranspose", "w", strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1]),
        {"w": RNG.normal(size=(4, 3, 3, 3))}),
    "deconv, uneven pads": (
        one("ConvTranspose", "w", strides=[2, 2], pads=[0, 1, 1, 0]),
        {"w": RNG.normal(size=(4, 3, 3, 3))}),
    "batch norm": (
        one("BatchNormalization", "s", "b", "m", "v"),
        {"s": RNG.normal(size=4), "b": RNG.normal(size=4), "m": RNG.normal(size=4),
         "v": RNG.uniform(0.5, 2, 4)}),
    "max pool, floor": (one("MaxPool", kernel_shape=[2, 3], strides=[2, 2]), {}),
    "max pool, uneven pads": (
        one("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 1, 1]), {}),
    "mean, pads left out": (
        one("AveragePool", kernel_shape=[3, 3], strides=[2, 1], pads=[1, 1, 1, 1]), {}),
    "mean, pads counted": (
        one("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1), {}),
    "global": (one("GlobalAveragePool"), {}),
    "pad": (one("Pad", "p"), {"p": [0, 0, 1, 0, 0, 0, 2, 3]}),
    "relu6": (one("Clip", "l", "h"), {"l": np.float32(0), "h": np.float32(6)}),
    "hard swish": (one("HardSwish"), {}),
    "hard sigmoid": (one("HardSigmoid"), {}),
    "softplus": (one("Softplus"), {}),
    "prelu": (one("PRelu", "a"), {"a": RNG.uniform(size=(4, 1, 1))}),
    "log softmax": (one("LogSoftmax", axis=1), {}),
    "scalar": (one("Sub", "c"), {"c": np.float32(0.5)}),
    "channels": (one("Mul", "c"), {"c": RNG.normal(size=(1, 4, 1, 1))}),
    "columns": (one("Div", "c"), {"c": RNG.uniform(1, 2, 6)}),
    "minimum": (
        [helper.make_node("Neg", ["x"], ["n"]), helper.make_node("Min", ["x", "n"], ["y"])], {}),
    "gate": (
        [helper.make_node("GlobalMaxPool", ["x"], ["g"]),
         helper.make_node("Mul", ["x", "g"], ["y"])], {}),
    "gate of vectors": (
        [helper.make_node("ReduceMean", ["x"], ["g"], axes=[3], keepdims=1),
         helper.make_node("Sub", ["g", "x"], ["y"])], {}),
    "product": (one("MatMul", "w"), {"w": RNG.normal(size=(6, 5))}),
    "permute": (one("Transpose", perm=[0, 2, 3, 1]), {}),
    "shape arithmetic": (
        [helper.make_node("Shape", ["x"], ["s"]),
         helper.make_node("Gather", ["s", "zero"], ["n"], axis=0),
         helper.make_node("Concat", ["n", "rest"], ["target"], axis=0),
         helper.make_node("Reshape", ["x", "target"], ["y"])],
        {"zero": [0], "rest": [-1]}),
    "slice": (one("Slice", "a", "b", "c"), {"a": [1, 2], "b": [3, 2**31], "c": [1, 3]}),
    "gather": (one("Gather", "i", axis=1), {"i": np.int64(2)}),
    "split": (
        [helper.make_node("Split", ["x"], ["a", "b"], axis=1),
         helper.make_node("Add", ["a", "b"], ["y"])], {}),
    "nearest": (
        one("Resize", "", "f", mode="nearest", coordinate_transformation_mode="asymmetric",
            nearest_mode="floor"), {"f": np.float32([1, 1, 2, 3])}),
    "corners": (
        one("Resize", "", "f", mode="linear", coordinate_transformation_mode="align_corners"),
        {"f": np.float32([1, 1, 2, 2])}),
    "depth to space": (one("DepthToSpace", blocksize=2), {}),
    "half pixels": (
        one("Resize", "", "", "z", mode="linear", coordinate_transformation_mode="half_pixel"),
        {"z": [1, 4, 15, 9]}),
    "cubic, smaller": (
        one("Resize", "", "f", mode="cubic", coordinate_transformation_mode="asymmetric"),
        {"f": np.float32([1, 1, 0.5, 0.7])}),
    "nearest, uneven": (
        one("Resize", "", "f", mode="nearest"), {"f": np.float32([1, 1, 1.4, 2])}),
    "mirrored": (one("Pad", "p", mode="reflect"), {"p": [0, 1, 2, 1, 0, 0, 3, 2]}),
    "edges": (one("Pad", "p", mode="edge"), {"p": [0, 0, 1, 1, 0, 2, 0, 3]}),
    "filled": (one("Pad", "p", "v"), {"p": [0, 1, 1, 1, 0, 0, 0, 3], "v": np.float32(2.5)}),
    "cropped": (one("Pad", "p"), {"p": [0, 0, -1, 1, 0, 0, -2, 0]}),
    "sums": (one("CumSum", "a", exclusive=1, reverse=1), {"a": np.int64(2)}),
    "matrix on the left": (
        [helper.make_node("MatMul", ["w", "x"], ["y"])], {"w": RNG.normal(size=(5, 7))}),
    "instance norm": (
        one("InstanceNormalization", "s", "b", epsilon=0.01),
        {"s": RNG.normal(size=4), "b": RNG.normal(size=4)}),
    "layer norm": (
        one("LayerNormalization", "s", "b", axis=-2, epsilon=0.01),
        {"s": RNG.normal(size=(7, 6)), "b": RNG.normal(size=(7, 6))}),
    "unit length": (one("LpNormalization", axis=1, p=2), {}),
    "argmax": (one("ArgMax", axis=1, keepdims=0), {}),
    "argmax, the last": (one("ArgMax", axis=3, select_last_index=1), {}),
    "argmin": (one("ArgMin", axis=2), {}),
    "largest": (one("ReduceMax", axes=[1, 3], keepdims=0), {}),
    "smallest": (one("ReduceMin", axes=[2]), {}),
    "mean of channels": (one("ReduceMean", axes=[1], keepdims=0), {}),
    "length": (one("ReduceL2", axes=[1, 2, 3]), {}),
    "max pool, SAME_UPPER": (
        one("MaxPool", kernel_shape=[2, 3], auto_pad="SAME_UPPER"), {}),
    "mean, SAME_LOWER": (
        one("AveragePool", kernel_shape=[2, 4], auto_pad="SAME_LOWER", strides=[1, 2]), {}),
    "every second": (one("Slice", "a", "b", "c", "s"), {"a": [1, -1], "b": [7, -9], "c": [2, 3],
        "s": [2, -1]}),
    "places": (one("Gather", "i", axis=2), {"i": [[0, 3], [3, -1]]}),
    "repeated": (one("Tile", "n"), {"n": [1, 2, 1, 3]}),
    "slopes": (one("PRelu", "a"), {"a": RNG.uniform(size=(7, 6))}),
    "gelu of tanh": (
        [helper.make_node("Pow", ["x", "three"], ["c"]),
         helper.make_node("Mul", ["c", "k"], ["d"]), helper.make_node("Add", ["x", "d"], ["e"]),
         helper.make_node("Tanh", ["e"], ["t"]), helper.make_node("Mul", ["x", "t"], ["y"])],
        {"three": np.float32(3), "k": np.float32(0.044715)}),
    "threshold": (one("ThresholdedRelu", alpha=0.3), {}),
    "shrink": (one("Shrink", bias=0.2, lambd=0.4), {}),
    "space to depth": (
        [helper.make_node("Slice", ["x", "a", "b", "c"], ["z"]),
         helper.make_node("SpaceToDepth", ["z"], ["y"], blocksize=2)],
        {"a": [0], "b": [6], "c": [2]}),
    "lrn": (one("LRN", size=3, alpha=0.5), {}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_node_is_said_in_caffes_layers(name: str) -> None:
    nodes, constants = CASES[name]
    imported = import_model(model_of(nodes, **constants))
    net = built(imported)
    report = verify_import(imported, net)
    check([report], name)
    assert "y" in imported.blobs


LINES = {
    "pooled": (
        one("MaxPool", kernel_shape=[3], strides=[2], pads=[1, 0]), (2, 4, 9), {}),
    "means": (
        one("AveragePool", kernel_shape=[3], pads=[1, 1], count_include_pad=1), (2, 4, 9), {}),
    "global": (one("GlobalAveragePool"), (2, 4, 9), {}),
    "boxes": (
        one("MaxPool", kernel_shape=[2, 3, 2], strides=[2, 1, 2], pads=[0, 1, 1, 1, 1, 0]),
        (1, 2, 4, 5, 6), {}),
    "means of boxes": (
        one("AveragePool", kernel_shape=[3, 2, 2], pads=[1, 0, 1, 1, 1, 0]),
        (1, 2, 4, 5, 6), {}),
    "lstm": (
        [helper.make_node("LSTM", ["x", "w", "r", "b"], ["a", "h", ""], hidden_size=3),
         helper.make_node("Squeeze", ["a", "one"], ["s"]),
         helper.make_node("Add", ["s", "h"], ["y"])],
        (5, 2, 4), {"w": RNG.normal(size=(1, 12, 4)), "r": RNG.normal(size=(1, 12, 3)),
                    "b": RNG.normal(size=(1, 24)), "one": [1]}),
}  # fmt: skip


@pytest.mark.parametrize("name", LINES)
def test_a_node_on_other_shapes(name: str) -> None:
    nodes, shape, constants = LINES[name]
    imported = import_model(model_of(nodes, shape, **constants))
    check([verify_import(imported, built(imported))], name)


def test_whole_numbers_pick_rows_of_a_table() -> None:
    model = model_of([helper.make_node("Gather", ["t", "x"], ["y"])], (2, 3), t=W[0, :, :, 0])
    model.graph.input[0].type.tensor_type.elem_type = 7  # type: ignore[attr-defined]
    imported = import_model(model)
    check([verify_import(imported, built(imported))], "the table")
    assert [layer.type for layer in built(imported).layers] == ["Input", "Embed"]


def test_an_open_batch_is_tried_at_two_sizes() -> None:
    nodes = [helper.make_node("Conv", ["x", "w"], ["c"]), helper.make_node("Relu", ["c"], ["y"])]
    imported = import_model(model_of(nodes, ("N", 4, 7, 6), w=W))  # type: ignore[arg-type]
    net = built(imported)
    reports, said = verify_batches(imported, net)
    check(reports, "the net")
    assert len(reports) == 2 and said == "the batch may vary: verified at 1 and 3"
    assert net.blobs["x"].shape == (1, 4, 7, 6)
    nodes = [helper.make_node("Reshape", ["x", "s"], ["y"])]
    imported = import_model(model_of(nodes, ("N", 4, 7, 6), s=[1, -1]))  # type: ignore[arg-type]
    reports, said = verify_batches(imported, built(imported))
    assert len(reports) == 2
    # a shape that is computed is taken as it comes out at one batch
    nodes.insert(0, helper.make_node("Concat", ["one", "rest"], ["s"], axis=0))
    imported = import_model(
        model_of(nodes, ("N", 4, 7, 6), one=[1], rest=[-1])  # type: ignore[arg-type]
    )
    reports, said = verify_batches(imported, built(imported))
    assert len(reports) == 1 and said.startswith("the net is right at batch 1 only")


def test_all_that_cannot_be_said_is_listed() -> None:
    nodes = [
        helper.make_node("Erf", ["x"], ["a"], name="gelu"),
        helper.make_node("Relu", ["a"], ["b"], name="behind"),
        helper.make_node("TopK", ["x", "k"], ["c", "d"], name="best"),
        helper.make_node("MatMul", ["x", "x"], ["e"], name="square"),
        helper.make_node("Relu", ["x"], ["y"]),
    ]
    model = model_of(nodes, (1, 4, 6, 6), k=np.int64([1]))
    with pytest.raises(CaffeliteError) as caught:
        import_model(model)
    assert [p.message.split(":")[0] for p in caught.value.problems] == [
        'node "gelu" (Erf)',
        'node "best" (TopK)',
        'node "square" (MatMul)',
    ]
    assert "both matrices depend on the inputs" in str(caught.value)


def test_a_wrong_parameter_is_found() -> None:
    imported = import_model(model_of(*CASES["conv, dilated"][:1], **CASES["conv, dilated"][1]))
    net = built(imported)
    next(iter(net.params.values()))[0].data[...] *= 1.01
    with pytest.raises(CaffeliteError, match="the net differs"):
        check([verify_import(imported, net)], "the net")


AGAIN = ("lenet", "cifar10_full", "squeezenet_v1.1", "ssd_small", "ssd_shapes", "char_lstm")


@pytest.mark.parametrize("case", [pytest.param(s, id=s[0]) for s in SHIPPED if s[0] in AGAIN])
def test_out_and_in_again_gives_the_same_outputs(case: tuple) -> None:
    net = shipped(*case)
    exported = build(net)
    imported = import_model(exported.model)
    again = built(imported)
    check([verify_import(imported, again)], "the net")
    shapes = {name: again.blobs[name].shape for name in net.inputs}
    for name, shape in shapes.items():
        net.blobs[name].reshape(*shape)
    x = random_inputs(net.layers, shapes, np.random.default_rng(5))
    expected = {name: value.copy() for name, value in net.forward(**x).items()}
    found = again.forward(**x)
    for name, value in expected.items():
        assert relative_error(found[name], value) < 1e-5


def test_layers_that_the_model_names_are_had_back() -> None:
    text = """
      layer { name: "in" type: "Input" top: "x" top: "rois"
        input_param { shape { dim: 1 dim: 8 dim: 5 dim: 6 } shape { dim: 3 dim: 5 } } }
      layer { name: "half" type: "Power" bottom: "x" top: "h" power_param { scale: 0.5 } }
      layer { name: "pool" type: "PSROIPooling" bottom: "h" bottom: "rois" top: "p"
        psroi_pooling_param { output_dim: 2 group_size: 2 spatial_scale: 0.5 } }"""
    model = build(Net(parse_net(text), caffelite.TEST)).model
    imported = import_model(model)
    check([verify_import(imported, built(imported))], "the net")
    assert [x.type for x in imported.net.layer] == ["Input", "Input", "Power", "PSROIPooling"]
    (said,) = model.metadata_props
    inner = next(n for n in model.graph.node if n.op_type == "MatMul").output[0]
    for change in ("type", "tensor", "words", "shown"):
        changed = type(model)()
        changed.CopyFrom(model)
        entry = changed.metadata_props[0]
        if change == "type":  # no layer of other types is taken from there
            entry.value = said.value.replace('type: "PSROIPooling"', 'type: "ReLU"')
        elif change == "tensor":
            entry.value = said.value.replace('bottom: "h"', 'bottom: "none"')
        elif change == "words":
            entry.value = "}{"
        else:  # somebody wants to see what is made within
            changed.graph.output.append(helper.make_tensor_value_info(inner, 1, None))
        with pytest.raises(CaffeliteError, match=r"\(MatMul\)|\(Range\)|\(Equal\)"):
            import_model(changed)


def test_both_inputs_are_repeated() -> None:
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["a"], axes=[1], keepdims=1),
        helper.make_node("ReduceMean", ["x"], ["b"], axes=[2, 3], keepdims=1),
        helper.make_node("Div", ["a", "b"], ["q"]),
        helper.make_node("Max", ["q", "a"], ["m"]),
        helper.make_node("Mul", ["b", "c"], ["d"]),
        helper.make_node("Sub", ["m", "d"], ["y"]),
    ]
    imported = import_model(model_of(nodes, c=RNG.normal(size=(1, 1, 7, 1))))
    check([verify_import(imported, built(imported))], "the net")


def test_floats_that_become_indices_pick_rows() -> None:
    nodes = [
        helper.make_node("Cast", ["x"], ["i"], to=7),
        helper.make_node("Gather", ["t", "i"], ["y"]),
    ]
    imported = import_model(model_of(nodes, (2, 3), t=W[0, :, :, 0]))
    check([verify_import(imported, built(imported))], "the table")
    assert [layer.type for layer in built(imported).layers] == ["Input", "Embed"]
    nodes[1] = helper.make_node("Cast", ["i"], ["y"], to=1)
    with pytest.raises(CaffeliteError, match="from float32 to int64"):
        import_model(model_of(nodes, (2, 3)))


@pytest.mark.parametrize(
    "name", ["small", "resnet18", "mobilenet_v2", "mobilenet_v3", "unet", "yolo_head"]
)
def test_a_model_of_pytorchs(name: str, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="PyTorch makes these models")
    from .torch_models import write

    path = tmp_path / "model.onnx"
    write(name, path)
    imported = import_model(str(path))
    reports, said = verify_batches(imported, built(imported))
    check(reports, name)
    assert said == "the batch may vary: verified at 1 and 3"


def test_the_command_writes_net_and_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    nodes, constants = CASES["conv, SAME_UPPER"]
    model = model_of(nodes, ("N", 4, 7, 6), **constants)  # type: ignore[arg-type]
    onnx.save(model, "m.onnx")
    assert main(["import-onnx", "m.onnx", "-o", "m.net", "--shape", "x=2,4,7,6"]) == 0
    assert "largest error" in Path("m.net.verify.txt").read_text(encoding="utf-8")
    net = Net("m.net", "m.caffemodel", caffelite.TEST)
    x = np.float32(RNG.normal(size=(2, 4, 7, 6)))
    assert relative_error(net.forward(x=x)["y"], Runtime(model).run({"x": x})["y"]) < 1e-5
    assert main(["import-onnx", "m.net", "-o", "n.net"]) == 1
    assert "is no ONNX model" in capsys.readouterr().err and not Path("n.net").exists()
