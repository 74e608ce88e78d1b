// The chat: what /events tells, and what is joined, said and left by the paths under /channels and /users.

import { append, clock, html } from "./draw.js";
import { listen, reason } from "./stream.js";

const MESSAGES_MAX = 500;
const HISTORY = 50;
const MARKS = { queued: "…", waiting: "…", stored: "✓", delivered: "✓✓", failed: "✗" };
// How far a message has come: its mark never goes back.
const FAR = ["queued", "waiting", "stored", "delivered"];

const element = (id) => document.getElementById(id);
// By name, a channel with its #: what was said there, in order.
const talks = new Map();
let open = null;
let nick = "";
let stop = () => {};

export async function chat(info) {
  nick = info.nick;
  // A link may bring the token behind its #, where it is sent to nobody.
  if (location.hash.startsWith("#token=")) {
    sessionStorage.setItem("token", location.hash.slice("#token=".length));
    history.replaceState(null, "", location.pathname);
  }
  element("token-form").addEventListener("submit", (event) => {
    event.preventDefault();
    sessionStorage.setItem("token", element("token").value.trim());
    element("token").value = "";
    begin();
  });
  element("join-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const name = element("join").value.trim();
    element("join").value = "";
    if (name.startsWith("#")) change("PUT", `${path(name)}/membership`);
    select(name);
  });
  element("send-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = element("text").value;
    if (open === null) return say("Open a channel or a person first.", true);
    element("text").value = "";
    change("POST", `${path(open)}/messages`, text);
  });
  element("leave").addEventListener("click", () => {
    if (open === null) return;
    if (open.startsWith("#")) change("DELETE", `${path(open)}/membership`);
    else close(open);
  });
  begin();
}

function token() {
  return sessionStorage.getItem("token");
}

function headers() {
  return token() ? { Authorization: `Bearer ${token()}` } : {};
}

// A channel or a person, as the beginning of a path.
function path(name) {
  return name.startsWith("#") ? `/channels/${encodeURIComponent(name.slice(1))}` : `/users/${encodeURIComponent(name)}`;
}

function begin() {
  stop();
  element("token-form").hidden = token() !== null;
  stop = listen("/events", headers, {
    async begins() {
      say("");
      const response = await fetch("/channels");
      if (!response.ok) return say(await reason(response), true);
      for (const channel of (await response.json()).channels) await enter(`#${channel}`);
    },
    told,
    ends: (why) => say(`The chat is not connected: ${why}.`, true),
  });
}

// Something that needs the token.
async function change(method, path, body) {
  say("");
  try {
    const response = await fetch(path, { method, headers: headers(), body });
    if (response.status === 401) {
      sessionStorage.removeItem("token");
      element("token-form").hidden = false;
    }
    if (!response.ok) say(await reason(response), true);
  } catch {
    say("The node does not answer.", true);
  }
}

function say(text, isWrong = false) {
  element("talk-state").textContent = text;
  element("talk-state").className = isWrong ? "wrong" : "";
}

function told(event) {
  const time = new Date(event.time);
  switch (event.event) {
    case "joined":
      return enter(`#${event.channel}`);
    case "left":
      return close(`#${event.channel}`);
    case "message":
      return add(`#${event.channel}`, { ...event, time });
    case "private":
      return add(event.from, { ...event, time });
    case "sent":
      return sent(event, time);
    case "member":
      return note(`#${event.channel}`, `${event.nick} has ${{ joined: "come", left: "left", lost: "been lost" }[event.change]}`, time);
    case "healed":
      return note(`#${event.channel}`, "the network was cut, and is one again", time);
    case "renamed":
      nick = event.nick;
      return;
    case "error":
      return say(`${event.command}: ${event.message}`, true);
  }
}

// The user is in a channel: what was said there before.
async function enter(name) {
  talk(name);
  select(open ?? name);
  const response = await fetch(`${path(name)}/messages?last=${HISTORY}`);
  if (!response.ok) return say(await reason(response), true);
  for (const message of (await response.json()).messages) add(name, { ...message, time: new Date(message.time) });
}

function talk(name) {
  if (!talks.has(name)) {
    talks.set(name, { messages: [], marks: new Map() });
    writeTalks();
  }
  return talks.get(name);
}

function close(name) {
  talks.delete(name);
  if (open === name) open = talks.keys().next().value ?? null;
  writeTalks();
  writeMessages();
}

function select(name) {
  talk(name);
  if (open !== name) {
    open = name;
    writeTalks();
    writeMessages();
  }
}

function writeTalks() {
  const buttons = [...talks.keys()].map((name) => {
    const button = html("button", { type: "button", "aria-pressed": name === open }, name);
    button.addEventListener("click", () => select(name));
    return button;
  });
  element("talks").replaceChildren(...buttons);
}

// The order of a channel is that of its log; what has no place there stays where it came.
function isBefore(a, b) {
  if (a.seq === undefined || b.seq === undefined) return false;
  return a.epoch === b.epoch ? a.seq < b.seq : a.epoch < b.epoch;
}

function add(name, message) {
  const { messages } = talk(name);
  const known = messages.findIndex((other) => message.id !== undefined && other.id === message.id);
  // An own message that waited without a place has found it.
  if (known !== -1 && (messages[known].seq !== undefined || message.seq === undefined)) return;
  if (known !== -1) remove(name, known);
  let at = messages.length;
  while (at > 0 && isBefore(message, messages[at - 1])) at -= 1;
  messages.splice(at, 0, message);
  if (name === open) append(element("messages"), item(message), element("messages").children[at] ?? null, MESSAGES_MAX);
  if (messages.length > MESSAGES_MAX) messages.shift();
}

function remove(name, at) {
  talks.get(name).messages.splice(at, 1);
  if (name === open) element("messages").children[at]?.remove();
}

function note(name, text, time) {
  if (talks.has(name)) add(name, { text, time });
}

function sent({ id, to, text, state, reason: why }, time) {
  const { messages, marks } = talk(to);
  const before = marks.get(id);
  if (before === undefined || state === "failed" || FAR.indexOf(before.state) < FAR.indexOf(state)) marks.set(id, { state, why });
  // A message of the user's own to a channel comes back with its place only if the user is a member.
  if (!messages.some((message) => message.id === id)) add(to, { id, from: nick, text, time });
  if (to !== open) return;
  for (const line of element("messages").children) {
    if (line.dataset.id === id) line.querySelector(".mark").textContent = mark(marks.get(id));
  }
}

function mark(far) {
  if (far === undefined) return "";
  return ` ${MARKS[far.state]}${far.why ? ` ${far.why}` : ""}`;
}

function item(message) {
  const line = html("li", message.late ? { class: "late" } : {}, clock(message.time));
  if (message.id !== undefined) line.dataset.id = message.id;
  if (message.from !== undefined) line.append(html("span", { class: "from" }, message.from), ": ");
  line.append(message.text, html("span", { class: "mark" }, mark(talks.get(open)?.marks.get(message.id))));
  return line;
}

function writeMessages() {
  const log = element("messages");
  log.replaceChildren(...(talks.get(open)?.messages ?? []).map(item));
  log.scrollTop = log.scrollHeight;
}
