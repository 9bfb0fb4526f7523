"""Starting a net from a file of parameters: its values once in memory, and no filler in vain."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from caffelite import TEST, Net
from caffelite.errors import SnapshotError
from caffelite.files import parse_net
from caffelite.schema.binary import decode
from caffelite.schema.net import NetParameter
from caffelite.weights import open_weights

NET = """
layer { name: "data" type: "Input" top: "x" input_param { shape { dim: 2 dim: 1000 } } }
layer { name: "big" type: "InnerProduct" bottom: "x" top: "h"
  inner_product_param { num_output: 2000 weight_filler { type: "gaussian" } } }
layer { name: "head" type: "InnerProduct" bottom: "h" top: "y"
  inner_product_param { num_output: 5 weight_filler { type: "xavier" } bias_filler { value: 1 } } }
"""


def net(*args: object, text: str = NET, **options: object) -> Net:
    return Net(parse_net(text), TEST, *args, seed=3, engine="numpy", **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("weights") / "w.caffemodel"
    trained = net()
    trained.arena.data[...] += 7
    trained.save(str(file))
    return str(file)


def test_the_values_are_in_memory_once(path: str) -> None:
    size = Path(path).stat().st_size
    for again in (False, True):
        tracemalloc.start()
        made = net(path)
        if again:
            made.copy_from(path)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert size > 8_000_000 and peak < 1.2 * size + 1_000_000


def test_what_is_not_in_the_file_starts_as_without_it(path: str) -> None:
    started, loaded = net(), net(path)
    renamed = net(path, text=NET.replace('"head"', '"new"'))
    assert np.array_equal(loaded.params["big"][0].data, started.params["big"][0].data + 7)
    assert np.array_equal(renamed.params["big"][0].data, loaded.params["big"][0].data)
    fresh = net(text=NET.replace('"head"', '"new"'))
    for mine, theirs in zip(renamed.params["new"], fresh.params["new"]):
        assert np.array_equal(mine.data, theirs.data) and mine.data.any()


def test_a_shared_parameter_keeps_the_values_of_the_file(tmp_path: Path) -> None:
    text = """
layer { name: "data" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
layer { name: "a" type: "InnerProduct" bottom: "x" top: "h" param { name: "w" }
  inner_product_param { num_output: 3 bias_term: false weight_filler { type: "xavier" } } }
layer { name: "b" type: "InnerProduct" bottom: "h" top: "y" param { name: "w" }
  inner_product_param { num_output: 3 bias_term: false weight_filler { type: "xavier" } } }
"""
    file = str(tmp_path / "w.caffemodel")
    trained = net(text=text)
    trained.arena.data[...] = 5
    trained.save(file)
    for changed in (text, text.replace('"a"', '"other"'), text.replace('"b"', '"other"')):
        assert (net(file, text=changed).arena.data[:9] == 5).all()


def test_a_float64_net_takes_float32_values(path: str) -> None:
    single, double = net(path), net(path, dtype=np.float64)
    assert np.array_equal(single.params["big"][0].data, double.params["big"][0].data)


def test_a_file_that_does_not_fit_is_refused(path: str) -> None:
    with pytest.raises(SnapshotError, match=r"2000, 1000.*in the file"):
        net(path, text=NET.replace("num_output: 2000", "num_output: 20"))


def test_parameters_that_are_open_already_or_none_that_fits(path: str) -> None:
    with open_weights(path) as stored:
        made = net(weights=stored)
    assert made.taken is not None and made.taken.copied == ["big", "head"]
    assert made.taken.path == path
    other = NET.replace('"head"', '"h2"').replace('"big"', '"b2"')
    with pytest.raises(SnapshotError, match=r"^.*w\.caffemodel: nothing was copied"):
        net(path, text=other)
    lenient = net(path, text=other, strict=False)
    assert lenient.taken is not None and lenient.taken.missing == ["b2", "h2"]
    assert np.array_equal(lenient.arena.data, net(text=other).arena.data)
    assert lenient.copy_from(path, strict=False).copied == []


def test_a_message_with_parameters_starts_from_them(path: str) -> None:
    message = decode(Path(path).read_bytes(), NetParameter)
    made = Net(message, TEST, seed=1)
    assert np.array_equal(made.arena.data, net(path).arena.data)
    assert made.taken is not None and made.taken.copied == ["big", "head"]
    assert net().taken is None
