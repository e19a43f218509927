// The sagas as a plain service of Restate (nothing here needs the order that a key gives); says the port it listens on.
import * as restate from "@restatedev/restate-sdk";

const step = (run, number) => {
  if (number === 3 && run % 10 === 0) throw new restate.TerminalError(`step ${number} of run ${run} fails`);
  return { run, step: number, state: "done" };
};
const undo = (run, number) => ({ run, step: number, state: "undone" });

async function run(context, number) {
  const done = [];
  try {
    for (let each = 1; each <= 3; each++) {
      await context.run(`step ${each}`, () => step(number, each));
      done.push(each);
    }
  } catch (error) {
    if (!(error instanceof restate.TerminalError)) throw error;
    for (const each of done.reverse()) await context.run(`undo ${each}`, () => undo(number, each));
    return "compensated";
  }
  return "completed";
}

console.log(await restate.serve({ services: [restate.service({ name: "saga", handlers: { run } })], port: 0 }));
