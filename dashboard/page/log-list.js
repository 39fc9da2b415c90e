import { make } from "./elements.js";
import { makeRow } from "./log-row.js";

// Rows beyond either edge that are there before they are scrolled to.
const SPARE = 8;
// Rows that come faster than anyone reads are shown at intervals of that many milliseconds: that leaves the machine to
// what it runs. Up to so many new ones are shown at once.
const INTERVAL = 400;
const READABLE = 20;

/** The rows of the log, of which only those in sight are in the document. All rows have the same height. */
export class LogList {
  isFollowing = true;
  selected = null;
  pattern = null;
  #frame;
  #height;
  #window;
  #store;
  #choose;
  #changed;
  #rowHeight = 20;
  #viewport = 0;
  #top = 0;
  // The row at the upper edge, which stays there whatever comes and goes above it; and how much of it is hidden.
  #anchor = null;
  // The newest row that following has brought into sight, and when; null if the next rendering must not wait.
  #newest = null;
  #renderedAt = 0;
  // The rows that are in the document, and the place of the first of them.
  #placed = [];
  #first = 0;
  #elements = new Map();

  /** choose(message) is called for a row that is chosen, changed() when the rows have to be rendered. */
  constructor(frame, store, choose, changed) {
    this.#frame = frame;
    this.#height = frame.firstElementChild;
    this.#window = this.#height.firstElementChild;
    this.#store = store;
    this.#choose = choose;
    this.#changed = changed;
    frame.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    frame.addEventListener("click", (event) => this.#clicked(event));
    frame.addEventListener("keydown", (event) => this.#pressed(event));
    new ResizeObserver(() => this.#measure()).observe(frame);
  }

  get #rows() {
    return this.#store.selection.rows;
  }

  /** Shows the newest rows from now on. */
  follow() {
    this.isFollowing = true;
    this.#refresh();
  }

  /** Chooses a row and brings it into sight. */
  reveal(row) {
    this.isFollowing = false;
    this.selected = row;
    if (this.#isInSight(row)) {
      this.#setAnchor();
    } else {
      this.#center(row);
    }
    this.#choose(row.message);
    this.#refresh();
  }

  /** Chooses no row. */
  release() {
    this.selected = null;
    this.#refresh();
  }

  /** Has all rows made anew, since what they look like has changed. */
  renew() {
    this.#elements.clear();
    this.#refresh();
  }

  /** Brings the document into step with the rows of the store. Returns whether it is, or has to wait. */
  render() {
    if (this.#viewport === 0) {
      return true;
    }
    if (this.#isFlooded()) {
      return false;
    }
    const rows = this.#rows;
    const height = rows.length * this.#rowHeight;
    let top = Math.max(0, height - this.#viewport);
    if (!this.isFollowing) {
      const { row, hidden } = this.#anchor ?? {};
      top = Math.min(top, row ? Math.max(0, this.#store.selection.indexOf(row) * this.#rowHeight + hidden) : 0);
    }
    this.#top = top;
    this.#newest = rows.at(rows.length - 1) ?? null;
    this.#renderedAt = performance.now();
    this.#first = Math.max(0, Math.floor(top / this.#rowHeight) - SPARE);
    this.#height.style.height = `${height}px`;
    this.#window.style.transform = `translateY(${this.#first * this.#rowHeight}px)`;
    this.#place(this.#first, Math.min(rows.length, Math.ceil((top + this.#viewport) / this.#rowHeight) + SPARE));
    // Last, since the browser has to lay out everything for it.
    if (Math.abs(this.#frame.scrollTop - top) >= 1) {
      this.#frame.scrollTop = top;
    }
    return true;
  }

  #isFlooded() {
    if (!this.isFollowing || !this.#newest || performance.now() - this.#renderedAt > INTERVAL) {
      return false;
    }
    return this.#rows.length - 1 - this.#store.selection.indexOf(this.#newest) > READABLE;
  }

  /** Has the rows rendered in the next frame, however fast they come. */
  #refresh() {
    this.#newest = null;
    this.#changed();
  }

  #place(first, beyond) {
    const before = this.#elements;
    this.#elements = new Map();
    this.#placed = [];
    for (let index = first; index < beyond; index += 1) {
      const row = this.#rows.at(index);
      this.#placed.push(row);
      const stamp = row === row.message ? `${row.rest.length} ${row.isOpen}` : "";
      const known = before.get(row);
      this.#elements.set(row, known?.stamp === stamp ? known : { stamp, element: makeRow(row, this.pattern) });
    }
    const wanted = new Set([...this.#elements.values()].map(({ element }) => element));
    for (const child of [...this.#window.children]) {
      if (!wanted.has(child)) {
        child.remove();
      }
    }
    let next = this.#window.firstElementChild;
    let active = null;
    for (const [row, { element }] of this.#elements) {
      if (element === next) {
        next = next.nextElementSibling;
      } else {
        this.#window.insertBefore(element, next);
      }
      const isSelected = String(row === this.selected);
      if (element.ariaSelected !== isSelected) {
        element.ariaSelected = isSelected;
      }
      active = row === this.selected ? element.id : active;
    }
    if (active) {
      this.#frame.setAttribute("aria-activedescendant", active);
    } else {
      this.#frame.removeAttribute("aria-activedescendant");
    }
  }

  #isInSight(row) {
    const above = (this.#first + this.#placed.indexOf(row)) * this.#rowHeight - this.#top;
    return this.#placed.includes(row) && above >= 0 && above + this.#rowHeight <= this.#viewport;
  }

  #center(row) {
    this.#anchor = { row, hidden: -this.#viewport / 2 };
  }

  #measure() {
    const keepsInSight = this.selected && !this.isFollowing && this.#isInSight(this.selected);
    this.#viewport = this.#frame.clientHeight;
    const probe = make("div", { class: "row", role: "presentation" }, " ");
    this.#window.append(probe);
    this.#rowHeight = probe.getBoundingClientRect().height || this.#rowHeight;
    probe.remove();
    if (keepsInSight && !this.#isInSight(this.selected)) {
      this.#center(this.selected);
    }
    this.#refresh();
  }

  /** The row at a height of the document as it is, which may not have all rows of the store yet. */
  #rowAt(height) {
    const index = Math.floor(height / this.#rowHeight);
    return this.#placed[index - this.#first] ?? this.#rows.at(index);
  }

  #setAnchor() {
    const row = this.#rowAt(this.#top);
    this.#anchor = row ? { row, hidden: this.#top % this.#rowHeight } : null;
  }

  #scrolled() {
    const top = this.#frame.scrollTop;
    // The first is this list's own doing, the second that of a browser which shows or resizes it.
    if (Math.abs(top - this.#top) < 1 || this.#frame.clientHeight !== this.#viewport) {
      return;
    }
    const isAtEnd = top + this.#viewport >= this.#frame.scrollHeight - this.#rowHeight / 2;
    this.isFollowing = isAtEnd || (this.isFollowing && top > this.#top);
    this.#top = top;
    this.#setAnchor();
    this.#refresh();
  }

  #clicked(event) {
    const element = event.target.closest(".row");
    // A click that ends the marking of text is none.
    if (!element || !getSelection().isCollapsed) {
      return;
    }
    const [row] = [...this.#elements].find((entry) => entry[1].element === element) ?? [];
    if (row && event.target.closest(".fold")) {
      this.#fold(row.message, row.message.isOpen);
    } else if (row) {
      this.selected = row;
      this.#choose(row.message);
      this.#refresh();
    }
  }

  #fold(message, isFolded) {
    this.#setAnchor();
    this.#store.fold(message, isFolded);
    // What is unfolded is to be read.
    this.isFollowing &&= isFolded;
    this.#refresh();
  }

  #pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) {
      return;
    }
    const message = this.selected?.message;
    const actions = {
      ArrowDown: () => this.#move(1),
      ArrowUp: () => this.#move(-1),
      ArrowRight: () => message && this.#fold(message, false),
      ArrowLeft: () => {
        if (message) {
          this.selected = message;
          this.#fold(message, true);
        }
      },
      Enter: () => message && this.#fold(message, message.isOpen),
    };
    if (actions[event.key]) {
      event.preventDefault();
      actions[event.key]();
    }
  }

  #move(step) {
    const rows = this.#rows;
    if (rows.length === 0) {
      return;
    }
    const lowest = this.#rowAt(this.#top + this.#viewport - this.#rowHeight) ?? rows.at(rows.length - 1);
    const index = this.selected ? this.#store.selection.indexOf(this.selected) + step : -1;
    this.reveal(this.selected ? rows.at(Math.min(Math.max(index, 0), rows.length - 1)) : lowest);
  }
}
