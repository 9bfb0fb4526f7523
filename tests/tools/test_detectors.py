"""tools/opencv and tools/pycaffe: from an image file to boxes, with nets of others.

The boxes were worked out with OpenCV 4.14, which ran the same programs. face.png is a part of the
portrait of the astronaut Eileen Collins (NASA, public domain).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
REAL = Path(os.environ.get("CAFFELITE_SHARED", ROOT.parent / "shared")) / "real"
BOXES = {
    "mtcnn": ("face.png", [31.6, 24.6, 55.6, 74.3], 0.9946),
    "ultralight": ("face.png", [33.6, 38.5, 56.2, 64.9], 1.0),
    "wechat": ("qr.png", [104, 74, 119, 120], 1.0),
}
SCRIPTS = [*(ROOT / "tools" / "opencv").glob("*.py"), ROOT / "tools" / "pycaffe" / "detect.py"]


def test_the_scripts_are_short() -> None:
    lines = {path.stem: len(path.read_text().splitlines()) for path in SCRIPTS}
    assert set(BOXES) < set(lines) and max(lines.values()) <= 60, lines


@pytest.mark.skipif(
    not REAL.is_dir(), reason="no nets with published weights beside the repository"
)
@pytest.mark.parametrize("face", ["opencv", "pycaffe"])
@pytest.mark.parametrize("kind", BOXES)
def test_boxes_are_opencvs_within_a_pixel(kind: str, face: str) -> None:
    pytest.importorskip("PIL.Image", reason="needs Pillow")
    image, box, score = BOXES[kind]
    tools, picture = ROOT / "tools" / face, ROOT / "tests" / "dnn" / image
    if face == "opencv":
        command = [str(tools / f"{kind}.py"), str(REAL), str(picture)]
    else:
        script = str(tools / "detect.py")
        command = ["-m", "caffelite", "run", script, kind, str(REAL), str(picture)]
    done = subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT), "CAFFELITE_ENGINE": "numpy"},
    )
    assert done.returncode == 0, done.stderr
    (found,) = [[float(n) for n in line.split()] for line in done.stdout.splitlines()]
    assert np.abs(np.array(found[:4]) - box).max() <= 1
    assert abs(found[4] - score) < 1e-3
