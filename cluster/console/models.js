// The pool's models: the state of each, how far a start has come, and buttons to load and unload.

import { tellModel } from "./api.js";
import { el, show } from "./dom.js";
import { bytes, count, plural } from "./format.js";

const HEADING = "Models";

export class Models {
  constructor(place) {
    this.place = place;
    this.view = { models: [], loading: [] };
    this.asking = new Set();
    this.faults = new Map();
  }

  seen(view) {
    this.view = view;
    this.draw();
  }

  draw() {
    const { models, loading } = this.view;
    const mine = [[...this.asking], [...this.faults]];
    show(this.place, [models, loading, mine], () => (models.length ? this.rows() : nothing()));
  }

  rows() {
    const { models, loading } = this.view;
    const heading = el("h2", {}, HEADING, el("small", {}, count(models.length)));
    return [heading, ...models.map((model) => this.row(model, progress(model, loading)))];
  }

  row(model, start) {
    const reason = this.faults.get(model.model) ?? model.reason;
    return el(
      "div",
      { class: `model ${model.state}` },
      el("h3", {}, model.model, badge(model), ...flags(model), el("span", { class: "spring" }), this.button(model)),
      facts(model),
      reason ? el("p", { class: "reason" }, reason) : null,
      ...(model.state === "loading" ? bar(model.model, start) : []),
    );
  }

  /** What can be asked of it now; an upstream runs by itself. */
  button(model) {
    if (!model.managed || model.state === "unloading") return null;
    const verb = ["ready", "loading"].includes(model.state) ? "unload" : "load";
    const words = verb === "load" ? "Load" : "Unload";
    const disabled = this.asking.has(model.model);
    const label = `${words} ${model.model}`;
    return el(
      "button",
      { type: "button", class: "quiet small", "aria-label": label, disabled, onclick: () => this.ask(model, verb) },
      words,
    );
  }

  async ask(model, verb) {
    if (verb === "unload" && !agreed(model)) return;
    this.faults.delete(model.model);
    this.asking.add(model.model);
    this.draw();
    try {
      const now = await tellModel(model.model, verb);
      const models = this.view.models.map((one) => (one.model === now.model ? now : one));
      this.view = { ...this.view, models };
    } catch (fault) {
      this.faults.set(model.model, fault.message);
    } finally {
      this.asking.delete(model.model);
      this.draw();
    }
  }
}

/** Asks once more where turns are in flight, or where the model was to be kept. */
function agreed({ model, num_running, keep_warm }) {
  const facts = [];
  if (num_running) facts.push(`${plural(num_running, "turn")} in flight will finish first.`);
  if (keep_warm) facts.push("It is to be kept warm; its next turn loads it again.");
  return !facts.length || confirm(`Unload ${model}? ${facts.join(" ")}`);
}

/** How far a start has come: as the model says, else as a replica of its deployment does. */
function progress(model, loading) {
  if (model.stage) return model;
  const named = loading.find((one) => one.deployment === model.model || one.deployment.endsWith(`/${model.model}`));
  return named ?? { stage: "", fraction: null };
}

/** `fraction` null: nobody can tell how far it has come. */
function bar(name, { stage, fraction }) {
  const percent = fraction === null ? "" : `, ${Math.floor(fraction * 100)} %`;
  const words = stage ? el("p", { class: "stage" }, stage + percent) : null;
  return [words, el("progress", { "aria-label": `Loading ${name}`, value: fraction, max: 1 })];
}

function badge({ state }) {
  return el("span", { class: `badge state ${state}` }, state);
}

function flags({ flags = [], keep_warm, locality }) {
  const words = [...(keep_warm ? ["kept warm"] : []), ...flags, ...(locality === "hosted" ? ["hosted"] : [])];
  return words.map((word) => el("span", { class: `badge ${word}` }, word));
}

function facts(model) {
  const known = [
    [model.engine, model.quantisation].filter(Boolean).join(" "),
    ranks(model),
    model.window_tokens ? `${count(model.window_tokens)} tokens` : "",
    model.memory_bytes ? bytes(model.memory_bytes) : "",
    model.nodes?.length ? `on ${model.nodes.join(", ")}` : "",
    model.num_running ? `${plural(model.num_running, "turn")} running` : "",
    model.wanted && model.state === "unloaded" ? "waits for memory" : "",
    model.num_waiting ? `${count(model.num_waiting)} waiting` : "",
  ].filter(Boolean);
  return known.length ? el("p", { class: "facts" }, known.join(" · ")) : null;
}

function ranks({ tensor_parallel, pipeline_parallel }) {
  const parts = [["TP", tensor_parallel], ["PP", pipeline_parallel]].filter(([, number]) => number > 1);
  return parts.map(([name, number]) => name + number).join(" ");
}

function nothing() {
  const remedy = ["Name one in hearth.yaml, then run ", el("code", {}, "hearth up"), "."];
  return [el("h2", {}, "No model yet"), el("p", { class: "empty" }, ...remedy)];
}
