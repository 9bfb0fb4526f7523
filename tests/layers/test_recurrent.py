"""LSTM and RNN: the hidden state from one forward pass to the next."""

import json

import numpy as np
import pytest

from caffelite.errors import NetError
from caffelite.layers.cases import Case
from caffelite.testing import Bench

RNG = np.random.default_rng(3)
X = RNG.uniform(-1, 1, (6, 2, 3))
ALL_GO_ON = np.ones((6, 2))
KINDS = pytest.mark.parametrize("kind", ["LSTM", "RNN"])


def outputs(kind: str, x: np.ndarray, cont: np.ndarray, passes: int = 1) -> list[np.ndarray]:
    """The outputs of a layer that is given x and cont in so many equal parts."""
    case = Case(
        f'type: "{kind}" recurrent_param {{ num_output: 4 }}',
        {"x": np.split(x, passes)[0], "cont": np.split(cont, passes)[0]},
    )
    bench, found = Bench(case), []
    for part, go_on in zip(np.split(x, passes), np.split(cont, passes)):
        bench.layer.forward((part, go_on), tuple(bench.top))
        found.append(bench.top[0].copy())
    return found


@KINDS
def test_the_state_carries_over_to_the_next_pass(kind: str) -> None:
    whole = outputs(kind, X, ALL_GO_ON)[0]
    np.testing.assert_allclose(np.concatenate(outputs(kind, X, ALL_GO_ON, 3)), whole)


@KINDS
def test_cont_0_starts_a_sequence_anew(kind: str) -> None:
    cont = ALL_GO_ON.copy()
    cont[3, 0] = 0
    whole, broken = outputs(kind, X, ALL_GO_ON)[0], outputs(kind, X, cont)[0]
    alone = outputs(kind, X[3:], ALL_GO_ON[3:])[0]
    np.testing.assert_allclose(broken[:3], whole[:3])
    np.testing.assert_allclose(broken[3:, 0], alone[:, 0])
    np.testing.assert_allclose(broken[:, 1], whole[:, 1])


@KINDS
def test_a_snapshot_keeps_the_state(kind: str) -> None:
    case = Case(f'type: "{kind}" recurrent_param {{ num_output: 4 }}', {"x": X, "cont": ALL_GO_ON})
    first = Bench(case, np.float32)
    inputs = tuple(first.bottom)
    first.layer.forward(inputs, tuple(first.top))
    kept = json.loads(json.dumps(first.layer.state()))
    first.layer.forward(inputs, tuple(first.top))
    second = Bench(case, np.float32)
    second.layer.restore(kept)
    second.layer.forward(inputs, tuple(second.top))
    np.testing.assert_array_equal(second.top[0], first.top[0])


@KINDS
def test_exposed_state_is_the_carried_one(kind: str) -> None:
    states = ["h", "c"] if kind == "LSTM" else ["h"]
    inputs = {"x": X, "cont": ALL_GO_ON} | {f"{s}_0": np.zeros((1, 2, 4)) for s in states}
    text = f'type: "{kind}" recurrent_param {{ num_output: 4 expose_hidden: true }}'
    bench = Bench(Case(text, inputs, tops=["y", *(f"{s}_T" for s in states)]))
    bench.forward()
    np.testing.assert_allclose(bench.top[0], outputs(kind, X, ALL_GO_ON)[0])
    if kind == "LSTM":
        np.testing.assert_allclose(bench.top[1][0], bench.top[0][-1])


@KINDS
def test_more_steps_than_before_are_fine(kind: str) -> None:
    bench = Bench(
        Case(
            f'type: "{kind}" recurrent_param {{ num_output: 4 }}',
            {"x": X[:2], "cont": ALL_GO_ON[:2]},
        )
    )
    bench.reshape([X, ALL_GO_ON])
    bench.forward()
    np.testing.assert_allclose(bench.top[0], outputs(kind, X, ALL_GO_ON)[0])


@pytest.mark.parametrize(
    ("param", "inputs", "message"),
    [
        ("", {"x": X, "cont": ALL_GO_ON}, "num_output is missing"),
        ("num_output: 4", {"x": X, "cont": np.ones(6)}, '"cont" is 6'),
        ("num_output: 4", {"x": X, "cont": ALL_GO_ON, "s": np.ones((3, 5))}, '"s" is 3 x 5'),
        ("num_output: 4", {"x": X}, "1 bottoms"),
        ("num_output: 4 expose_hidden: true", {"x": X, "cont": ALL_GO_ON}, "2 bottoms, with"),
    ],
)
def test_refused(param: str, inputs: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(NetError, match=message):
        Bench(Case(f'type: "LSTM" recurrent_param {{ {param} }}', inputs))
