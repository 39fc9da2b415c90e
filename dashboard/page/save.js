import { count, counted, duration } from "./format.js";

/** What a save came to: running, failed, rebuild, none, or served. Each has a shape and a colour. */
export function outcomeOf({ status, action }) {
  if (status !== "served") {
    return status;
  }
  return action === "rebuild" || action === "none" ? action : "served";
}

/** The phases of a save as [name, milliseconds]; `rest` is what was left until all replicas served it. */
export function phasesOf(save) {
  const known = ["detect", "copy", "reload"].filter((name) => save[name] !== null).map((name) => [name, save[name]]);
  const rest = (save.served ?? 0) - known.reduce((sum, [, milliseconds]) => sum + milliseconds, 0);
  return rest > 0 ? [...known, ["rest", rest]] : known;
}

/** How a save ended. */
export function endOf({ status, served, replicas, error, action }) {
  if (status === "failed") {
    return `Not served: ${error ?? "for an unknown reason"}`;
  }
  if (status === "running") {
    return "Under way";
  }
  if (served === null) {
    return action === "none" ? "Led to nothing" : "Done";
  }
  const by = { 0: "", 1: "by the one replica ", 2: "by both replicas " }[replicas] ?? `by all ${replicas} replicas `;
  return `Served ${by}after ${duration(served)}`;
}

/** How the requests fared that were sent meanwhile. */
export function requestsOf({ requests, failed }) {
  if (requests === 0) {
    return "No requests meanwhile";
  }
  const sent = counted(requests, "request");
  return failed === 0 ? `None of ${sent} failed` : `✗ ${count(failed)} of ${sent} failed`;
}

/** The files that a rebuild goes back to: those that its reason names, otherwise all. */
export function causeOf({ files, why }) {
  const named = files.filter((file) => why.includes(file));
  return (named.length > 0 ? named : files).join(", ");
}
