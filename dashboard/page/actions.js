import { byId, make } from "./elements.js";

const TIMEOUT = 20_000;
const underWay = new Set();

/** Asks the dashboard to do `action`, once at a time. Says so if that was refused. */
export async function act(action) {
  const key = JSON.stringify(action);
  if (underWay.has(key)) {
    return;
  }
  underWay.add(key);
  try {
    const response = await fetch("/api/actions", {
      method: "POST",
      body: key,
      headers: {
        "Content-Type": "application/json",
        "X-Token": document.querySelector('meta[name="token"]').content,
      },
      signal: AbortSignal.timeout(TIMEOUT),
    });
    if (response.ok) {
      byId("notice").hidden = true;
      announce("Tilt has been told.");
    } else {
      const answer = await response.json().catch(() => ({}));
      complain(answer.error ?? `The dashboard answered with status ${response.status}.`);
    }
  } catch {
    complain("The dashboard does not answer; try again in a moment.");
  } finally {
    underWay.delete(key);
  }
}

/** The element of a button that the Tiltfile defines. */
export function makeButton({ id, text, confirm, disabled }) {
  const press = async () => {
    if (!confirm || (await isConfirmed(text))) {
      act({ action: "press", button: id });
    }
  };
  const attributes = { type: "button", class: "secondary", disabled, "data-focus": `press ${id}`, click: press };
  return make("button", attributes, text);
}

function isConfirmed(text) {
  const dialog = byId("confirm");
  byId("confirm-heading").textContent = `${text}?`;
  // Closed with Escape it would keep the answer of the last time.
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

/** Shows what went wrong, until it is dismissed. */
export function complain(text) {
  const notice = byId("notice");
  notice.querySelector(".notice-text").textContent = text;
  notice.hidden = false;
}

let fading;

/** Says something for a moment. */
export function announce(text) {
  clearTimeout(fading);
  byId("status").textContent = text;
  fading = setTimeout(() => {
    byId("status").textContent = "";
  }, 4_000);
}

byId("notice").querySelector(".notice-close").addEventListener("click", () => {
  byId("notice").hidden = true;
});
