// What the page asks its gateway for: an answer, what the pool looks like, a model loaded or unloaded.

const UNREACHABLE = "The gateway cannot be reached. `hearth status` tells whether the pool is up.";
const CUT = "The connection was lost before the answer was whole.";
const RETRY_MS = 2000;

/** What went wrong, in the words of whoever refused it. */
export class Refused extends Error {}

/**
 * Asks for an answer and yields its parts as they come:
 * {place: {node, engine, locality, session}}, {waits: {state, stage, fraction, position, estimate_s}},
 * {reasoning: text}, {text}, {usage}, {finish: reason}.
 * Throws Refused, or an AbortError once `signal` is aborted.
 */
export async function* ask({ model, messages, session, signal }) {
  const response = await post({ model, messages, stream: true, stream_options: { include_usage: true } }, session, signal);
  if (!response.ok) throw new Refused(await words(response));
  yield { place: placeOf((name) => response.headers.get(`x-hearth-${name}`)) };
  let whole = false;
  for await (const data of events(response.body)) {
    if (data === "[DONE]") whole = true;
    else yield* partsOf(JSON.parse(data));
  }
  if (!whole) throw new Refused(CUT);
}

async function post(body, session, signal) {
  try {
    return await fetch("/v1/chat/completions", {
      method: "POST",
      headers: { "content-type": "application/json", "x-session-affinity": session },
      body: JSON.stringify(body),
      signal,
    });
  } catch (fault) {
    throw fault.name === "AbortError" ? fault : new Refused(UNREACHABLE);
  }
}

async function words(response) {
  const body = await response.json().catch(() => null);
  return body?.error?.message ?? `The gateway answered ${response.status} without saying why.`;
}

/** Only what is known: a turn that still waits has its place `pending`. */
function placeOf(read) {
  const known = ["node", "engine", "locality", "session"].map((name) => [name, read(name)]);
  return Object.fromEntries(known.filter(([, value]) => value && value !== "pending"));
}

function* partsOf(chunk) {
  if (chunk.error) throw new Refused(chunk.error.message);
  if (chunk.hearth) yield { place: placeOf((name) => chunk.hearth[name]) };
  if (chunk.hearth?.state) yield { waits: chunk.hearth };
  const choice = chunk.choices?.[0];
  if (choice?.delta?.reasoning_content) yield { reasoning: choice.delta.reasoning_content };
  if (choice?.delta?.content) yield { text: choice.delta.content };
  if (choice?.finish_reason) yield { finish: choice.finish_reason };
  if (chunk.usage) yield { usage: chunk.usage };
}

/** The data of server-sent events, one by one. */
async function* events(body) {
  let rest = "";
  for await (const text of texts(body)) {
    const lines = (rest + text).split(/\r?\n/);
    rest = lines.pop();
    for (const line of lines) if (line.startsWith("data:")) yield line.slice(5).trim();
  }
}

async function* texts(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } catch (fault) {
    throw fault.name === "AbortError" ? fault : new Refused(CUT);
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** Asks for a model to be loaded or unloaded (`verb`); the model as it is then. Throws Refused. */
export async function tellModel(model, verb) {
  let response;
  try {
    response = await fetch(`/api/models/${encodeURIComponent(model)}/${verb}`, { method: "POST" });
  } catch {
    throw new Refused(UNREACHABLE);
  }
  if (!response.ok) throw new Refused(await words(response));
  return (await response.json()).model;
}

/** Calls `seen` with each view of the pool, and `lost` while there is none; goes on for as long as the page lives. */
export function watch(seen, lost) {
  const source = new EventSource("/api/view/stream");
  source.onmessage = (event) => seen(JSON.parse(event.data));
  source.addEventListener("away", lost);
  source.onerror = () => {
    source.close();
    lost();
    setTimeout(() => watch(seen, lost), RETRY_MS);
  };
}
