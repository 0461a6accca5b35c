// The conversation: it is one session of the pool, named by this page, and it is kept nowhere else.

import { Answer } from "./answer.js";
import { ask, Refused } from "./api.js";
import { el } from "./dom.js";
import { seconds } from "./format.js";

const QUESTIONS = ["How do I add a machine?", "Why is my turn queued?", "What does local-only mean?"];
const NEAR_PX = 80;

export class Chat {
  constructor(page) {
    this.page = page;
    page.composer.addEventListener("submit", (event) => (event.preventDefault(), this.send()));
    page.prompt.addEventListener("keydown", (event) => this.key(event));
    page.prompt.addEventListener("input", () => this.fit());
    page.stop.addEventListener("click", () => this.running?.abort());
    page.newChat.addEventListener("click", () => this.restart());
    document.addEventListener("keydown", (event) => event.key === "Escape" && this.running?.abort());
    this.restart();
  }

  restart() {
    this.running?.abort();
    this.messages = [];
    this.session = newSession();
    this.page.log.replaceChildren(this.welcome());
    this.page.prompt.focus();
  }

  welcome() {
    const questions = QUESTIONS.map((question) =>
      el("button", { type: "button", class: "quiet", onclick: () => this.send(question) }, question),
    );
    return el(
      "div",
      { class: "welcome" },
      el("img", { src: "icon.svg", alt: "", width: "56", height: "56" }),
      el("h2", {}, "Your machines, one private AI"),
      el("p", {}, "What you write here goes to your own pool. Each answer says where it was computed."),
      el("div", { class: "questions" }, ...questions),
    );
  }

  key(event) {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    this.send();
  }

  /** Lets the field grow with its text, as far as its style allows. */
  fit() {
    this.page.prompt.style.height = "auto";
    this.page.prompt.style.height = `${this.page.prompt.scrollHeight}px`;
  }

  send(text = this.page.prompt.value.trim()) {
    if (!text || this.running) return;
    this.page.prompt.value = "";
    this.fit();
    this.page.log.querySelector(".welcome")?.remove();
    this.page.log.append(el("article", { class: "question" }, text));
    this.messages.push({ role: "user", content: text });
    this.answer();
  }

  async answer() {
    const { messages, session } = this;
    const answer = new Answer(performance.now());
    const running = new AbortController();
    this.begin(answer, running);
    try {
      const wanted = { model: this.page.model.value, messages, session, signal: running.signal };
      for await (const part of ask(wanted)) this.take(answer, part);
    } catch (fault) {
      this.explain(fault, answer);
    } finally {
      answer.ended();
      if (answer.text) messages.push({ role: "assistant", content: answer.text });
      if (this.running === running) this.end();
    }
  }

  take(answer, part) {
    if (part.waits) answer.waits(waitingWords(this.page.model.value, part.waits));
    const log = this.page.log;
    const follows = log.scrollHeight - log.scrollTop - log.clientHeight < NEAR_PX;
    answer.add(part, performance.now());
    if (follows) requestAnimationFrame(() => log.scrollTo(0, log.scrollHeight));
  }

  explain(fault, answer) {
    if (fault.name === "AbortError") answer.note("Stopped.");
    else if (fault instanceof Refused) answer.failed(fault.message, () => this.again(answer));
    else throw fault;
  }

  /** Asks the last question again in place of an answer that failed. */
  again(answer) {
    if (this.running || !answer.element.isConnected) return;
    answer.element.remove();
    if (this.messages.at(-1).role === "assistant") this.messages.pop();
    this.answer();
  }

  begin(answer, running) {
    for (const retry of this.page.log.querySelectorAll(".error button")) retry.remove();
    this.running = running;
    this.current = answer;
    this.page.log.append(answer.element);
    this.page.log.scrollTo(0, this.page.log.scrollHeight);
    this.buttons(true);
  }

  end() {
    this.running = this.current = null;
    this.buttons(false);
    this.page.prompt.focus();
  }

  buttons(isRunning) {
    this.page.stop.hidden = !isRunning;
    this.page.send.hidden = isRunning;
  }

  /** Tells a waiting turn from a view of the pool how far its model is, or its position. */
  seen(view) {
    const turn = this.current && view.queue.find((waiting) => waiting.session.includes(this.session));
    if (!turn) return;
    const model = view.models.find((one) => one.model === turn.model);
    const isLoading = model?.state === "loading";
    this.current.waits(waitingWords(turn.model, isLoading ? { ...turn, ...model } : { ...turn, state: "waiting" }));
  }
}

/** What a turn waits for, as the stream and the view tell it. */
function waitingWords(model, { state, stage, fraction, position, estimate_s }) {
  if (state !== "loading") return `Waiting for a place: number ${position}, about ${seconds(estimate_s)}`;
  const percent = typeof fraction === "number" ? `: ${Math.floor(fraction * 100)} %` : "";
  return `Loading ${model}${percent}${stage ? ` (${stage})` : ""}`;
}

/** Unguessable, so that nobody else's chat is taken for this one; works without HTTPS too. */
function newSession() {
  const bytes = crypto.getRandomValues(new Uint8Array(9));
  return `console-${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}
