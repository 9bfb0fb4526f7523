"""Which processors get other kernels of OpenBLAS, and when it is too late."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from caffelite import processor

FLAGS = "fpu sse2 avx2 avx512f avx512dq avx512cd avx512bw avx512vl"
AMD = f"processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 26\nflags\t\t: {FLAGS}\n"


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A process that has not loaded NumPy, and what it reads of the processor."""
    path = tmp_path / "cpuinfo"
    path.write_text(AMD)
    monkeypatch.setattr(processor, "CPUINFO", str(path))
    monkeypatch.delitem(sys.modules, "numpy")
    monkeypatch.setenv(processor.VARIABLE, "")
    return path


def test_amd_with_avx512_gets_the_kernels(fresh: Path) -> None:
    processor.choose_kernels()
    assert os.environ[processor.VARIABLE] == "SkylakeX"


@pytest.mark.parametrize(
    "text",
    [
        AMD.replace("AuthenticAMD", "GenuineIntel"),
        AMD.replace(" avx512vl", ""),
        AMD.replace("vendor_id", "model name"),
        "",
    ],
)
def test_others_do_not(fresh: Path, text: str) -> None:
    fresh.write_text(text)
    processor.choose_kernels()
    assert not os.environ[processor.VARIABLE]


def test_the_first_core_counts(fresh: Path) -> None:
    fresh.write_text(AMD + AMD.replace("AuthenticAMD", "GenuineIntel"))
    processor.choose_kernels()
    assert os.environ[processor.VARIABLE]


def test_what_was_said_stands(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(processor.VARIABLE, "Haswell")
    processor.choose_kernels()
    assert os.environ[processor.VARIABLE] == "Haswell"


def test_no_such_file(fresh: Path) -> None:
    fresh.unlink()
    processor.choose_kernels()
    assert not os.environ[processor.VARIABLE]


def test_where_numpy_is_loaded_nothing_is_said() -> None:
    code = "import os, numpy, caffelite; print(os.environ.get('OPENBLAS_CORETYPE'))"
    environment = {k: v for k, v in os.environ.items() if k != processor.VARIABLE}
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    assert found.stdout.split() == [b"None"], found.stderr
