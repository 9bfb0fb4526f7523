"""The examples that come with the package: nets, and solvers that train them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from caffelite.errors import CaffeliteError, Problem, did_you_mean


@dataclass(frozen=True)
class Example:
    """A net with its solvers, the one of the net's own name first."""

    name: str
    about: str
    """The first sentence of the net's comment."""
    net: Path
    solvers: tuple[Path, ...]

    def files(self) -> dict[str, str]:
        """Name and text of each file, for one folder: what they name is in that folder."""
        return {path.name: _moved(path.read_text("utf-8")) for path in (self.net, *self.solvers)}


def _moved(text: str) -> str:
    return re.sub(r"(?:\.\./)?\b(?:nets|solvers)/(?=\w[\w.]*\.(?:net|solver)\b)", "", text)


def folder() -> Path:
    """Where nets/ and solvers/ are: in the package; in a clone, beside it."""
    here = Path(__file__).parent
    for place in (here / "example_files", here.parent):
        if (place / "nets").is_dir():
            return place
    raise CaffeliteError(
        Problem(
            "the examples are not here",
            expected=f"nets/ and solvers/ in {here / 'examples'}",
            hint="installing caffelite again brings them back",
        )
    )


def examples() -> dict[str, Example]:
    """All examples by name."""
    place = folder()
    found = {}
    for net in sorted((place / "nets").glob("*.net")):
        solvers = [
            path
            for path in sorted((place / "solvers").glob(f"{net.stem}*.solver"))
            if path.stem == net.stem or path.stem.startswith(f"{net.stem}_")
        ]
        solvers = [path for path in solvers if f"/{net.name}" in path.read_text("utf-8")]
        solvers.sort(key=lambda path: (path.stem != net.stem, path.stem))
        found[net.stem] = Example(net.stem, _about(net), net, tuple(solvers))
    return found


def find_example(name: str) -> Example:
    """The example of a name; an unknown one is refused with a suggestion."""
    known = examples()
    if name not in known:
        raise CaffeliteError(
            Problem(
                f'there is no example "{name}"',
                expected="one of " + ", ".join(known),
                hint=did_you_mean(name, known),
            )
        )
    return known[name]


def _about(net: Path) -> str:
    words: list[str] = []
    for line in net.read_text("utf-8").splitlines():
        if not line.startswith("#") or not line.strip("# "):
            break
        words.append(line.strip("# "))
    return re.split(r"(?<=[\w)]{2})\.(?:\s|$)", " ".join(words))[0]
