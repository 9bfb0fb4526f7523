"""One net in two threads: the second is refused while the first is in a pass."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import caffelite
from caffelite.errors import NetError
from caffelite.files import parse_net

LOSS = """
layer { name: "loss" type: "Reduction" bottom: "y" top: "loss" loss_weight: 1 }
"""
NET = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 64 dim: 300 } } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y"
        inner_product_param { num_output: 300 weight_filler { type: "xavier" } } }
"""


def test_threads_that_take_turns_get_right_answers() -> None:
    net = caffelite.Net(parse_net(NET), caffelite.TEST, seed=1)
    weight = net.params["ip"][0].data
    wrong: list[float] = []
    refused: list[str] = []
    done = 0

    def work(number: int) -> None:
        nonlocal done
        x = np.full((64, 300), number, np.float32)
        for _ in range(60):
            try:
                with_lock(x)
            except NetError as error:
                refused.append(str(error))
            done += 1

    def with_lock(x: np.ndarray) -> None:
        with net.executor.turn:  # as a thread in a pass has it
            net.blobs["x"].data[...] = x
            net.forward()
            error = float(np.abs(net.blobs["y"].data - x @ weight.T).max())
            if error > 1e-2:
                wrong.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done == 240 and not wrong and not refused


@pytest.mark.parametrize("run", ["forward", "backward", "forward_loss", "backward_all"])
def test_a_pass_during_another_threads_pass_is_refused(run: str) -> None:
    net = caffelite.Net(parse_net(NET + LOSS), caffelite.TRAIN, seed=1)
    for _ in range(2):  # from the second on, passes are run again with little around them
        net.clear_param_diffs()
        net.forward_backward()
    net.clear_param_diffs()
    held, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with net.executor.turn:
            held.set()
            leave.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(10)
    with pytest.raises(NetError, match="running in another thread"):
        getattr(net, run)()
    leave.set()
    thread.join()
    getattr(net, run)()
