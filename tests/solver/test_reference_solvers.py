"""Every update rule and policy against the original Caffe, resumed from Caffe's snapshots too."""

from pathlib import Path

import numpy as np
import pytest

import caffelite
from caffelite.solver import Monitor

REFERENCE = Path(__file__).parents[1] / "reference" / "solvers"
CASES = sorted(path.stem for path in REFERENCE.glob("*.npz"))
RUNS = [(name, "") for name in CASES]
RUNS += [
    (path.name.split(".")[0], path.name) for path in sorted(REFERENCE.glob("*.iter10.solverstate*"))
]


@pytest.mark.parametrize("name, resume", RUNS)
def test_agrees_with_caffe(name: str, resume: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if resume.endswith(".h5"):
        pytest.importorskip("h5py")
    monkeypatch.chdir(REFERENCE)
    case = np.load(f"{name}.npz")
    solver = caffelite.get_solver(f"{name}.solver.prototxt", Monitor())
    for blob in ("data", "label"):
        solver.net.blobs[blob].data[...] = case[f"in/{blob}"]
    if resume:
        solver.restore(resume)
    else:
        for key in case.files:
            if key.startswith("start/"):
                _, layer, index = key.split("/")
                solver.net.params[layer][int(index)].data[...] = case[key]
    compared = 0
    while solver.iter < len(case["loss"]):
        solver.step(1)
        for key in case.files:
            if key.startswith(f"iter/{solver.iter}/"):
                _, _, layer, index = key.split("/")
                expected = case[key]
                limit = 1e-4 * max(1.0, float(np.abs(expected).max()))
                found = solver.net.params[layer][int(index)].data
                np.testing.assert_allclose(found, expected, rtol=0, atol=limit)
                compared += 1
    assert compared


def test_the_cases_are_all_there() -> None:
    assert len(CASES) == 18 and len(RUNS) == 21
