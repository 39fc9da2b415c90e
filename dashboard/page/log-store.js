import { LEVELS } from "./address.js";
import { linesOf, plainLine } from "./log-text.js";

// As many as the dashboard keeps.
const MAXIMUM_LINES = 100_000;
// A message that never ends is cut into several, or the oldest could not be forgotten one by one.
const LONGEST_MESSAGE = 2_000;
// Looking at the clock takes longer than looking at a message.
const BETWEEN_LOOKS = 64;

/** A list that is cheap to shorten at its start. */
class Queue {
  #items = [];
  #start = 0;

  get length() {
    return this.#items.length - this.#start;
  }

  at(index) {
    return this.#items[this.#start + index];
  }

  push(...items) {
    this.#items.push(...items);
  }

  shift() {
    const item = this.#items[this.#start];
    this.#items[this.#start] = undefined;
    this.#start += 1;
    if (this.#start > 10_000) {
      this.#items.splice(0, this.#start);
      this.#start = 0;
    }
    return item;
  }

  splice(index, removed, ...items) {
    this.#items.splice(this.#start + index, removed, ...items);
  }
}

/** A line and those that continue it. It is a row itself, as is each of `rest`: { message, line }. */
class Message {
  rest = [];
  isOpen = false;
  // Of the newest selection that has looked at it: how many lines it has tested, has one matched, and are they counted.
  tested = 0;
  matches = false;
  counted = 0;

  constructor(line, sequence) {
    this.id = line.id;
    this.line = line;
    this.sequence = sequence;
    this.rank = LEVELS.indexOf(line.level);
    // What continues a line that is no longer here stays together as well.
    this.head = line.head ?? line.id;
  }

  get message() {
    return this;
  }

  get size() {
    return 1 + this.rest.length;
  }

  grow(line) {
    this.rest.push({ message: this, line });
    this.rank = Math.max(this.rank, LEVELS.indexOf(line.level));
  }
}

/** The rows that a filter lets through, in the order of their messages. */
class Selection {
  rows = new Queue();
  matched = 0;
  // Messages before this one have been looked at.
  position = 0;

  constructor({ resources, level, test }) {
    this.resources = resources;
    this.rank = LEVELS.indexOf(level);
    this.test = test;
  }

  visit(message) {
    message.tested = 0;
    message.matches = false;
    message.counted = 0;
    if (this.#accepts(message)) {
      this.rows.push(...rowsOf(message));
      this.#count(message, message.size);
    }
  }

  /** Takes in that a message visited before has grown, or has been folded or unfolded. */
  refresh(message) {
    const accepted = this.#accepts(message);
    const wanted = accepted ? rowsOf(message) : [];
    const begin = this.#begin(message.id);
    let present = 0;
    while (this.rows.at(begin + present)?.message === message) {
      present += 1;
    }
    if (present !== wanted.length) {
      this.rows.splice(begin, present, ...wanted);
    }
    this.#count(message, accepted ? message.size : 0);
  }

  forget(before) {
    while (this.rows.length > 0 && this.rows.at(0).message.id < before) {
      const row = this.rows.shift();
      if (row === row.message) {
        this.#count(row, 0);
      }
    }
  }

  /** The place of a row, or of what comes after it if it is not there. */
  indexOf(row) {
    const begin = this.#begin(row.message.id);
    return row === row.message || !row.message.isOpen ? begin : begin + 1 + row.message.rest.indexOf(row);
  }

  #begin(id) {
    let low = 0;
    let high = this.rows.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.rows.at(middle).message.id < id) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

  #accepts(message) {
    return (
      message.rank >= this.rank &&
      (this.resources.size === 0 || this.resources.has(message.line.resource)) &&
      (this.test === null || this.#matches(message))
    );
  }

  /** Each line is tested once, when it is first needed. */
  #matches(message) {
    while (!message.matches && message.tested < message.size) {
      const { line } = message.tested === 0 ? message : message.rest[message.tested - 1];
      message.matches = this.test(line.text);
      message.tested += 1;
    }
    return message.matches;
  }

  #count(message, lines) {
    this.matched += lines - message.counted;
    message.counted = lines;
  }
}

const rowsOf = (message) => (message.isOpen ? [message, ...message.rest] : [message]);

/** The newest lines, and those of them that a filter lets through. Knows nothing of how they are shown. */
export class LogStore {
  lastId = 0;
  total = 0;
  isPaused = false;
  selection = new Selection({ resources: new Set(), level: LEVELS[0], test: null });
  #messages = new Queue();
  #first = 0;
  #byHead = new Map();
  #held = new Queue();
  #grown = new Set();
  // The selection that is to replace the present one as soon as it has looked at all messages.
  #coming = null;

  /** How many lines wait for the end of the pause. */
  get held() {
    return this.#held.length;
  }

  /** Takes in lines; those that are here already come again after a lost connection. */
  add(lines) {
    for (const line of lines) {
      if (line.id <= this.lastId) {
        continue;
      }
      this.lastId = line.id;
      if (this.isPaused) {
        this.#held.push(line);
      } else {
        this.#take(line);
      }
    }
    this.#forget();
  }

  /** Holds back what comes, or takes in what was held back. */
  pause(isPaused) {
    this.isPaused = isPaused;
    while (!isPaused && this.#held.length > 0) {
      this.#take(this.#held.shift());
    }
  }

  /** Begins to select by another filter; `advance` does the work. */
  select(criteria) {
    this.#coming = new Selection(criteria);
  }

  /** Looks at what is new, for some milliseconds. Returns whether all is done. Only here do rows come and go. */
  advance(budget) {
    const selection = this.#coming ?? this.selection;
    const deadline = performance.now() + budget;
    for (const message of this.#grown) {
      if (message.sequence >= this.#first && message.sequence < selection.position) {
        selection.refresh(message);
      }
    }
    this.#grown.clear();
    selection.forget(this.#messages.at(0)?.id ?? Infinity);
    selection.position = Math.max(selection.position, this.#first);
    const end = this.#first + this.#messages.length;
    while (selection.position < end) {
      selection.visit(this.#messages.at(selection.position - this.#first));
      selection.position += 1;
      if (selection.position % BETWEEN_LOOKS === 0 && performance.now() > deadline) {
        return false;
      }
    }
    this.selection = selection;
    this.#coming = null;
    return true;
  }

  /** Folds a message, or unfolds it. */
  fold(message, isFolded) {
    message.isOpen = !isFolded && message.rest.length > 0;
    this.advance(Infinity);
    this.selection.refresh(message);
  }

  /** The newest error among the selected messages. */
  lastError() {
    this.advance(Infinity);
    const { rows } = this.selection;
    for (let index = rows.length - 1; index >= 0; index -= 1) {
      const { message } = rows.at(index);
      if (message.rank === LEVELS.length - 1) {
        return message;
      }
    }
    return null;
  }

  /** All selected lines as text, also those that are folded. */
  text() {
    this.advance(Infinity);
    const { rows } = this.selection;
    const lines = [];
    for (let index = 0; index < rows.length; index += 1) {
      const row = rows.at(index);
      if (row === row.message) {
        lines.push(...linesOf(row).map(plainLine));
      }
    }
    return lines.map((line) => `${line}\n`).join("");
  }

  #take(line) {
    const message = line.head === null ? undefined : this.#byHead.get(line.head);
    if (message && message.size < LONGEST_MESSAGE) {
      message.grow(line);
      this.#grown.add(message);
    } else {
      const begun = new Message(line, this.#first + this.#messages.length);
      this.#messages.push(begun);
      this.#byHead.set(begun.head, begun);
    }
    this.total += 1;
  }

  #forget() {
    while (this.total + this.#held.length > MAXIMUM_LINES) {
      if (this.total === 0) {
        this.#held.shift();
        continue;
      }
      const message = this.#messages.shift();
      this.#first += 1;
      this.total -= message.size;
      if (this.#byHead.get(message.head) === message) {
        this.#byHead.delete(message.head);
      }
    }
  }
}
