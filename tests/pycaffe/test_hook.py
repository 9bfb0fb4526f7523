"""`import caffe` under the hook."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def python(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
    )


def test_caffe_is_one_module_and_comes_before_a_tree_on_the_path(tmp_path: Path) -> None:
    tree = tmp_path / "python" / "caffe"
    tree.mkdir(parents=True)
    (tree / "__init__.py").write_text("raise ImportError('_caffe.so is missing')")
    done = python(
        "import sys; sys.path.insert(0, 'python')\n"
        "from caffelite.pycaffe import hook; hook.install(); hook.install()\n"
        "import caffe, caffelite.pycaffe, caffe.functions, caffelite.pycaffe.functions as f\n"
        "assert caffe is caffelite.pycaffe and caffe.functions is f\n"
        "assert caffe.__spec__.name == 'caffelite.pycaffe'\n"
        "assert (caffe.TRAIN, caffe.TEST) == (0, 1)\n"
        "assert 'Convolution' in caffe.layer_type_list()\n"
        "try:\n    import caffe.nothing\nexcept ModuleNotFoundError as e: print(e)\n"
        "hook.uninstall()\n"
        "try:\n    import caffe\nexcept ImportError as e: print(e)\n",
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert "'caffe.nothing'" in first and second == "_caffe.so is missing"


def test_another_caffe_that_is_there_already_is_named(tmp_path: Path) -> None:
    (tmp_path / "caffe.py").write_text("")
    done = python(
        "import caffe\nfrom caffelite.pycaffe import hook\n"
        "try:\n    hook.install()\nexcept Exception as e: print(e)\n",
        tmp_path,
    )
    assert "another caffe" in done.stdout and "caffe.py" in done.stdout


def test_caffe_pb2_is_there_without_an_import_of_its_own(tmp_path: Path) -> None:
    done = python(
        "from caffelite.pycaffe import hook; hook.install()\n"
        "import caffe\n"
        "print(caffe.proto.caffe_pb2.Datum(label=3).label)\n"
        "try:\n    caffe.proto.other\nexcept AttributeError as e: print(e)\n",
        tmp_path,
    )
    assert done.stdout.splitlines() == ["3", "module 'caffe.proto' has no attribute 'other'"]
