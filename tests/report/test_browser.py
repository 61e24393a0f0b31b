"""The page in a real browser: it sorts, filters, shows its pictures, and complains of nothing.

Needs the package playwright and Chromium (that of the system's packages, or playwright's own).
"""

import os
import re
import shutil

import pytest
from report_folder import MAGNITUDES, ODD_NAMES

from galstep.batch.summary import read_rows
from galstep.report import write_report

sync_api = pytest.importorskip("playwright.sync_api")
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, PROGRAMS)), None)
N_GALAXIES = len(MAGNITUDES) + len(ODD_NAMES) + 3
TOTAL, NAME = 6, 1


@pytest.fixture(scope="module")
def browser():
    # the sandbox of Chromium does not work for root, as tests in containers run
    sandbox = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with sync_api.sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=sandbox)
        except sync_api.Error as error:
            pytest.skip(f"no browser: {str(error).splitlines()[0]}")
        yield browser
        browser.close()


@pytest.fixture(params=[True, False], ids=["embedded", "folder"])
def page(request, browser, batch_folder, tmp_path):
    """The page, opened; whatever the browser complains of fails the test."""
    path = write_report(
        batch_folder, tmp_path / "p.html", read_rows(batch_folder / "summary.ecsv"), request.param
    )
    page, complaints = browser.new_page(viewport={"width": 1500, "height": 900}), []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("requestfailed", lambda failed: complaints.append(failed.url[:200]))
    page.on("dialog", lambda dialog: complaints.append("a dialog"))
    page.goto(path.as_uri())
    yield page
    page.close()
    assert complaints == []


def shown(page, column=NAME):
    """A cell of the rows that are to be seen, in their order."""
    return page.eval_on_selector_all(
        "#galaxies tbody tr:not([hidden])",
        f"rows => rows.map(r => r.querySelector('td:nth-child({column})')"
        f"{'?.querySelector(`b`)' if column == NAME else ''}?.textContent)",
    )


def click(page, title):
    page.locator("thead th", has_text=re.compile(f"^{title}$")).click()


def base_total(cell):
    return float(cell.split("\n")[1].split()[0])


def test_all_rows_are_there(page):
    assert len(shown(page)) == N_GALAXIES
    assert page.inner_text("#shown") == str(N_GALAXIES)


def test_no_name_runs_or_becomes_markup(page):
    assert page.title() == "galstep: out"
    assert set(ODD_NAMES) <= set(shown(page))
    for name in ODD_NAMES:
        page.get_by_text(name, exact=True).hover()
    assert page.title() == "galstep: out"


def test_sorts_by_magnitude_and_back(page):
    click(page, "total")
    cells = [cell for cell in shown(page, TOTAL) if cell and "±" in cell]
    values = [base_total(cell) for cell in cells]
    assert values == sorted(values) and len(set(values)) == len(MAGNITUDES)
    assert shown(page)[0] == "g2" and shown(page)[-3:] == ["bad", "lost", "later"]
    click(page, "total")
    assert [n for n in shown(page) if n in MAGNITUDES] == ["g33", "g10", "g2"]
    assert shown(page)[-3:] == ["bad", "lost", "later"], "what has no number stays last"


def test_sorts_names_as_people_do(page):
    click(page, "galaxy")
    assert [n for n in shown(page) if n in MAGNITUDES] == ["g2", "g10", "g33"]
    click(page, "galaxy")
    assert [n for n in shown(page) if n in MAGNITUDES] == ["g33", "g10", "g2"]


def test_sorts_by_another_filter(page):
    click(page, "total")
    page.select_option("#filter", "F277W")
    # nothing was measured there: the order stays
    assert len(shown(page)) == N_GALAXIES
    page.select_option("#filter", "F090W")
    values = [float(c.split("\n")[0].split()[0]) for c in shown(page, TOTAL) if c and "±" in c]
    assert values == sorted(values)


def test_sorts_by_keyboard(page):
    page.locator("th", has_text="total").press("Enter")
    assert page.locator("th[aria-sort=ascending]").inner_text().startswith("total")


@pytest.mark.parametrize(
    ("text", "names"),
    [("g1", ["g10"]), ("G33", ["g33"]), ("銀河", [ODD_NAMES[-1]]), ("no such thing", []),
     ("limited g2", ["g2"]), ("image nothing", ["bad"])],
)  # fmt: skip
def test_filters_by_text(page, text, names):
    page.fill("#text", text)
    assert shown(page) == names
    assert page.inner_text("#shown") == str(len(names))
    page.fill("#text", "")
    assert len(shown(page)) == N_GALAXIES


def test_filters_by_status_and_flag(page):
    page.select_option("#status", "failed")
    assert shown(page) == ["bad", "lost"]
    page.select_option("#status", "ok")
    page.select_option("#flag", "stars_limited")
    assert len(shown(page)) == len(MAGNITUDES) + len(ODD_NAMES)
    page.select_option("#flag", "-")
    assert shown(page) == []


def test_pictures_load(page):
    for image in page.locator("img").all():
        image.scroll_into_view_if_needed()
    page.wait_for_function(
        "() => Array.from(document.images).every(i => i.complete && i.naturalWidth > 0)"
    )
    assert page.locator("img").count() == 3 * (len(MAGNITUDES) + len(ODD_NAMES))


def test_without_a_script_all_is_shown(browser, batch_folder, tmp_path):
    path = write_report(batch_folder, tmp_path / "p.html", embedded=True)
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(path.as_uri())
    assert page.locator("#galaxies tbody tr").count() == len(MAGNITUDES) + len(ODD_NAMES)
    context.close()
