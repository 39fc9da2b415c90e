import { byId, framed, make, reconcile } from "./elements.js";
import { count, counted, duration, moment } from "./format.js";
import { makeShape, Plot } from "./plot.js";
import { causeOf, endOf, outcomeOf, phasesOf, requestsOf } from "./save.js";

// As many as the dashboard keeps.
const MAXIMUM_SAVES = 500;
const ACTIONS = { "fast lane": "Fast lane", sync: "Sync", rebuild: "Rebuild", restart: "Restart", none: "No update" };

/** The view of the loop: figures of today, the plot, and each save. */
export class LoopView {
  #saves = new Map();
  #today = null;
  #plot = new Plot(byId("plot"), (id) => this.#reveal(id));
  #schedule = framed(() => this.#render());

  /** Takes in new and changed saves, and the figures of today. */
  update({ saves, today }) {
    for (const save of saves) {
      this.#saves.set(save.id, save);
    }
    const surplus = [...this.#saves.keys()].sort((one, other) => one - other).slice(0, -MAXIMUM_SAVES);
    for (const id of surplus) {
      this.#saves.delete(id);
    }
    this.#today = today;
    this.#schedule();
  }

  #render() {
    const saves = [...this.#saves.values()].sort((one, other) => one.time - other.time || one.id - other.id);
    byId("loop-empty").hidden = saves.length > 0;
    byId("plot").hidden = saves.length === 0;
    byId("today").hidden = this.#today === null;
    if (this.#today) {
      byId("today").replaceChildren(...figures(this.#today));
      byId("loop-badge").textContent = this.#today.p50 === null ? "" : duration(this.#today.p50);
    }
    this.#plot.show(saves, this.#today);
    // The bars have one scale; what took longer than it has room for fills it.
    const quick = saves.filter(({ served, action }) => served !== null && action !== "rebuild").slice(-100);
    byId("saves").style.setProperty("--scale", String(Math.max(100, ...quick.map(({ served }) => served))));
    reconcile(byId("saves"), saves.toReversed(), ({ id }) => id, makeEntry);
  }

  #reveal(id) {
    const entry = byId(`save-${id}`);
    entry.scrollIntoView({ block: "center" });
    entry.focus({ preventScroll: true });
  }
}

function figures({ count: saves, p50, p95, requests, failed, rebuilds }) {
  const figure = (label, value, note, isBad = false) =>
    make(
      "div",
      { class: "figure card", "data-bad": isBad },
      make("dt", {}, label),
      make("dd", {}, make("strong", {}, value), make("span", {}, note)),
    );
  const rebuilt = rebuilds === 0 ? "none was a rebuild" : `◆ ${counted(rebuilds, "rebuild")} among them`;
  const lost = `${failed > 0 ? "✗ " : ""}${count(failed)}`;
  return [
    figure("p50 today", duration(p50), "half of the saves are served sooner"),
    figure("p95 today", duration(p95), "19 of 20 saves are served sooner"),
    figure("Saves today", count(saves), rebuilt),
    figure("Failed requests", lost, `of ${counted(requests, "request")} today`, failed > 0),
  ];
}

function makeEntry(save) {
  const { id, time, files, resource, action, why, unexpected, failed } = save;
  const outcome = outcomeOf(save);
  const phases = phasesOf(save);
  return make(
    "li",
    { class: "save card", id: `save-${id}`, tabindex: -1, "data-outcome": outcome },
    make("time", { datetime: new Date(time).toISOString() }, moment(time)),
    make(
      "div",
      { class: "what" },
      make("p", { class: "files" }, files.join(", ") || "unknown file"),
      make(
        "p",
        { class: "about" },
        make("span", { class: "action" }, ACTIONS[action] ?? action, resource && ` · ${resource}`),
        make("span", { class: failed > 0 ? "bad" : null }, requestsOf(save)),
      ),
      unexpected
        ? make("p", { class: "warning" }, `! Unexpected rebuild, caused by ${causeOf(save)}. ${why}`)
        : why && make("p", { class: "why" }, why),
    ),
    make(
      "div",
      { class: "course" },
      make("p", { class: "end" }, makeShape(outcome), make("span", {}, endOf(save))),
      phases.length > 0 && make("div", { class: "bar", "aria-hidden": "true" }, ...phases.map(makePart)),
      phases.length > 0 &&
        make(
          "p",
          { class: "phases" },
          ...phases.map(([name, took]) => make("span", { "data-phase": name }, `${name} ${duration(took)}`)),
        ),
    ),
  );
}

function makePart([name, milliseconds]) {
  const part = make("span", { "data-phase": name });
  part.style.setProperty("--milliseconds", String(milliseconds));
  return part;
}
