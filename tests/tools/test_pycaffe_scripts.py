"""The scripts in tools/pycaffe do what they say."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

from caffelite.pycaffe import hook
from caffelite.streams import set_random_seed

FOLDER = Path(__file__).parents[2] / "tools" / "pycaffe"
PRINTS = {
    "classify": r"grass: green .*\nrose: red .*\nsea: blue ",
    "deepdream": r"48 x 60: the answer grows from",
    "features": "300 rows of 100 features",
    "filters": "maps.png are written",
    "fine_tune": r"from scratch (\S+), fine-tuned (\S+)",
    "fold_batch_norm": "4 layers became 2, with the same outputs",
    "lenet": r"right at first (\S+), at the end (\S+)",
    "net_surgery": r"\(1, 10, 5, 5\)\neach is what the classifier says",
    "python_data": r"20 batches: (0\.9|1\.0)",
    "python_loss": "the gradients agree",
    "step_by_step": r"accuracy (0\.9|1\.0)",
}


ELSEWHERE = {"detect"}
"""Scripts that run nets of others, and are tested with those of OpenCV."""


def test_each_script_has_its_line_here() -> None:
    assert {path.stem for path in FOLDER.glob("*.py")} - ELSEWHERE == set(PRINTS)


@pytest.mark.parametrize("name", PRINTS)
def test_the_script_runs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if name == "classify":
        pytest.importorskip("PIL")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.setattr(sys, "argv", [name, str(tmp_path)])
    try:
        runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")
    finally:
        set_random_seed(-1)
        hook.uninstall()
        for module in ("python_data", "python_loss"):
            sys.modules.pop(module, None)
        plt.close("all")
    printed = capsys.readouterr().out
    found = re.search(PRINTS[name], printed)
    assert found, printed
    if name == "fine_tune":
        assert float(found[2]) < float(found[1])
    if name == "lenet":
        assert float(found[2]) > float(found[1])
    if name == "deepdream":
        for before, after in re.findall(r"from (\S+) to (\S+)", printed):
            assert float(after) > 2 * float(before)
