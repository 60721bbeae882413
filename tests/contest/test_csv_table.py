"""A CSV is read as a person sees it, or refused with the line."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from core.base.errors import InputError
from core.contest.csv_table import Problems, read_table


def write(folder: Path, raw: bytes, name: str = "train.csv") -> Path:
    path = folder / name
    path.write_bytes(raw)
    return path


@pytest.mark.parametrize(("encoding", "said"), [("utf-8", "utf-8"), ("utf-8-sig", "utf-8-sig"), ("cp949", "cp949"), ("euc-kr", "cp949")])
def test_korean_text_is_read_in_every_usual_encoding(tmp_path: Path, encoding: str, said: str) -> None:
    path = write(tmp_path, "번호,문장\n001,가나다 라마바\n".encode(encoding))
    table = read_table(path)
    assert table.frame.to_dict("list") == {"번호": ["001"], "문장": ["가나다 라마바"]}
    assert table.encoding == said


@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_delimiter_is_found(tmp_path: Path, delimiter: str) -> None:
    path = write(tmp_path, f"id{delimiter}text\n1{delimiter}a b\n".encode())
    assert read_table(path).delimiter == delimiter
    assert list(read_table(path).frame.columns) == ["id", "text"]


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


def test_an_unknown_encoding_names_line_and_offset(tmp_path: Path) -> None:
    raw = b"id,text\n1,caf" + b"\xe9,\xff\xff\n"
    with pytest.raises(InputError) as caught:
        read_table(write(tmp_path, raw))
    assert caught.value.where == "train.csv line 2"
    assert "0xff at offset" in caught.value.why or "0xe9 at offset" in caught.value.why


def test_damaged_utf8_is_not_taken_for_cp949(tmp_path: Path) -> None:
    raw = bytearray("id,text\n1,가나다라마바사아자차카타파하\n".encode())
    raw[14] = 0x41
    with pytest.raises(InputError, match="unknown encoding"):
        read_table(write(tmp_path, bytes(raw)))


def test_a_small_table_in_cp949_is_read_although_some_of_its_bytes_make_characters_in_utf8(tmp_path: Path) -> None:
    table = "번호,분류\n1,쨈훗\n2,쨈훗\n3,쨈훗\n"
    assert read_table(write(tmp_path, table.encode("cp949"))).frame.to_dict("list") == {"번호": ["1", "2", "3"], "분류": ["쨈훗"] * 3}
    hanja = "番號,分類\n1,東京\n2,京都\n"
    assert list(read_table(write(tmp_path, hanja.encode("cp949"))).frame.columns) == ["番號", "分類"]


@pytest.mark.parametrize("text", ["id,texte\n1,café noir\n2,été\n3,où\n", "id,text\n1,größer\n2,Straße\n"])
def test_damaged_utf8_of_another_language_is_not_taken_for_korean(tmp_path: Path, text: str) -> None:
    raw = bytearray(text.encode())
    raw[-2] = 0xC3
    with pytest.raises(InputError, match="unknown encoding"):
        read_table(write(tmp_path, bytes(raw)))


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf\n\n", "is empty"),
        (b"id,text\n", "has no rows"),
        (b"id,text\n1,a\0b\n", "not a text file"),
        ("id,text\n1,a\n".encode("utf-16"), "is UTF-16"),
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
