"""A resumed run is the very run that was left; what is not its snapshot is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from caffelite import CaffeliteError, SGDSolver
from caffelite.errors import SnapshotError
from caffelite.solver import Monitor

NETS = Path(__file__).parent.parent / "nets"
SOLVER = """
net: "spiral.net"
base_lr: 0.1 lr_policy: "step" gamma: 0.5 stepsize: 30 momentum: 0.9 weight_decay: 0.001
max_iter: 100 random_seed: 5 snapshot: 50 snapshot_prefix: "{prefix}"
test_interval: 40 test_iter: 3
"""
DROPOUT = """
layer { name: "drop" type: "Dropout" bottom: "hidden" top: "hidden" }
"""


@pytest.fixture(params=["BINARYPROTO", "HDF5"])
def solver_file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The spiral with dropout, so that there is chance in the net as well as in the data."""
    if request.param == "HDF5":
        pytest.importorskip("h5py")
    net = (NETS / "spiral.net").read_text()
    before, ip2, after = net.partition('layer {\n  name: "ip2"')
    assert ip2
    (tmp_path / "spiral.net").write_text(before + DROPOUT + ip2 + after)
    file = tmp_path / "s.solver"
    text = SOLVER.format(prefix=tmp_path / "run") + f"snapshot_format: {request.param}\n"
    file.write_text(text)
    return file


def solver(file: Path) -> SGDSolver:
    return SGDSolver(str(file), monitor=Monitor())


def state_of(it: SGDSolver) -> list[np.ndarray]:
    return [it.net.arena.data.copy(), *(h.copy() for h in it.history)]


def assert_same(one: SGDSolver, other: SGDSolver) -> None:
    assert one.iter == other.iter
    for a, b in zip(state_of(one), state_of(other)):
        assert a.tobytes() == b.tobytes()


def snapshot_at(file: Path, iteration: int) -> Path:
    (found,) = file.parent.glob(f"run_iter_{iteration}.solverstate*")
    return found


def test_100_is_50_and_50_more_bit_for_bit(solver_file: Path) -> None:
    whole = solver(solver_file)
    whole.solve()
    resumed = solver(solver_file)
    resumed.solve(str(snapshot_at(solver_file, 50)))
    assert_same(whole, resumed)
    assert whole.net.forward_loss() == resumed.net.forward_loss()


def test_leaving_at_odd_moments_changes_nothing(solver_file: Path) -> None:
    whole = solver(solver_file)
    whole.step(70)
    path = None
    for count in (1, 13, 56):  # 13 + 1 lies inside an epoch of 15 batches
        part = solver(solver_file)
        if path:
            part.restore(path)
        part.step(count)
        path = part.snapshot()
    assert_same(whole, part)


def test_renamed_and_moved_the_pair_still_works(solver_file: Path, tmp_path: Path) -> None:
    whole = solver(solver_file)
    whole.solve()
    state = snapshot_at(solver_file, 50)
    folder = tmp_path / "kept"
    folder.mkdir()
    renamed = folder / state.name.replace("run_iter_50", "best")
    state.rename(renamed)
    model = Path(str(state).replace("solverstate", "caffemodel"))
    model.rename(str(renamed).replace("solverstate", "caffemodel"))
    resumed = solver(solver_file)
    resumed.solve(str(renamed))
    assert_same(whole, resumed)


def test_snapshots_are_named_after_the_iteration(solver_file: Path, tmp_path: Path) -> None:
    solver(solver_file).solve()
    ending = ".h5" if list(tmp_path.glob("*.h5")) else ""
    names = {p.name for p in tmp_path.glob("run_*")}
    assert names == {
        f"run_iter_{n}.{kind}{ending}" for n in (50, 100) for kind in ("caffemodel", "solverstate")
    }


def test_a_last_snapshot_unless_told_not_to(solver_file: Path, tmp_path: Path) -> None:
    text = solver_file.read_text().replace("snapshot: 50", "snapshot: 0")
    solver_file.write_text(text.replace("max_iter: 100", "max_iter: 3"))
    solver(solver_file).solve()
    assert len(list(tmp_path.glob("run_iter_3.*"))) == 2
    solver_file.write_text(solver_file.read_text() + "snapshot_after_train: false\n")
    for file in tmp_path.glob("run_*"):
        file.unlink()
    solver(solver_file).solve()
    assert not list(tmp_path.glob("run_*"))


def test_a_snapshot_can_be_asked_for_in_mid_run(solver_file: Path, tmp_path: Path) -> None:
    it = solver(solver_file)
    it.step(2)
    it.snapshot_requested = True
    it.step(3)
    assert list(tmp_path.glob("run_iter_3.*")) and not list(tmp_path.glob("run_iter_4.*"))


class TestRefusals:
    @pytest.fixture
    def left(self, solver_file: Path) -> Path:
        """A run that was left at 2; the .solverstate."""
        it = solver(solver_file)
        it.step(2)
        return Path(it.snapshot())

    def refusal(self, file: Path, state: Path) -> str:
        it = solver(file)
        before = state_of(it)
        with pytest.raises(SnapshotError) as caught:
            it.restore(str(state))
        assert it.iter == 0, "a refused snapshot leaves the solver as it was"
        for a, b in zip(before, state_of(it)):
            np.testing.assert_array_equal(a, b)
        return str(caught.value)

    def test_no_such_file(self, left: Path, solver_file: Path) -> None:
        assert "no such file" in self.refusal(solver_file, left.with_name("none.solverstate"))

    def test_truncated(self, left: Path, solver_file: Path) -> None:
        left.write_bytes(left.read_bytes()[:-700])
        assert left.name in self.refusal(solver_file, left)

    def test_empty(self, left: Path, solver_file: Path) -> None:
        left.write_bytes(b"")
        assert left.name in self.refusal(solver_file, left)

    def test_the_parameters_given_as_the_state(self, left: Path, solver_file: Path) -> None:
        model = Path(str(left).replace("solverstate", "caffemodel"))
        message = self.refusal(solver_file, model)
        assert "this is a file of parameters, not a solver's state" in message
        assert "--weights" in message

    def test_the_parameters_are_missing(self, left: Path, solver_file: Path) -> None:
        Path(str(left).replace("solverstate", "caffemodel")).unlink()
        message = self.refusal(solver_file, left)
        assert "its parameters" in message and "are not there" in message

    def test_the_parameters_are_truncated(self, left: Path, solver_file: Path) -> None:
        model = Path(str(left).replace("solverstate", "caffemodel"))
        model.write_bytes(model.read_bytes()[:-300])
        assert model.name in self.refusal(solver_file, left)

    def test_another_nets_state(self, left: Path, solver_file: Path) -> None:
        net = solver_file.with_name("spiral.net")
        net.write_text(net.read_text().replace("num_output: 100", "num_output: 50"))
        message = self.refusal(solver_file, left)
        assert "does not fit this net and solver" in message
        assert "is it the snapshot of another net" in message

    def test_another_nets_state_of_the_same_sizes(self, left: Path, solver_file: Path) -> None:
        net = solver_file.with_name("spiral.net")
        net.write_text(net.read_text().replace('"ip1"', '"fc1"').replace('"ip2"', '"fc2"'))
        assert "no layer of the net" in self.refusal(solver_file, left)


def test_a_missing_folder_is_refused_before_training(solver_file: Path, tmp_path: Path) -> None:
    solver_file.write_text(solver_file.read_text().replace("/run", "/nowhere/run"))
    with pytest.raises(CaffeliteError, match="does not exist") as caught:
        solver(solver_file)
    assert f"mkdir -p {tmp_path}/nowhere" in str(caught.value)


def test_a_failed_write_leaves_the_snapshot_before(solver_file: Path, tmp_path: Path) -> None:
    it = solver(solver_file)
    it.step(1)
    state = Path(it.snapshot())
    copies = {p: p.read_bytes() for p in tmp_path.glob("run_iter_1.*")}
    model = Path(str(state).replace("solverstate", "caffemodel"))
    full = model.with_name(model.name + ".d")
    shutil.copy(model, full)
    model.unlink()
    model.mkdir()  # stands in the way of the new file
    (model / "x").touch()
    with pytest.raises(SnapshotError):
        it.snapshot()
    assert state.read_bytes() == copies[state]
