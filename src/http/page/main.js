// The page: finds out whose it is, then shows the ring, the ways and the chat.

import { chat } from "./chat.js";
import { watch } from "./ring.js";
import { reason } from "./stream.js";
import { find } from "./ways.js";

const PAUSE = 1000;

function tell(text, isWrong = false) {
  const state = document.getElementById("state");
  if (state.textContent !== text) state.textContent = text;
  state.className = isWrong ? "wrong" : "";
}

async function info() {
  for (;;) {
    try {
      const response = await fetch("/nodeinfo");
      if (response.ok) return await response.json();
      tell(await reason(response), true);
    } catch {
      tell("The node does not answer.", true);
    }
    await new Promise((done) => setTimeout(done, PAUSE));
  }
}

const about = await info();
document.title = `chat: ${about.nick}`;
watch(about.node, tell);
find();
chat(about);
