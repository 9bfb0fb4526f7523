"""LSTM, GRU and RNN in Caffe's layers: every option, against ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import caffelite
from caffelite import Net
from caffelite.errors import CaffeliteError

onnx = pytest.importorskip("onnx", reason="needs the extra onnx")
pytest.importorskip("onnxruntime", reason="needs the extra onnx")

from onnx import helper, numpy_helper  # noqa: E402

from caffelite.onnx.importing import (  # noqa: E402
    Imported,
    import_model,
    verify_batches,
    verify_import,
)
from caffelite.onnx.profiles import PROFILES, refuse  # noqa: E402
from caffelite.onnx.rewriting import rewrite  # noqa: E402
from caffelite.onnx.verify import check  # noqa: E402

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
STATES = {"LSTM": 2, "GRU": 1, "RNN": 1}
T, N, D, H = 5, 3, 4, 2


def recurrent(
    kind: str,
    given: tuple[str, ...] = (),
    outputs: tuple[bool, ...] = (True, True, True),
    lengths: list[int] | None = None,
    peepholes: bool = False,
    seed: int = 0,
    steps: int = T,
    **attrs: Any,
) -> Any:
    """A model of one node. `given`: which states are inputs of it ("h", "c"), or constants
    ("h=")."""
    rng = np.random.default_rng(seed)
    ways = 2 if attrs.get("direction") == "bidirectional" else 1
    g = GATES[kind]
    constants = {
        "w": rng.normal(0, 0.6, (ways, g * H, D)),
        "r": rng.normal(0, 0.6, (ways, g * H, H)),
        "b": rng.normal(0, 0.6, (ways, 2 * g * H)),
        "p": rng.normal(0, 0.6, (ways, 3 * H)),
    }
    inputs = [helper.make_tensor_value_info("x", 1, (steps, N, D))]
    names = ["x", "w", "r", "b", "n" if lengths else "", "", "", "p" if peepholes else ""]
    for i, state in enumerate("hc"):
        if state in given:
            inputs.append(helper.make_tensor_value_info(state, 1, (ways, N, H)))
            names[5 + i] = state
        elif f"{state}=" in given:
            constants[state] = rng.normal(size=(ways, N, H))
            names[5 + i] = state
    while not names[-1]:
        names.pop()
    tensors = [numpy_helper.from_array(np.float32(v), n) for n, v in constants.items()]
    if lengths:
        tensors.append(numpy_helper.from_array(np.int32(lengths), "n"))
    made = [n if use else "" for n, use in zip(("y", "y_h", "y_c"), outputs)][: 1 + STATES[kind]]
    node = helper.make_node(kind, names, made, hidden_size=H, **attrs)
    graph = helper.make_graph(
        [node],
        "made",
        inputs,
        [helper.make_tensor_value_info(n, 1, None) for n in made if n],
        [t for t in tensors if t.name in names],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return onnx.shape_inference.infer_shapes(model)


def built(imported: Imported) -> Net:
    return imported.fill(Net(imported.net, caffelite.TEST, seed=0))


BOTH = "bidirectional"
CASES: dict[str, Any] = {
    "lstm backwards": lambda: recurrent("LSTM", direction="reverse"),
    "lstm both ways": lambda: recurrent("LSTM", direction=BOTH),
    "lstm, outputs alone": lambda: recurrent("LSTM", (), (True, False, False), direction=BOTH),
    "lstm, last cell alone": lambda: recurrent("LSTM", (), (False, False, True), direction=BOTH),
    "lstm from a state": lambda: recurrent("LSTM", ("h", "c"), direction=BOTH),
    "lstm from half a state": lambda: recurrent("LSTM", ("c=",), direction="reverse"),
    "lstm of one step": lambda: recurrent("LSTM", ("h",), steps=1),
    "lstm, peepholes": lambda: recurrent("LSTM", peepholes=True, direction=BOTH),
    "lstm, coupled": lambda: recurrent("LSTM", input_forget=1),
    "lstm, clipped": lambda: recurrent("LSTM", clip=0.3),
    "lstm, lengths": lambda: recurrent("LSTM", lengths=[5, 2, 3], direction=BOTH),
    "lstm, equal lengths": lambda: recurrent("LSTM", lengths=[5, 5, 5]),
    "lstm, others": lambda: recurrent(
        "LSTM", activations=["HardSigmoid", "ScaledTanh", "Relu"], activation_alpha=[0.3, 1.2],
        activation_beta=[0.4, 0.7]),
    "gru": lambda: recurrent("GRU"),
    "gru both ways": lambda: recurrent("GRU", direction=BOTH, linear_before_reset=1),
    "gru from a state": lambda: recurrent("GRU", ("h",), direction=BOTH),
    "gru, lengths": lambda: recurrent("GRU", ("h=",), lengths=[1, 5, 4], direction="reverse"),
    "gru, clipped": lambda: recurrent("GRU", clip=0.4, linear_before_reset=1),
    "gru of one step": lambda: recurrent("GRU", steps=1, direction=BOTH),
    "gru, others": lambda: recurrent(
        "GRU", direction=BOTH, activations=["Sigmoid", "LeakyRelu", "HardSigmoid", "Affine"],
        activation_alpha=[0.2, 0.3, 0.5], activation_beta=[0.4, 0.1]),
    "rnn": lambda: recurrent("RNN"),
    "rnn, relu": lambda: recurrent("RNN", ("h",), direction=BOTH, activations=["Relu", "Tanh"]),
    "rnn, elu": lambda: recurrent(
        "RNN", direction="reverse", activations=["Elu"], activation_alpha=[0.7]),
    "rnn, softplus": lambda: recurrent("RNN", activations=["Softplus"]),
    "rnn, lengths": lambda: recurrent("RNN", lengths=[2, 5, 1], direction=BOTH),
    "rnn, last state": lambda: recurrent("RNN", (), (False, True)),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_recurrent_node_gives_its_values(name: str) -> None:
    model = CASES[name]()
    imported = import_model(model)
    report = verify_import(imported, built(imported))
    check([report], name)
    assert {x.name for x in model.graph.output} <= imported.blobs.keys()


def test_what_caffe_has_is_its_layer() -> None:
    types = [x.type for x in built(import_model(CASES["lstm both ways"]())).layers]
    assert types.count("LSTM") == 2 and types.count("Reverse") == 2
    types = [x.type for x in built(import_model(CASES["lstm, peepholes"]())).layers]
    assert "LSTM" not in types and types.count("Sigmoid") == 2 * 3 * T


def test_steps_share_their_matrices() -> None:
    net = built(import_model(CASES["gru"]()))
    own = [x for x in net.layers if x.type == "InnerProduct"]
    homes = {x.params[0].data.__array_interface__["data"][0] for x in own}
    assert len(own) == 1 + 2 * T and len(homes) == 3


def test_what_cannot_be_said_is_refused() -> None:
    with pytest.raises(CaffeliteError, match="its 201 steps would be written out one by one"):
        import_model(recurrent("GRU", steps=201))
    with pytest.raises(CaffeliteError, match="no layer for its activation Softsign"):
        import_model(recurrent("RNN", activations=["Softsign"]))


def test_a_reversed_sequence_is_cut_for_caffe() -> None:
    imported = import_model(CASES["lstm both ways"]())
    written = rewrite(imported, built(imported), PROFILES["caffe"])
    net = built(written)
    refuse(net, PROFILES["caffe"])
    assert "Reverse" not in {x.type for x in net.layers}
    check([verify_import(written, net)], "the net")
    assert any("(Reverse) is written as Slice and Concat" in note for note in written.notes)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_pytorchs_own(kind: str, tmp_path: Any) -> None:
    pytest.importorskip("torch", reason="PyTorch makes these models")
    from .torch_models import write_recurrent

    path = tmp_path / "model.onnx"
    write_recurrent(kind, path)
    imported = import_model(str(path))
    reports, said = verify_batches(imported, built(imported))
    check(reports, kind)
    assert said == "the batch may vary: verified at 1 and 3"
