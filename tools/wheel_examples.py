"""The examples (nets/, solvers/) travel inside the package, in caffelite/example_files. What
setuptools runs to build it; pyproject.toml says everything else."""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools.command.build_py import build_py

FOLDERS = {"nets": "*.net", "solvers": "*.solver"}


def files() -> list[Path]:
    """The examples, as paths from the project's folder."""
    return [p for folder, pattern in FOLDERS.items() for p in sorted(Path(folder).glob(pattern))]


class BuildWithExamples(build_py):
    """As usual, and copies the examples; an editable install finds them where they are."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        for path in files():
            target = Path(self.build_lib) / "caffelite" / "example_files" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)

    def get_source_files(self) -> list[str]:
        """What goes into a source archive: the examples too, and this file, which a build needs."""
        return [*super().get_source_files(), *map(str, files()), "tools/wheel_examples.py"]
