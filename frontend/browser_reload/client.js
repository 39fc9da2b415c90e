// The page's side of browser-reload, in development only: reloads the page when every replica serves newer code than it
// was made of, replaces style sheets in place, and shows why code does not start.

const EVENTS = "/_dev/events";
// Milliseconds. The service repeats itself every 5 s, so a longer silence is a lost connection.
const LONGEST_SILENCE = 15_000;
const RETRY_INTERVAL = 1_000;
// How long a page may take to become what it was before.
const GROWTH_LIMIT = 5_000;
// In the tab's sessionStorage: the code that the page is made of, and what outlives a reload.
const CODE = "browser-reload-code";
const KEPT = "browser-reload";

// --- The stream of states --------------------------------------------------------------------------------------------

let stream = null;
let timer = 0;
// The page's own modules come first; the stream is asked for before they ask anything.
let queue = new Promise((resolve) => document.addEventListener("DOMContentLoaded", resolve)).then(start);

/** Listens while the tab is visible and only then: browsers allow few connections, and the service rests without any. */
function listen() {
  clearTimeout(timer);
  stream?.close();
  stream = null;
  if (document.visibilityState === "visible" && !leaving) {
    stream = new EventSource(EVENTS);
    stream.onmessage = ({ data }) => {
      listenAgainAfter(LONGEST_SILENCE);
      receive(JSON.parse(data));
    };
    // A browser itself gives up when an error status comes.
    stream.onerror = () => {
      stream.close();
      listenAgainAfter(RETRY_INTERVAL);
    };
  }
}

function listenAgainAfter(milliseconds) {
  clearTimeout(timer);
  timer = setTimeout(listen, milliseconds);
}

function receive(state) {
  queue = queue.then(() => apply(state)).catch(console.error);
}

function start() {
  original = new WeakSet(document.querySelectorAll("input, textarea"));
  restore();
  new MutationObserver(update).observe(document.body, {
    attributeFilter: ["aria-busy"],
    childList: true,
    subtree: true,
  });
}

// --- What the page is made of ----------------------------------------------------------------------------------------

// The backend's code: what the tab knew when it was told the last time, so that a page which was loaded by hand in the
// middle of a change is not taken for the result. Digests of files, by name.
let knownCode = sessionStorage.getItem(CODE);
const knownFiles = new Map();
// What is newer now.
const stale = { code: false, files: false };

const nameOf = (address) => new URL(address, location).pathname.slice(1) || "index.html";

// By name, the addresses from which the page and its parts were loaded.
const used = new Map([[nameOf(location), location.href]]);
const noteUse = (entries) => entries.forEach(({ name }) => used.has(nameOf(name)) || used.set(nameOf(name), name));
const resources = new PerformanceObserver((list) => noteUse(list.getEntries()));
resources.observe({ type: "resource", buffered: true });

async function apply(state) {
  overlay.show(state.failure);
  if (state.code !== null) {
    if (knownCode === null) {
      rememberCode(state.code);
    }
    stale.code = state.code !== knownCode;
  }
  if (state.files !== null) {
    const changed = await changedFiles(state.files);
    const remaining = changed.filter((name) => !replaceSheets(name, state.files[name]));
    stale.files = remaining.length > 0;
  }
  latest = state;
  update();
}

function rememberCode(code) {
  knownCode = code;
  sessionStorage.setItem(CODE, code);
}

/** Names of the files in use that are not what the page was loaded with. */
async function changedFiles(files) {
  noteUse(resources.takeRecords());
  for (const [name, address] of used) {
    if (name in files && !knownFiles.has(name)) {
      // A page that seems older than what it was reloaded for would not get newer by another reload.
      const wasReloadedFor = files[name] === reloadedFor?.[name];
      knownFiles.set(name, wasReloadedFor ? files[name] : ((await digestOfLoaded(address)) ?? files[name]));
    }
  }
  return [...knownFiles].filter(([name, digest]) => files[name] !== digest).map(([name]) => name);
}

/** Digest of the copy in the browser's cache; empty for an error, undefined where the browser cannot tell. */
async function digestOfLoaded(address) {
  // Browsers compute digests only for pages that came by HTTPS or from localhost.
  const response = await fetch(address, { cache: "force-cache" }).catch(() => undefined);
  if (!response || !crypto.subtle) {
    return undefined;
  }
  const digest = await crypto.subtle.digest("SHA-256", await response.arrayBuffer());
  return response.ok ? hex(digest) : "";
}

const hex = (buffer) => [...new Uint8Array(buffer)].map((byte) => byte.toString(16).padStart(2, "0")).join("");

/** Replaces the page's links to a style sheet, without a moment between. Returns whether there are any. */
function replaceSheets(name, digest) {
  const links = [...document.querySelectorAll("link[rel~=stylesheet]")].filter(({ href }) => nameOf(href) === name);
  if (digest === undefined || links.length === 0) {
    return false;
  }
  const next = links.at(-1).cloneNode();
  next.href = `/${name}?v=${digest}`;
  next.onload = () => links.forEach((link) => link.remove());
  next.onerror = () => {
    next.remove();
    // So that the next state is another try.
    knownFiles.set(name, "");
  };
  links.at(-1).after(next);
  knownFiles.set(name, digest);
  return true;
}

// --- The reload ------------------------------------------------------------------------------------------------------

let latest = null;
let leaving = false;
// Digests of files, by name.
let reloadedFor = null;
// What comes with the document comes back with it; what scripts add later does not.
let original = new WeakSet();
const comesBack = (field) => original.has(field) && field.type !== "password";
const isInUse = (field) => field.value !== "" || field === document.activeElement;
const fields = () => [...document.querySelectorAll("input:read-write, textarea:read-write")];

/** Reloads as soon as that is due and loses nothing: no text that would not come back, no answer under way. */
function update() {
  const due = (stale.code || stale.files) && !leaving;
  const hindered =
    fields().some((field) => isInUse(field) && !comesBack(field)) || document.querySelector("[aria-busy=true]") !== null;
  notice.show(due && hindered);
  if (due && !hindered) {
    reload();
  }
}

function reload() {
  leaving = true;
  listen();
  if (latest.code !== null) {
    // This code or a newer one answers the page's next requests.
    rememberCode(latest.code);
  }
  sessionStorage.setItem(KEPT, JSON.stringify(keepsake()));
  location.reload();
}

/** All that is to outlive a reload. */
function keepsake() {
  const activeElement = document.activeElement ?? document.body;
  return {
    address: location.href,
    files: latest.files,
    fields: fields()
      .filter((field) => comesBack(field) && field.value !== field.defaultValue)
      .map((field) => [pathTo(field), field.value]),
    focus: pathTo(activeElement),
    selection: [activeElement.selectionStart, activeElement.selectionEnd, activeElement.selectionDirection],
    scroll: scrollAnchor(),
  };
}

function restore() {
  const kept = JSON.parse(sessionStorage.getItem(KEPT));
  sessionStorage.removeItem(KEPT);
  if (kept?.address !== location.href) {
    return;
  }
  reloadedFor = kept.files;
  for (const [path, value] of kept.fields) {
    const field = document.querySelector(path);
    if (field) {
      field.value = value;
      field.dispatchEvent(new InputEvent("input", { bubbles: true }));
    } else {
      console.warn(`browser-reload: ${path} is gone; its text was: ${value}`);
    }
  }
  const focused = document.querySelector(kept.focus);
  focused?.focus({ preventScroll: true });
  // Inputs of some types, such as numbers, have none.
  if (focused && kept.selection[0] !== null) {
    focused.setSelectionRange(...kept.selection);
  }
  restoreScroll(kept.scroll);
}

/** What is at the top of the window, and how far above or below the edge it starts. */
function scrollAnchor() {
  const element = document.elementFromPoint(window.innerWidth / 2, 1) ?? document.body;
  return [pathTo(element), element.getBoundingClientRect().top];
}

/** Keeps the anchor in its place while the page grows, until the person does something. */
function restoreScroll([path, top]) {
  const growth = new ResizeObserver(() => {
    const anchor = document.querySelector(path);
    if (anchor) {
      window.scrollBy({ top: anchor.getBoundingClientRect().top - top, behavior: "instant" });
    }
  });
  growth.observe(document.documentElement);
  const stop = () => growth.disconnect();
  setTimeout(stop, GROWTH_LIMIT);
  for (const type of ["keydown", "pointerdown", "touchstart", "wheel"]) {
    window.addEventListener(type, stop, { once: true });
  }
}

/** A selector by which an element is found again in the next version of the document. */
function pathTo(element) {
  // Not as properties: a form's are hidden by fields of the same names.
  const [id, name] = [element.getAttribute("id"), element.getAttribute("name")];
  if (id) {
    return `#${CSS.escape(id)}`;
  }
  if (name && element.form) {
    return `${pathTo(element.form)} ${element.localName}[name="${CSS.escape(name)}"]`;
  }
  const parent = element.parentElement;
  return parent
    ? `${pathTo(parent)} > ${element.localName}:nth-child(${[...parent.children].indexOf(element) + 1})`
    : element.localName;
}

// --- What is shown over the page -------------------------------------------------------------------------------------

const STYLE = `
  :host { all: initial; position: fixed; inset: auto 0 0; z-index: 2147483647; color-scheme: light dark; }
  section { display: grid; grid-template-columns: 1fr auto; align-items: start; gap: 0.5rem 1rem; padding: 0.75rem 1rem;
    border-top: 4px solid light-dark(#0f766e, #5bd6c3); background: light-dark(#ffffff, #19201e);
    color: light-dark(#16211e, #e8eeec); box-shadow: 0 -4px 24px rgb(0 0 0 / 25%); font: 1rem/1.5 system-ui, sans-serif; }
  section.failure { max-height: 60vh; grid-template-rows: auto minmax(0, 1fr); border-color: light-dark(#b3261e, #ff9d93); }
  /* An answer that is nearly there is not worth a message. */
  section.notice { animation: appear 0.2s 0.4s both; }
  @keyframes appear { from { opacity: 0; visibility: hidden; } }
  h2, p { margin: 0; font-size: 1rem; overflow-wrap: anywhere; }
  pre { grid-column: 1 / -1; margin: 0; overflow: auto; font: 0.875rem/1.5 ui-monospace, Menlo, Consolas, monospace; }
  button { font: inherit; }
`;

const make = (tag, properties, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};

const host = document.body.appendChild(document.createElement("div"));
const root = host.attachShadow({ mode: "open" });
const sheet = new CSSStyleSheet();
sheet.replaceSync(STYLE);
root.adoptedStyleSheets = [sheet];

const notice = {
  section: make(
    "section",
    { className: "notice", role: "status" },
    make("p", { textContent: "New code is served. A reload now would lose what you are at." }),
    make("button", { textContent: "Reload", onclick: reload }),
  ),

  show(wanted) {
    if (!wanted) {
      this.section.remove();
    } else if (!this.section.isConnected) {
      root.append(this.section);
    }
  },
};

const overlay = {
  section: null,
  shown: null,

  /** Shows a failure, or takes the last one away with null. One that a person has hidden stays hidden. */
  show(failure) {
    const text = JSON.stringify(failure);
    if (text === this.shown) {
      return;
    }
    this.hide();
    this.shown = text;
    if (failure) {
      const { pod, serving, files, error, traceback } = failure;
      const consequence = serving ? "the old code serves on" : "nothing serves";
      this.section = make(
        "section",
        { className: "failure", ariaLabel: "The backend does not start" },
        make(
          "div",
          { role: "alert" },
          make("h2", { textContent: error }),
          make("p", { textContent: `${files.join(", ")} · pod ${pod}: ${consequence}` }),
        ),
        make("button", { textContent: "Hide (Esc)", onclick: () => this.hide() }),
        make("pre", { tabIndex: 0, textContent: traceback }),
      );
      root.append(this.section);
    }
  },

  hide() {
    this.section?.remove();
    this.section = null;
  },
};

// Before the page sees the key: its first press is for the overlay, which is on top.
window.addEventListener(
  "keydown",
  (event) => {
    if (event.key === "Escape" && !event.isComposing && overlay.section) {
      event.stopImmediatePropagation();
      overlay.hide();
    }
  },
  { capture: true },
);

document.addEventListener("visibilitychange", listen);
listen();
