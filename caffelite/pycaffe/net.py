"""caffe.Net: a net with pycaffe's names and ways."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import numpy as np

from caffelite import weights as parameters
from caffelite.blob import Array, Blob
from caffelite.errors import NetError, Problem, SnapshotError, did_you_mean
from caffelite.layers.base import show
from caffelite.net import Net as CoreNet
from caffelite.pycaffe import batches, glog
from caffelite.pycaffe.callbacks import Callback, Callbacks
from caffelite.pycaffe.messages import net_source
from caffelite.pycaffe.vectors import BlobVec, DtypeVec, IntVec, LayerVec, RawBlobVec, StringVec
from caffelite.pycaffe.vectors import shown as shown_layer
from caffelite.run.blobs import blobs_of
from caffelite.run.names import Named
from caffelite.seal import verify_file


class Net:
    """A net of one phase.

    `Net(network_file, phase, level=0, stages=None, weights=None)`, or in the older order
    `Net(network_file, weights, phase)`. `network_file` is a path or a NetParameter. `core` is the
    net by caffelite's own names. Errors: NetError, SnapshotError.
    """

    core: CoreNet

    def __init__(
        self,
        network_file: Any,
        *args: Any,
        phase: int | None = None,
        level: int = 0,
        stages: Iterable[str] | None = None,
        weights: Any = None,
    ) -> None:
        names = ["phase", "level", "stages", "weights"]
        if args and isinstance(args[0], (str, os.PathLike)):
            names = ["weights", "phase"]
        if len(args) > len(names):
            raise TypeError(f"Net takes at most {len(names)} arguments after the net's file")
        given: dict[str, Any] = {"phase": phase, "level": level, "stages": stages}
        given |= {"weights": weights} | dict(zip(names, args))
        if given["phase"] is None:
            raise TypeError("Net needs a phase: caffe.TRAIN or caffe.TEST")
        with _opened(given["weights"]) as stored:
            core = CoreNet(
                net_source(network_file),
                phase=given["phase"],
                level=int(given["level"]),
                stages=list(given["stages"] or []),
                weights=stored,
                strict=False,
            )
        self._wrap(core)
        _warn_of_nothing(core.taken)

    @classmethod
    def of(cls, core: CoreNet) -> Net:
        """The face of a net that is there already."""
        net = cls.__new__(cls)
        net._wrap(core)
        return net

    def _wrap(self, core: CoreNet) -> None:
        self.core = core
        self._callbacks: Callbacks | None = None
        self._trained = False

    # What there is.

    @cached_property
    def blobs(self) -> Mapping[str, Blob]:
        """Blobs by name, in the order of their first appearance; any may be reshaped."""
        return Named(blobs_of(self.core.executor, free=True))

    @cached_property
    def params(self) -> Mapping[str, BlobVec]:
        """Layer name to its parameters; layers without any are left out."""
        return Named((n, BlobVec(b)) for n, b in self.core.params.items())

    @cached_property
    def layers(self) -> LayerVec:
        """The layers in order, each with `type` and `blobs`."""
        return LayerVec(map(shown_layer, self.core.layers))

    @cached_property
    def layer_dict(self) -> Mapping[str, Any]:
        """Layer name to layer."""
        return Named(zip(self._layer_names, self.layers))

    @cached_property
    def blob_loss_weights(self) -> Mapping[str, float]:
        """Blob name to its weight in the objective."""
        return Named(self.core.blob_loss_weights)

    @cached_property
    def inputs(self) -> list[str]:
        """The blobs that are filled from outside."""
        return list(self.core.inputs)

    @cached_property
    def outputs(self) -> list[str]:
        """The blobs that no layer reads."""
        return list(self.core.outputs)

    @cached_property
    def top_names(self) -> OrderedDict[str, list[str]]:
        """Layer name to the names of its tops."""
        return Named(self.core.top_names)

    @cached_property
    def bottom_names(self) -> OrderedDict[str, list[str]]:
        """Layer name to the names of its bottoms."""
        return Named(self.core.bottom_names)

    @property
    def _blobs(self) -> RawBlobVec:
        return RawBlobVec(self.blobs.values())

    @property
    def _blob_names(self) -> StringVec:
        return StringVec(self.blobs)

    @cached_property
    def _layer_names(self) -> StringVec:
        return StringVec(layer.name for layer in self.core.layers)

    @property
    def _blob_loss_weights(self) -> DtypeVec:
        return DtypeVec(self.blob_loss_weights.values())

    @property
    def _inputs(self) -> IntVec:
        return self._places(self.inputs)

    @property
    def _outputs(self) -> IntVec:
        return self._places(self.outputs)

    def _top_ids(self, layer: int) -> IntVec:
        return self._places(self.top_names[self._layer_names[layer]])

    def _bottom_ids(self, layer: int) -> IntVec:
        return self._places(self.bottom_names[self._layer_names[layer]])

    def _places(self, names: Sequence[str]) -> IntVec:
        place = {name: i for i, name in enumerate(self.blobs)}
        return IntVec(place[name] for name in names)

    # Passes.

    def forward(
        self,
        blobs: Iterable[str] | None = None,
        start: str | None = None,
        end: str | None = None,
        **kwargs: Any,
    ) -> dict[str, Array]:
        """Run forward, all layers or those from `start` to `end`; shapes follow only so far.

        Keyword arguments fill the inputs, all of them. Gives the outputs (with `end`, that
        layer's tops) and the named `blobs`: the net's own arrays, which the next pass changes."""
        asked = list(blobs or [])
        for name in asked:
            self.blobs[name]
        first = self._index(start) if start is not None else 0
        last = self._index(end) if end is not None else len(self._layer_names) - 1
        if kwargs:
            self._same_names(kwargs, self.inputs, "input blob arguments do not match net inputs")
            for name, values in kwargs.items():
                self._set(name, self.blobs[name].data, values)
        if asked:
            graph = self.core.plan.graph
            self.core.executor.keep([graph.blobs[name] for name in asked])
        self._run_forward(first, last)
        names = self.top_names[end] if end is not None else self.outputs
        return {name: self.blobs[name].data for name in dict.fromkeys([*names, *asked])}

    def backward(
        self,
        diffs: Iterable[str] | None = None,
        start: str | None = None,
        end: str | None = None,
        **kwargs: Any,
    ) -> dict[str, Array]:
        """Run backward, all layers or those from `start` down to `end`.

        Keyword arguments set the outputs' gradients, all of them. Gives the gradients of the
        inputs (with `end`, of that layer's bottoms) and of the blobs named in `diffs`."""
        asked = list(diffs or [])
        for name in asked:
            self.blobs[name]
        first = self._index(start) if start is not None else len(self._layer_names) - 1
        last = self._index(end) if end is not None else 0
        if kwargs:
            self._same_names(kwargs, self.outputs, "top diff arguments do not match net outputs")
            for name, values in kwargs.items():
                self._set(name, self.blobs[name].diff, values)
        self._run_backward(first, last)
        names = self.bottom_names[end] if end is not None else self.inputs
        return {name: self.blobs[name].diff for name in dict.fromkeys([*names, *asked])}

    def _forward(self, start: int, end: int) -> float:
        """Run the layers of these numbers forward; the loss of those among them."""
        self._run_forward(start, end)
        executor, weights = self.core.executor, self.core.plan.loss_weights
        own = {v: w for v, w in weights.items() if start <= v.maker.index <= end}
        return float(sum(w * executor.look_at(v).sum() for v, w in own.items()))

    def _backward(self, start: int, end: int) -> None:
        """Run the layers of these numbers backward, `start` first."""
        self._run_backward(start, end)

    def _run_forward(self, first: int, last: int) -> None:
        if first == 0 and last == len(self._layer_names) - 1:
            self.core.executor.forward()
        elif self._in_order(first, last):
            self.core.executor.forward(first, last)

    def _run_backward(self, first: int, last: int) -> None:
        if self._in_order(last, first):
            self.core.executor.backward(first, last)

    def _in_order(self, low: int, high: int) -> bool:
        if not 0 <= low <= high < len(self._layer_names):
            raise NetError(
                Problem(
                    f"there are no layers from number {low} to number {high}",
                    expected=f"numbers from 0 to {len(self._layer_names) - 1}, start before end",
                )
            )
        return True

    def _index(self, name: str) -> int:
        if name not in self._layer_names:
            hint = did_you_mean(name, self._layer_names)
            raise NetError(Problem(f'there is no layer "{name}"', hint=hint))
        return self._layer_names.index(name)

    def _same_names(self, given: Mapping[str, Any], names: Sequence[str], message: str) -> None:
        if set(given) != set(names):
            raise NetError(
                Problem(
                    f"{message}: {', '.join(given)}",
                    expected=", ".join(names) or "none, as this net has none",
                )
            )

    def _set(self, name: str, array: Array, values: Any) -> None:
        values = np.asarray(values)
        if values.shape[:1] != array.shape[:1]:
            shape = ", ".join(map(str, values.shape))
            raise NetError(
                Problem(
                    f'"{name}" is {show(array.shape)}, but was given {show(values.shape)}: '
                    "not the batch's size",
                    hint=f'net.blobs["{name}"].reshape({shape}) makes room for it',
                )
            )
        array[...] = values

    # Many samples.

    def forward_all(self, blobs: Iterable[str] | None = None, **kwargs: Any) -> dict[str, Array]:
        """Run forward over samples of any number, batch by batch, the last one padded with zeros.
        Gives the outputs and the named `blobs` of all samples."""
        return batches.forward_all(self, blobs, kwargs)

    def forward_backward_all(
        self,
        blobs: Iterable[str] | None = None,
        diffs: Iterable[str] | None = None,
        **kwargs: Any,
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """As `forward_all`, and backward too: inputs and outputs' gradients by name. Gives the
        values, and the gradients of the inputs and of `diffs`."""
        return batches.forward_backward_all(self, blobs, diffs, kwargs)

    def _batch(self, blobs: Mapping[str, Any]) -> Iterator[dict[str, Array]]:
        return batches.batches(self, blobs)

    # The rest.

    def reshape(self) -> None:
        """Let all shapes follow the inputs' now."""
        self.core.reshape()

    def clear_param_diffs(self) -> None:
        """Zero the gradients of all parameters."""
        self.core.clear_param_diffs()
        self.core.arena.settle()  # the caller may hold the arrays

    def set_input_arrays(self, data: Any, labels: Any) -> None:
        """Hand samples to the MemoryData layer."""
        self.core.set_input_arrays(data, labels)

    def copy_from(self, path: str | os.PathLike[str]) -> None:
        """Take parameters from a .caffemodel or HDF5 file by layer name. If no name fits, nothing
        changes and the log says so; it says too if a file of ours has been written anew since, as
        scripts do through `caffe_pb2`."""
        with _opened(path) as stored:
            _warn_of_nothing(parameters.copy_weights(stored, self.core.params, strict=False))

    def share_with(self, other: Net) -> None:
        """Use the parameters of `other` for the layers that it has too: the same arrays."""
        if self._trained:
            raise NetError(
                Problem(
                    "a solver trains this net's own parameters",
                    hint="let the other net share them: other.share_with(solver.net)",
                )
            )
        self.core.share_with(other.core)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the parameters as a .caffemodel, whatever the name."""
        self.core.save(os.fspath(path), hdf5=False)

    def save_hdf5(self, path: str | os.PathLike[str]) -> None:
        """Write the parameters as HDF5, whatever the name."""
        self.core.save(os.fspath(path), hdf5=True)

    def load_hdf5(self, path: str | os.PathLike[str]) -> None:
        """Take parameters from an HDF5 file."""
        self.copy_from(path)

    def before_forward(self, call: Callback) -> None:
        """Call this with a layer's number before it runs forward."""
        self._called().before["forward"].append(call)

    def after_forward(self, call: Callback) -> None:
        """Call this with a layer's number after it has run forward."""
        self._called().after["forward"].append(call)

    def before_backward(self, call: Callback) -> None:
        """Call this with a layer's number before it runs backward."""
        self._called().before["backward"].append(call)

    def after_backward(self, call: Callback) -> None:
        """Call this with a layer's number after it has run backward."""
        self._called().after["backward"].append(call)

    def _called(self) -> Callbacks:
        if self._callbacks is None:
            self._callbacks = Callbacks()
            self.core.executor.let_run(self._callbacks.run)
        return self._callbacks

    def __repr__(self) -> str:
        return repr(self.core)


@contextmanager
def _opened(path: Any) -> Iterator[Any]:
    """The parameters in a file, which may have been changed; None without a file."""
    if path is None:
        yield None
        return
    try:
        verify_file(os.fspath(path))
    except SnapshotError as error:
        glog.write(error.problems[0].message, glog.WARNING)
    with parameters.open_weights(path, verify=False) as stored:
        yield stored


def _warn_of_nothing(report: parameters.Report | None) -> None:
    if report is not None and report.missing and not report.copied:
        glog.write(f"{report.path}: no layer of the net is in this file", glog.WARNING)
