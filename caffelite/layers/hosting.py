"""Hosting: what a class written for pycaffe's `Python` layers sees of the net around it.

Its methods are given blobs, as Caffe gives them: `setup(bottom, top)`, `reshape(bottom, top)`,
`forward(bottom, top)`, `backward(top, propagate_down, bottom)`. A host keeps the blobs and lets
them lie in the arrays of the pass that runs.
"""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from caffelite import mode
from caffelite.blob import Array, Blob, Shape
from caffelite.errors import CaffeliteError, NetError, Problem, did_you_mean
from caffelite.schema.bind import span_of
from caffelite.schema.net import LayerParameter


class LayerBlob(Blob):
    """A blob as a layer's code sees it. A top may be reshaped; its values stay if their number
    does. A bottom may be seen in another shape of as many values, until the next pass."""

    __slots__ = ()

    def __init__(self, shape: Shape, dtype: Any, fixed: bool = False) -> None:
        super().__init__(np.zeros(shape, dtype))
        self._on_reshape = self._reshape_alike if fixed else self._reshape

    def _reshape(self, shape: Shape) -> None:
        data = np.zeros(shape, self._data.dtype)
        if data.size == self._data.size:
            data[...] = self._data.reshape(shape)
        self._data, self._diff = data, None

    def _reshape_alike(self, shape: Shape) -> None:
        if math.prod(shape) != self._data.size:
            raise ValueError("a layer reshapes its tops; this is one of its bottoms")
        self._data = self._data.reshape(shape)
        self._diff = None if self._diff is None else self._diff.reshape(shape)

    def lie_in(self, data: Array) -> None:
        """From now on the values are those of this array."""
        if self._diff is not None and self._diff.shape != data.shape:
            self._diff = None
        self._data = data

    def fit(self, shape: Shape) -> None:
        """Zeros of this shape, unless it has it already."""
        if self.shape != shape:
            self.lie_in(np.zeros(shape, self._data.dtype))


class BlobVec(list[Blob]):
    """The parameters of a layer; in `setup` more can be added."""

    dtype: Any = np.float32

    def add_blob(self, *shape: int) -> None:
        """Add a parameter of this shape, zeros."""
        self.append(LayerBlob(tuple(int(n) for n in shape), self.dtype))


class Host:
    """One object of the class that a layer names, and the blobs that it is given.

    A top of the name of a bottom is the very blob, as in Caffe; both then have an array of their
    own, so that what else reads the bottom sees it unchanged."""

    def __init__(self, spec: LayerParameter, dtype: Any, phase: int, bottom: Sequence[Shape]):
        self.spec = spec
        self.code = self._make()
        self.blobs = BlobVec()
        self.blobs.dtype = dtype
        self.code.blobs = self.blobs
        self.code.param_str = self.code.param_str_ = spec.get("python_param").param_str
        self.code.phase = phase
        names = list(spec.bottom)
        self.same = [names.index(n) if n in names else None for n in spec.top]
        """For each top the bottom of its name."""
        fixed = [i not in self.same for i in range(len(bottom))]
        self.bottom = [LayerBlob(shape, dtype, only) for shape, only in zip(bottom, fixed)]
        self.top = [LayerBlob((), dtype) if b is None else self.bottom[b] for b in self.same]
        self.run("setup", self.bottom, self.top)
        self.run("reshape", self.bottom, self.top)

    @property
    def named(self) -> str:
        """The class, with its module."""
        param = self.spec.get("python_param")
        return f"{param.module}.{param.layer}"

    @property
    def shapes(self) -> list[Shape]:
        """Of the tops."""
        return [blob.shape for blob in self.top]

    def _make(self) -> Any:
        param, load = self.spec.get("python_param"), mode.request.import_layers
        assert load is not None
        module = self._try_import(load, param.module)
        cls = getattr(module, param.layer, None)
        if not isinstance(cls, type):
            known = [n for n, v in vars(module).items() if isinstance(v, type)]
            self.fail(
                f'there is no class "{param.layer}" in the module "{param.module}"',
                "layer",
                did_you_mean(param.layer, known),
            )
        return cls(self.spec)

    def _try_import(self, load: Callable[[str], Any], name: str) -> Any:
        try:
            return load(name)
        except CaffeliteError:
            raise
        except ModuleNotFoundError as error:
            if error.name != name:
                self._import_failed(name, error)
            self.fail(
                f'there is no module "{name}"',
                "module",
                "it is looked for in the current folder and where PYTHONPATH says",
            )
        except Exception as error:
            self._import_failed(name, error)

    def _import_failed(self, name: str, error: Exception) -> NoReturn:
        text = f'importing the module "{name}" failed: {type(error).__name__}: {error}'
        self.fail(text, "module", where(error), error)

    def fail(
        self, message: str, field: str, hint: str | None, cause: Exception | None = None
    ) -> NoReturn:
        """Refuse, with the place of a field of `python_param`."""
        head = f'layer "{self.spec.name}" ({self.spec.type}): '
        span = span_of(self.spec, "python_param", field)
        raise NetError(Problem(head + message, span, hint=hint)) from cause

    def run(self, method: str, *args: Any) -> None:
        """Call a method of the user's. On the command line what it raises is reported with the
        place of the layer; in a program it passes as it is."""
        try:
            getattr(self.code, method)(*args)
        except CaffeliteError:
            raise
        except Exception as error:
            if not mode.request.locate_errors:
                raise
            text = f"{self.named}.{method} raised {type(error).__name__}"
            self.fail(f"{text}: {error}" if str(error) else text, "layer", where(error), error)

    def show(self, bottom: Sequence[Array]) -> None:
        """Let the bottoms lie in these arrays; one that is a top too in a copy."""
        for i, (blob, array) in enumerate(zip(self.bottom, bottom)):
            blob.lie_in(array.copy() if i in self.same else array)


def where(error: Exception) -> str | None:
    """The line of code that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    if isinstance(error, SyntaxError):
        return f"{error.filename}, line {error.lineno}"
    return f"{frames[-1].filename}, line {frames[-1].lineno}" if frames else None
