"""CsvData: tables in text files."""

from __future__ import annotations

from pathlib import Path

import pytest

from caffelite.errors import CaffeliteError

from .nets import assert_resumes, batches, layer_of, net_of

TEXT = 'type: "CsvData" csv_data_param { source: "t.csv" batch_size: 2 }'
TABLE = "a,b,kind\n1,2.5,0\n3,-4e1,1\n\n 5 , 6,2\n"


def with_field(field: str) -> str:
    return TEXT.replace("batch_size", f"{field} batch_size")


def table(folder: Path, text: str) -> Path:
    (folder / "t.csv").write_text(text)
    return folder


def test_the_last_column_is_the_label_and_a_header_is_seen(tmp_path: Path) -> None:
    net = net_of(TEXT, table(tmp_path, TABLE))
    assert layer_of(net).epoch_size == 3
    first, second = batches(net, 2)
    assert first["data"].tolist() == [[1, 2.5], [3, -40]]
    assert first["label"].tolist() == [0, 1]
    assert second["data"].tolist() == [[5, 6], [1, 2.5]]
    assert second["label"].tolist() == [2, 0]


@pytest.mark.parametrize("label", ["b", "1", "-2"])
def test_the_label_may_be_another_column(tmp_path: Path, label: str) -> None:
    (found,) = batches(net_of(with_field(f'label: "{label}"'), table(tmp_path, TABLE)), 1)
    assert found["label"].tolist() == [2.5, -40]
    assert found["data"].tolist() == [[1, 0], [3, 1]]


def test_with_one_top_all_columns_are_data_but_a_label_that_is_named(tmp_path: Path) -> None:
    table(tmp_path, TABLE)
    assert net_of(TEXT, tmp_path, tops=("x",)).blobs["x"].shape == (2, 3)
    (found,) = batches(net_of(with_field('label: "kind"'), tmp_path, tops=("x",)), 1)
    assert found["x"].tolist() == [[1, 2.5], [3, -40]]


def test_without_a_header_the_first_line_counts(tmp_path: Path) -> None:
    table(tmp_path, "\ufeff1;2\r\n3;4\r\n")
    (found,) = batches(net_of(with_field('delimiter: ";"'), tmp_path), 1)
    assert found["data"].tolist() == [[1], [3]]
    assert found["label"].tolist() == [2, 4]


def test_a_header_of_numbers_is_named_as_one(tmp_path: Path) -> None:
    table(tmp_path, "1990,1991\n3,4\n5,6\n")
    (found,) = batches(net_of(with_field("header: true"), tmp_path), 1)
    assert found["data"].tolist() == [[3], [5]]


def test_named_classes_are_numbered_in_the_order_given(tmp_path: Path) -> None:
    table(tmp_path, "1,cat\n2,ant\n3,cat\n")
    text = with_field('classes: ["cat", "ant"]')
    assert [b["label"].tolist() for b in batches(net_of(text, tmp_path), 2)] == [[0, 1], [0, 0]]


def test_columns_are_scaled_after_their_mean(tmp_path: Path) -> None:
    text = TEXT + "transform_param { mean_value: [1, 2] scale: 10 }"
    (found,) = batches(net_of(text, table(tmp_path, TABLE)), 1)
    assert found["data"].tolist() == [[0, 5], [20, -420]]


def test_a_resumed_run_sees_the_same_rows(tmp_path: Path) -> None:
    table(tmp_path, "".join(f"{i},{i}\n" for i in range(7)))
    assert_resumes(with_field("shuffle: true"), tmp_path)


@pytest.mark.parametrize(
    ("content", "field", "parts"),
    [
        ("1,2\n3\n", "", ["t.csv:2:1", "1 columns, where 2"]),
        ("1,2\n3,4\nx,5\n", "", ["t.csv:3:1", '"x" is not a number']),
        ("1,setosa\n", "", ["t.csv:1:1", "setosa", "classes:"]),
        ("1,cta\n", 'classes: "cat"', ["t.csv:1:1", "none of the classes", "did you mean"]),
        ("a,b\n1,2\n", 'label: "c"', ['no column "c"', "a, b"]),
        ("a,b\n1,2\n", 'label: "2"', ['no column "2"']),
        ("a,b\n", "header: true", ["no rows"]),
        ("", "", ["is empty"]),
        ("1\n2\n", "", ["no column beside the label"]),
        ("1,2\n", 'delimiter: ", "', ["not one character"]),
    ],
)
def test_what_is_wrong_is_said_with_its_line(
    tmp_path: Path, content: str, field: str, parts: list[str]
) -> None:
    with pytest.raises(CaffeliteError) as caught:
        batches(net_of(with_field(field), table(tmp_path, content)), 1)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("column", "looks_like_labels"),
    [("0 1 2", True), ("1 3 2", True), ("0 1 0.5", False), ("2 3 4", False), ("-1 0 1", False)],
)
def test_whole_numbers_in_front_may_be_the_label(
    tmp_path: Path, column: str, looks_like_labels: bool
) -> None:
    table(tmp_path, "".join(f"{number},5,7.5\n" for number in column.split()))
    hint = layer_of(net_of(TEXT, tmp_path)).other_label()
    assert (hint is not None and 'write label: "0"' in hint) == looks_like_labels
    assert layer_of(net_of(with_field('label: "2"'), tmp_path)).other_label() is None
