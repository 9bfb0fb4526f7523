"""`debug_info`: the lines that Caffe prints."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from caffelite.solver import Monitor, Solver, get_solver

from .made import Notes, spiral

TEXT = 'net: "n.net" base_lr: 0.1 lr_policy: "fixed" max_iter: 3 snapshot_after_train: false '


def make(folder: Path, text: str, monitor: Monitor, net: str = "") -> Solver:
    (folder / "n.net").write_text(net + spiral())
    (folder / "s.solver").write_text(TEXT + text)
    return get_solver(str(folder / "s.solver"), monitor)


def debug_lines(notes: list[str]) -> list[str]:
    return [n for n in notes if n.startswith("    [")]


def test_debug_info_prints_what_caffe_prints(tmp_path: Path) -> None:
    monitor = Notes()
    solver = make(tmp_path, "debug_info: true random_seed: 1 display: 2", monitor)
    before = {n: [b.data.copy() for b in blobs] for n, blobs in solver.net.params.items()}
    solver.step(1)
    lines = debug_lines(monitor.notes)
    first = next(iter(solver.net.layer_dict))
    top = solver.net.top_names[first][0]
    size = float(np.abs(solver.net.blobs[top].data).mean())
    assert lines[0] == f"    [Forward] Layer {first}, top blob {top} data: {size:g}"
    assert any(line.startswith("    [Backward] Layer ") and " diff: " in line for line in lines)
    assert any(line.startswith("    [Backward] All net params (data, diff): L1 ") for line in lines)
    change = float(np.abs(solver.net.params["ip1"][0].data - before["ip1"][0]).mean())
    size = float(np.abs(before["ip1"][0]).mean())
    assert f"    [Update] Layer ip1, param 0 data: {size:g}; diff: {change:g}" in lines
    assert sum("[Update]" in line for line in lines) == 4
    solver.step(1)  # not displayed
    assert debug_lines(monitor.notes) == lines
    solver.step(1)
    assert len(debug_lines(monitor.notes)) == 2 * len(lines)


def test_the_nets_own_debug_info_does_the_same(tmp_path: Path) -> None:
    monitor = Notes()
    solver = make(tmp_path, "display: 1", monitor, "debug_info: true")
    solver.step(1)
    assert any("[Update]" in line for line in debug_lines(monitor.notes))


def test_debug_info_without_display_says_so(tmp_path: Path) -> None:
    monitor = Notes()
    make(tmp_path, "debug_info: true", monitor)
    assert monitor.notes == ["debug_info prints with the displayed losses, and display is 0"]
