"""In-place placement: which versions of a blob lie in the same memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from caffelite.plan.build import Plan
from caffelite.plan.graph import Node, Version
from caffelite.plan.sharing import owners
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
    """Where the values of a plan lie: `owners` says which share memory."""
    return Placement(plan, owners(plan))
