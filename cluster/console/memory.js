// A machine's memory as one bar: what each model holds, of it weights and KV where its engine tells, what
// others use, what is free.

import { el, svg } from "./dom.js";
import { bytes } from "./format.js";

const KINDS = {
  weights: "weights",
  reserved: "KV reserved",
  resident: "KV resident",
  kv: "KV free",
  held: "held by models",
  other: "other programs",
  free: "free",
};

/** [{kind, bytes, of}] from left to right; they add up to the machine's memory. `shares`: {model: bytes}. */
export function segments(node, replicas, shares = {}) {
  const models = [...new Set([...replicas.map((one) => one.model), ...Object.keys(shares)])];
  const held = models.flatMap((model) => held_by(model, replicas, shares[model]));
  const engines = total(held);
  const memory = Math.max(node.memory_bytes, engines);
  const other = Math.max(0, memory - engines - node.memory_free_bytes);
  const rest = [
    { kind: "other", bytes: other, of: node.node },
    { kind: "free", bytes: memory - engines - other, of: node.node },
  ];
  return [...held, ...rest].filter((segment) => segment.bytes > 0);
}

/** A gang's engine tells of all its machines: here it has no more than its share. */
function held_by(model, replicas, share) {
  const parts = replicas.filter((one) => one.model === model).flatMap(told_by);
  const told = total(parts);
  if (share === undefined) return parts;
  const scale = told > share ? share / told : 1;
  const scaled = parts.map((part) => ({ ...part, bytes: part.bytes * scale }));
  return [...scaled, { kind: "held", bytes: Math.max(0, share - told), of: model }];
}

function told_by(replica) {
  const perToken = replica.kv_bytes / Math.max(replica.capacity.kv_tokens, 1);
  const reserved = replica.reserved_tokens * perToken;
  const resident = replica.resident_tokens * perToken;
  return [
    { kind: "weights", bytes: replica.weights_bytes, of: replica.model },
    { kind: "reserved", bytes: reserved, of: replica.model },
    { kind: "resident", bytes: resident, of: replica.model },
    { kind: "kv", bytes: Math.max(0, replica.kv_bytes - reserved - resident), of: replica.model },
  ];
}

const total = (parts) => parts.reduce((sum, part) => sum + part.bytes, 0);

/** The bar with its legend. */
export function memory(node, replicas, shares) {
  const parts = segments(node, replicas, shares);
  const sums = Object.keys(KINDS)
    .map((kind) => ({ kind, bytes: total(parts.filter((part) => part.kind === kind)) }))
    .filter((sum) => sum.bytes > 0);
  return el("div", { class: "memory" }, picture(parts, sums), legend(sums), byModel(parts));
}

/** What each model holds in all. */
function byModel(parts) {
  const held = parts.filter((part) => !["other", "free"].includes(part.kind));
  const models = [...new Set(held.map((part) => part.of))];
  if (!models.length) return null;
  const words = models.map((model) => `${model} ${bytes(total(held.filter((part) => part.of === model)))}`);
  return el("p", { class: "by-model" }, words.join(" · "));
}

function picture(parts, sums) {
  const words = sums.map((sum) => `${KINDS[sum.kind]} ${bytes(sum.bytes)}`).join(", ");
  const all = total(parts);
  let left = 0;
  const drawn = parts.map((part) => {
    const share = (part.bytes / all) * 100;
    const title = svg("title", {}, `${part.of}: ${KINDS[part.kind]} ${bytes(part.bytes)}`);
    const rectangle = svg("rect", { class: part.kind, x: `${left}%`, width: `${share}%`, height: "100%" }, title);
    left += share;
    return rectangle;
  });
  return svg("svg", { class: "picture", role: "img", "aria-label": `Memory: ${words}` }, ...drawn);
}

function legend(sums) {
  const items = sums.map((sum) =>
    el("li", {}, el("i", { class: sum.kind }), `${KINDS[sum.kind]} `, el("b", {}, bytes(sum.bytes))),
  );
  return el("ul", { class: "legend" }, ...items);
}
