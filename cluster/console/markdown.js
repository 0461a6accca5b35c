// As much Markdown as answers use: code, headings, lists, bold, italics, links. It makes nodes, never markup.

import { el } from "./dom.js";

const INLINE = /(`+)(.+?)\1|\*\*(.+?)\*\*|\*(\S(?:.*?\S)?)\*|\[([^\]]+)\]\((https?:\/\/[^\s)]+)\)/;
const ITEM = /^\s*(?:[-*+]|(\d+)[.)])\s+(.*)/;
const FENCE = /^\s*```/;

/** `text` as a list of block elements. An unfinished block, as in a running answer, is shown as far as it goes. */
export function markdown(text) {
  const lines = text.split("\n");
  const blocks = [];
  while (lines.length) blocks.push(block(lines));
  return blocks.filter((node) => node !== null);
}

function block(lines) {
  const line = lines[0];
  if (!line.trim()) return lines.shift(), null;
  if (FENCE.test(line)) return code(lines);
  if (ITEM.test(line)) return list(lines);
  const heading = line.match(/^#{1,6}\s+(.*)/);
  if (heading) return lines.shift(), el("h3", {}, ...inline(heading[1]));
  return el("p", {}, ...inline(taken(lines, (next) => !next.trim() || startsBlock(next)).join("\n")));
}

const startsBlock = (line) => FENCE.test(line) || ITEM.test(line) || /^#{1,6}\s/.test(line);

/** Takes the first line and all that follow until `ends`. */
function taken(lines, ends) {
  const end = lines.findIndex((line, index) => index > 0 && ends(line));
  return lines.splice(0, end < 0 ? lines.length : end);
}

function code(lines) {
  lines.shift();
  const end = lines.findIndex((line) => FENCE.test(line));
  const body = lines.splice(0, end < 0 ? lines.length : end);
  lines.shift();
  return el("pre", { tabindex: "0" }, el("code", {}, body.join("\n")));
}

function list(lines) {
  const first = lines[0].match(ITEM)[1];
  const items = [];
  while (lines.length && ITEM.test(lines[0])) {
    const body = taken(lines, (next) => !next.trim() || startsBlock(next)).join("\n");
    items.push(el("li", {}, ...inline(body.match(ITEM)[2] + body.slice(body.split("\n")[0].length))));
  }
  return el(first ? "ol" : "ul", first ? { start: first } : {}, ...items);
}

function inline(text) {
  const match = text.match(INLINE);
  if (!match) return [text];
  const [found, , verbatim, bold, italic, label, address] = match;
  const rest = inline(text.slice(match.index + found.length));
  return [text.slice(0, match.index), marked({ verbatim, bold, italic, label, address }), ...rest];
}

function marked({ verbatim, bold, italic, label, address }) {
  if (verbatim) return el("code", {}, verbatim);
  if (bold) return el("strong", {}, ...inline(bold));
  if (italic) return el("em", {}, ...inline(italic));
  return el("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, label);
}
