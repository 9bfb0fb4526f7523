"""TextData: a text, piece by piece, for nets that predict its next byte."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.errors import DataError
from caffelite.layers.base import Arrays, Shapes, param_of, register
from caffelite.layers.source import SourceLayer
from caffelite.reading import check_limit, check_plain, plain_file
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage


class TextDataParameter(LayerMessage, field="text_data_param", number=20015):
    """A file, and how it is cut into pieces."""

    source: str = field(1, "string", doc="the file: any, it is read as bytes")
    batch_size: int = field(2, "uint32", doc="streams N: places at which it is read side by side")
    seq_len: int = field(3, "uint32", doc="steps T: bytes of each stream per forward pass")
    begin: float = field(4, "float", default=0.0, doc="where the part that is used begins, 0 to 1")
    end: float = field(5, "float", default=1.0, doc="where it ends: 0.9 leaves a tenth for testing")


@register
class TextData(SourceLayer):
    """The bytes of a file in order, and for each the one that follows it.

    With N = `batch_size` and T = `seq_len`, the used part of the file, L bytes, is cut into N
    streams of S = ⌊(L−1)/N⌋ bytes. Each forward pass gives the next T bytes of every stream; after
    the last one a stream begins again.
    data[t,n] = stream n's byte at step t;  label[t,n] = the byte after it, what is to be predicted;
    cont[t,n] = 0 at a stream's first byte, where a recurrent layer must forget, and 1 elsewhere.

    Shapes: data, cont and label are (T, N), as LSTM and RNN expect; their values are bytes, 0 to
    255, whatever the file: Embed needs input_dim: 256, and a trained net fits any other text.
    An epoch is ⌊S/T⌋ passes. There is no chance in it.
    Source: the data of https://karpathy.github.io/2015/05/21/rnn-effectiveness; the layer is an
    extension of caffelite.
    """

    extension = "caffelite's own; text_data_param = 20015"
    tops = (1, 3)
    tested_in = "tests/layers/test_text_data.py"
    param: TextDataParameter = param_of(TextDataParameter)

    def setup(self, bottom: Shapes) -> None:
        p = self.param
        self.check_batch_size("text_data_param")
        if not p.seq_len:
            self.fail("has no seq_len", "text_data_param", "seq_len", expected="1 or more")
        if not 0 <= p.begin < p.end <= 1:
            self.fail(
                f"begin is {p.begin:g} and end is {p.end:g}",
                "text_data_param",
                "begin" if p.has("begin") else "end",
                expected="parts of the file, 0 <= begin < end <= 1",
            )
        self._path = self.find("text_data_param")
        with self.placed("text_data_param", "source"):
            size = check_plain(self._path)
            check_limit("text", size, f'"{self._path}"')
        self._range = round(p.begin * size), round(p.end * size)
        length = self._range[1] - self._range[0]
        self._stream = (length - 1) // self.batch_size
        if self._stream < 1:
            self.fail(
                f'{length} bytes of "{self._path}" for {self.batch_size} streams',
                "text_data_param",
                "source",
                expected=f"{self.batch_size + 1} bytes or more",
            )

    def open(self) -> None:
        self._starts = self._stream * np.arange(self.batch_size)
        self._at = 0

    def reshape(self, bottom: Shapes) -> list[Shape]:
        return [(self.param.seq_len, self.batch_size)] * 3

    @cached_property
    def _bytes(self) -> Array:
        start, end = self._range
        with self.placed("text_data_param", "source"):
            with plain_file(self._path) as file:
                file.seek(start)
                data = file.read(end - start)
            if len(data) < end - start:
                raise DataError(f'"{self._path}" has become shorter since the net was made')
        return np.frombuffer(data, np.uint8)

    @property
    def epoch_size(self) -> int:
        """Pieces of `seq_len` bytes in all streams."""
        return max(1, self._stream // self.param.seq_len) * self.batch_size

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        step = (self._at + np.arange(self.param.seq_len)) % self._stream
        self._at = (self._at + self.param.seq_len) % self._stream
        place = step[:, None] + self._starts
        values = (self._bytes[place], (step > 0)[:, None], self._bytes[place + 1])
        for blob, value in zip(top, values):
            blob[...] = value

    def state(self) -> dict[str, Any]:
        return {"at": self._at}

    def restore(self, state: dict[str, Any]) -> None:
        self._at = state.get("at", 0) % self._stream
