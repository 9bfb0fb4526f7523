"""Layers that a fork gave a message of its own, with the fields of the usual one."""

from __future__ import annotations

from caffelite.schema.net import LayerParameter


def with_usual_message(spec: LayerParameter, own: str, usual: str) -> LayerParameter:
    """The layer with the values of its field `own`, if it has it, in the message `usual`; places in
    the text go along."""
    if not spec.has(own):
        return spec
    result, said = spec.copy(), spec.get(own)
    target = result.get(usual)
    for field, value in said.set_fields():
        setattr(target, field.name, value)
    target._spans, target._span = dict(said._spans), said._span
    result._spans[usual] = spec.places(own)
    return result
