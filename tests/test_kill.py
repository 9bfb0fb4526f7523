"""A run that is killed outright harms no snapshot, and what is resumed is the run itself."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import caffelite
from caffelite.files import load_solver
from caffelite.solver import Monitor
from caffelite.solver.base import solver_class

NET = """
layer { name: "points" type: "SpiralData" top: "data" top: "label" }
layer { name: "ip1" type: "InnerProduct" bottom: "data" top: "h"
        inner_product_param { num_output: 200 weight_filler { type: "msra" } } }
layer { name: "act" type: "ReLU" bottom: "h" top: "h" }
layer { name: "drop" type: "Dropout" bottom: "h" top: "h" }
layer { name: "ip2" type: "InnerProduct" bottom: "h" top: "y"
        inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "y" bottom: "label" top: "loss" }
"""
SOLVER = """
net: "net.net" base_lr: 0.05 lr_policy: "fixed" momentum: 0.9 weight_decay: 0.001
max_iter: 100000 snapshot: 10 snapshot_prefix: "run" random_seed: 3
"""
KILLS = int(os.environ.get("CAFFELITE_KILLS", "4"))
"""How often the run is killed; each kill costs a start of Python."""


def quiet(folder: Path) -> caffelite.SGDSolver:
    param = load_solver(folder / "run.solver")
    param.snapshot = 0
    return solver_class(param)(param, Monitor(), path=str(folder / "run.solver"))


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_every_snapshot_of_a_killed_run_loads_and_goes_on_as_the_run_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.net").write_text(NET)
    Path("run.solver").write_text(SOLVER)
    rng = np.random.default_rng(7)
    last = ""
    for _ in range(KILLS):
        command = [sys.executable, "-m", "caffelite", "train", "--solver", "run.solver"]
        command += ["--snapshot", last] if last else []
        before = set(Path().glob("*.solverstate"))
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as run:
            while set(Path().glob("*.solverstate")) == before and run.poll() is None:
                time.sleep(0.01)
            time.sleep(rng.uniform(0, 0.15))
            assert run.poll() is None, "the run ended by itself"
            run.kill()
        states = sorted(Path().glob("*.solverstate"), key=lambda p: int(p.stem.split("_")[-1]))
        assert len(states) > len(before)
        last = str(states[-1])
        for path in set(states) - before:
            quiet(tmp_path).restore(str(path))

    straight, resumed = quiet(tmp_path), quiet(tmp_path)
    resumed.restore(last)
    straight.step(resumed.iter)
    for solver in (straight, resumed):
        solver.step(10)
    assert np.array_equal(straight.net.arena.data, resumed.net.arena.data)
    assert np.array_equal(straight.history[0], resumed.history[0])
