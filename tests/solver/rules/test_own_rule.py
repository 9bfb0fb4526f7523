"""A rule of a user's own: the example of the documentation, as a plug-in."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from caffelite import get_solver
from caffelite.cli import main
from caffelite.errors import SolverError
from caffelite.solver import Monitor, Rule, register_rule, rules
from caffelite.solver.rules import RULES

from ..made import LINE, make, parameters, spiral

SOLVER = """
net: "n.net" type: "SignMomentum" base_lr: 0.003 lr_policy: "fixed" momentum: 0.8 random_seed: 1
max_iter: 20 snapshot: 10 snapshot_prefix: "run" weight_decay: 0.01
"""


@pytest.fixture(autouse=True)
def no_traces() -> Iterator[None]:
    """What a test registers is gone after it."""
    before = dict(RULES)
    yield
    RULES.clear()
    RULES.update(before)


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The example in the module's text, as a file."""
    monkeypatch.chdir(tmp_path)
    example = (rules.__doc__ or "").split("momentum):\n\n")[1].split("\n\nThen ")[0]
    (tmp_path / "my_rules.py").write_text(textwrap.dedent(example))
    (tmp_path / "n.net").write_text(spiral())
    (tmp_path / "s.solver").write_text(SOLVER)
    return "my_rules.py"


def test_a_plugin_brings_a_rule(plugin: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "s.solver"]) == 1
    assert 'unknown solver type "SignMomentum"' in capsys.readouterr().err
    assert main(["check", "--plugin", plugin, "s.solver"]) == 0
    assert "SignMomentum, 20 iterations" in capsys.readouterr().out
    assert main(["train", "--plugin", plugin, "--solver", "s.solver"]) == 0
    whole = Path("run_iter_20.caffemodel").read_bytes()
    resume = ["--snapshot", "run_iter_10.solverstate"]
    assert main(["train", "--plugin", plugin, "--solver", "s.solver", *resume]) == 0
    assert Path("run_iter_20.caffemodel").read_bytes() == whole


def test_it_moves_each_weight_by_the_rate(plugin: str) -> None:
    exec(Path(plugin).read_text(), {})
    solver = get_solver("s.solver", Monitor())
    before = parameters(solver)
    solver.step(1)
    moved = np.abs(parameters(solver) - before)
    assert np.isclose(moved, 0.003, rtol=1e-4).mean() > 0.5
    assert (np.isclose(moved, 0.003, rtol=1e-4) | (moved == 0)).all()  # no gradient: no step


def test_a_name_is_taken_once() -> None:
    with pytest.raises(ValueError, match='an update rule "SGD" exists already'):

        @register_rule("SGD")
        class Other(Rule):
            pass

    assert RULES["SGD"].__module__ == "caffelite.solver.rules.sgd"


def test_a_rule_that_does_nothing_is_refused(tmp_path: Path) -> None:
    @register_rule("Idle")
    class Idle(Rule):
        pass

    solver = make(tmp_path, 'type: "Idle" base_lr: 0.1 lr_policy: "fixed"', LINE)
    with pytest.raises(TypeError, match=r"the update rule Idle does not define update\(\)"):
        solver.step(1)


def test_its_fields_are_checked(tmp_path: Path) -> None:
    @register_rule("Halving")
    class Halving(Rule):
        fields = ("rms_decay",)

    text = 'type: "Halving" base_lr: 0.1 lr_policy: "fixed" rms_decay: 1 momentum: 0.5'
    with pytest.raises(SolverError) as caught:
        make(tmp_path, text, LINE)
    said = str(caught.value)
    assert "rms_decay cannot be 1" in said and "Halving cannot use momentum" in said
