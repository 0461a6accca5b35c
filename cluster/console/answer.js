// One answer on the page: what was thought, what was said, where it came from, and what went wrong.

import { el } from "./dom.js";
import { count, plural, seconds } from "./format.js";
import { markdown } from "./markdown.js";

export class Answer {
  constructor(now) {
    this.text = "";
    this.reasoning = "";
    this.place = {};
    this.usage = null;
    this.began = now;
    this.firstToken = null;
    this.lastToken = null;
    this.status = el("p", { class: "status", role: "status" }, "Asking …");
    this.thought = el("div", { class: "thought" });
    this.details = el("details", { hidden: true }, el("summary", {}, "Thinking …"), this.thought);
    this.said = el("div", { class: "said" });
    this.foot = el("footer", {});
    this.element = el("article", { class: "answer" }, this.details, this.said, this.status, this.foot);
    this.drawing = false;
  }

  /** Takes one part in, as api.js yields them. */
  add(part, now) {
    if (part.place) Object.assign(this.place, part.place);
    if (part.usage) this.usage = part.usage;
    if (part.finish === "length") this.note("The answer ends here: it reached its limit of tokens.");
    if (part.text || part.reasoning) {
      this.firstToken ??= now;
      this.lastToken = now;
      this.text += part.text ?? "";
      this.reasoning += part.reasoning ?? "";
      this.status.hidden = true;
      this.draw();
    }
  }

  /** Says what the turn waits for, until its first token is there. */
  waits(words) {
    if (this.firstToken === null) this.status.textContent = words;
  }

  note(words) {
    this.foot.before(el("p", { class: "note" }, words));
  }

  failed(words, again) {
    const retry = el("button", { type: "button", class: "quiet", onclick: again }, "Try again");
    this.foot.before(el("div", { class: "error", role: "alert" }, el("p", {}, words), retry));
  }

  ended() {
    this.status.remove();
    this.details.firstChild.textContent = "Thoughts";
    this.draw();
    this.foot.replaceChildren(...this.facts());
  }

  /** Draws once a frame, however many tokens came. */
  draw() {
    if (this.drawing) return;
    this.drawing = true;
    requestAnimationFrame(() => {
      this.drawing = false;
      this.details.hidden = !this.reasoning;
      this.thought.textContent = this.reasoning;
      this.said.replaceChildren(...markdown(this.text));
    });
  }

  facts() {
    const { node, engine, locality } = this.place;
    return [locality && el("span", { class: `badge ${locality}` }, locality), node, engine, ...this.counts()]
      .filter(Boolean)
      .map((fact) => (typeof fact === "string" ? el("span", {}, fact) : fact));
  }

  counts() {
    const facts = [];
    if (this.usage) {
      const cached = this.usage.prompt_tokens_details?.cached_tokens ?? 0;
      facts.push(`${plural(this.usage.prompt_tokens, "prompt token")}, ${count(cached)} cached`);
      facts.push(`${count(this.usage.completion_tokens)} written`);
    }
    if (this.firstToken !== null) facts.push(`first after ${seconds((this.firstToken - this.began) / 1000)}`);
    return [...facts, this.speed()];
  }

  /** The first token is not counted: it took the time of the prompt. */
  speed() {
    const took = (this.lastToken - this.firstToken) / 1000;
    const written = (this.usage?.completion_tokens ?? 0) - 1;
    return took > 0.2 && written > 0 ? `${count(written / took)} tokens/s` : null;
  }
}
