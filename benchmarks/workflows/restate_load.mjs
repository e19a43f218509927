// One measurement of Restate: parameters as JSON in the first argument, the result as JSON on standard output.
import { once as happened } from "node:events";
import http2 from "node:http2";

const { url, runs, inFlight, warmUp } = JSON.parse(process.argv[2]);
const STREAMS = 150; // it allows 200 at once in a connection; what is above waits in the client

const connections = Array.from({ length: Math.ceil(inFlight / STREAMS) }, () => http2.connect(url));
await Promise.all(connections.map((each) => happened(each, "remoteSettings")));

let calls = 0;
async function once(run) {
  const path = { ":method": "POST", ":path": "/saga/run", "content-type": "application/json" };
  const stream = connections[calls++ % connections.length].request(path);
  stream.setEncoding("utf8").end(JSON.stringify(run));
  let status, body = "";
  stream.on("response", (headers) => (status = headers[":status"]));
  for await (const part of stream) body += part;
  if (status !== 200) throw new Error(`${status} ${body}`);
  return JSON.parse(body);
}

async function drive(runs, inFlight) {
  const latencies = [];
  let next = 1;
  const caller = async () => {
    while (next <= runs) {
      const run = next++;
      const began = performance.now();
      const end = await once(run);
      latencies.push((performance.now() - began) / 1000);
      const right = run % 10 === 0 ? "compensated" : "completed";
      if (end !== right) throw new Error(`run ${run} is ${end}, not ${right}`);
    }
  };
  const began = performance.now();
  await Promise.all(Array.from({ length: Math.min(inFlight, runs) }, caller));
  return { seconds: (performance.now() - began) / 1000, latencies };
}

try {
  await drive(warmUp, 20);
  console.log(JSON.stringify(await drive(runs, inFlight)));
} catch (error) {
  console.error(String(error.message ?? error).split("\n")[0]);
  process.exitCode = 1;
} finally {
  for (const each of connections) each.close();
}
