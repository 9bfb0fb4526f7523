"""`debug_info`, and what is said of a loss that is not finite."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from caffelite.errors import SolverError
from caffelite.solver import Monitor, get_solver

from .made import Notes, spiral

TEXT = 'net: "n.net" base_lr: 0.1 lr_policy: "fixed" max_iter: 3 snapshot_after_train: false '


def make(folder: Path, text: str, monitor: Monitor):  # type: ignore[no-untyped-def]
    (folder / "n.net").write_text(spiral())
    (folder / "s.solver").write_text(TEXT + text)
    return get_solver(str(folder / "s.solver"), monitor)


def test_debug_info_prints_what_caffe_prints(tmp_path: Path) -> None:
    monitor = Notes()
    solver = make(tmp_path, "debug_info: true random_seed: 1", monitor)
    solver.step(1)
    lines = [n for n in monitor.notes if n.startswith("    [")]
    first = next(iter(solver.net.layer_dict))
    top = solver.net.top_names[first][0]
    size = float(np.abs(solver.net.blobs[top].data).mean())
    assert lines[0] == f"    [Forward] Layer {first}, top blob {top} data: {size:g}"
    assert any(line.startswith("    [Backward] Layer ") and " diff: " in line for line in lines)
    assert lines[-1].startswith("    [Backward] All net params (data, diff): L1 norm = (")
    count = len(lines)
    solver.step(1)
    assert len([n for n in monitor.notes if n.startswith("    [")]) == 2 * count


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("random_seed: 1", "the fillers or the weights"),
        ("random_seed: 1 weight_decay: -1", "weight_decay is negative"),
    ],
)
def test_the_cause_is_what_the_evidence_says(tmp_path: Path, text: str, said: str) -> None:
    solver = make(tmp_path, text, Notes())
    blob = next(layer for layer in solver.net.layers if layer.params).params[0]
    blob.data[...] = np.nan
    with pytest.raises(SolverError, match=said):
        solver.step(1)
