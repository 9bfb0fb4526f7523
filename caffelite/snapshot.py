"""Where a run stands, in a file: Caffe's .solverstate, binary or HDF5.

A snapshot is two files, PREFIX_iter_N.caffemodel with the parameters and PREFIX_iter_N.solverstate
with the iteration and the update rule's history. What Caffe has no field for (seed, random
streams, positions in the data) goes beside them as JSON text, which Caffe passes over; a state
that Caffe wrote lacks it, and is continued with fresh streams.

The state holds the SHA-256 of its parameters' file, and both files end in a seal (`seal.py`): a
pair that was mixed up, or a bit that has flipped, is refused.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from caffelite.blob import Array
from caffelite.errors import Problem, SnapshotError, did_you_mean
from caffelite.hdf5 import Reader, open_hdf5
from caffelite.schema.binary import (
    array_of,
    blob_proto,
    decode,
    open_binary,
    read_bytes,
    replacing,
    write_atomically,
)
from caffelite.schema.pieces import pieces
from caffelite.schema.solver import SnapshotFormat, SolverParameter, SolverState
from caffelite.seal import changed, content_digest, seal_file, sealed, sealed_with, verify_file
from caffelite.weights import import_h5py, read_weights


@dataclass
class RunState:
    """What a run needs to go on, apart from the parameters."""

    iter: int
    learned_net: str
    history: list[Array] = field(default_factory=list)
    """The update rule's vectors, part by part; read-only where they were read."""
    current_step: int = 0
    run: dict[str, Any] = field(default_factory=dict)
    model_sha256: str = ""
    """The digest of the parameters' file; empty where Caffe wrote the state."""
    minimum_loss: float = 1e38
    iter_last_event: int = 0
    """Of the policy plateau, as the SSD fork writes it."""


def paths(param: SolverParameter, solver_path: str, iteration: int) -> tuple[str, str]:
    """The names of a snapshot's two files. Without `snapshot_prefix` they start like the solver
    file's name; a prefix that is a folder is followed by that name."""
    start, ending = prefix(param, solver_path)
    base = f"{start}_iter_{iteration}"
    return f"{base}.caffemodel{ending}", f"{base}.solverstate{ending}"


def best_path(param: SolverParameter, solver_path: str) -> str:
    """The name of the file that `keep_best` writes."""
    start, ending = prefix(param, solver_path)
    return f"{start}_best.caffemodel{ending}"


def prefix(param: SolverParameter, solver_path: str) -> tuple[str, str]:
    """What the names of all files of a run start with, and what they end with."""
    stem = Path(solver_path).stem if solver_path else "caffelite"
    start = param.snapshot_prefix or stem
    if start.endswith(("/", os.sep)) or os.path.isdir(start):
        start = os.path.join(start, stem)
    return start, ".h5" if param.snapshot_format == SnapshotFormat.HDF5 else ""


def writes(param: SolverParameter) -> bool:
    """Does a run of this solver write snapshots?"""
    return bool(param.snapshot or param.snapshot_after_train or param.keep_best)


def missing_folder(param: SolverParameter) -> str:
    """The folder of snapshot_prefix, if it does not exist, or ""."""
    folder = os.path.dirname(param.snapshot_prefix) or "."
    return "" if os.path.lexists(folder) else folder


def check_prefix(param: SolverParameter) -> None:
    """Refuse a prefix that nothing could be written to, before the run rather than after it."""
    folder = os.path.dirname(param.snapshot_prefix) or "."
    if os.path.isdir(folder) and os.access(folder, os.W_OK):
        return
    wrong = "cannot be written to" if os.path.exists(folder) else "does not exist"
    raise SnapshotError(
        Problem(
            f'the folder of snapshot_prefix, "{folder}", {wrong}',
            param.span("snapshot_prefix"),
            "the start of a path in a folder that is there",
            f"mkdir -p {folder}, or --make-folder" if wrong == "does not exist" else None,
        )
    )


def write_state(path: str, state: RunState) -> None:
    """Write a .solverstate: HDF5 if the path ends in .h5. Whole or not at all."""
    if path.endswith(".h5"):
        _write_hdf5(path, state)
        return
    message = SolverState(
        iter=state.iter,
        learned_net=state.learned_net,
        history=[blob_proto(array) for array in state.history],
        current_step=state.current_step,
        minimum_loss=state.minimum_loss,
        iter_last_event=state.iter_last_event,
        run_state=json.dumps(state.run),
        model_sha256=state.model_sha256,
    )
    write_atomically(path, sealed(pieces(message)))


def read_state(path: str, verify: bool = True) -> RunState:
    """Read a .solverstate. Raises SnapshotError if it is missing, damaged or something else;
    `verify=False` passes over its seal."""
    state = _read_state(path)
    if min(state.iter, state.current_step, state.iter_last_event) < 0:
        raise SnapshotError(f"{path}: damaged: its iteration is {state.iter}")
    if verify:
        verify_file(path, required=bool(state.model_sha256))
    return state


def verify_pair(state: RunState, path: str, model: str) -> None:
    """Refuse parameters that were not written with this state. Raises SnapshotError."""
    if not state.model_sha256:
        return
    found, sealed = content_digest(model), sealed_with(model)
    if found == sealed == state.model_sha256:
        return
    if sealed != found and state.model_sha256 in (sealed, found):
        raise changed(model)
    raise SnapshotError(
        Problem(
            f"{path} and {model} do not belong together: the state was written with other "
            f"parameters (SHA-256 {state.model_sha256[:12]}..., these have {found[:12]}...)",
            expected="the two files of one snapshot; going on with a mixed pair would be neither "
            "run",
            hint="did another run write to the same snapshot_prefix? To go on with this pair all "
            "the same: --unverified, in Python verify=False",
        )
    )


def _read_state(path: str) -> RunState:
    if path.endswith(".h5"):
        state = _read_hdf5(path)
    else:
        data = read_bytes(path)
        try:
            message = decode(data, SolverState, path, "a solver's state (.solverstate)")
        except SnapshotError as error:
            if not error.over_limit:
                _refuse_model(path)
            raise
        state = RunState(
            message.iter,
            message.learned_net,
            [array_of(blob) for blob in message.history],
            message.current_step,
            _run_state(path, message.run_state),
            message.model_sha256,
            message.minimum_loss,
            message.iter_last_event,
        )
        if not message.has("iter"):
            _refuse_model(path)
            raise SnapshotError(f"{path}: not a solver's state (.solverstate): it has no iteration")
    return state


def _refuse_model(path: str) -> None:
    try:
        read_weights(path, verify=False)
    except SnapshotError:
        return
    message = f"{path}: this is a file of parameters, not a solver's state"
    hint = "to start a new run from parameters: --weights; to go on: the .solverstate beside it"
    raise SnapshotError(Problem(message, hint=hint)) from None


def model_path(state: RunState, path: str) -> str:
    """The parameters' file of a state. Beside the state first, under the state's own name or the
    one that it says, so that a snapshot may be renamed and moved; then where the state says."""
    beside = os.path.join(os.path.dirname(path), os.path.basename(state.learned_net))
    for candidate in (path.replace(".solverstate", ".caffemodel"), beside, state.learned_net):
        if candidate and candidate != path and os.path.isfile(candidate):
            return candidate
    folder = os.path.dirname(path) or "."
    near = did_you_mean(os.path.basename(state.learned_net), os.listdir(folder))
    raise SnapshotError(
        Problem(
            f'{path}: its parameters, "{state.learned_net}", are not there',
            expected=f"that file, or one of the same name in {folder}",
            hint=near,
        )
    )


def _write_hdf5(path: str, state: RunState) -> None:
    h5py = import_h5py(path)
    with replacing(path) as part:
        with h5py.File(part, "w") as file:
            file["iter"] = np.array([state.iter], np.int32)
            file["current_step"] = np.array([state.current_step], np.int32)
            file["iter_last_event"] = np.array([state.iter_last_event], np.int32)
            file["minimum_loss"] = np.array([state.minimum_loss], np.float32)
            file["learned_net"] = np.bytes_(state.learned_net)
            history = file.create_group("history")
            for i, array in enumerate(state.history):
                history[str(i)] = array
            file["run_state"] = np.bytes_(json.dumps(state.run))
            file["model_sha256"] = np.bytes_(state.model_sha256)
        seal_file(part)


def _read_hdf5(path: str) -> RunState:
    with open_binary(path):  # a missing file is named as everywhere
        pass
    with open_hdf5(path, SnapshotError) as file:
        if not (file.has("iter") and file.is_group("history")):
            _refuse_model(path)
            raise SnapshotError(f"{path}: not a solver's state: it has no iter and history")
        history: list[Array] = []
        while (data := file.find(f"history/{len(history)}")) is not None:
            history.append(file.read(data))
        return RunState(
            _number(file, "iter"),
            file.text("learned_net") or "",
            history,
            _number(file, "current_step"),
            _run_state(path, file.text("run_state")),
            file.text("model_sha256") or "",
            _minimum_loss(file),
            _number(file, "iter_last_event") if file.has("iter_last_event") else 0,
        )


def _number(file: Reader, name: str) -> int:
    data = file.find(name)
    if data is None or data.shape != (1,) or data.dtype.kind not in "iu":
        raise SnapshotError(f'{file.path}: "{name}" is not a whole number')
    return int(file.read(data)[0])


def _minimum_loss(file: Reader) -> float:
    data = file.find("minimum_loss")
    if data is None or data.shape != (1,) or data.dtype.kind != "f":
        return RunState.minimum_loss
    return float(file.read(data)[0])


def _whole_number(digits: str) -> int:
    if len(digits) > 100:  # a seed may have more than 64 bits; reading 10 MB of digits takes hours
        raise ValueError
    return int(digits)


def _run_state(path: str, text: str | None) -> dict[str, Any]:
    try:
        found = json.loads(text or "{}", parse_int=_whole_number)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise SnapshotError(f"{path}: its run_state, where the run stands, is damaged")
    return found
