"""The page in a real browser against a fake feed, under the Content-Security-Policy that it is served with."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from dashboard.tests.fake_feed import (
    TOKEN,
    FakeDashboard,
    FakeFeed,
    make_pod,
    make_resource,
    make_save,
    make_state,
)
from frontend.tests.browser import Complaints
from frontend.tests.test_page import COLOURS

pytestmark = pytest.mark.browser

type Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
VIEWS = ("logs", "state", "loop")
MARKUP = '<img src="x" onerror="window.ran = true"></script><script>window.ran = true</script><b>bold</b>'
PHONE = {"width": 360, "height": 740}


@pytest.fixture
def feed() -> Iterator[FakeFeed]:
    with FakeDashboard() as dashboard:
        yield dashboard.feed


@pytest.fixture
def page(context: BrowserContext, feed: FakeFeed, complaints: Complaints) -> Iterator[Page]:
    page = context.new_page()
    complaints.watch(page, feed.url)
    yield page
    assert complaints == []


def open_page(page: Page, feed: FakeFeed, search: str = "") -> None:
    page.goto(feed.url + search)
    expect(page.locator(".overall-text")).not_to_have_text(re.compile("^(Connecting…|No connection|Waiting for Tilt)$"))
    # What has come is shown in the next frame.
    page.evaluate("new Promise(requestAnimationFrame)")


def rows(page: Page) -> Locator:
    return page.locator(".row")


def words(page: Page) -> Locator:
    return page.locator(".row .words")


def button(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


def filter_field(page: Page) -> Locator:
    return page.get_by_label("Filter", exact=True)


def match_count(page: Page) -> Locator:
    return page.locator("#match-count")


def detail(page: Page) -> Locator:
    return page.get_by_role("complementary", name="The chosen message")


def card(page: Page, name: str) -> Locator:
    return page.locator("li.resource").filter(has=page.locator(".name").get_by_text(name, exact=True))


def copied(page: Page) -> str:
    """Copy what is shown, and return what is in the clipboard."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    button(page, "Copy").click()
    expect(page.locator("#status")).to_contain_text("Copied")
    return str(page.evaluate("navigator.clipboard.readText()"))


def save_row(page: Page, identifier: int) -> Locator:
    return page.locator(f"#save-{identifier}")


class TestLines:
    def test_say_that_there_are_none(self, page: Page, feed: FakeFeed) -> None:
        open_page(page, feed)
        expect(page.get_by_text("No lines yet.")).to_be_visible()
        expect(match_count(page)).to_have_text("0 lines")

    @pytest.mark.core
    def test_appear_as_they_come(self, page: Page, feed: FakeFeed) -> None:
        open_page(page, feed)
        feed.log("one")
        expect(words(page)).to_have_text(["one"])
        feed.log("two", resource="frontend", level="warn", pod="frontend-7d9f-abcde")
        feed.log("three", resource="", pod="", source="build")
        expect(words(page)).to_have_text(["one", "two", "three"])
        expect(rows(page).nth(1)).to_have_text(re.compile(r"^\d\d:\d\d:\d\d\.002!warnfrontendabcdetwo$"))
        expect(rows(page).nth(2)).to_have_text(re.compile(r"infoTiltbuildthree$"))
        expect(match_count(page)).to_have_text("3 lines")

    def test_structured_logs_are_shown_as_fields(self, page: Page, feed: FakeFeed) -> None:
        feed.log('{"level": "info", "msg": "request", "status": 200, "path": "/todos", "nested": {"a": [1]}}')
        feed.log('{"message": "other name", "exception": "Traceback:\\n  frame\\nValueError: y"}')
        feed.log('{"only": "fields"}')
        feed.log("{not json}")
        open_page(page, feed)
        expect(words(page)).to_have_text(["request", "other name", "{not json}"])
        expect(rows(page).nth(0).locator(".chip")).to_have_text(["status=200", "path=/todos", 'nested={"a":[1]}'])
        expect(rows(page).nth(1).locator(".chip")).to_have_text(["exception=… ValueError: y"])
        expect(rows(page).nth(2).locator(".chip")).to_have_text(["only=fields"])
        rows(page).nth(1).click()
        expect(detail(page).locator("dd")).to_have_text("Traceback:\n  frame\nValueError: y")

    def test_a_chosen_line_is_shown_in_full(self, page: Page, feed: FakeFeed) -> None:
        feed.log("x" * 5000 + " end")
        open_page(page, feed)
        rows(page).click()
        expect(detail(page).locator("pre")).to_have_text("x" * 5000 + " end")
        expect(detail(page)).to_contain_text("info · backend · backend-6c9f7d5b84-x2x7q")
        button(page, "Close").click()
        expect(detail(page)).to_be_hidden()

    def test_can_be_chosen_with_the_keyboard(self, page: Page, feed: FakeFeed) -> None:
        feed.log("one")
        feed.log_traceback()
        feed.log("three")
        open_page(page, feed)
        expect(rows(page)).to_have_count(3)
        page.get_by_role("tree", name="Log lines").focus()
        page.keyboard.press("ArrowUp")
        page.keyboard.press("ArrowUp")
        expect(page.get_by_role("treeitem", selected=True)).to_contain_text("Traceback")
        page.keyboard.press("ArrowRight")
        expect(page.get_by_role("treeitem", expanded=True)).to_contain_text("▾ 7 lines")
        expect(rows(page)).to_have_count(10)
        page.keyboard.press("ArrowDown")
        expect(page.get_by_role("treeitem", selected=True)).to_contain_text("line 0")
        page.keyboard.press("ArrowLeft")
        expect(rows(page)).to_have_count(3)
        page.keyboard.press("Escape")
        expect(detail(page)).to_be_hidden()

    def test_following_stops_and_goes_on(self, page: Page, feed: FakeFeed) -> None:
        feed.log_all({"text": f"line {number}"} for number in range(500))
        open_page(page, feed)
        expect(page.get_by_text("line 499", exact=True)).to_be_in_viewport()
        expect(button(page, "↓ Follow")).to_be_hidden()
        rows(page).last.hover()
        page.mouse.wheel(0, -3000)
        expect(button(page, "↓ Follow")).to_be_visible()
        top = page.evaluate("document.querySelector('#log').scrollTop")
        feed.log("newest")
        expect(match_count(page)).to_have_text("501 lines")
        assert page.evaluate("document.querySelector('#log').scrollTop") == top
        expect(page.get_by_text("newest", exact=True)).not_to_be_in_viewport()
        button(page, "↓ Follow").click()
        expect(page.get_by_text("newest", exact=True)).to_be_in_viewport()
        feed.log("newer still")
        expect(page.get_by_text("newer still", exact=True)).to_be_in_viewport()


class TestFilter:
    def lines(self, feed: FakeFeed) -> None:
        feed.log("debugging", level="debug")
        feed.log("GET /todos 200")
        feed.log("slow (1.5 s)", level="warn", resource="frontend")
        feed.log("broken: /todos", level="error", resource="postgres")

    def test_by_resources(self, page: Page, feed: FakeFeed) -> None:
        self.lines(feed)
        open_page(page, feed)
        expect(button(page, "All")).to_have_attribute("aria-pressed", "true")
        button(page, "frontend").click()
        expect(words(page)).to_have_text(["slow (1.5 s)"])
        expect(match_count(page)).to_have_text("1 of 4 lines")
        button(page, "postgres").click()
        expect(words(page)).to_have_text(["slow (1.5 s)", "broken: /todos"])
        button(page, "frontend").click()
        expect(words(page)).to_have_text(["broken: /todos"])
        button(page, "All").click()
        expect(words(page)).to_have_count(4)

    def test_by_level_and_above(self, page: Page, feed: FakeFeed) -> None:
        self.lines(feed)
        open_page(page, feed)
        for level, number in (("info", 3), ("warn", 2), ("error", 1), ("debug", 4)):
            page.get_by_label("Level").select_option(level)
            expect(rows(page)).to_have_count(number)
            expect(match_count(page)).to_have_text("4 lines" if number == 4 else f"{number} of 4 lines")

    def test_by_text(self, page: Page, feed: FakeFeed) -> None:
        self.lines(feed)
        open_page(page, feed)
        filter_field(page).fill("/TODOS")
        expect(match_count(page)).to_have_text("2 of 4 lines")
        expect(page.locator("mark")).to_have_text(["/todos", "/todos"])
        filter_field(page).fill("(1.5")
        expect(words(page)).to_have_text(["slow (1.5 s)"])
        feed.log("another (1.5 s)")
        feed.log("not this")
        expect(match_count(page)).to_have_text("2 of 6 lines")
        filter_field(page).fill("nothing like it")
        expect(page.get_by_text("None of the 6 lines passes this filter.")).to_be_visible()

    def test_by_regex(self, page: Page, feed: FakeFeed) -> None:
        self.lines(feed)
        open_page(page, feed)
        filter_field(page).fill(r"^(get|broken).*\d*$")
        expect(match_count(page)).to_have_text("0 of 4 lines")
        page.get_by_label("Regex").check()
        expect(match_count(page)).to_have_text("2 of 4 lines")
        expect(words(page)).to_have_text(["GET /todos 200", "broken: /todos"])

    def test_an_invalid_regex_says_so_and_filters_nothing(self, page: Page, feed: FakeFeed) -> None:
        self.lines(feed)
        open_page(page, feed, "?regex=1")
        filter_field(page).fill("(todos")
        expect(page.get_by_text("This is no regular expression, so it filters nothing.")).to_be_visible()
        expect(filter_field(page)).to_have_accessible_description(re.compile("no regular expression"))
        expect(filter_field(page)).to_have_attribute("aria-invalid", "true")
        expect(rows(page)).to_have_count(4)
        filter_field(page).fill("(todos)")
        expect(page.get_by_text("This is no regular expression")).to_be_hidden()
        expect(rows(page)).to_have_count(2)

    def test_finds_a_field_as_it_is_shown_and_as_it_was_sent(self, page: Page, feed: FakeFeed) -> None:
        feed.log('{"msg": "request", "status": 200}')
        feed.log('{"msg": "request", "status": 404}')
        open_page(page, feed)
        for text in ("status=404", '"status": 404'):
            filter_field(page).fill(text)
            expect(page.locator(".chip")).to_have_text(["status=404"])

    def test_finds_a_message_by_any_of_its_lines(self, page: Page, feed: FakeFeed) -> None:
        head = feed.log_traceback("ValueError: needle")
        feed.log_traceback("KeyError: other")
        open_page(page, feed)
        filter_field(page).fill("needle")
        expect(rows(page)).to_have_count(1)
        expect(match_count(page)).to_have_text("8 of 16 lines")
        filter_field(page).fill("late")
        expect(match_count(page)).to_have_text("0 of 16 lines")
        feed.log("late line", head=head, level="error")
        expect(rows(page)).to_have_count(1)
        expect(match_count(page)).to_have_text("9 of 17 lines")


class TestPause:
    def test_loses_nothing(self, page: Page, feed: FakeFeed) -> None:
        feed.log("before")
        open_page(page, feed)
        expect(words(page)).to_have_text(["before"])
        button(page, "Pause").click()
        expect(page.get_by_text("Paused: no new lines")).to_be_visible()
        feed.log_all({"text": f"meanwhile {number}"} for number in range(128))
        expect(page.get_by_text("128 new lines")).to_be_visible()
        expect(words(page)).to_have_text(["before"])
        button(page, "Resume").click()
        expect(match_count(page)).to_have_text("129 lines")
        text = copied(page).splitlines()
        assert [line.rpartition("x2x7q ")[2] for line in text] == [
            "before",
            *(f"meanwhile {number}" for number in range(128)),
        ]

    def test_ends_with_the_button_that_counts(self, page: Page, feed: FakeFeed) -> None:
        open_page(page, feed)
        button(page, "Pause").click()
        feed.log("one")
        button(page, "Paused: 1 new line").click()
        expect(words(page)).to_have_text(["one"])
        expect(button(page, "Pause")).to_have_attribute("aria-pressed", "false")


class TestTracebacks:
    def test_are_folded_with_their_error_beside_the_fold(self, page: Page, feed: FakeFeed) -> None:
        feed.log("before")
        feed.log_traceback("ValueError: x", frames=13)
        feed.log("after")
        open_page(page, feed)
        expect(rows(page)).to_have_count(3)
        expect(page.locator(".fold")).to_have_text("▸ 14 lines")
        expect(page.locator(".summary")).to_have_text("ValueError: x")
        page.locator(".fold").click()
        expect(rows(page)).to_have_count(17)
        expect(rows(page).nth(15)).to_contain_text("ValueError: x")
        expect(page.locator(".summary")).to_have_count(0)
        page.locator(".fold").click()
        expect(rows(page)).to_have_count(3)

    def test_are_shown_in_full_when_chosen(self, page: Page, feed: FakeFeed) -> None:
        feed.log_traceback(frames=1)
        open_page(page, feed)
        page.locator(".words").click()
        expect(detail(page).locator("pre")).to_have_text(
            'Traceback (most recent call last):\n  File "main.py", line 0\nValueError: x'
        )

    def test_stay_together_among_other_lines(self, page: Page, feed: FakeFeed) -> None:
        head = feed.log("Traceback (most recent call last):", level="error")
        feed.log("between", resource="frontend")
        open_page(page, feed)
        expect(rows(page)).to_have_count(2)
        feed.log("  frame", head=head, level="error")
        feed.log("ValueError: late", head=head, level="error")
        expect(page.locator(".fold")).to_have_text("▸ 2 lines")
        expect(page.locator(".summary")).to_have_text("ValueError: late")
        page.locator(".fold").click()
        expect(rows(page).nth(2)).to_contain_text("ValueError: late")
        feed.log("a note", head=head, level="error")
        expect(rows(page).nth(3)).to_contain_text("a note")
        expect(rows(page).nth(4)).to_contain_text("between")


class TestLastError:
    def test_is_jumped_to(self, page: Page, feed: FakeFeed) -> None:
        feed.log("first error", level="error")
        feed.log_all({"text": f"line {number}"} for number in range(300))
        feed.log_traceback("KeyError: 'the last'")
        feed.log_all({"text": f"later {number}"} for number in range(300))
        open_page(page, feed)
        expect(page.get_by_text("later 299", exact=True)).to_be_in_viewport()
        button(page, "Last error").click()
        selected = page.get_by_role("treeitem", selected=True)
        expect(selected).to_contain_text("KeyError: 'the last'")
        expect(selected).to_be_in_viewport()
        expect(detail(page).locator("pre")).to_contain_text("KeyError: 'the last'")
        expect(button(page, "↓ Follow")).to_be_visible()

    def test_is_said_to_be_missing(self, page: Page, feed: FakeFeed) -> None:
        feed.log("fine")
        open_page(page, feed)
        button(page, "Last error").click()
        expect(page.get_by_text("There is no error among these lines.")).to_be_visible()


class TestCopies:
    def test_download_and_copy_hold_what_the_filter_lets_through(self, page: Page, feed: FakeFeed) -> None:
        feed.log("not this")
        feed.log_traceback("ValueError: wanted", frames=1)
        feed.log("wanted, too", resource="", pod="")
        open_page(page, feed, "?filter=wanted")
        expect(match_count(page)).to_have_text("4 of 5 lines")
        with page.expect_download() as download:
            button(page, "Download").click()
        assert re.fullmatch(r"todo-logs-\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d\.txt", download.value.suggested_filename)
        text = Path(download.value.path()).read_text()
        assert [line.split(" ", 2)[2] for line in text.splitlines()] == [
            "error backend/backend-6c9f7d5b84-x2x7q Traceback (most recent call last):",
            'error backend/backend-6c9f7d5b84-x2x7q   File "main.py", line 0',
            "error backend/backend-6c9f7d5b84-x2x7q ValueError: wanted",
            "info  Tilt wanted, too",
        ]
        assert copied(page) == text

    def test_a_message_can_be_copied(self, page: Page, feed: FakeFeed) -> None:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        feed.log("one")
        feed.log("two")
        open_page(page, feed)
        rows(page).first.click()
        page.keyboard.press("c")
        expect(page.get_by_text("Copied the message.")).to_be_visible()
        assert re.fullmatch(r".* backend/\S+ one\n", page.evaluate("navigator.clipboard.readText()"))


class TestInjection:
    def test_markup_stays_text_everywhere(self, page: Page, feed: FakeFeed) -> None:
        feed.log(MARKUP, resource=MARKUP, pod=f"a-{MARKUP}")
        feed.log(f'{{"msg": "{MARKUP.replace(chr(34), "'")}", "<i>key</i>": "<u>value</u>"}}')
        feed.show(
            make_state(
                make_resource(MARKUP, status="error", reason=MARKUP, detail=[MARKUP], pods=[make_pod(MARKUP)],
                              group=MARKUP, links=[{"name": MARKUP, "url": "javascript:window.ran = true"}]),
                overall={"status": "error", "text": MARKUP},
                project=MARKUP,
                buttons=[{"id": MARKUP, "text": MARKUP, "confirm": True, "disabled": False}],
            )
        )  # fmt: skip
        feed.save(
            make_save(1, files=[MARKUP], resource=MARKUP, action="rebuild", why=MARKUP, unexpected=True),
            make_save(2, files=[MARKUP], status="failed", error=MARKUP),
        )
        open_page(page, feed)
        expect(words(page).first).to_have_text(MARKUP)
        expect(page).to_have_title(f"✗ {MARKUP} · {MARKUP}")
        rows(page).first.click()
        expect(detail(page).locator("pre")).to_have_text(MARKUP)
        filter_field(page).fill("<b>")
        expect(page.locator("mark").first).to_have_text("<b>")
        page.keyboard.press("Escape")
        page.keyboard.press("2")
        expect(page.locator("li.resource .name")).to_have_text(MARKUP)
        expect(page.locator(".trouble .reason")).to_have_text(MARKUP)
        expect(page.locator("li.resource a")).to_have_count(0)
        button(page, MARKUP).click()
        expect(page.get_by_role("dialog")).to_contain_text(f"{MARKUP}?")
        button(page, "Cancel").click()
        page.keyboard.press("3")
        expect(save_row(page, 2)).to_contain_text(f"Not served: {MARKUP}")
        page.locator(".mark").first.hover()
        expect(page.locator(".tip")).to_contain_text(MARKUP)
        assert page.evaluate("window.ran") is None
        assert page.locator("main :is(img, script, b, i, u)").count() == 0

    def test_the_policy_is_in_force(self, page: Page, feed: FakeFeed, complaints: Complaints) -> None:
        open_page(page, feed)
        with page.expect_console_message(lambda message: "TrustedHTML" in message.text):
            assert page.evaluate(
                "() => { try { document.body.innerHTML = '<b>'; } catch (error) { return error.name; } }"
            ) == ("TypeError")
        complaints.clear()


class TestAddress:
    SEARCH = "?view=logs&resource=backend&resource=&level=warn&filter=to+do&regex=1"

    def test_restores_the_view(self, page: Page, feed: FakeFeed) -> None:
        feed.log("to do", level="warn")
        feed.log("to do, from Tilt", level="error", resource="", pod="")
        feed.log("to do, too low")
        feed.log("to do, elsewhere", level="warn", resource="frontend")
        feed.log("other", level="error")
        open_page(page, feed, self.SEARCH)
        expect(words(page)).to_have_text(["to do", "to do, from Tilt"])
        expect(filter_field(page)).to_have_value("to do")
        expect(page.get_by_label("Level")).to_have_value("warn")
        expect(page.get_by_label("Regex")).to_be_checked()
        for name, pressed in (("All", "false"), ("backend", "true"), ("Tilt", "true"), ("frontend", "false")):
            expect(button(page, name)).to_have_attribute("aria-pressed", pressed)

    def test_follows_the_filter(self, page: Page, feed: FakeFeed) -> None:
        feed.log("one")
        open_page(page, feed)
        button(page, "backend").click()
        button(page, "Tilt").click()
        page.get_by_label("Level").select_option("warn")
        filter_field(page).fill("to do")
        page.get_by_label("Regex").check()
        expect(page).to_have_url(feed.url + self.SEARCH)

    def test_back_goes_to_the_view_before(self, page: Page, feed: FakeFeed) -> None:
        open_page(page, feed, "?view=state")
        expect(page.get_by_role("region", name="State")).to_be_visible()
        page.get_by_role("link", name="Loop").click()
        expect(page.get_by_role("region", name="Loop")).to_be_visible()
        expect(page).to_have_url(f"{feed.url}?view=loop")
        page.get_by_role("link", name="Logs").click()
        filter_field(page).fill("x")
        expect(page).to_have_url(f"{feed.url}?view=logs&filter=x")
        page.go_back()
        expect(page.get_by_role("region", name="Loop")).to_be_visible()
        page.go_back()
        expect(page.get_by_role("region", name="State")).to_be_visible()
        expect(page.get_by_role("link", name="State")).to_have_attribute("aria-current", "page")
        page.go_forward()
        page.go_forward()
        expect(filter_field(page)).to_have_value("x")

    def test_an_unknown_view_is_that_of_the_logs(self, page: Page, feed: FakeFeed) -> None:
        open_page(page, feed, "?view=nonsense&level=loud")
        expect(page.get_by_role("region", name="Logs")).to_be_visible()
        expect(page.get_by_label("Level")).to_have_value("debug")


class TestConnection:
    def ids(self, page: Page) -> list[int]:
        return [int(text.rpartition("line ")[2]) for text in copied(page).splitlines()]

    def test_nothing_is_shown_twice_or_dropped(self, page: Page, feed: FakeFeed) -> None:
        open_page(page, feed)
        for turn in range(3):
            feed.log_all({"text": f"line {turn * 100 + number}"} for number in range(1, 101))
            expect(match_count(page)).to_have_text(f"{turn + 1}00 lines")
            feed.cut()
        feed.log("line 301")
        expect(match_count(page)).to_have_text("301 lines")
        assert self.ids(page) == list(range(1, 302))
        assert feed.asked == [None, "aaaa0001-100", "aaaa0001-200", "aaaa0001-300"]

    def test_what_comes_again_is_not_shown_again(self, page: Page, feed: FakeFeed) -> None:
        feed.log_all({"text": f"line {number}"} for number in range(1, 51))
        open_page(page, feed)
        expect(match_count(page)).to_have_text("50 lines")
        feed.repeats = True
        feed.cut()
        feed.log("line 51")
        expect(match_count(page)).to_have_text("51 lines")
        assert self.ids(page) == list(range(1, 52))

    def test_another_dashboard_starts_over(self, page: Page, feed: FakeFeed) -> None:
        feed.log_all({"text": f"old {number}"} for number in range(50))
        feed.save(make_save(1))
        open_page(page, feed)
        expect(match_count(page)).to_have_text("50 lines")
        feed.restart("bbbb0002")
        feed.log("new")
        expect(words(page)).to_have_text(["new"])
        expect(match_count(page)).to_have_text("1 line")
        page.keyboard.press("3")
        expect(page.get_by_text("No file has been saved yet.")).to_be_visible()

    def test_a_gap_is_named(self, page: Page, feed: FakeFeed) -> None:
        feed.log("one")
        open_page(page, feed)
        expect(words(page)).to_have_text(["one"])
        feed.go_down()
        feed.first = 5
        feed.log_all({"text": f"line {number}"} for number in range(2, 6))
        feed.come_up()
        expect(words(page)).to_have_text(
            ["one", "3 lines are missing here: they came while this page had no connection.", "line 5"]
        )

    def test_a_lost_one_is_named_calmly(self, page: Page, feed: FakeFeed) -> None:
        feed.log("stays")
        open_page(page, feed)
        expect(words(page)).to_have_text(["stays"])
        feed.go_down()
        banner = page.locator("#banner")
        expect(banner).to_contain_text("The dashboard does not answer. Start it with make up.")
        expect(page).to_have_title("○ No connection · todo")
        expect(words(page)).to_have_text(["stays"])
        feed.come_up()
        expect(banner).to_be_hidden()
        expect(page).to_have_title("✓ All 2 resources are ready · todo")

    def test_a_tilt_that_is_gone_is_named(self, page: Page, feed: FakeFeed) -> None:
        feed.log("stays")
        open_page(page, feed)
        gone = {"connected": False, "error": "connection refused", "url": "", "hasPage": False, "version": ""}
        feed.show(make_state(tilt=gone, overall={"status": "off", "text": "Tilt does not run"}))
        expect(page.locator("#banner")).to_contain_text(
            "Tilt does not run (connection refused). Start it with make up."
        )
        expect(words(page)).to_have_text(["stays"])
        expect(page.locator("#favicon")).to_have_attribute("href", "/favicon-off.svg")
        expect(page.get_by_role("link", name="Tilt", exact=True)).to_be_hidden()


class TestManyLines:
    def test_the_oldest_are_forgotten_and_few_are_in_the_document(self, page: Page, feed: FakeFeed) -> None:
        feed.log_all({"text": f"line {number}"} for number in range(1, 101_001))
        open_page(page, feed)
        expect(page.get_by_text("line 101000", exact=True)).to_be_in_viewport(timeout=60_000)
        expect(match_count(page)).to_have_text("100,000 lines")
        assert rows(page).count() < 100
        page.locator("#log").evaluate("element => element.scrollTop = 0")
        expect(words(page).first).to_have_text("line 1001")
        assert rows(page).count() < 100
        # What is looked at stays in its place while older lines go.
        page.locator("#log").evaluate("element => element.scrollTop = 20 * 5000")
        expect(page.get_by_text("line 6001", exact=True)).to_be_in_viewport()
        feed.log_all({"text": f"line {number}"} for number in range(101_001, 102_001))
        expect(page.locator("#log")).to_have_js_property("scrollTop", 20 * 4000)
        expect(page.get_by_text("line 6001", exact=True)).to_be_in_viewport()
        filter_field(page).fill("line 102000")
        expect(match_count(page)).to_have_text("1 of 100,000 lines")
        expect(words(page)).to_have_text(["line 102000"])

    def test_what_flies_past_ends_with_the_newest(self, page: Page, feed: FakeFeed) -> None:
        open_page(page, feed)
        for batch in range(20):
            feed.log_all({"text": f"line {batch * 50 + number}"} for number in range(1, 51))
        expect(page.get_by_text("line 1000", exact=True)).to_be_in_viewport()
        rows(page).last.hover()
        page.mouse.wheel(0, -400)
        expect(button(page, "↓ Follow")).to_be_visible()
        expect(page.get_by_text("line 970", exact=True)).to_be_in_viewport()
        feed.log_all({"text": f"later {number}"} for number in range(500))
        expect(match_count(page)).to_have_text("1,500 lines")
        expect(page.get_by_text("line 970", exact=True)).to_be_in_viewport()

    def test_also_while_paused(self, page: Page, feed: FakeFeed) -> None:
        feed.log_all({"text": f"line {number}"} for number in range(1, 1001))
        open_page(page, feed)
        expect(match_count(page)).to_have_text("1,000 lines")
        button(page, "Pause").click()
        feed.log_all({"text": f"line {number}"} for number in range(1001, 101_001))
        expect(page.get_by_text("100,000 new lines")).to_be_visible(timeout=60_000)
        button(page, "Resume").click()
        expect(match_count(page)).to_have_text("100,000 lines")
        expect(page.get_by_text("line 101000", exact=True)).to_be_in_viewport()


class TestState:
    def test_says_that_nothing_is_known(self, page: Page, feed: FakeFeed) -> None:
        feed.show(make_state())
        open_page(page, feed, "?view=state")
        expect(page.get_by_text("Nothing is known about the resources yet.")).to_be_visible()

    def test_tells_why_a_resource_is_not_ready(self, page: Page, feed: FakeFeed) -> None:
        reason = "Container backend crashed with exit code 1 (4 restarts)"
        backend = make_resource(
            "backend",
            status="error",
            reason=reason,
            detail=["one", "ImportError: no module"],
            update={"status": "error", "text": "failed 12:03:04, 2.1 s", "error": "exit status 1"},
            runtime={"status": "error", "text": "0 of 1 pods ready"},
        )
        waiting = make_resource("frontend", status="waiting", reason="waits for backend", group="web")
        feed.show(make_state(backend, waiting, overall={"status": "error", "text": f"backend: {reason}"}))
        open_page(page, feed, "?view=state")
        expect(card(page, "backend").locator(".trouble > .reason")).to_have_text(reason)
        expect(card(page, "backend").get_by_label("Last lines")).to_have_text("one\nImportError: no module")
        expect(card(page, "backend")).to_contain_text("exit status 1")
        expect(card(page, "backend").locator("dd")).to_have_text(["✗failed 12:03:04, 2.1 s", "✗0 of 1 pods ready"])
        expect(card(page, "backend").locator(".word")).to_have_text("error")
        expect(card(page, "frontend")).to_contain_text("waits for backend")
        expect(page.get_by_role("heading", level=2)).to_have_text(["app", "web"])

    def test_shows_pods_with_the_version_that_each_serves(self, page: Page, feed: FakeFeed) -> None:
        pods = [
            make_pod("backend-a", restarts=3),
            make_pod("backend-b", code="0123456789ab"),
            make_pod("backend-c", code=None, ready=False, status="Pending", reason="its containers are being created"),
        ]
        feed.show(make_state(make_resource("backend", pods=pods)))
        open_page(page, feed, "?view=state")
        lines = card(page, "backend").locator("tbody tr")
        expect(lines.nth(0)).to_contain_text(re.compile("backend-a.*Running, ready.*9f86d081.*3"))
        expect(lines.nth(1)).to_contain_text("01234567")
        expect(lines.nth(2)).to_contain_text("its containers are being created")
        expect(card(page, "backend")).to_contain_text("The pods serve 2 versions at the moment.")

    @pytest.mark.core
    def test_triggers_with_the_token(self, page: Page, feed: FakeFeed) -> None:
        open_page(page, feed, "?view=state")
        button(page, "Trigger backend").click()
        expect(page.get_by_text("Tilt has been told.")).to_be_visible()
        assert feed.actions == [(TOKEN, {"action": "trigger", "resource": "backend"})]

    def test_stops_and_starts(self, page: Page, feed: FakeFeed) -> None:
        open_page(page, feed, "?view=state")
        button(page, "Disable frontend").click()
        expect(page.get_by_text("Tilt has been told.")).to_be_visible()
        off = make_resource("frontend", status="disabled", enabled=False, canTrigger=False, pods=[])
        feed.show(make_state(make_resource("backend"), off))
        expect(button(page, "Trigger frontend")).to_have_count(0)
        expect(card(page, "frontend").locator(".word")).to_have_text("disabled")
        # What the page has said of the action before is still there.
        with page.expect_response("**/api/actions"):
            button(page, "Enable frontend").click()
        expect(button(page, "Enable frontend")).to_be_focused()
        assert [action for _, action in feed.actions] == [
            {"action": "disable", "resource": "frontend"},
            {"action": "enable", "resource": "frontend"},
        ]

    def test_has_the_buttons_of_the_tiltfile(self, page: Page, feed: FakeFeed) -> None:
        seed = {"id": "seed", "text": "Seed the database", "confirm": False, "disabled": False}
        reset = {"id": "reset", "text": "Reset the database", "confirm": True, "disabled": False}
        off = {"id": "off", "text": "Not now", "confirm": False, "disabled": True}
        feed.show(make_state(make_resource("postgres", buttons=[seed, off]), buttons=[reset]))
        open_page(page, feed, "?view=state")
        expect(button(page, "Not now")).to_be_disabled()
        button(page, "Reset the database").click()
        dialog = page.get_by_role("dialog", name="Reset the database?")
        expect(dialog).to_be_visible()
        button(page, "Cancel").click()
        expect(dialog).to_be_hidden()
        button(page, "Reset the database").click()
        button(page, "Yes, do it").click()
        expect(page.get_by_text("Tilt has been told.")).to_be_visible()
        feed.refusal = "The database is away."
        card(page, "postgres").get_by_role("button", name="Seed the database").click()
        expect(page.get_by_role("alert")).to_contain_text("The database is away.")
        assert [action for _, action in feed.actions] == [
            {"action": "press", "button": "reset"},
            {"action": "press", "button": "seed"},
        ]

    def test_a_refused_action_shows_its_error(self, page: Page, feed: FakeFeed) -> None:
        feed.refusal = "backend is disabled; enable it first."
        open_page(page, feed, "?view=state")
        button(page, "Trigger backend").click()
        expect(page.get_by_role("alert")).to_contain_text("backend is disabled; enable it first.")
        feed.refusal = None
        button(page, "Trigger backend").click()
        expect(page.get_by_role("alert")).to_be_hidden()
        feed.refusal = "Not now."
        button(page, "Trigger backend").click()
        button(page, "Dismiss").click()
        expect(page.get_by_role("alert")).to_be_hidden()

    def test_keeps_the_focus_while_it_changes(self, page: Page, feed: FakeFeed) -> None:
        open_page(page, feed, "?view=state")
        button(page, "Trigger backend").focus()
        update = {"status": "in_progress", "text": "at work since 12:00:00", "error": None}
        feed.show(make_state(make_resource("backend", status="busy", update=update), make_resource("frontend")))
        expect(card(page, "backend")).to_contain_text("at work since")
        expect(button(page, "Trigger backend")).to_be_focused()

    def test_leads_to_the_log_of_a_resource(self, page: Page, feed: FakeFeed) -> None:
        feed.log("of the backend")
        feed.log("of the frontend", resource="frontend")
        open_page(page, feed, "?view=state")
        button(page, "Logs frontend").click()
        expect(words(page)).to_have_text(["of the frontend"])
        expect(page).to_have_url(f"{feed.url}?view=logs&resource=frontend")


class TestLoop:
    def test_says_that_nothing_was_saved(self, page: Page, feed: FakeFeed) -> None:
        open_page(page, feed, "?view=loop")
        expect(page.get_by_text("No file has been saved yet.")).to_be_visible()
        expect(page.locator("#plot")).to_be_hidden()

    @pytest.mark.core
    def test_shows_where_the_time_went(self, page: Page, feed: FakeFeed) -> None:
        feed.save(make_save(1), make_save(2, action="sync", files=["frontend/app.js", "frontend/style.css"]))
        open_page(page, feed, "?view=loop")
        entry = save_row(page, 1)
        expect(entry).to_contain_text("backend/app/main.py")
        expect(entry).to_contain_text("Fast lane · backend")
        expect(entry).to_contain_text("Served by both replicas after 92 ms")
        expect(entry.locator(".phases span")).to_have_text(["detect 8 ms", "copy 21 ms", "reload 48 ms", "rest 15 ms"])
        expect(entry).to_contain_text("None of 14 requests failed")
        expect(save_row(page, 2)).to_contain_text("frontend/app.js, frontend/style.css")
        expect(page.locator(".save").first).to_have_attribute("id", "save-2")

    def test_a_save_under_way_is_completed(self, page: Page, feed: FakeFeed) -> None:
        feed.save(make_save(1, status="running", copy=None, reload=None, served=None))
        open_page(page, feed, "?view=loop")
        expect(save_row(page, 1)).to_contain_text("Under way")
        feed.save(make_save(1))
        expect(save_row(page, 1)).to_contain_text("Served by both replicas after 92 ms")
        expect(page.locator(".save")).to_have_count(1)

    def test_a_failure_is_told(self, page: Page, feed: FakeFeed) -> None:
        feed.save(make_save(1, status="failed", error="SyntaxError: invalid syntax", served=None, failed=2))
        open_page(page, feed, "?view=loop")
        expect(save_row(page, 1)).to_contain_text("Not served: SyntaxError: invalid syntax")
        expect(save_row(page, 1)).to_contain_text("✗ 2 of 14 requests failed")
        expect(page.locator(".mark .shape-mark")).to_have_attribute("data-outcome", "failed")
        expect(page.locator(".mark .dropped")).to_have_count(1)

    def test_an_unexpected_rebuild_is_pointed_out_with_its_file(self, page: Page, feed: FakeFeed) -> None:
        rebuild = make_save(
            1,
            action="rebuild",
            unexpected=True,
            files=["backend/app/main.py", "backend/tools/seed.py"],
            why="backend/tools/seed.py: no sync() covers it",
            served=18_200.0,
            reload=None,
            copy=15_000.0,
        )
        expected = make_save(2, action="rebuild", files=["docker/backend.Dockerfile"], why="fall_back_on() names it")
        feed.save(rebuild, expected)
        open_page(page, feed, "?view=loop")
        expect(save_row(page, 1).locator(".warning")).to_have_text(
            "! Unexpected rebuild, caused by backend/tools/seed.py. backend/tools/seed.py: no sync() covers it"
        )
        expect(save_row(page, 1)).to_contain_text("after 18.2 s")
        expect(save_row(page, 2).locator(".warning")).to_have_count(0)
        expect(save_row(page, 2)).to_contain_text("fall_back_on() names it")
        expect(page.locator(".mark .alarm")).to_have_count(1)

    def test_shows_the_figures_of_today(self, page: Page, feed: FakeFeed) -> None:
        feed.save(make_save(1), p50=92.4, p95=1240.0, failed=3)
        open_page(page, feed, "?view=loop")
        expect(page.locator(".figure strong")).to_have_text(["92 ms", "1.2 s", "31", "✗ 3"])
        expect(page.locator(".figure").last).to_contain_text("of 5,210 requests today")
        expect(page.locator(".figure-label")).to_have_text(["p50 92 ms", "p95 1.2 s"])

    def test_the_plot_tells_more_about_each_save(self, page: Page, feed: FakeFeed) -> None:
        feed.save(*(make_save(number, files=[f"file-{number}.py"]) for number in range(1, 41)))
        open_page(page, feed, "?view=loop")
        marks = page.locator(".mark")
        expect(marks).to_have_count(40)
        marks.nth(3).hover()
        expect(page.locator(".tip")).to_contain_text("file-4.py")
        expect(page.locator(".tip")).to_contain_text("detect 8 ms · copy 21 ms · reload 48 ms · rest 15 ms")
        page.mouse.move(5, 5)
        expect(page.locator(".tip")).to_be_hidden()
        marks.last.focus()
        page.keyboard.press("ArrowLeft")
        expect(page.locator(".tip")).to_contain_text("file-39.py")
        expect(marks.nth(38)).to_have_accessible_name(re.compile("file-39.py.*Served by both replicas after 92 ms"))
        feed.save(make_save(41))
        expect(marks).to_have_count(41)
        expect(marks.nth(38)).to_be_focused()
        page.keyboard.press("Enter")
        expect(save_row(page, 39)).to_be_focused()
        expect(save_row(page, 39)).to_be_in_viewport()


class TestTitle:
    @pytest.mark.parametrize(("status", "sign"), (("ok", "✓"), ("busy", "…"), ("error", "✗"), ("off", "○")))
    def test_and_favicon_follow_the_state(self, page: Page, feed: FakeFeed, status: str, sign: str) -> None:
        open_page(page, feed)
        feed.show(make_state(overall={"status": status, "text": "backend: so it is"}))
        expect(page).to_have_title(f"{sign} backend: so it is · todo")
        expect(page.locator("#favicon")).to_have_attribute("href", f"/favicon-{status}.svg")
        assert page.request.get(f"{feed.url}favicon-{status}.svg").ok

    def test_the_tab_counts_what_is_in_error(self, page: Page, feed: FakeFeed) -> None:
        feed.show(make_state(make_resource("backend", status="error", reason="broken")))
        open_page(page, feed)
        expect(page.get_by_role("link", name="State ✗ 1")).to_be_visible()


class TestShortcuts:
    def test_are_shown(self, page: Page, feed: FakeFeed) -> None:
        open_page(page, feed)
        page.keyboard.press("?")
        help_dialog = page.get_by_role("dialog", name="Keyboard shortcuts")
        expect(help_dialog).to_be_visible()
        page.keyboard.press("2")
        expect(page.get_by_role("region", name="State")).to_have_count(0)
        page.keyboard.press("Escape")
        expect(help_dialog).to_be_hidden()
        button(page, "Keyboard shortcuts").click()
        expect(help_dialog).to_be_visible()

    def test_do_what_they_say(self, page: Page, feed: FakeFeed) -> None:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        feed.log("an error", level="error")
        feed.log_all({"text": f"line {number}"} for number in range(200))
        open_page(page, feed)
        expect(match_count(page)).to_have_text("201 lines")
        for key, name in (("2", "State"), ("3", "Loop"), ("1", "Logs")):
            page.keyboard.press(key)
            expect(page.get_by_role("region", name=name)).to_be_visible()
        page.keyboard.press("p")
        expect(button(page, "Resume")).to_be_visible()
        page.keyboard.press("p")
        expect(button(page, "Pause")).to_be_visible()
        page.keyboard.press("c")
        expect(page.get_by_text("Copied 201 lines.")).to_be_visible()
        page.keyboard.press("3")
        page.keyboard.press("e")
        expect(page.get_by_role("treeitem", selected=True)).to_contain_text("an error")
        expect(page.get_by_role("treeitem", selected=True)).to_be_in_viewport()
        page.keyboard.press("Escape")
        expect(detail(page)).to_be_hidden()
        page.keyboard.press("End")
        expect(page.get_by_text("line 199", exact=True)).to_be_in_viewport()
        page.keyboard.press("/")
        expect(filter_field(page)).to_be_focused()
        expect(filter_field(page)).to_have_value("")

    def test_are_text_in_a_field_and_the_browsers_with_a_modifier(self, page: Page, feed: FakeFeed) -> None:
        feed.log("one")
        open_page(page, feed)
        filter_field(page).focus()
        page.keyboard.type("2pec?/")
        expect(filter_field(page)).to_have_value("2pec?/")
        expect(page.get_by_role("region", name="Logs")).to_be_visible()
        expect(button(page, "Pause")).to_be_visible()
        page.keyboard.press("Escape")
        page.keyboard.press("Alt+p")
        page.keyboard.press("Control+e")
        expect(button(page, "Pause")).to_be_visible()
        page.keyboard.press("p")
        expect(button(page, "Resume")).to_be_visible()


class TestLooks:
    def fill(self, feed: FakeFeed) -> None:
        """Show something of everything that there is."""
        feed.log("a very long line " + "x" * 3000)
        for level in ("debug", "info", "warn", "error"):
            feed.log(f"a line with {level}", level=level, resource=f"resource-{level}", source="build")
        feed.log_traceback()
        feed.log('{"msg": "request", "status": 200}')
        trouble = make_resource(
            "backend",
            status="error",
            reason="Container backend crashed " + "again and " * 20,
            detail=["  File " + "y" * 300],
            runtime={"status": "error", "text": "0 of 2 pods ready"},
            pods=[
                make_pod("backend-" + "z" * 80, ready=False, reason="crashes again and again"),
                make_pod("backend-b", code="0"),
            ],
            links=[{"name": "API", "url": "http://localhost:8000"}],
            buttons=[{"id": "seed", "text": "Seed the database", "confirm": False, "disabled": True}],
        )
        waiting = make_resource("frontend", status="waiting", reason="waits for backend")
        busy = make_resource("migrate", status="busy", update={"status": "in_progress", "text": "", "error": None})
        off = make_resource("postgres", status="disabled", enabled=False)
        overall = {"status": "error", "text": "backend: Container backend crashed " + "again and " * 20}
        feed.show(make_state(trouble, waiting, busy, off, overall=overall))
        feed.save(
            make_save(1, files=["backend/" + "w" * 120 + ".py"]),
            make_save(2, action="rebuild", unexpected=True, why="main.py: no sync() covers it", served=20_000.0),
            make_save(3, status="failed", error="SyntaxError: " + "v" * 120, served=None, failed=2),
            make_save(4, status="running", served=None),
            make_save(5, action="none", served=None, detect=None, copy=None, reload=None, requests=0, why="unused"),
            failed=2,
        )

    @pytest.mark.parametrize("view", VIEWS)
    @pytest.mark.parametrize("width", (360, 1280))
    def test_nothing_is_wider_than_the_page(self, page: Page, feed: FakeFeed, view: str, width: int) -> None:
        page.set_viewport_size({"width": width, "height": 740})
        self.fill(feed)
        open_page(page, feed, f"?view={view}&filter=(&regex=1")
        if view == "logs":
            rows(page).first.click()
            expect(detail(page)).to_be_visible()
        elif view == "state":
            expect(card(page, "backend")).to_be_visible()
        else:
            expect(save_row(page, 1)).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.evaluate(BEYOND) == []

    @pytest.mark.parametrize("view", VIEWS)
    def test_text_contrast(self, page: Page, feed: FakeFeed, view: str) -> None:
        self.fill(feed)
        open_page(page, feed, f"?view={view}&regex=1")
        if view == "logs":
            page.locator(".fold").click()
            rows(page).first.click()
            expect(detail(page)).to_be_visible()
            filter_field(page).fill("(")
            expect(page.get_by_text("This is no regular expression")).to_be_visible()
        known = {"logs": {"debug", "Pause"}, "state": {"Disable", "waits for backend"}, "loop": {"p50 92 ms", "failed"}}
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            contrasts = page.evaluate(CONTRASTS)
            assert known[view] <= {text for text, _ in contrasts}
            assert [(scheme, text, ratio) for text, ratio in contrasts if ratio < 4.5] == []

    def test_text_contrast_of_dialog_banner_and_notice(self, page: Page, feed: FakeFeed) -> None:
        feed.refusal = "Not now."
        open_page(page, feed, "?view=state")
        button(page, "Trigger backend").click()
        expect(page.get_by_role("alert")).to_be_visible()
        feed.go_down()
        expect(page.locator("#banner")).to_be_visible()
        page.keyboard.press("?")
        expect(page.get_by_role("dialog")).to_be_visible()
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            contrasts = page.evaluate(CONTRASTS)
            assert {"Not now.", "make up", "Filter the lines"} <= {text for text, _ in contrasts}
            assert [(scheme, text, ratio) for text, ratio in contrasts if ratio < 4.5] == []

    def test_the_schemes_differ(self, page: Page, feed: FakeFeed) -> None:
        open_page(page, feed)
        background = "getComputedStyle(document.body).backgroundColor"
        page.emulate_media(color_scheme="light")
        light = page.evaluate(background)
        page.emulate_media(color_scheme="dark")
        assert page.evaluate(background) != light


# What reaches beyond the window, unless something around it cuts it off or scrolls.
BEYOND = """() => [...document.querySelectorAll("body *")]
  .filter((element) => element.checkVisibility() && !element.closest(".log, .chips, .visually-hidden, svg"))
  .filter((element) => element.getBoundingClientRect().right > innerWidth + 0.5)
  .map((element) => element.outerHTML)"""

# The text of drawings has its colour from `fill`.
CONTRASTS = f"""() => {{ {COLOURS}
const found = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {{
  const text = walker.currentNode.data.trim();
  const element = walker.currentNode.parentElement;
  if (!text || !element.checkVisibility() || element.closest(".visually-hidden")) continue;
  const style = getComputedStyle(element);
  const background = behind(element);
  const colour = element instanceof SVGElement ? style.fill : style.color;
  found.push([text, contrast(over(parse(colour), background), background)]);
}}
for (const field of document.querySelectorAll("input[type=text], select")) {{
  found.push([field.id, contrast(parse(getComputedStyle(field).color), behind(field))]);
  found.push([field.placeholder, contrast(parse(getComputedStyle(field, "::placeholder").color), behind(field))]);
}}
return found; }}"""
