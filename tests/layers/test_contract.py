"""Every registered layer is held to the contract, with every one of its cases in both types."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from caffelite.errors import Source
from caffelite.layers import registry
from caffelite.schema.bind import bind
from caffelite.schema.common import Phase
from caffelite.schema.net import LayerParameter, NetParameter
from caffelite.testing import PROMISES, Case, Subject, contract_tests, hold
from caffelite.text import parse

TESTS = Path(__file__).parents[1]
DATA = TESTS / "reference" / "data"


def file_cases() -> dict[str, list[Case]]:
    """Cases of layers that read files, from the reference vectors: their first batch."""
    found: dict[str, list[Case]] = {}
    for path in sorted(DATA.glob("*.prototxt")):
        text = path.read_text(encoding="utf-8")
        layer = bind(parse(Source(path.name, text)), NetParameter).layer[0]
        with np.load(path.with_suffix(".npz")) as archive:
            outputs = {top: archive[f"batch/0/{top}"] for top in layer.top}
        name = layer.type
        text = str(LayerParameter(**{s.name: v for s, v in layer.set_fields() if s.number > 4}))
        case = Case(f'type: "{name}" {text}', outputs=outputs, phase=Phase.TEST)
        found.setdefault(name, []).append(case)
    return found


FILE_CASES = file_cases()
SUBJECTS: dict[str, list[Subject]] = {
    name: [
        *(Subject(cls, case, label=f"case {i}") for i, case in enumerate(cls.cases, 1)),
        *(Subject(cls, case, folder=str(DATA)) for case in FILE_CASES.get(name, [])),
    ]
    for name, cls in sorted(registry.items())
}

test_the_layer_keeps_its_promises = contract_tests(*filter(None, SUBJECTS.values()))


@pytest.mark.parametrize("name", SUBJECTS)
def test_the_layer_has_expected_values_from_elsewhere(name: str) -> None:
    worked_out = any(subject.case.outputs for subject in SUBJECTS[name])
    assert worked_out or name in reference_types() or has_own_test(name), (
        f"{name} has no expected values: give one of its cases `outputs` worked out by hand, or "
        "put reference vectors into tests/reference/layers"
    )


@pytest.mark.parametrize("name", SUBJECTS)
def test_the_layer_has_cases(name: str) -> None:
    assert SUBJECTS[name] or has_own_test(name), f"{name} has no cases"


def has_own_test(name: str) -> bool:
    """Has a layer that reads or writes files a test file of its own, which it names?"""
    cls = registry[name]
    path = TESTS.parent / getattr(cls, "tested_in", "")
    files_only = cls.source or cls.tops[1] == 0 or cls.type == "Python"  # or runs code
    return files_only and path.is_file() and f'"{name}"' in path.read_text(encoding="utf-8")


def reference_types() -> set[str]:
    """The layer types that the reference vectors cover."""
    texts = [p.read_text() for p in (TESTS / "reference" / "layers").glob("*.prototxt")]
    return set(re.findall(r'\btype: *"(\w+)"', "".join(texts))) - {"Input"}


def test_every_promise_applies_to_some_layer() -> None:
    """A promise that says nothing about any layer would be an empty one."""
    for check in PROMISES:
        for subjects in filter(None, SUBJECTS.values()):
            some = subjects if check.together else [replace(subjects[0], dtype=check.dtypes[0])]
            if hold(check, some).skipped is None:
                break
        else:
            pytest.fail(f"{check.name} applies to no layer")


@pytest.mark.parametrize("name", [n for n, cls in registry.items() if cls.bottoms[1] != 0])
def test_some_case_is_run_at_two_batch_sizes(name: str) -> None:
    check = next(p for p in PROMISES if p.name == "another_batch_size_and_back")
    if not SUBJECTS[name]:
        pytest.skip("has no cases: it writes files")
    if registry[name].one_image:
        pytest.skip("takes one image at a time")
    assert hold(check, SUBJECTS[name]).skipped is None
