"""The encoding of a text file, judged by what it makes of the text: UTF-8, Korean cp949, or what a person says; the rest is asked."""

import codecs
import re
from collections.abc import Iterable
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import NoReturn

from charset_normalizer import from_bytes

from core.base.errors import InputError
from core.base.messages import joined, msg, setting

LIKELY = ("cp949", "gb18030", "big5", "shift_jis", "euc_jp", "cp1252", "cp1250", "cp1251")
"""What tables come in beside UTF-8; of equally likely ones the first is named first."""
UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
ESCAPES = {"iso2022_kr": rb"\x1b\$\)C", "iso2022_jp_ext": rb"\x1b\$[@B(]", "hz": rb"~\{(?:[!-}][!-~])+~\}"}
"""Encodings of seven bits, whose bytes would pass for UTF-8, by the signs with which their texts begin."""
N_BYTES, N_WORDS = 1_000_000, 20_000
"""How much of a file is judged: its bytes, and its distinct words beyond ASCII."""
FOREIGN, HANGUL = re.compile(r"[^\x00-\x7f]+"), re.compile(r"[\uac00-\ud7a3]")
HANJA, SIGNS = re.compile(r"[\u4e00-\u9fff\uf900-\ufaff]"), re.compile(r"([\u3040-\u30ff\u3131-\u318e])(?!\1)")
"""Of Hanja and kana, and single letters of Hangul such as laughter, of which a repeated one counts once."""
USUAL = frozenset(
    "다이니가기를에을지하로습는스시자수차서고나대의어동아파행입없요사일합개드은한정있래슬면그픔분음모오으제보용클세문줄실노할트라폴여치중"
    "명리해인번력마진도위장령과열않소블만표바상름커현터작거십된들저려량양값경것레전부게타포르미내예호확더글디비함되적두단구계크데야키른우"
    "주회와션프움선학반식록렌옵류러랜무같간버끝복강민뉴까든출목직화찾료후못추츠째누패읽점설별환안랑최공집측체빨운업형토종감방때완본임말쓰"
    "잘성눌큰참테또었메신재유텍쏘됩갑원했검결평변필첫워물조넣뒤처태배당편붙균률빔루져증았깁축좋카며받연삭매백렉색외쪽능알불험맞긍짓놀역겨"
    "솔벤영녀좀먹맛싶많네겠엄친싫닌맘났졌빠웃왜밥곳봤볼던씨님쉬였됐준건악급객심녁침절송택책국각답녕족품질격"
)
"""Syllables that stand in usual Korean: some 90 % of those in Korean text, 10 % of those that Chinese text becomes in cp949."""


def decode(raw: bytes, path: Path, encoding: str | None = "") -> tuple[str, str]:
    """Decode a file's bytes; returns the text (without BOM) and the name of the encoding.

    UTF-8, UTF-16 with its mark, the escapes of seven bits, and cp949 where the text becomes Korean, are found; else it is `encoding`, a person's answer, which is
    asked for unless it is None. Raises InputError for UTF-8 with damaged bytes (with their offset), and for what is in another encoding, naming the likely ones.
    """
    try:
        text = raw.decode("utf-8-sig")
        for name, signs in ESCAPES.items() if not encoding else ():
            if re.search(signs, raw):
                with suppress(UnicodeDecodeError):
                    return raw.decode(name), name
        return text, "utf-8-sig" if raw.startswith(codecs.BOM_UTF8) else "utf-8"
    except UnicodeDecodeError as problem:
        damage = problem
    wide = raw.startswith(UTF16_MARKS)
    try:
        if asked := "utf-16" if wide else encoding:
            known = encoding_named(asked)
            return raw.decode(known), known
        text = raw.decode("cp949")
        if is_korean(text):
            return text, "cp949"
    except UnicodeDecodeError as problem:
        damage = problem if wide or encoding or _is_korean_but_damaged(raw) else damage
    likely = [] if wide or encoding or damage.encoding == "cp949" or _is_damaged_utf8(raw[:N_BYTES]) else likely_encodings(raw)
    if likely:
        _ask(raw, path, likely, can_be_said=encoding is not None)
    raise InputError(
        "{file} holds bytes that are not {encoding}",
        where="{file} line {line}",
        why="byte 0x{byte:02x} at offset {offset:,} makes no character",
        fix="export or download the file again, as CSV UTF-8",
        file=path.name,
        line=raw.count(b"\n", 0, damage.start) + 1,
        byte=raw[damage.start],
        offset=damage.start,
        encoding=damage.encoding,
    )


def encoding_named(name: str) -> str:
    """Python's own name of an encoding. Raises InputError for one that is none, or whose text is no text."""
    try:
        "".encode(name)  # of those that turn bytes into bytes it is a LookupError too
        return codecs.lookup(name).name
    except (LookupError, ValueError):
        raise InputError(
            "there is no encoding '{encoding}'",
            where="encoding",
            why="it is none that Python knows",
            fix="name it as Python does: {names}",
            encoding=name,
            names=", ".join(LIKELY),
        ) from None


def is_korean(text: str) -> bool:
    """Whether text that was read as cp949 is Korean: of its distinct words' characters at least two more are usual syllables than are not.

    Chinese or Japanese text becomes rare syllables and hanja, accented Latin letters become rare syllables.
    """
    words = "".join(dict.fromkeys(found[0] for found in islice(FOREIGN.finditer(text), N_WORDS)))
    n_usual = sum(syllable in USUAL for syllable in words)
    n_odd = len(HANGUL.findall(words)) - n_usual + 2 * len(HANJA.findall(words)) + len(SIGNS.findall(words))
    return n_usual >= n_odd + 2


def is_korean_beside(raw: bytes, others: Iterable[bytes]) -> bool:
    """Whether a file that says too little by itself, such as a sample of a few rare syllables, is Korean cp949 together with `others` of its contest.

    Those of them that are UTF-8 say nothing.
    """
    text = _as_cp949(raw)
    return bool(text) and not is_korean(text) and is_korean("\n".join([text, *map(_as_cp949, others)]))


def _as_cp949(raw: bytes) -> str:
    """The judged part of a file that is not UTF-8, read as cp949; "" for another file."""
    part = judged(raw)
    with suppress(UnicodeDecodeError):
        part.decode("utf-8")
        return ""
    with suppress(UnicodeDecodeError):
        return part.decode("cp949")
    return ""


def judged(raw: bytes) -> bytes:
    """The first lines of a file, those by which its encoding is judged."""
    return raw[: raw.rfind(b"\n", 0, N_BYTES) + 1] or raw


def likely_encodings(raw: bytes) -> list[str]:
    """The encodings that make the least odd text of a file's bytes, by charset-normalizer; none where none fits."""
    sample = judged(raw)
    found = {match.encoding: match.chaos for match in from_bytes(sample, cp_isolation=list(LIKELY))}
    best = min(found.values(), default=0.0)
    texts: dict[str, str] = {}
    for name in LIKELY:  # of encodings that make the same text the first stands for all
        if found.get(name) == best or (name == "cp1252" and found.get("cp1250") == best):
            with suppress(UnicodeDecodeError):
                texts.setdefault(sample.decode(name), name)
    return list(texts.values())


def _ask(raw: bytes, path: Path, likely: list[str], *, can_be_said: bool) -> NoReturn:
    """Refuse a file of which several encodings make a text, with what each makes of its first such line."""
    start = next(place for place, byte in enumerate(raw) if byte > 127)
    start = raw.rfind(b"\n", 0, start) + 1
    line = raw[start:].split(b"\n", 1)[0]
    number = raw.count(b"\n", 0, start) + 1
    texts = [line.decode(name, errors="replace").strip()[:80] for name in likely]
    seen = [msg("as {encoding} it reads {text}", encoding=name, text=text) for name, text in zip(likely, texts, strict=True)]
    named = likely[0] if len(likely) == 1 else "NAME"
    raise InputError(
        "{file} is not in UTF-8, and its encoding is not sure",
        where=msg("{file} line {line}", file=path.name, line=number),
        why=joined("; ", seen),
        fix=msg(
            "say which it is: {field}; or convert it: iconv -f {encoding} -t UTF-8 {file} > utf8.csv"
            if can_be_said
            else "convert it: iconv -f {encoding} -t UTF-8 {file} > utf8.csv",
            field=setting("encoding", named),
            encoding=named,
            file=path.name,
        ),
        file=path.name,
    )


def _is_korean_but_damaged(raw: bytes) -> bool:
    return not _is_damaged_utf8(raw[:N_BYTES]) and is_korean(raw.decode("cp949", errors="ignore"))


def _is_damaged_utf8(raw: bytes) -> bool:
    """Whether bytes that are not UTF-8 are UTF-8 with some damage: more of them make a usual character than make none."""
    replaced = raw.decode("utf-8", errors="replace")
    n_bad = replaced.count("\ufffd")
    n_good = sum("\u00c0" <= character <= "\u017f" or character >= "\u0800" for character in replaced) - n_bad
    return n_bad < n_good
