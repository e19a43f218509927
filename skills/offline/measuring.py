"""Metrics of a Python file from its syntax tree."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib import import_module
from typing import Any, Final

from msgspec import Struct

Function = ast.FunctionDef | ast.AsyncFunctionDef
_NESTING: Final = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.TryStar, ast.Match)


class FunctionMetrics(Struct, frozen=True):
    """`complexity` is cyclomatic (McCabe 1976) as radon counts it: of a function with those in it. `nesting` counts
    blocks within blocks; `parameters` are without `self` and `cls`; `documented`: it has a docstring."""

    name: str
    line: int
    lines: int
    complexity: int
    nesting: int
    parameters: int
    documented: bool
    public: bool


class FileMetrics(Struct, frozen=True):
    """`source_lines` are without blank ones and comments; `maintainability` is radon's index from 0 to 100 (Coleman et
    al. 1994, as Visual Studio scales it); `most_complex` is a function's name."""

    file: str
    lines: int
    source_lines: int
    functions: int
    complexity_mean: float
    complexity_most: int
    most_complex: str
    maintainability: float
    documented: float


def functions_of(tree: ast.Module) -> tuple[FunctionMetrics, ...]:
    """In the order of the text, methods as `Class.method`. Raises RecursionError for what is nested too deeply."""
    complexities = dict(_complexities(tree))
    return tuple(
        FunctionMetrics(
            name,
            node.lineno,
            (node.end_lineno or node.lineno) - node.lineno + 1,
            complexities.get((node.lineno, node.name), 1),
            nesting(node.body),
            parameters(node),
            ast.get_docstring(node, clean=False) is not None,
            public,
        )
        for name, node, public in functions_in(tree)
    )


def file_metrics(file: str, text: str, tree: ast.Module, functions: tuple[FunctionMetrics, ...]) -> FileMetrics:
    """Raises RecursionError."""
    metrics: Any = import_module("radon.metrics")
    raw: Any = import_module("radon.raw").analyze(text)
    worst = max(functions, key=lambda each: each.complexity, default=None)
    public = [each.documented for each in functions if each.public]
    mean = sum(each.complexity for each in functions) / len(functions) if functions else 0.0
    return FileMetrics(
        file,
        raw.loc,
        raw.sloc,
        len(functions),
        round(mean, 2),
        worst.complexity if worst else 0,
        worst.name if worst else "",
        round(float(metrics.mi_visit(text, multi=True)), 1),
        round(sum(public) / len(public), 3) if public else 1.0,
    )


def functions_in(tree: ast.AST, within: str = "", public: bool = True) -> Iterator[tuple[str, Function, bool]]:
    """With their qualified names; what is in a function is not public, nor is a test."""
    for node in ast.iter_child_nodes(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                seen = public and not name.startswith(("_", "test_"))
                yield f"{within}{name}", node, seen
                yield from functions_in(node, f"{within}{name}.", False)
            case ast.ClassDef(name=name):
                yield from functions_in(node, f"{within}{name}.", public and not name.startswith("_"))
            case _:
                yield from functions_in(node, within, public)


def nesting(body: list[ast.stmt]) -> int:
    """Blocks within blocks, at most; what follows `elif` is no deeper. Functions in it do not count."""
    return max((_depth(each) for each in body), default=0)


def _depth(node: ast.AST) -> int:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
        return 0
    inner = max((_depth(each) for each in ast.iter_child_nodes(node)), default=0)
    if isinstance(node, ast.If) and len(node.orelse) == 1 and isinstance(node.orelse[0], ast.If):
        chained = _depth(node.orelse[0])
        return max(1 + nesting(node.body), chained)
    return inner + isinstance(node, _NESTING)


def parameters(node: Function) -> int:
    given = node.args
    names = [each.arg for each in (*given.posonlyargs, *given.args)]
    return len(names) - (names[:1] in (["self"], ["cls"])) + len(given.kwonlyargs)


def _complexities(tree: ast.Module) -> Iterator[tuple[tuple[int, str], int]]:
    visitor: Any = import_module("radon.visitors").ComplexityVisitor.from_ast(tree)
    waiting: list[Any] = [*visitor.functions, *visitor.classes]
    while waiting:
        block = waiting.pop()
        if block.letter == "C":
            waiting += [*block.methods, *block.inner_classes]
        else:
            yield (block.lineno, block.name), block.complexity
            waiting += block.closures
