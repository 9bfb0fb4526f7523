"""ONNX's own backend tests, as far as the package `onnx` brings them: which models import, and why
the others do not.

    python -m tests.onnx.backend            # all; those that do not import, with the reasons
    python -m tests.onnx.backend --write    # also writes the table that is compared with

The suite runs the models that lie in the package. Those of single nodes, which the package makes
anew each time, take half a minute: here they are compared with the table too.

The tests of single nodes give weights as inputs of the model. So a model is read as it is, and if
that is refused, with all of its inputs but the first as constants of the test's values.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import ModelProto, TensorProto, load_model, load_tensor, numpy_helper
from onnx.backend.test import loader
from onnx.backend.test.case import node as nodes

import caffelite
from caffelite import Net
from caffelite.errors import CaffeliteError
from caffelite.onnx.importing import import_model, verify_import
from caffelite.onnx.verify import relative_error

TABLE = Path(__file__).with_name("backend.json")
SHIPPED = ("simple", "pytorch-operator", "pytorch-converted")
KINDS = (*SHIPPED, "node")
TOLERANCE = 1e-3
"""That of ONNX's tests."""


@dataclass
class Case:
    kind: str
    name: str
    model: ModelProto
    inputs: list[Any]
    outputs: list[Any]


def cases(kinds: tuple[str, ...] = KINDS) -> Iterator[Case]:
    """All models, with the values of their first test."""
    for kind in kinds:
        if kind == "node":
            with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = nodes.collect_testcases(None)
            for case in found:
                if case.model is not None and case.data_sets:
                    yield Case(kind, case.name, case.model, *case.data_sets[0][:2])
            continue
        for case in loader.load_model_tests(kind=kind):
            folder = Path(case.model_dir)
            values = []
            for what in ("input", "output"):
                paths = sorted((folder / "test_data_set_0").glob(f"{what}_*.pb"))
                values.append([_tensor(path) for path in paths])
            yield Case(kind, case.name, load_model(str(folder / "model.onnx")), *values)


def _tensor(path: Path) -> Any:
    try:
        return numpy_helper.to_array(load_tensor(str(path)))
    except Exception:  # a sequence or an optional
        return None


def frozen(case: Case) -> ModelProto:
    """The model with all inputs but the first as constants."""
    model = ModelProto()
    model.CopyFrom(case.model)
    fed = [x for x in model.graph.input if x.name not in {t.name for t in model.graph.initializer}]
    for info, value in list(zip(fed, case.inputs))[1:]:
        if isinstance(value, TensorProto):
            value = numpy_helper.to_array(value)
        if not isinstance(value, np.ndarray):
            return case.model
        model.graph.input.remove(info)
        model.graph.initializer.append(numpy_helper.from_array(value, info.name))
    return model


def outcome(case: Case) -> tuple[str, str]:
    """ "verified", "refused" or "wrong", or "runtime" (ONNX Runtime itself gives
    other values than the test expects), and why."""
    try:
        return _tried(case, case.model)
    except CaffeliteError as error:
        first = error
    try:
        return _tried(case, frozen(case))
    except CaffeliteError as error:
        return "refused", "; ".join(p.message for p in (error or first).problems)


def _tried(case: Case, model: ModelProto) -> tuple[str, str]:
    known = {t.name for t in model.graph.initializer}
    fed = [x.name for x in model.graph.input if x.name not in known]
    values = {n: v for n, v in zip(fed, case.inputs) if isinstance(v, np.ndarray)}
    imported = import_model(model, {n: v.shape for n, v in values.items() if v.shape})
    net = imported.fill(Net(imported.net, caffelite.TEST, seed=0))
    report = verify_import(imported, net, given=values)
    if report.first_wrong is not None:
        return "wrong", f"{report.first_wrong}"
    for info, expected in zip(model.graph.output, case.outputs):
        if isinstance(expected, np.ndarray) and info.name in imported.blobs:
            found = net.blobs[imported.blobs[info.name]].data
            if relative_error(found, np.asarray(expected, np.float32)) > TOLERANCE:
                return "runtime", f"{info.name}: ONNX Runtime too does not give what is expected"
    return "verified", ""


def versions() -> dict[str, str]:
    """What the counts depend on."""
    return {"onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__}


def counted(kinds: tuple[str, ...] = KINDS, said: bool = False) -> dict[str, dict[str, int]]:
    """For each kind of test how many there are of each outcome."""
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in kinds}
    for case in cases(kinds):
        what, why = outcome(case)
        counts[case.kind][what] += 1
        if said and what != "verified":
            print(f"{case.kind} {case.name}: {what}: {why}"[:300], flush=True)
    return {kind: dict(sorted(count.items())) for kind, count in counts.items()}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    table = {**versions(), **counted(said=True)}
    print(json.dumps(table, indent=1))
    if "--write" in sys.argv:
        TABLE.write_text(json.dumps(table, indent=1) + "\n")
    sys.exit(table != json.loads(TABLE.read_text()))
