"""The fields that an update rule and a policy read: refused where they cannot work, and said
where they have no effect."""

from __future__ import annotations

from collections.abc import Callable, Collection

from caffelite.errors import Problem, SolverError
from caffelite.schema.solver import SolverParameter
from caffelite.solver.policies import POLICIES

SHARE = "0 or more, and below 1"
RULE_FIELDS: dict[str, tuple[Callable[[float], bool], str]] = {
    "momentum": (lambda x: 0 <= x < 1, SHARE),
    "momentum2": (lambda x: 0 <= x < 1, SHARE),
    "rms_decay": (lambda x: 0 <= x < 1, SHARE),
    "delta": (lambda x: x > 0, "above 0, such as 1e-8"),
}
"""The fields of update rules, and what they may be."""

Reads = Collection[str] | None
"""Which of them a rule reads; None: not known, as for a rule from outside that does not say."""


def check_rule(param: SolverParameter, rule: str, reads: Reads) -> None:
    """Refuse what the update rule cannot work with, all at once."""
    problems = []
    for name, (allowed, expected) in RULE_FIELDS.items():
        value = param.get(name)
        if reads is None or not param.has(name):
            continue
        if name in reads and not allowed(value):
            problems.append(Problem(f"{name} cannot be {value:g}", param.span(name), expected))
        if name == "momentum" and name not in reads and value != 0:
            expected = f"no momentum, or another type: {rule} has none"
            problems.append(Problem(f"{rule} cannot use momentum", param.span(name), expected))
    if problems:
        raise SolverError(*problems)


def field_notes(
    param: SolverParameter, rule: str, reads: Reads, momentum: float | None
) -> list[str]:
    """What may not be as its author thinks: fields that have no effect, and a `momentum` left out
    of a rule whose paper has one."""
    policy = f'lr_policy: "{param.lr_policy}"'
    needs = POLICIES[param.lr_policy][1] if param.lr_policy in POLICIES else ()
    of_policies = {name for _, names in POLICIES.values() for name in names} - {"max_iter"}
    idle: dict[str, str] = {}
    if reads is not None:
        rule_fields = RULE_FIELDS.keys() - set(reads) - {"momentum"}
        idle |= dict.fromkeys(rule_fields, f'with type: "{rule}"')
    idle |= dict.fromkeys(of_policies - set(needs), f"with {policy}")
    if param.lr_policy != "cosine":
        idle["min_lr"] = f"with {policy}"
    if not param.warmup_iter:
        idle["warmup_start_lr"] = "without warmup_iter"
    if not param.patience:
        idle["min_delta"] = "without patience"
        if not param.keep_best:
            why = "without patience or keep_best"
            idle |= dict.fromkeys(("watch", "watch_net", "watch_mode"), why)
    lines = []
    for name in (spec.name for spec, _ in param.set_fields()):
        if name in idle:
            lines.append(f"{_place(param, name)}{name} has no effect {idle[name]}")
    if momentum is not None and not param.has("momentum"):
        lines.append(
            f'{_place(param, "type")}type: "{rule}" without momentum takes it as 0, as Caffe does; '
            f"the paper's is momentum: {momentum}"
        )
    return lines


def _place(param: SolverParameter, name: str) -> str:
    span = param.span(name)
    return f"{span}: " if span else ""
