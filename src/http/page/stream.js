// Server-sent events that are read with a header, which EventSource cannot send.

const PAUSE_MIN = 500;
const PAUSE_MAX = 5000;

// Calls `told` with each event's object, for ever: after an end it connects again, and calls `begins` first.
// What is returned ends it.
export function listen(path, headers, { begins, told, ends }) {
  const abort = new AbortController();
  (async () => {
    let pause = PAUSE_MIN;
    while (!abort.signal.aborted) {
      try {
        const response = await fetch(path, { headers: headers(), signal: abort.signal });
        if (!response.ok) throw new Error(await reason(response));
        begins();
        pause = PAUSE_MIN;
        for await (const data of events(response.body)) told(JSON.parse(data));
        throw new Error("the connection has ended");
      } catch (error) {
        if (abort.signal.aborted) return;
        ends(error.message);
      }
      await new Promise((done) => setTimeout(done, pause));
      pause = Math.min(2 * pause, PAUSE_MAX);
    }
  })();
  return () => abort.abort();
}

// The data of each event without a name: those with one tell that something was missed.
async function* events(body) {
  let rest = "";
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const lines = block.split("\n");
      const data = lines.filter((line) => line.startsWith("data: ")).map((line) => line.slice(6));
      if (data.length && !lines.some((line) => line.startsWith("event:"))) yield data.join("\n");
    }
  }
}

// Why a request was refused.
export async function reason(response) {
  try {
    return (await response.json()).error;
  } catch {
    return `the node answers ${response.status}`;
  }
}
