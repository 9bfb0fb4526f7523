"""Layer: the contract that every layer keeps.

A layer's life, in this order. It is planned:

1. `setup(bottom)`: once, with the bottoms' shapes. Check the parameters (`fail`) and declare the
   learned ones (`declare`). No arrays: `caffelite check` does this without running anything.
2. `reshape(bottom)`: check the shapes, give back the tops' shapes.

Each run of the plan takes a copy of the planned layer (`started`), which stays as it is:

3. `open()`: once. Make what changes from pass to pass: open files, start streams of chance.
4. `reshape(bottom)` again, now and whenever a shape changed.
5. `prepare()`: after each reshape, when `params`, `bottom_shapes` and `top_shapes` stand.
   Allocate scratch here, so that a pass in a steady state allocates nothing large.
6. `forward(bottom, top)`: write the tops' values into the arrays `top`.
7. `backward(top, top_diff, bottom, bottom_diff)`: overwrite each array of `bottom_diff` that is
   not None (None: that gradient is not needed), and add to `params[i].diff` where `learns[i]`.
   A layer that `overwrites` writes `params[i].diff` instead while `gradients.fresh` is true.

All arrays of a net have one type, float32 or float64; labels too. Bottoms may be non-contiguous
and must not be changed; arrays that are written (tops, diffs) are C-contiguous. A layer with
`in_place` may be given one array as bottom and top, and one as their gradients.

Chance comes from `self.rng` only, so that a seed repeats a run.
"""

from __future__ import annotations

import builtins
import copy
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NoReturn, Protocol, TypeVar, Union, cast, runtime_checkable

import numpy as np

from caffelite import kernels
from caffelite.blob import Array, Blob, Shape
from caffelite.errors import NetError, Problem
from caffelite.layers.registry import find as find
from caffelite.layers.registry import layer_class as layer_class
from caffelite.layers.registry import register as register
from caffelite.layers.registry import registry as registry
from caffelite.schema.bind import span_of
from caffelite.schema.bounds import out_of_bounds
from caffelite.schema.common import FillerParameter, Phase
from caffelite.schema.message import Message
from caffelite.schema.net import LayerMessage, LayerParameter
from caffelite.streams import Streams

M = TypeVar("M", bound=Message)
Shapes = Sequence[Shape]
Arrays = Sequence[Array]
Diffs = Sequence[Union[Array, None]]

ANY = None
"""In `bottoms` and `tops`: no upper limit."""
MOST = 2**31 - 1
"""The most values that a blob may hold, as in Caffe."""


@dataclass(frozen=True)
class Context:
    """What a layer knows of its surroundings."""

    phase: Phase = Phase.TEST
    dtype: Any = np.float32
    prefix: str = ""  # of the names of this net's random streams: "train/", "test0/"
    folder: str = ""  # of the net's file: where relative paths are looked for second
    data: bool = True  # may files of data be looked for?


@dataclass(frozen=True)
class Declared:
    """A learned parameter that a layer asks for."""

    shape: Shape
    filler: FillerParameter
    fixed: bool = False  # not learned: statistics and the like
    rated: bool = False  # an lr_mult in the text is passed over where it is fixed


class Gradients:
    """Do the gradients of a run's parameters hold anything yet? One for all of its layers."""

    __slots__ = ("fresh",)

    def __init__(self, fresh: bool = False) -> None:
        self.fresh = fresh
        """True in the first backward pass since they were cleared: write. False: add."""


class ParamField:
    """A layer's access to its message; see `param_of`."""

    def __init__(self, message: type[Message], field: str) -> None:
        self.message, self.field = message, field

    def __get__(self, layer: Layer | None, owner: type) -> Any:
        return self if layer is None else layer.spec.get(self.field)


def param_of(message: type[Message], field: str = "") -> Any:
    """Declare which message a layer reads: `param: PoolingParameter = param_of(PoolingParameter)`
    gives `layer.param`, which is `layer.spec.pooling_param`."""
    return ParamField(message, field or cast("type[LayerMessage]", message).layer_field)


class Layer:
    """One step of a net. See the module for the contract."""

    type: ClassVar[str] = ""
    """The name in net files; the class's name if not given."""
    bottoms: ClassVar[tuple[int, int | None]] = (1, 1)
    tops: ClassVar[tuple[int, int | None]] = (1, 1)
    """How many bottoms and tops: at least, at most."""
    in_place: bool = False
    """Right when bottom and top are one array?"""
    backward_reads: tuple[str, ...] = ("bottom", "top")
    """Whose values backward needs; decides what in-place layers may overwrite."""
    loss: ClassVar[bool] = False
    """Does the first top count in the objective, with weight 1 unless the text says otherwise?"""
    compares: ClassVar[bool] = False
    """Does it hold scores, bottom 0, against labels or targets, bottom 1?"""
    learns_labels: ClassVar[bool] = False
    """Of a layer that compares: is a score right when it is the label itself, 0 or 1?"""
    gives_probability: ClassVar[bool] = False
    """Are the top's values probabilities?"""
    prediction: ClassVar[str] = ""
    """Of a loss: the type of layer that it applies to bottom 0 before it compares, if any."""
    reads_probability: ClassVar[bool] = False
    """Of a loss: must bottom 0 be probabilities?"""
    labels_are_classes: ClassVar[bool] = False
    """Of a layer that compares: are the labels, bottom 1, numbers of classes?"""
    rectifies: ClassVar[bool] = False
    """Do negative values become 0, or small?"""
    standardizes: ClassVar[bool] = False
    """Does every channel get mean 0 and variance 1, with no learned scale and shift?"""
    rescales: ClassVar[bool] = False
    """Does every channel get a learned scale?"""
    rearranges: ClassVar[bool] = False
    """Are the top's values the bottom's, in another shape or order?"""
    pixels: ClassVar[bool] = False
    """Of a source: are the values bytes, 0 to 255, unless transform_param scales them?"""
    higher_is_better: ClassVar[bool | None] = None
    """Of a top that says how good a net is: is higher better? None: no such top."""
    tallies: ClassVar[bool] = False
    """Are the top's rows judged detections, of which a test makes one number for all batches?"""
    deployed: ClassVar[bool] = True
    """May a net in use have it? (No if it makes targets, chooses samples, measures or writes files;
    losses and data layers may not either.)"""
    source: ClassVar[bool] = False
    """Does it make data from nothing? (Then there is no gradient to pass.)"""
    fed: ClassVar[bool] = False
    """Are the tops filled from outside, by the user? (Then `forward` has nothing to do.)"""
    repeatable: bool = True
    """Does a second forward pass over the same bottoms give the same tops, and change nothing else?
    (No where chance, running statistics or a place in the data have a part.)"""
    overwrites: ClassVar[bool] = False
    """Does the backward pass write the parameters' gradients while `gradients.fresh` is true?"""
    by_rule: ClassVar[tuple[int, ...]] = ()
    """Numbers of the parameters whose diff is a rule of its own, not the objective's gradient."""
    lasting: ClassVar[bool] = False
    """Do the tops keep their values from pass to pass? (Then no layer may overwrite them.)"""
    dynamic: ClassVar[bool] = False
    """Do the tops' shapes depend on the bottoms' values? (Then see `reshape_to`.)"""
    hosts: ClassVar[bool] = False
    """Does it run code of the user's?"""
    one_image: ClassVar[bool] = False
    """Does it take one image at a time only?"""
    python: ClassVar[tuple[tuple[str, str], ...]] = ()
    """Caffe's Python layers that it stands for: last part of the module's name, class's name."""
    idle: ClassVar[Mapping[str, str]] = {}
    """Fields of shared messages, "loss_param.ignore_label", that it does not follow: why."""
    extension: ClassVar[str] = ""
    """Where a layer that is not of Caffe 1.0 comes from."""
    tested_in: ClassVar[str] = ""
    """The file of its tests, for a layer whose outputs no `Case` can say (data from files)."""
    cases: ClassVar[tuple[Any, ...]] = ()
    """Small examples with expected values: `layers.cases.Case`."""

    kernels = kernels
    streams: Streams
    """The run's random streams; set when the layer starts."""

    def __init__(self, spec: LayerParameter, context: Context | None = None) -> None:
        self.spec = spec
        self.name: str = spec.name
        self.context = context or Context()
        self.phase = self.context.phase
        self.dtype = np.dtype(self.context.dtype)
        self.declared: list[Declared] = []
        # These stand from `started` on.
        self.params: Sequence[Blob] = ()
        self.learns: Sequence[bool] = ()
        self.gradients = Gradients()
        self.bottom_shapes: list[Shape] = []
        self.top_shapes: list[Shape] = []
        wrong = list(out_of_bounds(spec))
        if wrong:  # text has been held to its bounds already; other messages are here
            head = f'layer "{spec.name}" ({self.type}): '
            raise NetError(*(replace(p, message=head + p.message) for p in wrong))

    def started(
        self,
        params: Sequence[Blob],
        learns: Sequence[bool],
        streams: Streams,
        gradients: Gradients | None = None,
    ) -> Layer:
        """A copy of this planned layer, to run."""
        layer = copy.copy(self)
        layer.params, layer.learns, layer.streams = params, learns, streams
        layer.gradients = gradients or Gradients()
        layer.open()
        return layer

    @classmethod
    def chosen(cls, spec: LayerParameter) -> builtins.type[Layer]:
        """The class for a layer of this type: another one where its fields ask for it."""
        return cls

    # What a layer defines.

    def setup(self, bottom: Shapes) -> None:
        """Check the parameters and declare the learned ones."""

    def reshape(self, bottom: Shapes) -> list[Shape]:
        """The shapes of the tops for these shapes of the bottoms."""
        return list(bottom)

    def open(self) -> None:
        """Make what changes from pass to pass: open files, start streams of chance."""

    def prepare(self) -> None:
        """Allocate scratch; the shapes and parameters stand."""

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        """Write the tops."""
        self.fail("has no forward pass", expected="a method forward(self, bottom, top)")

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        """Write the bottoms' gradients, add to the parameters'."""
        known = "backward(self, top, top_diff, bottom, bottom_diff)"
        self.fail("has no backward pass", expected=f"a method {known}")

    def propagates(self, index: int) -> bool:
        """Is there a gradient for this bottom? (No for labels and the like.)"""
        return not self.source

    def reshape_to(self, bottom: Arrays) -> list[Shape]:
        """A dynamic layer's top shapes, from its bottoms' values."""
        return self.top_shapes

    def why_not_finite(self, bottom: Arrays) -> str:
        """Why these finite bottoms give values or gradients that are not finite; "": no reason of
        the layer's own. Asked when a run cannot go on."""
        return ""

    def multiply_adds(self, bottom: Shapes, top: Shapes) -> int:
        """How many products with learned weights a forward pass takes, as papers count them;
        biases, pooling, normalisation and activations are left out."""
        return 0

    def state(self) -> dict[str, Any]:
        """What a snapshot must keep beside parameters and random streams, for JSON."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to a `state()`."""

    # What a layer uses.

    def declare(
        self,
        shape: Iterable[int],
        filler: FillerParameter | None = None,
        fixed: bool = False,
        rated: bool = False,
    ) -> None:
        """Ask for a parameter; without a filler it starts at zero. A `fixed` one is not learned,
        and an lr_mult for it is a mistake unless it is `rated`."""
        extents = tuple(int(n) for n in shape)
        if math.prod(extents) > MOST:
            self.fail(
                f"parameter {len(self.declared)} would be {show(extents)}",
                expected=f"at most {MOST} values",
            )
        self.declared.append(Declared(extents, filler or FillerParameter(), fixed, rated))

    def need_values(self, bottom: Shapes) -> None:
        """Refuse bottoms without any values, for a layer that cannot do with none."""
        for i, (name, shape) in enumerate(zip(self.spec.bottom, bottom)):
            if not math.prod(shape):
                said = f'bottom "{name}" is {show(shape)}: it has no values'
                self.fail(said, "bottom", index=i, expected="at least one sample")

    @property
    def rng(self) -> np.random.Generator:
        """This layer's own random stream."""
        return self.streams.get(self.context.prefix + self.name)

    def axis(self, axis: int, ndim: int, *path: str, end: bool = False) -> int:
        """A possibly negative axis as 0..ndim-1 (`end`: ndim too); refused when out of range.
        `path` names its field, for the error: "concat_param", "axis"."""
        limit = ndim + 1 if end else ndim
        if not -limit <= axis < limit:
            self.fail(
                f"axis {axis} is out of range for a blob of {ndim} axes",
                *path,
                expected=f"an axis from {-limit} to {limit - 1}",
            )
        return axis + limit if axis < 0 else axis

    def fail(
        self,
        message: str,
        *path: str,
        index: int = 0,
        expected: str | None = None,
        hint: str | None = None,
    ) -> NoReturn:
        """Refuse, with this layer's name and the place of the field that `path` names; of a
        repeated field (bottoms) of its `index`-th value."""
        raise NetError(
            Problem(
                f'layer "{self.name}" ({self.type}): {message}',
                span_of(self.spec, *path, index=index),
                expected,
                hint,
            )
        )

    def need(self, *path: str, expected: str) -> None:
        """Refuse the layer unless the field that `path` names is given."""
        *outer, name = path
        message: Message = self.spec
        for group in outer:
            message = message.get(group)
        if not message.has(name):
            self.fail(f"{name} is missing", *path, expected=expected)

    def same_shapes(self, bottom: Shapes) -> None:
        """Refuse bottoms whose shapes differ."""
        for i, shape in enumerate(bottom):
            if shape != bottom[0]:
                self.fail(
                    f'bottom "{self.spec.bottom[i]}" is {show(shape)}, but '
                    f'"{self.spec.bottom[0]}" is {show(bottom[0])}',
                    "bottom",
                    index=i,
                    expected="bottoms of one shape",
                )

    @classmethod
    def messages(cls) -> dict[str, builtins.type[Message]]:
        """The `*_param` fields that this type of layer reads."""
        found: dict[str, builtins.type[Message]] = {}
        for base in cls.__mro__:
            for value in vars(base).values():
                if isinstance(value, ParamField):
                    found.setdefault(value.field, value.message)
        return found


class LossLayer(Layer):
    """A layer whose first top, a scalar, is a term of the objective.

    Its top's diff holds the loss weight. Bottom 1 is the label or target; most losses pass it no
    gradient."""

    bottoms = (2, 2)
    tops = (0, 1)
    loss = True
    compares = True
    floor: ClassVar[float] = 0.0
    """The least that a label's probability p counts as in -ln p, where the loss is the mean of
    that; 0: it is no such loss."""

    def reshape(self, bottom: Shapes) -> list[Shape]:
        return [()]

    def propagates(self, index: int) -> bool:
        return index != 1


@runtime_checkable
class TakesArrays(Protocol):
    """A layer that serves arrays which a program hands over."""

    def set_input_arrays(self, data: Any, labels: Any) -> None:
        """Serve these samples from now on."""


def show(shape: Shape) -> str:
    """A shape for people: "64 x 3 x 28 x 28 (150528)"."""
    if not shape:
        return "a scalar"
    return f"{' x '.join(map(str, shape))} ({math.prod(shape)})"
