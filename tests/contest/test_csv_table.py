"""A CSV is read as a person sees it, or refused with the line."""

from __future__ import annotations

import csv
import io
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from core.base.errors import InputError
from core.contest import csv_table
from core.contest.csv_table import beside_answers, empty_columns, index_columns, read_table
from core.contest.problems import Problems


def write(folder: Path, raw: bytes, name: str = "train.csv") -> Path:
    path = folder / name
    path.write_bytes(raw)
    return path


@pytest.mark.parametrize(
    ("raw", "delimiter"),
    [
        *((f"id{mark}text\n1{mark}a b\n", mark) for mark in (",", "\t", ";", "|")),
        ("id;text, as it was written, in full\n1;a\n2;b, c\n", ";"),
        ("id,text,a|b\n1,x|y|z,2\n2,x,3\n", ","),
        ("sep=;\nid;text\n1;a,b\n", ";"),
        ('"sep=|"\r\nid|text;more\r\n1|a;b\r\n', "|"),
    ],
)
def test_delimiter_is_found(tmp_path: Path, raw: str, delimiter: str) -> None:
    table = read_table(write(tmp_path, raw.encode()))
    assert table.delimiter == delimiter
    assert table.frame.columns[0] == "id"
    assert ("names the delimiter" in " ".join(table.passed_over)) == ("sep=" in raw)


@pytest.mark.parametrize(
    ("raw", "header", "first_line"),
    [
        ("\n  \nid,text\n1,a\n2,b\n", "id,text", 4),
        (",,\nid,text\n1,a\n2,b\n", "id,text", 3),
        ("id,text\n1,a\n2,b\n,\n,\n", "id,text", 2),
        ("id,text,,\n1,a,,\n2,b,,\n,,,\n", "id,text,,", 2),
        ("id,text\n1,a,\n2,b,,\n", "id,text", 2),
        ("id,text,\n1,a\n2,b\n", "id,text,", 2),
        ('"id","text"\r\n1,a\r\n2,b\r\n', '"id","text"', 2),
    ],
)
def test_what_holds_nothing_is_read_past(tmp_path: Path, raw: str, header: str, first_line: int) -> None:
    table = read_table(write(tmp_path, raw.encode()))
    assert table.without(empty_columns(table.frame)).frame.to_dict("list") == {"id": ["1", "2"], "text": ["a", "b"]}
    assert table.header == header
    assert table.lines[0] == first_line
    assert any("without any value at the end" in said for said in table.passed_over) == raw.endswith(",\n,\n") or ",,,\n" in raw


def test_lines_that_repeat_the_header_are_said_and_no_rows(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, "id, text\u200b\n1,a\nid, text\u200b\n2,b\nid,text\n".encode()))
    assert table.frame.to_dict("list") == {"id": ["1", "2", "id"], "text": ["a", "b", "text"]}
    assert table.lines.tolist() == [2, 4, 5]
    assert table.passed_over == ("1 line that repeats the names of the columns is passed over",)


def test_a_row_without_any_value_between_others_is_kept(tmp_path: Path) -> None:
    """Rows that have no id are counted, so one in between has its number."""
    assert read_table(write(tmp_path, b"text,more\na,1\n,\nb,2\n")).frame["text"].tolist() == ["a", "", "b"]


def test_a_line_break_in_the_header_is_part_of_a_name(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, b'id,"text\n(in full)"\n1,a\n2,b\n'))
    assert list(table.frame.columns) == ["id", "text\n(in full)"]
    assert table.header == 'id,"text\n(in full)"'
    assert table.lines.tolist() == [3, 4]


@pytest.mark.parametrize(
    ("raw", "index"),
    [
        (",id,text\n0,a,x\n1,b,y\n", ["Unnamed: 0"]),
        (",Unnamed: 0,id\n5,0,a\n2,1,b\n", ["Unnamed: 0.1", "Unnamed: 0"]),
        (",id\na,1\nb,2\n", []),
        (",id\n1,1\n1,2\n", []),
        ("id,\n1,0\n2,1\n", []),
    ],
)
def test_the_index_of_pandas_is_known(tmp_path: Path, raw: str, index: list[str]) -> None:
    assert list(index_columns(read_table(write(tmp_path, raw.encode())).frame)) == index


@pytest.mark.parametrize(
    ("raw", "left"),
    [
        (",id,label\n0,a,x\n1,b,y\n", ["id", "label"]),
        (",label\n0,x\n1,y\n", ["Unnamed: 0", "label"]),
        ("id,label,\na,x,\nb,y,\n", ["id", "label"]),
        ("id,label,Usage\na,x,Public\nb,y,Private\n", ["id", "label"]),
        ("id,label,usage\na,0.5,0.5\nb,0.5,0.5\n", ["id", "label", "usage"]),
        ("id,Usage\na,Public\nb,Private\n", ["id", "Usage"]),
    ],
)
def test_what_a_sample_holds_beside_ids_and_answers_is_known(tmp_path: Path, raw: str, left: list[str]) -> None:
    table = read_table(write(tmp_path, raw.encode()))
    assert list(table.without(beside_answers(table.frame)).frame.columns) == left


def test_a_table_that_does_not_fit_in_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.contest.csv_table.MEMORY_PER_BYTE", 2**60)
    with pytest.raises(InputError, match="too large for the memory"):
        read_table(write(tmp_path, b"id,text\n1,a\n"))


def test_cells_stay_as_they_stand(tmp_path: Path) -> None:
    frame = read_table(write(tmp_path, b"id,a,b\n007,1.50,NA\n008,,null\n")).frame
    assert frame.to_dict("list") == {"id": ["007", "008"], "a": ["1.50", ""], "b": ["NA", "null"]}


def test_names_of_columns_become_composed(tmp_path: Path) -> None:
    decomposed = "\u1100\u1161"  # "ga" as macOS writes it
    assert list(read_table(write(tmp_path, f"id,{decomposed}\n1,2\n".encode())).frame.columns) == ["id", "가"]


def test_quotes_in_tab_separated_reviews_are_plain_characters(tmp_path: Path) -> None:
    raw = 'id\tdocument\tlabel\n1\t"최고" 라고 할 수 있다\t1\n2\t"열고 닫지 않은\t0\n3\t보통 "\t1\n'
    frame = read_table(write(tmp_path, raw.encode(), "ratings_train.txt")).frame
    assert frame["document"].tolist() == ['"최고" 라고 할 수 있다', '"열고 닫지 않은', '보통 "']


def test_tab_separated_text_with_proper_quoting_is_unquoted(tmp_path: Path) -> None:
    frame = read_table(write(tmp_path, b'id\ttext\n1\t"a\tb"\n2\t"say ""hi"""\n')).frame
    assert frame["text"].tolist() == ["a\tb", 'say "hi"']


def test_lines_are_those_of_the_file(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, b'id,text\n1,"two\nlines"\n\n2,plain\r\n3,"x\ny\nz"\n4,end'))
    assert table.frame["id"].tolist() == ["1", "2", "3", "4"]
    assert table.lines.tolist() == [2, 5, 6, 9]


def test_every_ragged_line_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_table(write(tmp_path, b"id,text\n1,a\n2,a,b\n3\n4,ok\n"))
    assert "line 3: 3 fields where the header has 2" in caught.value.why
    assert "line 4: 1 fields where the header has 2" in caught.value.why


def test_an_unclosed_quote_names_the_line_where_it_opens(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_table(write(tmp_path, b'id,text\n1,a\n2,"open\n3,b\n'))
    assert caught.value.where == "train.csv line 3"


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf\n\n", "is empty"),
        (b"id,text\n", "has no rows"),
        (b"id,text\n1,a\0b\n", "not a text file"),
        (b"id,text,id\n1,a,2\n", "appears twice"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, raw: bytes, said: str) -> None:
    with pytest.raises(InputError) as caught:
        read_table(write(tmp_path, raw))
    assert said in caught.value.what
    assert caught.value.fix


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing.csv", tmp_path):
        with pytest.raises(InputError, match="cannot read"):
            read_table(path)


def test_a_long_article_is_one_cell(tmp_path: Path) -> None:
    assert len(read_table(write(tmp_path, b"id,text\n1," + b"a" * 500_000 + b"\n")).frame["text"][0]) == 500_000


CELL = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)


@settings(max_examples=150, deadline=None)
@given(cells=st.lists(st.tuples(CELL, CELL), min_size=1, max_size=6), encoding=st.sampled_from(["utf-8", "utf-8-sig"]))
def test_what_a_csv_writer_writes_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, cells: list[tuple[str, str]], encoding: str
) -> None:
    stream = io.StringIO(newline="")
    csv.writer(stream, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows([("id", "text"), *cells])
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    path.write_bytes(stream.getvalue().encode(encoding))
    frame = read_table(path).frame
    assert list(zip(frame["id"], frame["text"], strict=True)) == cells


@settings(max_examples=300, deadline=None)
@given(
    raw=st.one_of(
        st.binary(max_size=200),
        st.lists(st.sampled_from([b'"', b",", b"\t", b"\n", b"\r", b"a", b"\xb0\xa1", b"\xea", b";", b"\0"]), max_size=60).map(b"".join),
    )
)
def test_any_bytes_are_a_table_or_an_input_error(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    path = tmp_path_factory.mktemp("bytes") / "t.csv"
    path.write_bytes(raw)
    try:
        table = read_table(path)
    except InputError as problem:
        assert problem.what and problem.fix
    else:
        assert len(table.frame) == len(table.lines) > 0


def parsed(path: Path) -> tuple[list[list[str]], list[int], str] | str:
    try:
        table = read_table(path)
    except InputError as problem:
        return str(problem)
    return [list(table.frame.columns), *table.frame.values.tolist()], table.lines.tolist(), table.header


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.lists(st.sampled_from(["", "a", "b c", "한", "1.5", " "]), min_size=1, max_size=4).map(",".join), min_size=1, max_size=8
    ),
    ends=st.lists(st.sampled_from(["\n", "\r\n", "\r", "\n\n"]), min_size=8, max_size=8),
)
def test_a_table_without_quotes_is_read_by_arrow_as_by_the_csv_module(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, rows: list[str], ends: list[str]
) -> None:
    path = tmp_path_factory.mktemp("plain") / "t.csv"
    path.write_bytes("".join(row + end for row, end in zip(rows, ends, strict=False)).encode())
    by_arrow = parsed(path)
    with monkeypatch.context() as patch:
        patch.setattr(csv_table, "_plain_rows", lambda *_: None)
        assert parsed(path) == by_arrow
    with monkeypatch.context() as patch:
        patch.setattr(csv_table, "PIECE", 4)
        assert parsed(path) == by_arrow, "in pieces"


def test_a_plain_table_is_read_by_arrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = csv_table._records
    monkeypatch.setattr(csv_table, "_records", lambda *arguments: islice(records(*arguments), 1))  # of the header alone
    table = read_table(write(tmp_path, b"id,text\r\n1,\xed\x95\x9c\r\n2,b"))
    assert table.frame.to_dict("list") == {"id": ["1", "2"], "text": ["한", "b"]} and table.lines.tolist() == [2, 3]


def test_one_problem_is_told_by_itself() -> None:
    problems = Problems()
    problems.add("train.csv", "the label is empty", "fill it in", row=7, column="ans")
    with pytest.raises(InputError) as caught:
        problems.raise_if_any("the contest cannot be registered")
    assert caught.value.parts == {
        "what": "the label is empty",
        "where": "train.csv line 7, column 'ans'",
        "why": "the contest cannot be registered",
        "fix": "fill it in",
    }


def test_the_first_twenty_are_told_with_their_number_and_every_kind_is_among_them() -> None:
    problems = Problems()
    for row in range(500):
        problems.add("train.csv", "no image", "add it", row=row)
    problems.add("test.csv", "twice", "rename it", row=3)
    with pytest.raises(InputError) as caught:
        problems.raise_if_any("refused")
    error = caught.value
    assert error.what == "refused: 501 problems"
    lines = error.why.splitlines()
    assert len(lines) == 21
    assert lines[0] == "train.csv line 0: no image"
    assert "test.csv line 3: twice" in lines
    assert lines[-1] == "… and 481 more"
    assert error.where == "train.csv, test.csv"
    assert error.fix == "add it; rename it"


def test_no_problem_raises_nothing() -> None:
    problems = Problems()
    problems.raise_if_any("refused")
