// What a skill gives and is given, whoever carries it out: failures, progress, and values of any size.
import { createHash } from "node:crypto";
import { Objm } from "@nats-io/obj";

const LARGEST_INLINE = 256 * 1024;

export class SkillFailed extends Error {
  constructor(reason, { retryable = true, invalid = false } = {}) {
    super(reason);
    Object.assign(this, { retryable, invalid });
  }
}

// Of URLs, also separated by commas: the client itself does not read what they say before the @.
export function accessTo(servers) {
  const urls = [servers].flat().flatMap((each) => each.split(",")).map((each) => each.trim());
  const said = urls.map((url) => url.match(/^(?:[a-z]+:\/\/)?(.*)@/)?.[1]).find(Boolean) ?? "";
  const [user, ...pass] = said.split(":").map(decodeURIComponent);
  const known = pass.length ? { user, pass: pass.join(":") } : user ? { token: user } : {};
  return { servers: urls.map((url) => url.replace(/^([a-z]+:\/\/)?.*@/, "$1")), ...known };
}

// `pass` gets a number and what was told last: at most once a second, and what is left at the `end`.
export function progressTo(pass) {
  let latest = null, number = 0, passed = 0;
  const end = () => {
    if (latest) pass(++number, latest);
    latest = null;
  };
  const progress = (fraction, note = "") => {
    latest = { kind: "progressed", fraction, note };
    if (Date.now() - passed < 1000) return;
    passed = Date.now();
    end();
  };
  return { progress, end };
}

// Small ones as they are, large ones as JSON in the object store, under its SHA-256.
export async function openValues(nc) {
  const blobs = await new Objm(nc).open("BLOBS");
  const largest = Math.min(LARGEST_INLINE, nc.info.max_payload / 2);

  async function read({ inline = null, hash }) {
    return hash ? JSON.parse(new TextDecoder().decode(await blobs.getBlob(hash))) : inline;
  }

  async function written(output = null) {
    const content = new TextEncoder().encode(JSON.stringify(output));
    if (content.length <= largest) return { inline: output };
    const hash = createHash("sha256").update(content).digest("hex");
    await blobs.putBlob({ name: hash }, content);
    return { hash, size: content.length };
  }

  return { read, written };
}
