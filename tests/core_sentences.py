"""Reads the source of core and models for every sentence they may say to a person: a text with a placeholder for each value in it.

A choice in a text (`x if … else y`, `a or "none"`, a name that was given texts above) is followed to each of its ends.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOLE = "\0"
"""Stands for a value in a text."""

ERRORS = (
    *("PitwallError", "InputError", "RecipeError", "NotFoundError", "AlignmentError", "StateError", "CheckpointError"),
    *("OutOfMemory", "DiskFull", "WeightsError", "SubmissionError"),
)
PARTS = ("what", "where", "why", "fix")
OWN_LANGUAGE = (
    "core/commands",
    "core/__main__.py",
    "core/commands/demo.py",
    "core/store/digests.py",
    "core/store/tables.py",
    "core/store/migrations",
    "models/make_catalog.py",
)
"""What only a terminal says, and what says nothing."""

QUIET_CALLS = re.compile(
    r"log\.\w+|logging\.\w+|warnings\.\w+|Field|cast|re\.\w+|getLogger|.*\.add_argument|argparse\.\w+|.*ArgumentParser|"
    r"getattr|hasattr|isinstance|.*\.(startswith|endswith|execute|exec_driver_sql|with_prefix|prefix_with|encode|write|strftime|field)|field"
)
"""Calls whose texts no person reads on the screen: logs, patterns, SQL, help of the command line."""


@dataclass(frozen=True)
class Said:
    """A text of the source: where it stands, and what it may be. `part` is that of an error, or "" for a text that stands alone."""

    file: str
    line: int
    part: str
    texts: tuple[str, ...]
    source: str

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}"

    @property
    def is_read(self) -> bool:
        """Whether there is a word in it; else it is a value through and through, and only running it says what it is."""
        return any(map(has_words, self.texts))


def has_words(text: str) -> bool:
    return re.search(r"[A-Za-z]{2}", text) is not None


def is_sentence(text: str) -> bool:
    """A text of two words or more, as no key, column or file name is."""
    return " " in text.strip() and has_words(text)


def sentences(*folders: str, only_errors: bool = False) -> Iterator[Said]:
    """Every text of an error, and every other text that reads like a sentence."""
    for path in sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        file = path.relative_to(ROOT).as_posix()
        if not file.startswith(OWN_LANGUAGE):
            reader = Reader(file, path.read_text(encoding="utf-8"))
            yield from reader.errors()
            yield from () if only_errors else reader.loose_texts()


@dataclass
class Reader:
    """One file. `seen` are the nodes that are part of a text that was read, or that no person reads."""

    file: str
    source: str
    seen: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.tree = ast.parse(self.source)
        nodes = list(ast.walk(self.tree))
        self.parents: dict[int, ast.AST] = {id(child): node for node in nodes for child in ast.iter_child_nodes(node)}
        self.functions: dict[str, ast.FunctionDef] = {node.name: node for node in nodes if isinstance(node, ast.FunctionDef)}

    def errors(self) -> Iterator[Said]:
        """What is given to errors, in their order."""
        for call in ast.walk(self.tree):
            if isinstance(call, ast.Call):
                yield from self._error(call)

    def loose_texts(self) -> Iterator[Said]:
        """Every other sentence, once `errors` has been read to its end."""
        for node in ast.walk(self.tree):
            if is_quiet(node):
                self.seen.update(id(inner) for inner in ast.walk(node))
        # Texts that are used where they stand come before those that are given a name: a name that was followed is read by then.
        texts = [node for node in ast.walk(self.tree) if is_text(node)]
        for node in sorted(texts, key=lambda node: isinstance(self._holder(node), ast.Assign)):
            if id(node) not in self.seen:
                said = self._said(node, "")
                if any(map(is_sentence, said.texts)):
                    yield said

    def _error(self, call: ast.Call) -> Iterator[Said]:
        name = call_name(call)
        if name == "NotFoundError.among":
            thing = self.texts(call.args[0])[0]
            self.seen.add(id(call.args[0]))
            filled = (f"no {thing} named '{HOLE}'", f"there is no {thing} yet", f"use one of the known names of a {thing}")
            for part, text in zip(("what", "why", "fix"), filled, strict=True):
                yield Said(self.file, call.lineno, part, (text,), ast.unparse(call))
        elif name in ERRORS and call.args:
            given = {"what": call.args[0], **{word.arg: word.value for word in call.keywords if word.arg in PARTS}}
            for part, node in given.items():
                said = self._said(node, part)
                if part != "where" or any(map(is_sentence, said.texts)):
                    yield said

    def _said(self, node: ast.AST, part: str) -> Said:
        texts = tuple(dict.fromkeys(self.texts(node)))
        self.seen.update(id(inner) for inner in ast.walk(node))
        return Said(self.file, getattr(node, "lineno", 0), part, texts, ast.unparse(node))

    def texts(self, node: ast.AST | None, following: tuple[str, ...] = ()) -> list[str]:
        """Every text that an expression may be, values as holes."""
        if node is not None and is_text(node):
            self.seen.update(id(inner) for inner in ast.walk(node))
        match node:
            case ast.Constant(value=str(text)):
                return [text]
            case ast.JoinedStr(values=parts):
                return ["".join(chosen) for chosen in itertools.product(*(self.texts(part, following) for part in parts))]
            case ast.FormattedValue(value=value):
                return self.texts(value, following)
            case ast.BinOp(left=left, right=right) if is_text(node):
                return [a + b for a in self.texts(left, following) for b in self.texts(right, following)]
            case ast.IfExp(body=body, orelse=orelse):
                return self.texts(body, following) + self.texts(orelse, following)
            case ast.BoolOp(op=ast.Or(), values=values):
                return [text for value in values for text in self.texts(value, following)]
            case ast.Subscript(value=ast.Name(id=name)) if name not in following:
                return self._all_of(self._values(node, name), (*following, name))
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="get"), args=[_, default]) if name not in following:
                return self._all_of([*self._values(node, name), default], (*following, name))
            case ast.Call(func=ast.Attribute(value=ast.Constant(value=", or " | " and " | "; " | "\n"), attr="join"), args=[items]):
                return self._all_of(elements(items), following)
            case ast.Call(func=ast.Name(id=name)) if name in self.functions and name not in following:
                returned = [inner.value for inner in ast.walk(self.functions[name]) if isinstance(inner, ast.Return) and inner.value]
                return self._all_of(returned, (*following, name))
            case ast.Name(id=name) if name not in following:
                return self._all_of(self._values(node, name), (*following, name))
            case _:
                return [HOLE]

    def _all_of(self, nodes: list[ast.expr], following: tuple[str, ...]) -> list[str]:
        """What any of the expressions may be; a hole when none of them has a word."""
        found = [text for node in nodes for text in self.texts(node, following)]
        return list(dict.fromkeys(found)) if any(map(has_words, found)) else [HOLE]

    def _values(self, node: ast.AST, name: str) -> list[ast.expr]:
        """What a name was given: in the functions around the node, else in the module. A dict or a list counts as its values."""
        around: ast.AST | None = node
        while around is not None:
            around = self.parents.get(id(around))
            if isinstance(around, ast.FunctionDef | ast.Module):
                found = [value for inner in own_nodes(around) for value in given_to(inner, name)]
                if found:
                    return found
                if isinstance(around, ast.FunctionDef) and name in argument_names(around):
                    return self._arguments(around, name)
        return []

    def _arguments(self, function: ast.FunctionDef, name: str) -> list[ast.expr]:
        """What the file's own calls of a function give to one of its arguments, and its default."""
        names = [each.arg for each in function.args.args]
        defaults = dict(zip(names[::-1], function.args.defaults[::-1], strict=False))
        found = [defaults[name]] if name in defaults else []
        for call in ast.walk(self.tree):
            if isinstance(call, ast.Call) and call_name(call) == function.name:
                given = dict(zip(names, call.args, strict=False)) | {word.arg: word.value for word in call.keywords}
                found += [given[name]] if name in given else []
        return found

    def _holder(self, node: ast.AST) -> ast.AST | None:
        holder = self.parents.get(id(node))
        while isinstance(holder, ast.expr):
            holder = self.parents.get(id(holder))
        return holder


def argument_names(function: ast.FunctionDef) -> set[str]:
    return {each.arg for each in (*function.args.args, *function.args.kwonlyargs)}


def is_text(node: ast.AST) -> bool:
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.Add) and (is_text(node.left) or is_text(node.right))
    if isinstance(node, ast.IfExp):
        return is_text(node.body) or is_text(node.orelse)
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def is_quiet(node: ast.AST) -> bool:
    """A docstring, a type, a comparison, a key, or a call that no person hears."""
    match node:
        case ast.Expr(value=ast.Constant()) | ast.Compare() | ast.arg() | ast.Assert():
            return True
        case ast.AnnAssign(value=None):
            return True
        case ast.Call():
            return QUIET_CALLS.fullmatch(call_name(node)) is not None
        case _:
            return False


def call_name(call: ast.Call) -> str:
    return ast.unparse(call.func)


def own_nodes(scope: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function or module, without those of functions inside it."""
    waiting = list(ast.iter_child_nodes(scope))
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.FunctionDef):
            waiting += ast.iter_child_nodes(node)


def given_to(node: ast.AST, name: str) -> Iterator[ast.expr]:
    """The expressions that a statement gives to a name, or adds to the list of that name."""
    match node:
        case ast.Assign(targets=[ast.Name(id=found)], value=value) if found == name:
            yield from elements(value)
        case ast.AnnAssign(target=ast.Name(id=found), value=ast.expr() as value) if found == name:
            yield from elements(value)
        case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Tuple(elts=values)):
            yield from (value for target, value in zip(targets, values, strict=True) if isinstance(target, ast.Name) and target.id == name)
        case ast.Call(func=ast.Attribute(value=ast.Name(id=found), attr="append"), args=[value]) if found == name:
            yield value
        case ast.AugAssign(target=ast.Name(id=found), value=value) if found == name:
            yield from elements(value)
        case _:
            return


def elements(node: ast.expr) -> list[ast.expr]:
    """The elements of a list, tuple, dict or comprehension; an expression of another kind is its only one."""
    match node:
        case ast.List(elts=elts) | ast.Tuple(elts=elts):
            return elts
        case ast.Dict(values=values):
            return values
        case ast.ListComp(elt=elt) | ast.GeneratorExp(elt=elt):
            return [elt]
        case _:
            return [node]
