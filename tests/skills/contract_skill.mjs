// The skill of the contract, in JavaScript; contract_skill.py says the same in Python.
import { appendFileSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { SkillFailed } from "./skill.mjs";
import { work } from "./worker.mjs";

async function contract(asked, context) {
  if (typeof asked?.do !== "string" || !Number.isInteger(asked.number ?? 0)) {
    throw new SkillFailed("the input is not what it takes", { retryable: false, invalid: true });
  }
  if (asked.file) appendFileSync(asked.file, `${context.system.call}\n`);
  if (asked.do === "double") return { number: 2 * asked.number, word: context.user.values?.word ?? "" };
  if (asked.do === "again" || asked.do === "never") throw new SkillFailed(asked.do, { retryable: asked.do === "again" });
  if (asked.do === "grow") return { text: "x".repeat(asked.number) };
  if (asked.do === "slowly") {
    for (let step = 0; step < 40; step++) {
      context.progress(step / 40, `step ${step}`);
      await sleep((asked.number * 1000) / 40);
    }
    context.progress(1, "all of it");
  }
  if (asked.do === "die_once" && readFileSync(asked.file, "utf8").trim().split("\n").length === 1) {
    process.kill(process.pid, "SIGKILL");
    await sleep(60_000);
  }
  return { number: (asked.text ?? "").length };
}

await work({ servers: process.argv[2], skill: "contract", lease: 1.5, worker: "under-test", run: contract });
