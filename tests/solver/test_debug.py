"""`debug_info`: the lines that Caffe prints."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from caffelite.solver import Monitor, Solver, get_solver

from .made import LINE, Notes, spiral

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


def test_what_has_no_gradient_has_no_line(tmp_path: Path) -> None:
    monitor = Notes()
    solver = make(tmp_path, "debug_info: true random_seed: 1 display: 1", monitor)
    text = (tmp_path / "n.net").read_text()
    frozen = text.replace('name: "ip2"', 'param { lr_mult: 0 name: "shared" } name: "ip2"')
    (tmp_path / "n.net").write_text(frozen)
    monitor = Notes()
    solver = get_solver(str(tmp_path / "s.solver"), monitor)
    solver.step(1)
    lines = debug_lines(monitor.notes)
    back = [line.split(" diff")[0] for line in lines if "[Backward] Layer" in line]
    assert back == [
        "    [Backward] Layer loss, bottom blob score",
        "    [Backward] Layer ip2, bottom blob h",
        "    [Backward] Layer ip2, param blob 1",
        "    [Backward] Layer drop, bottom blob h",
        "    [Backward] Layer act, bottom blob h",
        "    [Backward] Layer ip1, param blob 0",
        "    [Backward] Layer ip1, param blob 1",
    ]
    assert any("Layer ip2, param blob shared data: " in line for line in lines)
    assert any("[Update] Layer ip2, param shared data: " in line for line in lines)
    data = solver.net.arena.data
    (total,) = (line for line in lines if "All net params" in line)
    found = [float(n) for n in re.findall(r"[-+.e\d]+(?=[,)])", total.split("L1 norm = ")[1])]
    diff = solver.net.arena.diff
    assert found[1::2] == pytest.approx([np.abs(diff).sum(), np.linalg.norm(diff)], rel=1e-4)
    assert found[0] > found[2] > 0 and np.isfinite(data).all()


def test_inputs_are_shown_first(tmp_path: Path) -> None:
    monitor = Notes()
    (tmp_path / "n.net").write_text(LINE)
    (tmp_path / "s.solver").write_text(TEXT + "debug_info: true display: 1")
    solver = get_solver(str(tmp_path / "s.solver"), monitor)
    solver.net.blobs["x"].data[...] = -3
    solver.step(1)
    lines = debug_lines(monitor.notes)
    assert lines[:2] == [
        "    [Forward] Input x data: 3",
        "    [Forward] Input t data: 0",
    ]
