"""Text of a PDF by pypdf, its tables by pdfplumber; pages that are only pictures by OCR."""

from __future__ import annotations

import logging
from importlib import import_module
from io import BytesIO
from typing import Any

from records.enrich import limits, ocr
from records.enrich.content import Collected, NotAvailable, NotReadable


def read_pdf(content: bytes, into: Collected) -> None:
    """Raises NotReadable; NotAvailable where it is only pictures and nothing here reads them."""
    for name in ("pypdf", "pdfminer", "pdfplumber"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    pages = _texts(content, into)
    for text in pages:
        into.add(text)
    if not any(text.strip() for text in pages):
        _recognise(content, into)
    else:
        _tables(content, into)


def _texts(content: bytes, into: Collected) -> list[str]:
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    try:
        reader = PdfReader(BytesIO(content), strict=False)
        if reader.is_encrypted and not reader.decrypt(""):
            raise NotReadable("it is encrypted")
        count = len(reader.pages)
    except NotReadable:
        raise
    except (PyPdfError, ValueError, TypeError, LookupError, AttributeError, RecursionError, OSError) as error:
        raise NotReadable(f"the PDF is broken: {error}") from error
    if count == 0:
        raise NotReadable("the PDF has no pages")
    if count > limits.PDF_PAGES:
        into.doubt(f"only the first {limits.PDF_PAGES} of {count} pages are read")
    return _of_pages(reader, min(count, limits.PDF_PAGES), into)


def _of_pages(reader: Any, count: int, into: Collected) -> list[str]:
    texts: list[str] = []
    broken: list[str] = []
    for number in range(count):
        try:
            texts.append(str(reader.pages[number].extract_text()))
        except MemoryError:
            raise
        except Exception as error:  # a page can be broken in any way: the others are read all the same
            broken.append(f"page {number + 1}: {error}")
        if sum(map(len, texts)) > limits.LONGEST_TEXT:
            break
    if broken and not any(text.strip() for text in texts):
        raise NotReadable(f"the PDF is broken: {broken[0]}")
    if broken:
        into.doubt(f"{len(broken)} pages could not be read; {broken[0]}")
    return texts


def _tables(content: bytes, into: Collected) -> None:
    pdfplumber: Any = import_module("pdfplumber")
    try:
        with pdfplumber.open(BytesIO(content), pages=list(range(1, limits.PDF_TABLE_PAGES + 1))) as document:
            for page in document.pages:
                for table in page.extract_tables() if page.rects or page.lines else ():
                    into.add_table(table)
                page.close()
    except MemoryError:
        raise
    except Exception as error:  # pdfminer raises anything on what pypdf forgives: the text is there
        into.doubt(f"tables could not be read: {type(error).__name__}: {error}")


def _recognise(content: bytes, into: Collected) -> None:
    if not ocr.available():
        raise NotAvailable("its pages are pictures, and tesseract is not installed")
    pypdfium2: Any = import_module("pypdfium2")
    try:
        document = pypdfium2.PdfDocument(content)
        count = len(document)
        for number in range(min(count, limits.OCR_PAGES)):
            page = document[number]
            scale = min(200 / 72, (limits.LARGEST_IMAGE / max(1.0, page.get_width() * page.get_height())) ** 0.5)
            into.add(ocr.recognised(page.render(scale=scale, grayscale=True).to_pil()))
    except (pypdfium2.PdfiumError, ValueError) as error:
        raise NotReadable(f"the pages cannot be shown: {error}") from error
    if count > limits.OCR_PAGES:
        into.doubt(f"only the first {limits.OCR_PAGES} of {count} pages are read")
    into.doubt(ocr.DOUBT)
