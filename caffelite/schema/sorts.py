"""Which message a binary file holds: protobuf's bytes do not say it, the fields in them do."""

from __future__ import annotations

from caffelite.errors import SnapshotError
from caffelite.schema import legacy
from caffelite.schema.binary import decode
from caffelite.schema.common import BlobProto
from caffelite.schema.message import M, Message
from caffelite.schema.net import NetParameter
from caffelite.schema.solver import SolverParameter, SolverState


def net_in(data: bytes) -> NetParameter | None:
    """The net that the bytes are, if they are one."""
    net = _decoded(data, NetParameter)
    if net is None or state_in(data) is not None:
        return None
    return net if net.has("layer") or net.has("layers") else None


def state_in(data: bytes) -> SolverState | None:
    """The solver's state that the bytes are, if they are one."""
    state = _decoded(data, SolverState)
    is_state = state is not None and state.has("iter")
    return (
        state if is_state and state and (state.has("history") or state.has("run_state")) else None
    )


def solver_in(data: bytes) -> SolverParameter | None:
    """The solver that the bytes are, if they are one."""
    param = _decoded(data, SolverParameter)
    own = ("net", "net_param", "train_net", "train_net_param", "base_lr", "max_iter")
    return param if param is not None and any(map(param.has, own)) else None


def blob_in(data: bytes) -> BlobProto | None:
    """The blob that the bytes are, if they are one."""
    blob = _decoded(data, BlobProto)
    has_values = blob is not None and (blob.has("data") or blob.has("double_data"))
    return blob if has_values else None


def message_in(data: bytes) -> Message | None:
    """The net, state, blob or solver that the bytes are; None if they are none of these."""
    for sort in (net_in, state_in, blob_in, solver_in):
        found = sort(data)
        if found is not None:
            return found
    return None


def _decoded(data: bytes, cls: type[M]) -> M | None:
    legacy.declare()
    try:
        return decode(data, cls)
    except SnapshotError:
        return None
