"""The console in a real browser: Debian's Chromium, driven by playwright, with its own profile and no network."""

import itertools
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, async_playwright, expect

from support.alerts import Alerts
from web.console_stage import PAGES, Stage, console, fill

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]
EVERY = (*PAGES, "/alerts/63", "/alerts/4711")
PERIOD = 5000

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"this machine has no {CHROMIUM}")

# The least contrast between a visible text and what is behind it, and where it is: WCAG's formula.
CONTRAST = """() => {
    const channel = (value) => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
    const parse = (text) => text.match(/[\\d.]+/g).map(Number);
    const behind = (node) => {
        for (; node; node = node.parentElement) {
            const color = parse(getComputedStyle(node).backgroundColor);
            if (color.length === 3 || color[3] === 1) return color;
        }
        return [255, 255, 255];
    };
    let worst = [21, ""];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const node = walker.currentNode.parentElement;
        if (!walker.currentNode.data.trim() || node.closest("option, datalist, script, .unseen, [hidden]")) continue;
        if (!node.checkVisibility()) continue;
        const style = getComputedStyle(node);
        const one = light(parse(node.closest("svg") ? style.fill : style.color)), other = light(behind(node));
        const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
        if (ratio < worst[0]) worst = [ratio, walker.currentNode.data.trim()];
    }
    return worst;
}"""
# What can take the focus and is on the page, marked with a number; and the number of what has it.
MARK = """() => {
    const all = [...document.querySelectorAll("a[href], button, input, select, summary, [tabindex]")].filter(
        (node) => node.tabIndex >= 0 && node.checkVisibility() && !node.disabled);
    all.forEach((node, number) => { node.dataset.number = number; });
    return all.length;
}"""


@asynccontextmanager
async def browser(stage: Stage, profile: Path, **options: Any) -> AsyncIterator[tuple[Page, list[str]]]:
    """Open a page on the console; the list holds what the browser complained of, refused code among it."""
    async with async_playwright() as driver:
        context = await driver.chromium.launch_persistent_context(
            profile,
            executable_path=CHROMIUM,
            headless=True,
            args=ARGUMENTS,
            base_url=stage.url,
            **{"viewport": {"width": 1280, "height": 800}, "reduced_motion": "reduce", **options},
        )
        page = context.pages[0]
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("requestfailed", lambda request: complaints.append(f"{request.url} failed"))
        try:
            yield page, complaints
        finally:
            await context.close()


@pytest.fixture
async def stage(database: str) -> AsyncIterator[Stage]:
    """Yield a console with one of everything in it."""
    await fill(database)
    async with console(database) as served:
        yield served


async def test_pages_fit_a_phone(stage: Stage, tmp_path: Path) -> None:
    """At 360 pixels no page scrolls sideways, nothing sticks out, and a table's cells name their columns."""
    async with browser(stage, tmp_path, viewport={"width": 360, "height": 740}) as (page, _):
        for path in EVERY:
            await page.goto(path)
            assert await page.evaluate("document.documentElement.scrollWidth") == 360, path
            assert await page.evaluate("Math.max(...[...document.querySelectorAll('main *')].filter("
                "(n) => n.checkVisibility() && !n.closest('.unseen, thead'))"
                ".map((n) => n.getBoundingClientRect().right))") <= 360, path  # fmt: skip
        await page.goto("/alerts")
        shown = "getComputedStyle(document.querySelector('td[data-label=Severity]'), '::before').content"
        assert await page.evaluate(shown) == '"Severity"'


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_text_can_be_read_and_nothing_is_refused(stage: Stage, tmp_path: Path, scheme: Any) -> None:
    """In both color schemes every text has a contrast of 4.5 or more, and the policy finds nothing to refuse."""
    async with browser(stage, tmp_path, color_scheme=scheme) as (page, complaints):
        for path in EVERY:
            await page.goto(path)
            ratio, text = await page.evaluate(CONTRAST)
            assert ratio >= 4.5, (path, ratio, text)
        background = await page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (background == "rgb(18, 22, 28)") == (scheme == "dark")
    assert [each for each in complaints if "404" not in each] == []


async def test_the_keyboard_reaches_everything(stage: Stage, tmp_path: Path) -> None:
    """Tab visits every link, field, chart and summary in the page's order, the skip link first, and shows where."""
    async with browser(stage, tmp_path) as (page, _):
        await page.clock.install(time=0)
        await page.clock.pause_at(1000)
        for path in ("/", "/latency?operation=commit", "/alerts/63", "/baselines?operation=commit", "/schedule"):
            await page.goto(path)
            count = await page.evaluate(MARK)
            visited = []
            for _number in range(count):
                await page.keyboard.press("Tab")
                visited.append(await page.evaluate("Number(document.activeElement.dataset.number)"))
            assert visited == list(range(count)), path
            assert await page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        await page.goto("/")
        await page.keyboard.press("Tab")
        await expect(page.locator(".skip")).to_be_in_viewport()
        await page.keyboard.press("Enter")
        assert await page.evaluate("document.activeElement.id") == "main"


async def test_a_screen_reader_finds_its_way(stage: Stage, tmp_path: Path) -> None:
    """Each page has landmarks, one first heading, headings without a gap, and tables with captions and headers."""
    async with browser(stage, tmp_path) as (page, _):
        for path in EVERY:
            await page.goto(path)
            for role in ("banner", "main", "contentinfo"):
                assert await page.get_by_role(role).count() == 1, (path, role)
            assert await page.get_by_role("navigation", name="Pages").count() == 1
            levels = await page.evaluate("[...document.querySelectorAll('h1,h2,h3')].map((n) => +n.tagName[1])")
            assert levels[0] == 1
            assert levels.count(1) == 1
            assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
            for table in await page.get_by_role("table").all():
                assert (await table.locator("caption").text_content() or "").strip()
                assert await table.get_by_role("columnheader").count() > 1
                assert await table.get_by_role("rowheader").count() > 0
            named = "[...document.querySelectorAll('input, select')].every((n) => n.labels.length === 1)"
            assert await page.evaluate(named), path


async def test_news_come_in_without_flicker(stage: Stage, tmp_path: Path, database: str) -> None:
    """A new alert shows by itself: the page is not loaded again, what has not changed stays, focus and scroll too."""
    alerts = await Alerts.connect(database)
    async with browser(stage, tmp_path) as (page, complaints):
        await page.clock.install()
        await page.goto("/")
        await page.evaluate("window.mine = document.querySelector('[data-live=jobs] table')")
        link = page.locator("[data-live=firing] a", has_text="merge_branches").first
        await link.focus()
        await page.evaluate("scrollTo(0, 120)")
        await page.locator("summary").click()
        await link.focus()
        number = await alerts.alert("rollback_commit", severity="CRITICAL")
        stage.clock.at += 10
        await page.clock.fast_forward(PERIOD)
        await expect(page.locator(f"[data-live=firing] a[href='/alerts/{number}']")).to_have_count(1)
        await expect(page.locator("[data-announcer]")).to_contain_text("firing")
        assert await page.evaluate("window.mine === document.querySelector('[data-live=jobs] table')")
        assert await page.evaluate("document.activeElement.closest('[data-live=firing]') !== null")
        assert await page.evaluate("scrollY") == 120
        await expect(page.locator("details")).to_have_attribute("open", "")
    assert complaints == []
    await alerts.close()


async def test_nobody_asks_for_a_page_that_nobody_sees(stage: Stage, tmp_path: Path) -> None:
    """A hidden tab and a paused page ask for nothing; seen again, or resumed, they ask at once."""
    hide = """(hidden) => {
        Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    async with browser(stage, tmp_path) as (page, _):
        await page.clock.install()
        await page.goto("/")
        asked: list[str] = []
        # The browser asks for the icon when it likes, once.
        page.on("request", lambda request: None if "/console/" in request.url else asked.append(request.url))
        await page.evaluate(hide, arg=True)
        await page.clock.run_for(10 * PERIOD)
        assert asked == []
        async with page.expect_response(re.compile("/$")):
            await page.evaluate(hide, arg=False)
        await page.get_by_role("button", name="Pause updates").click()
        asked.clear()
        await page.clock.run_for(10 * PERIOD)
        assert asked == []
        async with page.expect_response(re.compile("/$")):
            await page.get_by_role("button", name="Updates paused").click()


async def test_a_daemon_that_is_gone_is_told(stage: Stage, tmp_path: Path) -> None:
    """When the daemon no longer answers the page keeps its figures and says so, and is fresh again when it is back."""
    async with browser(stage, tmp_path) as (page, _):
        await page.clock.install()
        await page.goto("/")
        await page.context.set_offline(offline=True)
        await page.clock.fast_forward(PERIOD)
        await expect(page.locator(".fresh")).to_contain_text("The daemon does not answer")
        await expect(page.locator("[data-announcer]")).to_contain_text("does not answer")
        assert await page.locator("[data-live=firing] tbody tr").count() > 1
        await page.context.set_offline(offline=False)
        await page.clock.fast_forward(2 * PERIOD)
        await expect(page.locator(".fresh")).to_contain_text("Figures of")


async def test_charts_tell_their_figures(stage: Stage, tmp_path: Path) -> None:
    """Pointer and arrow keys show a bucket's figures, screen readers hear them, and a mark leads to its alert."""
    async with browser(stage, tmp_path) as (page, complaints):
        await page.goto("/latency?operation=commit&span=6h")
        tip, chart = page.locator("[data-tip-box]"), page.locator("[data-chart=latency]")
        await expect(tip).to_be_hidden()
        box = await chart.locator("svg.plot").bounding_box()
        assert box is not None
        await page.mouse.move(box["x"] + box["width"] / 3, box["y"] + 20)
        await expect(tip).to_contain_text(
            re.compile(r"p50 [\d.]+ ms, p99 [\d.]+ ms, slowest [\d.]+ ms, \d+ operations")
        )
        await page.mouse.move(0, 0)
        await expect(tip).to_be_hidden()
        await chart.focus()
        await page.keyboard.press("End")
        await expect(tip).to_contain_text(
            "alert 150 at" if await chart.locator("[href='/alerts/150']").count() else "alert"
        )
        heard = await chart.locator("output").text_content()
        assert heard == await tip.text_content()
        await page.keyboard.press("ArrowLeft")
        await expect(chart.locator("output")).not_to_have_text(heard or "")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/alerts/*")
        await page.goto("/")
        bars = page.locator("[data-chart=hours]")
        await bars.focus()
        await page.keyboard.press("End")
        await expect(tip).to_contain_text(re.compile(r"\d\d:\d\d to \d\d:\d\d: \d+ sent"))
        await page.keyboard.press("Escape")
        await expect(tip).to_be_hidden()
    assert complaints == []


async def test_pages_work_without_scripts(stage: Stage, tmp_path: Path) -> None:
    """With scripts switched off figures, filters and charts are there, and the button that would do nothing is not."""
    async with browser(stage, tmp_path, java_script_enabled=False) as (page, _):
        await page.goto("/alerts")
        await expect(page.get_by_role("button", name="Pause updates")).to_be_hidden()
        await page.get_by_label("Severity").select_option("CRITICAL")
        await page.get_by_label("Operation").fill("merge_branches")
        await page.get_by_role("button", name="Filter").click()
        rows = page.locator("tbody tr")
        assert await rows.count() > 1
        assert await rows.filter(has_text="merge_branches").count() == await rows.count()
        await page.goto("/latency?operation=commit")
        assert await page.locator("svg.plot path").count() == 3
