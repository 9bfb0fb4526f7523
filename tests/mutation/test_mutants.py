"""The mutants are small mistakes in what the code does. The long run: python -m tests.mutation"""

from __future__ import annotations

import ast
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from caffelite.kernels import parallel

from .__main__ import ROOMS, key, reasons, report, sample
from .calls import Calls, Recorder
from .mutants import Mutant, mutants_of
from .trials import ROOT, Result, Workshop

CODE = '''"""One + two."""

cases = (1, 2)
cases: ClassVar[Any] = (3, 4)
if TYPE_CHECKING:
    x = 5

def grow(x: "1 + 1", most: int = 7) -> int:
    """x + 1."""
    if not x or x < 3:
        raise ValueError(f"{x + 1} is too small")
    self.fail("3 < 4", 5)
    zip(x, strict=True)
    self.put(x)
    x += 2.5
    return min(x, most) // most
'''


def test_mistakes_are_made_in_what_the_code_does_alone(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text(CODE)
    mutants = mutants_of(tmp_path, "code.py")
    assert [(m.line, m.change) for m in mutants] == [
        (8, "7 -> (8)"),
        (10, "not x or x < 3 -> True"),
        (10, "not x or x < 3 -> False"),
        (10, "not x or x < 3 -> (not x and x < 3)"),
        (10, "not x -> (x)"),
        (10, "x < 3 -> (x <= 3)"),
        (10, "3 -> (4)"),
        (12, 'self.fail("3 < 4", 5) -> pass'),
        (13, "zip(x, strict=True) -> pass"),
        (14, "self.put(x) -> pass"),
        (15, "x += 2.5 -> x -= 2.5"),
        (15, "2.5 -> (3.5)"),
        (16, "return min(x, most) // most -> return None"),
        (16, "min(x, most) // most -> (min(x, most) * most)"),
        (16, "min -> max"),
    ]
    assert {m.where for m in mutants} == {"grow"}


TUNED = """from caffelite.kernels.tuned import Tuned
ENOUGH: Tuned = 1 << 9
MOST = 1 << 3
def part(x):
    if 2 * x.size > ENOUGH // 4:
        return MOST
    large = x.size > ENOUGH or x.size > MOST
    return cut(x, ENOUGH // 5, large)
"""


def test_numbers_that_are_tuned_for_speed_are_left_alone_and_comparisons_with_them(
    tmp_path: Path,
) -> None:
    (tmp_path / "tuned.py").write_text(TUNED)
    assert [(m.line, m.change) for m in mutants_of(tmp_path, "tuned.py")] == [
        (3, "1 -> (2)"),
        (3, "3 -> (4)"),
        (6, "return MOST -> return None"),
        (7, "x.size > ENOUGH or x.size > MOST -> (x.size > ENOUGH and x.size > MOST)"),
        (7, "x.size > MOST -> (x.size >= MOST)"),
        (8, "return cut(x, ENOUGH // 5, large) -> return None"),
        (8, "ENOUGH // 5 -> (ENOUGH * 5)"),
        (8, "5 -> (6)"),
    ]


def test_what_cannot_be_told_from_the_mistake_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "same.py").write_text("def f(x):\n    y = x.reshape(-1, 2)\n    return False\n")
    assert [m.change for m in mutants_of(tmp_path, "same.py")] == [
        "-1 -> (1)",
        "2 -> (3)",
        "False -> True",
    ]


@pytest.mark.parametrize("room", ROOMS)
def test_every_mutant_is_a_program_of_its_own(room: str) -> None:
    for mutant in sample([room], seed=0, count=20, part="base" if room == "layers" else "s.py"):
        source = (ROOT / mutant.path).read_bytes()
        assert ast.dump(ast.parse(mutant.applied(source))) != ast.dump(ast.parse(source)), mutant


def test_a_seed_draws_the_same_mutants() -> None:
    plan = sample(["plan"], 1, 3, "sharing")
    assert plan == sample(["plan"], 1, 3, "sharing") != sample(["plan"], 2, 3, "sharing")


def test_reasons_are_of_mutants_that_there_are() -> None:
    paths = {path for path, _, _ in reasons()}
    known = {key(mutant) for path in paths for mutant in mutants_of(ROOT, path)}
    assert not reasons().keys() - known, "its code has changed: is the reason still one?"
    assert all(reasons().values())


def test_a_mistake_is_caught_and_the_file_is_as_before(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    mutants = mutants_of(ROOT, "caffelite/run/turns.py")
    mutant = next(m for m in mutants if m.after == "return None")
    before = (workshop.root / mutant.path).read_bytes()
    workshop.tests_of = lambda _: [["tests/run/test_turns.py"]]  # type: ignore[method-assign]
    result = workshop.try_out(mutant, wide=False)
    assert result.caught and "tests/run/test_turns.py" in result.by
    assert (workshop.root / mutant.path).read_bytes() == before


def test_less_than_nine_in_ten_are_too_few(capsys: pytest.CaptureFixture[str]) -> None:
    mutant = Mutant("caffelite/plan/graph.py", 7, "f", 0, 1, "a", "b")
    caught, missed = Result(mutant, True, "a test"), Result(mutant, False)
    assert report([caught] * 9 + [missed], 0) == 0
    assert report([caught] * 8 + [missed], 0) == 1
    assert "caffelite/plan/graph.py:7: f: a -> b" in capsys.readouterr().out


def test_the_tests_that_call_a_function_are_found(tmp_path: Path) -> None:
    def called(path: str, where: str) -> str:
        return f"caffelite/{path}.py: {where}"

    file = tmp_path / "calls.json"
    record = {
        "tests/test_a.py::slow": (3.0, [called("net", "Net.forward"), called("net", "Net.f.part")]),
        "tests/test_a.py::quick": (0.5, [called("net", "Net.forward")]),
        "tests/test_a.py::other": (0.1, [called("blob", "Blob.f")]),
    }
    file.write_text(json.dumps(record))
    calls = Calls(file)
    found = calls.tests_of("caffelite/net.py", "Net.forward")
    assert found == ["tests/test_a.py::quick", "tests/test_a.py::slow"]
    assert calls.within(found, 1) == calls.within(found, 0.1) == ["tests/test_a.py::quick"]
    assert calls.within(found, 3.5) == found
    assert not calls.tests_of("caffelite/net.py", "Net.other")
    assert not Calls(tmp_path / "none").tests


def test_functions_are_recorded_by_the_names_of_mutants() -> None:
    recorder = Recorder()
    item = SimpleNamespace(nodeid="a test")
    protocol = recorder.pytest_runtest_protocol(item)  # type: ignore[arg-type]
    next(protocol)
    parallel.slices(7, 3)
    list(protocol)
    _, names = recorder.found["a test"]
    assert names == ["caffelite/kernels/parallel.py: slices"]
    mutants = mutants_of(ROOT, "caffelite/kernels/parallel.py")
    assert any(f"{m.path}: {m.where}" in names for m in mutants)
