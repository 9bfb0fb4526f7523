"""The examples (nets/, solvers/) travel inside the package, in caffelite/example_files;
pyproject.toml says everything else."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

FOLDERS = {"nets": "*.net", "solvers": "*.solver"}


class BuildWithExamples(build_py):
    """As usual, and copies the examples; an editable install finds them where they are."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        for folder, pattern in FOLDERS.items():
            target = Path(self.build_lib) / "caffelite" / "example_files" / folder
            target.mkdir(parents=True, exist_ok=True)
            for path in sorted((Path(__file__).parent / folder).glob(pattern)):
                shutil.copyfile(path, target / path.name)


setup(cmdclass={"build_py": BuildWithExamples})
