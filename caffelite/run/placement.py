"""In-place placement: which versions of a blob lie in the same memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from caffelite.plan.build import Plan
from caffelite.plan.graph import Node, Version
from caffelite.run.program import DATA, DIFF, Copy, Value


@dataclass(frozen=True, eq=False)
class Placement:
    """For each version the one whose memory it uses: itself, or an earlier one."""

    plan: Plan
    owner: Mapping[Version, Version]

    def shown(self, name: str, of: str = DATA) -> Value:
        """What `net.blobs[name]` shows: the last version. But where a layer rewrites an input that
        keeps its own memory, the diff is that of the input, which users ask for; unless the blob
        is an output, whose gradient they set."""
        last = self.plan.graph.blobs[name]
        if of == DATA:
            return Value(last)
        first = last.first
        hides_input = first.maker.cls.source and self.owner[first] is not self.owner[last]
        if hides_input and (last.readers or last in self.plan.loss_weights):
            return Value(first, DIFF)
        return Value(last, of)

    def is_shown(self, version: Version) -> bool:
        """Does `net.blobs` show this version's data?"""
        return self.owner[self.plan.graph.blobs[version.name]] is self.owner[version]

    def at(self, name: str, index: int) -> Version:
        """The version that a blob has after the layer `index`."""
        version = self.plan.graph.blobs[name]
        while version.maker.index > index and version.previous is not None:
            version = version.previous
        return version

    def before(self, part: Sequence[Node]) -> Iterator[Copy]:
        """A part of the net reads what `net.blobs` shows, as if all in-place layers shared memory:
        what was written there goes to the version that only a layer rewriting it reads."""
        start = part[0].index
        read = dict.fromkeys(v for n in part for v in n.bottoms if len(v.readers) == 1)
        for version in read:
            if version.maker.index < start and not self.is_shown(version):
                yield from self._copy(Value(version), self.shown(version.name))

    def after(self, part: Sequence[Node]) -> Iterator[Copy]:
        """A part of the net leaves in `net.blobs` what it made, though later layers rewrite it."""
        end = part[-1].index
        for version in dict.fromkeys(self.at(v.name, end) for n in part for v in n.tops):
            if not self.is_shown(version):
                yield from self._copy(self.shown(version.name), Value(version))

    def fed(self, node: Node) -> Iterator[Copy]:
        """An input that an in-place layer rewrites is shown, and filled, as its last version; the
        first version, kept because others read it too, is taken from there."""
        for version in node.tops:
            if not self.is_shown(version):
                yield Copy(Value(version), self.shown(version.name))

    def _copy(self, to: Value, source: Value) -> Iterator[Copy]:
        if self.plan.shapes[to.version] == self.plan.shapes[source.version]:
            yield Copy(to, source)


def place(plan: Plan) -> Placement:
    """Let an in-place layer overwrite its bottom where nobody misses the old values.

    It may when the layer can (`in_place`), no other layer reads the old version, and neither this
    layer's backward pass reads it nor that of the layer that made it. A version with a loss weight
    never shares: its gradient has to stay. Otherwise the new version gets memory of its own: the
    results are right either way."""
    owner: dict[Version, Version] = {}
    for node in plan.graph.nodes:
        for version in node.tops:
            old = version.previous
            shares = (
                old is not None
                and version not in plan.loss_weights
                and plan.shapes[version] == plan.shapes[old]
                and _may_overwrite(plan, node, old)
            )
            owner[version] = owner[old] if shares and old is not None else version
    return Placement(plan, owner)


def _may_overwrite(plan: Plan, node: Node, old: Version) -> bool:
    layer, maker = plan.layers[node.index], plan.layers[old.maker.index]
    if not layer.in_place or len(old.readers) > 1 or old in plan.loss_weights or maker.lasting:
        return False
    kept = plan.needs[node.index].backward and "bottom" in layer.backward_reads
    return not kept and not (plan.needs[old.maker.index].backward and "top" in maker.backward_reads)
