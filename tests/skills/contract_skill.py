"""The skill of the contract, in Python; contract_skill.mjs says the same in JavaScript. As a program: its worker."""

import asyncio
import os
import sys
from pathlib import Path

import msgspec

from skills.skill import Context, SkillFailed, skill, skill_of
from skills.worker import Worker

LEASE = 1.5


class Asked(msgspec.Struct):
    do: str
    number: int = 0
    text: str = ""
    file: str = ""


def _note(file: Path, call: str) -> None:
    with file.open("a") as runs:
        runs.write(f"{call}\n")


@skill("contract", lease=LEASE)
async def contract(asked: Asked, context: Context) -> dict[str, int | str]:
    if asked.file:
        await asyncio.to_thread(_note, Path(asked.file), context.system.call)
    match asked.do:
        case "double":
            return {"number": 2 * asked.number, "word": context.user.values.get("word", "")}
        case "again" | "never":
            raise SkillFailed(asked.do, retryable=asked.do == "again")
        case "slowly":
            for step in range(40):
                context.progress(step / 40, f"step {step}")
                await asyncio.sleep(asked.number / 40)
            context.progress(1.0, "all of it")
        case "die_once" if len(Path(asked.file).read_text().splitlines()) == 1:
            os.kill(os.getpid(), 9)
        case "grow":
            return {"text": "x" * asked.number}
        case _:
            pass
    return {"number": len(asked.text)}


if __name__ == "__main__":
    from tests.skills.contract_skill import contract as importable

    asyncio.run(Worker([skill_of(importable)], sys.argv[1], name="under-test").run())
