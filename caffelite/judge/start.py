"""What parameters start from."""

from __future__ import annotations

from collections.abc import Callable

from caffelite.judge.doubt import Doubt
from caffelite.judge.reading import called, has_weights, learned, origin, trains
from caffelite.judge.rules import Found, Start, of_job, of_plan
from caffelite.plan.build import Plan
from caffelite.plan.graph import Node
from caffelite.plan.params import Use
from caffelite.schema.bind import span_of
from caffelite.schema.common import FillerParameter
from caffelite.solver.job import Job

MATTER: dict[str, Callable[[FillerParameter], bool]] = {
    "constant": lambda f: f.value >= 0.1,
    "uniform": lambda f: f.max >= 0.1,
    "gaussian": lambda f: f.std >= 0.1,
    "xavier": lambda f: True,
    "msra": lambda f: True,
}
"""Fillers that suit inputs of about 1, and not of 255."""


MANY = 3
"""Layers without fillers of which each is shown."""
ABOUT = "weights that start at 0 in more than one layer"


@of_plan("zero-weights", ABOUT)
def zero_weights(plan: Plan) -> Found:
    """Layers of zeros on top of each other never move. A net alone may be meant for weights of a
    file, and need no fillers: here it is those that are written."""
    written = [(n, u) for n, u in _zeros(plan) if _says_filler(n)] if trains(plan) else []
    for node, use in written if len(written) > 1 else ():
        yield _doubt(node, use)


@of_job("zero-weights", ABOUT)
def zero_weights_here(job: Job, start: Start) -> Found:
    """In a run the fillers count that are left out, too; but a net of which only some have none is
    one that a command line gives weights to."""
    plan = job.train.plan
    zeros = _zeros(plan) if trains(plan) and start != Start.WEIGHTS else []
    if start == Start.UNKNOWN:
        weights = sum(1 for n, i, _ in learned(plan) if i == 0 and has_weights(plan, n))
        zeros = zeros if len(zeros) == weights else []
    if start == Start.UNKNOWN and len(zeros) > MANY:
        yield _all(zeros)
        return
    for node, use in zeros if len(zeros) > 1 else ():
        yield _doubt(node, use)


def _all(zeros: list[tuple[Node, Use]]) -> Doubt:
    """Of a net without any fillers one warning: it is made for weights of a file."""
    node = zeros[0][0]
    return Doubt(
        f"the weights of all {len(zeros)} layers start at 0, unless the run is given others",
        span_of(node.spec, _field(node)),
        "no weight_filler is written: zeros give zeros, and nothing is learned",
        'start from a file, --weights FILE or weights: "FILE" in the solver; or write fillers, '
        'weight_filler { type: "xavier" }',
    )


def _zeros(plan: Plan) -> list[tuple[Node, Use]]:
    return [
        (node, use)
        for node, i, use in learned(plan)
        if i == 0 and has_weights(plan, node) and _is_zero(use.param.declared.filler)
    ]


def _doubt(node: Node, use: Use) -> Doubt:
    filler = use.param.declared.filler
    return Doubt(
        f"the weights of {called(node)} start at 0, and those of other layers too",
        filler.span("value") or filler.span() or span_of(node.spec, _field(node)),
        "zeros give zeros: no gradient passes from layer to layer, and nothing is learned",
        'weight_filler { type: "xavier" }, or before a ReLU "msra"; or start from weights',
    )


def _is_zero(filler: FillerParameter) -> bool:
    return filler.type == "constant" and filler.value == 0


def _field(node: Node) -> str:
    """The field with the layer's own message."""
    return next(iter(node.cls.messages()), "name")


def _says_filler(node: Node) -> bool:
    message = node.spec.get(_field(node))
    return "weight_filler" in message.specs and bool(message.has("weight_filler"))


@of_plan("raw-pixels", "bytes of 0 to 255 into a layer whose filler suits inputs of 1")
def raw_pixels(plan: Plan) -> Found:
    """No scale, no mean, and weights that are made for unit variance."""
    if not trains(plan):
        return
    for source in plan.graph.nodes:
        transform = source.spec.transform_param
        if not source.cls.pixels or transform.scale != 1 or not source.tops:
            continue
        if transform.has("mean_file") or transform.has("mean_value"):
            continue
        for node in plan.graph.nodes:
            if not node.bottoms or origin(node.bottoms[0]) is not source.tops[0]:
                continue
            if not has_weights(plan, node) or _is_normalised(node):
                continue
            filler = plan.uses[node.index][0].param.declared.filler
            if filler.type in MATTER and MATTER[filler.type](filler):
                yield Doubt(
                    f"{called(source)} gives bytes, 0 to 255, and the filler of {called(node)} "
                    "suits values of about 1",
                    source.spec.span("type"),
                    "its first outputs are a hundred times too large, and training may diverge",
                    "transform_param { scale: 0.00390625 } brings bytes to 0 to 1",
                )


def _is_normalised(node: Node) -> bool:
    return any(reader.cls.standardizes for top in node.tops for reader, _ in top.readers)
