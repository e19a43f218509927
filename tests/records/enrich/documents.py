"""Documents as people send them, and as nobody should; made by the libraries that others make them with."""

import io
import struct
import zipfile
import zlib
from datetime import date
from email.message import EmailMessage
from itertools import pairwise

import docx
import openpyxl
from fpdf import FPDF
from PIL import Image, ImageDraw

LETTER = "Please find the invoice INV-2026-0042 of 3 March 2026 for 1,234.56 EUR attached to this letter."
ROWS = (("Item", "Quantity", "Price"), ("Pallets", "12", "340.00"), ("Crates", "3", "27.50"))


def pdf(*pages: str, table: bool = False) -> bytes:
    document = FPDF()
    document.set_font("helvetica", size=12)
    for text in pages or (LETTER,):
        document.add_page()
        document.multi_cell(0, 8, text)
    if table:
        with document.table() as drawn:
            for row in ROWS:
                drawn.row(row)
    return bytes(document.output())


def scanned_pdf() -> bytes:
    document = FPDF()
    document.add_page()
    document.image(io.BytesIO(png()), w=100)
    return bytes(document.output())


def encrypted_pdf() -> bytes:
    document = FPDF()
    document.set_encryption(owner_password="owner", user_password="user")
    document.add_page()
    document.set_font("helvetica", size=12)
    document.cell(text="secret")
    return bytes(document.output())


def pdf_with_stream(content: bytes) -> bytes:
    """One page whose drawing instructions are this, packed."""
    packed = zlib.compress(content, 9)
    objects = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 300] /Contents 4 0 R "
        b"/Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream" % (len(packed), packed),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    )
    file, places = io.BytesIO(b"%PDF-1.4\n"), []
    file.seek(0, io.SEEK_END)
    for number, each in enumerate(objects, 1):
        places.append(file.tell())
        file.write(b"%d 0 obj\n%s\nendobj\n" % (number, each))
    start = file.tell()
    file.write(b"xref\n0 6\n0000000000 65535 f \n" + b"".join(b"%010d 00000 n \n" % place for place in places))
    file.write(b"trailer << /Size 6 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % start)
    return file.getvalue()


def word(*paragraphs: str) -> bytes:
    document = docx.Document()
    document.sections[0].header.paragraphs[0].text = "Nordwind GmbH"
    for text in paragraphs or (LETTER,):
        document.add_paragraph(text)
    table = document.add_table(rows=len(ROWS), cols=3)
    for row, cells in zip(table.rows, ROWS, strict=True):
        for cell, text in zip(row.cells, cells, strict=True):
            cell.text = text
    document.add_paragraph("Yours sincerely")
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


def excel(rows: int = 1) -> bytes:
    workbook = openpyxl.Workbook(write_only=True)
    sheet = workbook.create_sheet("Deliveries")
    sheet.append(["Delivered", "Weight", "Paid"])
    for _ in range(rows):
        sheet.append([date(2026, 3, 4), 12.0, True])
    file = io.BytesIO()
    workbook.save(file)
    return file.getvalue()


def png(size: tuple[int, int] = (200, 60), text: str = "INVOICE 42") -> bytes:
    image = Image.new("L", size, 255)
    ImageDraw.Draw(image).text((10, 20), text, fill=0)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def huge_png(width: int, height: int) -> bytes:
    """All white, so that the file is small."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    packer = zlib.compressobj(9)
    row = b"\0" + b"\xff" * width
    packed = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def mail(*attachments: tuple[str, str, bytes], html: bool = False) -> bytes:
    message = EmailMessage()
    message["From"] = "Anna Schmidt <anna@nordwind.example>"
    message["To"] = "office@example.org"
    message["Subject"] = "Rechnung für März"
    message["Date"] = "Tue, 03 Mar 2026 10:00:00 +0100"
    if html:
        message.set_content("<html><body><p>As <b>agreed</b> upon.</p></body></html>", subtype="html")
    else:
        message.set_content("As agreed upon.")
    for name, media_type, content in attachments:
        main, _, sub = media_type.partition("/")
        message.add_attachment(content, maintype=main, subtype=sub, filename=name)
    return message.as_bytes()


def archive(files: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return file.getvalue()


def bomb(members: int = 1, megabytes: int = 100, name: str = "word/document.xml") -> bytes:
    """Zeros, as a Word document for instance."""
    zeros = bytes(megabytes * 1024 * 1024)
    return archive({name if number == 0 else f"{number}": zeros for number in range(members)})


def lying_bomb() -> bytes:
    """Says of its entry that it has 10 bytes."""
    content, size = bomb(megabytes=80), (80 * 1024 * 1024).to_bytes(4, "little")
    return content.replace(size, (10).to_bytes(4, "little"))


LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "lol">'
    + "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in pairwise("abcdefghij"))
    + "]><lolz>&j;</lolz>"
).encode()

OUTSIDE = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>'
