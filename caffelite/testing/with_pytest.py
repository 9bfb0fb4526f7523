"""The contract as tests for pytest: the only module here that imports it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from caffelite.layers.base import Layer
from caffelite.testing.contract import PROMISES, Promise, Subject, hold, subjects_of


def make_tests(
    layers: Sequence[type[Layer] | str | Sequence[Subject]], engines: Sequence[str]
) -> Callable[..., None]:
    """A parametrised test function; see `caffelite.testing.contract_tests`."""
    found = [subjects_of(item) if isinstance(item, (str, type)) else list(item) for item in layers]
    groups = [
        pytest.param([replace(s, engine=name) for s in subjects], id=_id(subjects[0], name))
        for subjects in found
        for name in engines
    ]

    @pytest.mark.parametrize("check", PROMISES, ids=lambda check: check.name)
    @pytest.mark.parametrize("subjects", groups)
    def test(subjects: list[Subject], check: Promise) -> None:
        outcome = hold(check, subjects)
        if outcome.broken:
            pytest.fail(f"{check.text}\n" + "\n".join(outcome.broken), pytrace=False)
        if outcome.skipped is not None:
            pytest.skip(outcome.skipped)

    return test


def _id(subject: Subject, engine: str) -> str:
    name = subject.cls.type or subject.cls.__name__
    return name if engine == "numpy" else f"{name}-{engine}"
