const numbers = new Intl.NumberFormat("en");
const padded = (number, length = 2) => String(number).padStart(length, "0");

/** 90000 as 90,000. */
export const count = (number) => numbers.format(number);

/** "1 line", "2 lines". */
export const counted = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;

/** Local time to the second. */
export function clock(time) {
  const date = new Date(time);
  return `${padded(date.getHours())}:${padded(date.getMinutes())}:${padded(date.getSeconds())}`;
}

/** Local time to the millisecond. */
export const preciseClock = (time) => `${clock(time)}.${padded(Math.floor(time) % 1000, 3)}`;

/** Local day. */
export function day(time) {
  const date = new Date(time);
  return `${date.getFullYear()}-${padded(date.getMonth() + 1)}-${padded(date.getDate())}`;
}

/** Local time, with the day if that is not today. */
export const moment = (time) => (day(time) === day(Date.now()) ? clock(time) : `${day(time)} ${clock(time)}`);

/** Milliseconds as a person says them. */
export function duration(milliseconds) {
  if (milliseconds === null || milliseconds === undefined) {
    return "–";
  }
  if (milliseconds < 999.5) {
    return `${milliseconds < 9.95 ? Number(milliseconds.toFixed(1)) : Math.round(milliseconds)} ms`;
  }
  const seconds = milliseconds / 1000;
  if (seconds < 59.95) {
    return `${seconds.toFixed(1)} s`;
  }
  return `${Math.floor(Math.round(seconds) / 60)} min ${Math.round(seconds) % 60} s`;
}
