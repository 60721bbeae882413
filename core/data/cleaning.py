"""What is done to texts before they are cut into tokens, in the order of `CleanSettings`; in training and again in prediction. Imports no torch."""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from html import unescape

from core.specs.network import NetworkSpec
from core.specs.text_settings import CleanSettings

BLOCKS = "address|article|aside|blockquote|br|dd|div|dl|dt|figcaption|figure|footer|form|h1|h2|h3|h4|h5|h6|header|hr|li|main|nav|ol|option|p|pre|section|table|tbody|td|tfoot|th|thead|title|tr|ul"
INLINE = "a|abbr|acronym|audio|b|bdi|bdo|big|body|button|canvas|center|cite|code|col|colgroup|del|dfn|em|embed|font|head|html|i|iframe|img|input|ins|kbd|label|link|map|mark|meta|noscript|object|param|picture|q|s|samp|script|select|small|source|span|strike|strong|style|sub|summary|sup|svg|textarea|time|tt|u|var|video|wbr"
"""Elements of HTML: those that stand apart leave a space, the others nothing. What else stands in angle brackets is text: <기생충>, a < b > c."""


def _tags(names: str) -> re.Pattern[str]:
    return re.compile(rf"</?(?:{names})(?:\s[^<>]*)?/?>", re.IGNORECASE)


UNSEEN = re.compile(r"<(script|style)\b[^>]*>.*?</\1\s*>|<!--.*?-->", re.IGNORECASE | re.DOTALL)
BLOCK, TAG = _tags(BLOCKS), _tags(INLINE)
EMOJI = re.compile(
    "(?:[\u231a\u231b\u23e9-\u23fa\u2600-\u27bf\u2b50\u2b55\U0001f000-\U0001faff][\ufe0e\ufe0f\u200d\u20e3\U000e0020-\U000e007f]*)+|[\ufe0e\ufe0f\u20e3]+"
)
SKIN_TONES = range(0x1F3FB, 0x1F400)
REGIONAL = range(0x1F1E6, 0x1F200)
WORD = re.compile(r"\[[^\s\[\]]+\]|\w+")
"""A word; one in square brackets may be a marker, and is never rare."""
UNSEEN_SPACE = re.compile("[\u200b\u2060\ufeff]")


def clean_texts(settings: CleanSettings, texts: Sequence[str], known_words: Collection[str] = ()) -> list[str]:
    """The texts as the network reads them. `known_words` are those of `fit_words`, where rare ones are left out."""
    steps = [*_before_words(settings)]
    if settings.min_rows:
        known = frozenset(known_words)
        steps.append(lambda text: WORD.sub(lambda found: found[0] if found[0][0] == "[" or found[0] in known else "", text))
    if settings.white_space:
        steps.append(lambda text: " ".join(UNSEEN_SPACE.sub("", text).split()))
    return [_through(steps, text) for text in texts]


def clean_for(network: NetworkSpec, texts: Sequence[str]) -> list[str]:
    """Texts as a trained network reads them: what was done to the texts that it was trained on."""
    return clean_texts(network.clean, texts, network.known_words)


def fit_words(settings: CleanSettings, texts: Sequence[str]) -> tuple[str, ...]:
    """The words that at least `min_rows` of these texts have, sorted; of a fold's training rows only. () where no rare words are left out."""
    if not settings.min_rows:
        return ()
    steps = _before_words(settings)
    counts = Counter(word for text in texts for word in set(WORD.findall(_through(steps, text))))
    return tuple(sorted(word for word, n in counts.items() if n >= settings.min_rows and word[0] != "["))


Step = Callable[[str], str]


def _through(steps: Sequence[Step], text: str) -> str:
    for step in steps:
        text = step(text)
    return text


def _before_words(settings: CleanSettings) -> list[Step]:
    """The steps that need not be fitted."""
    steps: list[Step] = []
    if settings.html:
        steps.append(_without_html)
    if settings.unicode != "as_it_is":
        form = settings.unicode
        steps.append(lambda text: unicodedata.normalize(form, text))
    if settings.emoji != "keep":
        replace = _name_of if settings.emoji == "name" else lambda _: ""
        steps.append(lambda text: EMOJI.sub(replace, text))
    if settings.repeats:
        n, run = settings.repeats, re.compile(rf"([^\d\s])\1{{{settings.repeats},}}")
        steps.append(lambda text: run.sub(lambda found: found[1] * n, text))
    return steps


def _without_html(text: str) -> str:
    if "<" in text:
        text = TAG.sub("", BLOCK.sub(" ", UNSEEN.sub(" ", text)))
    return unescape(text)


def _name_of(found: re.Match[str]) -> str:
    """The Unicode names of emoji in small letters, each between spaces; skin tones and joiners have none, two regional letters are a flag."""
    names: list[str] = []
    flag = ""
    for sign in found[0]:
        if ord(sign) in REGIONAL:
            flag += chr(ord(sign) - REGIONAL.start + ord("a"))
            if len(flag) == 2:
                names.append(f"flag {flag}")
                flag = ""
        elif ord(sign) not in SKIN_TONES and EMOJI_BASE.fullmatch(sign):
            names.append(unicodedata.name(sign, "").lower())
    return f" {' '.join(filter(None, names))} " if any(names) else ""


EMOJI_BASE = re.compile("[^\ufe0e\ufe0f\u200d\u20e3\U000e0020-\U000e007f]")
