"""Text and tables of HTML and XML. Nothing is fetched, and no entity of a document's own is resolved."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from typing import Any, Final

from records.enrich.content import Collected, NotReadable, clean
from records.enrich.decoding import decode

_HIDDEN: Final = frozenset({"script", "style", "head", "noscript", "template", "svg", "iframe", "object"})
_INLINE: Final = frozenset(
    {"a", "abbr", "b", "bdi", "cite", "code", "em", "font", "i", "label", "mark", "s", "small", "span", "strong", "sub"}
    | {"sup", "time", "u"}
)
_CELLS: Final = frozenset({"td", "th"})
_CHARSET: Final = re.compile(rb"(?i)charset\s*=\s*[\"']?([\w-]+)|encoding\s*=\s*[\"']([\w-]+)[\"']")
_ENTITY: Final = re.compile(r"<!\s*(ENTITY|DOCTYPE\b[^>]*\[)", re.IGNORECASE)
_DECLARATION: Final = re.compile(r"^\s*<\?xml[^>]*\?>")


def read_html(content: bytes, into: Collected) -> None:
    """Raises NotReadable."""
    etree: Any = import_module("lxml.etree")
    html: Any = import_module("lxml.html")
    text = _source(content, into)
    try:
        # Up to 2,048 levels: mails forget to close theirs. The process has limits of its own.
        parser = html.HTMLParser(encoding="utf-8", huge_tree=True, no_network=True, remove_comments=True)
        root: Any = html.document_fromstring(text.encode(), parser=parser)
    except (etree.LxmlError, ValueError, AssertionError) as error:
        raise NotReadable(f"the HTML is broken: {error}") from error
    if any(each.type_name == "ERR_RESOURCE_LIMIT" for each in parser.error_log):
        into.doubt("it is nested too deeply to be read to its end")
    for table in root.iter("table"):
        rows = [[_line(cell) for cell in row.iter("td", "th")] for row in table.iter("tr")]
        into.add_table(rows)
    into.add(re.sub(r"[ \xa0]*\n\s*\n*", "\n", "".join(_words(root))).strip())


def read_xml(content: bytes, into: Collected) -> None:
    """Leaves as lines of `name: value`. What is no XML stays the text that it is. Raises NotReadable for a document
    that brings entities of its own."""
    etree: Any = import_module("lxml.etree")
    text = _source(content, into)
    if _ENTITY.search(text):
        raise NotReadable("the XML declares entities of its own: these are not resolved")
    parser = etree.XMLParser(
        encoding="utf-8", resolve_entities=False, no_network=True, huge_tree=False, load_dtd=False, remove_comments=True
    )
    try:
        root: Any = etree.fromstring(_DECLARATION.sub("", text, count=1).strip().encode(), parser)
    except (etree.LxmlError, ValueError) as error:
        into.doubt(f"it is no XML: {error}")
        return into.add(text)
    into.add("\n".join(_leaves(root)))


def _source(content: bytes, into: Collected) -> str:
    named = _CHARSET.search(content[:2048])
    decoded = decode(content, (named[1] or named[2]).decode() if named else None)
    if decoded.doubt:
        into.doubt(decoded.doubt)
    return clean(decoded.text)


def _words(root: Any) -> Iterator[str]:
    """All that is shown; a new line for each block, a tab after each cell."""
    etree: Any = import_module("lxml.etree")
    hidden: Any = None
    for event, node in etree.iterwalk(root, events=("start", "end")):
        inline = node.tag in _INLINE
        if event == "start":
            if hidden is None and (node.tag in _HIDDEN or not isinstance(node.tag, str)):
                hidden = node
            if hidden is None:
                yield ("" if inline or node.tag in _CELLS else "\n") + _spaced(node.text)
        else:
            if node is hidden:
                hidden = None
            elif hidden is None and not inline:
                yield "\t" if node.tag in _CELLS else "\n"
            if hidden is None:
                yield _spaced(node.tail)


def _spaced(text: str | None) -> str:
    return re.sub(r"\s+", " ", text) if text else ""


def _line(node: Any) -> str:
    return " ".join("".join(_words(node)).split())


def _leaves(root: Any) -> Iterator[str]:
    for node in root.iter():
        if not isinstance(node.tag, str):
            continue
        name = node.tag.rpartition("}")[2]
        for attribute, value in node.attrib.items():
            if "}" not in attribute:
                yield f"{name} {attribute}: {' '.join(value.split())}"
        text = " ".join((node.text or "").split())
        if text:
            yield f"{name}: {text}"
        tail = " ".join((node.tail or "").split())
        if tail:
            yield tail
