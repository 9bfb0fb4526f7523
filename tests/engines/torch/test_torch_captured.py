"""Passes that are recorded and replayed: whatever changes from one to the next reaches them."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install caffelite[torch]")

from caffelite import TEST, TRAIN, Net
from caffelite.engines.torch import graphs
from caffelite.engines.torch.session import TorchSession
from caffelite.errors import NetError

from .nets import APART, net_param, on_torch
from .recording import Recorder, recording_place
from .test_torch_nets import SMALL, alike, feed

HOST = 'layer { name: "norm2" type: "MVN" bottom: "conv2" top: "norm2" }\n'
ON_DEVICE = SMALL.replace(HOST, HOST.replace("MVN", "TanH"))
PASSES = 6


@pytest.fixture(autouse=True)
def forget_what_was_said() -> None:
    graphs._said.clear()


def two(text: str = ON_DEVICE, phase: int = TRAIN, seed: int = 2) -> tuple[Net, Net, Recorder]:
    """A net that runs its steps as they are, and one that records them."""
    recorder = Recorder()
    nets = [Net(net_param(text), phase, seed=seed, engine="numpy") for _ in range(2)]
    return on_torch(nets[0], APART), on_torch(nets[1], recording_place(recorder)), recorder


def train(net: Net, seed: int) -> float:
    feed(net, seed)
    net.clear_param_diffs()
    return net.forward_backward()


def same(found: Net, expected: Net) -> None:
    alike(found, expected, 0)


def test_a_pass_is_recorded_after_two_that_are_not() -> None:
    _, net, recorder = two()
    for seed in range(PASSES):
        train(net, seed)
    assert (recorder.warm_ups, len(recorder.recordings)) == (4, 2)
    assert recorder.replays == 2 * (PASSES - 2)


@pytest.mark.parametrize("phase", [TRAIN, TEST])
def test_replays_give_what_the_steps_give(phase: int) -> None:
    plain, net, recorder = two(phase=phase)
    for seed in range(PASSES):
        assert train(net, seed) == train(plain, seed)
        if seed % 2:  # to look at a blob means to send it again
            same(net, plain)
    same(net, plain)
    assert recorder.replays


def test_gradients_add_up_over_batches() -> None:
    plain, net, recorder = two()
    for seed in range(PASSES):
        for each in (plain, net):
            each.clear_param_diffs()
            for part in range(3):
                feed(each, 3 * seed + part)
                each.forward_backward()
    same(net, plain)
    assert len(recorder.recordings) == 3  # forward, backward that writes, backward that adds


def test_two_backward_passes_behind_one_forward_pass() -> None:
    plain, net, _ = two()
    for seed in range(PASSES):
        for each in (plain, net):
            train(each, seed)
            each.backward()
    same(net, plain)


def test_parameters_that_are_set_are_used() -> None:
    plain, net, recorder = two()
    for seed in range(PASSES):
        for each in (plain, net):
            each.params["conv"][0].data[...] *= 1.5
            each.params["ip"][1].data[...] = seed
            train(each, seed)
    same(net, plain)
    assert recorder.replays


def test_weights_that_are_loaded_are_used(tmp_path) -> None:  # type: ignore[no-untyped-def]
    plain, net, recorder = two()
    path = str(tmp_path / "w.caffemodel")
    Net(net_param(ON_DEVICE), TRAIN, seed=9, engine="numpy").save(path)
    for seed in range(PASSES):
        for each in (plain, net):
            if seed == 4:
                each.copy_from(path)
            train(each, seed)
    same(net, plain)
    assert recorder.replays


def test_shared_parameters_are_used() -> None:
    plain, net, recorder = two()
    lender = Net(net_param(ON_DEVICE), TRAIN, seed=9, engine="numpy")
    for seed in range(2 * PASSES):
        for each in (plain, net):
            if seed == PASSES:
                each.share_with(lender)
            train(each, seed)
    assert len(recorder.recordings) == 4
    same(net, plain)


def test_other_shapes_are_recorded_anew() -> None:
    plain, net, recorder = two()
    for seed in range(3 * PASSES):
        for each in (plain, net):
            if seed % PASSES == 0:
                count = (4, 2, 4)[seed // PASSES]
                each.blobs["x"].reshape(count, 2, 9, 8)
                each.blobs["label"].reshape(count)
            train(each, seed)
        same(net, plain) if seed % PASSES == PASSES - 1 else None
    assert len(recorder.recordings) == 6


def test_shapes_that_keep_changing_are_no_longer_recorded(caplog: pytest.LogCaptureFixture) -> None:
    plain, net, recorder = two()
    for seed in range(60):
        for each in (plain, net):
            if seed % 3 == 0:
                each.blobs["x"].reshape(2 + seed // 3 % 2, 2, 9, 8)
                each.blobs["label"].reshape(2 + seed // 3 % 2)
            train(each, seed)
    same(net, plain)
    assert len(recorder.recordings) == 16
    assert "captured 16 times" in caplog.text


def test_parts_of_a_net_run_between_whole_passes() -> None:
    plain, net, recorder = two()
    for seed in range(PASSES):
        for each in (plain, net):
            train(each, seed)
            each.blobs["pool"].data[...] += 0.5
            each.forward(start="conv2")
            each.backward()
            each.backward(start="norm")
    same(net, plain)
    assert recorder.replays == 2 * (PASSES - 2)  # those of whole training steps


@pytest.mark.parametrize("name", ["pool", "conv2", "ip", "x"])
def test_what_is_written_between_the_passes_is_read_backward(name: str) -> None:
    plain, net, _ = two()
    for seed in range(PASSES):
        for each in (plain, net):
            feed(each, seed)
            each.clear_param_diffs()
            each.forward()
            each.blobs[name].data[...] *= 1.5
            each.backward()
    same(net, plain)


VIEWS = """
force_backward: true
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 3 dim: 4 dim: 2 dim: 2 } } }
layer { name: "cut2" type: "Slice" bottom: "x" top: "c" top: "d" slice_param { slice_point: 1 } }
layer { name: "flat" type: "Flatten" bottom: "x" top: "f" }
layer { name: "act" type: "Sigmoid" bottom: "f" top: "s" }
layer { name: "ip" type: "InnerProduct" bottom: "s" top: "y"
  inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "flat2" type: "Flatten" bottom: "y" top: "z" }
"""


def test_values_that_lie_in_the_same_memory() -> None:
    """An input that others are views of, and a gradient that is set from outside."""
    plain, net, recorder = two(VIEWS)
    for seed in range(PASSES):
        rng = np.random.default_rng(seed)
        x, dz = rng.normal(size=(3, 4, 2, 2)), rng.normal(size=(3, 3))
        for each in (plain, net):
            each.forward(x=x)
            each.blobs["f"].data[...] *= 2
            each.backward(z=dz)
            assert each.blobs["d"].data[0, 0, 0, 0] == np.float32(x[0, 1, 0, 0])
    same(net, plain)
    assert recorder.replays


def test_a_label_that_is_no_class_is_refused_in_a_replay() -> None:
    _, net, recorder = two()
    for seed in range(PASSES):
        train(net, seed)
    labels = net.blobs["label"].data
    labels[1] = 3
    net.executor.forward()
    labels[1] = 0  # the batch behind it is sound
    net.executor.forward()
    with pytest.raises(NetError, match="label 3 of sample 1 is not a class"):
        net.forward_loss()
    assert recorder.replays and np.isfinite(net.forward_loss())


@pytest.mark.parametrize("refuse", [0, 5])
def test_a_recording_that_fails(refuse: int, caplog: pytest.LogCaptureFixture) -> None:
    """The steps run as they are; a line says why."""
    plain, net, recorder = two()
    recorder.refuse = refuse
    for seed in range(PASSES):
        assert train(net, seed) == train(plain, seed)
    same(net, plain)
    assert not recorder.replays
    assert caplog.messages == ["the net's pass is not captured: no recording here"]


def test_an_interrupted_recording_leaves_the_net_as_it_was() -> None:
    text = "".join(line for line in ON_DEVICE.splitlines(True) if "Dropout" not in line)
    plain, net, recorder = two(text)
    capture = recorder.capture

    def interrupted(run):  # type: ignore[no-untyped-def]
        recorder.capture = capture  # type: ignore[method-assign]

        def stop() -> None:
            run()
            raise KeyboardInterrupt

        return capture(stop)

    recorder.capture = interrupted  # type: ignore[method-assign]
    for seed in range(PASSES):
        if seed == 2:
            with pytest.raises(KeyboardInterrupt):
                train(net, seed)
            feed(plain, seed)
            plain.clear_param_diffs()
            same(net, plain)
        train(net, seed)
        train(plain, seed)
    same(net, plain)
    assert recorder.replays == 2 * (PASSES - 2)


DYNAMIC = """
layer { name: "x" type: "Input" top: "x" top: "keep"
  input_param { shape { dim: 4 dim: 2 } shape { dim: 4 } } }
layer { name: "f" type: "Filter" bottom: "x" bottom: "keep" top: "y" }
"""
CARRIED = """
layer { name: "x" type: "Input" top: "x" top: "cont"
  input_param { shape { dim: 4 dim: 2 dim: 3 } shape { dim: 4 dim: 2 } } }
layer { name: "lstm" type: "LSTM" bottom: "x" bottom: "cont" top: "y"
  recurrent_param { num_output: 2 weight_filler { type: "xavier" } } }
"""


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (SMALL, 'layer "norm2" (MVN) runs on the host'),
        (CARRIED, 'layer "lstm" (LSTM) carries its state from pass to pass on the host'),
    ],
)
def test_a_net_that_is_not_recorded_says_why(
    text: str, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    plain, net, recorder = two(text)
    for _ in range(4):
        for each in (plain, net):
            each.forward()
    assert recorder.recordings == [] and recorder.warm_ups == 0
    assert caplog.messages == [f"not captured as a CUDA graph: {why}"]


def test_a_net_whose_shapes_depend_on_values_is_not_recorded() -> None:
    _, net, recorder = two(DYNAMIC)
    for count in (1, 2, 3, 4):
        net.blobs["keep"].data[...] = np.arange(4) < count
        assert net.forward()["y"].shape == (count, 2)
    assert recorder.warm_ups == 0


def test_debug_info_and_steps_that_are_looked_at_are_not_recorded() -> None:
    plain, net, recorder = two()
    net.executor.let_run(lambda part, program, run: [run(i) for i in range(len(program))] and None)
    for seed in range(PASSES):
        assert train(net, seed) == pytest.approx(train(plain, seed), rel=1e-5)
    assert recorder.warm_ups == 0
    _, net, recorder = two()
    net.executor.looked_into = "debug_info shows all blobs"
    for seed in range(PASSES):
        train(net, seed)
    assert recorder.warm_ups == 0


@pytest.mark.parametrize("value", ["0", "off", "No"])
def test_an_environment_variable_switches_it_off(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(graphs.graphs_of(torch.device("cuda")), graphs.CudaGraphs)
    assert graphs.graphs_of(torch.device("cpu")) is graphs.graphs_of(torch.device("mps")) is None
    monkeypatch.setenv("CAFFELITE_GRAPHS", value)
    assert graphs.graphs_of(torch.device("cuda")) is None


def test_on_the_cpu_nothing_is_recorded() -> None:
    net = on_torch(Net(net_param(ON_DEVICE), TRAIN, seed=2, engine="numpy"))
    train(net, 0)
    assert isinstance(net.executor.session, TorchSession)
    assert net.executor.session.captures == [0]
    assert all(step.__class__.__name__ != "Captured" for step in net.executor._steady or [])
