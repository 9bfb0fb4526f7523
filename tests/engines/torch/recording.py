"""A test double of CUDA's graphs: the aten calls of one run are recorded, and exactly those are
made again, on the very tensors that they were made on.

As on the device, recording leaves no values behind, no Python runs in a replay, and what is read on
the host or comes from it cannot be recorded. What a recording has made holds NaN until it is
replayed, and what it shares with nothing else: so a value that was baked in by mistake is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from caffelite.engines.torch.device import Place

aten = torch.ops.aten
WAIT = {  # these make the host wait for a value
    aten._local_scalar_dense.default,
    aten.nonzero.default,
    aten.masked_select.default,
    aten.equal.default,
    aten.is_nonzero.default,
}
NOTHING = {aten.empty, aten.empty_like, aten.empty_strided, aten.new_empty}  # memory, no work
CHANCE = {aten.bernoulli_, aten.uniform_, aten.normal_, aten.random_, aten.native_dropout}


@dataclass
class Call:
    """One aten call, and what it gave when it was recorded."""

    run: Any
    args: Sequence[Any]
    kwargs: dict[str, Any]
    found: list[Tensor]
    fresh: list[bool]
    """Which results have memory of their own."""

    def again(self) -> None:
        if self.run.overloadpacket in NOTHING:
            return
        results = tensors(self.run(*self.args, **self.kwargs))
        for mine, new, fresh in zip(self.found, results, self.fresh):
            if fresh:
                mine.copy_(new)


@dataclass
class Recording(TorchDispatchMode):
    """Records while it is active."""

    calls: list[Call] = field(default_factory=list)
    before: dict[int, tuple[torch.UntypedStorage, torch.UntypedStorage]] = field(
        default_factory=dict
    )
    """Memory from elsewhere that was written, with what it held."""
    made: dict[int, torch.UntypedStorage] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in WAIT or func.overloadpacket in CHANCE:
            raise RuntimeError(f"{func} cannot be recorded")
        given = tensors((args, kwargs))
        for tensor in given:
            if not tensor.untyped_storage().resizable():  # torch.from_numpy's
                raise RuntimeError(f"{func} cannot be recorded: it reads or writes host memory")
        for tensor in written(func, args, kwargs):
            self.keep(tensor.untyped_storage())
        there = {tensor.untyped_storage().data_ptr() for tensor in given}
        result = func(*args, **kwargs)
        found = tensors(result)
        fresh = [t.untyped_storage().data_ptr() not in there for t in found]
        for tensor, new in zip(found, fresh):
            if new:
                self.made[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()
        self.calls.append(Call(func, args, kwargs, found, fresh))
        return result

    def keep(self, storage: torch.UntypedStorage) -> None:
        at = storage.data_ptr()
        if at not in self.before and at not in self.made:
            self.before[at] = storage, storage.clone()

    def forget(self) -> None:
        """Leave no values: what was there is as it was, what was made holds nothing."""
        for storage, old in self.before.values():
            storage.copy_(old)
        for call in self.calls:
            for tensor, fresh in zip(call.found, call.fresh):
                if fresh and tensor.is_floating_point():
                    tensor.fill_(float("nan"))
                elif fresh:
                    tensor.zero_()

    def replay(self) -> None:
        for call in self.calls:
            call.again()


def tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_flatten(tree)[0] if isinstance(leaf, Tensor)]


def written(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> list[Tensor]:
    """The arguments that a call writes."""
    found = []
    for i, argument in enumerate(func._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            value = args[i] if i < len(args) else kwargs.get(argument.name)
            found += tensors(value)
    return found


class Recorder:
    """What a place records with. `refuse`: recordings fail, after so many calls."""

    def __init__(self, refuse: int | None = None) -> None:
        self.refuse = refuse
        self.warm_ups = 0
        self.recordings: list[Recording] = []
        self.replays = 0

    def warm_up(self, run: Callable[[], object]) -> None:
        self.warm_ups += 1
        run()

    def capture(self, run: Callable[[], object]) -> Callable[[], object]:
        recording = Recording()
        try:
            with recording:
                run()
            if self.refuse is not None and len(recording.calls) > self.refuse:
                raise RuntimeError("no recording here\nwith more lines")
        finally:
            recording.forget()
        self.recordings.append(recording)

        def replay() -> None:
            self.replays += 1
            recording.replay()

        return replay


def recording_place(recorder: Recorder | None = None) -> Place:
    """A second device on the CPU, with memory of its own, that records."""
    return Place(torch.device("cpu"), shares=False, graphs=recorder or Recorder())
