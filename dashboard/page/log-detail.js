import { byId, make } from "./elements.js";
import { counted, day, preciseClock } from "./format.js";
import { fieldsOf, linesOf, plainLine } from "./log-text.js";

/** The panel with the chosen message in full. */
export class LogDetail {
  message = null;
  #panel = byId("detail");
  #shownLines = 0;

  /** copy(text, what) copies, only(resource) narrows the log to a resource, closed() is called after closing. */
  constructor({ copy, only, closed }) {
    const part = (name) => this.#panel.querySelector(`.detail-${name}`);
    part("copy").addEventListener("click", () => copy(this.text(), "the message"));
    part("only").addEventListener("click", () => only(this.message.line.resource));
    part("close").addEventListener("click", () => this.close());
    this.closed = closed;
  }

  /** Shows a message. */
  show(message) {
    this.message = message;
    this.#shownLines = 0;
    this.render();
  }

  /** Takes the panel away. */
  close() {
    this.message = null;
    this.#panel.hidden = true;
    this.closed();
  }

  /** The message as it is copied. */
  text() {
    return linesOf(this.message).map((line) => `${plainLine(line)}\n`).join("");
  }

  /** Brings the panel into step with the message, which may have grown. */
  render() {
    this.#panel.hidden = this.message === null;
    if (this.message === null || this.#shownLines === this.message.size) {
      return;
    }
    this.#shownLines = this.message.size;
    const part = (name) => this.#panel.querySelector(`.detail-${name}`);
    const { line } = this.message;
    const name = line.resource || "Tilt";
    part("about").textContent = [
      `${day(line.time)} ${preciseClock(line.time)}`,
      line.level,
      line.source === "build" ? `build of ${name}` : name,
      line.pod,
      this.message.size > 1 ? counted(this.message.size, "line") : "",
    ].filter(Boolean).join(" · ");
    part("only").textContent = `Only ${name}`;
    const fields = fieldsOf(line.text)?.fields ?? [];
    part("fields").replaceChildren(
      ...fields.flatMap(([field, value]) => [make("dt", {}, field), make("dd", {}, value)]),
    );
    part("text").textContent = linesOf(this.message)
      .map(({ text }) => fieldsOf(text)?.message || text)
      .join("\n");
  }
}
