import { readAddress, VIEWS, writeAddress } from "./address.js";
import { byId, webAddress } from "./elements.js";
import { startFeed } from "./feed.js";
import { count } from "./format.js";
import { LogStore } from "./log-store.js";
import { logOf, LogView } from "./log-view.js";
import { LoopView } from "./loop-view.js";
import { SIGNS, StateView } from "./state-view.js";

// Milliseconds until a lost connection is worth a word, and until what is typed gets into the address.
const PATIENCE = 2_000;
const TYPING = 200;

const store = new LogStore();
const logs = new LogView(store, (filter) => {
  address = { ...address, ...filter };
  clearTimeout(writing);
  writing = setTimeout(writeFilter, TYPING);
});
const loop = new LoopView();
const resourceState = new StateView((resource) => show("logs", { resources: new Set([logOf(resource)]) }));

// --- The address: which view, which lines ----------------------------------------------------------------------------

let address = readAddress(location.search);
let writing;

function writeFilter() {
  clearTimeout(writing);
  history.replaceState(null, "", writeAddress(address));
}

/** Goes to a view, as if by a link. */
function show(view, filter = {}) {
  writeFilter();
  address = { ...address, ...filter, view };
  if (writeAddress(address) === location.pathname + location.search) {
    return;
  }
  history.pushState(null, "", writeAddress(address));
  applyAddress();
}

function applyAddress() {
  for (const view of VIEWS) {
    byId(view).hidden = view !== address.view;
  }
  document.body.dataset.view = address.view;
  for (const link of document.querySelectorAll("nav a")) {
    link.ariaCurrent = link.dataset.view === address.view ? "page" : null;
  }
  logs.apply(address);
}

addEventListener("popstate", () => {
  address = readAddress(location.search);
  applyAddress();
});

document.querySelector("nav").addEventListener("click", (event) => {
  const link = event.target.closest("a");
  // With a modifier the browser opens another tab.
  if (link && event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
    event.preventDefault();
    show(link.dataset.view);
  }
});

// --- What the dashboard sends ----------------------------------------------------------------------------------------

let epoch = null;
let state = null;
let isConnected = false;
let impatience = setTimeout(showOverall, PATIENCE);

startFeed(() => (store.lastId > 0 ? `${epoch}-${store.lastId}` : null), {
  hello({ epoch: present, first }) {
    if (epoch !== null && present !== epoch) {
      // Another dashboard: it counts the lines from 1, and has its own token and perhaps another page.
      writeFilter();
      location.reload();
    } else if (store.lastId > 0 && first > store.lastId + 1) {
      logs.add([missing(first - 1 - store.lastId, first - 1)]);
    }
    epoch = present;
  },
  lines: (lines) => logs.add(lines),
  saves: (saves) => loop.update(saves),
  state(present) {
    state = present;
    logs.update(state);
    resourceState.update(state);
    showOverall();
  },
  connection(connected) {
    if (connected !== isConnected) {
      isConnected = connected;
      clearTimeout(impatience);
      // A moment without a connection is no news: it comes back by itself.
      impatience = setTimeout(showOverall, connected ? 0 : PATIENCE);
    }
  },
});

/** The line that stands where the dashboard has forgotten lines before this page got them. */
function missing(lines, id) {
  const text = `${count(lines)} lines are missing here: they came while this page had no connection.`;
  return { id, time: Date.now(), resource: "", source: "runtime", level: "warn", pod: "", text, head: null };
}

function showOverall() {
  const { status, text } = !isConnected
    ? { status: "off", text: "No connection" }
    : (state?.overall ?? { status: "busy", text: "Waiting for Tilt" });
  const project = state?.project ?? "dashboard";
  document.title = `${SIGNS[status]} ${text} · ${project}`;
  byId("favicon").href = `/favicon-${status}.svg`;
  byId("mark").src = `/favicon-${status}.svg`;
  byId("project").textContent = project;
  const overall = byId("overall");
  overall.dataset.status = status;
  overall.title = text;
  overall.querySelector(".sign").textContent = SIGNS[status];
  overall.querySelector(".overall-text").textContent = text;
  const failed = state?.resources.filter((resource) => resource.status === "error").length ?? 0;
  byId("state-badge").textContent = failed === 0 ? "" : `✗ ${failed}`;
  showWay("open-page", state?.page);
  showWay("open-tilt", state?.tilt.hasPage ? state.tilt.url : null);
  showBanner();
}

function showWay(id, url) {
  byId(id).hidden = !webAddress(url);
  if (webAddress(url)) {
    byId(id).href = url;
  }
}

function showBanner() {
  const banner = byId("banner");
  banner.hidden = isConnected && state?.tilt.connected !== false;
  const why = state?.tilt.error ? ` (${state.tilt.error})` : "";
  const what = isConnected ? `Tilt does not run${why}.` : "The dashboard does not answer.";
  const lines = store.total > 0 ? "The lines stay here, and this" : "This";
  banner.querySelector(".banner-text").textContent = `${what} Start it with`;
  banner.querySelector(".banner-end").textContent = `. ${lines} page connects by itself.`;
}

// --- The keyboard ----------------------------------------------------------------------------------------------------

const inLogs = (action) => () => {
  if (address.view !== "logs") {
    show("logs");
  }
  action();
};
const onlyInLogs = (action) => () => address.view === "logs" && action();

const SHORTCUTS = {
  1: () => show("logs"),
  2: () => show("state"),
  3: () => show("loop"),
  "/": inLogs(() => {
    byId("filter").focus();
    byId("filter").select();
  }),
  e: inLogs(() => logs.jumpToLastError()),
  p: onlyInLogs(() => logs.pause()),
  c: onlyInLogs(() => logs.copy()),
  d: onlyInLogs(() => logs.download()),
  End: onlyInLogs(() => logs.follow()),
  Escape: onlyInLogs(() => logs.closeDetail()),
  "?": () => byId("help").showModal(),
};

addEventListener("keydown", (event) => {
  const isTyping = event.target.closest("input:not([type=checkbox]), select, dialog") !== null;
  if (event.key === "Escape" && event.target.id === "filter") {
    byId("log").focus();
  } else if (!isTyping && !event.ctrlKey && !event.metaKey && !event.altKey && SHORTCUTS[event.key]) {
    // The key is not to be typed into the field that it leads to.
    event.preventDefault();
    SHORTCUTS[event.key]();
  }
});

byId("show-help").addEventListener("click", () => byId("help").showModal());
applyAddress();
