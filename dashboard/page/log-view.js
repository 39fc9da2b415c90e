import { announce, complain } from "./actions.js";
import { LEVELS } from "./address.js";
import { byId, framed, make, reconcile, write } from "./elements.js";
import { clock, count, counted, day } from "./format.js";
import { LogDetail } from "./log-detail.js";
import { LogList } from "./log-list.js";
import { matcherOf } from "./log-text.js";

// Milliseconds of a frame that looking through the lines may take.
const BUDGET = 8;

/** The name that the lines of a resource have. Those of the Tiltfile are Tilt's own, which have none. */
export const logOf = (resource) => (resource === "(Tiltfile)" ? "" : resource);

/** The view of the logs: its controls, the list, the chosen message. */
export class LogView {
  #store;
  #filterChanged;
  #filter = { resources: new Set(), level: LEVELS[0], filter: "", regex: false };
  #project = "todo";
  #resources = [];
  // Names that lines came from, which Tilt need not list any more.
  #heard = new Set();
  #schedule = framed(() => this.#render());
  #list;
  #detail;

  /** filterChanged(filter) is called when the person has changed the filter. */
  constructor(store, filterChanged) {
    this.#store = store;
    this.#filterChanged = filterChanged;
    this.#detail = new LogDetail({
      copy: (text, what) => this.#copy(text, what),
      only: (resource) => this.#change({ resources: new Set([resource]) }),
      closed: () => {
        this.#list.release();
        byId("log").focus();
      },
    });
    this.#list = new LogList(byId("log"), store, (message) => this.#detail.show(message), this.#schedule);
    byId("level").addEventListener("change", () => this.#change({ level: byId("level").value }));
    byId("filter").addEventListener("input", () => this.#change({ filter: byId("filter").value }));
    byId("regex").addEventListener("change", () => this.#change({ regex: byId("regex").checked }));
    byId("pause").addEventListener("click", () => this.pause());
    byId("last-error").addEventListener("click", () => this.jumpToLastError());
    byId("copy").addEventListener("click", () => this.#copy(store.text(), counted(store.selection.matched, "line")));
    byId("download").addEventListener("click", () => this.download());
    byId("follow").addEventListener("click", () => (store.isPaused ? this.pause() : this.follow()));
    this.#showResources();
  }

  /** Filters as an address says. */
  apply({ resources, level, filter, regex }) {
    const wanted = { resources, level, filter, regex };
    if (Object.entries(wanted).every(([name, value]) => this.#filter[name] === value)) {
      return;
    }
    this.#filter = wanted;
    byId("level").value = level;
    byId("filter").value = filter;
    byId("regex").checked = regex;
    this.#select();
  }

  /** Takes in lines. */
  add(lines) {
    this.#store.add(lines);
    const known = this.#heard.size;
    for (const { resource } of lines) {
      this.#heard.add(resource);
    }
    if (this.#heard.size > known) {
      this.#showResources();
    }
    this.#schedule();
  }

  /** Takes in what Tilt says about the resources. */
  update({ project, resources }) {
    this.#project = project;
    this.#resources = resources;
    this.#showResources();
  }

  /** Holds back new lines, or goes on. */
  pause() {
    this.#store.pause(!this.#store.isPaused);
    this.#schedule();
  }

  /** Keeps the newest line in sight. */
  follow() {
    this.#list.follow();
  }

  /** Shows the newest error among the selected lines. */
  jumpToLastError() {
    const message = this.#store.lastError();
    if (message) {
      this.#list.reveal(message);
    } else {
      announce("There is no error among these lines.");
    }
  }

  /** Copies the chosen message, otherwise all selected lines. */
  copy() {
    if (this.#detail.message) {
      this.#copy(this.#detail.text(), "the message");
    } else {
      byId("copy").click();
    }
  }

  /** Saves the selected lines as a file. */
  download() {
    const address = URL.createObjectURL(new Blob([this.#store.text()], { type: "text/plain" }));
    const now = Date.now();
    const name = `${this.#project}-logs-${day(now)}-${clock(now).replaceAll(":", "-")}.txt`;
    make("a", { href: address, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(address), 60_000);
  }

  /** Closes the chosen message. */
  closeDetail() {
    if (this.#detail.message) {
      this.#detail.close();
    }
  }

  async #copy(text, what) {
    try {
      await navigator.clipboard.writeText(text);
      announce(`Copied ${what}.`);
    } catch {
      complain("The browser does not let this page copy. Mark the text and copy it yourself.");
    }
  }

  #change(part) {
    this.#filter = { ...this.#filter, ...part };
    this.#select();
    this.#filterChanged(this.#filter);
  }

  #select() {
    const { resources, level, filter, regex } = this.#filter;
    const { test, pattern, error } = matcherOf(filter, regex);
    byId("filter").ariaInvalid = error ? "true" : null;
    byId("filter-error").textContent = error ? `This is no regular expression, so it filters nothing. ${error}` : "";
    byId("filter-error").hidden = !error;
    this.#store.select({ resources, level, test });
    this.#list.pattern = pattern;
    this.#list.renew();
    this.#showResources();
  }

  #showResources() {
    const chosen = this.#filter.resources;
    const status = new Map(this.#resources.map((resource) => [logOf(resource.name), resource.status]));
    const names = new Set([...status.keys(), ...[...this.#heard, ...chosen].filter(Boolean), ""]);
    const chips = [...names].map((name) => ({ name, isOn: chosen.has(name), hasFailed: status.get(name) === "error" }));
    const all = { name: null, isOn: chosen.size === 0, hasFailed: false };
    const key = ({ name }) => (name === null ? "all" : `resource ${name}`);
    reconcile(byId("resources"), [all, ...chips], key, (chip) => this.#makeChip(chip));
  }

  #makeChip({ name, isOn, hasFailed }) {
    const toggle = () => {
      const resources = new Set(name === null ? [] : this.#filter.resources);
      if (name !== null && !resources.delete(name)) {
        resources.add(name);
      }
      this.#change({ resources });
    };
    return make(
      "button",
      { type: "button", class: "chip-button", "aria-pressed": String(isOn), "data-focus": "chip", click: toggle },
      hasFailed && make("span", { class: "sign", "data-status": "error" }, "✗ "),
      name === null ? "All" : name || "Tilt",
    );
  }

  #render() {
    const isDone = this.#store.advance(BUDGET);
    const isShown = this.#list.render();
    const { isPaused, held, total, selection } = this.#store;
    this.#detail.render();
    const { resources, level, filter } = this.#filter;
    const isFiltered = resources.size > 0 || level !== LEVELS[0] || (filter !== "" && this.#list.pattern !== null);
    const all = counted(total, "line");
    write(byId("match-count"), isFiltered ? `${count(selection.matched)} of ${all}` : all);
    write(byId("pause"), isPaused ? "Resume" : "Pause");
    byId("pause").ariaPressed = String(isPaused);
    const waiting = held === 0 ? "no new lines" : counted(held, "new line");
    write(byId("follow"), isPaused ? `Paused: ${waiting}` : "↓ Follow");
    byId("follow").hidden = !isPaused && this.#list.isFollowing;
    byId("log-empty").hidden = selection.rows.length > 0 || !isDone;
    const none = "No lines yet. What the resources log appears here.";
    write(byId("log-empty"), total === 0 ? none : `None of the ${all} passes this filter.`);
    if (!isDone || !isShown) {
      this.#schedule();
    }
  }
}
