import { day, preciseClock } from "./format.js";

// Characters of a field that are shown in a line.
const LONGEST_FIELD = 120;

/** What a structured log says: its message and its other fields as [name, value], or null for any other text. */
export function fieldsOf(text) {
  if (!text.startsWith("{")) {
    return null;
  }
  let fields;
  try {
    fields = JSON.parse(text);
  } catch {
    return null;
  }
  const name = ["msg", "message"].find((candidate) => typeof fields[candidate] === "string");
  const others = Object.entries(fields).filter(([other]) => other !== name);
  return {
    message: name ? fields[name] : "",
    fields: others.map(([other, value]) => [other, typeof value === "string" ? value : JSON.stringify(value)]),
  };
}

/** A field as a line has room for it. Of several lines the last says most: in a traceback it is the error. */
export function shortField([name, value]) {
  const lines = value.trimEnd().split("\n");
  const short = lines.length > 1 ? `… ${lines.at(-1)}` : value;
  return `${name}=${short.length > LONGEST_FIELD ? `${short.slice(0, LONGEST_FIELD)}…` : short}`;
}

/** What stands beside a folded message: its last line that is not indented, in a traceback the error. */
export function summaryOf(message) {
  return message.rest.findLast(({ line }) => /^\S/.test(line.text))?.line.text ?? "";
}

/** One line as it is copied and downloaded. */
export function plainLine({ time, resource, pod, level, text }) {
  const source = [resource || "Tilt", pod].filter(Boolean).join("/");
  return `${day(time)} ${preciseClock(time)} ${level.padEnd(5)} ${source} ${text}`;
}

/** All lines of a message. */
export const linesOf = (message) => [message.line, ...message.rest.map(({ line }) => line)];

/**
 * Makes the test of a line's text out of what is typed into the filter: null for none, with `error` if it is no regex.
 * Upper and lower case are alike. A structured log is found by its own text and by how it is shown.
 */
export function matcherOf(filter, isRegex) {
  if (filter === "") {
    return { test: null, pattern: null, error: null };
  }
  let pattern;
  try {
    pattern = new RegExp(isRegex ? filter : filter.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&"), "i");
  } catch (error) {
    return { test: null, pattern: null, error: error.message.replace(/^Invalid regular expression: /, "") };
  }
  const test = (text) => {
    if (pattern.test(text)) {
      return true;
    }
    const fields = fieldsOf(text);
    return fields !== null && pattern.test([fields.message, ...fields.fields.map(shortField)].join(" "));
  };
  return { test, pattern, error: null };
}
