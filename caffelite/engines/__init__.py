"""Engines, and which of them runs a net.

An engine is a folder here. It may be asked for by name: `Net(..., engine="torch")`,
`caffelite.set_engine("torch")`, `--engine torch`, CAFFELITE_ENGINE=torch. `auto`, the default,
takes the fastest one that is installed if the net is large enough to pay for starting it. What
cannot be used is said in one line, and NumPy runs.
"""

from __future__ import annotations

import importlib
import logging
import os
import pkgutil
from dataclasses import dataclass
from functools import cache

from caffelite import mode
from caffelite.engines.base import Engine
from caffelite.errors import CaffeliteError, Problem, did_you_mean
from caffelite.plan.build import Plan
from caffelite.run.executor import MakeSession

log = logging.getLogger("caffelite")

AUTO, NUMPY, VARIABLE = "auto", "numpy", "CAFFELITE_ENGINE"
_said: set[str] = set()


@dataclass(frozen=True)
class Choice:
    """The engine that runs a net, and why."""

    engine: str
    device: str
    reason: str
    make_session: MakeSession

    def __str__(self) -> str:
        on = "" if self.device == "cpu" else f" on {self.device}"
        return f"engine {self.engine}{on} ({self.reason})"


@cache
def engines() -> dict[str, Engine]:
    """All engines by name, the fastest last."""
    found = {}
    for module in pkgutil.iter_modules(__path__):
        if module.ispkg:
            engine = importlib.import_module(f"{__name__}.{module.name}").ENGINE
            found[engine.name] = engine
    return found


def set_engine(name: str, asked_by: str = "set_engine") -> None:
    """Use this engine for nets that are made from now on and not given one of their own; "auto":
    choose for each. Raises CaffeliteError, which begins with `asked_by`, for a name that there is
    not."""
    _check(name, asked_by)
    mode.request.engine = name


def choose(plan: Plan, engine: str | None = None, device: str | None = None) -> Choice:
    """What runs a net: `engine` and `device`, or what has been set, or what is best."""
    wanted = engine or mode.request.engine or os.environ.get(VARIABLE) or AUTO
    where = device or mode.request.device or "cpu"
    _check(wanted, VARIABLE if wanted == os.environ.get(VARIABLE) else "engine")
    if wanted != AUTO:
        return _start(engines()[wanted], plan, where, "as asked for")
    if where != "cpu":
        others = [e for e in engines().values() if e.name != NUMPY]
        return _start(others[-1], plan, where, f"for {where}")
    work = plan.work()
    for candidate in reversed(engines().values()):
        if candidate.least_work is None or work < candidate.least_work:
            continue
        if candidate.missing() is None:
            return _start(candidate, plan, where, f"{_short(work)} multiply-adds a pass")
    small = all(e.least_work is None or work < e.least_work for e in engines().values())
    return _numpy("a small net" if small else "no faster engine is installed")


def _start(engine: Engine, plan: Plan, device: str, reason: str) -> Choice:
    """The engine on the device; what cannot be is said once, and NumPy or the CPU is used."""
    why = engine.missing() or engine.refuses(plan)
    if why is None:
        for place in dict.fromkeys((device, "cpu")):
            try:
                return Choice(engine.name, place, reason, engine.start(place))
            except (RuntimeError, ImportError, OSError) as error:
                why = str(error).splitlines()[0] if str(error) else type(error).__name__
                if place != "cpu":
                    _say(f"device {place}: {why}; the CPU is used")
    _say(f"engine {engine.name}: {why}; numpy runs instead")
    return _numpy(f"{engine.name} cannot be used")


def _numpy(reason: str) -> Choice:
    return Choice(NUMPY, "cpu", reason, engines()[NUMPY].start("cpu"))


def _say(text: str) -> None:
    if text not in _said:
        _said.add(text)
        log.warning("%s", text)


def _check(name: str, asked_by: str) -> None:
    names = [AUTO, *engines()]
    if name not in names:
        raise CaffeliteError(
            Problem(
                f'{asked_by}: there is no engine "{name}"',
                expected="one of " + ", ".join(names),
                hint=did_you_mean(name, names),
            )
        )


def _short(count: int) -> str:
    for size, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return str(count)
