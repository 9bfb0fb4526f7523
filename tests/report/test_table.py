"""Tables fit their width."""

from __future__ import annotations

import pytest

from caffelite.report.table import Column, shorten, si, size, table

COLUMNS = [
    Column("name", cut=True),
    Column("kind", gives_way=2),
    Column("count", right=True),
    Column("share", right=True, gives_way=1),
]
ROWS = [["a_long_name_of_a_layer", "Convolution", "12", "50 %"], ["b", "ReLU", "3", "1 %"]]


def test_without_a_width_nothing_is_cut() -> None:
    assert table(COLUMNS, ROWS, [["sum", "", "15", ""]]) == [
        "name                    kind         count  share",
        "-" * 49,
        "a_long_name_of_a_layer  Convolution     12   50 %",
        "b                       ReLU             3    1 %",
        "-" * 49,
        "sum                                     15",
    ]


def test_names_are_cut_before_columns_are_given_up() -> None:
    assert table(COLUMNS, ROWS, width=40)[2] == "a_long..layer  Convolution     12   50 %"
    assert table(COLUMNS, ROWS, width=26)[2] == "a_lon..layer     12   50 %"


@pytest.mark.parametrize("width", range(16, 60))
def test_no_line_is_wider(width: int) -> None:
    assert max(map(len, table(COLUMNS, ROWS, width=width))) <= width


@pytest.mark.parametrize(
    ("value", "said"),
    [(0, "0"), (7, "7"), (999, "999"), (1000, "1 k"), (999_900, "1 M"), (1.58e9, "1.58 G")],
)
def test_si(value: float, said: str) -> None:
    assert si(value) == said


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0"), (4, "4 B"), (1024, "1 KB"), (1536, "1.5 KB"), (2**31, "2 GB")]
)
def test_size(count: int, said: str) -> None:
    assert size(count) == said


def test_shorten_keeps_both_ends() -> None:
    assert shorten("inception_3a/3x3_reduce", 12) == "incep..educe"
    assert shorten("short", 12) == "short"
