const SVG = "http://www.w3.org/2000/svg";
// What each element that `reconcile` made was made from.
const contents = new WeakMap();

/** The one element of the page that has this id. */
export const byId = (id) => document.getElementById(id);

/** Makes an element: a function is a listener, true an empty attribute, null and false none; strings become text. */
export const make = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);

/** Makes an element of a drawing, in the same way. */
export const draw = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

/** Writes an element's text if it is another: the browser would lay out the same one anew, too. */
export function write(element, text) {
  if (element.textContent !== text) {
    element.textContent = text;
  }
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (typeof value === "function") {
      element.addEventListener(name, value);
    } else if (value !== null && value !== undefined && value !== false) {
      element.setAttribute(name, value === true ? "" : value);
    }
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Makes the children of `parent` those of `items`, in order. What has not changed keeps its element, and its focus. */
export function reconcile(parent, items, key, build) {
  const present = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  const wanted = new Set(items.map((item) => String(key(item))));
  for (const [name, child] of present) {
    if (!wanted.has(name)) {
      child.remove();
    }
  }
  let next = parent.firstElementChild;
  for (const item of items) {
    const name = String(key(item));
    const content = JSON.stringify(item);
    let child = present.get(name);
    if (!child || contents.get(child) !== content) {
      const fresh = build(item);
      fresh.dataset.key = name;
      contents.set(fresh, content);
      if (child) {
        next = next === child ? fresh : next;
        replace(child, fresh);
      }
      child = fresh;
    }
    if (child === next) {
      next = next.nextElementSibling;
    } else {
      parent.insertBefore(child, next);
    }
  }
}

/** Puts `fresh` in the place of `old`; what has the same data-focus takes over the focus. */
function replace(old, fresh) {
  const focus = old.contains(document.activeElement) ? document.activeElement.dataset.focus : undefined;
  old.replaceWith(fresh);
  if (focus !== undefined) {
    fresh.querySelector(`[data-focus="${CSS.escape(focus)}"]`)?.focus();
  }
}

/** Returns a function that has `render` run once in the next frame, and within a second in a hidden tab. */
export function framed(render) {
  let frame = 0;
  let timer = 0;
  const run = () => {
    cancelAnimationFrame(frame);
    clearTimeout(timer);
    timer = 0;
    render();
  };
  return () => {
    if (timer === 0) {
      frame = requestAnimationFrame(run);
      timer = setTimeout(run, 1000);
    }
  };
}

/** An address that is safe to link to, or null: only those of web pages are. */
export function webAddress(text) {
  return URL.canParse(text ?? "") && /^https?:$/.test(new URL(text).protocol) ? text : null;
}
