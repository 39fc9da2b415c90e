"""The page in a real browser against a fake API, under the Content-Security-Policy of nginx.conf."""

import re
from typing import Literal

import pytest
from playwright.sync_api import Locator, Page, expect

from frontend.tests.browser import Complaints
from frontend.tests.fake_api import UNREACHABLE, Answer, FakeApi, invalid

pytestmark = pytest.mark.browser

type Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")


def title_field(page: Page) -> Locator:
    return page.get_by_label("What needs doing?")


def add_button(page: Page) -> Locator:
    return page.get_by_role("button", name="Add todo")


def notice(page: Page) -> Locator:
    return page.get_by_role("alert")


def titles(page: Page) -> Locator:
    return page.locator(".title")


def button(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


def done(page: Page, title: str) -> Locator:
    return page.get_by_role("checkbox", name=f"{title} is done", exact=True)


def edit(page: Page, title: str) -> Locator:
    """Open the editor of the todo and return its title field."""
    button(page, f"Edit “{title}”").click()
    return page.get_by_role("form", name=f"Edit “{title}”").get_by_label("Title")


def open_page(page: Page, api: FakeApi) -> None:
    page.goto(api.url)
    expect(page.get_by_text("Loading your todos…")).to_be_hidden()


class TestList:
    def test_says_that_it_is_empty(self, page: Page, api: FakeApi) -> None:
        open_page(page, api)
        expect(page.get_by_text("Nothing to do")).to_be_visible()
        expect(titles(page)).to_have_count(0)

    def test_says_that_it_is_loading(self, page: Page, api: FakeApi) -> None:
        api.add("Milk")
        api.hold()
        page.goto(api.url)
        expect(page.get_by_text("Loading your todos…")).to_be_visible()
        api.release()
        expect(titles(page)).to_have_text(["Milk"])
        expect(page.get_by_text("Loading your todos…")).to_be_hidden()

    def test_shows_what_the_api_has(self, page: Page, api: FakeApi) -> None:
        api.add("Milk", "two litres", completed=True)
        api.add("Bread")
        open_page(page, api)
        expect(titles(page)).to_have_text(["Milk", "Bread"])
        expect(page.get_by_text("two litres")).to_be_visible()
        expect(done(page, "Milk")).to_be_checked()
        expect(done(page, "Bread")).not_to_be_checked()
        expect(page.get_by_text("1 of 2 done")).to_be_visible()

    def test_loads_all_pages(self, page: Page, api: FakeApi) -> None:
        for number in range(1201):
            api.add(f"Todo {number}")
        open_page(page, api)
        expect(page.get_by_text("0 of 1201 done")).to_be_visible()
        expect(titles(page)).to_have_count(1201)
        assert [target for _, target, _ in api.requests] == [
            f"/api/todos/?skip={skip}&limit=500" for skip in (0, 500, 1000)
        ]

    def test_shows_markup_as_text(self, page: Page, api: FakeApi) -> None:
        markup = '<img src="x" onerror="alert(1)"><b>bold</b>'
        api.add(markup, markup)
        open_page(page, api)
        expect(titles(page)).to_have_text([markup])
        expect(page.locator(".description")).to_have_text([markup])
        expect(page.locator(".todo img, .todo b")).to_have_count(0)

    @pytest.mark.parametrize(
        "answer",
        (
            Answer(503, {"detail": UNREACHABLE}),
            Answer(500, raw=b"Internal Server Error"),
            Answer(200, raw=b"<html>not JSON</html>"),
            Answer(200, {"todos": []}),
            Answer(200, [{"id": "one"}]),
            Answer(200, None),
            Answer(0),
        ),
        ids=("503", "500", "not JSON", "not a list", "not a todo", "null", "no answer"),
    )
    def test_offers_to_load_again(self, page: Page, api: FakeApi, answer: Answer) -> None:
        api.add("Milk")
        api.go_down(answer)
        page.goto(api.url)
        expect(page.get_by_text("Your todos could not be loaded")).to_be_visible()
        expect(page.get_by_text(re.compile("try again"))).to_be_visible()
        expect(page.get_by_text("Nothing to do")).to_be_hidden()
        api.come_up()
        button(page, "Try again").click()
        expect(titles(page)).to_have_text(["Milk"])
        expect(title_field(page)).to_be_focused()

    def test_keeps_what_was_added_before_it_could_be_loaded(self, page: Page, api: FakeApi) -> None:
        api.add("Milk")
        api.go_down()
        page.goto(api.url)
        expect(page.get_by_text("Your todos could not be loaded")).to_be_visible()
        api.come_up()
        title_field(page).fill("Bread")
        add_button(page).click()
        expect(titles(page)).to_have_text(["Bread"])
        button(page, "Try again").click()
        expect(titles(page)).to_have_text(["Milk", "Bread"])


class TestAdd:
    def test_adds_with_a_description(self, page: Page, api: FakeApi) -> None:
        open_page(page, api)
        title_field(page).fill("Milk")
        page.get_by_label("Description").fill("two litres\nnot one")
        add_button(page).click()
        expect(titles(page)).to_have_text(["Milk"])
        expect(page.locator(".description")).to_have_text(["two litres\nnot one"])
        assert api.sent("POST") == [{"title": "Milk", "description": "two litres\nnot one"}]
        expect(title_field(page)).to_have_value("")
        expect(page.get_by_label("Description")).to_have_value("")
        expect(title_field(page)).to_be_focused()
        expect(page.get_by_role("status")).to_have_text("“Milk” was added.")
        expect(page.get_by_text("Nothing to do")).to_be_hidden()

    def test_leaves_out_an_empty_description(self, page: Page, api: FakeApi) -> None:
        open_page(page, api)
        title_field(page).fill("Milk")
        add_button(page).click()
        expect(titles(page)).to_have_text(["Milk"])
        assert api.sent("POST") == [{"title": "Milk"}]

    def test_double_click_adds_once(self, page: Page, api: FakeApi) -> None:
        open_page(page, api)
        title_field(page).fill("Milk")
        api.hold()
        add_button(page).dblclick()
        title_field(page).press("Enter")
        api.release()
        expect(titles(page)).to_have_text(["Milk"])
        title_field(page).fill("Bread")
        add_button(page).click()
        expect(titles(page)).to_have_text(["Milk", "Bread"])
        assert len(api.sent("POST")) == 2

    def test_keeps_what_is_typed_while_it_saves(self, page: Page, api: FakeApi) -> None:
        open_page(page, api)
        title_field(page).fill("Milk")
        api.hold()
        title_field(page).press("Enter")
        title_field(page).fill("Bread")
        api.release()
        expect(titles(page)).to_have_text(["Milk"])
        expect(title_field(page)).to_have_value("Bread")

    @pytest.mark.parametrize("title", ("", "   "))
    def test_asks_for_a_title(self, page: Page, api: FakeApi, title: str) -> None:
        open_page(page, api)
        title_field(page).fill(title)
        add_button(page).click()
        expect(page.get_by_text("Please give the todo a title.")).to_be_visible()
        expect(title_field(page)).to_be_focused()
        expect(title_field(page)).to_have_accessible_description("Please give the todo a title.")
        expect(title_field(page)).to_have_attribute("aria-invalid", "true")
        assert api.sent("POST") == []
        title_field(page).fill("Milk")
        add_button(page).click()
        expect(titles(page)).to_have_text(["Milk"])
        expect(page.get_by_text("Please give the todo a title.")).to_be_hidden()
        expect(title_field(page)).not_to_have_attribute("aria-invalid", "true")

    def test_shows_what_the_server_finds_invalid_at_the_field(self, page: Page, api: FakeApi) -> None:
        open_page(page, api)
        title_field(page).fill("x" * 201)
        add_button(page).click()
        expect(title_field(page)).to_have_accessible_description("The title should have at most 200 characters.")
        expect(title_field(page)).to_have_value("x" * 201)
        expect(notice(page)).to_be_hidden()

    @pytest.mark.parametrize(
        ("name", "message", "sentence"),
        (
            ("title", "String should have at least 1 character", "The title should have at least 1 character."),
            ("title", "Input should be a valid string", "The title should be a valid string."),
            ("description", "Value error, must not contain NUL", "The description must not contain NUL."),
            ("description", "Value error, Not like this.", "Not like this."),
        ),
    )
    def test_makes_sentences(self, page: Page, api: FakeApi, name: str, message: str, sentence: str) -> None:
        open_page(page, api)
        api.fail(Answer(422, invalid(name, message)))
        title_field(page).fill("Milk")
        add_button(page).click()
        expect(page.locator(".field-error:visible")).to_have_text([sentence])
        expect(page.locator(f"#add [name={name}]")).to_be_focused()

    def test_shows_other_invalid_things_in_the_notice(self, page: Page, api: FakeApi) -> None:
        open_page(page, api)
        api.fail(Answer(422, invalid("priority", "Field required")))
        title_field(page).fill("Milk")
        add_button(page).click()
        expect(notice(page)).to_contain_text("“Milk” was not added. Field required.")

    @pytest.mark.parametrize(
        ("answer", "text"),
        (
            (Answer(503, {"detail": UNREACHABLE}), UNREACHABLE),
            (Answer(413, {"detail": "The request is larger than 64 KiB."}), "The request is larger than 64 KiB."),
            (Answer(500, raw=b"<h1>Oops</h1>"), "The server answered with status 500; try again in a moment."),
            (Answer(422, raw=b"[]"), "The server answered with status 422; try again in a moment."),
            (Answer(200, raw=b"{"), "The server's answer could not be read; try again in a moment."),
            (Answer(0), "The server does not answer; check the connection and try again."),
        ),
        ids=("503", "413", "500", "422 without detail", "malformed", "no answer"),
    )
    def test_a_failure_loses_nothing(self, page: Page, api: FakeApi, answer: Answer, text: str) -> None:
        open_page(page, api)
        title_field(page).fill("Milk")
        page.get_by_label("Description").fill("two litres")
        api.go_down(answer)
        add_button(page).click()
        expect(notice(page)).to_contain_text(f"“Milk” was not added. {text}")
        expect(title_field(page)).to_have_value("Milk")
        expect(page.get_by_label("Description")).to_have_value("two litres")
        api.come_up()
        button(page, "Try again").click()
        expect(titles(page)).to_have_text(["Milk"])
        expect(notice(page)).to_be_hidden()
        expect(title_field(page)).to_have_value("")
        expect(title_field(page)).to_be_focused()

    def test_a_success_takes_the_notice_back(self, page: Page, api: FakeApi) -> None:
        open_page(page, api)
        api.fail(Answer(503, {"detail": UNREACHABLE}))
        title_field(page).fill("Milk")
        title_field(page).press("Enter")
        expect(notice(page)).to_be_visible()
        title_field(page).press("Enter")
        expect(titles(page)).to_have_text(["Milk"])
        expect(notice(page)).to_be_hidden()

    def test_a_notice_can_be_dismissed(self, page: Page, api: FakeApi) -> None:
        open_page(page, api)
        api.fail(Answer(503, {"detail": UNREACHABLE}))
        title_field(page).fill("Milk")
        title_field(page).press("Enter")
        button(page, "Dismiss").click()
        expect(notice(page)).to_be_hidden()
        expect(title_field(page)).to_be_focused()
        expect(title_field(page)).to_have_value("Milk")


class TestComplete:
    def test_is_done_and_to_do_again(self, page: Page, api: FakeApi) -> None:
        api.add("Milk")
        open_page(page, api)
        done(page, "Milk").click()
        expect(page.get_by_text("1 of 1 done")).to_be_visible()
        expect(done(page, "Milk")).to_be_checked()
        expect(done(page, "Milk")).to_be_focused()
        done(page, "Milk").click()
        expect(page.get_by_text("0 of 1 done")).to_be_visible()
        assert api.sent("PUT") == [{"completed": True}, {"completed": False}]

    def test_a_failure_takes_the_mark_back(self, page: Page, api: FakeApi) -> None:
        api.add("Milk")
        open_page(page, api)
        api.go_down()
        done(page, "Milk").click()
        expect(notice(page)).to_contain_text("“Milk” was not changed.")
        expect(done(page, "Milk")).not_to_be_checked()
        api.come_up()
        button(page, "Try again").click()
        expect(done(page, "Milk")).to_be_checked()
        expect(done(page, "Milk")).to_be_focused()
        assert api.todos[1]["completed"] is True

    def test_double_click_asks_once(self, page: Page, api: FakeApi) -> None:
        api.add("Milk")
        open_page(page, api)
        api.hold()
        done(page, "Milk").dblclick()
        api.release()
        expect(page.get_by_text("1 of 1 done")).to_be_visible()
        expect(done(page, "Milk")).to_be_checked()
        assert api.sent("PUT") == [{"completed": True}]

    def test_a_vanished_todo_leaves_the_list(self, page: Page, api: FakeApi) -> None:
        api.add("Milk")
        open_page(page, api)
        api.todos.clear()
        done(page, "Milk").click()
        expect(notice(page)).to_contain_text("“Milk” had already been deleted.")
        expect(titles(page)).to_have_count(0)
        expect(page.get_by_text("Nothing to do")).to_be_visible()
        expect(title_field(page)).to_be_focused()


class TestEdit:
    def test_changes_title_and_description(self, page: Page, api: FakeApi) -> None:
        api.add("Milk", "two litres")
        open_page(page, api)
        field = edit(page, "Milk")
        expect(field).to_be_focused()
        expect(field).to_have_value("Milk")
        field.fill("Bread")
        page.get_by_role("form", name="Edit “Milk”").get_by_label("Description").fill("")
        button(page, "Save").click()
        expect(titles(page)).to_have_text(["Bread"])
        expect(button(page, "Edit “Bread”")).to_be_focused()
        expect(page.get_by_role("status")).to_have_text("“Bread” was saved.")
        assert api.sent("PUT") == [{"title": "Bread", "description": None}]

    def test_sends_only_what_changed(self, page: Page, api: FakeApi) -> None:
        api.add("Milk", "two litres")
        open_page(page, api)
        edit(page, "Milk").press("Enter")
        expect(button(page, "Edit “Milk”")).to_be_focused()
        edit(page, "Milk").fill("Bread")
        button(page, "Save").click()
        expect(titles(page)).to_have_text(["Bread"])
        assert api.sent("PUT") == [{"title": "Bread"}]

    @pytest.mark.parametrize("way", ("Escape", "button"))
    def test_can_be_cancelled(self, page: Page, api: FakeApi, way: str) -> None:
        api.add("Milk")
        open_page(page, api)
        field = edit(page, "Milk")
        field.fill("Bread")
        if way == "Escape":
            field.press("Escape")
        else:
            button(page, "Cancel").click()
        expect(titles(page)).to_have_text(["Milk"])
        expect(button(page, "Edit “Milk”")).to_be_focused()
        assert api.sent("PUT") == []

    def test_a_failure_loses_nothing(self, page: Page, api: FakeApi) -> None:
        api.add("Milk")
        open_page(page, api)
        field = edit(page, "Milk")
        field.fill("Bread")
        api.go_down()
        field.press("Enter")
        expect(notice(page)).to_contain_text("“Milk” was not saved.")
        expect(field).to_have_value("Bread")
        api.come_up()
        button(page, "Try again").click()
        expect(titles(page)).to_have_text(["Bread"])
        expect(button(page, "Edit “Bread”")).to_be_focused()
        expect(notice(page)).to_be_hidden()

    def test_stays_open_for_what_is_typed_while_it_saves(self, page: Page, api: FakeApi) -> None:
        api.add("Milk")
        open_page(page, api)
        field = edit(page, "Milk")
        field.fill("Bread")
        api.hold()
        field.press("Enter")
        field.fill("Bread and butter")
        api.release()
        expect(page.get_by_role("status")).to_have_text("“Bread” was saved.")
        expect(field).to_have_value("Bread and butter")
        field.press("Enter")
        expect(titles(page)).to_have_text(["Bread and butter"])
        expect(field).to_be_hidden()

    def test_shows_what_the_server_finds_invalid_at_the_field(self, page: Page, api: FakeApi) -> None:
        api.add("Milk")
        open_page(page, api)
        field = edit(page, "Milk")
        field.fill("x" * 201)
        button(page, "Save").click()
        expect(field).to_have_accessible_description("The title should have at most 200 characters.")
        expect(field).to_be_focused()

    def test_a_vanished_todo_can_be_added_again(self, page: Page, api: FakeApi) -> None:
        api.add("Milk")
        open_page(page, api)
        field = edit(page, "Milk")
        field.fill("Bread")
        api.todos.clear()
        field.press("Enter")
        expect(notice(page)).to_contain_text("“Milk” has been deleted elsewhere.")
        expect(field).to_have_value("Bread")
        button(page, "Add it again").click()
        expect(titles(page)).to_have_text(["Bread"])
        expect(button(page, "Edit “Bread”")).to_be_focused()
        expect(page.get_by_text("0 of 1 done")).to_be_visible()
        assert [todo["title"] for todo in api.todos.values()] == ["Bread"]


class TestDelete:
    def test_moves_the_focus_to_the_neighbour(self, page: Page, api: FakeApi) -> None:
        for title in ("Milk", "Bread", "Salt"):
            api.add(title)
        open_page(page, api)
        button(page, "Delete “Bread”").click()
        expect(titles(page)).to_have_text(["Milk", "Salt"])
        expect(button(page, "Delete “Salt”")).to_be_focused()
        expect(page.get_by_role("status")).to_have_text("“Bread” was deleted.")
        page.keyboard.press("Enter")
        expect(button(page, "Delete “Milk”")).to_be_focused()
        page.keyboard.press("Enter")
        expect(titles(page)).to_have_count(0)
        expect(title_field(page)).to_be_focused()
        expect(page.get_by_text("Nothing to do")).to_be_visible()
        assert api.todos == {}

    def test_a_failure_keeps_the_todo(self, page: Page, api: FakeApi) -> None:
        api.add("Milk")
        open_page(page, api)
        api.go_down()
        button(page, "Delete “Milk”").click()
        expect(notice(page)).to_contain_text(f"“Milk” was not deleted. {UNREACHABLE}")
        expect(titles(page)).to_have_text(["Milk"])
        button(page, "Try again").click()
        expect(button(page, "Try again")).to_be_focused()
        api.come_up()
        page.keyboard.press("Enter")
        expect(titles(page)).to_have_count(0)
        expect(title_field(page)).to_be_focused()

    def test_double_click_deletes_once(self, page: Page, api: FakeApi) -> None:
        api.add("Milk")
        api.add("Bread")
        open_page(page, api)
        api.hold()
        button(page, "Delete “Milk”").dblclick()
        api.release()
        expect(titles(page)).to_have_text(["Bread"])
        expect(button(page, "Delete “Bread”")).to_be_focused()
        assert len(api.sent("DELETE")) == 1

    def test_waits_for_an_earlier_change(self, page: Page, api: FakeApi) -> None:
        api.add("Milk")
        open_page(page, api)
        expect(page.locator("#pod")).not_to_have_text("…")
        api.hold()
        done(page, "Milk").click()
        button(page, "Delete “Milk”").click()
        # Had the deletion been sent, it would have arrived before this.
        api.version = Answer(200, {"pod": "later", "code": "aaaabbbbcccc"})
        button(page, "Who answers now?").click()
        expect(page.locator("#pod")).to_have_text("later")
        assert api.sent("DELETE") == []
        api.release()
        expect(titles(page)).to_have_count(0)
        assert [method for method, _, _ in api.requests] == ["GET", "PUT", "DELETE"]

    def test_an_already_deleted_todo_leaves_the_list(self, page: Page, api: FakeApi) -> None:
        api.add("Milk")
        open_page(page, api)
        api.todos.clear()
        button(page, "Delete “Milk”").click()
        expect(notice(page)).to_contain_text("“Milk” had already been deleted.")
        expect(titles(page)).to_have_count(0)
        button(page, "Dismiss").click()
        expect(title_field(page)).to_be_focused()


class TestFooter:
    def test_tells_who_answered(self, page: Page, api: FakeApi) -> None:
        open_page(page, api)
        footer = page.get_by_role("contentinfo")
        expect(footer).to_contain_text("Answered by pod backend-6c9f7d5b84-x2x7q with code 3f9c1a27")
        api.version = Answer(200, {"pod": "backend-6c9f7d5b84-other", "code": "aaaabbbbcccc"})
        button(page, "Who answers now?").click()
        expect(footer).to_contain_text("Answered by pod backend-6c9f7d5b84-other with code aaaabbbb")
        expect(page.get_by_role("status")).to_contain_text("backend-6c9f7d5b84-other")

    @pytest.mark.parametrize(
        "answer", (Answer(503, {"detail": UNREACHABLE}), Answer(200, {"code": "3f9c1a27"}), Answer(0))
    )
    def test_tells_that_nobody_answers(self, page: Page, api: FakeApi, answer: Answer) -> None:
        api.version = answer
        open_page(page, api)
        expect(page.get_by_text("The backend does not answer.")).to_be_visible()
        expect(page.get_by_text("Answered by")).to_be_hidden()


class TestKeyboard:
    @pytest.mark.core
    def test_is_enough_for_everything(self, page: Page, api: FakeApi) -> None:
        open_page(page, api)
        press = page.keyboard.press
        press("Tab")
        expect(title_field(page)).to_be_focused()
        page.keyboard.type("Milk")
        press("Tab")
        page.keyboard.type("two litres")
        press("Control+Enter")
        expect(titles(page)).to_have_text(["Milk"])
        expect(page.locator(".description")).to_have_text(["two litres"])
        for _ in range(3):
            press("Tab")
        expect(done(page, "Milk")).to_be_focused()
        press("Space")
        expect(page.get_by_text("1 of 1 done")).to_be_visible()
        press("Tab")
        press("Enter")
        expect(page.get_by_role("form", name="Edit “Milk”").get_by_label("Title")).to_be_focused()
        press("End")
        page.keyboard.type(" and bread")
        press("Enter")
        expect(button(page, "Edit “Milk and bread”")).to_be_focused()
        press("Tab")
        press("Enter")
        expect(titles(page)).to_have_count(0)
        expect(title_field(page)).to_be_focused()

    def test_focus_is_visible(self, page: Page, api: FakeApi) -> None:
        api.add("Milk")
        open_page(page, api)
        seen = []
        for _ in range(8):
            page.keyboard.press("Tab")
            for scheme in SCHEMES:
                page.emulate_media(color_scheme=scheme)
                focus = page.evaluate(FOCUS)
                assert focus["contrast"] >= 3, (scheme, focus)
            seen.append(focus["name"])
        assert seen == ["title", "description", "Add todo", "Milk is done", "Edit “Milk”", "Delete “Milk”",
                        "Who answers now?", "API"]  # fmt: skip


class TestLooks:
    @pytest.mark.parametrize("width", (320, 360, 1280))
    def test_nothing_is_wider_than_the_page(self, page: Page, api: FakeApi, width: int) -> None:
        page.set_viewport_size({"width": width, "height": 740})
        api.add("w" * 200, "d" * 2000)
        api.add("e" * 200)
        open_page(page, api)
        edit(page, "e" * 59 + "…")
        api.go_down()
        title_field(page).fill("x" * 200)
        title_field(page).press("Enter")
        expect(notice(page)).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.evaluate(OVERFLOWING) == []

    def test_text_contrast(self, page: Page, api: FakeApi) -> None:
        api.add("Milk", "two litres", completed=True)
        api.add("Bread", "rye")
        open_page(page, api)
        edit(page, "Bread").fill("")
        button(page, "Save").click()
        api.go_down()
        title_field(page).fill("Salt")
        add_button(page).click()
        expect(notice(page)).to_be_visible()
        known = {"Milk", "two litres", "Please give the todo a title.", "Try again", "Dismiss", "1 of 2 done"}
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            contrasts = page.evaluate(CONTRASTS)
            assert known <= {text for text, _ in contrasts}
            assert [(scheme, text, ratio) for text, ratio in contrasts if ratio < 4.5] == []

    def test_text_contrast_without_todos(self, page: Page, api: FakeApi) -> None:
        api.go_down()
        page.goto(api.url)
        expect(page.get_by_text("Your todos could not be loaded")).to_be_visible()
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            contrasts = page.evaluate(CONTRASTS)
            assert UNREACHABLE in {text for text, _ in contrasts}
            assert [(scheme, text, ratio) for text, ratio in contrasts if ratio < 4.5] == []

    def test_the_schemes_differ(self, page: Page, api: FakeApi) -> None:
        open_page(page, api)
        background = "getComputedStyle(document.body).backgroundColor"
        page.emulate_media(color_scheme="light")
        light = page.evaluate(background)
        page.emulate_media(color_scheme="dark")
        assert page.evaluate(background) != light


class TestPolicy:
    def test_is_in_force(self, page: Page, api: FakeApi, complaints: Complaints) -> None:
        open_page(page, api)
        with page.expect_console_message(lambda message: "Content Security Policy" in message.text):
            page.evaluate(
                "() => { const script = document.createElement('script'); script.textContent = 'window.ran = true';"
                " document.body.append(script); }"
            )
        assert page.evaluate("window.ran") is None
        complaints.clear()

    def test_an_unknown_page_says_so(self, page: Page, api: FakeApi) -> None:
        page.goto(f"{api.url}nowhere")
        expect(page.get_by_role("heading", name="Not found")).to_be_visible()
        page.get_by_role("link", name="Go to the todos").click()
        expect(page.get_by_role("heading", name="Todos", exact=True)).to_be_visible()


# What reaches beyond the window or beyond its own box; text fields scroll by themselves.
OVERFLOWING = """() => [...document.querySelectorAll("body *")]
  .filter((element) => element.checkVisibility() && !element.matches("input, textarea, svg *, .visually-hidden"))
  .filter((element) => getComputedStyle(element).display !== "inline")
  .filter((element) => element.getBoundingClientRect().right > innerWidth
    || element.scrollWidth > element.clientWidth + 1)
  .map((element) => element.outerHTML)"""

# WCAG 2 relative luminance and contrast ratio, of a colour over all that lies behind it.
COLOURS = """
const parse = (colour) => {
  const [r, g, b, a = 1] = colour.match(/[\\d.]+/g).map(Number);
  if (!/^rgba?\\(/.test(colour)) throw new Error(`not an sRGB colour: ${colour}`);
  return { r, g, b, a };
};
const over = (top, below) => ({
  r: top.r * top.a + below.r * (1 - top.a),
  g: top.g * top.a + below.g * (1 - top.a),
  b: top.b * top.a + below.b * (1 - top.a),
  a: 1,
});
const behind = (element) => {
  if (!element) throw new Error("the page has no background");
  const style = getComputedStyle(element);
  if (style.opacity !== "1") throw new Error("opacity is not taken into account");
  const own = parse(style.backgroundColor);
  return own.a === 1 ? own : over(own, behind(element.parentElement));
};
const luminance = ({ r, g, b }) => {
  const linear = (v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
  return 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
};
const contrast = (one, other) => {
  const [high, low] = [luminance(one), luminance(other)].sort((a, b) => b - a);
  return (high + 0.05) / (low + 0.05);
};
"""

CONTRASTS = f"""() => {{ {COLOURS}
const found = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {{
  const text = walker.currentNode.data.trim();
  const element = walker.currentNode.parentElement;
  if (!text || !element.checkVisibility() || element.closest(".visually-hidden")) continue;
  const background = behind(element);
  found.push([text, contrast(over(parse(getComputedStyle(element).color), background), background)]);
}}
for (const field of document.querySelectorAll("input[type=text], textarea")) {{
  const background = behind(field);
  found.push([field.name, contrast(parse(getComputedStyle(field).color), background)]);
}}
return found; }}"""

FOCUS = f"""() => {{ {COLOURS}
const element = document.activeElement;
const style = getComputedStyle(element);
const visible = style.outlineStyle === "solid" && parseFloat(style.outlineWidth) >= 1;
return {{
  name: element.ariaLabel || element.name || element.textContent.trim(),
  contrast: visible ? contrast(parse(style.outlineColor), behind(element.parentElement)) : 0,
}}; }}"""
