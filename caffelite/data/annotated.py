"""Annotated records: images with boxes from an LMDB database, changed by chance together."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from caffelite.blob import Array
from caffelite.data.augment.boxes import covered, mirrored, project
from caffelite.data.augment.colors import as_bytes
from caffelite.data.augment.distort import distort, three_channels
from caffelite.data.augment.fitting import fit_boxes, rescale
from caffelite.data.augment.sampling import sample
from caffelite.data.datums import pixels
from caffelite.data.lmdbs import Database, record_name
from caffelite.data.transform import Placed, Transformer
from caffelite.errors import DataError
from caffelite.reading import check_limit
from caffelite.schema.annotated import AnnotatedDatum, AnnotationType
from caffelite.schema.augment import EmitType
from caffelite.schema.binary import decode
from caffelite.schema.common import TransformationParameter
from caffelite.schema.sampling import BatchSampler

NO_OBJECT = np.full((1, 8), -1.0)
"""The row of a batch without objects."""


class Annotated(NamedTuple):
    """An image and its objects."""

    image: Array
    """(C, H, W)"""
    objects: Array
    """(number, 7): class, number among those of its class, x1, y1, x2, y2, difficult; in parts of
    the image."""

    def boxed(self, image: Array, boxes: Array, kept: Array) -> Annotated:
        """Another image with those of the objects that are `kept`, in other places."""
        objects = self.objects[kept]
        objects[:, 2:6] = boxes[kept]
        return Annotated(image, objects)

    @property
    def boxes(self) -> Array:
        """(number, 4)"""
        return self.objects[:, 2:6]


def read_record(database: Database, key: bytes, value: bytes) -> tuple[AnnotatedDatum, str]:
    """A record, and what errors call it."""
    record = record_name(database, key)
    return decode(value, AnnotatedDatum, record), record


def objects_of(message: AnnotatedDatum, record: str) -> Array:
    """The objects of a record, (number, 7)."""
    rows = []
    for group in message.annotation_group:
        for each in group.annotation:
            box = each.bbox
            corners = [box.xmin, box.ymin, box.xmax, box.ymax]
            rows.append([group.group_label, each.instance_id, *corners, box.difficult])
    found = np.array(rows, np.float64).reshape(-1, 7)
    if not np.isfinite(found).all():
        raise DataError(f"{record} has a box whose corners are not numbers")
    return found


class Augment:
    """What is done to an image and its boxes before it is prepared (`Transformer`), in this order:
    colours are changed (distort_param), it is put on a larger ground (expand_param), and a part of
    it is cut out (batch_sampler)."""

    def __init__(
        self,
        param: TransformationParameter,
        samplers: Sequence[BatchSampler],
        rng: np.random.Generator | None,
        mean: Array | None = None,
    ) -> None:
        self.param, self._samplers, self._rng = param, samplers, rng
        self._distort = param.distort_param if param.has("distort_param") else None
        self._expand = param.expand_param if param.has("expand_param") else None
        self._ground = np.array(param.mean_value or [0.0])
        if mean is not None:
            self._ground = mean.reshape(mean.shape[-3:]).mean(axis=(1, 2))

    def check(self, channels: int, name: str) -> None:
        """Refuse images of so many channels if they cannot be changed like this."""
        for field in three_channels(self._distort) if self._distort and channels != 3 else ():
            raise DataError(f"{field} needs 3 channels, but {name} has {channels}")

    @property
    def random(self) -> bool:
        """Does chance have a part?"""
        return bool(self._samplers) or self._distort is not None or self._expand is not None

    def __call__(self, item: Annotated, record: str) -> Annotated:
        """An image of bytes and its objects, changed."""
        if self._rng is None or not self.random:
            return item
        if self._distort is not None:
            if item.image.dtype != np.uint8:
                raise DataError(f"distort_param is for images of bytes, and {record} holds floats")
            item = Annotated(distort(item.image, self._distort, self._rng), item.objects)
        if self._expand is not None and self._rng.random() <= self._expand.prob:
            ratio = self._rng.uniform(1, self._expand.max_expand_ratio)
            item = self.expanded(item, ratio, self._rng.random(), self._rng.random(), record)
        if self._samplers:
            part = sample(item.boxes, self._samplers, self._rng)
            item = item if part is None else self.cut(item, part)
        return item

    def expanded(
        self, item: Annotated, ratio: float, down: float, across: float, record: str
    ) -> Annotated:
        """The image on a ground `ratio` times as high and wide, at `down` and `across`, parts of
        the room that there is. The ground is mean_value, or the mean file's mean, or 0."""
        channels, rows, columns = item.image.shape
        height, width = int(rows * ratio), int(columns * ratio)
        check_limit("pixels", height * width, f"{record}, expanded,")
        if len(self._ground) not in (1, channels):
            raise DataError(
                f"{len(self._ground)} mean_value for the {channels} channels of {record}"
            )
        top, left = int(down * (height - rows)), int(across * (width - columns))
        image = np.empty((channels, height, width), item.image.dtype)
        bytes_ = image.dtype == np.uint8
        image[...] = (as_bytes(self._ground) if bytes_ else self._ground)[:, None, None]
        image[:, top : top + rows, left : left + columns] = item.image
        window = np.array([-left, -top, width - left, height - top]) / np.array(
            [columns, rows, columns, rows]
        )
        return self._seen(item, image, window)

    def cut(self, item: Annotated, part: Array) -> Annotated:
        """A part (4,) of the image, in whole pixels, and the objects that are seen in it."""
        part = np.clip(part, 0, 1)
        _, rows, columns = item.image.shape
        left, top = int(part[0] * columns), int(part[1] * rows)
        width = max(1, int((part[2] - part[0]) * columns))
        height = max(1, int((part[3] - part[1]) * rows))
        left, top = min(left, columns - width), min(top, rows - height)
        return self._seen(item, item.image[:, top : top + height, left : left + width], part)

    def _seen(self, item: Annotated, image: Array, window: Array) -> Annotated:
        boxes, seen = project(item.boxes, window)
        return item.boxed(image, boxes, seen & self.stays(item.boxes, window))

    def stays(self, boxes: Array, window: Array) -> Array:
        """Which boxes `emit_constraint` lets stay in a window."""
        if not self.param.has("emit_constraint"):
            return np.ones(len(boxes), bool)
        constraint = self.param.emit_constraint
        inside: Array
        if constraint.emit_type == EmitType.MIN_OVERLAP:
            inside = covered(boxes, window) > constraint.emit_overlap
            return inside
        centre = (boxes[:, :2] + boxes[:, 2:]) / 2
        inside = ((centre >= window[:2]) & (centre <= window[2:])).all(axis=1)
        return inside

    def placed(self, item: Annotated, placed: Placed) -> Array:
        """The objects (number, 7) of an image that has been prepared, in parts of that."""
        boxes, (_, rows, columns) = item.boxes, item.image.shape
        resize = self.param.resize_param if self.param.has("resize_param") else None
        if resize is not None:
            boxes = fit_boxes(boxes, resize, rows, columns)
        window = np.array(placed.window)
        inside, seen = project(boxes, window)
        seen &= self.stays(boxes, window)
        if placed.flip:
            inside = mirrored(inside)
        if resize is not None:
            height, width = placed.size
            share = window[2:] - window[:2]
            inside = rescale(inside, resize, height * share[1], width * share[0])
        return item.boxed(item.image, inside, seen).objects

    def state(self) -> dict[str, Any]:
        return dict(self._rng.bit_generator.state) if self._rng is not None and self.random else {}

    def restore(self, state: dict[str, Any]) -> None:
        if state and self._rng is not None:
            self._rng.bit_generator.state = state


class AnnotatedFeed:
    """The records of a database in the order of their keys, from the first again at the end.

    A batch's arrays have shapes of their own, so what is filled is an array of two objects: the
    images (N, C, H, W) and the rows of objects (1, 1, number, 8) or the labels (N,). The database
    is closed when the feed is no longer used. `boxes`: have the records boxes, or a label alone?
    `typed`: have they boxes whatever they say?"""

    def __init__(
        self,
        database: Database,
        augment: Augment,
        transformer: Transformer,
        batch: int,
        shape: tuple[int, ...],
        color: bool | None,
        boxes: bool,
        typed: bool,
        skip: int = 0,
    ) -> None:
        self._database, self._typed = database, typed
        self._augment, self._transformer = augment, transformer
        self._batch, self._shape, self._color, self._boxes = batch, shape, color, boxes
        self._skip = skip % database.count
        self._next: bytes | None = None
        weakref.finalize(self, database.close)

    def fill(self, out: Sequence[Array]) -> None:
        records, following = self._database.take(self._next, self._batch, self._skip)
        images: Array | None = None
        labels, rows = [], [np.empty((0, 8))]
        for index, (key, value) in enumerate(records):
            message, record = read_record(self._database, key, value)
            item = self._augment(self._item(message, record), record)
            shape = self._transformer.shape(item.image.shape, record)
            if images is None:
                images = np.empty((self._batch, *shape), self._transformer.dtype)
            if shape != images.shape[1:]:
                found, before = (" x ".join(map(str, s)) for s in (shape, images.shape[1:]))
                raise DataError(f"{record}, prepared, is {found}, but the others are {before}")
            placed = self._transformer(item.image, images[index])
            labels.append(message.datum.label)
            objects = self._augment.placed(item, placed)
            rows.append(np.insert(objects, 0, index, axis=1))
        every = np.concatenate(rows)
        out[0][0] = images
        out[0][1] = (every if len(every) else NO_OBJECT)[None, None]
        if not self._boxes:
            out[0][1] = np.array(labels, np.float64)
        self._next = following

    def _item(self, message: AnnotatedDatum, record: str) -> Annotated:
        image = pixels(message.datum, record, self._color)
        if len(image) != self._shape[0]:
            raise DataError(f"{record} has {len(image)} channels, but the first {self._shape[0]}")
        if not self._boxes:
            return Annotated(image, np.empty((0, 7)))
        if not (self._typed or message.has("type")):
            raise DataError(f"{record} has no type, BBOX, as the first record has")
        if not self._typed and message.type != AnnotationType.BBOX:
            raise DataError(f"{record} has annotations of another type than BBOX")
        return Annotated(image, objects_of(message, record))

    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = {
            "transform": self._transformer.state(),
            "augment": self._augment.state(),
        }
        return state if self._next is None else {**state, "next": self._next.hex()}

    def restore(self, state: dict[str, Any]) -> None:
        following = bytes.fromhex(state["next"]) if "next" in state else None
        if following is not None and not self._database.has(following):
            raise DataError(
                f'"{self._database.path}" has no record "{following!r}", where the snapshot says '
                "to go on"
            )
        self._transformer.restore(state["transform"])
        self._augment.restore(state["augment"])
        self._next = following
