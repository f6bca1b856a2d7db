"""Tables from CSV files: what is read, how columns are encoded, which cells are reported."""

import json
import math

import pytest

from micrograd_plus.commands.tables import Column, Encoder, Table, read_csv


@pytest.fixture
def write(tmp_path):
    def write(text, encoding="utf-8"):
        path = tmp_path / "table.csv"
        path.write_text(text, encoding=encoding)
        return path

    return write


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_reads_header_and_rows_whatever_the_separator(write, separator):
    text = "size,colour\n1.5,red\n\n2,blue\n".replace(",", separator)
    table = read_csv(write(text))
    assert table.header == ["size", "colour"]
    assert [(row.number, row.cells) for row in table.rows] == [
        (2, ["1.5", "red"]),
        (4, ["2", "blue"]),
    ]


def test_reads_what_a_spreadsheet_saves(write):
    table = read_csv(write('size,name\r\n1,"a, b"\r\n', encoding="utf-8-sig"))
    assert table.header == ["size", "name"]
    assert table.rows[0].cells == ["1", "a, b"]


@pytest.mark.parametrize("text", ["", "only,a,header\n", "\n\n"])
def test_refuses_a_file_without_rows(write, text):
    with pytest.raises(ValueError, match="a header and at least one row"):
        read_csv(write(text))


def test_refuses_two_columns_of_one_name(write):
    with pytest.raises(ValueError, match="'size'"):
        read_csv(write("size,size\n1,2\n"))


def test_refuses_a_file_that_is_not_text(tmp_path):
    path = tmp_path / "binary.csv"
    path.write_bytes(b"\xff\xfe\x00\x01\x80")
    with pytest.raises(ValueError, match="not a CSV file in UTF-8"):
        read_csv(path)


def test_numbers_are_standardised_and_texts_become_one_input_each(write):
    table = read_csv(write("size,colour,y\n1,red,a\n3,blue,b\n5,red,a\n"))
    encoder = Encoder.learn(table, "y")
    X, y = encoder.inputs(table), encoder.targets(table)
    deviation = math.sqrt(8 / 3)
    assert [[-2 / deviation, 0.0, 1.0], [0.0, 1.0, 0.0], [2 / deviation, 0.0, 1.0]] == X
    assert y == [0, 1, 0]
    assert encoder.width == 3


def test_a_constant_column_does_not_divide_by_zero(write):
    table = read_csv(write("size,y\n7,a\n7,b\n"))
    assert Encoder.learn(table, "y").inputs(table) == [[0.0], [0.0]]


@pytest.mark.parametrize(
    ("cells", "task", "classes"),
    [
        (["red", "blue", "red"], "auto", ["blue", "red"]),
        (["2", "10", "1"], "auto", ["1", "2", "10"]),
        (["0.5", "1.5", "2"], "auto", []),
        ([str(k) for k in range(11)], "auto", []),
        (["2", "10", "1"], "regression", []),
        (["0.5", "1.5", "0.5"], "classification", ["0.5", "1.5"]),
    ],
)
def test_the_target_decides_between_classes_and_a_number(cells, task, classes):
    rows = [f"{k},{cell}" for k, cell in enumerate(cells)]
    lines = ["x,y", *rows]
    table = Table(["x", "y"], [])
    for number, line in enumerate(lines[1:], start=2):
        table.rows.append(type("Row", (), {"number": number, "cells": line.split(",")})())
    encoder = Encoder.learn(table, "y", task=task)
    assert encoder.target.texts == classes
    assert encoder.is_classification == bool(classes)


def test_every_bad_cell_is_reported_by_row_and_column(write):
    text = "size,colour,y\n1,red,0\n,red,1\n3,blue\nbig,,1\n5,red,one\n4,red,0\ninf,red,1\n"
    table = read_csv(write(text))
    problems = Encoder.learn(table, "y").problems(table)
    assert problems == {
        3: ["column 'size' is empty"],
        4: ["has 2 cells, not 3"],
        5: ["column 'size' contains 'big', which is not a number", "column 'colour' is empty"],
        6: ["column 'y' contains 'one', which is not a known value of this column"],
        8: ["column 'size' contains 'inf', which is not a number"],
    }


def test_unknown_columns_are_named_with_the_nearest_one(write):
    table = read_csv(write("size,colour\n1,red\n2,blue\n"))
    with pytest.raises(ValueError, match=r"no column 'color'.*did you mean 'colour'"):
        Encoder.learn(table, "color")
    with pytest.raises(ValueError, match="no column 'weight'"):
        Encoder.learn(table, "colour", leave_out=["weight"])
    with pytest.raises(ValueError, match="no column left"):
        Encoder.learn(table, "colour", leave_out=["size"])


def test_a_column_of_names_is_refused(write):
    rows = "".join(f"person {k},{k % 2}\n" for k in range(60))
    table = read_csv(write(f"name,y\n{rows}"))
    with pytest.raises(ValueError, match="60 different texts"):
        Encoder.learn(table, "y")


def test_a_target_that_cannot_be_learned_is_refused(write):
    table = read_csv(write("x,y,z\n1,a,a\n2,a,b\n"))
    with pytest.raises(ValueError, match="only 'a'"):
        Encoder.learn(table, "y")
    with pytest.raises(ValueError, match="not a target for regression"):
        Encoder.learn(table, "z", task="regression")


def test_means_come_from_the_rows_to_train_on_alone(write):
    table = read_csv(write("x,y\n0,a\n2,b\n100,a\n"))
    encoder = Encoder.learn(table, "y")
    encoder.standardise(Table(table.header, table.rows[:2]))
    assert encoder.columns == [Column("x", mean=1.0, std=1.0)]


def test_the_encoder_survives_json(write):
    table = read_csv(write("x,colour,y\n0,red,1.5\n2,blue,2.5\n"))
    encoder = Encoder.learn(table, "y")
    again = Encoder.from_dict(json.loads(json.dumps(encoder.to_dict())))
    assert again == encoder
    assert again.inputs(table) == encoder.inputs(table)
    assert again.targets(table) == encoder.targets(table)


def test_an_output_means_a_class_or_a_number_in_its_own_unit(write):
    table = read_csv(write("x,colour,price\n0,red,100.5\n2,blue,300.5\n"))
    classes = Encoder.learn(table, "colour")
    assert [classes.decode([0.1, 0.7]), classes.decode([3.0, -1.0])] == ["red", "blue"]
    numbers = Encoder.learn(table, "price")
    assert [numbers.decode([y]) for y in numbers.targets(table)] == [100.5, 300.5]


@pytest.mark.parametrize(
    "cells", [["0,5", "1,25", "3,161"], ["1,200", "12,000", "950,100"], ["5 %", "7.5%", "12 %"]]
)
def test_numbers_written_in_another_way_are_named_not_taken_for_texts(write, cells):
    table = read_csv(write("x;y\n" + "".join(f"{cell};{k}.5\n" for k, cell in enumerate(cells))))
    for target in ("x", "y"):
        with pytest.raises(ValueError, match=r"column 'x' seems to contain numbers .* as 1234\.5"):
            Encoder.learn(table, target)


def test_all_unfit_columns_are_named_at_once(write):
    rows = "".join(f"person {k},{k},5;{k % 2}\n".replace(",", ";", 1) for k in range(60))
    with pytest.raises(ValueError, match=r"(?s)'name' contains 60.*'size' seems to contain"):
        Encoder.learn(read_csv(write(f"name;size;y\n{rows}")), "y")
