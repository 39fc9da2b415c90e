/** The views, in the order of their tabs. */
export const VIEWS = ["logs", "state", "loop"];

/** The levels, from all lines to errors only. */
export const LEVELS = ["debug", "info", "warn", "error"];

/** Reads what the address asks for: the view, and the filter of the logs. */
export function readAddress(search) {
  const given = new URLSearchParams(search);
  const known = (name, values) => (values.includes(given.get(name)) ? given.get(name) : values[0]);
  return {
    view: known("view", VIEWS),
    resources: new Set(given.getAll("resource")),
    level: known("level", LEVELS),
    filter: given.get("filter") ?? "",
    regex: given.get("regex") === "1",
  };
}

/** Writes the address that `readAddress` reads. */
export function writeAddress({ view, resources, level, filter, regex }) {
  const given = new URLSearchParams({ view });
  for (const resource of resources) {
    given.append("resource", resource);
  }
  if (level !== LEVELS[0]) {
    given.set("level", level);
  }
  if (filter) {
    given.set("filter", filter);
  }
  if (regex) {
    given.set("regex", "1");
  }
  return `/?${given}`;
}
