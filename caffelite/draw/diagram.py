"""From a net's text to boxes and arrows.

Layers that change a blob in passing (activations, normalisation, whatever works in place) become
strips of the box that made it. A label that is needed far from its data layer is named again
where it is read, instead of a line across the whole picture. Nothing is refused: unknown types,
missing bottoms and data that are not here are drawn as far as they are known.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from caffelite.blob import Shape
from caffelite.draw.kinds import FOLDED, caption, kind_of
from caffelite.errors import CaffeliteError
from caffelite.layers.base import Context, layer_class
from caffelite.plan.graph import included
from caffelite.schema.net import LayerParameter, NetParameter, NetState


@dataclass(frozen=True)
class Part:
    """One layer in a box."""

    name: str
    kind: str
    caption: str
    parameters: int = 0
    phase: str = ""
    """ "TRAIN" or "TEST" for a layer that is in one of the drawn phases only."""


@dataclass(eq=False)
class Box:
    """A layer, and those that change its output below it; or a blob that is named again."""

    parts: list[Part]
    tag: bool = False
    group: str = ""

    @property
    def name(self) -> str:
        return self.parts[0].name


@dataclass(frozen=True, eq=False)
class Arrow:
    """A blob on its way from a box to another."""

    source: Box
    target: Box
    blob: str
    shape: Shape | None
    port: int
    """Which top of the source it is."""


@dataclass
class Diagram:
    """Boxes in the order of the file, arrows from earlier boxes to later ones."""

    name: str
    phases: str
    boxes: list[Box] = field(default_factory=list)
    arrows: list[Arrow] = field(default_factory=list)
    known: bool = True
    """Are the shapes of all blobs known?"""

    @property
    def parameters(self) -> int:
        """All numbers of all layers; a shared one counts for each."""
        return sum(part.parameters for box in self.boxes for part in box.parts)


@dataclass(frozen=True)
class _Made:
    """A blob as one layer makes it."""

    layer: int
    top: int
    shape: Shape | None


Use = tuple[int, int, int]
"""Maker (-1: none), number of its top, reader."""


class _Wiring:
    """Which layers are there in each state, who reads whom, and the shapes as far as known."""

    def __init__(self, net: NetParameter, states: Sequence[NetState], folder: str) -> None:
        self.net, self.folder = net, folder
        self.present: dict[int, list[str]] = defaultdict(list)
        self.uses: dict[Use, list[str]] = defaultdict(list)
        self.shapes: dict[tuple[int, int], Shape | None] = {}
        self.counts: dict[int, int] = {}
        self.readers: dict[tuple[str, int, int], list[int]] = defaultdict(list)
        for state in states:
            self._wire(state)

    def _wire(self, state: NetState) -> None:
        blobs: dict[str, _Made] = {}
        phase = state.phase.name
        for index, spec in enumerate(self.net.layer):
            if not included(spec, state):
                continue
            self.present[index].append(phase)
            found = [blobs.get(name, _Made(-1, i, None)) for i, name in enumerate(spec.bottom)]
            for made in found:
                self.uses[made.layer, made.top, index].append(phase)
                self.readers[phase, made.layer, made.top].append(index)
            tops = self._infer(index, spec, state, [made.shape for made in found])
            for i, name in enumerate(spec.top):
                shape = tops[i] if i < len(tops) else None
                blobs[name] = _Made(index, i, shape)
                if self.shapes.get((index, i)) is None:
                    self.shapes[index, i] = shape

    def _infer(
        self, index: int, spec: LayerParameter, state: NetState, bottoms: list[Shape | None]
    ) -> list[Shape]:
        cls = layer_class(spec)
        known = [shape for shape in bottoms if shape is not None]
        if cls is None or len(known) < len(bottoms):
            return []
        try:
            layer = cls(spec, Context(state.phase, folder=self.folder))
            layer.setup(known)
            layer.bottom_shapes = known
            tops = [tuple(shape) for shape in layer.reshape(known)]
        except (CaffeliteError, IndexError):  # a mistake, or data that are not here
            return []
        sizes = [1] * len(layer.declared)
        for i, declared in enumerate(layer.declared):
            for extent in declared.shape:
                sizes[i] *= extent
        self.counts[index] = sum(sizes)
        return tops


def has_data(net: NetParameter, state: NetState) -> bool:
    """Does anything begin here? A file may be meant for one phase alone."""
    here = (layer for layer in net.layer if included(layer, state))
    return any(not layer.bottom for layer in here)


def diagram(net: NetParameter, states: Sequence[NetState], folder: str = "") -> Diagram:
    """The diagram of a net in one phase, or in several together."""
    wiring = _Wiring(net, states, folder)
    phases = [state.phase.name for state in states]
    result = Diagram(net.name or "net", " and ".join(phases))
    home: dict[int, Box] = {}
    for index, seen in sorted(wiring.present.items()):
        spec = net.layer[index]
        part = Part(
            spec.name,
            kind_of(spec),
            caption(spec),
            wiring.counts.get(index, 0),
            seen[0] if len(set(seen)) < len(set(phases)) else "",
        )
        onto = _folds_onto(wiring, index, spec, home)
        if onto is None:
            home[index] = Box([part], group=_group(spec.name))
            result.boxes.append(home[index])
        else:
            onto.parts.append(part)
            home[index] = onto
    result.known = all(i in wiring.counts for i in wiring.present)
    _connect(wiring, home, result)
    _keep_real_groups(result)
    return result


def _folds_onto(
    wiring: _Wiring, index: int, spec: LayerParameter, home: dict[int, Box]
) -> Box | None:
    """The box whose output this layer changes in passing, and which nobody else sees before."""
    if len(spec.bottom) != 1 or len(spec.top) != 1:
        return None
    if kind_of(spec) not in FOLDED and spec.bottom != spec.top:
        return None
    makers = {(maker, top) for maker, top, reader in wiring.uses if reader == index}
    if len({home.get(maker) for maker, _ in makers}) != 1:
        return None
    maker, _ = max(makers)
    box = home.get(maker)
    if box is None or box.parts[0].kind == "data" or len(wiring.net.layer[maker].top) != 1:
        return None
    for phase in wiring.present[index]:
        for m, t in makers:
            if wiring.readers[phase, m, t] not in ([index], []):
                return None
    return box


def _connect(wiring: _Wiring, home: dict[int, Box], result: Diagram) -> None:
    order = {id(box): i for i, box in enumerate(result.boxes)}
    seen: set[tuple[int, int, str]] = set()
    tags: set[tuple[str, int]] = set()
    for (maker, top, reader), _ in sorted(wiring.uses.items(), key=lambda use: use[0][2]):
        target = home[reader]
        if maker < 0:
            name = wiring.net.layer[reader].bottom[top]
            source = Box([Part(f"{name} ?", "unknown", "")], tag=True)
            result.boxes.insert(0, source)
            result.arrows.append(Arrow(source, target, name, None, 0))
            continue
        source, name = home[maker], wiring.net.layer[maker].top[top]
        if source is target or (id(source), id(target), name) in seen:
            continue
        seen.add((id(source), id(target), name))
        arrow = Arrow(source, target, name, wiring.shapes.get((maker, top)), top)
        far = order[id(target)] - order[id(source)] > 3
        compared = top > 0 or target.parts[0].kind in ("loss", "score")
        if source.parts[0].kind == "data" and compared and far:
            if (name, id(target)) in tags:
                continue
            tags.add((name, id(target)))
            again = Box([Part(name, "data", "")], tag=True)
            result.boxes.insert(0, again)
            arrow = replace(arrow, source=again, port=0)
        result.arrows.append(arrow)


def _group(name: str) -> str:
    """The block that a layer's name says it belongs to: "inception_3a/1x1", "res2a_branch1"."""
    if "/" in name:
        return name.split("/")[0]
    head = name.split("_")[0]
    return head if any(c.isdigit() for c in head) else ""


def _keep_real_groups(result: Diagram) -> None:
    """A block is three boxes or more, and not the whole net."""
    members: dict[str, list[int]] = defaultdict(list)
    real = [box for box in result.boxes if not box.tag]
    for i, box in enumerate(real):
        members[box.group].append(i)
    for group, places in members.items():
        if not group or len(places) < 3 or len(places) == len(real):
            for i in places:
                real[i].group = ""
