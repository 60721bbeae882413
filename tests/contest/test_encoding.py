"""An encoding is known by the text it makes; where that is not sure a person is asked, and never is other text taken for Korean."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.base.errors import InputError
from core.contest.encoding import decode
from core.contest.inspect.draft import inspect_path

FILE = Path("train.csv")
KOREAN = [
    "번호,문장\n001,가나다 라마바\n",
    "번호,분류\n1,쨈훗\n2,쨈훗\n3,쨈훗\n",
    "id,label\n1,기쁨\n2,슬픔\n3,놀람\n4,역겨움\n",
    "id,label\n1,참\n2,거짓\n",
    "file,label\n1,가솔린_아반떼\n2,기아_K5\n3,현대_쏘나타\n",
    "id,text\n1,ㅋㅋㅋㅋ 진짜 쩐다\n2,헐 ㅠㅠ 이거 꿀잼이네요 ㅎㅎ\n3,다시 볼게요 ^^\n",
    "id,text\n1,배송은 느렸지만 SNS에서 본 K팝 앨범이 왔다\n2,번역이 이상하다(原文 참고)\n",
]
FOREIGN = [
    ("id,text,label\n1,这部电影非常好看我很喜欢,好\n2,服务态度太差了不会再来,差\n", "gb18030"),
    ("编号,分类\n1,正面\n2,负面\n", "gb18030"),
    ("id,label\n1,電影\n2,書籍\n3,音樂\n", "big5"),
    ("id,text\n1,この映画はとても面白かったです\n", "shift_jis"),
    ("id,text\n1,この映画はとても面白かったです\n", "euc_jp"),
    ("id,label\n1,猫\n2,犬\n", "shift_jis"),
    ("id,text\n1,it wasn’t good\n2,don’t “quote” me\n", "cp1252"),
    ("id,texte\n1,café noir à la crème\n2,été où déjà\n", "cp1252"),
    ("id,text\n1,größer\n2,Straße\n", "cp1252"),
    ("id,text\n1,příliš žluťoučký kůň\n", "cp1250"),
    ("id,text\n1,это было очень хорошо\n", "cp1251"),
    ("id,label\n1,很好看\n2,很好看\n", "gb18030"),
    ("番號,分類\n1,東京\n2,京都\n", "cp949"),
]


@pytest.mark.parametrize("text", KOREAN)
@pytest.mark.parametrize(("encoding", "said"), [("utf-8", "utf-8"), ("utf-8-sig", "utf-8-sig"), ("cp949", "cp949"), ("utf-16", "utf-16")])
def test_korean_is_read_in_every_usual_encoding(text: str, encoding: str, said: str) -> None:
    assert decode(text.encode(encoding), FILE) == (text, said)


@pytest.mark.parametrize(("text", "encoding"), FOREIGN)
def test_what_is_not_sure_is_asked_and_read_as_a_person_says(text: str, encoding: str) -> None:
    raw = text.encode(encoding)
    with pytest.raises(InputError, match="its encoding is not sure") as caught:
        decode(raw, FILE)
    assert f"as {encoding} it reads" in caught.value.why
    assert "--set encoding=" in caught.value.fix and "iconv -f" in caught.value.fix
    assert decode(raw, FILE, encoding) == (text, encoding)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [("id,label\n1,良い\n2,悪い\n", "iso2022_jp_ext"), ("id,분류\n1,긍정\n", "iso2022_kr"), ("id,label\n1,好\n2,坏\n", "hz")],
)
def test_seven_bits_with_escapes_are_not_taken_for_utf8(text: str, encoding: str) -> None:
    assert decode(text.encode(encoding), FILE) == (text, encoding)
    assert decode(b"id,text\n1,~{x} a ~} \x1b[0m\n", FILE)[1] == "utf-8"


@pytest.mark.parametrize(
    "text", ["id,texte\n1,café noir\n2,été\n3,où\n", "id,text\n1,größer\n2,Straße\n", "id,text\n1,가나다라마바사\n2,아자차카\n"]
)
@pytest.mark.parametrize("place", [-2, 14])
def test_damaged_utf8_is_named_by_its_place(text: str, place: int) -> None:
    raw = bytearray(text.encode())
    raw[place] = 0xC3 if place == -2 else 0x41 if raw[place] > 127 else 0xFF
    with pytest.raises(InputError, match="holds bytes that are not utf-8") as caught:
        decode(bytes(raw), FILE)
    assert "at offset" in caught.value.why and caught.value.where.startswith("train.csv line")


def test_damaged_korean_is_named_by_its_place() -> None:
    raw = "번호,문장\n1,이 영화는 정말 재미있다\n2,배송이 느리다\n".encode("cp949") + b"\xff\n"
    with pytest.raises(InputError, match="holds bytes that are not cp949") as caught:
        decode(raw, FILE)
    assert caught.value.where == "train.csv line 4"


@pytest.mark.parametrize("encoding", ["utf-99", "rot13", "a\0b"])
def test_an_encoding_that_is_none_is_refused_also_where_nothing_would_be_read_in_it(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("id,text,label\n1,a,x\n2,b,y\n3,c,x\n4,d,y\n")
    with pytest.raises(InputError, match="there is no encoding"):
        inspect_path(tmp_path, sets=[f"encoding={encoding}"])


def test_an_answer_that_does_not_fit_is_refused() -> None:
    raw = b"id,text\n1,caf\xff\xff\n"
    for encoding, said in (("gb18030", "not gb18030"), ("nonsense", "no encoding 'nonsense'")):
        with pytest.raises(InputError, match=said):
            decode(raw, FILE, encoding)
