"""Numbers that are tuned for speed change no value, and keep within the bounds of memory."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import caffelite
from caffelite import kernels
from caffelite.kernels import parallel
from caffelite.layers.cases import Case
from caffelite.testing import Bench

from . import test_kernels_convolution as convolution
from . import test_kernels_memory as memory
from . import test_kernels_normalising as normalising
from . import test_kernels_pooling as pooling

PACKAGE = Path(caffelite.__file__).parent


def tuned(path: Path) -> list[str]:
    """What a module declares as NAME: Tuned = …"""
    nodes = ast.parse(path.read_bytes()).body
    declared = (node for node in nodes if isinstance(node, ast.AnnAssign))
    return [ast.unparse(n.target) for n in declared if ast.unparse(n.annotation) == "Tuned"]


TILE = 5500
"""Thousand bytes: a tile of columns with all that belongs to it. Another number may fill tiles, or
have columns laid out instead of rows."""
NUMBERS = [(p.stem, name) for p in sorted((PACKAGE / "kernels").glob("*.py")) for name in tuned(p)]


class Watched(int):
    """A number that notes whether it is used."""

    used = False


def noted(name: str) -> Any:
    def method(self: Watched, *others: Any) -> Any:
        Watched.used = True
        return getattr(int, name)(self, *others)

    return method


for _name in ("lt", "le", "gt", "ge", "neg", "mul", "rmul", "floordiv"):
    setattr(Watched, f"__{_name}__", noted(f"__{_name}__"))


def values() -> dict[str, list[Any]]:
    """What the kernels make of problems large and small."""
    found = {}
    for name, geometry in convolution.GEOMETRIES.items():
        problem = convolution.Problem(geometry)
        dbias = np.zeros_like(problem.bias)
        kernels.conv_backward_bias(problem.dout, dbias)
        factor = np.linspace(-1, 2, len(problem.bias))
        found[name] = [
            problem.forward(factor=factor),
            *problem.all(),
            *problem.all(budget=2000),
            problem.forward(relu=True),
            dbias,
        ]
    for kind, plane in pooling.GEOMETRIES.items():
        problem_ = pooling.Problem(plane)
        maxima, taps = problem_.max()
        found[kind] = [maxima, taps, problem_.max_back(taps), problem_.ave(), problem_.ave_back()]
        for scratch in (None, 1000, 1 << 30):
            alone = np.empty_like(maxima)
            kernels.max_pool_forward(problem_.x, alone, None, problem_.window, scratch=scratch)
            found[kind].append(alone)
    for name, shape in normalising.SHAPES.items():
        made = normalising.Problem(shape)
        found[name] = [a for case in normalising.FORWARD for a in made.forward(*case)]
        found[name] += [a for case in normalising.BACKWARD for a in made.backward(*case)]
    rng = np.random.default_rng(0)
    for samples, inner, columns in ((3, 5, 7), (40, 30, 600), (1, 300, 40)):
        a, b = rng.standard_normal((samples, inner)), rng.standard_normal((inner, columns))
        outs = [np.ones((samples, columns)) for _ in range(3)]
        kernels.product(a, b, outs[0])
        kernels.add_product(a, b, outs[1])
        kernels.add_product(a, b, outs[2], fresh=True)
        found[f"product {samples}"] = outs
    bench = Bench(Case('type: "InnerProduct" inner_product_param { num_output: 9 }', {"x": a}))
    found["a layer of products"] = list(bench.run().results().values())
    return found


@pytest.fixture(scope="module")
def usual() -> dict[str, list[Any]]:
    return values()


@pytest.mark.parametrize("times", [0, 16])
@pytest.mark.parametrize(("module", "name"), NUMBERS)
def test_another_number_gives_the_same(
    module: str, name: str, times: int, usual: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = importlib.import_module(f"caffelite.kernels.{module}")
    monkeypatch.setattr(place, name, Watched(max(1, times * getattr(place, name))))
    monkeypatch.setattr(Watched, "used", False)
    parallel.set_threads(2)
    for key, found in values().items():
        for one, other in zip(found, usual[key], strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-11, err_msg=key)
    for key, (call, most) in memory.problems().items():
        assert memory.needs(call) <= 1000 * max(most, TILE), key
    assert Watched.used, "nothing that is tried here uses it"


def test_only_the_kernels_have_such_numbers() -> None:
    """Others would not be tried here."""
    declared = [p for p in PACKAGE.rglob("*.py") if tuned(p)]
    assert {path.parent for path in declared} == {PACKAGE / "kernels"}
