import { make } from "./elements.js";
import { counted, preciseClock } from "./format.js";
import { fieldsOf, shortField, summaryOf } from "./log-text.js";

// Characters of a line that a row could ever have room for.
const LONGEST = 1_000;
const HUES = 6;
const SIGNS = { debug: "·", info: "", warn: "!", error: "✗" };
// The row has columns for these.
const SHOWN_ANYWAY = /^(ts|time|timestamp|level|severity)$/;

/** The element of a row of the log, with what the pattern of the filter matches marked. */
export function makeRow(row, pattern) {
  const { message, line } = row;
  const isHead = row === message;
  const folds = isHead && message.rest.length > 0;
  const sign = message.isOpen ? "▾" : "▸";
  return make(
    "div",
    {
      class: "row",
      role: "treeitem",
      id: `line-${line.id}`,
      "data-level": line.level,
      "aria-level": isHead ? 1 : 2,
      "aria-selected": "false",
      "aria-expanded": folds ? String(message.isOpen) : null,
    },
    make("span", { class: "time" }, preciseClock(line.time)),
    make("span", { class: "level" }, make("span", { "aria-hidden": "true" }, SIGNS[line.level]), line.level),
    make("span", { class: "resource", "data-hue": hueOf(line.resource) }, line.resource || "Tilt"),
    make("span", { class: "pod" }, line.source === "build" ? "build" : line.pod.split("-").at(-1)),
    make(
      "span",
      { class: "text" },
      folds && make("span", { class: "fold" }, `${sign} ${counted(message.rest.length, "line")}`),
      ...makeWords(line.text, pattern),
      folds && !message.isOpen && make("span", { class: "summary" }, ...mark(summaryOf(message), pattern)),
    ),
  );
}

/** A line's text, of a structured log its message and its fields. */
function makeWords(text, pattern) {
  const structured = fieldsOf(text);
  if (!structured) {
    return [make("span", { class: "words" }, ...mark(text, pattern))];
  }
  const fields = structured.fields.filter(([name]) => !SHOWN_ANYWAY.test(name));
  return [
    structured.message && make("span", { class: "words" }, ...mark(structured.message, pattern)),
    ...fields.map((field) => make("span", { class: "chip" }, ...mark(shortField(field), pattern))),
  ];
}

function mark(text, pattern) {
  const short = text.slice(0, LONGEST);
  if (!pattern) {
    return [short];
  }
  const parts = [];
  let after = 0;
  for (const found of short.matchAll(new RegExp(pattern.source, "gi"))) {
    if (found[0] !== "") {
      parts.push(short.slice(after, found.index), make("mark", {}, found[0]));
      after = found.index + found[0].length;
    }
  }
  return [...parts, short.slice(after)];
}

/** One of a few colours, the same for a resource at any time. Tilt itself has none. */
function hueOf(resource) {
  const sum = [...resource].reduce((before, letter) => before + letter.codePointAt(0), 0);
  return resource === "" ? null : sum % HUES;
}
