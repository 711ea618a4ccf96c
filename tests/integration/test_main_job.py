"""The main job against servers that nobody here wrote: sekmet-fhir is the EHR, Orthanc the archive, all over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import requests
from pydantic import SecretStr
from pydicom import Dataset

from cds.demo.film import FilmExam, film_exams, rewritten
from cds.demo.loopback import serve
from cds.demo.patients import yearly, years_before
from cds.demo.resources import imaging_study, order_select, patient
from cds.services import web_services
from cds.settings import (
    EhrSettings,
    ImagingSettings,
    PacsSettings,
    RiskAssessmentBy,
    ServiceSettings,
    Settings,
)
from cds.web.app import create_app
from cds.worker_services import WorkerServices, worker_services
from hooks.site import Mode
from model.phantom import PhantomExam, dicom_images, file_bytes
from tests.builders import new_uid
from tests.servers import OrthancServer, SekmetServer

pytestmark = [pytest.mark.integration, pytest.mark.slow]

TODAY = datetime.now(UTC).date()
SERVICE = "/cds-services/breast-risk-order-select"
Json = dict[str, Any]


@dataclass(frozen=True)
class Site:
    """The real servers, the service in front of them, and a worker that scores when it is told to."""

    ehr: SekmetServer
    pacs: OrthancServer
    settings: Settings
    service_url: str
    worker: WorkerServices

    def admit(self, name: str, age_years: int, dicom_ids: Sequence[str]) -> str:
        """A new woman in the EHR; her id there."""
        woman = patient("unused", name, years_before(TODAY, age_years, days=40), dicom_ids)
        return self.create({key: value for key, value in woman.items() if key != "id"})["id"]  # type: ignore[no-any-return]

    def receive(self, patient_id: str, images: Sequence[Dataset]) -> Json:
        """Images to the archive, then their study to the chart, as happens in a hospital; the study there."""
        for image in images:
            self.archive_only(image)
        study = imaging_study("unused", patient_id, images[0], len(images))
        return self.create({key: value for key, value in study.items() if key != "id"})

    def archive_only(self, image: Dataset) -> None:
        """An image to the archive, of which the EHR is not told."""
        answer = requests.post(
            f"{self.pacs.url}/instances",
            data=file_bytes(image),  # type: ignore[arg-type]
            auth=(self.pacs.username, self.pacs.password),
            timeout=60,
        )
        answer.raise_for_status()

    def replace(self, resource: Json) -> None:
        """A correction in the EHR."""
        headers = {"Authorization": f"Bearer {self.ehr.token}", "Content-Type": "application/fhir+json"}
        address = f"{self.ehr.url}/{resource['resourceType']}/{resource['id']}"
        answer = requests.put(address, json=resource, headers=headers, timeout=30)
        assert answer.ok, answer.text

    def create(self, resource: Json) -> Json:
        """What a clinician's accepted suggestion does: POST it to the EHR, which validates it."""
        headers = {"Authorization": f"Bearer {self.ehr.token}", "Content-Type": "application/fhir+json"}
        answer = requests.post(f"{self.ehr.url}/{resource['resourceType']}", json=resource, headers=headers, timeout=30)
        assert answer.status_code == 201, answer.text
        created: Json = answer.json()
        return created

    def select_screening(self, patient_id: str, drafted: Sequence[str] = ()) -> list[Json]:
        """Fire order-select with a token and without any prefetch; the cards."""
        call = order_select(patient_id, self.ehr.url, self.ehr.token, drafted)
        answer = requests.post(self.service_url + SERVICE, json=call, timeout=60)
        assert answer.status_code == 200, answer.text
        cards: list[Json] = answer.json()["cards"]
        return cards

    def score_everything(self) -> None:
        """Let the worker empty its queue, and the clerk write what it concludes."""
        self.worker.pipeline.drain(Event(), datetime.now(UTC))
        while self.worker.clerk.work_next():
            pass


def site_settings(orthanc: OrthancServer, sekmet: SekmetServer, folder: Path, **ehr: Any) -> Settings:
    """A site in research mode, with what its EHR's block says besides."""
    token_file = folder / "token"
    token_file.write_text(sekmet.token)
    told = {"mode": Mode.RESEARCH, "access_token_file": token_file, "timeout_s": 30, **ehr}
    pacs = PacsSettings(
        name="orthanc",
        dicomweb_root=orthanc.dicomweb,
        username=orthanc.username,
        password=SecretStr(orthanc.password),
    )
    return Settings(
        database_url=f"sqlite:///{folder / 'site.sqlite'}",
        ehrs=(EhrSettings(name="sekmet", fhir_server=sekmet.url, **told),),
        pacs=(pacs,),
        service=ServiceSettings(answer_budget_s=0.2, trust="demo"),
    )


@pytest.fixture
def open_site(
    orthanc_server: OrthancServer, sekmet_server: SekmetServer, tmp_path: Path
) -> Iterator[Callable[[], Site]]:
    settings = site_settings(orthanc_server, sekmet_server, tmp_path)
    with serve(create_app(web_services(settings))) as service_url:
        yield lambda: Site(sekmet_server, orthanc_server, settings, service_url, worker_services(settings))


@pytest.fixture
def site(open_site: Callable[[], Site]) -> Site:
    return open_site()


def phantom_history(percents: Sequence[float]) -> tuple[str, tuple[PhantomExam, ...]]:
    """Annual exams of a woman whom no other test knows, and the patient ID on them."""
    woman = int(new_uid()[-9:])
    exams = yearly(woman, str(woman), TODAY, percents)
    return exams[0].patient_id, exams


def labels(card: Json) -> list[str]:
    return [action["resource"]["resourceType"] for s in card["suggestions"] for action in s["actions"]]


def test_a_rising_score_becomes_an_mri_card_whose_suggestions_the_ehr_accepts(site: Site) -> None:
    dicom_id, exams = phantom_history((2.1, 2.6, 4.0, 6.6))
    patient_id = site.admit("Ada Rising", 52, [dicom_id])
    for exam in exams:
        site.receive(patient_id, list(dicom_images(exam)))

    (waiting,) = site.select_screening(patient_id)
    assert "under way" in waiting["summary"]
    site.score_everything()
    (card,) = site.select_screening(patient_id)

    assert card["indicator"] == "warning"
    assert "threshold 1.7 %" in card["summary"]
    assert "points in 3.0 years" in card["summary"]
    assert labels(card) == ["ServiceRequest", "RiskAssessment"]
    for suggestion in card["suggestions"]:
        (action,) = suggestion["actions"]
        site.create(action["resource"])


def test_the_riskassessment_gives_the_five_percentages_and_the_exam_it_rests_on(site: Site) -> None:
    dicom_id, exams = phantom_history((6.6,))
    patient_id = site.admit("Dora Single", 45, [dicom_id])
    site.receive(patient_id, list(dicom_images(exams[0])))
    site.select_screening(patient_id)
    site.score_everything()

    (card,) = site.select_screening(patient_id)
    assessment = card["suggestions"][1]["actions"][0]["resource"]
    percentages = [prediction["probabilityDecimal"] for prediction in assessment["prediction"]]
    assert percentages == sorted(percentages)
    assert 1.7 < percentages[-1] < 100
    ends = [prediction["whenPeriod"]["end"][:4] for prediction in assessment["prediction"]]
    assert ends == [str(exams[0].performed_on.year + year) for year in range(1, 6)]
    assert assessment["basis"][0]["reference"].startswith("ImagingStudy/")


def test_a_low_score_brings_one_short_card_without_an_mri(site: Site) -> None:
    dicom_id, exams = phantom_history((1.1, 1.1))
    patient_id = site.admit("Berta Stable", 61, [dicom_id])
    for exam in exams:
        site.receive(patient_id, list(dicom_images(exam)))
    site.select_screening(patient_id)
    site.score_everything()

    (card,) = site.select_screening(patient_id)
    assert card["indicator"] == "info"
    assert labels(card) == ["RiskAssessment"]


def test_a_woman_without_any_exam_gets_no_card(site: Site) -> None:
    assert site.select_screening(site.admit("Greta Noexam", 40, [])) == []


def test_images_of_another_patient_are_held_and_never_scored(site: Site) -> None:
    _, exams = phantom_history((6.6,))
    patient_id = site.admit("Wrong Images", 50, ["SOMEBODY-ELSE"])
    site.receive(patient_id, list(dicom_images(exams[0])))
    site.select_screening(patient_id)
    site.score_everything()

    (card,) = site.select_screening(patient_id)
    assert card["indicator"] == "info"
    assert "suggestions" not in card
    assert "patient ID" in card["detail"]


def test_an_exam_that_the_archive_does_not_have_yet_is_held_and_scored_once_it_arrives(
    site: Site, open_site: Callable[[], Site]
) -> None:
    dicom_id, exams = phantom_history((3.0,))
    patient_id = site.admit("Late Images", 50, [dicom_id])
    images = list(dicom_images(exams[0]))
    study = imaging_study("unused", patient_id, images[0], len(images))
    site.create({key: value for key, value in study.items() if key != "id"})
    site.select_screening(patient_id)
    site.score_everything()
    (held,) = site.select_screening(patient_id)
    assert "not scored yet" in held["summary"]

    site.receive(patient_id, images)
    a_year_later = datetime.now(UTC).replace(year=TODAY.year + 1)
    worker_services(site.settings, now=lambda: a_year_later).pipeline.drain(Event(), a_year_later)
    (card,) = site.select_screening(patient_id)
    assert labels(card) == ["ServiceRequest", "RiskAssessment"]


def test_the_night_scores_what_the_ehr_lists_and_a_second_night_scores_nothing_twice(site: Site) -> None:
    dicom_id, exams = phantom_history((2.0, 2.2))
    patient_id = site.admit("Nora Night", 55, [dicom_id])
    for exam in exams:
        site.receive(patient_id, list(dicom_images(exam)))

    first = site.worker.night.run(lambda _: site.score_everything())
    second = site.worker.night.run(lambda _: site.score_everything())

    assert first.problems == ()
    assert first.found >= 2
    assert first.scored >= 2
    assert (second.found, second.scored) == (0, 0)

    (card,) = site.select_screening(patient_id)
    assert exams[-1].performed_on.isoformat() in card["detail"]


# Results that reach the chart and the archive by themselves


@pytest.fixture
def writing_site(orthanc_server: OrthancServer, sekmet_server: SekmetServer, tmp_path: Path) -> Iterator[Site]:
    """A site that writes RiskAssessments into the chart and reports into the archive, and looks for earlier exams."""
    imaging = ImagingSettings(report_to="orthanc", find_priors=True)
    settings = site_settings(orthanc_server, sekmet_server, tmp_path, risk_assessment=RiskAssessmentBy.WRITE_BACK)
    settings = settings.model_copy(update={"imaging": imaging})
    with serve(create_app(web_services(settings))) as service_url:
        yield Site(sekmet_server, orthanc_server, settings, service_url, worker_services(settings))


def assessments(site: Site, patient_id: str) -> list[Json]:
    """Her RiskAssessments in the EHR; sekmet does not search them by patient."""
    headers = {"Authorization": f"Bearer {site.ehr.token}"}
    bundle = requests.get(f"{site.ehr.url}/RiskAssessment?_count=500", headers=headers, timeout=30).json()
    resources = [entry["resource"] for entry in bundle.get("entry", [])]
    return [one for one in resources if one["subject"]["reference"] == f"Patient/{patient_id}"]


def modalities(site: Site, study_uid: str) -> list[str]:
    root, auth = site.pacs.dicomweb, (site.pacs.username, site.pacs.password)
    rows = requests.get(f"{root}/studies/{study_uid}/instances?includefield=00080060", auth=auth, timeout=30).json()
    return sorted(row["00080060"]["Value"][0] for row in rows)


def test_the_night_writes_one_assessment_into_the_chart_and_one_report_into_the_study(writing_site: Site) -> None:
    site = writing_site
    dicom_id, exams = phantom_history((2.1, 4.0, 6.6))
    patient_id = site.admit("Nora Night", 55, [dicom_id])
    for exam in exams:
        site.receive(patient_id, list(dicom_images(exam)))

    for _ in range(2):
        summary = site.worker.night.run(lambda _: site.score_everything())
    assert summary.problems == ()

    (written,) = assessments(site, patient_id)
    assert (written["status"], len(written["prediction"])) == ("final", 5)
    note = written["note"][0]["text"]
    assert note.startswith("Synthetic demonstration model. Not for clinical use. Research use.")
    assert f"Change from {exams[0].performed_on.isoformat()} to {exams[-1].performed_on.isoformat()}" in note, note
    assert modalities(site, exams[-1].study_uid) == ["MG"] * 4 + ["SR"]
    assert modalities(site, exams[0].study_uid) == ["MG"] * 4
    (card,) = site.select_screening(patient_id)
    assert labels(card) == ["ServiceRequest"]


def test_an_earlier_exam_that_only_the_archive_has_becomes_part_of_her_line(writing_site: Site) -> None:
    site = writing_site
    dicom_id, exams = phantom_history((2.1, 6.6))
    patient_id = site.admit("Paula Prior", 55, [dicom_id])
    site.receive(patient_id, list(dicom_images(exams[1])))
    for image in dicom_images(exams[0]):
        site.archive_only(image)

    site.select_screening(patient_id)
    for _ in range(2):
        site.score_everything()

    (card,) = site.select_screening(patient_id)
    assert exams[0].performed_on.isoformat() in card["detail"]
    assert "points in 1.0 years" in card["summary"]


def test_a_study_entered_in_error_takes_its_assessment_back(writing_site: Site) -> None:
    site = writing_site
    dicom_id, exams = phantom_history((6.6,))
    patient_id = site.admit("Erna Error", 55, [dicom_id])
    study = site.receive(patient_id, list(dicom_images(exams[0])))
    site.worker.night.run(lambda _: site.score_everything())
    assert [one["status"] for one in assessments(site, patient_id)] == ["final"]

    site.replace({**study, "status": "entered-in-error"})
    site.worker.night.run(lambda _: site.score_everything())

    assert [one["status"] for one in assessments(site, patient_id)] == ["entered-in-error"]
    assert site.select_screening(patient_id) == []


def film(site: Site, case: FilmExam, views: Sequence[Dataset], dicom_ids: Sequence[str]) -> Json:
    """A real exam through the whole job; its card."""
    patient_id = site.admit(f"Film {case.case}", 60, dicom_ids)
    for study_uid in dict.fromkeys(str(view.StudyInstanceUID) for view in views):
        site.receive(patient_id, [view for view in views if view.StudyInstanceUID == study_uid])
    site.select_screening(patient_id)
    site.score_everything()
    (card,) = site.select_screening(patient_id)
    return card


@pytest.mark.parametrize("number", [0, 1])
def test_a_real_film_exam_is_refused_as_published_and_scored_once_its_headers_are_rewritten(
    site: Site, number: int
) -> None:
    case = list(film_exams())[number]
    refused = film(site, case, case.views, [str(view.PatientID) for view in case.views])
    assert "cannot be scored" in refused["summary"]
    assert "suggestions" not in refused

    dicom_id = f"FILM-{new_uid()[-9:]}"
    scored = film(site, case, fresh_uids(rewritten(case, dicom_id)), [dicom_id])
    assert "5-year image-based score" in scored["summary"]
    assert "Research use" in scored["detail"]


def fresh_uids(views: Sequence[Dataset]) -> Sequence[Dataset]:
    """The session's Orthanc may know the rewritten study of another test already."""
    study_uid = new_uid()
    for view in views:
        view.StudyInstanceUID, view.SOPInstanceUID = study_uid, new_uid()
        view.file_meta.MediaStorageSOPInstanceUID = view.SOPInstanceUID
    return views
