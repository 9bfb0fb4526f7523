"""What has changed since it was written, and what does not belong together, is refused."""

from __future__ import annotations

import json
import shutil
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from caffelite import seal
from caffelite.cli import main
from caffelite.errors import SnapshotError
from caffelite.schema.binary import decode
from caffelite.schema.net import NetParameter
from caffelite.snapshot import read_state, write_state
from caffelite.solver import Solver
from caffelite.weights import read_weights

from .solver.made import make, parameters, spiral

NET = spiral("batch_size: 7", dropout=0.3)
SGD = (
    'base_lr: 0.1 lr_policy: "fixed" momentum: 0.9 random_seed: {} snapshot_format: {} max_iter: 9'
)


def run(folder: Path, kind: str, seed: int = 3) -> tuple[Solver, str]:
    """A run of three iterations; its .solverstate."""
    if kind == "HDF5":
        pytest.importorskip("h5py")
    folder.mkdir(exist_ok=True)
    solver = make(folder, SGD.format(seed, kind), NET)
    solver.step(3)
    return solver, solver.snapshot()


def model_of(state: str) -> str:
    return state.replace("solverstate", "caffemodel")


@pytest.mark.parametrize("which", ["model", "state"])
@pytest.mark.parametrize("kind", ["BINARYPROTO", "HDF5"])
def test_125_flipped_bits_of_125_are_refused(tmp_path: Path, kind: str, which: str) -> None:
    solver, state = run(tmp_path, kind)
    file = Path(state if which == "state" else model_of(state))
    data, rng = file.read_bytes(), np.random.default_rng(5)
    places = [*rng.integers(8 * len(data), size=90), *(8 * len(data) - 1 - np.arange(0, 280, 8))]
    before = parameters(solver).copy()
    for place in map(int, places):
        changed = bytearray(data)
        changed[place // 8] ^= 1 << place % 8
        file.write_bytes(changed)
        with pytest.raises(SnapshotError):
            solver.restore(state)
        assert np.array_equal(parameters(solver), before)
    file.write_bytes(data)
    solver.restore(state)


def test_20_mixed_pairs_of_20_are_refused(tmp_path: Path) -> None:
    runs = [run(tmp_path / str(i), "BINARYPROTO", seed=i) for i in range(5)]
    pairs = list(permutations(range(5), 2))
    assert len(pairs) == 20
    for one, other in pairs:
        solver, state = runs[one]
        model = Path(model_of(state))
        own = model.read_bytes()
        shutil.copy(model_of(runs[other][1]), model)
        with pytest.raises(SnapshotError, match="do not belong together"):
            solver.restore(state)
        model.write_bytes(own)
        solver.restore(state)


@pytest.mark.parametrize("kind", ["BINARYPROTO", "HDF5"])
def test_parameters_with_a_flipped_bit_are_refused(tmp_path: Path, kind: str) -> None:
    solver, state = run(tmp_path, kind)
    model = Path(model_of(state))
    stored = solver.net.params["ip1"][0].data.tobytes()
    data = bytearray(model.read_bytes())
    data[data.index(stored)] ^= 1
    model.write_bytes(data)
    with pytest.raises(SnapshotError, match="not as it was written"):
        solver.net.copy_from(str(model))
    solver.net.copy_from(str(model), verify=False)
    assert solver.net.params["ip1"][0].data.tobytes() != stored


def test_a_mixed_pair_is_taken_when_that_is_said(tmp_path: Path) -> None:
    (solver, state), (other, others) = (run(tmp_path / f"{i}", "BINARYPROTO", i) for i in (1, 2))
    shutil.copy(model_of(others), model_of(state))
    solver.restore(state, verify=False)
    assert np.array_equal(parameters(solver), parameters(other))
    command = ["train", str(tmp_path / "1" / "s.solver"), "--snapshot", state]
    assert main(command) == 1
    assert main([*command, "--unverified"]) == 0


def test_a_file_without_a_seal_is_read(tmp_path: Path) -> None:
    solver, state = run(tmp_path, "BINARYPROTO")
    found = read_state(state)
    found.model_sha256 = ""  # as in Caffe's
    write_state(state, found)
    for path in (Path(state), Path(model_of(state))):
        path.write_bytes(path.read_bytes()[: -seal.SIZE])
    solver.restore(state)


def test_a_state_of_ours_must_have_its_seal(tmp_path: Path) -> None:
    solver, state = run(tmp_path, "BINARYPROTO")
    Path(state).write_bytes(Path(state).read_bytes()[: -seal.SIZE])
    with pytest.raises(SnapshotError, match="not as it was written"):
        solver.restore(state)


def test_readers_that_know_no_seal_pass_over_it(tmp_path: Path) -> None:
    _, state = run(tmp_path, "BINARYPROTO")
    data = Path(model_of(state)).read_bytes()
    assert decode(data, NetParameter) == decode(data[: -seal.SIZE], NetParameter)


def test_hdf5_that_another_program_has_changed_is_read(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    _, state = run(tmp_path, "HDF5")
    assert seal.sealed_with(model_of(state))
    with h5py.File(model_of(state), "r+") as file:
        file["data/ip1/0"][...] = 7
    assert not seal.sealed_with(model_of(state))
    stored = read_weights(model_of(state))["ip1"][0]
    assert stored is not None and np.all(stored == 7)


@pytest.mark.parametrize("run_text", ['{"a": 1}', '{"streams": 3}', '{"streams": {"seed": "x"}}'])
def test_a_run_state_of_another_kind_is_refused(tmp_path: Path, run_text: str) -> None:
    solver, state = run(tmp_path, "BINARYPROTO")
    found, before = read_state(state), solver.streams.state()
    found.run = json.loads(run_text)
    write_state(state, found)
    with pytest.raises(SnapshotError, match="damaged"):
        solver.restore(state)
    assert solver.streams.state() == before
