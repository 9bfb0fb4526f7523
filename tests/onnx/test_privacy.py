"""ONNX Runtime reports nothing to anybody, and leaves nothing behind, unless its user says so."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("onnxruntime", reason="needs ONNX Runtime: pip install caffelite[onnx]")

RUN = """
import os
from caffelite.onnx.extra import require
require("onnxruntime").InferenceSession
print(os.environ["ORT_DISABLE_TELEMETRY"])
"""
ONES = ("ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS", "CI", "XDG_CACHE_HOME")


def run(home: Path, **more: str) -> str:
    rest = {name: value for name, value in os.environ.items() if name not in ONES}
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        env=rest | {"HOME": str(home), "USERPROFILE": str(home)} | more,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_nothing_is_reported_and_nothing_left_behind(tmp_path: Path) -> None:
    assert run(tmp_path) == "1"
    assert not list(tmp_path.rglob("*"))


def test_whoever_has_decided_is_heard(tmp_path: Path) -> None:
    assert run(tmp_path, ORT_DISABLE_TELEMETRY="0") == "0"
