// A worker for one skill; what it says and hears is described in docs/skill-protocol.md.
import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { Objm } from "@nats-io/obj";
import { connect } from "@nats-io/transport-node";

const LARGEST_INLINE = 256 * 1024, BEAT = 5000, PAUSE = 500, THERE_ALREADY = 10077;

export class SkillFailed extends Error {
  constructor(reason, { retryable = true, invalid = false } = {}) {
    super(reason);
    Object.assign(this, { retryable, invalid });
  }
}

export async function work({ servers, skill, version = "1", worker, lease = 30, run }) {
  const nc = await connect({ servers, maxReconnectAttempts: -1 });
  const js = jetstream(nc), jsm = await jetstreamManager(nc), blobs = await new Objm(nc).open("BLOBS");
  const name = `skill-${skill}=${version}`, filter_subject = `work.${skill}.${version}`;
  const config = { name, durable_name: name, filter_subject, ack_policy: "explicit", ack_wait: lease * 1e9, max_deliver: -1 };
  await jsm.consumers.info("WORK", name).catch(() => jsm.consumers.add("WORK", config));
  const beat = { skill, version, worker, started: new Date().toISOString(), running: 0, done: 0, failed: 0 };
  const tell = () => nc.publish(`heartbeat.${skill}.${version}.${worker}`, JSON.stringify(beat));
  tell(), setInterval(tell, BEAT);

  const read = async ({ inline = null, hash }) =>
    hash ? JSON.parse(new TextDecoder().decode(await blobs.getBlob(hash))) : inline;
  const written = async (output) => {
    const content = new TextEncoder().encode(JSON.stringify(output ?? null));
    if (content.length <= Math.min(LARGEST_INLINE, nc.info.max_payload / 2)) return { inline: output ?? null };
    const hash = createHash("sha256").update(content).digest("hex");
    await blobs.putBlob({ name: hash }, content);
    return { hash, size: content.length };
  };
  const isStored = (subject, result) => js.publish(subject, JSON.stringify(result)).then(() => true, (error) => {
    if (error.code !== THERE_ALREADY) console.warn(`${subject} waits: ${error.message}`);
    return error.code === THERE_ALREADY; // the result that came first stands
  });
  const record = async (subject, result) => {
    while (!(await isStored(subject, result))) await sleep(PAUSE); // given back now, the work would be done again
  };
  const refusal = ({ isolation, system }) => {
    if (isolation) return { reason: "this worker cannot isolate it", retryable: false };
    return Date.parse(system.deadline) <= Date.now() ? { reason: "its deadline was over before it was begun" } : null;
  };

  async function carryOut(call, delivery) {
    const began = performance.now(), report = `report.${call.call}.${call.attempt}`;
    let told = 0, latest = null, number = delivery * 100_000;
    const passOn = () => latest && (nc.publish(`${report}.progress-${++number}`, JSON.stringify(latest)), (latest = null));
    const progress = (fraction, note = "") => {
      latest = { kind: "progressed", fraction, note };
      if (Date.now() - told >= 1000) passOn((told = Date.now()));
    };
    nc.publish(`${report}.leased-${delivery}`, JSON.stringify({ kind: "leased", worker, delivery }));
    const { user, system, security } = call, spent = () => ({ worker, seconds: (performance.now() - began) / 1000 });
    const result = await read(call.input).then((given) => run(given, { user, system, security, progress }))
      .then(async (output) => ({ kind: "succeeded", output: await written(output), ...spent() }))
      .catch(({ message: reason, retryable = true, invalid = false }) =>
        ({ kind: "failed", reason: String(reason).slice(0, 4000), retryable, invalid, ...spent() }));
    passOn();
    return result;
  }

  async function dealWith(message) {
    const work = message.json() ?? {}, delivery = message.info.deliveryCount;
    const { call, attempt, skill: asked, version: askedVersion, input, system } = work;
    if (!/^[\w-]+$/.test(call) || !Number.isInteger(attempt)) throw new SyntaxError("it is no call");
    const subject = `report.${call}.${attempt}.result`;
    if (asked !== skill || askedVersion !== version || !input || Number.isNaN(Date.parse(system?.deadline))) {
      await record(subject, { kind: "failed", reason: "it is no call", retryable: false, invalid: true, worker });
      throw new SyntaxError("it is no call");
    }
    // also of a first delivery: it may have been queued again after its end, or be called off
    if (!(await jsm.streams.getMessage("REPORTS", { last_by_subj: subject }))) {
      const refused = refusal(work);
      const result = refused ? { kind: "failed", ...refused, worker } : await carryOut(work, delivery);
      await record(subject, result);
      beat.done++, (beat.failed += result.kind === "failed");
    }
    message.ack(); // only now that the result is on record
  }

  const queue = await js.consumers.get("WORK", name);
  for (;;) {
    const message = await queue.next({ expires: 5000 }).catch(() => sleep(500));
    if (!message) continue;
    const signing = setInterval(() => message.working(), (lease * 1000) / 3);
    await dealWith(message).catch((error) =>
      error instanceof SyntaxError ? message.term(error.message) : message.nak(1000));
    clearInterval(signing);
  }
}
