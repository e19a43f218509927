"""Documents become records: a folder is watched, one of the documents is incomplete, its sender is asked, and answers.

The documents are in `documents/`: invoices, delivery notes and letters of people and firms that do not exist.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Mapping
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx

from sagacity.demo.mailbox import VARIABLE, Mailbox
from sagacity.demo.platform import Platform
from sagacity.demo.story import Claim, Tell

DOCUMENTS: Final = Path(__file__).parent / "documents"
_INCOMPLETE: Final = "invoice-incomplete.pdf"
_BROKEN: Final = "broken.pdf"
_SENDER: Final = "ann@copperfield.example"
_THREAD: Final = "<cp-5520@copperfield.example>"
_LOOK: Final = 0.1
_PATIENCE: Final = 90.0
"""Seconds."""

Show = Callable[[str, bool], None]


class Office(NamedTuple):
    """Where the chapter plays. `folder` is what the automation watches."""

    platform: Platform
    client: httpx.AsyncClient
    mailbox: Mailbox
    folder: Path
    run: str
    tell: Tell
    show: Show

    @property
    def scans(self) -> str:
        return f"scans-{self.run}"

    @property
    def mail(self) -> str:
        return f"mail-{self.run}"

    async def post(self, letter: EmailMessage) -> str:
        """The id of its record."""
        path = f"/api/v1/intake/{self.mail}"
        answer = await self.client.post(path, content=letter.as_bytes(), headers={"Content-Type": "message/rfc822"})
        answer.raise_for_status()
        return str(answer.json()["records"][0]["record_id"])

    async def get(self, path: str, **query: Any) -> Mapping[str, Any]:
        answer = await self.client.get(f"/api/v1/{path}", params=query)
        answer.raise_for_status()
        return answer.json()

    async def settled(self, id: str, *wanted: str) -> Mapping[str, Any]:
        """The record, once its status is one of those. Raises TimeoutError."""
        async with asyncio.timeout(_PATIENCE):
            while True:
                found = await self.client.get(f"/api/v1/records/{id}")
                if found.status_code == 200 and found.json()["status"] in wanted:
                    return found.json()
                await asyncio.sleep(_LOOK)

    async def all_settled(self, number: int) -> list[Mapping[str, Any]]:
        """So many records of the folder, when none of them is under way any more. Raises TimeoutError."""
        ended = ("completed", "scored", "parked")
        async with asyncio.timeout(_PATIENCE):
            while True:
                items = (await self.get("records", source=self.scans, limit=100))["items"]
                if sum(item["status"] in ended for item in items) >= number:
                    return items
                await asyncio.sleep(_LOOK)


async def folder_is_watched(office: Office) -> list[Claim]:
    names = sorted(path.name for path in DOCUMENTS.iterdir() if path.name != _INCOMPLETE)
    office.tell(
        f"A folder is watched: {len(names)} documents come in; PDF, Word, Excel, HTML, text, e-mail; in three languages"
    )
    await office.platform.command("source.register", office.scans, {"platform": "folder", "name": "Scanner"})
    rule = {
        "name": "Whatever is scanned",
        "trigger": {"type": "file_watcher", "path": str(office.folder), "every": 0.2, "settled": 0.1},
        "actions": [{"type": "process_document", "source": office.scans}],
    }
    await office.platform.command("automation.register", f"scanner-{office.run}", rule)
    for name in names:
        await asyncio.to_thread(shutil.copyfile, DOCUMENTS / name, office.folder / name)
    records = await office.all_settled(len(names))
    for row in sorted(records, key=lambda each: each["attachments"][0]["name"]):
        office.show(_in_words(row), False)
    complete = [row for row in records if row["status"] == "completed"]
    parked = [row for row in records if row["status"] == "parked"]
    duplicates = [row for row in records if row["duplicate_of"] is not None]
    domains = {row["domain"] for row in complete}
    return [
        Claim(
            f"{len(complete)} of {len(names)} are complete by the schema of their domain: {', '.join(sorted(domains))}",
            len(complete) == len(names) - len(parked) and domains == {"financial", "medical", "logistics"},
        ),
        Claim(
            "one is the same as another one, and is known for it",
            len(duplicates) == 1,
        ),
        Claim(
            f"one cannot be read and is parked, to be retried: {parked[0]['parked_reason'] if parked else ''}",
            [row["attachments"][0]["name"] for row in parked] == [_BROKEN],
        ),
    ]


def _in_words(row: Mapping[str, Any]) -> str:
    name, flags = row["attachments"][0]["name"], sorted({flag["kind"] for flag in row["flags"]})
    if row["status"] == "parked":
        return f"{name}: parked"
    told = f"{name}: {row['domain']} ({row['domain_confidence']:.2f}), {row['language']}, {len(row['values'])} fields"
    return f"{told}, score {row['score']:.2f}{', ' + ', '.join(flags) if flags else ''}"


async def sender_is_asked(office: Office) -> list[Claim]:
    office.tell("An invoice comes by e-mail, and says neither what is to be paid nor until when")
    source = {"platform": "email", "name": "Accounts", "reply": {"apprise": VARIABLE}, "follow_up": {"clock": "all"}}
    await office.platform.command("source.register", office.mail, source)
    letter = _letter("Invoice CP-5520", "Please find our invoice attached.", _THREAD)
    content = (DOCUMENTS / _INCOMPLETE).read_bytes()
    letter.add_attachment(content, maintype="application", subtype="pdf", filename=_INCOMPLETE)
    id = await office.post(letter)
    question = await office.mailbox.letter(1)
    asked = await office.settled(id, "chased")
    office.tell("The question as its sender gets it:\n" + question)
    score, missing = asked["score"], asked["missing"]
    reply = _letter("Re: Invoice CP-5520", "1. 2604.00\n2. 12 December 2026\n", "<re-cp-5520@copperfield.example>")
    reply["In-Reply-To"] = reply["References"] = _THREAD
    answer = await office.post(reply)
    done = await office.settled(id, "completed")
    again = await office.post(reply)
    letters = len(office.mailbox.letters)
    return [
        Claim(f"the record has the score {score:.2f}; missing: {', '.join(missing)}", missing == ["total", "due_on"]),
        Claim("both are asked for in one message", letters == 1 and "1." in question and "2." in question),
        Claim(
            f"the answer completes it: total {done['values']['total']}, due on {done['values']['due_on']}",
            (done["score"], done["values"]["total"], done["values"]["due_on"]) == (1.0, 2604.0, "2026-12-12"),
        ),
        Claim("the answer that comes a second time changes nothing", again == answer),
    ]


def _letter(subject: str, text: str, id: str) -> EmailMessage:
    letter = EmailMessage()
    letter["From"], letter["To"] = f"Ann Copperfield <{_SENDER}>", "accounts@acme.example"
    letter["Subject"], letter["Message-ID"], letter["Date"] = subject, id, "Fri, 13 Nov 2026 09:12:00 +0000"
    letter.set_content(text)
    return letter


async def quality_in_sum(office: Office) -> list[Claim]:
    office.tell("What all of it comes to")
    found = await office.get("quality/overview")
    asked = found["follow_ups"]
    for share in found["domains"]:
        if share["scored"]:
            office.show(f"{share['name']}: {share['scored']} scored, mean score {share['mean_score']:.2f}", False)
    return [
        Claim(
            f"{asked['asked']} question asked, {asked['responded']} answered, none is open",
            (asked["asked"], asked["responded"], asked["open"]) == (1, 1, 0),
        )
    ]


CHAPTERS: Final = (folder_is_watched, sender_is_asked, quality_in_sum)
"""In this order, each with what must come out."""
