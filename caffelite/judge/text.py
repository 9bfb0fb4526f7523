"""What a net's text says, and no layer reads; and labels in a net that is to be used."""

from __future__ import annotations

import os

from caffelite.errors import Problem
from caffelite.files import doubts
from caffelite.judge.doubt import Doubt
from caffelite.judge.reading import at_type, called
from caffelite.judge.rules import Found, Start, of_job, of_net, of_plan
from caffelite.plan.build import Plan
from caffelite.plan.graph import Node
from caffelite.schema.forks import unfollowed
from caffelite.schema.net import NetParameter
from caffelite.solver.job import Job

ABOUT = {
    "unused-message": (
        "a message that a layer of this type does not read",
        "what stands in it has no effect",
        "its type reads {}",
    ),
    "moved-field": (
        "a field of a data layer that transform_param took over",
        "in today's format nobody reads it there",
        "write {}",
    ),
    "fork-field": (
        "fields of a fork of Caffe that are not followed",
        "they concern how that fork runs, and no value that the net computes",
        "nothing is to be done; without them the net is Caffe's own",
    ),
}


_last: list[tuple[NetParameter, list[tuple[str, Problem]]]] = []


def _doubts(net: NetParameter) -> list[tuple[str, Problem]]:
    """`doubts`, looked for once for all of these rules."""
    if not _last or _last[0][0] is not net:
        _last[:] = [(net, doubts(net))]
    return _last[0][1]


def _declare(name: str, about: str, reason: str, remedy: str) -> None:
    @of_net(name, about)
    def rule(net: NetParameter) -> Found:
        for kind, problem in _doubts(net):
            if kind == name:
                how = remedy.format(problem.expected)
                yield Doubt(problem.message, problem.span, reason, how)


for _name, (_about, _reason, _remedy) in ABOUT.items():
    _declare(_name, _about, _reason, _remedy)


@of_job("fork-field", ABOUT["fork-field"][0])
def fork_field(job: Job, start: Start) -> Found:
    """The solver's own."""
    _, reason, remedy = ABOUT["fork-field"]
    for problem in unfollowed(job.param):
        yield Doubt(problem.message, problem.span, reason, remedy)


@of_plan("same-name", "two layers of one name, at least one of them with parameters")
def same_name(plan: Plan) -> Found:
    """A Crop or a ReLU may share its name: nothing is stored under it."""
    names: dict[str, Node] = {}
    for node in plan.graph.nodes:
        name = node.spec.name
        first = names.setdefault(name, node) if name else node
        if first is not node and (plan.uses[first.index] or plan.uses[node.index]):
            where = first.spec.span("name")
            line = f", the first on line {where.line}" if where else ""
            yield Doubt(
                f'there are two layers "{name}"{line}',
                node.spec.span("name"),
                "parameters are saved and copied by layer name: one gets the other's",
                "a name of its own for each",
            )


@of_plan("label-in-deploy", "a layer that compares with labels in a deploy net")
def label_in_deploy(plan: Plan) -> Found:
    """Whoever uses a net has no labels."""
    sources = [node for node in plan.graph.nodes if node.cls.source or node.cls.fed]
    if not sources or not all(node.cls.fed for node in sources):
        return
    span = sources[0].spec.span()
    by_name = span is not None and "deploy" in os.path.basename(span.source.name).lower()
    if not by_name and "deploy" not in plan.graph.name.lower():
        return
    for node in plan.graph.nodes:
        if node.cls.compares and len(node.bottoms) > 1:
            yield Doubt(
                f'{called(node)} compares with "{node.bottoms[1].name}" in a deploy net',
                at_type(node),
                "whoever uses the net has no labels: a net that is used predicts",
                "remove the layer and its label; `caffelite deploy` makes such a net"
                if not node.cls.prediction
                else f"replace it by a {node.cls.prediction} layer, and remove the label",
            )
