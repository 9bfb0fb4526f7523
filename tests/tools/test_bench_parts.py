"""The parts of tools/bench.py that compute or choose: exponents, ratios, contenders, tables."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest

from tools.benchmark import contenders, growth, memory, processes, report, rounds


@pytest.mark.parametrize("power", [0.0, 1.0, 1.5])
def test_the_exponent_of_a_power_is_found(power: float) -> None:
    sizes = [1.0, 10.0, 1000.0]
    assert growth.exponent(sizes, [3 * n**power for n in sizes]) == pytest.approx(power)


def test_one_size_has_no_exponent() -> None:
    assert math.isnan(growth.exponent([5.0], [1.0]))


def test_what_small_sizes_cost_does_not_hide_the_growth_of_large_ones() -> None:
    sizes = [1, 10, 1000, 10_000, 100_000]
    line = growth.curve("x", "numpy", sizes, [1.0, 1.0, 10.0, 100.0, 1000.0])
    assert line["exponent"] == pytest.approx(1.0)


def test_ratios_are_of_neighbours() -> None:
    found = rounds.compare([1.0, 20.0, 3.0], [2.0, 10.0, 3.0])
    assert found["median"] == 1.0
    assert found["range"] == [0.5, 2.0]
    assert found["of_medians"] == 1.0
    assert found["of_minima"] == 0.5


def test_contenders_are_named_with_their_threads() -> None:
    found = contenders.entries(["numpy", "numpy@1", "pytorch"], 2, False)
    assert [(e.title, e.threads) for e in found] == [
        ("caffelite numpy", 2),
        ("caffelite numpy, 1 thread", 1),
        ("PyTorch", 2),
    ]


def test_each_figure_of_a_unit_is_readable() -> None:
    assert report.duration(33.21) == "33.2 us"
    assert report.duration(18_000) == "18 ms"
    assert report.duration(2_500_000) == "2.5 s"


def test_memory_beyond_what_may_be_is_said() -> None:
    facts = {"parameters_mb": 10.0, "pair_mb": 4.0}
    within = memory.judge(facts, {"build_mb": 12.0, "forward_mb": 15.9})
    beyond = memory.judge(facts, {"build_mb": 16.1, "forward_mb": 12.0})
    assert (within["allowed_mb"], within["within"], beyond["within"]) == (16.0, True, False)


def test_who_computes_something_else_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    class Fake:
        entry = contenders.entries(["numpy"], 1, False)[0]
        hello = {"version": "1", "versions": {}, "import_mb": 1.0, "difference": 0.5}
        seconds, cpu, steps = [1.0], [1.0], 1
        settle = turn = close = staticmethod(lambda *_: None)
        end = staticmethod(lambda: 2.0)

    monkeypatch.setattr(rounds, "line_up", lambda *_: ([Fake()], []))
    rounding = 0.001
    monkeypatch.setattr(rounds, "ask", lambda *_: [{"rounding": rounding}])
    found = rounds.measure("", "train", "wall", [], repeat=1)
    assert "caffelite numpy does not compute the same" in found["notes"][0]
    rounding = 0.2  # a net in which rounding alone does as much
    found = rounds.measure("", "train", "wall", [], repeat=1)
    assert "differs by 0.5; the NumPy engine in float32 differs" in found["notes"][0]


def test_the_busy_process_is_there_meanwhile_and_gone_after(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def start(*args: object, **options: object) -> object:
        started.append(popen([sys.executable, "-c", processes.BUSY]))
        return started[-1]

    monkeypatch.setattr(processes.subprocess, "Popen", start)
    with processes.busy_core(True):
        assert started[0].poll() is None
    assert started[0].poll() is not None
