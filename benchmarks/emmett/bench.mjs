// One measurement of Emmett on PostgreSQL: parameters as JSON in the first argument, the result as JSON on stdout.
import { isExpectedVersionConflictError } from "@event-driven-io/emmett";
import { getPostgreSQLEventStore } from "@event-driven-io/emmett-postgresql";
import pg from "pg";

const { task, url, pool: max, event, ...parameters } = JSON.parse(process.argv[2]);
const pool = new pg.Pool({ connectionString: url, max });
const store = getPostgreSQLEventStore(url, { connectionOptions: { pool } });

const median = (values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)];
const fold = { initialState: () => 0, evolve: (count) => count + 1 };
const events = (count) => Array.from({ length: count }, () => event);

/** Each caller waits for its append before the next one; every append states the version it expects. */
async function appending(prefix, callers, seconds) {
  let appended = 0;
  const began = performance.now();
  const until = began + seconds * 1000;
  const caller = async (number) => {
    let version = 0n;
    while (performance.now() < until) {
      const options = { expectedStreamVersion: version };
      const result = await store.appendToStream(`${prefix}${number}`, [event], options);
      version = result.nextExpectedStreamVersion;
      appended += 1;
    }
  };
  await Promise.all(Array.from({ length: callers }, (_, number) => caller(number)));
  return { appended, seconds: (performance.now() - began) / 1000 };
}

/** The peer must do the same work: an append with an old version has to be refused. */
async function assertChecked(stream) {
  const conflict = await store.appendToStream(stream, [event], { expectedStreamVersion: 0n }).catch((error) => error);
  if (!isExpectedVersionConflictError(conflict)) throw new Error("an append with a wrong version was not refused");
}

const tasks = {
  async append({ prefix, callers, seconds, warmUp }) {
    const before = `warm-${prefix}`;
    await appending(before, callers, warmUp);
    await assertChecked(`${before}0`);
    return appending(prefix, callers, seconds);
  },

  /** Ten events of each stream at a time, so that every stream is spread over the whole table. */
  async fill({ prefix, streams }) {
    for (let version = 0n; version < 100n; version += 10n) {
      let next = 0;
      const writer = async () => {
        while (next < streams)
          await store.appendToStream(`${prefix}${next++}`, events(10), { expectedStreamVersion: version });
      };
      await Promise.all(Array.from({ length: max }, writer));
    }
    await pool.query("ANALYZE");
    return { appended: streams * 100 };
  },

  /** No stream is loaded twice; loads of the warm-up are not timed. The result is in milliseconds. */
  async load({ streams, warmUp }) {
    const took = [];
    for (const stream of streams) {
      const began = performance.now();
      const { state, currentStreamVersion } = await store.aggregateStream(stream, fold);
      took.push(performance.now() - began);
      if (state !== 100 || currentStreamVersion !== 100n) throw new Error(`${stream} has not 100 events`);
    }
    return { median: median(took.slice(warmUp)) };
  },
};

try {
  await store.schema.migrate();
  console.log(JSON.stringify(await tasks[task](parameters)));
} catch (error) {
  console.error(String(error.message ?? error).split("\n")[0]);
  process.exitCode = 1;
} finally {
  await store.close();
  await pool.end();
}
