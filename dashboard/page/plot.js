import { draw, make } from "./elements.js";
import { clock, duration, moment } from "./format.js";
import { endOf, outcomeOf, phasesOf, requestsOf } from "./save.js";

// Milliseconds at the foot of the logarithmic scale, and what it reaches at least.
const FLOOR = 5;
const LEAST_TOP = 1_000;
const HEIGHT = 256;
const EDGE = { left: 64, top: 40, bottom: 34 };
// On the right there are labels, which are shorter in a narrow page.
const NARROW = 600;
const LABELS = { long: 104, short: 40 };
// Pixels: of one save, and between two labels.
const NARROWEST = 12;
const WIDEST = 28;
const LABEL_DISTANCE = 84;
const LINE_DISTANCE = 14;
// A longer time between two saves is drawn as a gap.
const PAUSE = 30 * 60_000;
const LEGEND = { served: "served", rebuild: "rebuild", failed: "not served", running: "under way", none: "no update" };
const PHASES = { detect: "detect", copy: "copy", reload: "reload", rest: "until all replicas serve it" };
const SHAPES = {
  served: () => draw("circle", { r: 4.5 }),
  rebuild: () => draw("path", { d: "M0-6.5 6.5 0 0 6.5-6.5 0z" }),
  failed: () => draw("path", { d: "M-4.5-4.5 4.5 4.5M4.5-4.5-4.5 4.5" }),
  running: () => draw("circle", { r: 4 }),
  none: () => draw("path", { d: "M-4 0H4" }),
};

/** The mark of an outcome, to stand in text. */
export const makeShape = (outcome) => makeIcon(drawShape(outcome));

const makeIcon = (content) => draw("svg", { viewBox: "-8 -8 16 16", class: "shape", "aria-hidden": "true" }, content);

const drawShape = (outcome) => draw("g", { class: "shape-mark", "data-outcome": outcome }, SHAPES[outcome]());

/** The saves in the order of time; how high a mark stands is how long it took, on a logarithmic scale. */
export class Plot {
  #figure;
  #drawing = draw("svg", { class: "drawing", height: HEIGHT, role: "group", "aria-label": "How long each save took" });
  #tip = make("div", { class: "tip", hidden: true, "aria-hidden": "true" });
  #saves = [];
  #today = null;
  #current = null;

  /** choose(id) is called for a save that is clicked. */
  constructor(figure, choose) {
    this.#figure = figure;
    figure.append(this.#drawing, this.#tip, makeLegend());
    const idOf = (event) => Number(event.target.closest(".mark")?.dataset.id ?? NaN);
    for (const name of ["pointerover", "focusin"]) {
      this.#drawing.addEventListener(name, (event) => this.#explain(idOf(event)));
    }
    for (const name of ["pointerleave", "focusout"]) {
      this.#drawing.addEventListener(name, () => this.#explain(NaN));
    }
    this.#drawing.addEventListener("click", (event) => idOf(event) && choose(idOf(event)));
    this.#drawing.addEventListener("keydown", (event) => this.#pressed(event, idOf(event), choose));
    new ResizeObserver(() => this.#render()).observe(figure);
  }

  /** Shows these saves, the oldest first, and the figures of today. */
  show(saves, today) {
    this.#saves = saves;
    this.#today = today;
    this.#render();
  }

  #render() {
    const width = this.#figure.clientWidth;
    if (width === 0 || this.#saves.length === 0) {
      return;
    }
    const right = width - (width < NARROW ? LABELS.short : LABELS.long);
    const room = right - EDGE.left;
    const shown = this.#saves.slice(-Math.max(1, Math.floor(room / NARROWEST)));
    const slot = Math.min(WIDEST, room / shown.length);
    const heights = shown.map((save) => phasesOf(save).reduce((sum, [, milliseconds]) => sum + milliseconds, 0));
    const top = 10 ** Math.ceil(Math.log10(Math.max(LEAST_TOP, ...heights)));
    const foot = HEIGHT - EDGE.bottom;
    const scale = (foot - EDGE.top) / Math.log(top / FLOOR);
    const place = {
      foot,
      slot,
      right,
      isNarrow: width < NARROW,
      top,
      x: (index) => EDGE.left + (index + 0.5) * slot,
      y: (milliseconds) => foot - scale * Math.log(Math.max(milliseconds, FLOOR) / FLOOR),
    };
    const focused = this.#drawing.contains(document.activeElement) ? document.activeElement.dataset.id : null;
    this.#drawing.setAttribute("width", width);
    this.#drawing.replaceChildren(
      ...drawGrid(place),
      ...drawFigures(place, this.#today),
      ...drawTimes(place, shown),
      ...shown.map((save, index) => drawMark(place, save, index)),
    );
    const current = this.#markOf(this.#current) ?? this.#drawing.querySelector(".mark:last-of-type");
    current.setAttribute("tabindex", "0");
    if (focused !== null) {
      this.#markOf(focused)?.focus();
    }
  }

  #markOf(id) {
    return this.#drawing.querySelector(`.mark[data-id="${id}"]`);
  }

  /** Shows the details of a save beside its mark; of none, if the id is not a number. */
  #explain(id) {
    const save = this.#saves.find((candidate) => candidate.id === id);
    this.#tip.hidden = !save;
    if (!save) {
      return;
    }
    this.#tip.replaceChildren(
      make("p", { class: "files" }, save.files.join(", ")),
      ...describe(save).map((text) => make("p", {}, text)),
    );
    const mark = this.#markOf(id).getBoundingClientRect();
    const figure = this.#figure.getBoundingClientRect();
    const middle = mark.x + mark.width / 2 - figure.x;
    const beside = middle > figure.width / 2 ? middle - this.#tip.offsetWidth - 14 : middle + 14;
    this.#tip.style.left = `${Math.max(4, Math.min(beside, figure.width - this.#tip.offsetWidth - 4))}px`;
  }

  #pressed(event, id, choose) {
    const step = { ArrowLeft: "previousElementSibling", ArrowRight: "nextElementSibling" }[event.key];
    if (step) {
      const mark = this.#markOf(id)?.[step];
      if (mark?.matches(".mark")) {
        this.#markOf(id).setAttribute("tabindex", "-1");
        mark.setAttribute("tabindex", "0");
        this.#current = mark.dataset.id;
        mark.focus();
      }
      event.preventDefault();
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      choose(id);
    }
  }
}

/** The details of a save, one sentence each. */
function describe(save) {
  const phases = phasesOf(save).map(([name, milliseconds]) => `${name} ${duration(milliseconds)}`);
  const what = `${moment(save.time)}, ${save.action === "none" ? "no update" : save.action}`;
  return [what, endOf(save), phases.join(" · "), requestsOf(save), save.why].filter(Boolean);
}

function drawMark({ x, y, foot, slot }, save, index) {
  const outcome = outcomeOf(save);
  const phases = phasesOf(save);
  const broad = Math.min(8, slot * 0.45);
  let done = 0;
  const stem = phases.map(([name, milliseconds]) => {
    const from = y(done);
    done += milliseconds;
    const height = Math.max(0, from - y(done));
    return draw("rect", { class: "stem", "data-phase": name, x: -broad / 2, y: y(done), width: broad, height });
  });
  // What was never served has no height; it stands above all others.
  const height = outcome === "failed" ? EDGE.top - 18 : y(done);
  const shape = drawShape(outcome);
  shape.setAttribute("transform", `translate(0 ${height})`);
  return draw(
    "g",
    {
      class: "mark",
      role: "button",
      tabindex: -1,
      "data-id": save.id,
      "aria-label": [save.files.join(", "), ...describe(save)].join(". "),
      transform: `translate(${x(index)} 0)`,
    },
    draw("rect", { class: "reach", x: -slot / 2, y: 4, width: slot, height: foot + 10 }),
    outcome === "failed" && draw("path", { class: "dashes", d: `M0 ${y(done)}V${height + 6}` }),
    stem,
    shape,
    save.unexpected && draw("text", { class: "alarm", y: height - 11, "text-anchor": "middle" }, "!"),
    save.failed > 0 && draw("path", { class: "dropped", d: `M-4.5 ${foot + 5}H4.5L0 ${foot + 12}z` }),
  );
}

function drawGrid({ foot, right, top, y }) {
  const lines = [];
  for (let value = 10; value <= top; value *= 10) {
    lines.push(
      draw("path", { class: "grid", d: `M${EDGE.left} ${y(value)}H${right}` }),
      draw("text", { class: "label", x: EDGE.left - 8, y: y(value) + 4, "text-anchor": "end" }, roundDuration(value)),
    );
  }
  return [
    ...lines,
    draw("path", { class: "axis", d: `M${EDGE.left} ${foot}H${right}` }),
    draw("text", { class: "label", x: EDGE.left - 8, y: EDGE.top - 14, "text-anchor": "end" }, "failed"),
  ];
}

const roundDuration = (milliseconds) => (milliseconds < 1000 ? `${milliseconds} ms` : `${milliseconds / 1000} s`);

/** Lines at what half and 19 of 20 of today's saves take, with labels that keep clear of each other. */
function drawFigures({ right, y, isNarrow }, today) {
  let lowest = Infinity;
  return ["p50", "p95"].filter((name) => today?.[name]).flatMap((name) => {
    const height = y(today[name]);
    const label = Math.min(height + 4, lowest - LINE_DISTANCE);
    const text = isNarrow ? name : `${name} ${duration(today[name])}`;
    lowest = label;
    return [
      draw("path", { class: "figure-line", d: `M${EDGE.left} ${height}H${right}` }),
      draw("text", { class: "label figure-label", x: right + 6, y: label }, text),
    ];
  });
}

function drawTimes({ x, foot, slot }, saves) {
  const times = [];
  let last = -Infinity;
  saves.forEach((save, index) => {
    if (index > 0 && save.time - saves[index - 1].time > PAUSE) {
      times.push(draw("path", { class: "gap", d: `M${x(index) - slot / 2} ${EDGE.top}V${foot}` }));
    }
    if (x(index) - last >= LABEL_DISTANCE) {
      last = x(index);
      const place = { class: "label", x: last, y: foot + 26, "text-anchor": "middle" };
      times.push(draw("text", place, clock(save.time).slice(0, 5)));
    }
  });
  return times;
}

function makeLegend() {
  return make(
    "figcaption",
    {},
    ...Object.entries(LEGEND).map(([outcome, text]) => make("span", {}, makeShape(outcome), text)),
    make("span", {}, makeIcon(draw("path", { class: "dropped", d: "M-5-4H5L0 4z" })), "requests failed"),
    ...Object.entries(PHASES).map(([phase, text]) => make("span", { "data-phase": phase }, text)),
  );
}
