import { act, makeButton } from "./actions.js";
import { byId, framed, make, reconcile, webAddress } from "./elements.js";
import { moment } from "./format.js";

/** A sign and a word for each status, so that colour is never all that tells. */
export const SIGNS = { ok: "✓", busy: "…", waiting: "…", error: "✗", disabled: "○", off: "○" };
const WORDS = { ok: "ready", busy: "at work", waiting: "waiting", error: "error", disabled: "disabled" };
const UPDATE = { ok: "up to date", in_progress: "at work", pending: "will begin", error: "failed", none: "not yet" };
const RUNTIME = { ok: "runs", pending: "starts", error: "does not run", none: "not yet", unknown: "not known" };
// What update and runtime have in common with a resource as a whole.
const OVERALL = { ok: "ok", in_progress: "busy", pending: "waiting", error: "error" };
// Characters of a version that tell it from others.
const VERSION = 8;

/** The view of the resources: what each does, why it is not ready, and what can be done about it. */
export class StateView {
  #state = { resources: [], buttons: [] };
  #showLogs;
  #schedule = framed(() => this.#render());

  /** showLogs(resource) shows the log of a resource. */
  constructor(showLogs) {
    this.#showLogs = showLogs;
  }

  /** Takes in the state of everything. */
  update(state) {
    this.#state = state;
    this.#schedule();
  }

  #render() {
    const { resources, buttons } = this.#state;
    reconcile(byId("global-buttons"), buttons, ({ id }) => id, makeButton);
    byId("global-buttons").hidden = buttons.length === 0;
    byId("state-empty").hidden = resources.length > 0;
    const names = [...new Set(resources.map(({ group }) => group))];
    const groups = byId("groups");
    reconcile(groups, names, (name) => name, (name) =>
      make("section", { class: "group" }, name && make("h2", {}, name), make("ul", { class: "card resources" })),
    );
    names.forEach((name, index) => {
      const members = resources.filter(({ group }) => group === name);
      reconcile(groups.children[index].lastElementChild, members, (member) => member.name, (one) => this.#make(one));
    });
  }

  #make(resource) {
    const { name, status, update, runtime, reason, detail, pods, buttons, links } = resource;
    const ways = links.filter(({ url }) => webAddress(url));
    return make(
      "li",
      { class: "resource", "data-status": status },
      make(
        "h3",
        {},
        make("span", { class: "sign", "data-status": status, "aria-hidden": "true" }, SIGNS[status]),
        make("span", { class: "name" }, name),
        make("span", { class: "word", "data-status": status }, WORDS[status]),
      ),
      make("dl", { class: "facts" }, ...fact("Update", update, UPDATE), ...fact("Runtime", runtime, RUNTIME)),
      make("div", { class: "buttons" }, ...this.#actions(resource)),
      (reason || update.error || detail.length > 0) &&
        make(
          "div",
          { class: "trouble", "data-status": status },
          reason && make("p", { class: "reason" }, reason),
          update.error && update.error !== reason && make("pre", {}, update.error),
          detail.length > 0 &&
            make("pre", { tabindex: 0, role: "group", "aria-label": "Last lines" }, detail.join("\n")),
        ),
      pods.length > 0 && podTable(pods),
      (ways.length > 0 || buttons.length > 0) &&
        make("div", { class: "buttons more" }, ...ways.map(makeWay), ...buttons.map(makeButton)),
    );
  }

  #actions({ name, canTrigger, canDisable, enabled }) {
    const action = (verb, click, title) => {
      const label = { title, "aria-label": `${verb} ${name}` };
      return make("button", { type: "button", class: "secondary", "data-focus": verb, ...label, click }, verb);
    };
    const ask = (verb, title) => action(verb, () => act({ action: verb.toLowerCase(), resource: name }), title);
    return [
      action("Logs", () => this.#showLogs(name), `Show the log of ${name}`),
      canTrigger && enabled && ask("Trigger", `Update ${name} now`),
      canDisable && enabled && ask("Disable", `Stop ${name} and take it away`),
      !enabled && ask("Enable", `Start ${name}`),
    ];
  }
}

const makeWay = ({ name, url }) =>
  make("a", { href: url, target: "_blank", rel: "noreferrer", "data-focus": url }, name);

function fact(label, { status, text }, words) {
  if (status === "not_applicable") {
    return [];
  }
  const overall = OVERALL[status] ?? "off";
  return [
    make("dt", {}, label),
    make(
      "dd",
      {},
      make("span", { class: "sign", "data-status": overall, "aria-hidden": "true" }, SIGNS[overall]),
      text || words[status] || status,
    ),
  ];
}

function podTable(pods) {
  const columns = ["Pod", "Status", "Serves", "Restarts", "Since"];
  const versions = new Set(pods.filter(({ ready, code }) => ready && code).map(({ code }) => code));
  const cell = (label, ...content) => make("td", { "data-label": label }, ...content);
  return make(
    "div",
    { class: "pods" },
    make(
      "table",
      {},
      make("thead", {}, make("tr", {}, ...columns.map((label) => make("th", { scope: "col" }, label)))),
      make(
        "tbody",
        {},
        ...pods.map((pod) =>
          make(
            "tr",
            {},
            make("th", { scope: "row" }, pod.name),
            cell(
              "Status",
              pod.ready ? `${pod.status}, ready` : pod.status,
              pod.reason && make("span", { class: "reason" }, pod.reason),
            ),
            cell("Serves", pod.code ? make("code", { title: pod.code }, pod.code.slice(0, VERSION)) : "–"),
            cell("Restarts", String(pod.restarts)),
            cell("Since", pod.created === null ? "–" : moment(pod.created)),
          ),
        ),
      ),
    ),
    versions.size > 1 && make("p", { class: "warning" }, `! The pods serve ${versions.size} versions at the moment.`),
  );
}
