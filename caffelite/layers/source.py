"""What the layers that make batches from data have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.data.feed import Feed, Order
from caffelite.data.imagefiles import Reading
from caffelite.data.prefetch import Prefetch
from caffelite.data.transform import Transformer
from caffelite.errors import DataError, Problem, SnapshotError
from caffelite.layers.base import Arrays, Layer, Shapes, param_of
from caffelite.paths import find_path
from caffelite.schema.binary import read_blob
from caffelite.schema.bind import span_of
from caffelite.schema.common import TransformationParameter

MOST_SKIPPED = 100
"""Times the samples that there are, in rand_skip."""
MOST_LABELS = 2_000_000
"""More are not looked at before a run."""
MOST_AHEAD = 256
"""Batches that may be made ahead: all are in memory."""

OF_BOXES = ("emit_constraint", "distort_param", "expand_param")
"""Fields of transform_param (the SSD fork's) that AnnotatedData follows."""
OF_IMAGES = ("resize_param", "noise_param", "crop_h", "crop_w")
"""Those that `Transformer` follows."""


class Labels(NamedTuple):
    """Labels that a source holds."""

    values: Array
    whole: bool = True
    """All of them, or some of the first?"""


class SourceLayer(Layer):
    """A layer that makes one batch each forward pass and begins again at the end of its data.

    The last, short batch is filled up from the beginning of the next epoch, as Caffe's data layers
    do. `state()` says which samples have been used, so that a resumed run goes on with the next.

    `setup` describes the source: it may look into the data, but keeps only what it has learned of
    it, no open file and no array. `open` makes what a run needs, and finds data that has changed
    since.
    """

    bottoms = (0, 0)
    tops: ClassVar[tuple[int, int | None]] = (1, 2)
    source = True
    backward_reads = ()
    tested_in: ClassVar[str] = ""
    """The tests that hold the values against independent ones, where a Case cannot (files)."""

    reads_images: ClassVar[bool] = False
    """Are the samples image files, cropped from whatever size they have?"""
    gives_objects: ClassVar[bool] = False
    """Does the second top hold rows of objects, of eight numbers each?"""
    batch_size: int = 0
    """Samples a forward pass."""

    @property
    def epoch_size(self) -> int | None:
        """Samples in the source, known after setup; None: not known, or without end."""
        return None

    @property
    def class_names(self) -> list[str]:
        """The names of the classes in the order of their labels, known after setup; none if the
        data have no names."""
        return []

    @property
    def reading(self) -> Reading:
        """How image files are read for samples like this layer's: in colour or not, and resized to
        what; the size may be known only after setup."""
        return Reading()

    def order(self) -> Order | None:
        """The order in which a run takes the samples from its start on; None: not known."""
        return None

    def sample_name(self, index: int) -> str:
        """What people call the sample of this number: its file, if it has one of its own."""
        return f"sample {index}"

    def label_values(self) -> Labels | None:
        """The labels of the second top, to be looked at before a run; None: not known, or too
        many to read for that."""
        return None

    def other_label(self) -> str | None:
        """What else in the source looks like the label, as advice."""
        return None

    def stream(self, part: str = "") -> np.random.Generator:
        """A generator of this layer's own, whose state belongs in `state()`. From `open` on."""
        return self.streams.fresh(self.context.prefix + self.name + part)

    def check_batch_size(self, field: str) -> None:
        """Take batch_size from the parameter message `field`; refuse 0."""
        self.batch_size = self.spec.get(field).batch_size
        if not self.batch_size:
            self.fail("has no batch_size", field, "batch_size", expected="1 or more")

    def find(self, field: str, name: str = "source", what: str = "file") -> str:
        """The path that a field names."""
        given = self.spec.get(field).get(name)
        if not given:
            self.fail(f"has no {name}", field, name, expected=f"a {what}")
        span = span_of(self.spec, field, name)
        if not self.context.data:
            raise DataError(Problem(f'the {what} "{given}" is left out', span, absent=True))
        return find_path(given, self.context.folder, span, what, data=True)

    @contextmanager
    def placed(self, *path: str) -> Iterator[None]:
        """Errors of the data get this layer's name, and the place of the field `path`."""
        try:
            yield
        except (DataError, SnapshotError) as error:
            raise DataError(*[self._place(p, path) for p in error.problems]) from None

    def _place(self, problem: Problem, path: tuple[str, ...]) -> Problem:
        mine = f'layer "{self.name}" ({self.type}): '
        if problem.span is not None or problem.message.startswith(mine):
            return problem
        return replace(problem, message=mine + problem.message, span=span_of(self.spec, *path))


class FeedLayer(SourceLayer):
    """A source whose batches a feed makes. `setup` describes it (`use`), `make_feed` opens it."""

    transform: TransformationParameter = param_of(TransformationParameter, "transform_param")
    idle: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("transform_param.force_color", "transform_param.force_gray"),
        "it is for the images in a Data layer's records",
    )
    place: ClassVar[tuple[str, str]] = ("", "source")
    """The field that names the source: where errors of the data point."""
    augments: ClassVar[tuple[str, ...]] = ()
    """The fields of transform_param, of those that boxes need, that it follows."""
    _count: int | None = None
    _tops: tuple[Shape, ...] = ()

    def use(self, count: int | None, samples: Shapes, prefetch: int = 4) -> None:
        """Note that there are `count` samples, and the shapes of one `sample` in each top. Batches
        will be made ahead in a thread, `prefetch` of them (0: none)."""
        if prefetch > MOST_AHEAD:
            self.fail(
                f"prefetch is {prefetch}",
                self.place[0],
                "prefetch",
                expected=f"{MOST_AHEAD} or less",
            )
        self._count, self._prefetch = count, prefetch
        self._tops = tuple((self.batch_size, *shape) for shape in samples)

    def ordered(self, shuffle: bool, skip: int = 0) -> Order:
        """The order of samples that lie in one group."""
        order = Order([self._count or 0], shuffle, self.stream())
        order.take(skip)
        return order

    def make_feed(self) -> Feed:
        """Open the data, for one run."""
        raise TypeError(f"{self.type} has no feed")

    def open(self) -> None:
        with self.placed(*self.place):
            feed = self.make_feed()
        self.feed: Feed = Prefetch(feed, self._prefetch) if self._prefetch else feed

    @property
    def epoch_size(self) -> int | None:
        return self._count

    def reshape(self, bottom: Shapes) -> list[Shape]:
        return list(self._tops)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        try:
            self.feed.fill(top)
        except (DataError, SnapshotError):
            with self.placed(*self.place):
                raise

    def state(self) -> dict[str, Any]:
        return self.feed.state()

    def restore(self, state: dict[str, Any]) -> None:
        if not state:
            return
        with self.placed(*self.place):
            try:
                self.feed.restore(state)
            except (KeyError, TypeError, ValueError) as error:
                raise DataError(
                    f"the snapshot says of this layer what does not fit it ({error!r}); was it "
                    "made with another net?"
                ) from None

    def transformer(self) -> Transformer:
        """transform_param, with the mean file read and a stream of its own."""
        return self._transformer(self.stream("/transform"))

    def skip(self) -> int:
        """How many samples a run leaves out at its start: `rand_skip`, by chance."""
        limit = self.spec.get(self.place[0]).rand_skip
        return int(self.stream("/skip").integers(limit)) if limit else 0

    def check_skip(self, count: int) -> None:
        """Refuse a `rand_skip` of many times the samples that there are."""
        limit = self.spec.get(self.place[0]).rand_skip
        if limit > MOST_SKIPPED * count:
            self.fail(
                f"rand_skip is {limit}, and there are {count} samples",
                self.place[0],
                "rand_skip",
                expected=f"{MOST_SKIPPED * count} or less",
            )

    def prepared(self, sample: Shape) -> Shape:
        """The shape of a sample after transform_param, which is refused if it does not fit."""
        with self.placed("transform_param"):
            return self._transformer(None).shape(sample)

    def refuse_fields(self, *names: str) -> None:
        """Refuse these fields of transform_param, which this layer does not follow."""
        for name in names:
            if self.transform.has(name):
                self.fail(
                    f"transform_param's {name} is not followed by this type of layer",
                    "transform_param",
                    name,
                    expected="the layer without it",
                    hint="for a look at the net without its data: --shape",
                )

    def _transformer(self, rng: np.random.Generator | None) -> Transformer:
        param = self.transform
        self.refuse_fields(*(name for name in OF_BOXES if name not in self.augments))
        mean = None
        with self.placed("transform_param"):
            if param.has("mean_file"):
                mean = read_blob(self.find("transform_param", "mean_file", "mean file"))
            return Transformer(param, self.phase, self.dtype, rng, mean)
