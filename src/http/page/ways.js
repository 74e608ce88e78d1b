// The way to a key, by fingers and successor by successor beside each other, drawn hop by hop.

import { html, line, place, svg } from "./draw.js";
import { known } from "./ring.js";
import { reason } from "./stream.js";

const HOP_TIME = 250;
// A longer way is drawn in this time all the same.
const WAY_TIME = 4000;
const MARK_RADIUS = 170;

const calm = matchMedia("(prefers-reduced-motion: reduce)");
const element = (id) => document.getElementById(id);
// Counts the searches: a newer one ends the drawing of those before.
let last = 0;

export function find() {
  element("find-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const number = ++last;
    const key = element("key").value;
    element("find-state").textContent = `Looking for ${key} …`;
    try {
      const path = `/dht/find/${encodeURIComponent(key)}?linear=`;
      const ways = await Promise.all([ask(`${path}false`), ask(`${path}true`)]);
      if (number !== last) return;
      element("find-state").textContent = `${ways[0].root.addr} is responsible for ${key}, which is ${ways[0].id}.`;
      const [fingers, linear] = ways.map((way, i) => section(i ? "Successor by successor" : "By fingers", way));
      element("ways").replaceChildren(fingers.element, linear.element);
      for (const way of [fingers, linear]) draw(way, number);
    } catch (error) {
      if (number !== last) return;
      element("find-state").textContent = `${key}: ${error.message}`;
      element("ways").replaceChildren();
    }
  });
}

async function ask(path) {
  const response = await fetch(path);
  if (!response.ok) throw new Error(await reason(response));
  return response.json();
}

// The nodes on it, in order, with the time that each took; the root is told of by the last hop, and not always asked.
function stations({ hops, root }) {
  const all = hops.map(({ node, micros }) => ({ node, micros }));
  if (!all.some(({ node }) => node.id === root.id)) all.push({ node: root });
  return all;
}

function section(heading, way) {
  const all = stations(way);
  const steps = all.length - 1;
  const title = `${heading}: ${steps} ${steps === 1 ? "step" : "steps"}`;
  const picture = svg("svg", { viewBox: "-200 -200 400 400", role: "img", "aria-label": title });
  picture.append(svg("circle", { class: "circle", r: 150 }));
  const lines = svg("g");
  picture.append(lines);
  const { x, y } = place(way.id, MARK_RADIUS);
  picture.append(svg("path", { class: "mark", d: `M${x - 5} ${y - 5}l10 10m0 -10l-10 10` }));
  const dots = new Map();
  for (const node of [...known(), ...all.map((station) => station.node)]) {
    if (dots.has(node.id)) continue;
    const at = place(node.id);
    const dot = svg("g", { class: "node off" }, svg("title", {}, `${node.addr} ${node.id}`), svg("circle", { cx: at.x, cy: at.y, r: 5 }));
    dots.set(node.id, dot);
    picture.append(dot);
  }
  const rows = all.map(({ node, micros }, number) => {
    const took = micros ? `${(micros / 1000).toFixed(1)} ms` : "";
    return html("tr", {}, html("td", {}, String(number)), html("td", { title: node.id }, node.addr), html("td", {}, took));
  });
  for (const node of way.silent) {
    rows.push(html("tr", {}, html("td"), html("td", { title: node.id }, node.addr), html("td", { class: "wrong" }, "silent")));
  }
  const head = html("tr", {}, html("th"), html("th", {}, "Node"), html("th", {}, "Took"));
  const table = html("table", {}, html("thead", {}, head), html("tbody", {}, ...rows));
  const element = html("section", {}, html("h3", {}, title), picture, html("div", { class: "scroll" }, table));
  return { element, lines, dots, all, way };
}

async function draw({ lines, dots, all, way }, number) {
  const pause = calm.matches ? 0 : Math.min(HOP_TIME, WAY_TIME / all.length);
  for (const [i, { node }] of all.entries()) {
    if (number !== last) return;
    if (i > 0) {
      lines.append(line(all[i - 1].node.id, node.id, "way"));
      if (pause) await new Promise((done) => setTimeout(done, pause));
    }
    dots.get(node.id).setAttribute("class", `node${node.id === way.root.id ? " root" : ""}`);
  }
}
