"""The fields of a solver file: refused where they cannot work, and said where they have no effect
with the update rule and the policy that are used."""

from __future__ import annotations

from collections.abc import Callable

from caffelite.errors import Problem, SolverError
from caffelite.schema.bounds import out_of_bounds
from caffelite.schema.solver import SolverParameter
from caffelite.solver.adaptive import check_adaptive
from caffelite.solver.policies import POLICIES
from caffelite.solver.rules import Rule

SHARE = "0 or more, and below 1"
RULE_FIELDS: dict[str, tuple[Callable[[float], bool], str]] = {
    "momentum": (lambda x: 0 <= x < 1, SHARE),
    "momentum2": (lambda x: 0 <= x < 1, SHARE),
    "rms_decay": (lambda x: 0 <= x < 1, SHARE),
    "delta": (lambda x: x > 0, "above 0, such as 1e-8"),
}
"""The fields of update rules, and what they may be."""


def check_numbers(param: SolverParameter) -> None:
    """Refuse numbers that no run can be made of, all at once."""
    problems = list(out_of_bounds(param))

    def refuse(name: str, wrong: bool, expected: str) -> None:
        if wrong:
            value = param.get(name)
            shown = f'"{value}"' if isinstance(value, str) else value
            problems.append(Problem(f"{name} cannot be {shown}", param.span(name), expected))

    refuse("clip_gradients", param.clip_gradients == 0, "above 0; left out, or -1: no limit")
    if param.has("min_lr"):
        refuse("min_lr", param.min_lr > param.base_lr, f"at most base_lr, {param.base_lr:g}")
    if param.has("max_epoch") and param.has("max_iter"):
        message = "max_iter and max_epoch are both given"
        problems.append(Problem(message, param.span("max_epoch"), "one of the two"))
    for name in ("patience", "keep_best"):
        if param.get(name) and not param.given("watch"):
            expected = 'an output of the test net to go by, watch: "accuracy"'
            problems.append(Problem(f"{name} needs watch", param.span(name), expected))
    for i, count in enumerate(param.test_iter):
        watched = i == param.watch_net and bool(param.patience or param.keep_best)
        if watched and count == 0:  # a test of no batches has no output to watch
            message = f"test_iter cannot be {count}"
            expected = "1 or more: its output is watched"
            problems.append(Problem(message, param.span("test_iter", i), expected))
    kind = param.regularization_type
    refuse("regularization_type", kind not in ("L1", "L2"), '"L2" or "L1"')
    if problems:
        raise SolverError(*problems)
    check_adaptive(param)


def check_rule(param: SolverParameter, rule: type[Rule]) -> None:
    """Refuse what the update rule cannot work with, all at once."""
    reads = rule.fields
    problems = []
    for name, (allowed, expected) in RULE_FIELDS.items():
        value = param.get(name)
        if reads is None or not param.has(name):
            continue
        if name in reads and not allowed(value):
            problems.append(Problem(f"{name} cannot be {value:g}", param.span(name), expected))
        if name == "momentum" and name not in reads and value != 0:
            expected = f"no momentum, or another type: {rule.name} has none"
            problems.append(Problem(f"{rule.name} cannot use momentum", param.span(name), expected))
    if problems:
        raise SolverError(*problems)


def idle_fields(param: SolverParameter, rule: type[Rule]) -> dict[str, str]:
    """The fields that are set and have no effect beside the others, each with what they are without
    effect with."""
    reads = rule.fields
    policy = f'lr_policy: "{param.lr_policy}"'
    needs = POLICIES[param.lr_policy][1] if param.lr_policy in POLICIES else ()
    of_policies = {name for _, names in POLICIES.values() for name in names} - {"max_iter"}
    of_policies = of_policies - {"power"} if param.lr_policy == "poly" else of_policies | {"power"}
    idle: dict[str, str] = {}
    if reads is not None:
        rule_fields = RULE_FIELDS.keys() - set(reads) - {"momentum"}
        idle |= dict.fromkeys(rule_fields, f'with type: "{rule.name}"')
    idle |= dict.fromkeys(of_policies - set(needs), f"with {policy}")
    if not param.larc:
        idle |= dict.fromkeys(("larc_policy", "larc_eta"), "without larc")
    if not param.local_lr_auto:
        idle["local_gw_ratio"] = "without local_lr_auto"
    if not param.rampup_interval:
        idle["rampup_lr"] = "without rampup_interval"
    if not param.warmup_iter:
        idle["warmup_start_lr"] = "without warmup_iter"
    if not param.patience:
        idle["min_delta"] = "without patience"
        if not param.keep_best:
            why = "without patience or keep_best"
            idle |= dict.fromkeys(("watch", "watch_net", "watch_mode"), why)
    return {spec.name: idle[spec.name] for spec, _ in param.set_fields() if spec.name in idle}


def idle_notes(param: SolverParameter, rule: type[Rule]) -> list[str]:
    """`idle_fields`, a line each."""
    found = idle_fields(param, rule)
    return [f"{_place(param, name)}{name} has no effect {why}" for name, why in found.items()]


def momentum_note(param: SolverParameter, rule: type[Rule]) -> list[str]:
    """A line if `momentum` is left out of a rule whose paper has one."""
    momentum = rule.usual_momentum
    if momentum is None or param.has("momentum"):
        return []
    return [
        f'{_place(param, "type")}type: "{rule.name}" without momentum takes it as 0, as Caffe '
        f"does; the paper's is momentum: {momentum}"
    ]


def _place(param: SolverParameter, name: str) -> str:
    span = param.span(name)
    return f"{span}: " if span else ""
