// The most todos that the API gives in one answer.
const PAGE_SIZE = 500;
// Milliseconds; a little more than the proxy in front of the API waits.
const REQUEST_TIMEOUT = 20_000;

const element = (selector, parent = document) => parent.querySelector(selector);
const copyOf = (template) => element(template).content.firstElementChild.cloneNode(true);

// --- API -------------------------------------------------------------------------------------------------------------

/** A request that did not succeed. The message is a sentence for the person, `fields` has one per invalid field. */
class RequestError extends Error {
  constructor(message, { status = 0, fields = {} } = {}) {
    super(message);
    this.status = status;
    this.fields = fields;
  }
}

/** Sends `body` as JSON and returns the parsed answer. Throws RequestError, whatever goes wrong. */
async function request(method, path, body) {
  let response;
  let text;
  try {
    response = await fetch(`/api/${path}`, {
      method,
      body: body && JSON.stringify(body),
      headers: body && { "Content-Type": "application/json" },
      cache: "no-store",
      signal: AbortSignal.timeout(REQUEST_TIMEOUT),
    });
    text = await response.text();
  } catch {
    throw new RequestError("The server does not answer; check the connection and try again.");
  }
  let answer;
  try {
    answer = JSON.parse(text);
  } catch {
    answer = undefined;
  }
  if (!response.ok) {
    throw refusal(response.status, answer?.detail);
  }
  if (answer === undefined) {
    throw unreadable();
  }
  return answer;
}

/** The RequestError for an answer with an error status and the `detail` of its body. */
function refusal(status, detail) {
  if (typeof detail === "string") {
    return new RequestError(detail.endsWith(".") ? detail : `${detail}.`, { status });
  }
  if (status === 422 && Array.isArray(detail)) {
    const fields = Object.fromEntries(detail.map(({ loc, msg }) => [loc.at(-1), sentence(loc.at(-1), msg)]));
    return new RequestError(Object.values(fields).join(" "), { fields, status });
  }
  return new RequestError(`The server answered with status ${status}; try again in a moment.`, { status });
}

/** A validator's message ("String should have at most 200 characters") as a sentence about the field. */
function sentence(field, message) {
  const text = message.replace(/^Value error, /, "").replace(/^((String|Value|Input) )?(?=[a-z])/, `The ${field} `);
  return text.endsWith(".") ? text : `${text}.`;
}

function unreadable() {
  return new RequestError("The server's answer could not be read; try again in a moment.");
}

/** Returns `answer` if it has the shape of a todo, else throws RequestError. */
function asTodo(answer) {
  if (!Number.isInteger(answer?.id) || typeof answer.title !== "string") {
    throw unreadable();
  }
  return answer;
}

const api = {
  async list() {
    const todos = [];
    for (;;) {
      const page = await request("GET", `todos/?skip=${todos.length}&limit=${PAGE_SIZE}`);
      if (!Array.isArray(page)) {
        throw unreadable();
      }
      todos.push(...page.map(asTodo));
      if (page.length < PAGE_SIZE) {
        return todos;
      }
    }
  },
  async add({ title, description }) {
    return asTodo(await request("POST", "todos/", description ? { title, description } : { title }));
  },
  change: async (id, fields) => asTodo(await request("PUT", `todos/${id}`, fields)),
  remove: (id) => request("DELETE", `todos/${id}`),
  async version() {
    const version = await request("GET", "version");
    if (typeof version?.pod !== "string" || typeof version.code !== "string") {
      throw unreadable();
    }
    return version;
  },
};

// --- Behaviour that all parts share ----------------------------------------------------------------------------------

/** Returns a runner that takes actions in turn, and ignores one still under way: a double click acts once. */
function inTurn(owner) {
  const underWay = new Set();
  let last = Promise.resolve();
  return (name, action) => {
    if (underWay.has(name)) {
      return last;
    }
    underWay.add(name);
    owner.ariaBusy = "true";
    const run = last.then(action).finally(() => {
      underWay.delete(name);
      owner.ariaBusy = underWay.size > 0 ? "true" : null;
    });
    // One that broke is reported by the browser and must not stop the next.
    last = run.catch(() => {});
    return run;
  };
}

/** Runs `action`; a RequestError goes to `failed` instead of the caller. Success takes back an earlier notice. */
async function attempt(action, failed) {
  try {
    await action();
  } catch (error) {
    if (!(error instanceof RequestError)) {
      throw error;
    }
    failed(error);
    return;
  }
  notice.hide();
}

/** Focuses `target` if what had the focus has gone. */
function catchFocus(target) {
  if (document.activeElement === document.body || !document.activeElement?.checkVisibility()) {
    target.focus();
  }
}

/** Tells people who listen to the page rather than look at it. */
function announce(message) {
  element("#status").textContent = message;
}

/** The todo's title in quotation marks, shortened to fit a sentence. */
function quoted(todo) {
  const characters = [...todo.title];
  return characters.length > 60 ? `“${characters.slice(0, 59).join("")}…”` : `“${todo.title}”`;
}

// --- The notice: what went wrong, and the way out --------------------------------------------------------------------

const notice = {
  box: element("#notice"),
  action: element(".notice-action"),
  origin: null,

  /** Shows `message`, with a button that runs `run` if given. */
  show(message, label, run) {
    this.origin = document.activeElement;
    element(".notice-text").textContent = message;
    this.action.textContent = label ?? "";
    this.action.hidden = !run;
    this.action.onclick = () => {
      this.hide();
      run();
    };
    this.box.hidden = false;
    catchFocus(run ? this.action : element(".notice-close"));
  },

  hide() {
    this.box.hidden = true;
  },
};

element(".notice-close").onclick = () => {
  notice.hide();
  catchFocus(notice.origin?.checkVisibility() ? notice.origin : addForm.elements.title);
};

// --- Forms: adding and editing ---------------------------------------------------------------------------------------

/** Makes `form` call `save` with its title and description. What is typed stays until `save` has succeeded. */
function prepareForm(form, name, save, failed) {
  const run = inTurn(form);
  for (const field of form.querySelectorAll(".field")) {
    const error = element(".field-error", field);
    error.id = `${name}-${field.querySelector("[name]").name}-error`;
    field.querySelector("[name]").setAttribute("aria-describedby", error.id);
  }
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      form.requestSubmit();
    }
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    showFieldErrors(form, {});
    const values = typedIn(form);
    if (values.title.trim() === "") {
      showFieldErrors(form, { title: "Please give the todo a title." });
      return;
    }
    run("save", () =>
      attempt(
        () => save(values),
        (error) => showFieldErrors(form, error.fields) || failed(error, values),
      ),
    );
  });
}

const typedIn = (form) => Object.fromEntries(new FormData(form));

/** Shows each error at its field and focuses the first. Returns whether all of `errors` found their place. */
function showFieldErrors(form, errors) {
  const shown = [...form.querySelectorAll(".field")].filter((field) => {
    const input = field.querySelector("[name]");
    const line = element(".field-error", field);
    line.textContent = errors[input.name] ?? "";
    line.hidden = !errors[input.name];
    input.ariaInvalid = errors[input.name] ? "true" : null;
    return errors[input.name];
  });
  shown[0]?.querySelector("[name]").focus();
  return shown.length > 0 && shown.length === Object.keys(errors).length;
}

// --- The list --------------------------------------------------------------------------------------------------------

const list = element("#todos");
const addForm = element("#add");
const placeholder = element("#placeholder");
// By id, whether it is done.
const completed = new Map();
let loaded = false;

/** Keeps the summary and the placeholder in step with the list. */
function updateSummary() {
  if (!loaded) {
    return;
  }
  const done = [...completed.values()].filter(Boolean).length;
  element("#summary").textContent = completed.size === 0 ? "" : `${done} of ${completed.size} done`;
  showPlaceholder("Nothing to do", "Your first todo goes into the field above.");
  placeholder.hidden = completed.size > 0;
}

function showPlaceholder(title, text = "", canRetry = false) {
  placeholder.hidden = false;
  element(".placeholder-title").textContent = title;
  element(".placeholder-text").textContent = text;
  element("button", placeholder).hidden = !canRetry;
}

/** The list item of a todo, with all that can be done to it. */
class TodoItem {
  constructor(todo) {
    this.element = copyOf("#todo-template");
    this.view = element(".view", this.element);
    this.checkbox = element(".completed", this.element);
    this.editButton = element(".edit", this.element);
    this.deleteButton = element(".delete", this.element);
    this.run = inTurn(this.element);
    this.checkbox.onchange = () => this.toggle(this.checkbox.checked);
    this.editButton.onclick = () => this.edit();
    this.deleteButton.onclick = () => this.remove();
    this.show(todo);
  }

  show(todo) {
    this.todo = todo;
    completed.set(todo.id, todo.completed);
    element(".title", this.element).textContent = todo.title;
    element(".description", this.element).textContent = todo.description ?? "";
    this.checkbox.checked = todo.completed;
    this.checkbox.ariaLabel = `${todo.title} is done`;
    this.editButton.ariaLabel = `Edit ${quoted(todo)}`;
    this.deleteButton.ariaLabel = `Delete ${quoted(todo)}`;
  }

  async change(fields) {
    this.show(await api.change(this.todo.id, fields));
    updateSummary();
    showServer();
  }

  toggle(wanted) {
    return this.run("toggle", async () => {
      await attempt(
        async () => {
          await this.change({ completed: wanted });
          catchFocus(this.checkbox);
          announce(`${quoted(this.todo)} is ${this.todo.completed ? "done" : "to do again"}.`);
        },
        (error) => this.showFailure(error, "changed", () => this.toggle(wanted)),
      );
      this.checkbox.checked = this.todo.completed;
    });
  }

  remove() {
    return this.run("remove", () =>
      attempt(
        async () => {
          await api.remove(this.todo.id);
          this.takeOut();
          announce(`${quoted(this.todo)} was deleted.`);
          showServer();
        },
        (error) => this.showFailure(error, "deleted", () => this.remove()),
      ),
    );
  }

  /** Offers `retry`, unless the todo itself has gone. */
  showFailure(error, participle, retry) {
    if (error.status === 404) {
      this.takeOut();
      notice.show(`${quoted(this.todo)} had already been deleted.`);
    } else {
      notice.show(`${quoted(this.todo)} was not ${participle}. ${error.message}`, "Try again", retry);
    }
  }

  takeOut() {
    const neighbour = this.element.nextElementSibling ?? this.element.previousElementSibling;
    this.element.remove();
    completed.delete(this.todo.id);
    updateSummary();
    catchFocus(neighbour?.querySelector(".view:not([hidden]) .delete") ?? addForm.elements.title);
  }

  edit() {
    const form = copyOf("#editor-template");
    form.ariaLabel = `Edit ${quoted(this.todo)}`;
    form.elements.title.value = this.todo.title;
    form.elements.description.value = this.todo.description ?? "";
    prepareForm(
      form,
      `todo-${this.todo.id}`,
      (values) => this.save(form, values),
      (error, values) => {
        if (error.status === 404) {
          notice.show(`${quoted(this.todo)} has been deleted elsewhere.`, "Add it again", () => this.addAgain(values));
        } else {
          this.showFailure(error, "saved", () => form.requestSubmit());
        }
      },
    );
    element(".cancel", form).onclick = () => this.cancel(form);
    form.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !event.isComposing) {
        this.cancel(form);
      }
    });
    this.view.hidden = true;
    this.element.append(form);
    form.elements.title.focus();
  }

  /** What differs from the todo as last seen; the rest may have been changed by someone else. */
  changed(values) {
    const fields = {};
    if (values.title !== this.todo.title) {
      fields.title = values.title;
    }
    if (values.description !== (this.todo.description ?? "")) {
      fields.description = values.description || null;
    }
    return fields;
  }

  async save(form, values) {
    const fields = this.changed(values);
    if (Object.keys(fields).length > 0) {
      await this.change(fields);
      announce(`${quoted(this.todo)} was saved.`);
    }
    const typedMeanwhile = typedIn(form);
    if (typedMeanwhile.title === values.title && typedMeanwhile.description === values.description) {
      this.close(form);
    }
  }

  cancel(form) {
    if (form.ariaBusy !== "true") {
      notice.hide();
      this.close(form);
    }
  }

  close(form) {
    form.remove();
    this.view.hidden = false;
    catchFocus(this.editButton);
  }

  /** Puts a new todo into the place of this one, which is no longer there. */
  addAgain(values) {
    return this.run("add again", () =>
      attempt(
        async () => {
          const next = new TodoItem(await api.add(values));
          completed.delete(this.todo.id);
          this.element.replaceWith(next.element);
          updateSummary();
          catchFocus(next.editButton);
        },
        (error) => notice.show(error.message, "Add it again", () => this.addAgain(values)),
      ),
    );
  }
}

prepareForm(
  addForm,
  "add",
  async (values) => {
    const todo = await api.add(values);
    list.append(new TodoItem(todo).element);
    updateSummary();
    announce(`${quoted(todo)} was added.`);
    // What was typed meanwhile belongs to the next todo.
    for (const [name, value] of Object.entries(values)) {
      if (addForm.elements[name].value === value) {
        addForm.elements[name].value = "";
      }
    }
    if (addForm.contains(document.activeElement) && Object.values(typedIn(addForm)).every((value) => value === "")) {
      addForm.elements.title.focus();
    }
    catchFocus(addForm.elements.title);
    showServer();
  },
  (error, values) =>
    notice.show(`${quoted(values)} was not added. ${error.message}`, "Try again", () => addForm.requestSubmit()),
);

const runLoad = inTurn(element("section"));

const load = () =>
  runLoad("load", async () => {
    showPlaceholder("Loading your todos…");
    await attempt(
      async () => {
        const todos = await api.list();
        // What was added meanwhile is already there, and comes last.
        list.prepend(...todos.filter((todo) => !completed.has(todo.id)).map((todo) => new TodoItem(todo).element));
        loaded = true;
        updateSummary();
      },
      (error) => showPlaceholder("Your todos could not be loaded", error.message, true),
    );
    showServer();
  });

// --- Who answered ----------------------------------------------------------------------------------------------------

async function showServer() {
  const server = element("#server");
  try {
    const version = await api.version();
    element("#pod").textContent = version.pod;
    element("#code").textContent = version.code.slice(0, 8);
    server.hidden = false;
  } catch {
    server.hidden = true;
  }
  element("#no-server").hidden = !server.hidden;
}

element("button", placeholder).onclick = async () => {
  await load();
  const retryButton = element("button", placeholder);
  catchFocus(retryButton.checkVisibility() ? retryButton : addForm.elements.title);
};
element("#ask").onclick = async () => {
  await showServer();
  announce(element("footer p:not([hidden])").textContent);
};
load();
