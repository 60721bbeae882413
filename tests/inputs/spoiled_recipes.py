"""Recipes as YAML that cannot be used, and what the refusal must say."""

from __future__ import annotations

import random
from collections.abc import Callable

GOOD = "name: mine\nmodality: text\nmodel:\n  backbone: tiny_transformer\n  pretrained: false\noptim:\n  lr: 0.001\ntrain:\n  epochs: 2\n"

Make = Callable[[random.Random], bytes]


def _with(line: str) -> Make:
    return lambda rng: (GOOD + line.format(n=rng.randrange(1, 9)) + "\n").encode()


RECIPES: dict[str, tuple[Make, str]] = {
    "empty": (lambda rng: b"", "holds no settings"),
    "a list": (_with("") and (lambda rng: b"- name: mine\n"), "holds no settings"),
    "a word": (lambda rng: b"recipe\n", "holds no settings"),
    "not UTF-8": (lambda rng: GOOD.encode() + "이름: 가".encode("cp949"), "cannot read"),
    "UTF-16": (lambda rng: GOOD.encode("utf-16"), "cannot read"),
    "NUL byte": (lambda rng: GOOD.encode() + b"note: a\0b\n", "not valid YAML"),
    "a tab": (_with("input:\n\tsize_px: {n}"), "not valid YAML"),
    "unclosed bracket": (_with("folds: [{n}, 2"), "not valid YAML"),
    "unclosed quote": (_with('note: "abc {n}'), "not valid YAML"),
    "key twice": (_with("optim:\n  lr: 0.{n}"), "'optim' appears twice"),
    "inner key twice": (_with("input:\n  max_tokens: {n}0\n  max_tokens: {n}1"), "'max_tokens' appears twice"),
    "alias": (_with("a: &x {n}\nb: *x"), "aliases are not allowed"),
    "billion laughs": (lambda rng: b"a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\n", "aliases are not allowed"),
    "a Python object": (_with("note: !!python/object/apply:os.system ['exit {n}']"), "not valid YAML"),
    "a Python name": (_with("note: !!python/name:os.system"), "not valid YAML"),
    "deep": (lambda rng: b"a: " + b"[" * rng.randrange(2000, 4000), "not valid YAML"),
    "unknown setting": (_with("epochs: {n}"), "epochs: unknown setting"),
    "unknown inner setting": (_with("input:\n  maxtokens: {n}"), "input.maxtokens: unknown setting"),
    "out of range": (lambda rng: GOOD.replace("epochs: 2", f"epochs: -{rng.randrange(1, 9)}").encode(), "train.epochs"),
    "not a number": (lambda rng: GOOD.replace("lr: 0.001", "lr: fast").encode(), "optim.lr"),
    "NaN": (lambda rng: GOOD.replace("lr: 0.001", "lr: .nan").encode(), "optim.lr"),
    "infinite": (lambda rng: GOOD.replace("lr: 0.001", "lr: .inf").encode(), "optim.lr"),
    "a date": (lambda rng: GOOD.replace("epochs: 2", "epochs: 2026-11-22").encode(), "train.epochs"),
    "impossible date": (_with("note: 2026-13-4{n}"), "recipe.yaml"),
    "of another kind": (lambda rng: GOOD.replace("modality: text", f"modality: {rng.choice(('audio', 'Text', '3'))}").encode(), "modality"),
    "a number for a group": (lambda rng: GOOD.replace("train:\n  epochs: 2", "train: 2").encode(), "train"),
    "no key": (_with("? [{n}, 2]\n: x"), "recipe.yaml"),
    "huge number": (lambda rng: GOOD.replace("epochs: 2", "epochs: " + "9" * rng.randrange(400, 5000)).encode(), "recipe.yaml"),
}
