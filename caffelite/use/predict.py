"""Ask a net about new samples.

    predictor = Predictor("lenet.net", "lenet_iter_10000.caffemodel")
    for found in predictor(["seven.png"]):
        print(found.source, found.top(3))

The net may be one that trains: it is used in its deploy form, and its data layers say how samples
are prepared and what the classes are called.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.data.imagefiles import Reading
from caffelite.deploy import Deployed, deploy_net
from caffelite.errors import CaffeliteError, NetError, Problem, Source, did_you_mean
from caffelite.files import load_net, parse_message
from caffelite.layers.base import Context, find
from caffelite.layers.source import SourceLayer
from caffelite.net import Net
from caffelite.plan.graph import included, state_for
from caffelite.schema.common import Phase, TransformationParameter
from caffelite.schema.net import NetParameter, NetState
from caffelite.use.preparing import Preparation, files_of

Named = tuple[str, Array]


@dataclass(frozen=True)
class Prediction:
    """What the net says of one sample."""

    source: str
    """Its file, with the row where there are more."""
    values: Array
    """The output's values for it: (classes,), or of more axes."""

    def top(self, count: int) -> list[tuple[int, float]]:
        """The classes with the highest scores, the best first. Of an output with a score for each
        place the share of places where a class is the best."""
        scores = self.values
        if scores.ndim > 1:
            best = scores.argmax(axis=0)
            scores = np.bincount(best.ravel(), minlength=len(scores)) / best.size
        order = np.argsort(-scores, kind="stable")[:count]
        return [(int(i), float(scores[i])) for i in order]


@dataclass(frozen=True)
class Options:
    """What may be said beside net and weights."""

    stages: Sequence[str] = ()
    level: int = 0
    shapes: Mapping[str, Shape] | None = None
    """Of inputs whose data are not here."""
    transform: str | None = None
    """A transform_param in text, in the place of the net's own."""
    size: tuple[int, int] = (0, 0)
    """Height and width that images are resized to before they are cropped; zeros: as in training,
    where the net says so."""
    blob: str | None = None
    """The output to show; None: probabilities if there are any, or else the last output."""
    skip_mismatch: bool = False


class Predictor:
    """A net with its weights, ready to be asked.

    `first` is a file of samples, which says the shape of the input where the net's data are not
    here. Raises CaffeliteError if the net takes more than one input or predicts nothing."""

    def __init__(
        self,
        path: str,
        weights: str,
        options: Options = Options(),
        first: str | None = None,
        note: Callable[[str], None] = print,
    ) -> None:
        param, folder = load_net(path), os.path.dirname(path)
        state = state_for(param, Phase.TEST, options.level, list(options.stages))
        context = Context(folder=folder)
        origin = _origin(param, state, context)
        self.names = _class_names(origin)
        """The classes' names as the net's data say them; none if they do not."""
        self.preparation = _preparation(origin, options, folder, note)
        deployed = self._deployed(param, state, context, origin, options.shapes, first)
        self.net = Net(deployed.net, Phase.TEST, folder=folder, seed=0)
        self.report = self.net.copy_from(weights, skip_mismatch=options.skip_mismatch)
        if self.report.missing:
            raise CaffeliteError(
                Problem(f"{weights} has no weights for {', '.join(self.report.missing)}")
            )
        if len(self.net.inputs) != 1:
            raise NetError(
                Problem(
                    f"the net takes {len(self.net.inputs)} inputs: {', '.join(self.net.inputs)}",
                    expected="one",
                    hint="in Python: net.forward(a=x, b=y)",
                )
            )
        self.input = self.net.inputs[0]
        self.output = self._choose(options.blob)

    def _deployed(
        self,
        param: NetParameter,
        state: NetState,
        context: Context,
        origin: SourceLayer | None,
        shapes: Mapping[str, Shape] | None,
        first: str | None,
    ) -> Deployed:
        try:
            return deploy_net(param, state, shapes, context)
        except CaffeliteError:
            if shapes or first is None or origin is None:
                raise
            staged = state_for(param, Phase.TEST, state.level, [*state.stage, "deploy"])
            with suppress(CaffeliteError):  # a net whose stage "deploy" says the shape itself
                return deploy_net(param, staged, shapes, context)
            shape = (1, *self.preparation.shape_for(first))
            return deploy_net(param, state, {origin.spec.top[0]: shape}, context)

    def _choose(self, name: str | None) -> str:
        net = self.net
        if name is not None:
            if name not in net.blobs:
                hint = did_you_mean(name, net.blobs)
                known = "one of " + ", ".join(net.blobs)
                raise NetError(Problem(f'no blob "{name}"', expected=known, hint=hint))
            return name
        blobs = net.plan.graph.blobs
        likely = [n for n in net.outputs if blobs[n].maker.cls.gives_probability]
        return (likely or net.outputs)[-1]

    @property
    def ranks(self) -> bool:
        """Are the values scores of classes, to be ranked?"""
        maker = self.net.plan.graph.blobs[self.output].maker
        count = self.net.blobs[self.output].shape[1:2]
        return bool(count and count[0] > 1) and (maker.cls.gives_probability or bool(self.names))

    @property
    def classes(self) -> int:
        """How many scores there are."""
        shape = self.net.blobs[self.output].shape
        return shape[1] if len(shape) > 1 else 1

    @property
    def shape(self) -> Shape:
        """The shape of one prepared sample."""
        return self.net.blobs[self.input].shape[1:]

    def __call__(self, paths: Sequence[str]) -> Iterator[Prediction]:
        """What the net says of all samples in files and folders."""
        return self.predict(self.samples(files_of(paths)))

    def samples(
        self, files: Iterable[str], problems: list[Problem] | None = None
    ) -> Iterator[Named]:
        """The samples of files, prepared. With a list of `problems` a file that cannot be used is
        added to it and passed over; otherwise CaffeliteError."""
        for path in files:
            try:
                yield from self.preparation.samples(path, self.shape)
            except CaffeliteError as error:
                if problems is None:
                    raise
                problems += error.problems

    def predict(self, samples: Iterable[Named]) -> Iterator[Prediction]:
        """What the net says of prepared samples. As many are asked about together as the net's
        batch holds."""
        batch: list[Named] = []
        room = self.net.blobs[self.input].shape[0]
        for sample in samples:
            batch.append(sample)
            if len(batch) == room:
                yield from self._run(batch, room)
                batch = []
        if batch:
            yield from self._run(batch, self._shrink(len(batch)))

    def _shrink(self, count: int) -> int:
        """Make the batch as small as this, if the net can be; how large it is then."""
        blob = self.net.blobs[self.input]
        room = blob.shape[0]
        try:
            blob.reshape(count, *self.shape)
            self.net.reshape()
            if self.net.blobs[self.output].shape[:1] == (count,):
                return count
        except CaffeliteError:
            pass  # the text fixes the batch
        blob.reshape(room, *self.shape)
        self.net.reshape()
        return room

    def _run(self, batch: list[Named], room: int) -> Iterator[Prediction]:
        blob = self.net.blobs[self.input]
        for row in range(room):  # the last batch is filled up with its own samples
            blob.data[row] = batch[row % len(batch)][1]
        self.net.forward(blobs=[self.output])
        found = self.net.blobs[self.output].data
        if not found.ndim or len(found) != room:
            raise NetError(
                Problem(
                    f'"{self.output}" has not one row for each of {room} samples',
                    hint="name another blob with --blob",
                )
            )
        for (name, _), values in zip(batch, found.copy()):
            yield Prediction(name, values)


def _origin(param: NetParameter, state: NetState, context: Context) -> SourceLayer | None:
    """The data layer, not set up, whose samples the net takes; None for a deploy net."""
    for spec in param.layer:
        if included(spec, state):
            cls = find(spec)
            if issubclass(cls, SourceLayer):
                return cls(spec, context)
    return None


def _preparation(
    origin: SourceLayer | None, options: Options, folder: str, note: Callable[[str], None]
) -> Preparation:
    param = TransformationParameter()
    if origin is not None and origin.spec.has("transform_param"):
        param = origin.spec.get("transform_param")
    if options.transform is not None:
        param = parse_message(Source("--transform", options.transform), TransformationParameter)
    table = {}
    if origin is not None and origin.spec.has("csv_data_param"):
        own = origin.spec.get("csv_data_param")
        table = {"delimiter": own.delimiter, "label": own.label}
    said: set[str] = set()

    def once(text: str) -> None:
        if text not in said:
            said.add(text)
            note(text)

    return Preparation.of(
        param,
        origin.reading if origin is not None else Reading(),
        folder,
        size=options.size,
        cropped=origin is not None and origin.reads_images,
        table=table,
        note=once,
    )


def _class_names(origin: SourceLayer | None) -> list[str]:
    if origin is None:
        return []
    try:
        origin.setup([])
    except CaffeliteError:
        return []  # the data are not here
    return origin.class_names
