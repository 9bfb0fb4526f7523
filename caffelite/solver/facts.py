"""What a run is, in numbers: samples, epochs, files. For banners, logs and live lines."""

from __future__ import annotations

from dataclasses import dataclass

from caffelite import snapshot
from caffelite.blob import Shape
from caffelite.layers.source import SourceLayer
from caffelite.net import Net
from caffelite.schema.solver import SolverParameter
from caffelite.solver.base import Solver


@dataclass(frozen=True)
class Data:
    """What one data layer gives."""

    layer: str
    type: str
    tops: tuple[tuple[str, Shape], ...]
    size: int | None
    """Samples; None: not known."""
    batch: int


def data_of(net: Net) -> list[Data]:
    """The data layers of a net, in order; inputs that are filled from outside too."""
    found = []
    for node, layer in zip(net.plan.graph.nodes, net.layers):
        if node.cls.source:
            tops = tuple((v.name, net.plan.shapes[v]) for v in node.tops)
            known = isinstance(layer, SourceLayer)
            size = layer.epoch_size if isinstance(layer, SourceLayer) else None
            batch = layer.batch_size if isinstance(layer, SourceLayer) and known else 0
            found.append(Data(layer.name, layer.type, tops, size, batch or _first(tops)))
    return found


def _first(tops: tuple[tuple[str, Shape], ...]) -> int:
    return tops[0][1][0] if tops and tops[0][1] else 1


@dataclass(frozen=True)
class Pace:
    """How iterations, samples and epochs go together."""

    samples: int
    """Used in one iteration, over all its batches."""
    size: int | None
    """In the training data; None: not known."""

    @classmethod
    def of(cls, solver: Solver) -> Pace:
        """Of a solver's training net: by its first data layer of known size, or its first."""
        data = data_of(solver.net)
        known = next((d for d in data if d.size), data[0] if data else None)
        if known is None:
            return cls(1, None)
        return cls(known.batch * max(1, solver.param.iter_size), known.size)

    def epoch(self, iterations: int) -> float | None:
        """How often the data has been used after so many iterations; None: not known."""
        return iterations * self.samples / self.size if self.size else None


def written_files(param: SolverParameter, path: str) -> list[str]:
    """The files that a run will write beside its log, "*" for numbers of iterations."""
    files = []
    if param.snapshot or param.snapshot_after_train:
        start, ending = snapshot.prefix(param, path)
        files += [f"{start}_iter_*.caffemodel{ending}", f"{start}_iter_*.solverstate{ending}"]
    if param.keep_best:
        files.append(snapshot.best_path(param, path))
    return files
