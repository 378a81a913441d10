"use strict";

// Whatever comes from other machines is data: it reaches the page through textContent only.

const POLL_MS = 1500;
const POLL_BESIDE_EVENTS_MS = 3000;
const LISTEN_AGAIN_MS = 30000;
const TIMEOUT_MS = 5000;
const SHOWN_REQUESTS = 20;
const SHOWN_EVENTS = 8;
/** Memory for each byte of weights: the rest is for attention caches. */
const ROOM_FOR_CACHES = 1 / 0.7;

const find = (id) => document.getElementById(id);

function element(tag, { text, className, children = [], ...attributes } = {}) {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  if (className) node.className = className;
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** Writes only what changed, so that screen readers announce changes and nothing else. */
function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

const shortId = (id) => id.slice(0, 8);
const count = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;
const blocksInWords = (span) =>
  span.end - span.start === 1 ? `block ${span.start}` : `blocks ${span.start} to ${span.end - 1}`;

function duration(seconds) {
  if (seconds < 0.0995) return `${Math.max(1, Math.round(seconds * 1000))} ms`;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}

// --- what the swarm is ---------------------------------------------------------------------------------------------

/** This node and its peers in one shape, this node first. */
function machinesOf(view) {
  const self = { node: view.self.node, status: view.self, isSelf: true, standing: "alive", problem: null };
  return [self, ...view.peers.map((peer) => ({ ...peer, isSelf: false }))];
}

const nameOf = (machine) => machine.status?.name || shortId(machine.node);

function stateOf(machine) {
  if (machine.standing === "suspect") return ["bad", `suspect, heard ${duration(machine.silent_s)} ago`];
  if (!machine.status) return machine.problem ? ["bad", "not used"] : ["wait", "found, not heard yet"];
  const { state } = machine.status;
  if (state === "ready") return ["good", "ready"];
  if (state === "failed") return ["bad", "failed"];
  return ["wait", state === "waiting" ? "waiting for blocks" : state];
}

function loadInWords(load) {
  if (!load.running && !load.waiting) return "idle";
  const waiting = load.waiting ? `, ${load.waiting} waiting` : "";
  return `${load.running} of ${load.slots} running${waiting}`;
}

function factsOf(machine) {
  const status = machine.status;
  const facts = [];
  if (status) {
    facts.push(["Hardware", status.hardware || "unknown"], ["Load", loadInWords(status.load)]);
    facts.push(["Speed", status.tokens_per_s === null ? "not measured yet" : `${status.tokens_per_s.toFixed(1)} tokens/s`]);
    facts.push(["Answered", `${count(status.requests, "request")}, ${count(status.tokens, "token")}`]);
    facts.push(["Version", status.version]);
  }
  if (!machine.isSelf) {
    const { host, port } = machine.endpoint;
    facts.push(["Address", host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`]);
    if (machine.round_trip_s !== null) facts.push(["Round trip", duration(machine.round_trip_s)]);
  }
  return facts;
}

function progressOf(machine) {
  const progress = machine.status?.progress;
  if (!progress) return [];
  const label = `${nameOf(machine)}: ${progress.what}`;
  const bar = element("progress", { "aria-label": label, max: "1" });
  if (progress.fraction !== null) bar.value = progress.fraction;
  const percent = progress.fraction === null ? "" : ` (${Math.floor(progress.fraction * 100)} %)`;
  const children = [element("span", { className: "soft", text: progress.what + percent }), bar];
  return [element("div", { className: "progress", children })];
}

function machineCard(machine) {
  const [mood, state] = stateOf(machine);
  const id = [machine.isSelf ? "this node" : "", machine.status ? shortId(machine.node) : ""].filter(Boolean).join(" · ");
  const head = element("div", {
    className: "node-head",
    children: [
      element("h3", { text: nameOf(machine) }),
      element("span", { className: `state ${mood}`, text: state }),
    ],
  });
  const facts = factsOf(machine).flatMap(([name, value]) => [element("dt", { text: name }), element("dd", { text: value })]);
  const children = [head, element("p", { className: "soft", text: id }), element("dl", { children: facts }), ...progressOf(machine)];
  return element("li", { className: machine.isSelf ? "node self" : "node", children });
}

// --- the model and who serves which of its blocks --------------------------------------------------------------------

function bar(layers, spans, label) {
  const pieces = spans.map(({ span, kind = "" }) => {
    const piece = element("span", { className: `span ${kind}` });
    piece.style.left = `${(100 * span.start) / layers}%`;
    piece.style.width = `${(100 * (span.end - span.start)) / layers}%`;
    return piece;
  });
  return element("div", { className: "bar", role: "img", "aria-label": label, children: pieces });
}

function barRow(name, note, layers, spans, label) {
  const cells = [element("span", { text: name, title: name }), bar(layers, spans, label), element("span", { className: "soft", text: note })];
  return element("li", { className: "bar-row", children: cells });
}

function blockBars(model, machines, coverage, missing) {
  const rows = machines
    .filter((machine) => machine.standing === "alive" && machine.status?.blocks && machine.status.model?.digest === model.digest)
    .map((machine) => {
      const { blocks, whole } = machine.status;
      const note = whole ? `all ${model.layers}` : `${blocks.start}–${blocks.end - 1}`;
      return barRow(nameOf(machine), note, model.layers, [{ span: blocks }], `${nameOf(machine)} serves ${blocksInWords(blocks)}`);
    });
  if (coverage?.stretches.length) {
    rows.push(coverageRow(model, coverage));
  } else if (missing.length) {
    const spans = missing.map((span) => ({ span, kind: "missing" }));
    const total = missing.reduce((sum, span) => sum + span.end - span.start, 0);
    rows.push(barRow("missing", count(total, "block"), model.layers, spans, `${missing.map(blocksInWords).join(", ")} missing`));
  }
  return element("ul", { className: "bars", children: rows });
}

/** How often each stretch of blocks is served: missing, by one machine only, or by several. */
function coverageRow(model, coverage) {
  const spans = coverage.stretches.map(({ span, nodes }) => ({ span, kind: nodes === 0 ? "missing" : nodes === 1 ? "alone" : "several" }));
  const words = coverage.stretches.map(({ span, nodes }) => `${blocksInWords(span)} by ${count(nodes, "machine")}`);
  const least = Math.min(...coverage.stretches.map(({ nodes }) => nodes));
  return barRow("served", least === 0 ? "gaps" : `≥ ${least}×`, model.layers, spans, `Served: ${words.join(", ")}`);
}

function bytesInWords(bytes) {
  return bytes >= 2 ** 30 ? `${(bytes / 2 ** 30).toFixed(1)} GiB` : `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

/** What is missing and what would fill it, or how many machines may die. */
function coverageInWords(coverage) {
  const of = (nodes) => coverage.stretches.filter((stretch) => stretch.nodes === nodes).map(({ span }) => span);
  const [missing, alone] = [of(0), of(1)];
  if (missing.length) {
    const wanted = missing.map((span) => {
      const bytes = (span.end - span.start) * coverage.block_bytes * ROOM_FOR_CACHES;
      return `--blocks ${span.start}:${span.end}${bytes ? ` (${bytesInWords(bytes)} of memory)` : ""}`;
    });
    const more = missing.length === 1 ? "one more machine" : `${missing.length} more machines`;
    return `Nobody serves ${missing.map(blocksInWords).join(", ")}. Start ${more} with ${wanted.join(" and ")}.`;
  }
  if (alone.length) return `One machine alone serves ${alone.map(blocksInWords).join(", ")}; if it dies, the model stops.`;
  const survives = Math.min(...coverage.stretches.map(({ nodes }) => nodes)) - 1;
  return `Every block is served at least ${survives + 1} times; any ${survives === 1 ? "one machine" : `${survives} machines`} may die.`;
}

function showModel(machines) {
  const self = machines[0].status;
  const holder = machines.find((machine) => machine.status?.model);
  const box = find("model");
  if (!holder) {
    const loading = self.state === "starting" || self.state === "loading";
    const words = loading ? "The model is being loaded." : "No model is loaded. Start this node with --model, or look at its log.";
    box.replaceChildren(element("p", { className: "empty", text: words }), ...progressOf(machines[0]));
    return;
  }
  const model = holder.status.model;
  const coverage = holder.status.coverage;
  const isWhole = coverage?.stretches.length && coverage.stretches.every(({ nodes }) => nodes > 0);
  const size = `${count(model.layers, "block")} · context of ${model.context_tokens.toLocaleString("en")} tokens`;
  box.replaceChildren(
    element("h3", { text: model.id }),
    element("p", { className: "soft", text: size }),
    blockBars(model, machines, coverage, self.missing),
    ...(isWhole && machines.length > 1 ? [element("p", { className: "soft", text: coverageInWords(coverage) })] : []),
  );
}

// --- what needs attention --------------------------------------------------------------------------------------------

function problemsOf(machines) {
  const self = machines[0].status;
  const problems = [];
  if (self.missing.length) {
    const known = self.coverage?.stretches.length;
    problems.push(known ? coverageInWords(self.coverage) : `Nobody serves ${self.missing.map(blocksInWords).join(", ")}. Start the same command on another machine.`);
  }
  for (const machine of machines) {
    const name = nameOf(machine);
    if (machine.checks?.avoided) problems.push(`${name} computed its blocks wrongly (checked ${duration(machine.checks.age_s)} ago) and is not used until it is right again. Check its memory and its model's files.`);
    if (machine.problem) problems.push(`${name}: ${machine.problem}`);
    const status = machine.status;
    if (!status) continue;
    if (status.problem) problems.push(`${name}: ${status.problem}`);
    if (status.version !== self.version) problems.push(`${name} runs version ${status.version}, this node ${self.version}. Update the older one.`);
    if (status.model && self.model && status.model.digest !== self.model.digest) {
      problems.push(`${name} serves another model (${status.model.id}); it shares no blocks with this node.`);
    }
  }
  return problems;
}

function showProblems(machines) {
  const problems = problemsOf(machines);
  const list = find("problems");
  find("problems-section").hidden = problems.length === 0;
  const shown = [...list.children].map((item) => item.textContent);
  if (shown.join("\n") !== problems.join("\n")) {
    list.replaceChildren(...problems.map((problem) => element("li", { text: problem })));
  }
}

// --- who came and went ------------------------------------------------------------------------------------------------

const HAPPENINGS = { joined: ["good", "joined"], suspect: ["wait", "became suspect"], left: ["bad", "left"] };

function eventItem(event) {
  const [mood, words] = HAPPENINGS[event.kind];
  const at = new Date(event.at * 1000);
  const what = element("span", {
    children: [
      document.createTextNode(`${event.name || shortId(event.node)} `),
      element("span", { className: `happened ${mood}`, text: words }),
      element("span", { className: "soft", text: event.reason ? ` · ${event.reason}` : "" }),
    ],
  });
  const time = element("time", { text: at.toLocaleTimeString("en-GB"), datetime: at.toISOString() });
  return element("li", { children: [time, what] });
}

/** Newest first. Rewritten only when there is something new, so that screen readers announce that and nothing else. */
function showEvents(events) {
  const shown = events.filter((event) => event.kind in HAPPENINGS).slice(-SHOWN_EVENTS).reverse();
  const list = find("events");
  find("no-events").hidden = shown.length > 0;
  const key = JSON.stringify(shown);
  if (list.dataset.shown === key) return;
  list.dataset.shown = key;
  list.replaceChildren(...shown.map(eventItem));
}

// --- recent requests -------------------------------------------------------------------------------------------------

function requestRow(record, names, now) {
  const nodes = record.nodes.map((node) => names.get(node) || shortId(node)).join(" → ");
  const route = [record.route, record.strategy].filter(Boolean).join(", ");
  const vote = record.agreement === null ? "" : `${Math.round(record.agreement * 100)} % of ${count(record.ballots, "ballot")}`;
  const outcome = record.outcome === "failed" ? `failed (${record.status})` : record.outcome;
  const cell = (text, className = "") => element("td", { text, className });
  const children = [
    cell(`${duration(Math.max(0, now - record.started))} ago`),
    cell(record.kind),
    cell(route),
    cell(nodes),
    cell(vote),
    cell(record.tokens ? count(record.tokens, "token").replace(/ tokens?$/, "") : "", "number tokens"),
    cell(duration(record.seconds), "number"),
    cell(outcome, record.outcome === "failed" ? "failed" : ""),
  ];
  return element("tr", { children });
}

function showRequests(records, machines) {
  const names = new Map(machines.map((machine) => [machine.node, nameOf(machine)]));
  const now = Date.now() / 1000;
  const rows = records.slice(0, SHOWN_REQUESTS).map((record) => requestRow(record, names, now));
  find("requests").hidden = rows.length === 0;
  find("no-requests").hidden = rows.length > 0;
  find("request-rows").replaceChildren(...rows);
}

// --- polling, and listening ------------------------------------------------------------------------------------------

let lastHeard = null;
let namesById = new Map();

function showSwarm(view, records) {
  const machines = machinesOf(view);
  namesById = new Map(machines.map((machine) => [machine.node, nameOf(machine)]));
  const alive = machines.filter((machine) => machine.standing === "alive").length;
  const [, state] = stateOf(machines[0]);
  say(find("summary"), `${nameOf(machines[0])} is ${state} · ${count(alive, "machine")} in the swarm`);
  find("nodes").replaceChildren(...machines.map(machineCard));
  find("no-peers").hidden = view.peers.length > 0;
  showModel(machines);
  showProblems(machines);
  showEvents(view.events);
  showRequests(records, machines);
}

async function getJson(path) {
  const response = await fetch(path, { signal: AbortSignal.timeout(TIMEOUT_MS), headers: { Accept: "application/json" } });
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response.json();
}

function showUnreachable() {
  document.body.classList.add("stale");
  find("unreachable").hidden = false;
  say(find("unreachable"), "This node does not answer. Check that its program is still running; this page tries again by itself.");
  // A time of day, not an age: it must not change, and be read aloud, at every attempt.
  say(find("summary"), lastHeard ? `last heard at ${lastHeard.toLocaleTimeString("en-GB")}` : "never heard since this page was opened");
}

let nextPoll = null;
let events = null;
let isPolling = false;
let isStale = false;

/** One at a time; asked for meanwhile, it comes once more. */
async function poll() {
  clearTimeout(nextPoll);
  if (isPolling) {
    isStale = true;
    return;
  }
  isPolling = true;
  isStale = false;
  await readSwarm();
  isPolling = false;
  const listens = events?.readyState === EventSource.OPEN;
  nextPoll = setTimeout(poll, isStale ? 0 : listens ? POLL_BESIDE_EVENTS_MS : POLL_MS);
}

/** What the node tells by itself is shown at once; load and counters are not told, so that polling goes on, slower. */
function listen() {
  events = new EventSource("/v1/federation/events");
  for (const name of ["joined", "changed", "suspect", "left"]) events.addEventListener(name, poll);
  events.onerror = () => {
    // It connects again by itself, unless the node refused: then there are too many listeners.
    if (events.readyState === EventSource.CLOSED) setTimeout(listen, LISTEN_AGAIN_MS);
  };
}

async function readSwarm() {
  try {
    const paths = ["peers", "requests", "decisions"];
    const [view, recent, votes] = await Promise.all(paths.map((path) => getJson(`/v1/federation/${path}`)));
    lastHeard = new Date();
    document.body.classList.remove("stale");
    find("unreachable").hidden = true;
    showSwarm(view, recent.requests);
    showDecisions(votes.decisions.slice(0, SHOWN_DECISIONS));
  } catch {
    showUnreachable();
  }
}

// --- asking ----------------------------------------------------------------------------------------------------------

function requestBody(question, how) {
  const body = { messages: [{ role: "user", content: question }], stream: true };
  if (how === "alone") body.swarm = { federation: false };
  else if (how) body.swarm = { strategy: how };
  return JSON.stringify(body);
}

async function* eventsOf(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let pending = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const events = (pending + value).split("\n\n");
    pending = events.pop();
    for (const event of events) {
      if (event.startsWith("data: ") && event !== "data: [DONE]") yield JSON.parse(event.slice(6));
    }
  }
}

function showProvenance(swarm) {
  const nodes = swarm.nodes.map((node) => namesById.get(node) || shortId(node)).join(" → ");
  const routes = { local: "answered here", peer: "answered by another node", chain: "answered by a chain", federation: "chosen by a vote" };
  const decision = swarm.decision;
  const vote = decision ? ` · ${decision.strategy}, ${Math.round(decision.agreement * 100)} % agreement · ${decision.reason}` : "";
  say(find("answered-by"), `${routes[swarm.route] || swarm.route}: ${nodes} · ${swarm.model}${vote}`);
  find("ballots").replaceChildren(...(decision?.ballots || []).map(ballotItem));
}

function ballotItem(ballot) {
  const weight = ballot.valid ? `weight ${ballot.weight.toFixed(2)}` : "not counted";
  const facts = [weight, duration(ballot.latency_s), ballot.reason].filter(Boolean).join(" · ");
  const head = element("strong", { text: (ballot.name || shortId(ballot.node)) + (ballot.chosen ? " (chosen)" : "") });
  const children = [head, document.createTextNode(ballot.answer ? `: ${ballot.answer}` : ""), element("div", { className: "soft", text: facts })];
  return element("li", { className: ballot.chosen ? "chosen" : "", children });
}

function showFailure(message) {
  find("answer").classList.add("failed");
  find("answer").append(find("answer").textContent ? "\n" : "", message);
}

async function showAnswer(response) {
  if (!response.ok) {
    const body = await response.json();
    showFailure(body.error.message);
    return;
  }
  for await (const event of eventsOf(response)) {
    if (event.error) showFailure(event.error.message);
    find("answer").append(event.choices?.[0]?.delta?.content || "");
    if (event.swarm) showProvenance(event.swarm);
  }
}

function setAsking(asking) {
  find("send").disabled = asking;
  find("stop").hidden = !asking;
  find("answer").setAttribute("aria-busy", String(asking));
}

let asking = null;

async function ask(event) {
  event.preventDefault();
  if (asking || !find("question").value.trim()) return;
  asking = new AbortController();
  find("reply").hidden = false;
  find("answer").classList.remove("failed");
  find("answer").replaceChildren();
  find("answered-by").replaceChildren();
  find("ballots").replaceChildren();
  setAsking(true);
  try {
    const body = requestBody(find("question").value, find("how").value);
    const headers = { "Content-Type": "application/json" };
    await showAnswer(await fetch("/v1/chat/completions", { method: "POST", headers, body, signal: asking.signal }));
  } catch (error) {
    showFailure(error.name === "AbortError" ? "Stopped." : "The connection to this node was lost.");
  } finally {
    asking = null;
    setAsking(false);
  }
}

find("ask").addEventListener("submit", ask);
find("stop").addEventListener("click", () => asking?.abort());
find("question").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) find("ask").requestSubmit();
});
find("base-url").textContent = `${location.origin}/v1`;
poll();
listen();
