"""What a plug-in's author uses: one call, or one line in a file of tests."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import caffelite
from caffelite.errors import CaffeliteError
from caffelite.layers import registry
from caffelite.layers.base import Arrays, Diffs, Layer
from caffelite.testing import (
    ENGINES,
    PROMISES,
    BrokenPromises,
    Case,
    DoesNotApply,
    check_layer,
    engine,
    subjects_of,
)
from caffelite.testing.engines import NumpyPasses


class Cube(Layer):
    """y = x³. Gradient: ∂L/∂x = 3x² · ∂L/∂y."""

    backward_reads = ("bottom",)
    cases = (Case('type: "Cube"', {"x": [[1.0, -2.0], [0.5, 3.0]]}, {"y": [[1, -8], [0.125, 27]]}),)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        np.power(bottom[0], 3, top[0])

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        if bottom_diff[0] is not None:
            np.multiply(3 * bottom[0] ** 2, top_diff[0], bottom_diff[0])


class Wrong(Cube):
    """y = x³, but its gradient is that of x²."""

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        if bottom_diff[0] is not None:
            np.multiply(2 * bottom[0], top_diff[0], bottom_diff[0])


@pytest.fixture
def cube() -> Iterator[type[Layer]]:
    yield caffelite.register(Cube)
    del registry["Cube"]


def test_a_right_layer_passes_and_the_skips_say_why(cube: type[Layer]) -> None:
    skips = {skip.promise: skip.reason for skip in check_layer(cube)}
    assert skips == {
        "fresh_gradients_are_written": "has nothing to learn",
        "in_place_is_the_same": "does not work in place",
    }
    assert check_layer("Cube") == check_layer(cube)


def test_an_unregistered_layer_is_not_run_in_a_net() -> None:
    skips = {skip.promise: skip.reason for skip in check_layer(Cube)}
    assert skips["a_net_runs_it_alike"] == "is not registered: no net can name it"


def test_all_that_is_wrong_is_in_one_readable_list() -> None:
    with pytest.raises(BrokenPromises) as caught:
        check_layer(Wrong)
    assert list(caught.value.broken) == ["gradients_are_right"]
    text = str(caught.value)
    assert text.startswith(f"Wrong breaks 1 of {len(PROMISES)} promises:\n\ngradients_are_right: ")
    assert 'case 1, float64: type: "Cube"' in text
    assert "bottom 0: WRONG: analytic" in text


def test_other_cases_take_the_place_of_the_class_s_own() -> None:
    wrong = Case('type: "Cube"', {"x": [2.0]}, {"y": [9.0]})
    with pytest.raises(BrokenPromises, match='top "y" is off by 1'):
        check_layer(Cube, cases=[wrong])


def test_a_layer_without_cases_or_an_unknown_type_is_refused_with_advice() -> None:
    class Bare(Layer):
        """Nothing."""

    with pytest.raises(CaffeliteError, match="Bare has no cases to be tested with"):
        check_layer(Bare)
    with pytest.raises(CaffeliteError, match='did you mean "ReLU"'):
        check_layer("Relu")


def test_another_engine_is_held_to_the_same_contract() -> None:
    @engine("twice wrong")
    class Doubling(NumpyPasses):
        def forward(self, bottom: Arrays, top: Arrays) -> None:
            super().forward(bottom, top)
            top[0][...] *= 2

    @engine("picky")
    def picky(layer: Layer) -> NumpyPasses:
        raise DoesNotApply(f"does not take {layer.type or 'it'}")

    try:
        with pytest.raises(BrokenPromises) as caught:
            check_layer(Cube, engine="twice wrong")
        assert {"outputs_are_as_expected", "gradients_are_right"} <= set(caught.value.broken)
        skips = {skip.promise: skip.reason for skip in check_layer(Cube, engine="picky")}
        assert skips["outputs_are_as_expected"].startswith("does not take")
        with pytest.raises(CaffeliteError, match='did you mean "picky"'):
            check_layer(Cube, engine="pick")
    finally:
        del ENGINES["twice wrong"], ENGINES["picky"]


TESTS = """
from caffelite.testing import contract_tests
from my_layers import Square, Wrong

test_square = contract_tests(Square, Wrong)
"""

LAYERS = """
import numpy as np
import caffelite
from caffelite.testing import Case

class Square(caffelite.Layer):
    "y = x squared"
    backward_reads = ("bottom",)
    cases = (Case('type: "Square"', {"x": [[1.0, -3.0]]}, {"y": [[1.0, 9.0]]}),)
    def forward(self, bottom, top):
        np.square(bottom[0], top[0])
    def backward(self, top, top_diff, bottom, bottom_diff):
        if bottom_diff[0] is not None:
            np.multiply(2 * bottom[0], top_diff[0], bottom_diff[0])

class Wrong(Square):
    "y = x squared and 1"
    def forward(self, bottom, top):
        np.add(np.square(bottom[0]), 1, top[0])
"""


def test_one_line_makes_a_test_of_each_promise(tmp_path: Path) -> None:
    (tmp_path / "my_layers.py").write_text(LAYERS)
    (tmp_path / "test_mine.py").write_text(TESTS)
    root = Path(caffelite.__file__).parents[1]
    command = [sys.executable, "-m", "pytest", "-rsf", "-p", "no:cacheprovider", "test_mine.py"]
    env = {"PYTHONPATH": f"{root}:{tmp_path}", "PATH": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    run = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    count = 2 * len(PROMISES)
    assert f"1 failed, {count - 7} passed, 6 skipped" in run.stdout, run.stdout + run.stderr
    assert 'top "y" is off by 1' in run.stdout
    assert "is not registered" in run.stdout


def test_only_the_pytest_line_imports_pytest() -> None:
    code = (
        "import sys, caffelite.testing as t; t.check_layer('ReLU'); print('pytest' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


def test_subjects_are_labelled_for_messages() -> None:
    assert [s.label for s in subjects_of("ReLU")][:2] == ["case 1", "case 2"]
