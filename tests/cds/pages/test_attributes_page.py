"""The page of the source attributes and its JSON: open to anybody, about no patient, under the policy of the pages."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from cds.pages.attributes_page import PATH
from cds.services import WebServices
from cds.web.app import create_app
from model.card import DEMO_MODEL, read_card
from model.source_attributes import ATTRIBUTES, FILE_NAME
from tests.cds.builders import PATIENT
from tests.cds.pages.conftest import Site
from tests.cds.study.summary_files import put_study


@pytest.fixture
def demo_site(site: Site) -> Site:
    """A site with the model that ships."""
    site.model_folder, site.model_card = DEMO_MODEL, read_card(DEMO_MODEL)
    return site


def test_every_attribute_is_shown_with_its_paragraph_and_its_source(demo_site: Site) -> None:
    said = demo_site.client().get(PATH).text

    assert said.count("<dt>") == 31
    for one in ATTRIBUTES.values():
        assert f'<span class="quiet">{one.paragraph}</span>' in said
    assert "Source: model/checkpoints/phantom-demo/card.json" in said
    assert "Not available" in said
    assert "What has no source is marked “not available”." in said


def test_a_model_that_is_not_clinical_says_so_above_all(demo_site: Site) -> None:
    said = demo_site.client().get(PATH).text

    assert f'<aside class="banners" aria-label="Limits of use"><p>{demo_site.model_card.banner}</p></aside>' in said


def test_a_model_without_a_file_has_nothing_available(site: Site) -> None:
    assert site.client().get(PATH).text.count('<dd class="quiet">Not available</dd>') == 31


def test_studies_of_this_version_are_told_and_others_named(demo_site: Site, tmp_path: Path) -> None:
    demo_site.studies_folder = tmp_path / "studies"
    put_study(demo_site.studies_folder, "calibrate", demo_site.model_card.version.key)
    put_study(demo_site.studies_folder, "impact", "another")

    said = demo_site.client().get(PATH).text

    assert (
        "<dd>At this site, study of 2026-04-02: expected over observed at five years 1.42 (1.20 to 1.68).</dd>" in said
    )
    assert "of the scores of another model version" in said
    assert "over 1.7 %" not in said.replace("a threshold of 1.7 %", "")


def test_a_folder_of_studies_that_cannot_be_read_is_not_an_empty_one(demo_site: Site, tmp_path: Path) -> None:
    demo_site.studies_folder = tmp_path / "nowhere"

    assert "The studies of this site could not be looked at" in demo_site.client().get(PATH).text


def test_words_from_a_file_are_text_and_no_markup(demo_site: Site, tmp_path: Path) -> None:
    demo_site.studies_folder = tmp_path / "studies"
    put_study(demo_site.studies_folder, "impact", demo_site.model_card.version.key, rule="<script>over</script>")

    said = demo_site.client().get(PATH).text

    assert "&lt;script&gt;over" in said
    assert "<script" not in said


def test_the_same_is_there_for_a_program(demo_site: Site) -> None:
    answer = demo_site.client().get(f"{PATH}.json")

    assert answer.mimetype == "application/json"
    assert answer.json is not None
    assert [one["key"] for one in answer.json["attributes"]] == list(ATTRIBUTES)


@pytest.mark.parametrize("path", [PATH, f"{PATH}.json"])
def test_the_policy_is_that_of_the_pages_and_nothing_is_about_a_patient(path: str, demo_site: Site) -> None:
    demo_site.score("1.2.3", 0.02, date(2026, 5, 3))

    answer = demo_site.client().get(path)

    assert answer.headers["Content-Security-Policy"] == (
        "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    assert PATIENT not in answer.text
    assert "1.2.3" not in answer.text
    assert "<script" not in answer.text
    assert "style=" not in answer.text


def test_who_may_hold_a_cards_page_in_a_frame_may_hold_this_one(demo_site: Site) -> None:
    demo_site.frame_ancestors = ("https://ehr.example",)

    policy = demo_site.client().get(PATH).headers["Content-Security-Policy"]

    assert policy.endswith("frame-ancestors https://ehr.example")


def test_a_broken_file_is_said_and_nothing_of_it_shown(demo_site: Site, tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    folder.mkdir()
    text = (DEMO_MODEL / FILE_NAME).read_text().replace('model = "phantom-demo"', 'model = "another"')
    (folder / FILE_NAME).write_text(text)
    demo_site.model_folder = folder

    answer = demo_site.client().get(PATH)

    assert answer.status_code == 503
    assert "is of the model &#39;another&#39;" in answer.text
    assert "Demonstration, tests and benchmarks" not in answer.text


def test_the_files_are_not_read_for_each_visitor(demo_site: Site, tmp_path: Path) -> None:
    folder = tmp_path / "model-of-the-site"
    shutil.copytree(DEMO_MODEL, folder)
    demo_site.model_folder = folder
    client = demo_site.client()
    before = client.get(PATH).text

    (folder / FILE_NAME).unlink()

    assert client.get(PATH).text == before
    assert demo_site.client().get(PATH).text != before


def test_a_cards_page_leads_to_it(site: Site) -> None:
    site.score("1.2.3", 0.02, date(2026, 5, 3))

    said = site.client().get(site.link("1.2.3")).text

    assert f'<a href="{urlsplit(site.address).path}{PATH}">' in said


def test_a_site_without_pages_does_not_have_it(site: Site) -> None:
    parts: WebServices = site.service.parts()

    assert create_app(parts).test_client().get(PATH).status_code == 404
