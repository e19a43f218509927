"""Skills that ask a language model; without one they fail at once, so that what stands in for them is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skills.skill import Skill

if TYPE_CHECKING:
    from skills.language.model import LanguageModel


def language_skills(model: LanguageModel | None) -> tuple[Skill[Any, Any], ...]:
    from skills.language.code_generation import code_generation_skill
    from skills.language.code_review_llm import code_review_llm_skill

    return code_generation_skill(model), code_review_llm_skill(model)
