// Milliseconds. The server says something every 5 s.
const RETRY = 1_000;
const SILENCE = 15_000;
const EVENTS = ["hello", "lines", "state", "saves", "ping"];

/**
 * Keeps a connection to the dashboard for as long as the page lives, and hands each event to `receive[event]`.
 * `receive.connection(connected)` tells how it goes; `place()` returns the id after which lines are wanted.
 */
export function startFeed(place, receive) {
  let source;
  let silence;

  const lose = () => {
    source.close();
    clearTimeout(silence);
    receive.connection(false);
    setTimeout(connect, RETRY);
  };

  const hear = () => {
    clearTimeout(silence);
    silence = setTimeout(lose, SILENCE);
  };

  const connect = () => {
    const after = place();
    // A new source each time: one that reconnects by itself gives up on some errors.
    source = new EventSource(after ? `/api/events?after=${encodeURIComponent(after)}` : "/api/events");
    source.onerror = lose;
    for (const name of EVENTS) {
      source.addEventListener(name, (event) => {
        hear();
        receive[name]?.(JSON.parse(event.data));
      });
    }
    source.addEventListener("hello", () => receive.connection(true));
    hear();
  };

  connect();
}
