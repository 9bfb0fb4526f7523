"""A net with layers of unknown types, as far as its shapes can be known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from caffelite.layers.base import layer_class
from caffelite.plan.graph import included
from caffelite.report.summary import Row, Summary
from caffelite.schema.forks import TYPES
from caffelite.schema.net import LayerParameter, NetParameter, NetState


@dataclass(frozen=True)
class LeftOut:
    """The layers of a state whose shapes cannot be known, each with its place among all."""

    layers: Sequence[tuple[int, LayerParameter]]

    @property
    def types(self) -> list[str]:
        """The unknown types, each with the fork that it is of where that is known."""
        names = dict.fromkeys(s.type for _, s in self.layers if layer_class(s) is None)
        return [f"{n}, of {TYPES[n]}" if n in TYPES else n for n in names]


def known_part(net: NetParameter, state: NetState) -> tuple[NetParameter, LeftOut]:
    """The net without the layers of unknown types and all that read of them, in this state; the
    very net where it has no such layer, or where nothing else would be left."""
    kept: list[LayerParameter] = []
    left_out: list[tuple[int, LayerParameter]] = []
    dark: set[str] = set()
    count = shown = 0
    for spec in net.layer:
        here = included(spec, state)
        unknown = bool(spec.type) and not spec.flawed and layer_class(spec) is None
        if here and (unknown or dark.intersection(spec.bottom)):
            left_out.append((count, spec))
            dark.update(spec.top)
        else:
            kept.append(spec)
            shown += here
            dark.difference_update(spec.top if here else ())
        count += here
    if not left_out or not shown:
        return net, LeftOut(())
    result = net.copy()
    result.layer = kept
    return result, LeftOut(left_out)


def with_unknown(summary: Summary, left_out: LeftOut) -> Summary:
    """The summary of the known part with rows for what was left out; its totals stay."""
    rows = list(summary.rows)
    for place, spec in left_out.layers:
        tops = tuple((name, None) for name in spec.top)
        rows.insert(place, Row(spec.name, spec.type, tops, 0, 0, 0, 0))
    return replace(summary, rows=tuple(rows), unknown=tuple(left_out.types))
