"""The sidecar's page: what it is answered, and what a real browser makes of it."""

import json
import re
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlparse

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from riskstream.workers.drift.overview import Recent
from riskstream.workers.drift.page import FILES, answer
from tests.support.drift_reports import BROKEN_FROM, FEATURE, MODEL, report

BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
PHONE, DESK = (390, 800), (1280, 900)


@pytest.fixture(scope="module")
def recent() -> Recent:
    kept = Recent(288, 8)
    for window in range(BROKEN_FROM + 10):
        kept.add(report(window))
        kept.add(report(window, "channel=web"))
    return kept


def test_the_page_asks_no_other_host() -> None:
    for name in ("index.html", "page.css", "page.js"):
        assert re.findall(rb"(?:src|href|url|fetch)\W{1,3}(?:https?:)?//", FILES[name]) == []


@pytest.mark.parametrize("path", ["/../page.js", "/page", "/api/reports", "/api/report", "/%2e%2e/settings.py"])
def test_what_is_not_there_is_not_found(path: str, recent: Recent) -> None:
    assert answer(path, {}, recent).status == 404


@pytest.mark.parametrize("value", ["", "-1", "1.5", "9" * 20, "²"])
def test_a_wrong_query_is_refused_by_name(value: str, recent: Recent) -> None:
    assert answer("/api/overview", {"length": value}, recent) == (400, "text/plain", b"length must be a whole number")


def test_the_overview_is_small_enough_for_a_phone(recent: Recent) -> None:
    body = answer("/api/overview", {"model": MODEL}, recent).body
    assert len(json.loads(body)["windows"]) == BROKEN_FROM + 10
    assert len(body) < 60_000


@pytest.fixture(scope="module")
def address(recent: Recent) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = urlparse(self.path)
            status, content_type, body = answer(asked.path, dict(parse_qsl(asked.query)), recent)
            self.send_response(status)
            self.send_header("Content-Type", f"{content_type}; charset=utf-8")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    if not (BROWSER and DRIVER):
        pytest.skip("chromium and chromedriver are not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


def open_page(browser: webdriver.Chrome, address: str, size: tuple[int, int]) -> None:
    metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size is PHONE}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get(address)
    WebDriverWait(browser, 20).until(lambda page: page.find_elements(By.CSS_SELECTOR, "#features .feature"))


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_a_browser_shows_every_part_without_an_error(
    browser: webdriver.Chrome, address: str, size: tuple[int, int]
) -> None:
    open_page(browser, address, size)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= size[0]
    assert len(browser.find_elements(By.CSS_SELECTOR, "#charts canvas")) == 6
    widths = [canvas.size["width"] for canvas in browser.find_elements(By.CSS_SELECTOR, "#charts canvas")]
    assert min(widths) > 250
    assert browser.find_element(By.CSS_SELECTOR, "#features .feature").get_attribute("data-feature") == FEATURE
    log = browser.get_log("browser")  # type: ignore[no-untyped-call]
    assert [entry for entry in log if entry["level"] == "SEVERE"] == []


def test_text_of_a_report_is_never_markup(browser: webdriver.Chrome, address: str) -> None:
    open_page(browser, address, DESK)
    (card,) = browser.find_elements(By.CSS_SELECTOR, "#alerts .alert")
    assert "all from channel=web <b>" in card.text
    assert card.find_elements(By.TAG_NAME, "b") == []


def test_what_is_missing_beyond_the_reference_stands_out(browser: webdriver.Chrome, address: str) -> None:
    open_page(browser, address, DESK)
    shade = (
        "return getComputedStyle(document.querySelector(`#missing tr:first-child td[data-index='${arguments[0]}']`))"
    )
    before, after = (
        int(browser.execute_script(f"{shade}.getPropertyValue('--more')", window))
        for window in (BROKEN_FROM - 1, BROKEN_FROM)
    )
    assert (before, after > 50) == (0, True)


def test_without_a_pointer_the_legend_tells_of_the_chosen_window(browser: webdriver.Chrome, address: str) -> None:
    open_page(browser, address, PHONE)
    chosen = f"{report(BROKEN_FROM + 9).events:,}"
    assert chosen in browser.find_element(By.CSS_SELECTOR, "#charts .u-legend").text


def test_a_window_that_is_tapped_is_looked_into(browser: webdriver.Chrome, address: str) -> None:
    open_page(browser, address, DESK)
    latest = browser.find_element(By.ID, "window-name").text
    cell = browser.find_element(By.CSS_SELECTOR, "#missing td[data-index='3']")
    browser.execute_script("arguments[0].click()", cell)
    WebDriverWait(browser, 10).until(lambda page: page.find_element(By.ID, "window-name").text != latest)
    badges = {badge.text for badge in browser.find_elements(By.CSS_SELECTOR, "#features .badge")}
    assert badges == {"calm"}  # it was so before the feature broke


def test_a_segment_can_be_chosen(browser: webdriver.Chrome, address: str) -> None:
    open_page(browser, address, DESK)
    browser.find_element(By.CSS_SELECTOR, "#segment option[value='channel=web']").click()
    WebDriverWait(browser, 10).until(lambda page: page.execute_script("return state.overview.segment") == "channel=web")
