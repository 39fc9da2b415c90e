"""How long trouble lasts, and what is said of it."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import NoReturn

import pytest

from fastlane import trouble
from fastlane.trouble import Trouble, keep_trying


class EndError(Exception):
    """The scenario is over."""


def said(caplog: pytest.LogCaptureFixture, scenario: Iterable[str]) -> list[str]:
    """Return what is logged while attempts, in turn, work or not before they end."""
    steps = iter(scenario)

    async def attempt(works: Callable[[], None]) -> NoReturn:
        step = next(steps, None)
        if step is None:
            raise EndError
        if step == "works":
            works()
        raise Trouble("no route")

    with caplog.at_level(logging.INFO), pytest.raises(EndError):
        asyncio.run(keep_trying("backend-a", "connected", attempt))
    return caplog.messages


@pytest.fixture(autouse=True)
def _no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trouble, "_FIRST_DELAY", 1e-6)
    monkeypatch.setattr(trouble, "_LONGEST_DELAY", 1e-6)
    # Attempts last no time at all, so every failure is one in a row.
    monkeypatch.setattr(trouble, "_STABLE", float("inf"))


CONNECTED = "backend-a: connected"
TROUBLE = "backend-a: no route; left to Tilt, trying again"


def test_a_short_outage_is_not_worth_a_line(caplog: pytest.LogCaptureFixture) -> None:
    assert said(caplog, ["fails", "works", "fails"]) == [CONNECTED]


def test_a_long_outage_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    assert said(caplog, ["works", *["fails"] * 2_000, "works", "works"]) == [CONNECTED, TROUBLE, CONNECTED]


def test_a_stream_that_keeps_breaking_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    assert said(caplog, ["works"] * 50) == [CONNECTED, TROUBLE, CONNECTED]


def test_an_outage_after_a_stable_time_is_another_one(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trouble, "_STABLE", -1.0)
    assert said(caplog, ["works"] * 50) == [CONNECTED]
