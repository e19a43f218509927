// A worker for one skill: all that it says and hears by docs/skill-protocol.md.
import { setTimeout as sleep } from "node:timers/promises";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { accessTo, openValues, progressTo } from "./skill.mjs";

export async function work({ servers, skill, version = "1", worker, lease = 30, run }) {
  const nc = await connect({ ...accessTo(servers), maxReconnectAttempts: -1 });
  const js = jetstream(nc), jsm = await jetstreamManager(nc), values = await openValues(nc);
  const beat = { skill, version, worker, started: new Date().toISOString(), running: 0, done: 0, failed: 0 };
  const say = (subject, what) => nc.publish(subject, JSON.stringify(what));
  const failure = (reason, more = {}) => ({ kind: "failed", reason, retryable: true, invalid: false, worker, ...more });

  async function carryOut(call, report, delivery) {
    if (call.isolation) return failure("this worker cannot isolate it", { retryable: false });
    if (Date.parse(call.system.deadline) <= Date.now()) return failure("its deadline was over before it was begun");
    beat.running++, say(`${report}.leased-${delivery}`, { kind: "leased", worker, delivery });
    const { user, security, timeout = 60 } = call, began = Date.now();
    const system = { ...call.system, deadline: new Date(began + timeout * 1000).toISOString() };
    const { progress, end } = progressTo((n, told) => say(`${report}.progress-${delivery * 100_000 + n}`, told));
    const result = await values.read(call.input)
      .then((input) => run(input, { user, system, security, progress }))
      .then(async (output) => ({ kind: "succeeded", output: await values.written(output), worker }))
      .catch(({ message, retryable, invalid }) => failure(`${message}`.slice(0, 4000), { retryable, invalid }));
    return beat.running--, end(), { ...result, seconds: (Date.now() - began) / 1000 };
  }

  async function record(subject, result) {
    const stored = ({ code, message }) => code === 10077 || console.warn(`${subject} waits: ${message}`);
    const tell = () => js.publish(subject, JSON.stringify(result)).then(() => true, stored);
    while (!(await tell())) await sleep(500); // given back now, the work would be done again
    beat.done++, (beat.failed += result.kind === "failed");
  }

  async function answer(message) {
    const call = message.json() ?? {}, report = `report.${call.call}.${call.attempt}`, subject = `${report}.result`;
    if (!/^[\w-]+$/.test(call.call) || !Number.isInteger(call.attempt)) throw new SyntaxError("it is no call");
    if (call.skill !== skill || call.version !== version || !call.input || !Date.parse(call.system?.deadline)) {
      await record(subject, failure("it is no call of this skill", { retryable: false, invalid: true }));
      throw new SyntaxError("it is no call of this skill");
    }
    const known = await jsm.streams.getMessage("REPORTS", { last_by_subj: subject }); // also of a first delivery
    if (!known) await record(subject, await carryOut(call, report, message.info.deliveryCount));
    message.ack(); // only now that a result is on record
  }

  const name = `skill-${skill}=${version}`, filter_subject = `work.${skill}.${version}`;
  const shared = { durable_name: name, filter_subject, ack_policy: "explicit", ack_wait: lease * 1e9, max_deliver: -1 };
  await jsm.consumers.info("WORK", name).catch(() => jsm.consumers.add("WORK", shared));
  const queue = await js.consumers.get("WORK", name), heartbeat = `heartbeat.${skill}.${version}.${worker}`;
  const there = () => say(heartbeat, beat);
  there(), setInterval(there, 5000);
  for (;;) {
    const message = await queue.next({ expires: 5000 }).catch(() => sleep(500));
    if (!message) continue;
    const signing = setInterval(() => message.working(), (lease * 1000) / 3), again = () => message.nak(1000);
    await answer(message).catch((error) => error instanceof SyntaxError ? message.term(error.message) : again());
    clearInterval(signing);
  }
}
