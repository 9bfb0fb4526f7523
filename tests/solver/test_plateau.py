"""The policy plateau: when the rate falls, worked out by hand, and what a snapshot keeps of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from caffelite import snapshot
from caffelite.errors import CaffeliteError, Source
from caffelite.files import parse_message
from caffelite.schema.solver import SolverParameter
from caffelite.solver.plateau import Plateau
from caffelite.solver.policies import learning_rate

from .made import Notes, make, parameters, spiral

FIELDS = 'base_lr: 0.8 lr_policy: "plateau" gamma: 0.5 plateau_winsize: 2 plateau_winsize: 3'


def param(text: str) -> SolverParameter:
    return parse_message(Source("some.solver", text), SolverParameter)


def rates(text: str, losses: list[float]) -> list[float]:
    """The rate of each iteration, in which one of the losses comes."""
    plateau = Plateau(param(text))
    rate, found = learning_rate(param(text), plateau), []
    for i, loss in enumerate(losses):
        plateau.observe(i, loss)
        found.append(rate(i))
    return found


@pytest.mark.parametrize(
    "text, losses, expected",
    [
        # Lowest at 1; two iterations without a lower one: falls at 3. Three more: falls at 6. There
        # is no third window.
        (FIELDS, [5, 4, 4, 4, 4, 4, 4, 9, 9, 9], [0.8] * 3 + [0.4] * 3 + [0.2] * 4),
        # Lower at 2 and at 5: these begin the wait anew. An equal loss does not.
        (FIELDS, [5, 5, 4, 4, 4, 3, 3, 3, 3], [0.8] * 4 + [0.4] * 4 + [0.2]),
        # Means of two losses: 5, 4.5, 4, 4.5, 4.5, 3.5, 2.5. Lowest at 2, falls at 4; then lower.
        (FIELDS + " average_loss: 2", [5, 4, 4, 5, 4, 3, 2], [0.8] * 4 + [0.4] * 3),
        # In one window the rate falls once.
        (FIELDS + " min_lr: 0.3", [1] * 8, [0.8, 0.8, 0.4, 0.4, 0.4, 0.3, 0.3, 0.3]),
    ],
)
def test_the_rate_falls_when_the_mean_loss_does_not(
    text: str, losses: list[float], expected: list[float]
) -> None:
    assert rates(text, losses) == pytest.approx(expected, rel=1e-12)


def test_the_update_has_the_new_rate_and_a_line_says_so(tmp_path: Path) -> None:
    # The net gets zeros, so its loss is 0: lowest at 0, falls at 2 and at 5.
    notes = Notes()
    solver = make(tmp_path, FIELDS, monitor=notes)
    used = []
    apply = solver._update.apply
    solver._update.apply = lambda rate, i: (used.append(rate), apply(rate, i))[1]  # type: ignore[method-assign,func-returns-value]
    solver.step(4)
    solver.step(3)
    assert used == pytest.approx([0.8, 0.8, 0.4, 0.4, 0.4, 0.2, 0.2])
    assert [note for note in notes.notes if "learning rate" in note] == [
        "the loss has not become lower than 0 in 2 iterations: from iteration 2 on the learning "
        "rate is 0.4",
        "the loss has not become lower than 0 in 3 iterations: from iteration 5 on the learning "
        "rate is 0.2",
    ]


@pytest.mark.parametrize("kind", ["BINARYPROTO", "HDF5"])
def test_a_resumed_run_is_the_run(tmp_path: Path, kind: str) -> None:
    if kind == "HDF5":
        pytest.importorskip("h5py")
    text = FIELDS.replace("0.8", "0.3") + f" average_loss: 5 snapshot_format: {kind}"
    net = spiral("batch_size: 7", dropout=0.3)
    whole = make(tmp_path, text + " random_seed: 5", net)
    whole.step(30)
    assert whole.plateau is not None and whole.plateau.step == 2
    for at in (3, 8, 13):
        first = make(tmp_path, text + " random_seed: 5", net)
        first.step(at)
        state = first.snapshot()
        second = make(tmp_path, text + " random_seed: 6", net)
        second.restore(state)
        assert second.plateau is not None and first.plateau is not None
        assert second.plateau.state() == first.plateau.state()
        second.step(30 - at)
        assert np.array_equal(parameters(second), parameters(whole))


@pytest.mark.parametrize("kind", ["BINARYPROTO", "HDF5"])
def test_a_state_that_caffe_wrote_is_gone_on_from(tmp_path: Path, kind: str) -> None:
    if kind == "HDF5":
        pytest.importorskip("h5py")
    text = f"{FIELDS} snapshot_format: {kind}"
    first = make(tmp_path, text)
    first.step(3)
    path = first.snapshot()
    state = snapshot.read_state(path)
    assert (state.current_step, state.iter_last_event, state.minimum_loss) == (1, 2, 0)
    # What the SSD fork knows of it, and no more.
    state.run, state.model_sha256 = {}, ""
    state.current_step, state.iter_last_event, state.minimum_loss = 2, 7, 0.25
    snapshot.write_state(path, state)
    second = make(tmp_path, text)
    second.restore(path)
    assert second.plateau is not None and second.rate == pytest.approx(0.2)
    assert (second.plateau.last_event, second.plateau.lowest) == (7, 0.25)


@pytest.mark.parametrize(
    "text, part",
    [
        ('base_lr: 1 lr_policy: "plateau" gamma: 0.5', "needs plateau_winsize"),
        ('base_lr: 1 lr_policy: "plateau" plateau_winsize: 5', "needs gamma"),
        (FIELDS.replace("winsize: 3", "winsize: 0"), "plateau_winsize cannot be 0"),
    ],
)
def test_what_cannot_work_is_refused(tmp_path: Path, text: str, part: str) -> None:
    with pytest.raises(CaffeliteError) as caught:
        make(tmp_path, text)
    assert part in str(caught.value)


def test_windows_of_another_policy_have_no_effect(tmp_path: Path) -> None:
    notes = Notes()
    make(tmp_path, 'base_lr: 1 lr_policy: "fixed" plateau_winsize: 5', monitor=notes)
    assert any('plateau_winsize has no effect with lr_policy: "fixed"' in n for n in notes.notes)


@pytest.mark.parametrize(
    "damage", [{"step": -1}, {"losses": 3}, {"lowest": "low"}, {"last_event": None}, {"step": []}]
)
def test_a_damaged_state_is_refused(tmp_path: Path, damage: dict[str, object]) -> None:
    solver = make(tmp_path, FIELDS)
    solver.step(3)
    path = solver.snapshot()
    state = snapshot.read_state(path)
    state.run["plateau"].update(damage)
    snapshot.write_state(path, state)
    before = solver.plateau.state() if solver.plateau else {}
    with pytest.raises(CaffeliteError, match=r"run_iter_3\.solverstate"):
        solver.restore(path)
    assert solver.plateau is not None and solver.plateau.state() == before


def test_another_run_goes_on_from_what_was_observed() -> None:
    first, second = Plateau(param(FIELDS)), Plateau(param(FIELDS.replace("0.8", "0.4")))
    for i, loss in enumerate([5, 4, 4, 4]):
        first.observe(i, loss)
    second.go_on(first)
    assert second.state() == first.state() and second(4) == pytest.approx(0.2)
    fewer = Plateau(param(FIELDS.replace("plateau_winsize: 3", "")))
    first.step = 2
    fewer.go_on(first)  # no further than its windows go
    assert fewer.step == 1 and not fewer.observe(99, 9.0)


def test_a_state_from_the_beginning_is_one() -> None:
    new = Plateau(param(FIELDS))
    assert new.state() == {"step": 0, "last_event": 0, "lowest": None, "losses": []}
    new.observe(0, 5.0)
    new.restore(Plateau(param(FIELDS)).state())
    assert new.state()["lowest"] is None and new.state()["losses"] == []
    new.restore_caffe(0, 0, 1e38)
    assert new.state()["lowest"] is None
    with pytest.raises(ValueError, match="its last event at -1"):
        new.restore_caffe(0, -1, 1e38)
