"""Stand-in data: a net whose data layers are replaced, so that it runs without its data.

The shapes are those that the user states, or else what the file says: batch size, crop or resized
size, colour. What a data layer is for is known by its tops' names: labels are one number a sample,
`im_info` and `gt_boxes` are those of Faster R-CNN, the first other top holds images.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from caffelite.blob import Shape
from caffelite.errors import CaffeliteError, NetError, Problem, did_you_mean
from caffelite.layers.base import Context, layer_class
from caffelite.layers.cell_loss import ReadsCells
from caffelite.layers.dummy_data import DummyData
from caffelite.layers.source import SourceLayer
from caffelite.plan.graph import included
from caffelite.report.fitting import fitted
from caffelite.report.inputs import as_input
from caffelite.report.sides import sides_of_net
from caffelite.schema.common import BlobShape, FillerParameter, Phase
from caffelite.schema.forks import refusals
from caffelite.schema.net import LayerParameter, NetParameter, NetState
from caffelite.text import Block, Scalar

_KNOWN: dict[str, tuple[Shape, tuple[float, ...]]] = {
    "im_info": ((1, 3), ()),
    "gt_boxes": ((1, 5), ()),
    "image_sizes": ((1, 2), ()),
}
"""Tops of Faster R-CNN's and Cascade R-CNN's data, whatever the batch."""
_FLOWS = ("FloData",)
"""Types of data layers that give a flow, of two channels, beside another layer's images."""
_BATCH = ("batch_size", "num", "batch")
_SIDES = (
    ("patch_size", "patch_size"),  # of JigsawPuzzleSolver, cut from each crop
    ("crop_size", "crop_size"),
    ("crop_h", "crop_w"),
    ("crop_size_y", "crop_size_x"),
    ("crop_height", "crop_width"),
    ("new_height", "new_width"),
    ("resize_height", "resize_width"),
    ("crop_long_size", "crop_short_size"),
    ("long_size", "short_size"),
    ("height", "width"),
)


def stand_in(
    net: NetParameter, states: Sequence[NetState], shapes: Mapping[str, Shape], folder: str = ""
) -> NetParameter:
    """The net with stand-in data in the place of every data layer of these states that is named
    in `shapes`, that is of an unknown type, whose data are not there, or that is refused for the
    fields of a fork; and with inputs of the shapes that are named.

    Images are normal random numbers; labels, regions and what Embed reads 0. Raises CaffeliteError
    for a name that no data layer makes, and for a shape that is neither stated nor to be inferred.
    """
    layers: list[LayerParameter] = []
    made: list[str] = []
    problems: list[Problem] = []
    wrong: list[Problem] = []
    said = _Said.of(net, states)
    standing: list[tuple[LayerParameter, bool]] = []
    for spec in net.layer:
        state = next((state for state in states if included(spec, state)), None)
        cls = layer_class(spec)
        if state is not None and cls is not None and cls.fed and not cls.lasting:
            made += spec.top
            if any(top in shapes for top in spec.top):
                spec = _reshaped(spec, shapes)
        elif state is not None and _replaceable(spec):
            made += spec.top
            if _needed(spec, state, shapes, folder):
                try:
                    stated = any(_number(spec, name) for name in _BATCH)
                    spec = _stand_in(spec, shapes, said)
                    standing.append((spec, stated))
                except CaffeliteError as error:
                    problems += error.problems
        layers.append(spec)
    for name in shapes:
        if name not in made:
            expected = "one of " + ", ".join(dict.fromkeys(made)) if made else None
            message = f'no data layer makes a blob "{name}"'
            wrong.append(Problem(message, expected=expected, hint=did_you_mean(name, made)))
    if wrong or problems:
        raise NetError(*(wrong or problems))
    result = net.copy()
    result.layer = layers
    for state in states:
        _fit(result, state, [made for made in standing if included(made[0], state)], shapes)
    return result


def _fit(
    net: NetParameter,
    state: NetState,
    made: list[tuple[LayerParameter, bool]],
    shapes: Mapping[str, Shape],
) -> None:
    """Give guessed tops of stand-in data the shapes that suit their readers; the sides of images
    stay, and so does a batch that is said, which stands beside the layer."""
    places: dict[str, BlobShape] = {}
    held: dict[str, set[int]] = {}
    for spec, said in made:
        said = said or any(top in shapes for top in spec.top)
        for top, place in zip(spec.top, spec.get("dummy_data_param").shape):
            if top not in shapes and top not in _KNOWN:
                places[top] = place
                held[top] = ({0} if said else set()) | ({2, 3} if len(place.dim) > 3 else set())

    def put(name: str, shape: Shape) -> None:
        places[name].dim = list(shape)

    if places:
        guesses = {name: tuple(place.dim) for name, place in places.items()}
        fitted(net, state, guesses, held, put)


def _reshaped(spec: LayerParameter, shapes: Mapping[str, Shape]) -> LayerParameter:
    """An Input with the shapes that are given, and else its own."""
    own = [tuple(shape.dim) for shape in spec.get("input_param").shape] or [()]
    own = own * len(spec.top) if len(own) == 1 else own
    return as_input(spec, [shapes.get(top, shape) for top, shape in zip(spec.top, own)])


def _replaceable(spec: LayerParameter) -> bool:
    if spec.bottom or not spec.top or not spec.type or spec.flawed:
        return False
    cls = layer_class(spec)
    return cls is None or cls.hosts or (cls.source and not cls.lasting)


def _needed(
    spec: LayerParameter, state: NetState, shapes: Mapping[str, Shape], folder: str
) -> bool:
    """Is the layer to be replaced: is it named, unknown, or without its data?"""
    cls = layer_class(spec)
    if cls is None or any(top in shapes for top in spec.top):
        return True
    if refusals(spec, spec.name, state.phase == Phase.TRAIN):
        return True
    try:
        layer = cls(spec, Context(state.phase, folder=folder))
        layer.setup([])
        layer.reshape([])
    except CaffeliteError:
        return True
    return False


@dataclass(frozen=True)
class _Said:
    """What the layers that read data say of them."""

    indices: frozenset[str]
    """Tops that Embed looks up."""
    sizes: Mapping[str, int]
    """How many values a sample of some labels has."""
    size: tuple[int, int] | None
    """Of images."""
    net: NetParameter

    @classmethod
    def of(cls, net: NetParameter, states: Sequence[NetState]) -> _Said:
        indices: set[str] = set()
        sizes: dict[str, int] = {}
        size: tuple[int, int] | None = None
        for spec in net.layer:
            if spec.has("embed_param"):
                indices.update(spec.bottom)
            if spec.bottom and any(included(spec, state) for state in states):
                reader = layer_class(spec)
                if reader is not None and issubclass(reader, ReadsCells):
                    size = size or reader.image_size(spec)
                    for labels in spec.bottom[1:2]:
                        sizes.setdefault(labels, reader.label_size(spec))
        return cls(frozenset(indices), sizes, size, net)


def _stand_in(
    spec: LayerParameter,
    shapes: Mapping[str, Shape],
    said: _Said,
) -> LayerParameter:
    given = [shapes.get(top) for top in spec.top]
    stated = next((shape[0] for shape in given if shape), None)
    batch = stated or next((n for name in _BATCH if (n := _number(spec, name))), 1)
    made = LayerParameter(name=spec.name, type=DummyData.type, top=list(spec.top))
    made.include, made.exclude = spec.include, spec.exclude
    made._span, made._spans = spec._span, dict(spec._spans)
    param = made.get("dummy_data_param")
    cls, seen_images = layer_class(spec), False
    maps = _label_maps(spec, given[0], batch)
    evaluated = "image_sizes" in spec.top  # EvalData of Cascade R-CNN, whose objects are rows of 8
    has_objects = cls is not None and issubclass(cls, SourceLayer) and cls.gives_objects
    for top, shape in zip(spec.top, given):
        fill = 1.0 if top in maps and len(maps[top]) == 2 else 0.0  # objects: to be ignored
        images = not _is_label(top) and top not in _KNOWN
        objects = has_objects and top != spec.top[0]
        if shape is None and top in maps:
            shape = maps[top]
        elif shape is None and top in _KNOWN:
            shape = (1, 8) if top == "gt_boxes" and evaluated else _KNOWN[top][0]
        elif shape is None and objects:
            shape = (1, 1, 1, 8)
        elif shape is None and top in said.sizes:
            shape, images = (batch, said.sizes[top]), False
        elif shape is None and (not images or seen_images):
            shape, images = ((batch, 5) if top.endswith("rois") else (batch,)), False
        elif shape is None and spec.type in _FLOWS:
            beside = next((s for s in shapes.values() if len(s) == 4), None)
            shape = (batch, 2, *beside[2:]) if beside else (batch,)
        elif shape is None:
            shape = _images(spec, top, batch, said)
        seen_images |= images
        param.shape.append(BlobShape(dim=list(shape)))
        filler = FillerParameter(value=fill)
        if images and top not in maps and not top.endswith("rois") and top not in said.indices:
            filler = FillerParameter(type="gaussian", std=1.0)
        if top == "gt_boxes" and not evaluated:  # a pixel, of class 1
            filler = FillerParameter(value=1.0)
        if objects or (top == "gt_boxes" and evaluated):  # none
            filler = FillerParameter(value=-1.0)
        param.data_filler.append(filler)
    made._explicit = True
    return made


def _label_maps(spec: LayerParameter, images: Shape | None, batch: int) -> dict[str, Shape]:
    """MS-CNN's labels: a map for each `downsample_rate`, of class, box and overlap at each cell;
    behind them the objects, (image, corners, class, to be ignored). Cascade R-CNN has a map for
    each `stride`, and objects with an eighth number: are they difficult?"""
    rates, strides, fields = (
        [int(v.raw) for n, v in _scalars(spec.to_block()) if n == name]
        for name in ("downsample_rate", "stride", "field_w")
    )
    width, half = (7, 0.0) if rates else (8, 0.5)
    if not rates and len(strides) == len(fields):
        rates = strides
    if not rates or len(spec.top) <= len(rates):
        return {}
    sides = (images or _images(spec, spec.top[0], batch))[2:]
    channels = (_number(spec, "coord_num") or 4) + 2
    found: dict[str, Shape] = {
        top: (batch, channels, *(int(n / max(rate, 1) + half) for n in sides))
        for top, rate in zip(spec.top[1:], rates)
    }
    return found | dict.fromkeys(spec.top[1 + len(rates) :], (1, width))


def _is_label(top: str) -> bool:
    return any(word in top.lower() for word in ("label", "target", "weight", "sim", "clip", "cont"))


def _images(spec: LayerParameter, top: str, batch: int, said: _Said | None = None) -> Shape:
    """N x C x H x W as far as the layer's text, or the net's, says it."""
    sides: Shape | None = next(
        ((h, w) for a, b in _SIDES if (h := _number(spec, a)) and (w := _number(spec, b))), None
    )
    if sides is None and said is not None:
        sides = said.size or sides_of_net(said.net, top)
    if sides is None:
        raise NetError(
            Problem(
                f'layer "{spec.name}" ({spec.type}): its data are not here, and the file does not '
                f'say how large "{top}" is',
                spec.span(),
                "its shape on the command line",
                f"--shape {top}={batch}x3x224x224",
            )
        )
    gray = _word(spec, "force_gray") in ("true", "1") or _off(spec, "is_color", "images_in_color")
    channels = _number(spec, "channels") or (1 if gray else 3)
    channels *= _number(spec, "images_per_blob") or 1  # MyCaffe's pairs
    cls, frames = layer_class(spec), _number(spec, "new_length")
    reads = cls is not None and "image_data_param" in cls.messages()
    video = spec.has("video_data_param")
    if video and (_word(spec, "modality") or _number(spec, "num_segments")):  # yjxiong's fork
        colours = channels if _word(spec, "modality") in ("RGB", "0") else 2  # flow: x and y
        gray = _word(spec, "grayscale") in ("true", "1") and colours > 2
        planes = max(frames, 1) * max(_number(spec, "num_segments"), 1)
        return (batch, planes * (1 if gray else colours), *sides)
    if frames and (video or spec.has("image_data_param")) and not reads:  # C3D's fork
        return (batch, channels, frames, *sides)
    return (batch, channels, *sides)


def _scalars(block: Block) -> Iterator[tuple[str, Scalar]]:
    for item in block.fields:
        if isinstance(item.value, Block):
            yield from _scalars(item.value)
        elif isinstance(item.value, Scalar):
            yield item.name, item.value


def _word(spec: LayerParameter, name: str) -> str:
    """The first value of a field of that name in the layer, whatever message it is in."""
    return next((str(v.value) for n, v in _scalars(spec.to_block()) if n == name), "")


def _off(spec: LayerParameter, *names: str) -> bool:
    """Does one of these switches say no?"""
    return any(_word(spec, name) in ("false", "0") for name in names)


def _number(spec: LayerParameter, name: str) -> int:
    word = _word(spec, name)
    return int(word) if word.isdecimal() else 0
