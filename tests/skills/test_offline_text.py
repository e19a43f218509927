"""Texts: embedded, compared, summarised, classified; documents read. By content, without a network."""

import hashlib
import json
import math
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio

from eventstore.blobs import BlobMissing
from records.analyse.domains import DomainClassifier
from records.enrich.limits import Limits
from records.enrich.processes import ReadingProcesses
from skills.offline import offline_skills
from skills.offline.classify import classify
from skills.offline.detect_domain import domain_skill
from skills.offline.embedding import embed, similar
from skills.offline.extract_document import document_skill
from skills.offline.summarise import split, summarise
from skills.skill import SkillFailed
from tests.records.enrich.documents import excel, pdf, word
from tests.skills.asking import ask, asked, context, refused

SHIPPED = Path(__file__).parents[1] / "records" / "analyse"
EXAMPLES = Path(import_module("records.analyse").__path__[0]) / "examples"


def test_vectors_have_length_one_and_are_nearer_for_texts_that_share_words():
    texts = [
        "The invoice is overdue",
        "overdue invoices",
        "A truck left the harbour",
        "...",
        "L'été à Paris",
        "l ete a paris",
    ]
    given = ask(embed, texts=texts, dimensions=256)
    vectors = given["vectors"]
    assert [len(each) for each in vectors] == [256] * 6
    lengths = [math.hypot(*each) for each in vectors]
    assert lengths == pytest.approx([1, 1, 1, 0, 1, 1], abs=1e-4)

    def cosine(a, b):
        return dot(vectors[a], vectors[b])

    assert cosine(0, 1) > 2 * cosine(0, 2)
    assert cosine(4, 5) == pytest.approx(1, abs=1e-4)


def dot(one, two):
    return sum(a * b for a, b in zip(one, two, strict=True))


def test_the_same_text_has_the_same_vector_in_another_process_and_beside_other_texts():
    [alone] = ask(embed, texts=["Rechnung über 3 Äpfel"], dimensions=128)["vectors"]
    [_, beside] = ask(embed, texts=["other", "Rechnung über 3 Äpfel"], dimensions=128)["vectors"]
    assert alone == beside
    assert [round(each, 3) for each in alone if each][:6] == EMBEDDED


EMBEDDED = [-0.125, -0.125, 0.197, 0.125, 0.125, 0.125]
"""Vectors that were stored must stay comparable: another method is another METHOD."""


def labelled(name):
    return [json.loads(line) for line in (SHIPPED / name).read_text().splitlines()]


def test_of_texts_nobody_has_seen_the_nearest_one_is_mostly_of_the_same_domain():
    """What docs/skills.md says of the quality is measured here."""
    known = [json.loads(line) for file in sorted(EXAMPLES.glob("*.ndjson")) for line in file.open()]
    held_out = labelled("held_out.ndjson")
    vectors = np.array(ask(embed, texts=[each["text"][:1000] for each in known + held_out])["vectors"])
    nearest = (vectors[len(known) :] @ vectors[: len(known)].T).argmax(axis=1)
    right = [known[place]["domain"] == each["domain"] for place, each in zip(nearest, held_out, strict=True)]
    assert sum(right) / len(right) >= 0.6  # of four domains
    examples = [{"text": each["text"], "label": each["domain"]} for each in known]
    told = ask(classify, texts=[each["text"] for each in held_out], examples=examples)["classes"]
    right = [found["label"] == each["domain"] for found, each in zip(told, held_out, strict=True)]
    assert sum(right) / len(right) >= 0.75


def test_the_nearest_texts_come_first_with_their_scores():
    among = [
        {"id": "same", "text": "Delivery of the new engine to Hamburg"},
        {"id": "near", "text": "the engine was delivered in Hamburg"},
        {"id": "far", "text": "A recipe for apple cake"},
        {"id": "empty", "text": ""},
    ]
    nearest = ask(similar, text="delivery of the new engine to hamburg", among=among)["nearest"]
    assert [each["id"] for each in nearest] == ["same", "near", "far", "empty"]
    assert nearest[0]["score"] == pytest.approx(1, abs=1e-4)
    assert nearest[-1]["score"] == 0
    few = ask(similar, text="engine", among=among, most=3, least_score=0.01)["nearest"]
    assert {each["id"] for each in few} == {"same", "near"}
    assert {each["score"] for each in ask(similar, text="??", among=[{"id": "a", "text": "!"}])["nearest"]} == {0}


STORY = (
    "The bridge over the river was closed on Monday. Dr. Weber, who inspected the bridge, found cracks in two pillars. "
    "Ann likes tea. The city will repair the pillars of the bridge until March. Lunch was at noon. "
    "Until the repair of the bridge is done, lorries take the road along the river."
)


def test_a_summary_is_of_whole_sentences_in_their_order_and_leaves_out_what_stands_apart():
    summary = ask(summarise, text=STORY, sentences=3)
    assert summary["of"] == 6
    places = [each["place"] for each in summary["sentences"]]
    assert places == sorted(places)
    assert not {2, 4} & set(places)
    assert all(each["text"] in STORY for each in summary["sentences"])
    assert summary["summary"] == " ".join(each["text"] for each in summary["sentences"])


def test_what_is_said_twice_is_in_a_summary_once():
    twice = "The harbour of Bremen is closed today. " * 3 + "Ships to Bremen wait at sea. "
    assert len(ask(summarise, text=twice, sentences=3)["sentences"]) == 2


@pytest.mark.parametrize("text", ["", "   ", "...", "1 2 3"])
def test_a_text_without_words_has_what_it_has(text):
    assert ask(summarise, text=text)["summary"] == text.strip()


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Mr. Smith paid 3.50 EUR. He left at 5 p.m. So?", ["Mr. Smith paid 3.50 EUR.", "He left at 5 p.m.", "So?"]),
        ("M. Dupont est là. Il attend depuis 9 h ! Où ?", ["M. Dupont est là.", "Il attend depuis 9 h !", "Où ?"]),
        ("Am 3. März kam Dr. Klein. Er blieb bzw. schlief.", ["Am 3. März kam Dr. Klein.", "Er blieb bzw. schlief."]),
        ("El Sr. Ruiz llegó. ¿Y usted? ¡Claro!", ["El Sr. Ruiz llegó.", "¿Y usted?", "¡Claro!"]),
        ("A title\n\nThe first\none. (The second.) Third", ["A title", "The first one.", "(The second.)", "Third"]),
    ],
)  # fmt: skip
def test_sentences_end_where_they_do_in_four_languages(text, sentences):
    assert split(text) == sentences


TEAMS = [
    ("the server crashed with an error", "bug"),
    ("an error when saving", "bug"),
    ("crash on start", "bug"),
    ("please add a dark theme", "wish"),
    ("please add an export", "wish"),
    ("it would be nice to add tags", "wish"),
]


def test_texts_get_the_label_of_examples_like_them_with_probabilities():
    examples = [{"text": text, "label": label} for text, label in TEAMS]
    told = ask(classify, texts=["error and crash", "please add this", "zzz"], examples=examples)
    assert [each["label"] for each in told["classes"][:2]] == ["bug", "wish"]
    for each in told["classes"]:
        assert sum(each["probabilities"].values()) == pytest.approx(1, abs=1e-5)
        assert each["probability"] == each["probabilities"][each["label"]]
    assert told["classes"][2]["known"] == 0
    assert told["classes"][2]["probability"] == pytest.approx(0.5, abs=0.1)
    assert 0.5 <= told["accuracy"] <= 1


def test_accuracy_is_not_told_where_it_cannot_be_measured_and_one_label_is_refused():
    two = [{"text": "good", "label": "a"}, {"text": "bad", "label": "b"}]
    assert ask(classify, texts=["good"], examples=two)["accuracy"] is None
    assert "only one label" in refused(classify, texts=["x"], examples=[two[0], two[0]])
    assert "no words" in refused(
        classify, texts=["x"], examples=[{"text": "!", "label": "a"}, {"text": "", "label": "b"}]
    )


async def test_a_domain_is_told_as_of_records():
    skill = domain_skill(DomainClassifier())
    found = await asked(skill, {"text": "Invoice 4711: please pay 1,200.00 EUR to our bank account by 30 June."})
    assert found["domain"] == "financial"
    assert found["confidence"] == max(found["candidates"].values()) > 0.5


STORE = {hashlib.sha256(content).hexdigest(): content for content in (b"%PDF-1.7 broken",)}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def reader():
    processes = ReadingProcesses(1, Limits())

    async def content_of(hash):
        if hash not in STORE:
            raise BlobMissing(hash)
        return STORE[hash]

    yield document_skill(processes, content_of)
    await processes.close()


@pytest.mark.asyncio(loop_scope="module")
async def test_documents_are_read_from_a_path_and_from_the_store(reader, tmp_path):
    for name, content, there in (
        ("a.pdf", pdf("Total 80 EUR"), "Total 80 EUR"),
        ("b.docx", word("Dear Ann"), "Dear Ann"),
        ("c.html", b"<html><body><p>Hello <b>there</b></p></body></html>", "Hello there"),
    ):
        (tmp_path / name).write_bytes(content)
        read = await asked(reader, {"path": str(tmp_path / name)})
        assert there in " ".join(read["text"].split())
        hash = hashlib.sha256(content).hexdigest()
        STORE[hash] = content
        assert (await asked(reader, {"hash": hash, "name": name}))["text"] == read["text"]


@pytest.mark.asyncio(loop_scope="module")
async def test_tables_come_as_tables_and_what_is_broken_as_a_remark(reader, tmp_path):
    (tmp_path / "d.xlsx").write_bytes(excel(2))
    [part] = (await asked(reader, {"path": str(tmp_path / "d.xlsx")}))["parts"]
    assert (part["method"], len(part["tables"])) == ("read-xlsx", 1)
    broken = await asked(reader, {"hash": next(iter(STORE))})
    assert broken["text"] == ""
    assert [each["kind"] for each in broken["remarks"]] == ["unreadable"]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({}, "either hash or path"),
        ({"hash": "0" * 64}, "nothing is stored with the hash 000"),
        ({"path": "/etc/hostname"}, "is not among what may be read"),
    ],
)
async def test_documents_that_are_not_there_or_not_granted(reader, given, reason):
    with pytest.raises(SkillFailed, match=reason) as failed:
        await asked(reader, given, context(read=("/no/such/place",)))
    assert not failed.value.retryable


HEAVY = ("sklearn", "numpy", "bandit", "radon", "detect_secrets", "httpx", "lxml", "jsonschema")


def test_the_libraries_are_imported_when_a_skill_is_called():
    program = (
        "import sys; from skills.offline import offline_skills; offline_skills();"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_each_skill_tells_what_it_is_and_is_found_by_another_process():
    skills = offline_skills()
    assert len({skill.name for skill in skills}) == len(skills) == 12
    for skill in skills:
        specification = skill.specification
        assert specification.description
        assert specification.capabilities
        assert not specification.effects
        function = skill.function
        assert getattr(import_module(function.__module__), function.__qualname__) is function
