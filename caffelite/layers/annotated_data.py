"""AnnotatedData: images and their boxes from an LMDB database."""

from __future__ import annotations

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.data.annotated import AnnotatedFeed, Augment, read_record
from caffelite.data.datums import pixels
from caffelite.data.feed import Order
from caffelite.data.imagefiles import Reading
from caffelite.data.labelmap import class_names, read_label_map
from caffelite.data.lmdbs import name_at, open_database
from caffelite.errors import DataError, NetError, Problem, SnapshotError
from caffelite.layers.base import Arrays, Shapes, param_of, register
from caffelite.layers.data import refuse_leveldb
from caffelite.layers.source import FeedLayer
from caffelite.schema.annotated import AnnotationType
from caffelite.schema.augment import Resize_mode
from caffelite.schema.data import DataParameter
from caffelite.schema.message import Message, field, repeated
from caffelite.schema.net import LayerMessage
from caffelite.schema.sampling import BatchSampler

_RANGES = (
    ("scale", "sampler"),
    ("aspect_ratio", "sampler"),
    ("jaccard_overlap", "sample_constraint"),
    ("sample_coverage", "sample_constraint"),
    ("object_coverage", "sample_constraint"),
)


class AnnotatedDataParameter(LayerMessage, field="annotated_data_param", number=200):
    """Which parts of images are used, and what their classes are called."""

    batch_sampler: list[BatchSampler] = repeated(
        1, BatchSampler, doc="each draws parts; one of them all is the image; none: the whole image"
    )
    label_map_file: str = field(2, "string", doc="the names of the classes (LabelMap)")
    anno_type: AnnotationType = field(
        3, AnnotationType, doc="what the records hold, whatever they say: BBOX"
    )


@register
class AnnotatedData(FeedLayer):
    """Images and their boxes from an LMDB database of AnnotatedDatum records: what SSD trains on.

    For each image, in this order:

    1. `distort_param`: brightness, contrast, saturation and hue are changed by chance.
    2. `expand_param`: by chance it is put on a ground up to max_expand_ratio times as wide and
       high, of mean_value, or the mean file's mean, or 0.
    3. `batch_sampler`: each draws parts of the image, of a scale and an aspect ratio in bounds,
       until max_sample of them have in common with an object what `sample_constraint` asks for, or
       max_trials are drawn. Of what all samplers have found one part is cut out; none: the image.
    4. `resize_param`, `noise_param`; then crop, mirror, mean and scale as in Data.

    Boxes move with the image, are cut to what is seen, and are left out where nothing is, or where
    `emit_constraint` does not let them stay. All of this is done in both phases.

    Shapes: data (N, C, H, W); label (1, 1, number, 8), known after the pass only, a row for each
    box: image, class, number among those of its class, x1, y1, x2, y2 (in parts of the image),
    difficult; one row of −1 if there is no box. Records without a type hold a label each: (N,).
    FIT_SMALL_SIZE, whose images differ in size, needs batch_size 1; then data's H and W are known
    after the pass only. `label_map_file` gives the classes their names.

    Unlike the original, images are not compressed as JPEG between the steps, raw pixels are changed
    as well, and the mean file of an expanded image is its mean. It reads no LevelDB.
    Source: Liu et al. 2016, SSD; weiliu89/caffe, branch ssd.
    """

    pixels = True
    dynamic = True
    gives_objects = True
    extension = "SSD fork (weiliu89/caffe), annotated_data_param = 200"
    augments = ("emit_constraint", "distort_param", "expand_param")
    tested_in = "tests/data/test_annotated.py"
    place = ("data_param", "source")
    param: DataParameter = param_of(DataParameter)
    annotated: AnnotatedDataParameter = param_of(AnnotatedDataParameter)
    _made: list[Array] | None = None
    _names: tuple[str, ...] = ()

    def setup(self, bottom: Shapes) -> None:
        self._check()
        param = self.param
        self._path = self.find("data_param", what="database")
        with self.placed(*self.place), open_database(self._path) as database:
            count = database.count
            ((first,), _) = database.take(None, 1)
            message, record = read_record(database, *first)
            self._record = pixels(message.datum, record, self._color()).shape
        self._boxes = self.annotated.has("anno_type") or message.has("type")
        with self.placed("transform_param"):
            Augment(self.transform, (), None).check(self._record[0], record)
        if self.annotated.has("label_map_file"):
            path = self.find("annotated_data_param", "label_map_file", "label map")
            with self.placed("annotated_data_param", "label_map_file"):
                self._names = tuple(class_names(read_label_map(path)))
        self.check_skip(count)
        self.use(count, [self.prepared(self._record), ()], param.prefetch)

    def _check(self) -> None:
        """What the text alone says."""
        transform = self.transform
        refuse_leveldb(self, self.param)
        self.check_batch_size("data_param")
        small = transform.resize_param.resize_mode == Resize_mode.FIT_SMALL_SIZE
        if transform.has("resize_param") and small and self.batch_size != 1:
            self.fail(
                f"batch_size is {self.batch_size}, but FIT_SMALL_SIZE gives images of many sizes",
                "data_param",
                "batch_size",
                expected="batch_size: 1, or another resize_mode",
            )
        for sampler in self.annotated.batch_sampler:
            for name, group in _RANGES:
                self._check_range(sampler.get(group), f"min_{name}", f"max_{name}")
        distort = transform.distort_param
        for name in ("contrast", "saturation"):
            if distort.get(f"{name}_prob") > 0:
                self._check_range(distort, f"{name}_lower", f"{name}_upper", True)
        emit = transform.emit_constraint
        if emit.emit_type.name == "MIN_OVERLAP" and not emit.has("emit_overlap"):
            self.fail(
                "MIN_OVERLAP has no emit_overlap",
                "transform_param",
                "emit_constraint",
                expected="emit_overlap, the share of a box that must be seen, 0 to 1",
            )

    def _check_range(self, message: Message, low: str, high: str, both: bool = False) -> None:
        given = message.has(low) and message.has(high)
        counts = given or both or message.specs[low].default is not None
        if counts and message.get(low) > message.get(high):
            said = f"{high} is {message.get(high):g}, below {low}, {message.get(low):g}"
            expected = f"{low} or more"
            where = message.span(high) or self.spec.span()
            head = f'layer "{self.name}" ({self.type}): '
            raise NetError(Problem(head + said, where, expected))

    def reshape(self, bottom: Shapes) -> list[Shape]:
        label: Shape = (1, 1, 1, 8) if self._boxes else (self.batch_size,)
        return [self._tops[0], label][: len(self.spec.top)]

    def reshape_to(self, bottom: Arrays) -> list[Shape]:
        made = np.empty(2, object)
        try:
            self.feed.fill([made])
        except (DataError, SnapshotError):
            with self.placed(*self.place):
                raise
        self._made = list(made)
        return [values.shape for values in self._made][: len(self.spec.top)]

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        if self._made is None:
            self.reshape_to(bottom)
        for y, values in zip(top, self._made or ()):
            np.copyto(y, values)
        self._made = None

    @property
    def reading(self) -> Reading:
        shape = getattr(self, "_record", (3, 0, 0))  # before setup it is not known
        return Reading(shape[0] == 3)

    @property
    def class_names(self) -> list[str]:
        return list(self._names)

    def order(self) -> Order:
        return self.ordered(False, self.skip())

    def sample_name(self, index: int) -> str:
        return name_at(self._path, index)

    def make_feed(self) -> AnnotatedFeed:
        transformer = self.transformer()
        augment = Augment(
            self.transform, self.annotated.batch_sampler, self.stream("/augment"), transformer.mean
        )
        return AnnotatedFeed(
            open_database(self._path),
            augment,
            transformer,
            self.batch_size,
            self._record,
            self._color(),
            self._boxes,
            self.annotated.has("anno_type"),
            self.skip(),
        )

    def _color(self) -> bool | None:
        if self.transform.force_color and self.transform.force_gray:
            self.fail("force_color and force_gray are both set", "transform_param", "force_gray")
        if self.transform.force_color or self.param.force_encoded_color:
            return True
        return False if self.transform.force_gray else None
