// Puts the page together.

import { watch } from "./api.js";
import { Chat } from "./chat.js";
import { el, show } from "./dom.js";
import { plural } from "./format.js";
import { Pool } from "./pool.js";

const CHOSEN = "hearth.model";
const AWAY = "The pool does not answer at the moment. Trying again …";
const byId = (id) => document.getElementById(id);

const chat = new Chat({
  log: byId("log"),
  composer: byId("composer"),
  prompt: byId("prompt"),
  model: byId("model"),
  send: byId("send"),
  stop: byId("stop"),
  newChat: byId("new-chat"),
});
const pool = new Pool({
  models: byId("models"),
  machines: byId("machines"),
  sessions: byId("sessions"),
  queue: byId("queue"),
});

function seen(view) {
  byId("notice").hidden = true;
  byId("summary").textContent = summary(view);
  offer(view.models);
  chat.seen(view);
  pool.seen(view, chat.session);
}

function lost() {
  byId("notice").textContent = AWAY;
  byId("notice").hidden = false;
  byId("summary").textContent = "not connected";
}

function summary(view) {
  const ready = view.models.filter((model) => model.state === "ready").length;
  const running = view.replicas.reduce((sum, one) => sum + one.num_leases, 0);
  const all = view.models.length;
  const models = ready === all ? plural(all, "model") : `${ready} of ${plural(all, "model")} ready`;
  const facts = [plural(view.nodes.length, "machine"), models, `${running} running`];
  return (view.queue.length ? [...facts, `${view.queue.length} waiting`] : facts).join(" · ");
}

/** Fills the picker with the models one can talk to, and keeps what was chosen. */
function offer(models) {
  const talks = models.filter(({ state, features }) => state !== "failed" && (!features.length || features.includes("chat")));
  const options = talks.map(({ model, state }) => [model, state === "ready" ? model : `${model} (${state})`]);
  const chosen = byId("model").value || localStorage.getItem(CHOSEN);
  show(byId("model"), options, () => options.map(([value, words]) => el("option", { value }, words)));
  if (options.some(([value]) => value === chosen)) byId("model").value = chosen;
}

function turnTo(view) {
  byId("views").dataset.view = view;
  byId("show-chat").setAttribute("aria-pressed", view === "chat");
  byId("show-pool").setAttribute("aria-pressed", view === "pool");
}

byId("model").addEventListener("change", (event) => localStorage.setItem(CHOSEN, event.target.value));
byId("show-chat").addEventListener("click", () => turnTo("chat"));
byId("show-pool").addEventListener("click", () => turnTo("pool"));
watch(seen, lost);
