"""The page of a folder of products: rows, links, escapes, what is read and what is kept."""

import html.parser
import os
import shutil
from pathlib import Path
from urllib.parse import unquote

import pytest
from report_folder import MAGNITUDES, ODD_NAMES, save
from sample_models import make_model

from galstep.batch.summary import read_rows
from galstep.cli import main
from galstep.datamodels import GalaxyModel
from galstep.datamodels.tables.main_numbers import main_numbers
from galstep.exceptions import GalstepError, InputError, ParameterError
from galstep.report import write_report
from galstep.report.cards import FILES


class Page(html.parser.HTMLParser):
    """The elements of a page: what a browser makes of it, scripts aside."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.links, self.images, self.rows = [], [], [], []
        self.attributes = set()
        self._cell = None
        self.feed(Path(path).read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        attrs = dict(attrs)
        self.attributes |= set(attrs)
        if tag == "a":
            self.links.append(attrs["href"])
        if tag == "img":
            self.images.append(attrs["src"])
        if tag == "tr":
            self.rows.append([attrs])
        if tag == "td":
            self.rows[-1].append("")
            self._cell = True

    def handle_endtag(self, tag):
        if tag == "td":
            self._cell = None

    def handle_data(self, data):
        if self._cell:
            self.rows[-1][-1] += data


@pytest.fixture(scope="session")
def page_path(batch_folder):
    return write_report(batch_folder, rows=read_rows(batch_folder / "summary.ecsv"))


@pytest.fixture(scope="session")
def page(page_path):
    return Page(page_path)


@pytest.fixture
def folder(batch_folder, tmp_path):
    """A copy that may be changed, of one galaxy."""
    shutil.copytree(batch_folder / "g10", tmp_path / "out" / "g10")
    return tmp_path / "out"


def galaxies(page):
    return [row for row in page.rows if "data-status" in row[0]]


class TestRows:
    def test_a_row_for_every_galaxy_of_the_batch(self, page, batch_folder):
        rows = galaxies(page)
        assert len(rows) == len(MAGNITUDES) + len(ODD_NAMES) + 3
        for row, name in zip(rows, read_rows(batch_folder / "summary.ecsv"), strict=True):
            assert row[1].startswith(name)

    def test_numbers_are_those_of_the_product(self, page, batch_folder):
        for row in galaxies(page)[: len(MAGNITUDES)]:
            name = next(n for n in MAGNITUDES if row[1].startswith(n))
            model = GalaxyModel.open(batch_folder / name / f"{name}_gal.asdf")
            numbers = {own.filter: own for own in main_numbers(model)}
            filters = row[3].split("\n")
            assert filters == ["F090W", "F150W*", "F277W"], "by wavelength"
            for column, kind in ((4, "half"), (5, "kron"), (6, "total")):
                expected = [str(getattr(numbers[f.rstrip("*")], kind)) for f in filters]
                assert row[column].split("\n") == expected
            base = model.galaxy[list(model.bands).index("F150W")]
            assert float(row[12]) == pytest.approx(base["ra"].value, abs=1e-6)
            assert float(row[13]) == pytest.approx(base["dec"].value, abs=1e-6)
            arcsec = base["r_eff"].value * model.bands["F150W"].pixel_scale
            assert float(row[8]) == pytest.approx(arcsec, abs=1e-3)

    def test_flags_in_words_with_their_filters(self, page):
        row = galaxies(page)[0]
        assert "stars limited F090W, F150W" in row[-1]
        assert "300 stars per 1000 px" in row[-1], "the reason"

    def test_failed_galaxies_have_their_reason(self, page):
        rows = {row[1]: row for row in galaxies(page)}
        assert rows["bad"][-1] == "failed: input x.h5: <b>no</b> image & nothing"
        assert rows["lost"][-1] == "failed: measured, but its product is not there any more"
        assert rows["later"][-1] == "pending"


class TestSafety:
    def test_names_are_text(self, page):
        rows = galaxies(page)
        for name, row in zip(ODD_NAMES, rows[len(MAGNITUDES) :], strict=False):
            assert row[1].startswith(name)
        assert page.tags.count("script") == 1
        assert not {name for name in page.attributes if name.startswith("on")}
        assert set(page.tags) <= {
            "html", "head", "meta", "title", "style", "body", "h1", "div", "label", "input",
            "select", "option", "span", "b", "table", "thead", "tr", "th", "tbody", "td", "a",
            "img", "small", "details", "summary", "ul", "li", "script",
        }  # fmt: skip

    def test_nothing_is_loaded_from_elsewhere(self, page, page_path):
        text = page_path.read_text()
        assert "http://" not in text and "https://" not in text and "//cdn" not in text
        assert all(src.startswith("data:image/jpeg;base64,") for src in page.images)
        assert "default-src 'none'; script-src 'sha256-" in text

    def test_links_lead_to_the_files(self, page, page_path):
        assert len(page.links) >= 3 * (len(MAGNITUDES) + len(ODD_NAMES))
        for link in page.links:
            assert link.startswith("./")
            assert (page_path.parent / unquote(link)).is_file(), link


class TestKept:
    def test_a_product_is_read_once(self, folder, monkeypatch):
        first = write_report(folder).read_text()

        def refuse(*args, **kwargs):
            raise AssertionError("read again")

        monkeypatch.setattr(GalaxyModel, "open", refuse)
        assert write_report(folder).read_text() == first

    def test_a_new_product_is_read(self, folder):
        write_report(folder)
        model = make_model()
        model.meta.base_filter = "F090W"
        model.save(folder / "g10" / "g10_gal.asdf")
        assert "F090W*" in write_report(folder).read_text()

    @pytest.mark.parametrize("damage", ["", "{}", "null\n{}", "[]\n[]"])
    def test_a_damaged_card_is_made_again(self, folder, damage):
        first = write_report(folder).read_text()
        (card,) = (folder / FILES).glob("*.json")
        card.write_text(damage)
        assert write_report(folder).read_text() == first

    def test_a_picture_that_lost_its_end_is_made_again(self, folder):
        first = write_report(folder).read_text()
        for picture in (folder / FILES).glob("*.jpg"):
            picture.write_bytes(b"")
        assert write_report(folder).read_text() == first

    def test_what_is_gone_is_removed(self, folder):
        save(make_model(), folder, "second")
        write_report(folder)
        kept = len(list((folder / FILES).iterdir()))
        (folder / FILES / "mine.txt").write_text("keep")
        shutil.rmtree(folder / "second")
        write_report(folder)
        names = sorted(path.name for path in (folder / FILES).iterdir())
        assert len(names) == kept / 2 + 1 and "mine.txt" in names

    def test_same_name_in_two_folders(self, folder):
        (folder / "deep" / "er").mkdir(parents=True)
        make_model().save(folder / "deep" / "er" / "g10_gal.asdf")
        rows = galaxies(Page(write_report(folder)))
        assert len(rows) == 2
        assert {row[1].removeprefix("g10").split()[0].removesuffix("model") for row in rows} >= {
            "deep/er"
        }


class TestOutput:
    def test_pictures_in_a_folder(self, folder):
        page = Page(write_report(folder, embedded=False))
        assert len(page.images) == 3
        for source in page.images:
            assert (folder / unquote(source)).read_bytes()[:2] == b"\xff\xd8"

    def test_elsewhere(self, folder, tmp_path):
        (tmp_path / "pages").mkdir()
        path = write_report(folder, tmp_path / "pages" / "all.html", embedded=False)
        page = Page(path)
        assert all((path.parent / unquote(link)).is_file() for link in page.links + page.images)
        assert sorted(p.name for p in (tmp_path / "pages").iterdir()) == ["all.html", "all_files"]
        assert not (folder / FILES).exists()

    def test_a_product_that_cannot_be_read_has_a_row(self, folder):
        (folder / "broken_gal.asdf").write_text("#ASDF 1.0.0\n%YAML 1.1\n--- {a: 1}\n...\n")
        rows = galaxies(Page(write_report(folder)))
        assert [row[0]["data-status"] for row in rows] == ["failed", "ok"]
        assert "no product of galstep" in rows[0][-1]

    def test_hdf5_products(self, tmp_path):
        make_model().save(tmp_path / "x_gal.h5")
        assert len(galaxies(Page(write_report(tmp_path)))) == 1

    def test_without_matplotlib(self, folder, monkeypatch):
        from galstep.report import cards

        monkeypatch.setattr(cards.importlib.util, "find_spec", lambda name: None)
        page = Page(write_report(folder))
        assert page.images == [] and len(galaxies(page)) == 1

    @pytest.mark.parametrize(
        ("arguments", "kind", "message"),
        [
            (("nowhere",), InputError, "is not there"),
            (("empty",), InputError, "there is no product in it"),
            (("out", "page.txt"), ParameterError, "must be a file that ends in .html"),
            (("out", "empty"), ParameterError, "must be a file that ends in .html"),
            (("out", "no/page.html"), GalstepError, "the folder no is not there"),
        ],
        ids=str,
    )
    def test_messages(self, folder, arguments, kind, message, monkeypatch):
        monkeypatch.chdir(folder.parent)
        os.mkdir("empty")
        with pytest.raises(kind, match=message) as caught:
            write_report(*arguments)
        assert "\n" not in str(caught.value)


class TestCommand:
    def test_writes_the_page(self, folder, capsys):
        assert main(["report", str(folder)]) == 0
        assert (folder / "report.html").is_file()
        assert capsys.readouterr().err.endswith("report.html\n")

    def test_reads_the_summary(self, batch_folder, tmp_path):
        page = tmp_path / "p.html"
        assert (
            main(["report", str(batch_folder), "--output", str(page), "--pictures", "folder"]) == 0
        )
        assert len(galaxies(Page(page))) == len(MAGNITUDES) + len(ODD_NAMES) + 3

    def test_one_line_of_error(self, tmp_path, capsys):
        assert main(["report", str(tmp_path / "no")]) == 2
        assert capsys.readouterr().err.count("\n") == 1
