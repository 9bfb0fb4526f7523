"""Every registered layer, every one of its cases, in both types: the contract."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from caffelite import Net
from caffelite.errors import Source
from caffelite.layers import registry
from caffelite.layers.cases import Case
from caffelite.schema.bind import bind
from caffelite.schema.common import Phase
from caffelite.schema.message import Message
from caffelite.schema.net import LayerParameter, NetParameter
from caffelite.text import parse

from .contract import PROMISES, Subject, another_batch_size_and_back, judge, same

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
        *(Subject(case) for case in cls.cases),
        *(Subject(case, folder=str(DATA)) for case in FILE_CASES.get(name, [])),
    ]
    for name, cls in sorted(registry.items())
}
ALL = [
    pytest.param(subject, id=f"{name}-{i}")
    for name, subjects in SUBJECTS.items()
    for i, subject in enumerate(subjects)
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("subject", ALL)
def test_the_layer_keeps_its_promises(subject: Subject, dtype: type) -> None:
    broken, excused = judge(replace(subject, dtype=dtype))
    for name, reason in excused.items():
        print(f"{name}: {reason}")  # `pytest -rP` shows what was not held against whom
    assert not broken, "\n".join(f"{name}: {what}" for name, what in broken.items())


@pytest.mark.parametrize("subject", ALL)
def test_a_net_runs_the_layer_alike(subject: Subject) -> None:
    """What the layer gives by itself, it gives in a net: tops, gradients, from the same seed."""
    bench = subject.bench()
    if bench.layer.source:
        bench.make_tops(fill=0)
    bench.run()
    text = Source("<case>", subject.case.net_text())
    param = bind(parse(text), NetParameter)
    param.layer[-1].top = list(bench.layer.spec.top)
    seed, folder = bench.streams.seed, subject.folder
    net = Net(param, subject.case.phase, dtype=np.float64, seed=seed, folder=folder)
    for name, value in zip(subject.case.inputs, bench.bottom):
        net.blobs[name].data[...] = value
    layer = net.layers[-1]
    for blob, start in zip(layer.params, bench.start_params):
        blob.data[...] = start
    net.forward()
    expected = bench.results()
    found = {f"top {i}": net.blobs[n].data for i, n in enumerate(layer.spec.top)}
    found |= {f"parameter {i}": p.data for i, p in enumerate(layer.params)}
    if bench.has_backward:
        net.backward(**dict(zip(layer.spec.top, bench.top_diff)))
        bottoms = list(enumerate(subject.case.inputs))
        found |= {f"gradient of bottom {i}": net.blobs[n].diff for i, n in bottoms}
        found |= {f"gradient of parameter {i}": p.diff for i, p in enumerate(layer.params)}
    same(found, expected, 1e-12, "in a net")


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
    files_only = cls.source or cls.tops[1] == 0
    return files_only and path.is_file() and f'"{name}"' in path.read_text(encoding="utf-8")


def reference_types() -> set[str]:
    """The layer types that the reference vectors cover."""
    texts = [p.read_text() for p in (TESTS / "reference" / "layers").glob("*.prototxt")]
    return set(re.findall(r'\btype: *"(\w+)"', "".join(texts))) - {"Input"}


@pytest.mark.parametrize("name", SUBJECTS)
def test_gradients_are_checked_where_there_are_any(name: str) -> None:
    """Each bottom and parameter with a gradient has a case that does not excuse itself."""
    exists: set[str] = set()
    checked: set[str] = set()
    for subject in SUBJECTS[name]:
        bench = subject.bench()
        names = {f"bottom {i}" for i in bench.differentiable}
        names |= {f"parameter {i}" for i in bench.learned}
        exists |= names
        if subject.case.gradient:
            checked |= names
    assert exists == checked, f"{name}: no gradient check for {sorted(exists - checked)}"


@pytest.mark.parametrize("name", [n for n, cls in registry.items() if cls.bottoms[1] != 0])
def test_some_case_is_run_at_two_batch_sizes(name: str) -> None:
    excuses = [another_batch_size_and_back(subject) for subject in SUBJECTS[name]]
    assert not excuses or None in excuses, excuses


def test_every_promise_is_held_against_some_layer() -> None:
    """A promise that says nothing about any layer would be an empty one."""
    firsts = [judge(subjects[0]).excused for subjects in SUBJECTS.values() if subjects]
    assert not {p.__name__ for p in PROMISES if all(p.__name__ in excused for excused in firsts)}


@pytest.mark.parametrize("name", sorted(registry))
def test_the_layer_is_documented(name: str) -> None:
    cls = registry[name]
    assert (cls.__dict__.get("__doc__") or "").strip(), f"{name} has no docstring"
    for field, message in cls.messages().items():
        assert not list(undocumented(message, set())), f"{field} of {name}"


def undocumented(message: type[Message], seen: set[type[Message]]) -> list[str]:
    """The fields without doc text, in the message and in those it holds."""
    if message in seen:
        return []
    seen.add(message)
    found = [f"{message.__name__}.{s.name}" for s in message.specs.values() if not s.doc.strip()]
    assert (message.__dict__.get("__doc__") or "").strip(), f"{message.__name__} has no docstring"
    for spec in message.specs.values():
        if spec.message_type is not None:
            found += undocumented(spec.message_type, seen)
    return found
