"""What the tests in the browser promise all others, and each other."""

import asyncio

import pytest
from playwright.sync_api import expect

from frontend.tests.browser import Window
from frontend.tests.fake_api import FakeApi

pytestmark = pytest.mark.browser

KNOWN = "[sessionStorage.length, innerWidth, matchMedia('(prefers-color-scheme: dark)').matches]"


def test_other_tests_can_run_event_loops_of_their_own(window: Window) -> None:
    for _ in range(2):
        asyncio.run(asyncio.sleep(0))
        with window.in_use() as context:
            context.new_page().close()


def test_a_tab_knows_nothing_of_the_one_before(window: Window, api: FakeApi) -> None:
    with window.in_use() as context:
        for _ in range(2):
            page = context.new_page()
            page.goto(api.url)
            assert page.evaluate(KNOWN) == [0, 1280, False]
            page.evaluate("sessionStorage.setItem('left', 'behind')")
            page.set_viewport_size({"width": 320, "height": 740})
            page.emulate_media(color_scheme="dark")
            expect(page.get_by_text("Nothing to do")).to_be_visible()
            page.close()
