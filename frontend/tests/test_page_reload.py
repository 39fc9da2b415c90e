"""The page in a real browser, through nginx and its Content-Security-Policy, while code and files are saved."""

import itertools
from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, Request, Route, expect

from frontend.tests.browser import Complaints
from frontend.tests.replicas import CODE, FAILURE, NEWER_CODE, Replicas

pytestmark = [pytest.mark.browser, pytest.mark.nginx]


NEWEST_CODE = "fd61a03af4f7"
WIDTHS = itertools.count(1)


@pytest.fixture
def page(context: BrowserContext, replicas: Replicas, complaints: Complaints) -> Iterator[Page]:
    """Provide the page, which listens, with a mark on it."""
    page = context.new_page()
    # In it, an earlier test has left what was served at the same addresses.
    context.new_cdp_session(page).send("Network.clearBrowserCache")
    complaints.watch(page, replicas.url)
    open_page(page, replicas)
    yield page
    assert complaints == []


def open_page(page: Page, replicas: Replicas) -> None:
    page.goto(replicas.url)
    is_told(page, replicas)
    expect(page.get_by_text("Loading your todos…")).to_be_hidden()
    mark(page)


def mark(page: Page) -> None:
    """Leave a mark, which is gone when the page has been loaded anew."""
    page.evaluate("document.documentElement.dataset.marked = 'yes'")


def stayed(page: Page) -> bool:
    return page.locator("html[data-marked]").count() == 1


def expect_reload(page: Page) -> None:
    expect(page.locator("html[data-marked]")).to_have_count(0)


def is_told(page: Page, replicas: Replicas) -> None:
    """Wait until the page shows the last of what it has been told, so that all before has had its effect."""
    width = f"{next(WIDTHS)}px"
    replicas.save("style.css", f"{replicas.read('style.css')}\nh1 {{ letter-spacing: {width}; }}\n")
    expect(heading(page)).to_have_css("letter-spacing", width)


class Loads:
    """How many times the page has been asked for; one that is loaded anew before it was complete tells of no load."""

    def __init__(self, page: Page) -> None:
        self.number = 0
        page.on("request", self._count)

    def _count(self, request: Request) -> None:
        self.number += request.is_navigation_request()


def title_field(page: Page) -> Locator:
    return page.get_by_label("What needs doing?")


def description_field(page: Page) -> Locator:
    return page.get_by_label("Description")


def notice(page: Page) -> Locator:
    return page.get_by_role("status").filter(has_text="New code is served.")


def overlay(page: Page) -> Locator:
    return page.get_by_role("region", name="The backend does not start")


def heading(page: Page) -> Locator:
    return page.get_by_role("heading", name="Todos", exact=True)


class TestReload:
    @pytest.mark.core
    def test_follows_new_code(self, page: Page, replicas: Replicas) -> None:
        replicas.serve(NEWER_CODE)
        expect_reload(page)

    def test_waits_for_the_last_replica(self, page: Page, replicas: Replicas) -> None:
        replicas.backends[0].code = NEWER_CODE
        is_told(page, replicas)
        assert stayed(page)
        replicas.backends[1].code = NEWER_CODE
        expect_reload(page)

    @pytest.mark.parametrize("name", ("index.html", "app.js", "favicon.svg"))
    def test_follows_a_file_of_the_page(self, page: Page, replicas: Replicas, name: str) -> None:
        comment = "// saved" if name == "app.js" else "<!-- saved -->"
        replicas.save(name, f"{replicas.read(name)}\n{comment}\n")
        expect_reload(page)

    def test_waits_for_the_last_replica_of_a_file(self, page: Page, replicas: Replicas) -> None:
        text = replicas.read("index.html").replace("<h1>Todos</h1>", "<h1>Saved</h1>")
        other, browsers = replicas.frontends[1], replicas.frontends[0]
        (browsers.html / "index.html").write_text(text)
        replicas.backends[0].failure = FAILURE
        expect(overlay(page)).to_be_visible()
        assert stayed(page)
        (other.html / "index.html").write_text(text)
        expect(page.get_by_role("heading", name="Saved")).to_be_visible()

    def test_leaves_alone_what_the_page_does_not_use(self, page: Page, replicas: Replicas) -> None:
        replicas.save("404.html", "<!doctype html>")
        replicas.save("other.js", "export {};")
        is_told(page, replicas)
        assert stayed(page)

    def test_happens_once(self, page: Page, replicas: Replicas) -> None:
        loads = Loads(page)
        with page.expect_event("load"), page.expect_response("**/_dev/events"):
            replicas.serve(NEWER_CODE)
        is_told(page, replicas)
        assert loads.number == 1

    def test_follows_code_that_changed_while_the_page_was_loaded_anew(self, page: Page, replicas: Replicas) -> None:
        def change_again(route: Route) -> None:
            replicas.serve(NEWEST_CODE)
            route.continue_()

        loads = Loads(page)
        page.route(replicas.url, change_again, times=1)
        with page.expect_event("request", lambda _: loads.number == 2):
            replicas.serve(NEWER_CODE)
        is_told(page, replicas)
        assert loads.number == 2

    def test_that_does_not_help_is_not_tried_again(self, page: Page, replicas: Replicas) -> None:
        """As when something between browser and nginx goes on to answer with an old copy."""
        loads = Loads(page)
        old = replicas.read("app.js")

        def answer_with_the_old_copy(route: Route) -> None:
            # Meanwhile another file changes.
            replicas.save("style.css", f"{replicas.read('style.css')}\n")
            route.fulfill(body=old, content_type="text/javascript")

        page.route("**/app.js", answer_with_the_old_copy)
        with page.expect_event("load"):
            replicas.save("app.js", f"{old}// saved")
        expect_reload(page)
        # Not by style sheets: with routes, the browser has no cache that tells what was loaded.
        for failure in (FAILURE, None, FAILURE, None):
            replicas.backends[0].failure = failure
            expect(overlay(page)).to_have_count(1 if failure else 0)
        assert loads.number == 1

    @pytest.mark.parametrize("name", ("app.js", "index.html"))
    def test_follows_a_file_that_changed_before_the_page_listened(
        self, page: Page, replicas: Replicas, name: str
    ) -> None:
        """What the page was loaded with is in the browser's cache, whatever is served by now."""
        page.goto("about:blank")
        replicas.service.stop()
        page.goto(replicas.url)
        expect(page.get_by_text("Loading your todos…")).to_be_hidden()
        mark(page)
        replicas.save(name, replicas.read(name).replace("Nothing to do", "Saved").replace("<h1>Todos", "<h1>Saved"))
        assert stayed(page)
        replicas.service.start()
        expect(page.get_by_text("Saved")).to_be_visible()

    def test_survives_a_restart_of_the_service(self, page: Page, replicas: Replicas) -> None:
        replicas.service.stop()
        replicas.serve(NEWER_CODE)
        assert stayed(page)
        replicas.service.start()
        expect_reload(page)

    def test_survives_that_every_backend_is_away(self, page: Page, replicas: Replicas) -> None:
        for backend in replicas.backends:
            backend.code = None
        is_told(page, replicas)
        assert stayed(page)
        replicas.serve(CODE)
        is_told(page, replicas)
        assert stayed(page)
        replicas.serve(NEWER_CODE)
        expect_reload(page)


class TestStyleSheets:
    def test_are_replaced_without_a_load(self, page: Page, replicas: Replicas) -> None:
        title_field(page).fill("Milk")
        for colour in ("rgb(1, 2, 3)", "rgb(4, 5, 6)"):
            replicas.save("style.css", f"{replicas.read('style.css')}\nh1 {{ color: {colour}; }}\n")
            expect(heading(page)).to_have_css("color", colour)
        expect(title_field(page)).to_have_value("Milk")
        assert stayed(page)
        expect(page.locator("link[rel=stylesheet]")).to_have_count(1)

    def test_lose_what_was_deleted_from_them(self, page: Page, replicas: Replicas) -> None:
        before = replicas.read("style.css")
        replicas.save("style.css", f"{before}\nh1 {{ color: rgb(1, 2, 3); }}\n")
        expect(heading(page)).to_have_css("color", "rgb(1, 2, 3)")
        replicas.save("style.css", before)
        expect(heading(page)).not_to_have_css("color", "rgb(1, 2, 3)")
        assert stayed(page)

    def test_leave_no_moment_without_style(self, page: Page, replicas: Replicas) -> None:
        page.evaluate(
            """() => {
                const look = () => {
                    const unstyled = getComputedStyle(document.body).display !== "flex";
                    document.documentElement.dataset.unstyled ??= unstyled ? "yes" : undefined;
                    if (unstyled) document.documentElement.dataset.unstyled = "yes";
                    requestAnimationFrame(look);
                };
                look();
            }"""
        )
        is_told(page, replicas)
        is_told(page, replicas)
        expect(page.locator("html[data-unstyled=yes]")).to_have_count(0)

    def test_that_change_before_the_page_listens_are_replaced_too(self, page: Page, replicas: Replicas) -> None:
        page.goto("about:blank")
        replicas.service.stop()
        page.goto(replicas.url)
        mark(page)
        replicas.save("style.css", f"{replicas.read('style.css')}\nh1 {{ color: rgb(1, 2, 3); }}\n")
        replicas.service.start()
        expect(heading(page)).to_have_css("color", "rgb(1, 2, 3)")
        assert stayed(page)

    def test_of_no_link_reload_the_page(self, page: Page, replicas: Replicas) -> None:
        replicas.save("imported.css", "h1 { color: rgb(1, 2, 3); }")
        replicas.save("style.css", f"@import '/imported.css';\n{replicas.read('style.css')}")
        expect(heading(page)).to_have_css("color", "rgb(1, 2, 3)")
        assert stayed(page)
        replicas.save("imported.css", "h1 { color: rgb(4, 5, 6); }")
        expect_reload(page)
        expect(heading(page)).to_have_css("color", "rgb(4, 5, 6)")


def settled_place(element: Locator) -> float:
    """Return how far below the window's edge it is, once the browser has corrected what it had only estimated."""
    return float(
        element.evaluate(
            """element => new Promise(resolve => {
                const frames = (then) => requestAnimationFrame(() => requestAnimationFrame(then));
                const look = (before) => {
                    const { top } = element.getBoundingClientRect();
                    frames(() => (top === before ? resolve(top) : look(top)));
                };
                look(NaN);
            })"""
        )
    )


class TestWhatIsTyped:
    def test_survives_with_focus_and_selection(self, page: Page, replicas: Replicas) -> None:
        title_field(page).fill("Milk")
        description_field(page).fill("two litres\nnot one")
        description_field(page).evaluate("field => field.setSelectionRange(4, 10, 'backward')")
        replicas.serve(NEWER_CODE)
        expect_reload(page)
        expect(title_field(page)).to_have_value("Milk")
        expect(description_field(page)).to_have_value("two litres\nnot one")
        expect(description_field(page)).to_be_focused()
        selection = description_field(page).evaluate("f => [f.selectionStart, f.selectionEnd, f.selectionDirection]")
        assert selection == [4, 10, "backward"]
        page.keyboard.type("pints")
        expect(description_field(page)).to_have_value("two pints\nnot one")
        title_field(page).press("Enter")
        expect(page.locator(".title")).to_have_text(["Milk"])

    def test_survives_a_change_of_the_form(self, page: Page, replicas: Replicas) -> None:
        title_field(page).fill("Milk")
        page_source = replicas.read("index.html")
        moved = page_source.replace('<form id="add"', '<p>Saved</p><form id="add"')
        replicas.save("index.html", moved.replace("What needs doing?", "What is next?"))
        expect(page.get_by_label("What is next?")).to_have_value("Milk")
        expect(page.get_by_label("What is next?")).to_be_focused()

    def test_is_told_when_its_field_is_gone(self, page: Page, replicas: Replicas, complaints: Complaints) -> None:
        title_field(page).fill("Milk")
        replicas.save("index.html", replicas.read("index.html").replace('name="title"', 'name="renamed"'))
        with page.expect_console_message(lambda message: "its text was: Milk" in message.text):
            pass
        complaints.clear()

    def test_stays_away_after_an_ordinary_reload(self, page: Page, replicas: Replicas) -> None:
        title_field(page).fill("Milk")
        replicas.serve(NEWER_CODE)
        expect_reload(page)
        expect(title_field(page)).to_have_value("Milk")
        page.reload()
        expect(title_field(page)).to_have_value("")

    def test_scroll_survives_though_the_list_comes_later(self, page: Page, replicas: Replicas) -> None:
        for number in range(100):
            replicas.api.add(f"Todo {number}")
        open_page(page, replicas)
        todo = page.get_by_text("Todo 60", exact=True)
        todo.scroll_into_view_if_needed()
        before = settled_place(todo)
        replicas.api.hold()
        replicas.serve(NEWER_CODE)
        expect_reload(page)
        replicas.api.release()
        expect(todo).to_be_in_viewport()
        assert settled_place(todo) == pytest.approx(before, abs=1)

    def test_in_an_open_editor_puts_the_reload_off(self, page: Page, replicas: Replicas) -> None:
        replicas.api.add("Milk")
        open_page(page, replicas)
        page.get_by_role("button", name="Edit “Milk”").click()
        editor = page.get_by_role("form", name="Edit “Milk”")
        editor.get_by_label("Title").fill("Oat milk")
        replicas.serve(NEWER_CODE)
        expect(notice(page)).to_be_visible()
        expect(editor.get_by_label("Title")).to_be_focused()
        editor.get_by_label("Title").fill("")
        is_told(page, replicas)
        assert stayed(page)
        editor.get_by_label("Title").fill("Oat milk")
        editor.get_by_role("button", name="Save").click()
        expect_reload(page)
        expect(notice(page)).to_be_hidden()
        expect(page.locator(".title")).to_have_text(["Oat milk"])

    def test_in_an_open_editor_can_be_given_up(self, page: Page, replicas: Replicas) -> None:
        replicas.api.add("Milk")
        open_page(page, replicas)
        page.get_by_role("button", name="Edit “Milk”").click()
        replicas.serve(NEWER_CODE)
        notice(page).get_by_role("button", name="Reload").click()
        expect_reload(page)
        expect(page.get_by_role("form", name="Edit “Milk”")).to_have_count(0)

    def test_in_an_open_editor_is_left_alone_when_the_change_is_taken_back(
        self, page: Page, replicas: Replicas
    ) -> None:
        replicas.api.add("Milk")
        open_page(page, replicas)
        page.get_by_role("button", name="Edit “Milk”").click()
        replicas.serve(NEWER_CODE)
        expect(notice(page)).to_be_visible()
        replicas.serve(CODE)
        expect(notice(page)).to_be_hidden()
        page.get_by_role("button", name="Cancel").click()
        is_told(page, replicas)
        assert stayed(page)

    def test_is_sent_before_the_page_goes(self, page: Page, replicas: Replicas) -> None:
        """A request under way at the time of a save is answered once, and its answer is seen."""
        title_field(page).fill("Milk")
        replicas.api.hold()
        title_field(page).press("Enter")
        replicas.serve(NEWER_CODE)
        is_told(page, replicas)
        assert stayed(page)
        replicas.api.release()
        expect_reload(page)
        expect(page.locator(".title")).to_have_text(["Milk"])
        expect(title_field(page)).to_have_value("")
        assert len(replicas.api.sent("POST")) == 1


class TestOverlay:
    def test_shows_why_code_does_not_start_until_it_does(self, page: Page, replicas: Replicas) -> None:
        title_field(page).fill("Milk")
        replicas.backends[1].failure = FAILURE
        expect(page.get_by_role("alert").get_by_role("heading")).to_have_text(FAILURE["error"])
        expect(overlay(page)).to_contain_text("app/main.py · pod 127.0.0.1: the old code serves on")
        expect(overlay(page).locator("pre")).to_have_text(FAILURE["traceback"])
        expect(title_field(page)).to_be_focused()
        assert stayed(page)
        replicas.backends[1].failure = None
        expect(overlay(page)).to_be_hidden()
        assert stayed(page)

    def test_tells_when_nothing_serves(self, page: Page, replicas: Replicas) -> None:
        for backend in replicas.backends:
            backend.serving, backend.failure = False, FAILURE
        expect(overlay(page)).to_contain_text("nothing serves")
        replicas.serve(NEWER_CODE)
        expect_reload(page)
        expect(overlay(page)).to_be_hidden()

    def test_is_there_after_a_load_too(self, page: Page, replicas: Replicas) -> None:
        replicas.backends[0].failure = FAILURE
        page.reload()
        expect(overlay(page)).to_be_visible()

    def test_shows_markup_as_text(self, page: Page, replicas: Replicas) -> None:
        markup = '<img src="x" onerror="alert(1)"><b>bold</b>'
        replicas.backends[0].failure = {"files": [markup], "error": markup, "traceback": markup}
        expect(overlay(page).locator("pre")).to_have_text(markup)
        expect(overlay(page).get_by_role("heading")).to_have_text(markup)
        expect(overlay(page)).to_contain_text(f"{markup} · pod")
        expect(overlay(page).locator("img, b")).to_have_count(0)

    def test_is_hidden_by_escape_until_another_failure(self, page: Page, replicas: Replicas) -> None:
        replicas.api.add("Milk")
        open_page(page, replicas)
        page.get_by_role("button", name="Edit “Milk”").click()
        editor = page.get_by_role("form", name="Edit “Milk”")
        replicas.backends[0].failure = FAILURE
        expect(overlay(page)).to_be_visible()
        page.keyboard.press("Escape")
        expect(overlay(page)).to_be_hidden()
        expect(editor).to_be_visible()
        is_told(page, replicas)
        expect(overlay(page)).to_be_hidden()
        page.keyboard.press("Escape")
        expect(editor).to_be_hidden()
        replicas.backends[0].failure = FAILURE | {"error": "SyntaxError: invalid syntax"}
        expect(overlay(page).get_by_role("heading")).to_have_text("SyntaxError: invalid syntax")
        overlay(page).get_by_role("button", name="Hide").click()
        expect(overlay(page)).to_be_hidden()

    def test_leaves_the_page_usable(self, page: Page, replicas: Replicas) -> None:
        long = "\n".join(f"line {number} {'x' * 300}" for number in range(500))
        replicas.backends[0].failure = FAILURE | {"traceback": long}
        expect(overlay(page)).to_be_visible()
        title_field(page).click()
        title_field(page).fill("Milk")
        title_field(page).press("Enter")
        expect(page.locator(".title")).to_have_text(["Milk"])
        overlay(page).locator("pre").focus()
        page.keyboard.press("End")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


class TestHiddenTab:
    def test_listens_no_more_and_catches_up(self, page: Page, replicas: Replicas) -> None:
        # That nobody asks anything without a listener is shown in test_browser_reload.py.
        with page.expect_event("requestfailed", lambda request: request.url.endswith("/_dev/events")):
            show(page, "hidden")
        replicas.serve(NEWER_CODE)
        assert stayed(page)
        show(page, "visible")
        expect_reload(page)


def show(page: Page, state: str) -> None:
    """Let the page believe that its tab has been hidden or shown: without a screen, all tabs are visible."""
    page.evaluate(
        """state => {
            Object.defineProperty(document, "visibilityState", { configurable: true, get: () => state });
            document.dispatchEvent(new Event("visibilitychange"));
        }""",
        state,
    )
