"""Code that does the same by its form: layout, comments and local names are no matter. It is parsed, never run."""

from __future__ import annotations

import ast
import re
import textwrap
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

LONGEST_CHARS = 20_000
"""Longer code is compared as it was written: the parser is C, and a stranger's text must not try its stack."""
DEEPEST = 40
"""Levels of brackets."""

_FENCED = re.compile(r"^```[ \t]*([\w+#.-]*)[^\n]*\n(.*?)^```[ \t]*$", re.DOTALL | re.MULTILINE)
_STRINGS = r"\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'"
_SLASHES = re.compile(rf"({_STRINGS}|`(?:\\.|[^`\\])*`)|//[^\n]*|/\*.*?\*/", re.DOTALL)
_HASH = re.compile(rf"({_STRINGS})|(?:(?<=\s)|^)#[^\n]*", re.MULTILINE)
_DASHES = re.compile(rf"({_STRINGS})|--[^\n]*|/\*.*?\*/", re.DOTALL)
_SPACES = re.compile(rf"({_STRINGS})|\s+")
_COMMENTS = {
    **dict.fromkeys(("c", "cpp", "c++", "cs", "c#", "java", "js", "javascript", "ts", "typescript"), _SLASHES),
    **dict.fromkeys(("go", "rust", "rs", "kotlin", "swift", "scala", "php", "dart"), _SLASHES),
    **dict.fromkeys(("sh", "bash", "shell", "zsh", "ruby", "rb", "perl", "r", "yaml", "toml"), _HASH),
    **dict.fromkeys(("sql", "haskell", "lua"), _DASHES),
}
_PYTHON = ("python", "py", "python3", "")
_KEEPS_LINES = ("yaml", "haskell", "makefile")


@dataclass(frozen=True, slots=True)
class FencedCode:
    language: str
    """As the fence names it, in lower case; empty where it does not."""
    text: str
    alone: bool
    """There is nothing but the code in the answer."""


def fenced_code(text: str) -> FencedCode | None:
    """The longest fenced block, of equally long ones the last: explanations quote short ones."""
    blocks = list(_FENCED.finditer(text)) if "```" in text else []
    if not blocks:
        return None
    chosen = max(blocks, key=lambda block: (len(block[2].strip()), block.start()))
    alone = not (text[: chosen.start()].strip() or text[chosen.end() :].strip())
    return FencedCode(chosen[1].lower(), chosen[2], alone)


def code_key(code: str, language: str) -> str:
    """A normalised syntax tree for Python; for any other language the text without comments and layout."""
    code = textwrap.dedent(code).strip()
    tree = _parsed(code) if language in _PYTHON else None
    if tree is not None:
        return f"python {ast.dump(_Normal().visit(tree))}"
    return f"{language} {_without_layout(code, language)}"


def _parsed(code: str) -> ast.Module | None:
    if len(code) > LONGEST_CHARS or _depth(code) > DEEPEST:
        return None
    try:
        with warnings.catch_warnings(action="ignore"):
            return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _without_layout(code: str, language: str) -> str:
    comments = _COMMENTS.get(language)
    if comments is not None:
        code = comments.sub(lambda match: match[1] or " ", code)
    if language in _KEEPS_LINES or comments is _HASH or language in _PYTHON:
        # Lines and their indentation mean something, or may.
        return "\n".join(line.rstrip() for line in code.splitlines() if line.strip())
    return _SPACES.sub(lambda match: match[1] or " ", code).strip()


def _depth(code: str) -> int:
    depth = deepest = 0
    for character in re.findall(r"[()\[\]{}]", code):
        depth += 1 if character in "([{" else -1
        deepest = max(deepest, depth)
    return deepest


class _Normal(ast.NodeTransformer):
    """No docstrings, and no annotations outside of classes, where they may be fields; what is local to a function is
    named by its order of appearance."""

    def __init__(self) -> None:
        self._in_class = False

    def visit_Module(self, node: ast.Module) -> ast.AST:
        return self._without_docstring(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        outside, self._in_class = self._in_class, True
        self._without_docstring(node)
        self._in_class = outside
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._function(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        self.generic_visit(node)
        if self._in_class or node.value is None or not isinstance(node.target, ast.Name):
            return node
        return ast.Assign(targets=[node.target], value=node.value)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        outside, self._in_class = self._in_class, False
        self._without_docstring(node)
        self._in_class = outside
        node.returns = None
        for argument in _arguments(node):
            argument.annotation = None
        # No identifier looks like these, so that none can be taken for one.
        names = {name: f"<{position}>" for position, name in enumerate(dict.fromkeys(_local_names(node)))}
        if names and not _names_escape(node, frozenset(names)):
            _Renamed(names).visit(node)
        return node

    def _without_docstring(self, node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        match node.body:
            case [ast.Expr(value=ast.Constant(value=str())), *rest]:
                node.body = rest or [ast.Pass()]
        self.generic_visit(node)
        return node


def _arguments(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.arg]:
    given = node.args
    more = [one for one in (given.vararg, given.kwarg) if one is not None]
    return [*given.posonlyargs, *given.args, *given.kwonlyargs, *more]


def _local_names(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    """Positional parameters and what is assigned to, in order; parameters by keyword keep their names."""
    by_keyword = {argument.arg for argument in node.args.kwonlyargs}
    yield from (argument.arg for argument in (*node.args.posonlyargs, *node.args.args))
    for part in ast.walk(node):
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store) and part.id not in by_keyword:
            yield part.id


def _names_escape(node: ast.AST, names: frozenset[str]) -> bool:
    """Where a name is used otherwise than as a plain local one: by keyword, as text, in another scope."""
    for part in ast.walk(node):
        match part:
            case ast.Global() | ast.Nonlocal() | ast.ClassDef() | ast.Import() | ast.ImportFrom():
                return True
            case ast.keyword(arg=str(name)) | ast.ExceptHandler(name=str(name)) if name in names:
                return True
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)) if name in names:
                return True
            case ast.Name(id="locals" | "vars" | "eval" | "exec" | "globals"):
                return True
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda() if part is not node:
                return True
    return False


class _Renamed(ast.NodeTransformer):
    def __init__(self, names: dict[str, str]) -> None:
        self._names = names

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = self._names.get(node.id, node.id)
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.arg = self._names.get(node.arg, node.arg)
        return node
