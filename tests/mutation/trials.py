"""Mutants are tried in a copy of the repository: by the tests of their file, then by wider ones."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from caffelite.layers import registry

from .calls import Calls
from .mutants import Mutant

ROOT = Path(__file__).parents[2]
CONTRACT = "tests/layers/test_contract.py"
NET = ["tests/test_net.py", "tests/test_reference_layers.py"]
FORKS = "tests/schema/test_forks.py"
SCHEMA = ["tests/schema", "tests/test_schema_facts.py", CONTRACT]
SOLVING = ["tests/test_snapshot.py", "tests/judge"]
WIDER = {  # beside all tests of the room
    "layers": ["tests/data", "tests/kernels", *NET],
    "kernels": ["tests/layers", "tests/engines/numpy", "tests/run", *NET],
    "solver": [*NET, "tests/test_reference_model.py", *SOLVING],
    "plan": [
        *NET,
        "tests/run",
        "tests/report",
        "tests/schema/test_forks.py",
        "tests/test_weights.py",
        *SOLVING,
    ],
    "run": [*NET, "tests/plan", "tests/test_weights.py", "tests/engines", *SOLVING],
}
SECONDS = 60, 240  # of the processor, for the first and the wider tests; four times it by the clock
QUICK = 5  # of them, for the first of the tests that are known to call a function
LIMIT = "the time limit"


@dataclass(frozen=True)
class Result:
    """What became of a mutant: the test that failed, or a word."""

    mutant: Mutant
    caught: bool
    by: str = ""


class Workshop:
    """A copy of the repository in `folder`, in which one file at a time is changed."""

    def __init__(self, folder: Path, nice: int = 19) -> None:
        self.root, self.nice = folder / "repository", nice
        skip = shutil.ignore_patterns("__pycache__", ".*", "*.egg-info")
        for name in ("caffelite", "tests", "nets", "solvers", "tools", ".github"):
            shutil.copytree(ROOT / name, self.root / name, ignore=skip)
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / name, self.root)
        self.users = users_of_modules(self.root / "caffelite" / "layers")
        self.calls = Calls()

    def try_out(self, mutant: Mutant, wide: bool) -> Result:
        """Change the file, run its first tests or wider ones until one fails, change it back.

        Tests that come to no end, or cannot begin, are only a mutant's doing if they do without
        it."""
        file = self.root / mutant.path
        source = file.read_bytes()
        tests = self.tests_of(mutant)[wide]
        if not tests:
            return Result(mutant, False)
        try:
            self._write(file, mutant.applied(source))
            failed = self.run(tests, SECONDS[wide])
        finally:
            self._write(file, source)
        if failed and "::" not in failed and self.run(tests, SECONDS[wide]) == failed:
            failed = ""
        return Result(mutant, bool(failed), failed)

    @staticmethod
    def _write(file: Path, source: bytes) -> None:
        """Python takes bytecode by the second and the size of the source: neither may tell."""
        file.write_bytes(source)
        Path(importlib.util.cache_from_source(str(file))).unlink(missing_ok=True)

    def run(self, arguments: list[str], seconds: int) -> str:
        """The first test that fails, "" if none does. Tests that have been recorded and are there
        no more are passed over."""
        command = [sys.executable, "-m", "pytest", "-x", "--tb=no", "-rfE", "--color=no"]
        command += ["-p", "no:cacheprovider", *arguments]
        threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
        env = {**os.environ, **threads, "PYTHONPATH": str(self.root), "COLUMNS": "400"}
        with subprocess.Popen(
            command,
            cwd=self.root,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            preexec_fn=(lambda: be_modest(seconds, self.nice)) if os.name == "posix" else None,
        ) as process:
            try:
                words, _ = process.communicate(timeout=4 * seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                return LIMIT
        if process.returncode in (0, 5):  # passed, or there are no such tests
            return ""
        if process.returncode < 0:
            name = signal.Signals(-process.returncode).name
            return LIMIT if name == "SIGXCPU" else name
        gone = re.findall(r"^ERROR: not found: (.+)$", words, re.MULTILINE)
        if process.returncode == 4 and gone:
            there = [a for a in arguments if str(self.root / a) not in gone]
            return self.run(there, seconds) if 0 < len(there) < len(arguments) else ""
        found = re.search(r"^(?:FAILED|ERROR) (\S+)", words, re.MULTILINE)
        if process.returncode == 4 and "found no collectors" in words:
            raise RuntimeError(words[-2000:])
        return found[1] if found else f"pytest ended with {process.returncode}"

    def tests_of(self, mutant: Mutant) -> list[list[str]]:
        """Arguments for pytest: a first part, then wider ones. The tests that call the function,
        if that has been recorded (`calls`), else those that are likely to."""
        callers = self.calls.tests_of(mutant.path, mutant.where)
        if not callers:
            return self.likely(mutant)
        newer = self.calls.newer(self.root, f"tests/{mutant.path.split('/')[1]}")
        quick = self.calls.within(callers, QUICK)
        rest = self.calls.within(callers[len(quick) :], SECONDS[1] / 4)
        # where few are known to call it, what it gives may be kept from one test to the next
        return [[*quick, *newer], rest or self.likely(mutant)[0]]

    def likely(self, mutant: Mutant) -> list[list[str]]:
        """The tests of the file, then those of its room and of its users."""
        room, stem = mutant.path.split("/")[1], Path(mutant.path).stem
        named = [
            p.relative_to(ROOT).as_posix() for p in ROOT.glob(f"tests/{room}/test_*{stem}*.py")
        ]
        first, wide = [*named, f"tests/{room}"], WIDER[room]
        if mutant.where.partition(".")[0].endswith("Parameter"):
            return [SCHEMA, first]
        if room == "layers":
            wide = [*first, *wide]
            first = [*named, CONTRACT, NET[1]]
            types = self.users[stem]
            files = {cls.tested_in for name, cls in registry.items() if name in types} - {""}
            first += sorted(files)
            if len(types) < 40:  # else they are all meant
                words = [*sorted(types), stem, *reference(types), *(Path(f).stem for f in files)]
                first += ["-k", " or ".join(words)]
        return [first, wide]


def be_modest(seconds: int, nice: int) -> None:
    """A small share of the processor, `seconds` of it at most, and 6 GB of memory."""
    import resource

    os.nice(nice)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
    resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))


def reference(types: set[str]) -> list[str]:
    """The reference vectors in which one of the types occurs."""
    folder = ROOT / "tests" / "reference" / "layers"
    texts = {path.stem: path.read_text(encoding="utf-8") for path in folder.glob("*.prototxt")}
    return sorted(n for n, text in texts.items() if any(f'"{t}"' in text for t in types))


def users_of_modules(folder: Path) -> dict[str, set[str]]:
    """For each module of the layers, the types of layers whose modules import it, or its own."""
    imported: dict[str, set[str]] = {}
    for path in folder.glob("*.py"):
        tree = ast.parse(path.read_bytes())
        froms = [n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
        imported[path.stem] = {m.rpartition(".")[2] for m in froms if ".layers." in f".{m}."}
    users: dict[str, set[str]] = {stem: set() for stem in imported}
    for name, cls in registry.items():
        seen, new = set(), {cls.__module__.rpartition(".")[2]}
        while new:
            seen |= new
            new = set().union(*(imported.get(stem, set()) for stem in new)) - seen
        for stem in seen & users.keys():
            users[stem].add(name)
    return users


def take_back(workshop: Workshop, results: list[Result]) -> list[Result]:
    """The results without those whose test also fails without a mistake."""
    names = sorted({result.by for result in results if "::" in result.by})
    files = sorted({name.partition("::")[0] for name in names})
    if not files:
        return results
    command = [sys.executable, "-m", "pytest", "--tb=no", "-rfE", "--color=no"]
    command += ["-p", "no:cacheprovider", *files]
    env = {**os.environ, "PYTHONPATH": str(workshop.root), "COLUMNS": "400"}
    run = subprocess.run(command, cwd=workshop.root, env=env, capture_output=True, text=True)
    failing = set(re.findall(r"^(?:FAILED|ERROR) (\S+)", run.stdout, re.MULTILINE))
    return [result for result in results if result.by not in failing]
