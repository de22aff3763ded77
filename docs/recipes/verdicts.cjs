// Verdicts with the npm package `mqtt`: each once per station, one JSON document per line.
//
//   npm install mqtt
//   node verdicts.cjs mqtt://mes.local plant-1 mes-node-1 > verdicts.jsonl
//
// COUNT in the environment ends it after so many. What lacks is said on stderr and not asked for: see
// the Python consumer or `edge-inspect tail` for that.
const mqtt = require("mqtt");

const [address, site, clientId] = process.argv.slice(2);
const wanted = Number(process.env.COUNT ?? Infinity);
const stations = new Map(); // "L07-S3" -> { highest, missing: Set }, from its first verdict on
let shown = 0;

const client = mqtt.connect(address, {
  protocolVersion: 5,
  clientId, // fixed, and used by no other client: the broker keeps its session
  clean: false,
  properties: { sessionExpiryInterval: 86400 },
});

client.on("connect", ({ sessionPresent }) => {
  console.error(`connected, session ${sessionPresent ? "resumed" : "new"}`);
  for (const leaf of ["verdict", "replay"]) client.subscribe(`inspection/${site}/+/+/${leaf}`, { qos: 1 });
});
client.on("error", (error) => console.error(String(error)));

// The message is acknowledged with done(), once it has been dealt with: after a crash it comes again.
client.handleMessage = ({ topic, payload }, done) => {
  if (shown >= wanted) return;
  take(topic, payload);
  done();
  if (shown >= wanted) client.end();
};

function take(topic, payload) {
  let verdict;
  try {
    verdict = JSON.parse(payload);
  } catch {
    console.error(`${topic}: not JSON`);
    return;
  }
  if (!isNew(`${verdict.line}-${verdict.station}`, verdict.seq)) return;
  console.log(JSON.stringify(verdict));
  shown++;
}

function isNew(name, seq) {
  const station = stations.get(name);
  if (station === undefined) {
    stations.set(name, { highest: seq, missing: new Set() });
    return true;
  }
  if (seq <= station.highest) return station.missing.delete(seq);
  if (seq > station.highest + 1) console.error(`${name}: ${station.highest + 1} to ${seq - 1} lack so far`);
  for (let lacking = station.highest + 1; lacking < seq; lacking++) station.missing.add(lacking);
  station.highest = seq;
  return true;
}
