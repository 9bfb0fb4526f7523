"""A plug-in that replaces a top instead of writing into it is met with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from caffelite.cli import main
from caffelite.layers.base import registry

PLUGIN = '''from caffelite.layers import Layer, register


@register
class Doubled(Layer):
    """y = 2x."""

    def forward(self, bottom, top):
        top[0] = 2 * bottom[0]
'''
NET = """layer { name: "x" type: "DummyData" top: "x" dummy_data_param { shape { dim: 2 } } }
layer { name: "d" type: "Doubled" bottom: "x" top: "y" }
"""


@pytest.mark.parametrize("command", ["time", "gradcheck"])
def test_a_top_is_written_into(
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("plug.py").write_text(PLUGIN)
    Path("a.net").write_text(NET)
    try:
        assert main([command, "a.net", "--plugin", "plug.py"]) == 1
    finally:
        registry.pop("Doubled", None)
    said = capsys.readouterr().err
    assert said.startswith('plug.py:9:9: layer "d" (Doubled): TypeError')
    assert "write into it, top[0][...] = values" in said
