"""What could be wrong in Python code, or better, each with what to do about it."""

from __future__ import annotations

import ast
import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Annotated, Final, cast

from msgspec import Meta, Struct, structs

from domain.skill import RetryPolicy
from skills.offline import linting
from skills.offline.code_review import ENDINGS, Parsed, Thresholds, parse, weighed
from skills.offline.findings import Counts, Finding, Unread, counted, ranked
from skills.offline.measuring import functions_of
from skills.offline.places import files_of
from skills.skill import Context, skill

_UNUSED: Final = ("F401", "F811", "F841", "ARG001")
_BUGS: Final = ("F6", "F7", "F82", "B006", "B008", "B012", "B015", "B018", "B023", "BLE001", "E722", "PLE", "PLW0120")
TOOL: Final = "code_intelligence"
_SUGGESTIONS: Final[dict[str, str]] = {
    "complex-function": "give its branches names of their own: a function for each case, or a table of cases",
    "long-function": "split it where its paragraphs are; what each does is the name of a function",
    "deep-nesting": "return early for what is refused, or move the inner block into a function",
    "many-parameters": "make one object of those that are always given together",
    "no-docstring": "say in one line what it gives and what it raises",
    "duplicated-code": "make one function of it, with what differs as parameters",
    "F401": "delete the import",
    "F811": "delete one of the two definitions, or rename one",
    "F841": "delete the variable, or name it _ where the value is not wanted",
    "ARG001": "delete the parameter, or begin its name with _ where a protocol asks for it",
    "B006": "take None as the default and make the value inside",
    "B008": "take None as the default and make the call inside",
    "B023": "bind the loop's variable as a default argument of the function",
    "BLE001": "catch the errors that are meant, and let the others pass",
    "E722": "catch the errors that are meant, and let the others pass",
}


class Analyse(Struct, frozen=True, forbid_unknown_fields=True):
    """The Python files at `path`, there only the `files` named relative to it. Blocks that have at least
    `block_lines` lines and are alike but for their names and constants are duplicates."""

    path: str
    files: tuple[str, ...] = ()
    thresholds: Thresholds = Thresholds()
    block_lines: Annotated[int, Meta(ge=3, le=1_000)] = 6
    suppressions: bool = True


class Block(Struct, frozen=True):
    file: str
    line: int
    lines: int


class Duplicate(Struct, frozen=True):
    """Blocks that are alike."""

    blocks: tuple[Block, ...]


class Definition(Struct, frozen=True):
    """A class or a function, and how complex it is (0 for a class)."""

    file: str
    line: int
    name: str
    kind: str
    complexity: int = 0


class Analysed(Struct, frozen=True):
    """`findings` of the kind `bug` are probably errors, those of the kind `refactoring` could be better; each suggests
    what to do."""

    findings: tuple[Finding, ...]
    duplicates: tuple[Duplicate, ...]
    definitions: tuple[Definition, ...]
    reviewed: tuple[str, ...]
    unread: tuple[Unread, ...]
    counts: Counts


@skill(
    "code_intelligence",
    capabilities=("code_analysis", "bug_detection", "refactoring_suggestions", "python"),
    runs="process",
    timeout=600.0,
    retry=RetryPolicy(attempts=2),
    effects=False,
)
def code_intelligence(asked: Analyse, context: Context) -> Analysed:
    """Analyses Python code from its syntax tree: probable bugs, unused names, long, complex and deeply nested
    functions, duplicated blocks; each finding suggests what to do. Runs none of the code."""
    place = files_of(asked.path, context, ENDINGS, asked.files)
    linted = list(linting.ruff(place.root, place.files, (*_BUGS, *_UNUSED), asked.suppressions))
    context.progress(0.3, "ruff")
    parsed = list(parse(place, linted))
    context.progress(0.5, "parsed")
    found, definitions = list(linted), list[Definition]()
    for each in parsed:
        try:
            functions = functions_of(each.tree)
        except RecursionError:
            found.append(Finding(each.file, 1, "not-measured", "medium", "it is nested too deeply", TOOL))
            continue
        found += weighed(each.file, functions, asked.thresholds)
        definitions += [Definition(each.file, f.line, f.name, "function", f.complexity) for f in functions]
        definitions += _classes(each)
    alike = duplicates(parsed, asked.block_lines)
    findings = ranked(_advised(each) for each in (*found, *_repeated(alike)))
    definitions.sort(key=lambda each: (each.file, each.line))
    return Analysed(findings, alike, tuple(definitions), place.files, place.unread, counted(findings))


def duplicates(parsed: Sequence[Parsed], least: int) -> tuple[Duplicate, ...]:
    """Functions and runs of statements with at least so many lines whose syntax trees are the same but for names,
    constants and docstrings. Of what is within a duplicate only the whole is told.

    Source: I. D. Baxter et al., "Clone Detection Using Abstract Syntax Trees", ICSM 1998 (here: of whole bodies).
    """
    found: defaultdict[str, list[Block]] = defaultdict(list)
    for each in parsed:
        for body in _bodies(each.tree):
            first, last = body[0], body[-1]
            lines = (last.end_lineno or last.lineno) - first.lineno + 1
            if lines >= least:
                found[shape(body)].append(Block(each.file, first.lineno, lines))
    alike = [tuple(blocks) for blocks in found.values() if len(blocks) > 1]
    alike.sort(key=lambda blocks: -blocks[0].lines)
    kept = list[Duplicate]()
    covered = set[tuple[str, int]]()
    for blocks in alike:
        if any((block.file, block.line) not in covered for block in blocks):
            kept.append(Duplicate(blocks))
            covered |= {(b.file, line) for b in blocks for line in range(b.line, b.line + b.lines)}
    return tuple(kept)


def shape(body: Sequence[ast.stmt]) -> str:
    """A hash of the kinds of nodes in their order; names are numbered as they come, of constants the type counts."""
    numbers: dict[str, int] = {}
    digest = hashlib.sha256()
    for statement in body:
        for token in _tokens(statement, numbers):
            digest.update(f"{token};".encode())
    return digest.hexdigest()


def _tokens(node: ast.AST, numbers: dict[str, int]) -> Iterator[str]:
    waiting: list[ast.AST | str] = [node]
    while waiting:
        each = waiting.pop()
        if isinstance(each, str):
            yield each
            continue
        match each:
            case ast.Name(id=name) | ast.arg(arg=name):
                yield f"name{numbers.setdefault(name, len(numbers))}"
            case ast.Constant(value=value):
                yield type(value).__name__
            case ast.Attribute(attr=name) | ast.keyword(arg=str(name)):
                yield f".{name}"
            case _:
                yield type(each).__name__
        waiting += [")", *reversed(list(ast.iter_child_nodes(each))), "("]


def _bodies(tree: ast.Module) -> Iterator[list[ast.stmt]]:
    for node in ast.walk(tree):
        for name in ("body", "orelse", "finalbody"):
            body: object = getattr(node, name, None)
            if isinstance(body, list) and not isinstance(node, ast.Module | ast.ClassDef):
                statements = cast(list[ast.stmt], body)[_has_docstring(node) :]
                if len(statements) > 1:
                    yield statements


def _has_docstring(node: ast.AST) -> bool:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return isinstance(node, functions) and len(node.body) > 1 and ast.get_docstring(node, clean=False) is not None


def _repeated(alike: Sequence[Duplicate]) -> Iterator[Finding]:
    for blocks in (each.blocks for each in alike):
        for block in blocks:
            others = ", ".join(f"{b.file}:{b.line}" for b in blocks if b != block)
            message = f"{block.lines} lines that are like those at {others}"[:1_000]
            severity = "medium" if block.lines > 20 else "low"
            yield Finding(block.file, block.line, "duplicated-code", severity, message, TOOL)


def _classes(parsed: Parsed) -> Iterator[Definition]:
    for node in ast.walk(parsed.tree):
        if isinstance(node, ast.ClassDef):
            yield Definition(parsed.file, node.lineno, node.name, "class")


def _advised(found: Finding) -> Finding:
    """What Ruff finds is an error, except names that are not used."""
    kind = "bug" if found.tool == "ruff" and found.rule not in _UNUSED else "refactoring"
    return structs.replace(found, kind=kind, suggestion=_SUGGESTIONS.get(found.rule, "look at it"))
