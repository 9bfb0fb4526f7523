"""Which parameters a net learns, and which layers share them by name."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from caffelite.blob import Shape
from caffelite.fillers import check_filler
from caffelite.layers.base import Declared, Layer, show
from caffelite.plan.graph import plural
from caffelite.schema.net import DimCheckMode, ParamSpec


@dataclass(frozen=True, eq=False)
class Param:
    """One learned parameter. Layers that share it by name point to one Param, which is its
    identity: no two parameters are told apart by their memory."""

    layer: Layer
    """The planned layer that declared it first: its owner."""
    index: int
    declared: Declared
    lr_mult: float = 1.0
    decay_mult: float = 1.0
    name: str = ""

    @property
    def shape(self) -> Shape:
        return self.declared.shape


@dataclass(frozen=True)
class Use:
    """A parameter as one layer sees it: permissive sharing may give it another shape."""

    param: Param
    shape: Shape


@dataclass
class _Claim:
    """A parameter in the making: its owner, and the multipliers that all its layers agree on."""

    layer: Layer
    index: int
    declared: Declared
    spec: ParamSpec
    mults: dict[str, float] = field(default_factory=dict)
    made: Param | None = None

    def param(self) -> Param:
        if self.made is None:
            mults = dict.fromkeys(("lr_mult", "decay_mult"), 0.0)
            if not self.declared.fixed:
                mults = {n: self.mults.get(n, self.spec.get(n)) for n in mults}
            self.made = Param(self.layer, self.index, self.declared, **mults, name=self.spec.name)
        return self.made


class Sharing:
    """Collects what the layers declare, in their order; then makes the parameters."""

    def __init__(self) -> None:
        self._owners: list[_Claim] = []
        self._named: dict[str, _Claim] = {}
        self._uses: list[list[tuple[_Claim, Shape]]] = []

    def skip(self) -> None:
        """A layer that could not be planned has no parameters."""
        self._uses.append([])

    def add(self, layer: Layer) -> None:
        """Take up a layer's parameters. Raises NetError where they do not fit those they share."""
        self._uses.append([])
        specs = list(layer.spec.param)
        if len(specs) > len(layer.declared):
            layer.fail(
                f"{len(specs)} param {{ }} for {plural(len(layer.declared), 'parameter')}",
                "param",
                expected=f"at most {len(layer.declared)}",
            )
        for declared in layer.declared:
            check_filler(declared.filler)
        for index, declared in enumerate(layer.declared):
            spec = specs[index] if index < len(specs) else ParamSpec()
            claim = self._named.get(spec.name)
            if claim is not None:
                _check_sharing(layer, index, declared.shape, spec, claim)
            else:
                claim = self._claim(layer, index, declared, spec)
            self._uses[-1].append((claim, declared.shape))

    def _claim(self, layer: Layer, index: int, declared: Declared, spec: ParamSpec) -> _Claim:
        said = spec.has("lr_mult") and spec.lr_mult != 0
        if declared.fixed and said and not declared.rated:
            layer.fail(
                f"parameter {index} is not learned, but has lr_mult {spec.lr_mult:g}",
                "param",
                expected="lr_mult: 0, or no param { } at all",
            )
        claim = _Claim(layer, index, declared, spec)
        self._owners.append(claim)
        if spec.name:
            self._named[spec.name] = claim
        return claim

    def params(self) -> tuple[Param, ...]:
        """The parameters, in the order of their owners."""
        return tuple(claim.param() for claim in self._owners)

    def uses(self) -> tuple[tuple[Use, ...], ...]:
        """For each layer the parameters it uses."""
        return tuple(tuple(Use(claim.param(), shape) for claim, shape in u) for u in self._uses)


def _check_sharing(layer: Layer, index: int, shape: Shape, spec: ParamSpec, owner: _Claim) -> None:
    permissive = spec.share_mode == DimCheckMode.PERMISSIVE
    theirs = owner.declared.shape
    fits = math.prod(shape) == math.prod(theirs) if permissive else shape == theirs
    if not fits:
        layer.fail(
            f'parameter {index}, "{spec.name}", is {show(shape)}, but in layer '
            f'"{owner.layer.name}" it is {show(theirs)}',
            "param",
            expected="the same count" if permissive else "the same shape",
            hint=None
            if permissive or math.prod(shape) != math.prod(theirs)
            else "share_mode: PERMISSIVE allows the same count in another shape",
        )
    for mult in ("lr_mult", "decay_mult"):
        if not spec.has(mult):
            continue
        if owner.spec.has(mult) and owner.spec.get(mult) != spec.get(mult):
            layer.fail(
                f'parameter {index}, "{spec.name}", has {mult} {spec.get(mult):g}, but in layer '
                f'"{owner.layer.name}" {owner.spec.get(mult):g}',
                "param",
                expected=f"the same {mult}, or none",
            )
        owner.mults[mult] = spec.get(mult)
