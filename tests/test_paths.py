"""Files that nets and solvers name are found, or it is said where they were looked for."""

from pathlib import Path

import pytest

from caffelite.errors import CaffeliteError
from caffelite.paths import find_path


def test_the_current_folder_comes_first_then_the_file_s_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    own = tmp_path / "solvers"
    (tmp_path / "nets").mkdir()
    own.mkdir()
    (own / "a.net").touch()
    assert find_path("a.net", "solvers") == "solvers/a.net"
    (tmp_path / "a.net").touch()
    assert find_path("a.net", "solvers") == "a.net"
    (tmp_path / "nets" / "b.net").touch()
    assert find_path("../nets/b.net", "solvers") == "nets/b.net"


@pytest.mark.parametrize(
    "name, hint",
    [
        ("spirl.net", 'did you mean "spiral.net"?'),
        ("d/t10k-images-idx3-ubyte.gz", "`caffelite data mnist d` downloads it"),
        ("d/cifar10_test_lmdb", "`caffelite data cifar10 d` downloads it"),
        ("xyz.h5", None),
    ],
)
def test_a_missing_file_is_told(
    name: str, hint: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("spiral.net").touch()
    with pytest.raises(CaffeliteError) as caught:
        find_path(name, "", what="net file")
    (problem,) = caught.value.problems
    assert problem.message == f'there is no net file "{name}"'
    assert str(tmp_path / name) in str(problem.expected)
    assert problem.hint == hint
