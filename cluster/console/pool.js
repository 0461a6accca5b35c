// What the pool looks like now: models, machines, sessions, queue.

import { el, show } from "./dom.js";
import { age, bytes, count, plural, seconds, sessionName } from "./format.js";
import { memory } from "./memory.js";
import { Models } from "./models.js";
import { replica } from "./replica.js";

const MAX_ROWS = 40;

export class Pool {
  constructor(page) {
    this.page = page;
    this.models = new Models(page.models);
  }

  /** Draws a view; `mine` is the session of this page's chat. */
  seen(view, mine) {
    const { machines, sessions, queue } = this.page;
    this.models.seen(view);
    const layouts = view.models.map(({ model, nodes, node_bytes }) => [model, nodes, node_bytes]);
    show(machines, [view.nodes, view.replicas, layouts], () => machineCards(view));
    const lives = view.sessions.map((one) => ({ ...one, idle_s: age(one.idle_s), mine: one.session.includes(mine) }));
    show(sessions, [lives, view.replicas.length], () => sessionRows(lives, view.replicas));
    show(queue, view.queue, () => queueRows(view.queue));
  }
}

function machineCards(view) {
  const nodes = [...view.nodes, ...unreported(view)];
  if (!nodes.length) return [el("h2", {}, "Machines"), el("p", { class: "empty" }, "No machine has reported yet.")];
  return [el("h2", {}, "Machines"), ...nodes.map((node) => machine(node, view))];
}

/** Replicas may be heard of before their node, and after it fell silent. */
function unreported(view) {
  const known = view.nodes.map((node) => node.node);
  const names = view.replicas.map((one) => one.node).filter((name) => !known.includes(name));
  return [...new Set(names)].map((node) => ({ node, memory_bytes: 0, memory_free_bytes: 0 }));
}

function machine(node, { replicas, models }) {
  const here = replicas.filter((one) => one.node === node.node);
  const engines = here.length ? here.map(replica) : [el("p", { class: "empty" }, "No engine runs here.")];
  const free = `${bytes(node.memory_free_bytes)} free of ${bytes(node.memory_bytes)}`;
  const isReported = node.memory_bytes > 0;
  return el(
    "article",
    { class: "machine" },
    el("h3", {}, node.node, el("small", {}, isReported ? free : "has not reported its memory")),
    isReported ? memory(node, here, shares(node, models)) : null,
    ...engines,
  );
}

/** {model: bytes} that layouts hold on the machine, gangs included. */
function shares(node, models) {
  const held = models.map(({ model, nodes, node_bytes }) => [model, node_bytes?.[nodes.indexOf(node.node)] ?? 0]);
  return Object.fromEntries(held.filter(([, size]) => size > 0));
}

function sessionRows(sessions, replicas) {
  const where = Object.fromEntries(replicas.map((one) => [one.replica, one]));
  const rows = sessions.slice(0, MAX_ROWS).map((one) => sessionRow(one, where[one.replica]));
  const empty = "None. A session lives where its KV is; it appears with its first turn.";
  return table("Sessions", sessions.length, ["session", "lives on", "tokens", ""], rows, empty);
}

function sessionRow(one, home) {
  const state = one.running ? el("span", { class: "badge running" }, "running") : `idle ${one.idle_s}`;
  return el(
    "tr",
    { class: one.mine ? "mine" : null },
    el("td", { class: "name", title: one.session }, one.mine ? "this chat" : sessionName(one.session)),
    el("td", { title: one.replica }, home ? `${home.node} · ${home.model}` : one.replica),
    el("td", { class: "number" }, count(one.tokens)),
    el("td", {}, state),
  );
}

function queueRows(queue) {
  const rows = queue.slice(0, MAX_ROWS).map((turn) =>
    el(
      "tr",
      {},
      el("td", { class: "number" }, count(turn.position)),
      el("td", { class: "name", title: turn.session }, sessionName(turn.session)),
      el("td", {}, turn.model),
      el("td", { class: "number" }, count(turn.tokens)),
      el("td", { class: "number" }, seconds(turn.waited_s)),
      el("td", { class: "number" }, seconds(turn.estimate_s)),
    ),
  );
  return table("Queue", queue.length, ["#", "session", "model", "tokens", "waited", "to go"], rows, "Nobody waits.");
}

function table(title, size, heads, rows, empty) {
  const heading = el("h2", {}, title, el("small", {}, count(size)));
  if (!rows.length) return [heading, el("p", { class: "empty" }, empty)];
  const more = size > rows.length ? el("p", { class: "empty" }, `and ${plural(size - rows.length, "more")}`) : null;
  const head = el("tr", {}, ...heads.map((word) => el("th", { scope: "col" }, word)));
  const body = el("table", {}, el("thead", {}, head), el("tbody", {}, ...rows));
  return [heading, el("div", { class: "scroll" }, body), more];
}
