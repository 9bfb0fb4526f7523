"""The work of `caffelite train`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from contextlib import nullcontext
from dataclasses import replace
from types import FrameType
from typing import TextIO, cast

import numpy as np

from caffelite.cli.banner import banner, opening
from caffelite.cli.console import (
    given,
    load_plugins,
    use_device,
)
from caffelite.cli.dryrun import dry_run
from caffelite.cli.enduring import Enduring, say
from caffelite.cli.live import LiveMonitor
from caffelite.cli.logfile import LogMonitor, Several, check_log, log_path
from caffelite.cli.manifest import Manifest, manifest_path
from caffelite.cli.nets import stand_in_shapes
from caffelite.cli.warnings import allowed_names, warn
from caffelite.errors import CaffeliteError, Problem
from caffelite.files import parse_message
from caffelite.judge import Start, judge_job
from caffelite.judge.check import doubts_as_warnings
from caffelite.run.gradients import let_gradients_go
from caffelite.schema.solver import SolverParameter
from caffelite.snapshot import missing_folder, writes
from caffelite.solver import Job, LineMonitor, Monitor, Solver, get_solver, load_job
from caffelite.solver.claim import claimed
from caffelite.solver.facts import Pace
from caffelite.text import read_source
from caffelite.weights import Report


def run(args: argparse.Namespace) -> int:
    """Train; 0 when done, 130 when stopped by Ctrl-C."""
    args.solver = given(args, "solver", "SOLVER")
    load_plugins(args)
    if args.snapshot and args.weights:
        raise CaffeliteError(
            Problem(
                "--snapshot and --weights are given together",
                expected="one: --snapshot goes on with a run, --weights starts a new one",
            )
        )
    offer_folder(args.solver, args.make_folder)
    allow = allowed_names(args)
    with doubts_as_warnings():
        job = load_job(args.solver, whole=True, data_shapes=stand_in_shapes(args))
    starts = job.weights or args.weights or args.snapshot
    warn(judge_job(job, Start.WEIGHTS if starts else Start.FILLERS, allow))
    job = replace(job, idle=())  # the warnings say it
    param = job.param
    if args.log and not args.dry_run:
        check_log(args.log)
    log_file = "" if args.dry_run else args.log or log_path(param, args.solver)
    log = LogMonitor(log_file, param.max_iter, resumed=bool(args.snapshot))
    screen = _screen(args, param)
    use_device(args)
    with nullcontext() if args.dry_run else claimed(param, args.solver):
        return _train(args, job, screen, log)


def _screen(args: argparse.Namespace, param: SolverParameter) -> Monitor:
    if args.quiet:
        return Monitor()
    out = cast(TextIO, Enduring(sys.stdout))
    return LiveMonitor(param, out, args.verbose) if out.isatty() else LineMonitor(file=out)


def _train(args: argparse.Namespace, job: Job, screen: Monitor, log: LogMonitor) -> int:
    solver = get_solver(job, Several([screen, log]))
    for path in (args.weights or "").split(","):
        if path:
            report = solver.net.copy_from(
                path.strip(), args.skip_mismatch, verify=not args.unverified
            )
            show_report(screen, path, report)
    if args.snapshot:
        solver.restore(args.snapshot, verify=not args.unverified)
        screen.on_note(f"going on from {args.snapshot}, iteration {solver.iter}")
    record = "" if args.dry_run else manifest_path(job.param, args.solver)
    _introduce(args, solver, screen, [log.path, record])
    if args.dry_run:
        print("\n".join(dry_run(solver)))
        return 0
    read = [*(args.weights or "").split(","), args.snapshot, *args.plugin, *job.weights]
    manifest = Manifest(record, solver, _command(), [path for path in read if path])
    log.start(solver)
    if solver.net.executor.looked_into is None:
        let_gradients_go(solver.net.executor)
    began, first = time.perf_counter(), solver.iter
    # the solver reports a loss that is not finite, in words
    quiet = np.errstate(over="ignore", invalid="ignore", divide="ignore")
    with manifest, Interrupts(solver, screen), log, screen, quiet:
        solver.solve()
        if solver.stop_requested:
            state = solver.saved() or solver.snapshot()
    seconds = time.perf_counter() - began
    done = solver.iter - first
    screen.on_note(
        f"{done} iterations in {seconds:.2f} s ({done / max(seconds, 1e-9):,.0f} a second)"
    )
    if solver.stop_requested:
        text = f"to go on: caffelite train --solver {args.solver} --snapshot {state}"
        say(text) if args.quiet else screen.on_note(text)
        return 130
    return 0


def _introduce(args: argparse.Namespace, solver: Solver, screen: Monitor, files: list[str]) -> None:
    """What is to be known of a run before it starts."""
    if isinstance(screen, LiveMonitor):
        screen.pace = Pace.of(solver)
        lines = banner(solver, [] if args.dry_run else files, screen.console.width)
    else:
        lines = [opening(solver)]
    if args.verbose and not args.dry_run:
        lines += ["", *str(solver.net.summary()).splitlines(), ""]
    for line in lines:
        screen.on_note(line)


def _command() -> list[str]:
    """The command line as it was typed."""
    return ["caffelite", *sys.argv[1:]]


def offer_folder(path: str, make: bool) -> None:
    """Make the folder of a solver's snapshots where it is missing: if the user says so beforehand,
    or when asked on a terminal. Mistakes of the file are left to who reads it next."""
    try:
        param = parse_message(read_source(path), SolverParameter)
    except CaffeliteError:
        return
    folder = missing_folder(param) if writes(param) else ""
    if not folder:
        return
    if not make and sys.stdin.isatty() and sys.stdout.isatty():
        answer = input(f"the folder for snapshots, {folder}, does not exist. Make it? [Y/n] ")
        make = answer.strip().lower() in ("", "y", "yes")
    if make:
        try:
            os.makedirs(folder, exist_ok=True)
        except OSError as error:
            raise CaffeliteError(f"{folder}: cannot be made: {error.strerror or error}") from None


def show_report(screen: Monitor, path: str, report: Report) -> None:
    """The table of what was copied from a weights file."""
    screen.on_note(f"{path}:")
    for line in str(report).splitlines():
        screen.on_note(f"    {line}")


class Interrupts:
    """Ctrl-C asks the solver to stop after its iteration; a second one stops at once. As with
    Caffe, a hang-up signal takes a snapshot and the run goes on."""

    def __init__(self, solver: Solver, screen: Monitor) -> None:
        self.solver, self.screen = solver, screen
        self._old: dict[int, object] = {}

    def __enter__(self) -> None:
        for name, handler in (
            ("SIGINT", self._stop),
            ("SIGTERM", self._stop),
            ("SIGHUP", self._snap),
        ):
            number = getattr(signal, name, None)
            if number is not None:
                self._old[number] = signal.signal(number, handler)

    def __exit__(self, *failure: object) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self.solver.stop_requested:
            raise KeyboardInterrupt
        self.solver.stop_requested = True
        text = "stopping after this iteration (again to stop at once)"
        if isinstance(self.screen, LiveMonitor):
            self.screen.on_note(text)
        else:  # not on stdout: the signal may have come while a line was written there
            say(text)

    def _snap(self, number: int, frame: FrameType | None) -> None:
        self.solver.snapshot_requested = True
