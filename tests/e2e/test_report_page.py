"""The page of a run, in a real browser."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By

from headrace.evaluation.page.context import PageContext
from headrace.evaluation.predictions import Decisions, write_baselines
from headrace.evaluation.report import write_report
from headrace.stages.evaluate import Params, run

CHROMIUM, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars",
)  # fmt: skip

pytestmark = pytest.mark.skipif(
    not (CHROMIUM.exists() and DRIVER.exists()),
    reason="no /usr/bin/chromium with its driver: apt-get install chromium chromium-driver",
)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with every table and chart, long class names and a long error message included."""
    folder = tmp_path_factory.mktemp("page")
    classes = [f"a class with quite a long name {n}" for n in range(12)]
    labels = np.arange(240) % len(classes)
    logits = np.random.default_rng(0).normal(size=(240, len(classes)))
    logits[np.arange(240), labels] += 2
    p = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype(np.float32)
    ids = [f"{n:032x}" for n in range(240)]
    rows = {
        "id": ids,
        "split": ["test"] * 240,
        "label": labels,
        "probabilities": pa.FixedSizeListArray.from_arrays(p.ravel(), 12),
    }
    pq.write_table(pa.table(rows), folder / "predictions.parquet", write_page_checksum=True)
    write_baselines(folder / "baselines.parquet", {"majority": Decisions(ids, labels, 0 * labels)})
    (folder / "model.json").write_text(json.dumps({"format": 1, "task": "image_classification", "classes": classes}))
    reports = folder / "reports"
    report = run(Params(evaluation="classification"), model=folder / "model.json", predictions=folder / "predictions.parquet",
                 baselines=folder / "baselines.parquet", plots=reports / "plots/evaluate")  # fmt: skip
    (reports / "evaluate.json").write_text(report.to_json())
    edges = (("collect", "raw"), ("split", "collect"), ("train", "split"), ("baseline", "split"), ("suspects", "split"))
    stages = "".join(f"  {name}: {{cmd: x, deps: [{above}], outs: [{name}]}}\n" for name, above in edges)
    (folder / "dvc.yaml").write_text(f"stages:\n{stages}")
    suspect = {"id": ids[0], "split": "train", "origin": "a/long/path/" * 20, "given": classes[0], "suggested": classes[1]}
    doubtful = {"suspects": 21, "records": 240, "model": "logistic_regression", "accuracy": 0.9, "not_judged": [classes[2]]}
    believed = {"probability_given": 0.01, "probability_suggested": 0.98}
    (reports / "suspects.json").write_text(json.dumps({**doubtful, "most_suspect": [{**suspect, **believed}] * 20}))
    timings = {"stages": {"collect": {"state": "unchanged", "seconds": 0}, "train": {"state": "failed", "seconds": 3.2}}}
    (reports / "timings.json").write_text(json.dumps(timings))
    evidence = folder / ".headrace/failed/train"
    evidence.mkdir(parents=True)
    (evidence / "error.json").write_text(json.dumps({"message": "/a/very/long/path" * 20}))
    return write_report(folder, reports / "report.html", context=PageContext(title="insects", git_commit="f" * 40))


@pytest.fixture(scope="module", params=[390, 1280], ids=["phone", "desktop"])
def browser(request: pytest.FixtureRequest, page: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """The page, open in Chromium at one width."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=str(DRIVER)))
    try:
        metrics = {"width": request.param, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        driver.get(page.as_uri())
        yield driver
    finally:
        driver.quit()


def test_nothing_scrolls_sideways(browser):
    """A table or an unbroken digest that is wider than the phone makes the whole page slip."""
    for summary in browser.find_elements(By.CSS_SELECTOR, "details > summary"):
        browser.execute_script("arguments[0].parentElement.open = true", summary)
    widths = browser.execute_script("return [document.documentElement.scrollWidth, document.documentElement.clientWidth]")

    assert widths[0] == widths[1]


def test_title_verdict_and_failure_are_seen_first(browser):
    """What happened, is it good, what next: on the first screen."""
    assert "train failed" in browser.title
    assert "insects" in browser.title
    assert browser.find_element(By.ID, "verdict").location["y"] < 900
    assert "✕ Stage train failed." in browser.find_element(By.CSS_SELECTOR, "[role=alert]").text
    assert "The model may" in browser.find_element(By.CSS_SELECTOR, "#verdict h1").text


def test_labels_to_look_at_are_listed_with_their_ids(browser):
    """What was found, how far the finder is to be believed, and where the rest is."""
    heading = browser.find_element(By.XPATH, "//h3[text()='Labels to look at']")
    told, table, rest = (heading.find_element(By.XPATH, f"following-sibling::*[{at}]").text for at in (1, 2, 3))

    assert "21 of 240 labels are probably wrong, says logistic regression, which agrees with 90.0" in told
    assert f"{0:032x}" in table
    assert "98.0" in table
    assert rest.startswith("1 more in reports/label_suspects.csv")


def test_only_the_page_itself_is_fetched(browser, page):
    """It works without a network, and tells nobody that it was opened."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    fetched = {event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"}

    # chrome:// is the empty tab that the browser starts with.
    assert {url for url in fetched if not url.startswith(("data:", "chrome://", "chrome-untrusted://"))} == {page.as_uri()}


def test_the_browser_has_nothing_to_complain_about(browser):
    """A violated content policy or a broken picture would stand in the console."""
    assert browser.get_log("browser") == []


def test_every_chart_is_drawn_and_named(browser):
    """Alternative text is what a screen reader has."""
    charts = browser.find_elements(By.CSS_SELECTOR, "svg[role=img]")

    assert len(charts) >= 5
    assert all(chart.get_attribute("aria-label") and chart.size["height"] > 50 for chart in charts)
