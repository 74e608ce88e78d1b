// The ring: what /dht/watch tells, drawn as a circle and written as a table.

import { RADIUS, append, clock, html, line, place, svg } from "./draw.js";
import { listen } from "./stream.js";

// How far from the circle the records of each kind stand: a name and its mailbox have the same key.
const LANES = { value: 165, name: 174, mailbox: 183, channel: 192 };
const RECORDS_DRAWN_MAX = 2000;
const LABELLED_MAX = 24;
const FLIGHTS_MAX = 200;
// The ring's own messages leave room for the others.
const RING_FLIGHTS_MAX = 100;
const FLIGHT_TIME = 700;
// How long a walk round the ring takes at least.
const ROUND_TIME = 500;
const ACTIVITY_MAX = 200;
// Which of a node's records are listed.
const LISTED_MAX = 50;

const calm = matchMedia("(prefers-reduced-motion: reduce)");
const element = (id) => document.getElementById(id);
const layers = { lines: element("lines"), records: element("records"), nodes: element("nodes"), flights: element("flights") };

// By id: what each node has told.
const nodes = new Map();
// By kind and key: where each record is.
const records = new Map();
// The elements that are drawn.
const drawn = { nodes: new Map(), records: new Map() };
let here = null;
let chosen = null;
let pointed = null;
// The name of the record under the pointer.
let record = null;
// The node that Tab reaches; the arrows go on from there.
let reached = null;
// Until the first walk has come round, what is met is not news.
let isKnown = false;
// Whether the nodes have changed since they were drawn, and whether that is due.
let hasChanged = false;
let isDue = false;

export function known() {
  return [...nodes.values()].map((shown) => shown.node).sort((a, b) => (a.id < b.id ? -1 : 1));
}

export function watch(me, tell) {
  here = me.id;
  listen("/dht/watch", () => ({}), {
    begins() {
      nodes.clear();
      records.clear();
      isKnown = false;
    },
    told(news) {
      if (news.event === "round") isKnown = true;
      if (news.event === "passed") return pass(news);
      if (news.event === "node") show(news);
      if (news.event === "gone") forget(news);
      tell(`a ring of ${nodes.size} ${nodes.size === 1 ? "node" : "nodes"}, seen from ${me.addr}`);
    },
    ends: (reason) => tell(`not connected: ${reason}`, true),
  });
}

function show(news) {
  const { id, addr } = news.node;
  const before = nodes.get(id);
  hasChanged = true;
  redraw();
  if (!before && isKnown) happened(`${addr} is in the ring`);
  nodes.set(id, news);
  const moved = new Map();
  const keeps = new Set();
  for (const { id: key, kind, root } of news.kept) {
    const name = `${kind} ${key}`;
    keeps.add(name);
    const record = records.get(name) ?? { key, kind, holders: new Set(), root: null };
    records.set(name, record);
    record.holders.add(id);
    if (root && record.root !== id) {
      if (record.root !== null && isKnown) {
        fly(record.root, id, kind);
        moved.set(record.root, (moved.get(record.root) ?? 0) + 1);
      }
      record.root = id;
    }
  }
  for (const { id: key, kind } of before?.kept ?? []) if (!keeps.has(`${kind} ${key}`)) drop(`${kind} ${key}`, id);
  for (const [from, count] of moved) {
    const what = count === 1 ? "1 record has" : `${count} records have`;
    happened(`${what} moved from ${nodes.get(from)?.node.addr ?? "a node that is gone"} to ${addr}`);
  }
}

function forget({ node, left }) {
  const before = nodes.get(node.id);
  if (!before) return;
  hasChanged = true;
  redraw();
  happened(`${node.addr} ${left ? "has left the ring" : "does not answer any more"}`);
  nodes.delete(node.id);
  for (const { id: key, kind } of before.kept) drop(`${kind} ${key}`, node.id);
  if (chosen === node.id) chosen = null;
  if (pointed === node.id) pointed = null;
  if (reached === node.id) reached = null;
}

// A node does not keep a record any more. Its root stays known, so that it is seen who takes it over.
function drop(name, holder) {
  const record = records.get(name);
  record?.holders.delete(holder);
  if (record?.holders.size === 0) records.delete(name);
}

// Messages from node to node. Those between others are told of all at once, when the one that sent them is asked.
function pass({ messages }) {
  messages.forEach(({ from, to, topic }, number) => {
    const isOwn = from.id === here || to.id === here;
    setTimeout(fly, isOwn ? 0 : (ROUND_TIME * number) / messages.length, from.id, to.id, topic);
  });
}

function fly(from, to, kind) {
  const flightsMax = kind === "ring" ? RING_FLIGHTS_MAX : FLIGHTS_MAX;
  if (calm.matches || document.hidden || layers.flights.children.length >= flightsMax || from === to) return;
  const [a, b] = [place(from), place(to)];
  const dot = svg("circle", { class: `flight ${kind}`, r: kind === "ring" ? 2 : 4 });
  Object.assign(dot.dataset, { from, to });
  layers.flights.append(dot);
  const at = ({ x, y }) => ({ transform: `translate(${x}px, ${y}px)` });
  dot.animate([at(a), at(b)], { duration: FLIGHT_TIME, easing: "ease-in-out" }).finished.finally(() => dot.remove());
}

function happened(what) {
  append(element("activity"), html("li", {}, clock(), what), null, ACTIVITY_MAX);
}

function redraw() {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(() => {
    isDue = false;
    drawNodes();
    if (hasChanged) {
      drawRecords();
      writeTable();
    }
    hasChanged = false;
    drawLines();
    writeDetails();
  });
}

// Brings the elements of a layer in line with what there is; `make` makes a new one, `mend` corrects any.
function reconcile(layer, elements, wanted, make, mend) {
  for (const [name, old] of elements) {
    if (!wanted.has(name)) {
      old.remove();
      elements.delete(name);
    }
  }
  for (const [name, what] of wanted) {
    if (!elements.has(name)) {
      const fresh = make(what, name);
      elements.set(name, fresh);
      layer.append(fresh);
    }
    mend(elements.get(name), what, name);
  }
}

function drawNodes() {
  const radius = nodes.size > 64 ? 4 : 7;
  reconcile(
    layers.nodes,
    drawn.nodes,
    nodes,
    ({ node }) => {
      const { x, y } = place(node.id);
      const group = svg("g", { role: "button", "aria-label": `node ${node.addr}`, "data-addr": node.addr });
      const outwards = x < 0 ? { x: x + 10, "text-anchor": "start" } : { x: x - 10, "text-anchor": "end" };
      group.append(svg("title", {}, `${node.addr} ${node.id}`), svg("circle", { cx: x, cy: y }), svg("text", { ...outwards, y: y + 3 }));
      const point = (id) => () => {
        pointed = id;
        redraw();
      };
      group.addEventListener("pointerenter", point(node.id));
      group.addEventListener("pointerleave", point(null));
      group.addEventListener("focus", point(node.id));
      group.addEventListener("blur", point(null));
      group.addEventListener("click", () => choose(node.id));
      group.addEventListener("keydown", (event) => press(event, node.id));
      return group;
    },
    (group, { node }) => {
      group.setAttribute("class", `node${node.id === here ? " here" : ""}${node.id === chosen ? " chosen" : ""}`);
      group.setAttribute("aria-pressed", node.id === chosen);
      group.setAttribute("tabindex", node.id === (nodes.has(reached) ? reached : here) ? 0 : -1);
      group.querySelector("circle").setAttribute("r", radius);
      group.querySelector("text").textContent = nodes.size > LABELLED_MAX ? "" : node.addr.split(":").pop();
    },
  );
}

const STEPS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };

function press(event, id) {
  const step = STEPS[event.key];
  if (step === undefined && event.key !== "Enter" && event.key !== " ") return;
  event.preventDefault();
  if (step === undefined) return choose(id);
  const all = known();
  const at = all.findIndex((node) => node.id === id);
  reached = all[(at + step + all.length) % all.length].id;
  drawn.nodes.get(reached)?.focus();
}

function choose(id) {
  chosen = chosen === id ? null : id;
  redraw();
}

function drawRecords() {
  const some = new Map([...records].slice(0, RECORDS_DRAWN_MAX));
  reconcile(
    layers.records,
    drawn.records,
    some,
    ({ key, kind }, name) => {
      const { x, y } = place(key, LANES[kind]);
      const dot = svg("circle", { class: `record ${kind}`, cx: x, cy: y }, svg("title"));
      const point = (what) => () => {
        record = what;
        redraw();
      };
      dot.addEventListener("pointerenter", point(name));
      dot.addEventListener("pointerleave", point(null));
      return dot;
    },
    (dot, record) => {
      const copies = record.holders.size;
      if (dot.dataset.copies === String(copies) && dot.dataset.root === record.root) return;
      Object.assign(dot.dataset, { copies, root: record.root ?? "" });
      dot.setAttribute("r", 1.5 + Math.min(copies, 5) / 2);
      const kept = [...record.holders].map((id) => nodes.get(id)?.node.addr ?? id);
      dot.querySelector("title").textContent = `${record.kind} ${record.key}, kept by ${kept.join(", ")}`;
    },
  );
  const left = records.size - some.size;
  element("not-drawn").hidden = left === 0;
  element("not-drawn").textContent = `${left} more records are not drawn.`;
}

function drawLines() {
  const shown = nodes.get(pointed ?? chosen);
  const kept = records.get(record);
  layers.lines.replaceChildren();
  for (const holder of kept?.holders ?? []) layers.lines.append(line(kept.key, holder, "copy"));
  if (!shown || kept) return;
  const { id } = shown.node;
  for (const { node } of shown.fingers) layers.lines.append(line(id, node.id, "finger"));
  for (const node of shown.successors) layers.lines.append(line(id, node.id, "successor"));
}

function writeTable() {
  const rows = known().map(({ id, addr }, number) => {
    const { predecessor, successors, records_as_root, records_as_copy } = nodes.get(id);
    const cell = (text, attributes) => html("td", attributes, String(text));
    return html(
      "tr",
      id === here ? { class: "here" } : {},
      cell(number + 1),
      cell(addr),
      cell(id, { class: "id" }),
      cell(predecessor?.addr ?? "none"),
      cell(successors[0]?.addr ?? "none"),
      cell(records_as_root),
      cell(records_as_copy),
    );
  });
  element("table").replaceChildren(...rows);
}

function writeDetails() {
  const shown = nodes.get(pointed ?? chosen);
  if (!shown) return;
  const addresses = (list) => list.map((node) => node.addr).join(", ") || "none";
  const about = html("dl");
  const tell = (what, text, attributes) => about.append(html("dt", {}, what), html("dd", attributes, text));
  tell("Node", shown.node.addr);
  tell("Id", shown.node.id, { class: "id" });
  tell("Before it", shown.predecessor?.addr ?? "none");
  tell("Successors", addresses(shown.successors));
  tell("Fingers", addresses(shown.fingers.map((finger) => finger.node)));
  const roots = shown.kept.filter((record) => record.root);
  const copies = (record) => records.get(`${record.kind} ${record.id}`)?.holders.size ?? 0;
  const listed = roots.slice(0, LISTED_MAX).map((record) => `${record.kind} ${record.id.slice(0, 8)} (${copies(record)})`);
  const more = shown.records_as_root - listed.length;
  if (more > 0) listed.push(`${more} more`);
  tell("Root of", listed.join(", ") || "nothing");
  tell("Copies", String(shown.records_as_copy));
  const text = about.textContent;
  const details = element("details");
  if (details.firstChild?.textContent !== text) details.replaceChildren(about);
}
