"""Is what the README and the guides say of this project still so? Ends with 1 if not.

python tools/claims.py          measure, and compare
python tools/claims.py --fix    and write the counts that are measured into the README
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
README = ROOT / "README.md"
GUIDES = ROOT / ".github" / "guides"
LONGEST = 400
"""Lines of a file of code."""


def lines_of_code() -> int:
    """The lines of the package's Python files."""
    return sum(_lines(path) for path in (ROOT / "caffelite").rglob("*.py"))


CORE = ("text", "schema", "plan", "run", "kernels", "solver")


def lines_of_the_core() -> int:
    """The lines from text to a trained net, layers apart."""
    return sum(_lines(p) for room in CORE for p in (ROOT / "caffelite" / room).rglob("*.py"))


def spiral_parameters() -> int:
    """The parameters that the first example learns."""
    from caffelite import TRAIN, Net

    return Net(ROOT / "nets" / "spiral.net", TRAIN).parameter_count


@dataclass(frozen=True)
class Count:
    """A number in the README: the words around it, how it is measured, and how far from it the
    README may be, as a share."""

    words: str
    measure: Callable[[], int]
    tolerance: float = 0.0

    def compare(self, readme: str) -> str | None:
        """What is wrong, if anything is."""
        found = re.search(self.words, readme)
        if found is None:
            return f'the README does not say "{self.words}" any more'
        said, is_so = int(found[1].replace(",", "")), self.measure()
        if abs(said - is_so) <= self.tolerance * is_so:
            return None
        return f'the README says "{found[0]}"; there are {is_so:,}'

    def fixed(self, readme: str) -> str:
        """The README with the number as it is, rounded where it may be."""
        number = self.measure()
        number = round(number, -3) if self.tolerance else number
        return re.sub(self.words, lambda m: m[0].replace(m[1], f"{number:,}"), readme)


COUNTS = [
    Count(r"([\d,]+) lines of Python, tests apart", lines_of_code, 0.05),
    Count(r"([\d,]+) of them from text to trained net", lines_of_the_core, 0.05),
    Count(r"The ([\d,]+) parameters of `nets/spiral.net`", spiral_parameters),
]


def mistakes(readme: str) -> Iterator[str]:
    """All that is not so."""
    yield from (wrong for count in COUNTS if (wrong := count.compare(readme)))
    yield from unnamed_commands(readme)
    guides = (path.read_text(encoding="utf-8") for path in sorted(GUIDES.glob("*.md")))
    for text in (readme, *guides):
        yield from unknown_extras(text)
        yield from missing_files(text)
    for path in [*(ROOT / "caffelite").rglob("*.py"), *(ROOT / "tools").rglob("*.py")]:
        if _lines(path) > LONGEST:
            yield f"{path.relative_to(ROOT)} has more than {LONGEST} lines"


def unnamed_commands(readme: str) -> Iterator[str]:
    """Commands that the README does not name, and those that it names and there are not."""
    from caffelite.cli.registry import commands

    named = set(re.findall(r"^\| `caffelite ([a-z-]+)", readme, re.M))
    there = {name.replace("_", "-") for name in commands()}
    if named - there:
        yield f"the README has commands that there are not: {', '.join(sorted(named - there))}"
    mentioned = set(re.findall(r"caffelite ([a-z-]+)", readme))
    if there - mentioned:
        yield f"the README names no {', '.join(sorted(there - mentioned))}"


def unknown_extras(readme: str) -> Iterator[str]:
    """Extras in `pip install` lines that pyproject.toml does not have."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    block = text.partition("[project.optional-dependencies]")[2].partition("\n[")[0]
    there = set(re.findall(r"^([a-z]+) = ", block, re.M))
    for names in re.findall(r'"(?:\.|caffelite)\[([a-z,]+)\]"', readme):
        for name in names.split(","):
            if name not in there:
                yield f"README or guides install the extra {name}, which there is not"


def missing_files(readme: str) -> Iterator[str]:
    """Nets, solvers, tools and pictures that are named and not there."""
    for name in sorted(
        set(re.findall(r"(?<![\w./])(?:nets|solvers|tools|\.github)/[\w./]+\w", readme))
    ):
        if not (ROOT / name).exists():
            yield f"README or guides name {name}, which is not there"


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n")


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare the README with what is there.")
    parser.add_argument("--fix", action="store_true", help="write the counts into the README")
    readme = README.read_text(encoding="utf-8")
    if parser.parse_args().fix:
        for count in COUNTS:
            readme = count.fixed(readme)
        README.write_text(readme, encoding="utf-8")
    found = list(mistakes(readme))
    print("\n".join(found) or "the README is up to date")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
