// A client of the port as somebody would write it who has the OpenRPC document and nothing else.
// node port_client.mjs URL TOKEN DOCUMENT CWD: does a tour, checks every message against the document, and prints what
// it has seen as one JSON object. Ends with 1 at the first message that does not fit.
import { readFileSync } from "node:fs";
import Ajv2020 from "ajv/dist/2020.js";
import WebSocket from "ws";

const [url, token, file, cwd] = process.argv.slice(2);
const document = JSON.parse(readFileSync(file, "utf8"));
const ajv = new Ajv2020({ strict: false, allErrors: true });
ajv.addSchema({ $id: "port", components: document.components });
const methods = new Map(document.methods.map((each) => [each.name, each]));
const codes = new Set(Object.values(document.components.errors).map((each) => each.code));
const seen = { checked: 0, notifications: {}, methods: [] };

function fail(text) {
  console.error(text);
  process.exit(1);
}

const compiled = new Map();
function check(what, schema, value) {
  const key = JSON.stringify(schema);
  if (!compiled.has(key)) compiled.set(key, ajv.compile(JSON.parse(key.replaceAll('"#/components', '"port#/components'))));
  const fits = compiled.get(key);
  if (!fits(value)) fail(`${what}: ${ajv.errorsText(fits.errors)}\n${JSON.stringify(value).slice(0, 2000)}`);
  seen.checked += 1;
}

function checkParams(method, params) {
  const properties = Object.fromEntries(method.params.map((each) => [each.name, each.schema]));
  const required = method.params.filter((each) => each.required).map((each) => each.name);
  check(`params of ${method.name}`, { type: "object", properties, required, additionalProperties: false }, params);
}

const waiting = new Map();
const told = [];
let wake = () => {};

function receive(data) {
  const message = JSON.parse(data.toString());
  if (message.jsonrpc !== "2.0") fail(`no JSON-RPC 2.0: ${data}`);
  if (message.method !== undefined) {
    const method = methods.get(message.method);
    if (method?.["x-sent-by"] !== "server" || "id" in message) fail(`not a notification that is told: ${data}`);
    checkParams(method, message.params);
    seen.notifications[message.method] = (seen.notifications[message.method] ?? 0) + 1;
    told.push(message);
    wake();
    return;
  }
  const call = waiting.get(message.id);
  if (call === undefined) fail(`an answer to nothing: ${data}`);
  waiting.delete(message.id);
  if (("result" in message) === ("error" in message)) fail(`neither result nor error: ${data}`);
  if ("error" in message) {
    if (!codes.has(message.error.code) || typeof message.error.message !== "string") fail(`an unknown error: ${data}`);
  } else {
    check(`result of ${call.method}`, methods.get(call.method)?.result.schema ?? {}, message.result);
  }
  call.resolve(message);
}

let number = 0;
function ask(method, params = {}) {
  const id = (number += 1);
  if (methods.has(method)) seen.methods.push(method);
  return new Promise((resolve) => {
    waiting.set(id, { method, resolve });
    socket.send(JSON.stringify({ jsonrpc: "2.0", id, method, params }));
  });
}

async function call(method, params = {}) {
  checkParams(methods.get(method), params);
  const answer = await ask(method, params);
  if (answer.error !== undefined) fail(`${method}: ${answer.error.message}`);
  return answer.result;
}

async function refused(method, params, code) {
  const answer = await ask(method, params);
  if (answer.error?.code !== code) fail(`${method}: ${JSON.stringify(answer)} instead of error ${code}`);
}

async function until(found) {
  for (let at = 0; ; at += 1) {
    while (at >= told.length) await new Promise((resolve) => (wake = resolve));
    const result = found(told[at]);
    if (result) return result;
  }
}

const records = [];
const record = (wanted) => (message) => message.params.records?.find((each) => wanted(each));

const socket = new WebSocket(`${url.replace("http", "ws")}/rpc`, { headers: { Authorization: `Bearer ${token}` } });
socket.on("message", receive);
socket.on("error", (error) => fail(String(error)));
await new Promise((resolve) => socket.on("open", resolve));

const discovered = await call("rpc.discover");
if (JSON.stringify(discovered) !== JSON.stringify(document)) fail("rpc.discover is not the document");
const info = await call("system.info");
await call("events.subscribe", { subscription: "all", after: 0, workers: "all" });
const done = await call("worker.spawn", { cwd, task: { id: "talker", command: ["sh", "-c", "echo hello; sleep 1000"] }, key: "spawn-1" });
const again = await call("worker.spawn", { cwd, task: { id: "talker", command: ["sh", "-c", "echo hello; sleep 1000"] }, key: "spawn-1" });
if (JSON.stringify(done) !== JSON.stringify(again)) fail("the same key has another answer");
await until(record((each) => each.type === "worker.output" && each.worker === "talker"));
const output = await call("worker.output", { task: "talker" });
const plan = '[[tasks]]\nid = "leaf"\ncommand = ["true"]\n';
await call("run.submit", { plan, cwd, name: "demo.toml", id: "demo" });
await until(record((each) => each.type === "task.status_changed" && each.task === "demo" && each.status === "succeeded"));
for (const method of ["system.health", "worker.list", "task.list", "run.list", "instance.list", "session.list"]) await call(method);
await call("worker.get", { task: "talker" });
await call("task.get", { task: "demo/leaf" });
await call("run.get", { run: "demo" });
await call("run.report", { run: "demo" });
await call("instance.get", { instance: "demo" });
await call("worker.spawn", { cwd, task: { id: "term", command: ["cat"], source: "pty" } });
await until(record((each) => each.type === "worker.started" && each.worker === "term"));
await call("worker.resize", { task: "term", columns: 100, rows: 30 });
const sent = await call("worker.send", { task: "term", action: { kind: "text", text: "hello" }, until: "written" });
await call("command.get", { command: sent.command });
await call("command.list");
await call("permission.list");
await call("worker.signal", { task: "talker", signal: "CONT" });
await call("worker.restart", { task: "talker", grace: 0.1 });
await until(record((each) => each.type === "worker.started" && each.worker === "talker" && each.attempt === 2));
await call("worker.kill", { task: "term" });
const long = '[[tasks]]\nid = "leaf"\ncommand = ["sleep", "1000"]\n';
await call("instance.spawn", { plan: long, cwd, name: "long.toml", id: "long" });
await until(record((each) => each.type === "instance.record" && each.path === "long" && each.event.type === "worker.started"));
await call("instance.stop", { instance: "long", grace: 0.5 });
await call("worker.stop", { task: "talker", grace: 0.1 });
await until(record((each) => each.type === "worker.exited" && each.worker === "talker" && each.attempt === 2));
const read = await call("events.read", { after: 0, workers: "all", limit: 1000 });
await refused("worker.get", { task: "nobody" }, -32004);
await refused("worker.stop", { task: "talker" }, -32000);
await refused("worker.get", { task: 1 }, -32602);
await refused("no.such", {}, -32601);
await call("events.unsubscribe", { subscription: "all" });
const closed = new Promise((resolve) => socket.on("close", (code) => resolve(code)));
await call("system.shutdown", { workers: "stop" });
const code = await closed;

for (const message of told) records.push(...(message.params.records ?? []));
const numbers = records.map((each) => each.seq);
console.log(
  JSON.stringify({
    ...seen,
    code,
    run: info.run,
    output: Buffer.from(output.data, "base64").toString(),
    gapless: numbers.every((each, index) => each === index + 1),
    pushed: numbers.length,
    read: read.records.length,
  }),
);
