"""Skills that work without a network and without a key. What they are made of is imported when they are called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skills.offline.classify import classify
from skills.offline.code_intelligence import code_intelligence
from skills.offline.code_review import code_review
from skills.offline.dependency_scan import dependency_scan
from skills.offline.embedding import embed, similar
from skills.offline.http_check import http_check
from skills.offline.judge_findings import judge_findings
from skills.offline.list_files import list_files
from skills.offline.merge_findings import merge_findings
from skills.offline.secret_scan import secret_scan
from skills.offline.summarise import summarise
from skills.skill import Skill, skill_of

if TYPE_CHECKING:
    from records.analyse.domains import DomainClassifier
    from records.enrich.processes import ReadingProcesses
    from skills.offline.extract_document import ContentOf

_FUNCTIONS = (
    *(code_review, code_intelligence, list_files, merge_findings, judge_findings, dependency_scan, secret_scan),
    *(embed, similar, summarise, classify, http_check),
)


def offline_skills(
    classifier: DomainClassifier | None = None,
    processes: ReadingProcesses | None = None,
    content_of: ContentOf | None = None,
) -> tuple[Skill[Any, Any], ...]:
    """All that need nothing of the platform; `detect_domain` where there is a classifier, and `extract_document` where
    there are processes to read documents and a store to have them from."""
    found = [skill_of(function) for function in _FUNCTIONS]
    if classifier is not None:
        from skills.offline.detect_domain import domain_skill

        found.append(domain_skill(classifier))
    if processes is not None and content_of is not None:
        from skills.offline.extract_document import document_skill

        found.append(document_skill(processes, content_of))
    return tuple(found)
