"""Memory and time grow with the net, and no faster."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from caffelite import TRAIN, Net
from caffelite.files import load_net
from caffelite.weights import read_weights

LAYER = """layer {{ name: "ip{0}" type: "InnerProduct" bottom: "b{0}" top: "b{1}"
  inner_product_param {{ num_output: 4 weight_filler {{ type: "xavier" }} }} }}
"""
HEAD = 'layer { name: "x" type: "Input" top: "b0" input_param { shape { dim: 2 dim: 4 } } }\n'


def text(layers: int) -> str:
    """A chain of so many layers."""
    return HEAD + "".join(LAYER.format(i, i + 1) for i in range(layers))


def peak_of(run: Callable[[], object]) -> int:
    """The most memory that a call has, in bytes."""
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.fixture(scope="module")
def nets(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    folder = tmp_path_factory.mktemp("nets")
    made = {}
    for layers in (10, 300):
        made[layers] = folder / f"{layers}.net"
        made[layers].write_text(text(layers))
        Net(made[layers], TRAIN, seed=1).save(str(folder / f"{layers}.caffemodel"))
    return made


@pytest.mark.parametrize("what, kilobytes", [("read", 40), ("build", 60), ("weights", 12)])
def test_memory_is_so_much_a_layer(what: str, kilobytes: int, nets: dict[int, Path]) -> None:
    def run(path: Path) -> object:
        if what == "read":
            return load_net(path)
        if what == "build":
            return Net(path, TRAIN, seed=1)
        return read_weights(path.with_suffix(".caffemodel"))

    run(nets[10])  # what is made once
    few, many = (peak_of(partial(run, nets[at])) for at in (10, 300))
    assert (many - few) / 290 < kilobytes * 1024
