// One replica: its KV memory in tokens and its slots.

import { el } from "./dom.js";
import { count, plural } from "./format.js";

const MAX_DRAWN_SLOTS = 32;

export function replica(one) {
  const { kv_tokens, estimated } = one.capacity;
  const used = one.reserved_tokens + one.resident_tokens;
  const about = estimated ? "about " : "";
  return el(
    "div",
    { class: "replica" },
    el("h4", {}, one.model, el("span", { class: `badge ${one.locality}` }, one.locality), state(one)),
    el("p", { class: "engine" }, `${one.engine} · ${plural(one.num_leases, "turn")} running`),
    slots(one),
    el("p", { class: "tokens" }, el("b", {}, count(used)), ` of ${about}${count(kv_tokens)} KV tokens`, parts(one)),
  );
}

function parts(one) {
  if (!one.reserved_tokens && !one.resident_tokens) return null;
  const words = `${count(one.reserved_tokens)} reserved, ${count(one.resident_tokens)} resident`;
  return el("small", {}, words);
}

function state(one) {
  return one.state === "ready" ? null : el("span", { class: "badge" }, one.state);
}

function slots(one) {
  const { num_slots, resident_holds_slot } = one.capacity;
  const idle = resident_holds_slot ? Math.min(one.num_resident, num_slots - one.num_leases) : 0;
  const held = idle ? `, ${idle} held by idle sessions` : "";
  const words = `${one.num_leases} of ${plural(num_slots, "slot")} running${held}`;
  const drawn = { length: Math.min(num_slots, MAX_DRAWN_SLOTS) };
  const kinds = Array.from(drawn, (_, slot) => kindOf(slot, one.num_leases, idle));
  return el(
    "div",
    { class: "slots", role: "img", "aria-label": words, title: words },
    ...kinds.map((kind) => el("i", { class: kind })),
    num_slots > MAX_DRAWN_SLOTS ? `+${num_slots - MAX_DRAWN_SLOTS}` : null,
  );
}

function kindOf(slot, running, idle) {
  if (slot < running) return "reserved";
  return slot < running + idle ? "resident" : "free";
}
