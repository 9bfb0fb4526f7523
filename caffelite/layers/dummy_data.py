"""DummyData: blobs of constants or of random values."""

from __future__ import annotations

from caffelite.blob import Array, Shape
from caffelite.fillers import fill
from caffelite.layers.base import ANY, Arrays, Layer, Shapes, param_of, register
from caffelite.layers.cases import Case
from caffelite.schema.common import BlobShape, FillerParameter
from caffelite.schema.message import repeated
from caffelite.schema.net import LayerMessage


class DummyDataParameter(LayerMessage, field="dummy_data_param", number=109):
    """The shapes and the fillers; of each as many as tops, or one for all."""

    data_filler: list[FillerParameter] = repeated(
        1, FillerParameter, doc="what each top is filled with; none: zeros"
    )
    shape: list[BlobShape] = repeated(6, BlobShape, doc="each top's shape")
    num: list[int] = repeated(2, "uint32", deprecated=True, doc="old: extent of axis 0")
    channels: list[int] = repeated(3, "uint32", deprecated=True, doc="old: extent of axis 1")
    height: list[int] = repeated(4, "uint32", deprecated=True, doc="old: extent of axis 2")
    width: list[int] = repeated(5, "uint32", deprecated=True, doc="old: extent of axis 3")


@register
class DummyData(Layer):
    """Each top is what its filler makes: zeros if there is none.

    A constant top is filled once, so that values a user writes into it stay. All others are filled
    anew in each forward pass.

    Shapes: as `shape` says, or (num, channels, height, width).
    Source: https://caffe.berkeleyvision.org/tutorial/layers/dummydata.html
    """

    bottoms = (0, 0)
    tops = (1, ANY)
    source = True
    lasting = True
    backward_reads = ()
    param: DummyDataParameter = param_of(DummyDataParameter)
    cases = (
        Case(
            'type: "DummyData" dummy_data_param { shape { dim: 2 dim: 3 } '
            "data_filler { value: 0.5 } }",
            outputs={"y": [[0.5] * 3] * 2},
        ),
        Case(
            'type: "DummyData" dummy_data_param { num: 1 channels: 2 height: 1 width: 1 width: 2 }',
            outputs={"a": [[[[0.0]], [[0.0]]]], "b": [[[[0.0, 0.0]], [[0.0, 0.0]]]]},
        ),
        Case(
            'type: "DummyData" dummy_data_param { shape { dim: 2 } shape { } '
            'data_filler { type: "gaussian" } data_filler { value: 3 } }',
            outputs={"b": 3.0},
            tops=["a", "b"],
        ),
    )

    def setup(self, bottom: Shapes) -> None:
        self._fillers = self._each("data_filler") or [FillerParameter()] * len(self.spec.top)
        if old := [n for n in ("num", "channels", "height", "width") if self.param.has(n)]:
            if self.param.has("shape"):
                self.fail(f"shape and {old[0]} are both given", "dummy_data_param", old[0])
            extents = zip(*(self._each(n, True) for n in ("num", "channels", "height", "width")))
            self._shapes: list[Shape] = list(extents)
        else:
            self._shapes = [tuple(shape.dim) for shape in self._each("shape", True)]
        if any(n < 0 for shape in self._shapes for n in shape):
            self.fail("an extent is negative", "dummy_data_param", "shape")

    def _each(self, name: str, needed: bool = False) -> list:
        """A field's values, one for each top."""
        values, tops = self.param.get(name), len(self.spec.top)
        if len(values) not in ((1, tops) if needed else (0, 1, tops)):
            self.fail(
                f"{len(values)} {name} for {tops} tops" if values else f"{name} is missing",
                "dummy_data_param",
                name,
                expected=f"one {name} for each top, or one for all",
                hint="dummy_data_param { shape { dim: 64 dim: 3 dim: 28 dim: 28 } }",
            )
        return list(values) * (tops if len(values) == 1 else 1)

    def open(self) -> None:
        self._filled: list[Array | None] = [None] * len(self.spec.top)

    def reshape(self, bottom: Shapes) -> list[Shape]:
        return list(self._shapes)

    def fill_constants(self, top: Arrays) -> None:
        """Fill the constant tops that are not the arrays filled last time."""
        for i, (y, filler) in enumerate(zip(top, self._fillers)):
            if filler.type == "constant" and self._filled[i] is not y:
                fill(y, filler, self.rng)
                self._filled[i] = y

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        self.fill_constants(top)
        for y, filler in zip(top, self._fillers):
            if filler.type != "constant":
                fill(y, filler, self.rng)
