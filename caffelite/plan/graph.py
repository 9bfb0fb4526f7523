"""From a NetParameter to a graph: which layers are there, and which blob is whose.

First the phase, level and stages decide which layers are there; only then are names resolved. A
layer that writes the blob it reads (in-place in the text) makes a new *version* of the blob, so
that every version has one maker and it is plain who reads what. No arrays here, and no shapes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from types import MappingProxyType

from caffelite.errors import SHOWN, CaffeliteError, NetError, Problem, Span, did_you_mean
from caffelite.layers.base import Layer, find
from caffelite.schema.common import Phase
from caffelite.schema.forks import refusals
from caffelite.schema.net import LayerParameter, NetParameter, NetState, NetStateRule

AUTOMATIC = "(automatic)"
"""The name of the top that a loss layer gets when the text names none."""


@dataclass(eq=False)
class Version:
    """One version of a named blob: made by one layer, read by any number."""

    name: str
    maker: Node
    top_index: int
    readers: Sequence[tuple[Node, int]] = ()
    previous: Version | None = None
    """The version that the maker read under the same name."""

    def __post_init__(self) -> None:
        self.first: Version = self if self.previous is None else self.previous.first
        """The version at the start of the chain of layers that rewrite this one."""


@dataclass(eq=False)
class Node:
    """One layer in its place: the versions it reads and makes."""

    index: int
    spec: LayerParameter
    cls: type[Layer]
    bottoms: Sequence[Version] = ()
    tops: Sequence[Version] = ()
    sound: bool = True
    """Is it wired without a mistake?"""


@dataclass(frozen=True, eq=False)
class Graph:
    """The layers of one phase in running order, and the last version of each blob. Nothing changes
    a graph, its nodes and its versions once it is built."""

    name: str
    nodes: Sequence[Node]
    blobs: Mapping[str, Version]
    """Last versions, by name, in the order of their first appearance."""

    @cached_property
    def outputs(self) -> list[str]:
        """Blobs that nobody reads."""
        return [name for name, version in self.blobs.items() if not version.readers]

    def net_parameter(self, force_backward: bool) -> NetParameter:
        """The graph as a net of its own: the layers that are here, and no others."""
        net = NetParameter(name=self.name, layer=[node.spec for node in self.nodes])
        if force_backward:
            net.force_backward = True
        return net


def rule_holds(rule: NetStateRule, state: NetState) -> bool:
    """Does everything the rule says hold of the state? A phase of a fork's never does."""
    if rule.foreign:
        return False
    if rule.has("phase") and rule.phase != state.phase:
        return False
    if rule.has("min_level") and state.level < rule.min_level:
        return False
    if rule.has("max_level") and state.level > rule.max_level:
        return False
    stages = set(state.stage)
    return stages.issuperset(rule.stage) and stages.isdisjoint(rule.not_stage)


def included(layer: LayerParameter, state: NetState) -> bool:
    """Is the layer there in this state? With include rules: if one holds; else unless an exclude
    rule holds."""
    if layer.include:
        return any(rule_holds(rule, state) for rule in layer.include)
    return not any(rule_holds(rule, state) for rule in layer.exclude)


def build_graph(net: NetParameter, state: NetState, problems: list[Problem] | None = None) -> Graph:
    """Wire the layers that are there in `state`. Raises NetError with every mistake; or, where a
    list of `problems` is given, adds them to it and gives the graph as far as it goes."""
    wiring = _Wiring(net, state)
    graph = wiring.build()
    if problems is not None:
        problems.extend(wiring.problems)
    elif wiring.problems:
        raise NetError(*wiring.problems)
    return graph


class _Wiring:
    def __init__(self, net: NetParameter, state: NetState) -> None:
        self.net, self.state = net, state
        self.nodes: list[Node] = []
        self.blobs: dict[str, Version] = {}
        self.readers: dict[Version, list[tuple[Node, int]]] = {}
        self.problems: list[Problem] = []
        self.broken: set[str] = set()  # tops of layers with mistakes: not missed again
        self.blind = False  # are there tops whose names are not known?

    def build(self) -> Graph:
        for spec in self.net.layer:
            if spec.include and spec.exclude:
                self._say(
                    f'layer "{spec.name}" has both include and exclude rules',
                    spec.span("exclude"),
                    expected="one kind or the other",
                )
            if included(spec, self.state):
                self._add(spec)
        if not self.nodes and not self.problems and not self.net.flawed:
            self._say(
                f"the net has no layers in phase {self.state.phase.name}"
                if self.net.layer
                else "the net has no layers",
                self.net.span(),
                expected='layers, layer { name: "ip1" type: "InnerProduct" ... }',
            )
        for version, readers in self.readers.items():
            version.readers = tuple(readers)
        return Graph(self.net.name, tuple(self.nodes), MappingProxyType(self.blobs))

    @cached_property
    def makers(self) -> dict[str, list[LayerParameter]]:
        """The layers that make a blob of a name, whether they are there in this state or not."""
        found: dict[str, list[LayerParameter]] = {}
        for spec in self.net.layer:
            for name in spec.top:
                found.setdefault(name, []).append(spec)
        return found

    def _say(
        self,
        message: str,
        span: Span | None,
        expected: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.problems.append(Problem(message, span, expected, hint))

    def _add(self, spec: LayerParameter) -> None:
        if spec.flawed:
            self._take_tops(spec)
            return
        try:
            cls = find(spec, suggest=len(self.problems) < SHOWN)
        except CaffeliteError as error:
            self.problems.extend(error.problems)
            self.broken.update(spec.top)
            return
        foreign = refusals(spec, spec.name, self.state.phase == Phase.TRAIN)
        if foreign:
            self.problems += foreign
            self.broken.update(spec.top)
            return
        node = Node(len(self.nodes), spec, cls)
        self.nodes.append(node)
        before = len(self.problems)
        self._count(spec, "bottom", cls.bottoms)
        self._count(spec, "top", cls.tops)
        if spec.propagate_down and len(spec.propagate_down) != len(spec.bottom):
            self._say(
                f'layer "{spec.name}" has {plural(len(spec.bottom), "bottom")} but '
                f"{len(spec.propagate_down)} propagate_down",
                spec.span("propagate_down"),
                expected="one for each bottom, or none",
            )
        read: dict[str, Version] = {}
        bottoms: list[Version] = []
        for index, name in enumerate(spec.bottom):
            version = self.blobs.get(name)
            if version is None:
                self._missing(spec, index)
                continue
            self.readers[version].append((node, index))
            bottoms.append(version)
            read[name] = version
        names = list(spec.top)
        if cls.loss and not names:
            names = [AUTOMATIC]
        node.bottoms = tuple(bottoms)
        made: dict[str, Version] = {}
        tops = [self._make(node, index, name, read, made) for index, name in enumerate(names)]
        node.tops = tuple(tops)
        node.sound = len(self.problems) == before and len(node.bottoms) == len(spec.bottom)

    def _take_tops(self, spec: LayerParameter) -> None:
        """A layer whose text holds a mistake is not judged, but who reads its tops is not to be
        blamed."""
        self.broken.update(spec.top)
        self.blind |= len(spec.places("top")) > len(spec.top)  # a top with a bad name

    def _count(self, spec: LayerParameter, end: str, limits: tuple[int, int | None]) -> None:
        low, high = limits
        names: list[str] = spec.get(end)
        if low <= len(names) and (high is None or len(names) <= high):
            return
        if low == high:
            wanted = plural(low, end)
        else:
            wanted = f"{low} or more {end}s" if high is None else f"{low} to {high} {end}s"
        at = high if high is not None and len(names) > high else 0  # the first too many
        have = ": " + ", ".join(f'"{n}"' for n in names) if names else ""
        self._say(
            f'layer "{spec.name}" ({spec.type}) has {plural(len(names), end)}{have}',
            spec.span(end, at),
            expected=wanted,
        )

    def _missing(self, spec: LayerParameter, index: int) -> None:
        name = spec.bottom[index]
        if name in self.broken or self.blind:
            return
        hint = self._later(spec, name)
        if hint is None and len(self.problems) < SHOWN:
            hint = did_you_mean(name, self.blobs)
        self._say(
            f'layer "{spec.name}" reads "{name}", which no layer before it makes',
            spec.span("bottom", index),
            expected="a top of an earlier layer: " + _some(self.blobs),
            hint=hint,
        )
        self.broken.add(name)

    def _later(self, spec: LayerParameter, name: str) -> str | None:
        for other in self.makers.get(name, []):
            if other is spec:
                continue
            span = other.span()
            at = f" on line {span.line}" if span else ""
            if not included(other, self.state):
                return (
                    f'layer "{other.name}"{at} makes it, '
                    f"but is left out in phase {self.state.phase.name}"
                )
            return f'layer "{other.name}"{at} makes it: layers run in the order of the file'
        return None

    def _make(
        self,
        node: Node,
        index: int,
        name: str,
        read: dict[str, Version],
        made: dict[str, Version],
    ) -> Version:
        known = self.blobs.get(name)
        if name in made:
            self._say(
                f'layer "{node.spec.name}" names the top "{name}" twice',
                node.spec.span("top", index),
                expected="a different name for each top",
            )
        elif known is not None and name not in read and name != AUTOMATIC:
            other = known.maker.spec
            where = other.span("top", known.top_index)
            self._say(
                f'layer "{node.spec.name}" makes "{name}", '
                f'which layer "{other.name}" has made already',
                node.spec.span("top", index),
                expected="a new name, or the name of a bottom to work in place",
                hint=f"the first is on line {where.line}" if where else None,
            )
        version = Version(name, node, index, previous=read.get(name))
        self.readers[version] = []
        self.blobs[name] = made[name] = version
        return version


def plural(count: int, thing: str) -> str:
    """ "no bottoms", "1 bottom", "2 bottoms"."""
    return f"{count or 'no'} {thing}{'' if count == 1 else 's'}"


def _some(names: dict[str, Version]) -> str:
    """The last few names."""
    if not names:
        return "there is none yet"
    last = list(islice(reversed(names), 6))
    shown = ", ".join(f'"{n}"' for n in reversed(last))
    return f"..., {shown}" if len(names) > 6 else shown


def state_for(
    net: NetParameter, phase: Phase, level: int = 0, stages: list[str] | None = None
) -> NetState:
    """The state to build for: the net's own `state`, with phase, level and stages on top."""
    state = net.state.copy()
    state.phase = phase
    if level:
        state.level = level
    state.stage = [*state.stage, *(stages or [])]
    return state
