"""Which engine runs a net, and what is said where it cannot."""

from __future__ import annotations

import pytest

import caffelite
from caffelite import TEST, CaffeliteError, Net, engines, mode
from caffelite.engines.base import Engine
from caffelite.files import parse_net
from caffelite.run.executor import MakeSession
from caffelite.run.session import Session

SMALL = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
layer { name: "a" type: "InnerProduct" bottom: "x" top: "y" inner_product_param { num_output: 4 } }
"""
LARGE = SMALL.replace("dim: 3", "dim: 4000").replace("num_output: 4", "num_output: 100")


def net(text: str = SMALL, **more: str) -> Net:
    return Net(parse_net(text), TEST, **more)  # type: ignore[arg-type]


def started(device: str) -> MakeSession:
    if device == "cuda:7":
        raise RuntimeError("no such device")
    return Session


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> dict[str, str | None]:
    """An engine `fast` beside NumPy; what it lacks may be set."""
    lacks: dict[str, str | None] = {"why": None}
    made = Engine("fast", "for tests", lambda: lacks["why"], 500_000, started)
    found = {"numpy": engines.engines()["numpy"], "fast": made}
    monkeypatch.setattr(engines, "engines", lambda: found)
    return lacks


def test_a_small_net_stays_on_numpy(fast: dict[str, str | None]) -> None:
    assert str(net().engine) == "engine numpy (a small net)"


def test_a_large_net_gets_the_fast_engine_if_it_is_there(fast: dict[str, str | None]) -> None:
    assert str(net(LARGE).engine) == "engine fast (800 k multiply-adds a pass)"
    fast["why"] = "not installed"
    assert str(net(LARGE).engine) == "engine numpy (no faster engine is installed)"


@pytest.mark.parametrize("how", ["argument", "set_engine", "environment"])
def test_an_engine_may_be_asked_for(
    how: str, fast: dict[str, str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    if how == "set_engine":
        caffelite.set_engine("fast")
    if how == "environment":
        monkeypatch.setenv("CAFFELITE_ENGINE", "fast")
    made = net(engine="fast") if how == "argument" else net()
    assert str(made.engine) == "engine fast (as asked for)"


def test_what_is_missing_is_said_once(
    fast: dict[str, str | None], caplog: pytest.LogCaptureFixture
) -> None:
    fast["why"] = "it is not installed"
    for _ in range(2):
        assert net(engine="fast").engine.engine == "numpy"
    assert caplog.messages == ["engine fast: it is not installed; numpy runs instead"]


def test_a_device_that_there_is_not(
    fast: dict[str, str | None], caplog: pytest.LogCaptureFixture
) -> None:
    mode.set_device(7)
    mode.set_mode_gpu()
    assert str(net().engine) == "engine fast (for cuda:7)"
    assert caplog.messages == ["device cuda:7: no such device; the CPU is used"]
    mode.set_mode_cpu()
    assert net().engine.engine == "numpy"


def test_an_unknown_engine_is_refused(fast: dict[str, str | None]) -> None:
    with pytest.raises(CaffeliteError, match='no engine "fats"') as caught:
        net(engine="fats")
    assert 'did you mean "fast"?' in str(caught.value)
    with pytest.raises(CaffeliteError, match="one of auto, numpy, fast"):
        caffelite.set_engine("gpu")


def test_engines_are_found_by_their_folders() -> None:
    assert list(engines.engines()) == ["numpy", "onnxruntime", "torch"]
