"""Text and tables of a Word document, in the order in which they are read."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import Any

from records.enrich import archives
from records.enrich.content import Collected, NotReadable


def read_docx(content: bytes, into: Collected) -> None:
    """Raises NotReadable."""
    archives.check(content)
    import docx

    try:
        document = docx.Document(BytesIO(content))
        for section in document.sections:
            for paragraph in section.header.paragraphs:
                into.add(paragraph.text)
        _read(document, into)
        for section in document.sections:
            for paragraph in section.footer.paragraphs:
                into.add(paragraph.text)
    except MemoryError:
        raise
    except Exception as error:  # python-docx trusts the file: whatever is missing raises where it is looked for
        raise NotReadable(f"the document is broken: {type(error).__name__}: {error}") from error


def _read(document: Any, into: Collected) -> None:
    from docx.table import Table

    for block in document.iter_inner_content():
        if into.full:
            return
        if isinstance(block, Table):
            rows = list(_rows(block))
            into.add_table(rows)
            into.add("\n".join("\t".join(row) for row in rows))
        else:
            into.add(block.text)


def _rows(table: Any) -> Iterator[list[str]]:
    """A cell that spans several columns or rows is in each of them."""
    for row in table.rows:
        yield [str(cell.text).strip() for cell in row.cells]
