// A machine's memory as one bar: every replica's weights and KV, what others use, what is free.

import { el, svg } from "./dom.js";
import { bytes } from "./format.js";

const KINDS = {
  weights: "weights",
  reserved: "KV reserved",
  resident: "KV resident",
  kv: "KV free",
  other: "other programs",
  free: "free",
};

/** [{kind, bytes, of}] from left to right; they add up to the machine's memory. */
export function segments(node, replicas) {
  const held = replicas.flatMap(held_by);
  const engines = total(held);
  const memory = Math.max(node.memory_bytes, engines);
  const other = Math.max(0, memory - engines - node.memory_free_bytes);
  const rest = [
    { kind: "other", bytes: other, of: node.node },
    { kind: "free", bytes: memory - engines - other, of: node.node },
  ];
  return [...held, ...rest].filter((segment) => segment.bytes > 0);
}

function held_by(replica) {
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
export function memory(node, replicas) {
  const parts = segments(node, replicas);
  const sums = Object.keys(KINDS)
    .map((kind) => ({ kind, bytes: total(parts.filter((part) => part.kind === kind)) }))
    .filter((sum) => sum.bytes > 0);
  return el("div", { class: "memory" }, picture(parts, sums), legend(sums));
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
