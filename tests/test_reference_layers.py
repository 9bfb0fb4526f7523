"""caffelite against the original Caffe 1.0: `reference/layers`, see the README there."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import caffelite
from caffelite.layers import registry

FOLDER = Path(__file__).parent / "reference" / "layers"
CASES = sorted(path.stem for path in FOLDER.glob("*.npz"))

FORWARD, BACKWARD = 2e-5, 5e-5

EXPECTED_MISSING: set[str] = set()
"""Types of layers that the vectors have and caffelite has not."""


def types(case: str) -> set[str]:
    text = (FOLDER / f"{case}.prototxt").read_text(encoding="utf-8")
    return set(re.findall(r'layer \{ name: "\w+" type: "(\w+)"', text))


MISSING = {name for case in CASES for name in types(case)} - registry.keys()


def test_the_missing_types_are_known() -> None:
    assert MISSING == EXPECTED_MISSING


def test_no_case_is_lost() -> None:
    assert len(CASES) == 105
    assert all(len(types(case)) >= 2 or case == "parameter" for case in CASES)


def differs(found: np.ndarray, expected: np.ndarray, tolerance: float) -> str | None:
    if found.shape != expected.shape:
        return f"has the shape {found.shape}, expected {expected.shape}"
    if not np.isfinite(found).all():
        return "is not finite"
    error = np.abs(found.astype(np.float64) - expected).max(initial=0)
    limit = tolerance * max(1.0, float(np.abs(expected).max(initial=0)))
    return None if error <= limit else f"is off by {error:.3g} (limit {limit:.2g})"


@pytest.mark.parametrize("case", [c for c in CASES if not types(c) & MISSING])
def test_the_layer_does_what_caffe_does(case: str) -> None:
    path = FOLDER / f"{case}.prototxt"
    first_line = path.read_text(encoding="utf-8").splitlines()[0]
    phase = caffelite.TEST if "phase: TEST" in first_line else caffelite.TRAIN
    net = caffelite.Net(str(path), phase)
    with np.load(FOLDER / f"{case}.npz") as archive:
        values = {tuple(key.split("/")): archive[key] for key in archive.files}
    for (kind, name, *index), value in values.items():
        if kind == "in":
            net.blobs[name].data[...] = value
        elif kind == "param":
            net.params[name][int(index[0])].data[...] = value
    net.forward()
    found: dict[tuple[str, ...], tuple[np.ndarray, float]] = {}
    for key in values:
        kind, name, *index = key
        if kind == "out":
            found[key] = net.blobs[name].data.copy(), FORWARD
        elif kind == "paramafter":
            found[key] = net.params[name][int(index[0])].data.copy(), FORWARD
    net.clear_param_diffs()
    for (kind, name, *_), value in values.items():
        if kind == "topdiff":
            net.blobs[name].diff[...] = value
    if any(kind in ("diff", "paramdiff") for kind, *_ in values):
        net.backward()
    for key in values:
        kind, name, *index = key
        if kind == "diff":
            found[key] = net.blobs[name].diff, BACKWARD
        elif kind == "paramdiff":
            found[key] = net.params[name][int(index[0])].diff, BACKWARD
    assert found, "the case compares nothing"
    wrong = {"/".join(k): differs(a, values[k], tol) for k, (a, tol) in found.items()}
    assert not {key: what for key, what in wrong.items() if what}
