"""Every kind of data, every update rule and every engine: a resumed run is the very run.

A rule for each kind of data here; CAFFELITE_RESUME=all tries all rules with all kinds.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest

from caffelite.solver import Solver

from ..data.kinds import KINDS, layer_text, make_files
from .made import make, parameters
from .test_rules import RULES

NET = """
layer {{ name: "ip" type: "InnerProduct" bottom: "data" top: "h"
        inner_product_param {{ num_output: 5 weight_filler {{ type: "gaussian" std: 0.01 }} }} }}
layer {{ name: "bound" type: "Sigmoid" bottom: "h" top: "h" }}
layer {{ name: "drop" type: "Dropout" bottom: "h" top: "h" }}
layer {{ name: "sum" type: "Reduction" bottom: "h" top: "loss" loss_weight: 0.001
        reduction_param {{ operation: SUMSQ }} }}
"""
NAMES = [*KINDS]
RULE_NAMES = [*RULES]
PAIRS = [(rule, kind) for rule in RULE_NAMES for kind in NAMES]
if os.environ.get("CAFFELITE_RESUME") != "all":
    count = max(len(NAMES), len(RULE_NAMES))
    PAIRS = [(RULE_NAMES[i % len(RULE_NAMES)], NAMES[i % len(NAMES)]) for i in range(count)]
ENGINES = ["numpy", "torch"]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    make_files(folder)
    return folder


@pytest.fixture
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    name = str(request.param)
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    monkeypatch.setenv("CAFFELITE_ENGINE", name)
    return name


@pytest.mark.parametrize("engine", ENGINES, indirect=True)
@pytest.mark.parametrize("rule, kind", PAIRS)
def test_a_resumed_run_is_the_run(rule: str, kind: str, engine: str, files: Path) -> None:
    fields = f'type: "{rule}" {RULES[rule][0]} lr_policy: "fixed" max_iter: 9'

    def solver(seed: int) -> Solver:
        return make(files, f"{fields} random_seed: {seed}", layer_text(kind) + NET.format())

    whole = solver(3)
    assert engine in str(whole.net.engine)
    whole.step(9)
    first = solver(3)
    first.step(5)
    state = first.snapshot()
    resumed = solver(4)
    resumed.restore(state)
    resumed.step(4)
    assert np.array_equal(parameters(resumed), parameters(whole))
    assert np.array_equal(resumed.net.blobs["data"].data, whole.net.blobs["data"].data)
    for mine, theirs in zip(resumed.history, whole.history):
        assert np.array_equal(mine, theirs)
    assert np.isfinite(parameters(whole)).all()
