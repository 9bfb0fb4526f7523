"""How long each layer of a net takes, forward and backward.

    times = measure(net, 20)
    print(times.layers[0].forward, times.forward)       # seconds, medians over the passes

Wall time. The steps of a pass are run one by one, as the executor bound them, on a device waiting
for each; nothing else differs from a pass in training: gradients of parameters are written anew.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from statistics import median

from caffelite.net import Net
from caffelite.report.table import Column, duration, table
from caffelite.run.executor import BACKWARD, FORWARD
from caffelite.run.program import Backward, Forward

SECONDS = 3.0
"""About how long a measurement takes whose number of passes is not given."""
FEWEST, MOST = 3, 100


@dataclass(frozen=True)
class LayerTime:
    """One layer; seconds, medians over the passes."""

    name: str
    type: str
    engine: str
    """Which engine ran it."""
    forward: float
    backward: float
    """0 if the layer has no backward pass to run."""
    share: float
    """Of the sum over all layers and both passes."""
    flops: int
    """Floating-point operations of both passes: two for each multiply-add, once forward, once
    backward for the weights and once for the bottoms, as far as these have gradients."""

    @property
    def speed(self) -> float:
        """Floating-point operations a second."""
        seconds = self.forward + self.backward
        return self.flops / seconds if seconds else 0.0


@dataclass(frozen=True)
class Times:
    """What a measurement found; seconds, medians over the passes."""

    net: str
    phase: str
    engine: str
    passes: int
    layers: tuple[LayerTime, ...]
    between: float
    """Sums of gradients, copies and fills, which belong to no layer."""
    forward: float
    """A whole pass."""
    backward: float


def default_passes(seconds: float) -> int:
    """How many passes to run that take so long each."""
    return max(FEWEST, min(MOST, int(SECONDS / max(seconds, 1e-9))))


def measure(
    net: Net,
    passes: int | None = None,
    track: Callable[[Iterable[int]], Iterable[int]] = iter,
    forward_only: bool = False,
) -> Times:
    """Run and time `passes` passes over all layers (None: as many as a few seconds allow).

    `track` is handed the numbers of the passes and gives them on, to show progress. After a
    KeyboardInterrupt the passes done so far count, if there is one."""
    clock = _Clock(net, forward_only)
    clock.run()
    began = time.perf_counter()
    clock.run()
    count = passes or default_passes(time.perf_counter() - began)
    done: list[_Pass] = []
    try:
        for _ in track(range(count)):
            done.append(clock.run())
    except KeyboardInterrupt:
        if not done:
            raise
    return clock.times(done)


@dataclass(frozen=True)
class _Pass:
    """Seconds of one pass forward and backward: by layer, and of what is between layers."""

    forward: list[float]
    backward: list[float]
    between: tuple[float, float]


class _Clock:
    def __init__(self, net: Net, forward_only: bool) -> None:
        self.net, self.executor, self.forward_only = net, net.executor, forward_only

    def run(self) -> _Pass:
        count = len(self.net.layers)
        forward, backward = [0.0] * count, [0.0] * count
        between = self._run(FORWARD, forward)
        back = 0.0
        if not self.forward_only and any(need.backward for need in self.net.plan.needs):
            with self.executor.overwriting:
                back = self._run(BACKWARD, backward)
        return _Pass(forward, backward, (between, back))

    def _run(self, direction: str, spent: list[float]) -> float:
        between, now, finish = 0.0, time.perf_counter, self.executor.session.finish
        for step, bound in self._steps(direction):
            began = now()
            bound()
            finish()
            took = now() - began
            if isinstance(step, (Forward, Backward)):
                spent[step.node.index] += took
            else:
                between += took
        return between

    def _steps(self, direction: str) -> Iterator[tuple[object, Callable[[], object]]]:
        """The steps of a pass; those that remain are bound anew when a layer changes shapes."""
        plan, steps = self.executor.plan, self.executor.steps(direction)
        for index in range(len(steps)):
            if self.executor.plan is not plan:
                plan, steps = self.executor.plan, self.executor.steps(direction)
            yield steps[index]

    def times(self, done: list[_Pass]) -> Times:
        net, count = self.net, len(self.net.layers)
        forward = [median(p.forward[i] for p in done) for i in range(count)]
        backward = [median(p.backward[i] for p in done) for i in range(count)]
        between = median(sum(p.between) for p in done)
        total = (sum(forward) + sum(backward) + between) or 1.0
        layers = tuple(
            LayerTime(
                layer.name,
                layer.type,
                net.executor.session.runs_on(i),
                forward[i],
                backward[i],
                (forward[i] + backward[i]) / total,
                self._flops(i),
            )
            for i, layer in enumerate(net.layers)
        )
        return Times(
            net.name or "net",
            net.phase.name,
            str(net.engine),
            len(done),
            layers,
            between,
            median(sum(p.forward) + p.between[0] for p in done),
            median(sum(p.backward) + p.between[1] for p in done),
        )

    def _flops(self, index: int) -> int:
        need, plan = self.net.plan.needs[index], self.net.plan
        passes = 1
        if need.backward and not self.forward_only:
            passes += any(need.learns) + any(need.bottoms)
        return 2 * passes * plan.node_work(plan.graph.nodes[index])


COLUMNS = [
    Column("layer", cut=True),
    Column("type", gives_way=5, cut=True),
    Column("engine", gives_way=4),
    Column("forward", right=True, gives_way=2),
    Column("backward", right=True, gives_way=1),
    Column("share", right=True),
    Column("GFLOP/s", right=True, gives_way=3),
]


def text(times: Times, width: int | None = None) -> str:
    """The table, with the whole pass below it."""
    rows = [
        [
            x.name,
            x.type,
            x.engine,
            duration(x.forward),
            duration(x.backward) if x.backward else "",
            f"{x.share:.1%}",
            f"{x.speed / 1e9:.3g}" if x.speed else "",
        ]
        for x in times.layers
    ]
    both = times.forward + times.backward
    if times.between:
        share = f"{times.between / both:.1%}"
        rows.append(["(sums, copies)", "", "", duration(times.between), "", share, ""])
    flops = sum(x.flops for x in times.layers)
    foot = ["a pass", "", "", duration(times.forward), duration(times.backward), ""]
    foot += [f"{flops / both / 1e9:.3g}" if both and flops else ""]
    backward = bool(times.backward)
    chosen = [i for i, c in enumerate(COLUMNS) if backward or c.title != "backward"]
    lines = table(
        [COLUMNS[i] for i in chosen],
        [[row[i] for i in chosen] for row in rows],
        [[foot[i] for i in chosen]],
        width,
    )
    passes = f"{times.passes} passes" if times.passes > 1 else "1 pass"
    head = [f"{times.net} {times.phase}, {times.engine}", f"medians of {passes}, wall time", ""]
    return "\n".join([*head, *lines])


def as_json(times: Times) -> str:
    """Everything, in seconds."""
    return json.dumps(asdict(times), indent=2)
