"""Cleaning of texts: each step, their order, and rare words that are found in training rows alone."""

from typing import Any

import pytest
from hypothesis import given, strategies as st

from core.data.cleaning import clean_texts, fit_words
from core.specs.text_settings import CleanSettings

DECOMPOSED = "\u1112\u1161\u11ab\u1100\u1173\u11af"


@given(st.lists(st.text()))
def test_by_default_texts_stay_as_they_are(texts: list[str]) -> None:
    assert clean_texts(CleanSettings(), texts) == texts


@pytest.mark.parametrize(
    ("asked", "text", "cleaned"),
    [
        ({"html": True}, "good<br /><br/>film<!-- x --><script>a<b</script> &amp; <b>cheap</b> &lt;3", "good  film   & cheap <3"),
        ({"html": True}, "<기생충>을 봤다. a < b, c > d, <3", "<기생충>을 봤다. a < b, c > d, <3"),
        ({"html": True}, '<a href="x">link</a><P class=y>next</P>', "link next "),
        ({"unicode": "NFC"}, DECOMPOSED + "Ａ", "한글Ａ"),
        ({"unicode": "NFKC"}, DECOMPOSED + "Ａ①", "한글A1"),
        ({"emoji": "drop"}, "좋아요👍🏽❤️ 1️⃣ 가족👨‍👩‍👧!", "좋아요 1 가족!"),
        ({"emoji": "name"}, "so👍🏽, 🇰🇷", "so thumbs up sign ,  flag kr "),
        ({"repeats": 2}, "ㅋㅋㅋㅋ ㅠㅠ 와아아아!!! 1000000    원", "ㅋㅋ ㅠㅠ 와아아!! 1000000    원"),
        ({"repeats": 1}, "ㅋㅋㅋㅋ...", "ㅋ."),
        ({"white_space": True}, " a\u200b \t\n b\u3000c\ufeff ", "a b c"),
    ],
)
def test_a_step_does_its_own_work_only(asked: dict[str, Any], text: str, cleaned: str) -> None:
    assert clean_texts(CleanSettings(**asked), [text]) == [cleaned]


def test_steps_follow_each_other_in_the_order_of_the_settings() -> None:
    asked = CleanSettings(html=True, unicode="NFKC", emoji="drop", repeats=2, white_space=True)
    # Entities are decoded before the Unicode form, full-width letters are one letter before repeats are counted.
    assert clean_texts(asked, ["&#65313;ＡA <br> 👍👍"]) == ["AA"]


def test_rare_words_are_counted_by_row_after_the_other_steps_and_left_out_everywhere() -> None:
    asked = CleanSettings(unicode="NFKC", min_rows=2, white_space=True)
    known = fit_words(asked, ["Ａ good good film", "a film A [S:PER]", "film [S:ORG]"])
    assert known == ("A", "film")
    assert clean_texts(asked, ["A good new film [S:LOC]"], known) == ["A film [S:LOC]"]
    assert fit_words(CleanSettings(), ["a a"]) == ()
