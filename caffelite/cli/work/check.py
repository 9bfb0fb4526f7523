"""The work of `caffelite check`."""

from __future__ import annotations

import argparse
import os

from caffelite.cli.console import complain, load_plugins
from caffelite.cli.help import UsageError
from caffelite.cli.warnings import allowed_names, warn
from caffelite.collecting import leave_at_exit
from caffelite.errors import CaffeliteError, Problem, Span, printable
from caffelite.judge import NAMES, Doubt
from caffelite.judge.check import Report, check_file


def run(args: argparse.Namespace) -> int:
    """Check all files; 1 if there is a mistake in any."""
    if args.names:
        width = max(map(len, NAMES))
        for name in sorted(NAMES):
            print(f"{name:<{width}}  {NAMES[name]}")
        return 0
    if not args.files:
        hint = "`caffelite check --help` shows how it is used"
        raise UsageError(Problem("caffelite check: FILE is missing", hint=hint))
    leave_at_exit()
    allow = allowed_names(args)
    load_plugins(args)
    once = _Once()
    reports = [once.only_new(check_file(n, not args.no_data, allow)) for n in args.files]
    wrong = any(r.mistakes or (args.strict and (r.warnings or r.absent)) for r, _ in reports)
    if args.json:
        _print_json([report for report, _ in reports], not wrong)
        return int(wrong)
    for report, known in reports:
        _print(report, known)
    shown = [report for report, _ in reports]
    mistakes = [problem for report in shown for problem in report.mistakes]
    warnings = [doubt for report in shown for doubt in report.warnings]
    absent = [problem for report in shown for problem in report.absent]
    if args.strict:
        mistakes += [d.problem("") for d in warnings] + absent
    else:
        warn(warnings)
        if absent and not args.no_data:
            _print_absent(absent)
    if mistakes:
        complain(CaffeliteError(*mistakes))
    return int(wrong)


class _Once:
    """What has been reported: a net's mistakes are those of its solver too, and are said once."""

    def __init__(self) -> None:
        self._seen: set[tuple[object, ...]] = set()

    def only_new(self, report: Report) -> tuple[Report, int]:
        """What is new in a report, and how many of its mistakes are not."""
        before = len(report.mistakes)
        report.mistakes = [p for p in report.mistakes if self._is_new(p.span, p.message)]
        report.warnings = [d for d in report.warnings if self._is_new(d.span, d.message)]
        report.absent = [p for p in report.absent if self._is_new(p.span, p.message)]
        return report, before - len(report.mistakes)

    def _is_new(self, span: Span | None, message: str) -> bool:
        place = (os.path.realpath(span.source.name), span.line, span.col) if span else ()
        key = (*place, message)
        new = key not in self._seen
        self._seen.add(key)
        return new


def _print(report: Report, known: int) -> None:
    counts = [
        f"{count} {what}{'s' if count > 1 else ''}"
        for count, what in ((len(report.mistakes), "mistake"), (len(report.warnings), "warning"))
        if count
    ]
    if known and not report.mistakes:
        counts.insert(
            0, f"{known} mistake{'s, which are' if known > 1 else ', which is'} said already"
        )
    found = ", ".join(counts)
    if report.mistakes or known:
        print(f"{report.file}: {found}")
    elif len(report.says) == 1 and not found:
        print(printable(f"{report.file}: {report.says[0]}"))
    else:
        print(f"{report.file}: {found}".rstrip())
        for line in report.says:
            print(printable(f"    {line}"))


def _print_absent(absent: list[Problem]) -> None:
    """Data that is not here, each path once, with the first place that names it."""
    lines: dict[str, str] = {}
    for problem in absent:
        said = problem.message + (f"; {problem.hint}" if problem.hint else "")
        lines.setdefault(said, f"    {problem.span}: {said}")
    print("data that is not here, so that shapes which depend on it are not checked:")
    for line in lines.values():
        print(printable(line))


def _print_json(reports: list[Report], right: bool) -> None:
    import json

    files = [
        {
            "file": report.file,
            "says": report.says,
            "mistakes": [_mistake(problem) for problem in report.mistakes],
            "warnings": [_warning(doubt) for doubt in report.warnings],
            "absent": [_mistake(problem) for problem in report.absent],
        }
        for report in reports
    ]
    print(json.dumps({"ok": right, "files": files}, indent=2))


def _place(span: Span | None) -> dict[str, object]:
    if span is None:
        return dict.fromkeys(("file", "line", "column", "width"))
    return {
        "file": span.source.name,
        "line": span.line,
        "column": span.col,
        "width": span.width,
    }


def _mistake(problem: Problem) -> dict[str, object]:
    about = {
        "message": problem.message,
        "expected": problem.expected,
        "hint": problem.hint,
    }
    return _place(problem.span) | about


def _warning(doubt: Doubt) -> dict[str, object]:
    about = {
        "name": doubt.name,
        "message": doubt.message,
        "reason": doubt.reason,
        "remedy": doubt.remedy,
    }
    return _place(doubt.span) | about
