"""What `check` holds against which phase and stage."""

from __future__ import annotations

from pathlib import Path

import pytest

from caffelite.judge.check import check_file


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


INPUT = 'layer { name: "%s" type: "Input" top: "data" input_param { shape { dim: 1 dim: %d } } %s }'
IP = """layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
  inner_product_param { num_output: 3 } }"""


def said(text: str) -> tuple[list[str], list[str]]:
    Path("f.net").write_text(text)
    report = check_file("f.net")
    return [str(p).split("\n")[0] for p in report.mistakes], report.says


def test_stages_that_exclude_one_another_are_no_mistake() -> None:
    two = INPUT % ("a", 4, 'include { stage: "a" }') + INPUT % ("b", 5, 'include { stage: "b" }')
    found, lines = said(two + IP)
    assert found == []
    assert len(lines) == 4 and "(a)" in lines[0] and "(b)" in lines[1]


def test_stages_that_belong_together_are_no_mistake() -> None:
    text = INPUT % ("a", 4, 'include { stage: "a" }')
    text += IP.replace("inner_product_param", 'include { stage: "b" } inner_product_param')
    assert said(text)[0] == []


def test_a_mistake_in_one_stage_is_found() -> None:
    text = INPUT % ("a", 4, "") + IP
    text += 'layer { name: "x" type: "ReLU" bottom: "ipp" top: "x" include { stage: "b" } }'
    found, _ = said(text)
    assert len(found) == 1 and 'reads "ipp"' in found[0]


def test_a_deploy_net_of_one_phase() -> None:
    text = INPUT % ("a", 4, "")
    text += 'layer { name: "r" type: "ReLU" bottom: "data" top: "r" include { phase: TEST } }'
    text += 'layer { name: "s" type: "ReLU" bottom: "r" top: "s" }'
    found, lines = said(text)
    assert found == []
    assert lines[0] == "TEST: 3 layers, 0 parameters, outputs s"
    assert lines[1] == "phase TRAIN: this net is for the other phase"


def test_an_unknown_type_with_bottoms_is_no_source() -> None:
    text = INPUT % ("a", 4, "include { phase: TEST }") + IP
    text += 'layer { name: "x" type: "Unheard" bottom: "ip" top: "x" include { phase: TRAIN } }'
    found, lines = said(text)
    assert (found, lines[-1]) == ([], "phase TRAIN: no data layer, not checked")
