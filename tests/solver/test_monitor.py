"""The lines that scripts of Caffe's users look for, letter by letter."""

from __future__ import annotations

import io

import numpy as np

from caffelite.solver.monitor import LineMonitor, Output

OUTPUTS = [
    Output("accuracy", np.array([0.25, 0.5], np.float32)),
    Output("loss", np.array(1.5, np.float32), 2.0),
]


def test_the_lines_are_caffes() -> None:
    lines: list[str] = []
    monitor = LineMonitor(lines.append)
    monitor.on_display(20, 0.693147, 0.01, OUTPUTS)
    monitor.on_test(20, 1, 0.75, OUTPUTS)
    monitor.on_test(40, 0, None, [])
    monitor.on_snapshot("a.caffemodel", "a.solverstate")
    monitor.on_note("a note")
    assert lines == [
        "Iteration 20, loss = 0.693147, lr = 0.01",
        "    Train net output #0: accuracy = 0.25",
        "    Train net output #1: accuracy = 0.5",
        "    Train net output #2: loss = 1.5 (* 2 = 3 loss)",
        "Iteration 20, Testing net (#1)",
        "    Test loss: 0.75",
        "    Test net output #0: accuracy = 0.25",
        "    Test net output #1: accuracy = 0.5",
        "    Test net output #2: loss = 1.5 (* 2 = 3 loss)",
        "Iteration 40, Testing net (#0)",
        "Snapshot: a.caffemodel, a.solverstate",
        "a note",
    ]


def test_lines_go_to_the_file_and_a_closed_one_ends_nothing() -> None:
    file = io.StringIO()
    monitor = LineMonitor(file=file)
    monitor.on_note("a note")
    assert file.getvalue() == "a note\n"
    file.close()
    monitor.on_note("lost")
