"""Whole training steps that are recorded and replayed, beside the same steps run one by one."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install caffelite[torch]")

from torch.utils._python_dispatch import TorchDispatchMode

from caffelite.engines.torch import device, graphs
from caffelite.errors import SolverError, Source
from caffelite.schema.bind import bind
from caffelite.schema.solver import SolverParameter
from caffelite.solver.base import Solver, solver_class
from caffelite.solver.monitor import Monitor, Output
from caffelite.solver.rules import RULES, Rule, register_rule
from caffelite.text import parse

from .nets import APART
from .recording import WAIT, Recorder, recording_place

LENET = """
net_param {
  layer { name: "data" type: "MemoryData" top: "data" top: "label"
    memory_data_param { batch_size: 4 channels: 1 height: 12 width: 12 } }
  layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
    param { lr_mult: 1 } param { lr_mult: 2 decay_mult: 0 }
    convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "xavier" } } }
  layer { name: "pool1" type: "Pooling" bottom: "conv1" top: "pool1"
    pooling_param { kernel_size: 2 stride: 2 } }
  MIDDLE
  layer { name: "ip1" type: "InnerProduct" bottom: "pool1" top: "ip1"
    inner_product_param { num_output: 8 weight_filler { type: "xavier" } } }
  layer { name: "relu1" type: "ReLU" bottom: "ip1" top: "ip1" }
  layer { name: "ip2" type: "InnerProduct" bottom: "ip1" top: "ip2"
    inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
  layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip2" bottom: "label" top: "loss" }
  layer { name: "accuracy" type: "Accuracy" bottom: "ip2" bottom: "label" top: "accuracy" }
}
random_seed: 3
snapshot_after_train: false
"""
DEEP = """
  layer { name: "norm1" type: "LRN" bottom: "pool1" top: "pool1" }
  layer { name: "bn" type: "BatchNorm" bottom: "pool1" top: "pool1" }
  layer { name: "scale" type: "Scale" bottom: "pool1" top: "pool1" scale_param { bias_term: true } }
  layer { name: "drop" type: "Dropout" bottom: "pool1" top: "pool1" }
"""
BASE = "base_lr: 0.05 momentum: 0.9 weight_decay: 0.01 lr_policy: 'fixed' "
STEPS = 8
Make = Callable[..., tuple[Solver, Recorder]]


class Heard(Monitor):
    """What a run tells."""

    def __init__(self) -> None:
        self.losses: list[tuple[int, float, float]] = []

    def on_display(self, iteration: int, loss: float, rate: float, outputs: list[Output]) -> None:
        self.losses.append((iteration, loss, rate))


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Make:
    """Makes solvers on a second device, which records or does not."""
    monkeypatch.setenv("CAFFELITE_ENGINE", "torch")
    graphs._said.clear()

    def solver(text: str, record: bool, middle: str = "", refuse: int | None = None) -> Any:
        recorder = Recorder(refuse)
        place = recording_place(recorder) if record else APART
        monkeypatch.setattr(device, "place_of", lambda name: place)
        whole = LENET.replace("MIDDLE", middle) + text
        param = bind(parse(Source("<solver>", whole)), SolverParameter)
        made = solver_class(param)(param, Heard())
        rng = np.random.default_rng(0)
        labels = np.arange(20) % 3
        images = rng.normal(size=(20, 1, 12, 12)) + labels[:, None, None, None]
        made.net.set_input_arrays(images.astype(np.float32), labels.astype(np.float32))
        return made, recorder

    return solver


def same(found: Solver, expected: Solver) -> None:
    np.testing.assert_array_equal(found.net.arena.data, expected.net.arena.data)
    np.testing.assert_array_equal(found.net.arena.diff, expected.net.arena.diff)
    for mine, theirs in zip(found.history, expected.history):
        np.testing.assert_array_equal(mine, theirs)
    for name, blob in expected.net.blobs.items():
        np.testing.assert_array_equal(found.net.blobs[name].data, blob.data, name)
    assert isinstance(found.monitor, Heard) and isinstance(expected.monitor, Heard)
    assert found.monitor.losses == expected.monitor.losses
    assert np.isfinite(expected.net.arena.data).all()


def beside(make: Make, text: str, middle: str = "", steps: int = STEPS) -> Recorder:
    """Both ways; three recordings (or more, for passes of several kinds) that are replayed."""
    plain, _ = make(text, False, middle)
    replayed, recorder = make(text, True, middle)
    plain.step(steps)
    replayed.step(steps)
    same(replayed, plain)
    assert len(recorder.recordings) >= 3
    return recorder


RULED = {
    "SGD": BASE,
    "Nesterov": BASE,
    "AdaGrad": BASE.replace("momentum: 0.9", ""),
    "RMSProp": BASE.replace("momentum: 0.9", "rms_decay: 0.9"),
    "AdaDelta": BASE + "delta: 1e-6 ",
    "Adam": BASE + "momentum2: 0.99 ",
    "AdamW": BASE + "momentum2: 0.99 ",
}


@pytest.mark.parametrize("rule", RULED)
def test_every_rule(rule: str, make: Make) -> None:
    recorder = beside(make, RULED[rule] + f'type: "{rule}" display: 1')
    assert recorder.replays == 3 * (STEPS - 2)


@pytest.mark.parametrize(
    "policy",
    [
        'lr_policy: "step" stepsize: 3 gamma: 0.5',
        'lr_policy: "exp" gamma: 0.9',
        'lr_policy: "inv" gamma: 0.1 power: 0.75',
        'lr_policy: "multistep" stepvalue: 3 stepvalue: 5 gamma: 0.1',
        'lr_policy: "poly" power: 2 max_iter: 20',
        'lr_policy: "sigmoid" stepsize: 4 gamma: 0.5',
        'lr_policy: "plateau" plateau_winsize: 1 plateau_winsize: 2 gamma: 0.1',
    ],
)
def test_every_policy(policy: str, make: Make) -> None:
    base = BASE.replace("lr_policy: 'fixed'", policy)
    beside(make, base + "display: 1")


def test_norms_and_chance(make: Make) -> None:
    """LRN, the sums of BatchNorm, the masks of Dropout."""
    beside(make, BASE + "display: 3", DEEP)


@pytest.mark.parametrize(
    "more",
    [
        "clip_gradients: 0.5",
        "clip_gradients: 1000",
        "iter_size: 3 clip_gradients: 0.5",
        'regularization_type: "L1"',
        "average_loss: 3",
    ],
)
def test_what_comes_before_the_rule(more: str, make: Make) -> None:
    beside(make, BASE + more + " display: 2", DEEP)


def test_a_rate_for_each_parameter_is_not_recorded(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """It is made of norms that the host reads; the passes are recorded."""
    text = BASE + "larc: true larc_eta: 0.1 larc_policy: 'scale' display: 2"
    plain, _ = make(text, False)
    replayed, recorder = make(text, True)
    for solver in (plain, replayed):
        solver.step(STEPS)
    same(replayed, plain)
    assert len(recorder.recordings) == 2


def test_debug_info_keeps_passes_from_being_recorded(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    solver, recorder = make(BASE + "debug_info: true display: 2", True)
    solver.step(STEPS)
    assert len(recorder.recordings) == 1  # the update
    why = "debug_info shows all blobs and gradients"
    assert caplog.messages == [f"not captured as a CUDA graph: {why}"]


def test_clipping_is_numpys(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stays on the device computes what the host would."""
    found, _ = make(BASE + "clip_gradients: 0.5 iter_size: 2", True)
    monkeypatch.setenv("CAFFELITE_ENGINE", "numpy")
    expected, _ = make(BASE + "clip_gradients: 0.5 iter_size: 2", False)
    for solver in (found, expected):
        solver.step(STEPS)
    np.testing.assert_allclose(found.net.arena.data, expected.net.arena.data, 1e-3, 1e-4)
    norms = [solver._update.norms() for solver in (found, expected)]
    assert len(norms[0]) == STEPS
    np.testing.assert_allclose(norms[0], norms[1], 1e-3)


def test_a_resumed_run_is_the_run_that_was_left(make: Make, tmp_path: Any) -> None:
    text = BASE + f"type: 'Adam' display: 1 snapshot_prefix: '{tmp_path}{os.sep}run'"
    whole, _ = make(text, True, DEEP)
    whole.step(6)
    whole.snapshot()
    whole.step(6)
    again, recorder = make(text, True, DEEP)
    again.step(4)  # recorded, at another place
    again.restore(str(tmp_path / "run_iter_6.solverstate"))
    assert isinstance(again.monitor, Heard) and isinstance(whole.monitor, Heard)
    again.monitor.losses.clear()
    again.step(6)
    whole.monitor.losses = whole.monitor.losses[6:]
    same(again, whole)
    assert len(recorder.recordings) == 3


def test_what_the_user_does_between_steps_counts(make: Make) -> None:
    plain, _ = make(BASE, False)
    replayed, recorder = make(BASE, True)
    for solver in (plain, replayed):
        for step in range(STEPS):
            solver.step(1)
            solver.net.params["ip1"][0].data[0] = step
            solver.net.params["ip1"][0].diff[...] = 7
            if step == 5:
                solver.take_history([np.zeros_like(h) for h in solver.history])
    same(replayed, plain)
    assert recorder.replays


def test_gradients_that_a_callback_changes_are_used(make: Make) -> None:
    plain, _ = make(BASE, False)
    replayed, _ = make(BASE, True)
    for solver in (plain, replayed):

        def double(net: Any = solver.net) -> None:
            net.params["conv1"][0].diff[...] *= 2

        solver.add_callback(lambda: None, double)
        solver.step(STEPS)
    same(replayed, plain)


def test_a_test_net_sees_what_is_trained(make: Make) -> None:
    text = LENET.replace("MIDDLE", DEEP).split("random_seed")[0]
    text = text.replace("net_param", "test_net_param", 1)
    text = text.replace('"MemoryData"', '"DummyData"').replace(
        "memory_data_param { batch_size: 4 channels: 1 height: 12 width: 12 }",
        "dummy_data_param { shape { dim: 4 dim: 1 dim: 12 dim: 12 } shape { dim: 4 } "
        'data_filler { type: "gaussian" } data_filler { type: "constant" value: 1 } }',
    )
    text = BASE + "test_iter: 3 test_interval: 2 display: 1 " + text
    plain, _ = make(text, False, DEEP)
    replayed, recorder = make(text, True, DEEP)
    found = []
    for solver in (plain, replayed):
        seen: list[Any] = []
        solver.monitor.on_test = (  # type: ignore[method-assign]
            lambda i, n, loss, outputs, seen=seen: seen.append([o.values.tolist() for o in outputs])
        )
        solver.step(STEPS)
        found.append(seen)
    assert found[0] == found[1] and len(found[0]) == 4
    assert len(recorder.recordings) == 4


class Waits(TorchDispatchMode):
    """Counts what makes the host wait."""

    def __init__(self) -> None:
        super().__init__()
        self.count: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in WAIT:
            self.count[str(func)] += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("display", [0, 4])
def test_losses_are_read_where_they_are_displayed(display: int, make: Make) -> None:
    solver, _ = make(BASE + f"display: {display} clip_gradients: 1", True)
    solver.step(4)
    counts = []
    for steps in (8, 16):
        with Waits() as waits:
            solver.step(steps)
        counts.append(waits.count.total())
    assert bool(counts[1] - counts[0]) == bool(display)


def test_a_loss_that_is_not_finite_is_found(make: Make) -> None:
    """At the next that is displayed, before a snapshot, or at the end."""
    solver, _ = make(BASE + "display: 100", True)
    solver.step(3)
    solver.net.params["ip2"][0].data[...] = np.nan
    with pytest.raises(SolverError, match="the loss is nan"):
        solver.step(5)
    assert solver.iter == 8


@pytest.mark.parametrize("refuse", [0, 20])
def test_recordings_that_fail(refuse: int, make: Make, caplog: pytest.LogCaptureFixture) -> None:
    plain, _ = make(BASE + "display: 1", False, DEEP)
    eager, recorder = make(BASE + "display: 1", True, DEEP, refuse)
    for solver in (plain, eager):
        solver.step(STEPS)
    same(eager, plain)
    assert recorder.replays == (STEPS - 2 if refuse else 0)
    said = [line.split(" is not captured")[0] for line in caplog.messages]
    assert said == (["the net's pass"] if refuse else ["the net's pass", "the update"])


def test_a_rule_that_may_bake_numbers_in_is_not_recorded(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    @register_rule("Baking")
    class Baking(Rule):
        histories = 0
        fields = ()

        def begin(self, iteration: int) -> None:
            self.share = 1 / (iteration + 1)

        def update(
            self, weights: Any, gradient: Any, history: Any, rate: Any, scratch: Any
        ) -> None:
            self.xp.multiply(gradient, self.share, out=scratch)
            self.xp.multiply(scratch, rate, out=scratch)
            self.xp.subtract(weights, scratch, out=weights)

    try:
        text = "base_lr: 0.1 lr_policy: 'fixed' type: 'Baking' display: 1"
        plain, _ = make(text, False)
        eager, recorder = make(text, True)
        for solver in (plain, eager):
            solver.step(STEPS)
        same(eager, plain)
        assert len(recorder.recordings) == 2
        assert "the update is not captured as a CUDA graph: what the rule Baking" in caplog.text
        Baking.replayable = True  # it lies: then the double shows it
        liar, recorder = make(text, True)
        liar.step(STEPS)
        assert len(recorder.recordings) == 3
        with pytest.raises(AssertionError):
            same(liar, plain)
    finally:
        del RULES["Baking"]
