"""The examples that come along: complete, right where they are copied, and in the built package."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from caffelite.cli import main
from caffelite.examples import examples, find_example
from caffelite.files import load_solver

ROOT = Path(__file__).parents[1]


def test_every_net_and_every_solver_is_an_example() -> None:
    known = examples()
    assert sorted(known) == sorted(path.stem for path in (ROOT / "nets").glob("*.net"))
    solvers = {path.name for example in known.values() for path in example.solvers}
    assert solvers == {path.name for path in (ROOT / "solvers").glob("*.solver")}
    for example in known.values():
        assert 10 < len(example.about) < 250, example
        assert not example.solvers or example.solvers[0].stem == example.name


def test_texts_name_the_files_of_their_own_folder() -> None:
    for example in examples().values():
        for name, text in example.files().items():
            assert "nets/" not in text and "solvers/" not in text, name


def test_what_is_copied_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["new", "spiral"]) == 0
    assert capsys.readouterr().out == (
        "wrote spiral.net\nwrote spiral.solver\nnext: caffelite train spiral.solver\n"
    )
    assert load_solver("spiral.solver").net == "spiral.net"
    assert main(["train", "spiral.solver"]) == 0
    assert Path("spiral_iter_3000.caffemodel").exists()


def test_into_a_folder_with_what_to_do_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["new", "lenet", "digits", "--all"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == f"wrote {Path('digits/lenet.net')}" and len(out) == 10
    assert out[-2:] == [
        "next: caffelite data mnist data/mnist",
        f"then: caffelite train {Path('digits/lenet.solver')}",
    ]
    assert main(["new", "googlenet", "g"]) == 0
    assert capsys.readouterr().out.endswith(f"next: caffelite summary {Path('g/googlenet.net')}\n")


def test_files_that_are_there_are_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("spiral.net").write_text("mine")
    assert main(["new", "spiral"]) == 1
    assert capsys.readouterr().err == ("spiral.net: exists already\n  --force replaces it\n")
    assert Path("spiral.net").read_text() == "mine" and not Path("spiral.solver").exists()
    assert main(["new", "spiral", "--force"]) == 0
    assert Path("spiral.net").read_text() != "mine"


def test_the_list_and_a_misspelt_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new"]) == 0
    out = capsys.readouterr().out
    assert "\nspiral              Three spiral arms, told apart by a small network\n" in out
    assert out.endswith("\n\n`caffelite new NAME` copies one here.\n")
    assert main(["new", "sprial"]) == 1
    assert capsys.readouterr().err.endswith('\n  did you mean "spiral"?\n')


def test_the_built_package_holds_them(tmp_path: Path) -> None:
    pytest.importorskip("setuptools", "77", reason="setuptools builds the package")
    setup = "from setuptools import setup; setup()"
    command = [sys.executable, "-c", setup, "-q", "build_py", "--build-lib", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    built = tmp_path / "caffelite"
    code = (
        "from caffelite.examples import examples, folder; import caffelite.examples as e;"
        "print(folder()); print(*examples())"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert found.stdout.splitlines() == [str(built / "example_files"), " ".join(examples())]
    assert len(find_example("spiral").solvers) == 1


def test_names_and_descriptions_stand_in_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["new"]) == 0
    lines = capsys.readouterr().out.splitlines()[:-2]
    starts = {len(line) - len(line[line.rfind("  ", 0, 24) + 2 :]) for line in lines}
    assert len(starts) == 1 and all(len(line) <= 80 for line in lines)
