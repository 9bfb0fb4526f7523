"""Fields that are accepted, and have no effect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from caffelite.errors import Span
from caffelite.judge.doubt import Doubt
from caffelite.judge.rules import Found, Start, of_job, of_net
from caffelite.layers.base import layer_class
from caffelite.schema.message import FieldSpec, Message
from caffelite.schema.net import LayerParameter, NetParameter
from caffelite.solver.fields import idle_fields
from caffelite.solver.job import Job

ABOUT = "a field that is accepted, and has no effect"
REMEDY = "nothing is to be done; without it the result is the same"


@of_net("no-effect", ABOUT)
def no_effect(net: NetParameter) -> Found:
    """Each field once, where it comes first, and in how many layers it stands."""
    found: dict[tuple[str, str], list[Span | None]] = {}
    reasons: dict[tuple[str, str], str] = {}
    for layer in net.layer:
        for key, span, why in _idle(layer):
            found.setdefault(key, []).append(span)
            reasons[key] = why
    for (holder, name), spans in found.items():
        where = f" ({len(spans)} layers)" if len(spans) > 1 else ""
        yield Doubt(
            f"{name} in {holder} has no effect here{where}",
            spans[0],
            reasons[holder, name],
            REMEDY,
        )


def _idle(layer: LayerParameter) -> Iterator[tuple[tuple[str, str], Span | None, str]]:
    """A layer's fields without effect: message and field, place, reason."""
    cls = layer_class(layer)
    own = cls.idle if cls is not None else {}
    for holder, message in layer.set_fields():
        if isinstance(message, Message):
            yield from _within(holder.name, message, own)


def _within(
    holder: str, message: Message, own: Mapping[str, str]
) -> Iterator[tuple[tuple[str, str], Span | None, str]]:
    """Those of a message, and of the messages in it."""
    for spec, value in message.set_fields():
        why = spec.idle or own.get(f"{holder}.{spec.name}", "")
        if why and _says_something(spec, value):
            yield (holder, spec.name), message.span(spec.name), why
        elif isinstance(value, Message):
            yield from _within(spec.name, value, own)


def _says_something(spec: FieldSpec, value: object) -> bool:
    """Is it anything else than what holds without the field?"""
    return isinstance(value, Message) or value != spec.implicit_default()


def _or_else(why: str) -> str:
    """What may be meant: "with lr_policy: ..." is another one, "without larc" is that."""
    missing = why.removeprefix("without ")
    name = why.removeprefix("with ").partition(":")[0]
    return f"or set {missing}" if missing != why else f"or choose another {name}"


@of_job("no-effect", ABOUT)
def no_effect_in_solver(job: Job, start: Start) -> Found:
    """Fields of another update rule or policy, or of what is switched off."""
    param = job.param
    for name, why in idle_fields(param, job.rule).items():
        yield Doubt(
            f"{name} has no effect {why}",
            param.span(name),
            "the run is the same without it",
            f"leave it out, {_or_else(why)}",
        )
    if param.clip_gradients < 0 and param.clip_gradients != -1:  # as Caffe writes "none"
        yield Doubt(
            f"clip_gradients is {param.clip_gradients:g}, and clips nothing",
            param.span("clip_gradients"),
            "below 0 there is no limit",
            "a limit above 0, clip_gradients: 35; or leave it out",
        )
    for spec, value in param.set_fields():
        if spec.idle and _says_something(spec, value):
            yield Doubt(f"{spec.name} has no effect here", param.span(spec.name), spec.idle, REMEDY)
