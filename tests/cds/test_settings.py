"""What a site decides: one TOML file, the environment over it, and every mistake named."""

from __future__ import annotations

from pathlib import Path

import pytest

from cds.errors import SettingsError
from cds.settings import Settings, read_secret, read_settings
from hooks.case import Comparator
from hooks.site import Mode
from model.card import DEMO_MODEL

TWO_LISTS = ("screening_mammography", "other_mammography")
EHR = '[[ehrs]]\nname = "main"\nfhir_server = "https://ehr.example/r4/"\n'
PACS = '[[pacs]]\nname = "main"\ndicomweb_root = "https://pacs.example"\n'
CLIENT = 'client_id = "cds"\nprivate_key_file = "key.pem"\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "mammotrend.toml"


def settings_of(file: Path, text: str) -> Settings:
    """The settings of a file with this text."""
    file.write_text(text, encoding="utf-8")
    return read_settings(file)


def refusal(file: Path, text: str) -> str:
    """The message with which a file with this text is refused."""
    with pytest.raises(SettingsError) as caught:
        settings_of(file, text)
    return str(caught.value)


def test_without_a_file_everything_has_a_cautious_default() -> None:
    settings = read_settings(None)

    assert (settings.model, settings.ehrs, settings.pacs) == (DEMO_MODEL, (), ())
    assert settings.service.host == "127.0.0.1"
    assert (settings.policy.minimum_age_years, settings.policy.threshold_percent) == (35, 1.7)
    assert settings.policy.comparator is Comparator.OVER


def test_a_file_is_read_and_an_ehr_is_silent_until_it_says_otherwise(file: Path) -> None:
    settings = settings_of(file, EHR + '[policy]\nthreshold_percent = 3.0\ncomparator = ">="\n')

    (ehr,) = settings.ehrs
    assert (ehr.name, ehr.fhir_server, ehr.mode) == ("main", "https://ehr.example/r4", Mode.SILENT)
    assert settings.policy.comparator is Comparator.AT_LEAST


WRITES = 'mode = "research"\nrisk_assessment = "write-back"\n'


@pytest.mark.parametrize(
    ("more", "scope"),
    [
        ("", "system/ImagingStudy.rs system/Patient.rs"),
        (
            'mode = "research"\nrisk_assessment = "write-back"\n',
            "system/ImagingStudy.rs system/Patient.rs system/RiskAssessment.crus",
        ),
        ('mode = "research"\nrisk_assessment = "write-back"\nscope = "system/*.read"\n', "system/*.read"),
    ],
)
def test_a_client_asks_for_what_the_night_needs_unless_the_site_says_what(file: Path, more: str, scope: str) -> None:
    (ehr,) = settings_of(file, EHR + CLIENT + more + 'token_url = "https://ehr.example/token/"\n').ehrs

    assert (ehr.asked_scope, ehr.token_url) == (scope, "https://ehr.example/token/")


def test_the_environment_goes_over_the_file_setting_by_setting(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAMMOTREND_SERVICE__PORT", "9000")

    settings = settings_of(file, EHR + '[service]\nport = 8000\nlabel = "Clinic"\n')

    assert (settings.service.port, settings.service.label) == (9000, "Clinic")


@pytest.mark.parametrize(
    "variable",
    [
        "MAMMOTREND_DATABSE_URL",
        "MAMMOTREND_SERVICE_PORT",
        "MAMMOTREND_SERVICE__PROT",
        "MAMMOTREND_DATABASE_URL__FILE",
        "mammotrend_databse_url",
    ],
)
def test_a_variable_with_a_slip_in_its_name_is_refused_and_its_value_is_not_told(
    file: Path, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings_of(file, EHR)
    monkeypatch.setenv(variable, "hunter2")

    for read_from in (file, None):
        with pytest.raises(SettingsError, match="there is no such setting") as caught:
            read_settings(read_from)
        assert variable.rpartition("__")[2].lower() in str(caught.value).lower()
        assert "hunter2" not in str(caught.value)


def test_a_variable_may_begin_so_where_it_names_the_file_or_the_file_names_it(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAMMOTREND_CONFIG", str(file))
    for secret in ("MAMMOTREND_PACS_PASSWORD", "MAMMOTREND_PAGES_SECRET"):
        monkeypatch.setenv(secret, "hunter2")

    with pytest.raises(SettingsError, match="MAMMOTREND_PACS_PASSWORD, MAMMOTREND_PAGES_SECRET: there is no such"):
        settings_of(file, EHR)
    named = PACS + 'username = "cds"\npassword_variable = "MAMMOTREND_PACS_PASSWORD"\n'
    settings = settings_of(file, named + '[pages]\nsecret_variable = "MAMMOTREND_PAGES_SECRET"\n')

    assert (settings.pacs[0].secret(), settings.pages.secret()) == ("hunter2", "hunter2")


def test_where_the_environment_is_not_wanted_the_file_stands_alone(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAMMOTREND_SERVICE__PORT", "9000")
    monkeypatch.setenv("MAMMOTREND_EHRS", "{not json")
    monkeypatch.setenv("MAMMOTREND_NO_SUCH_SETTING", "x")
    file.write_text(EHR + "[service]\nthreads = 3\n", encoding="utf-8")

    settings = read_settings(file, environment=False)

    assert (settings.service.port, settings.service.threads) == (8410, 3)
    assert [ehr.name for ehr in settings.ehrs] == ["main"]


def test_the_environment_is_read_once(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of(file, EHR)
    monkeypatch.setenv("MAMMOTREND_SERVICE__PORT", "9000")

    assert settings.service.port == 8410


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('modell = "x"\n', "modell: there is no such setting"),
        ('[[ehrs]]\nname = "main"\nfhir_server = "ehr.example"\n', "ehrs.0.fhir_server: "),
        ('[[ehrs]]\nname = " "\nfhir_server = "https://ehr.example"\n', "ehrs.0.name: must not be empty"),
        (EHR + 'mode = "loud"\n', "ehrs.0.mode: "),
        (EHR + 'time_zone = "Mars/Olympus"\n', "ehrs.0.time_zone: "),
        (EHR + "timeout_s = 0\n", "ehrs.0.timeout_s: "),
        ('[policy]\nthreshold_percent = "much"\n', "policy.threshold_percent: "),
        ("[policy]\nthreshold_percent = 170\n", "policy.threshold_percent: "),
        ('[policy]\ncitation = ""\n', "policy.citation: "),
        ('[policy]\ncitation_url = "guideline.pdf"\n', "policy.citation_url: "),
        ('[mri_order]\nintent = "wish"\n', "mri_order.intent: "),
        ('[mri_order]\nsystem = "our codes"\n', "mri_order.system: "),
        ('[mri_order]\ncode = ""\n', "mri_order.code: "),
        ('[mri_order]\ncode = "77049 "\n', "mri_order.code: "),
        ('[mri_order]\ncode = " 77049"\n', "mri_order.code: "),
        ('[mri_order]\ncode = "MR  BREAST"\n', "mri_order.code: must be a code: no blanks around it"),
        ('[mri_order]\ncode = "77049\\n"\n', "mri_order.code: "),
        ('[mri_order]\ndisplay = " "\n', "mri_order.display: "),
        ('[mri_order]\ndisplay = "MRI "\n', "mri_order.display: "),
        ("[order_codes]\nmri = []\n", "order_codes.mri: there is no such setting"),
        ('[order_codes]\nbreast_mri = ["77049"]\n', "order_codes.breast_mri.0: "),
        ('[order_codes]\nbreast_mri = [{ system = "urn:a", code = " " }]\n', "order_codes.breast_mri.0.code: "),
        ('[order_codes]\nbreast_mri = [{ system = "ours", code = "1" }]\n', "order_codes.breast_mri.0.system: "),
        (
            "[order_codes]\n" + "".join(f'{name} = [{{ system = "urn:a", code = "1" }}]\n' for name in TWO_LISTS),
            "a code can be in one of the lists only",
        ),
        ("[policy]\nthreshold_percent = 0.017\n", "not the fraction 0.017"),
        ("[policy]\nthreshold_percent = 0.0999\n", "the least is 0.1"),
        ("[policy]\nthreshold_percent = nan\n", "policy.threshold_percent: "),
        ("[policy]\nminimum_detectable_change_points = 0.005\n", "is in percentage points, from 0.1 to under 100"),
        ("[policy]\nminimum_detectable_change_points = 100\n", "is in percentage points, from 0.1 to under 100"),
        ("[policy]\nminimum_detectable_change_points = nan\n", "is in percentage points, from 0.1 to under 100"),
        ("[policy]\ngap_months = 0\n", "policy.gap_months: "),
        (EHR + 'ca_file = "/nowhere/secret.pem"\n', "ehrs.0.ca_file: must be a readable file of CA"),
        (EHR + 'risk_assessment = "write-back"\n', "a silent service writes nothing either"),
        (EHR + 'client_id = "cds"\n', "ehrs.0: client_id and private_key_file belong together"),
        (EHR + 'private_key_file = "k"\n', "ehrs.0: client_id and private_key_file belong together"),
        (EHR + CLIENT + 'access_token_file = "t"\n', "ehrs.0: set either access_token_file or client_id"),
        (
            EHR + 'scope = "system/*.rs"\n',
            "ehrs.0: token_url, scope, signing_algorithm and key_id go with",
        ),
        (EHR + CLIENT + 'signing_algorithm = "HS256"\n', "ehrs.0.signing_algorithm: "),
        (EHR + CLIENT + 'token_url = "https://user:secret@ehr.example/token"\n', "ehrs.0.token_url: "),
        (EHR + CLIENT + 'token_url = "/token"\n', "ehrs.0.token_url: "),
        (EHR + CLIENT + 'scope = " "\n', "ehrs.0.scope: "),
        (PACS + 'ca_file = "pyproject.toml"\n', "pacs.0.ca_file: "),
        (PACS + "study_timeout_s = 0\n", "pacs.0.study_timeout_s: "),
        (PACS + 'username = "cds"\npassword_file = "p"\npassword_variable = "P"\n', "set one of password_file and"),
        (PACS + 'password_file = "p"\n', "a password goes with a username"),
        ('[[pacs]]\ndicomweb_root = "https://pacs.example"\n', "pacs.0.name: "),
        ('[pacs]\nname = "main"\ndicomweb_root = "https://pacs.example"\n', "pacs: "),
        (PACS + '[imaging]\nreport_to = "other"\n', "imaging.report_to: no archive in pacs has the name 'other'"),
        ("[imaging]\npoll_minutes = 0\n", "imaging.poll_minutes: "),
        ("[imaging]\npoll_days = 1\nstable_minutes = 1440\n", "stable_minutes must be less than poll_days"),
        ("[retention]\ncards_days = 29\n", "retention.cards_days: "),
        ("[retention]\nanswered_cards_days = 364\n", "retention.answered_cards_days: "),
        ("[retention]\naudit_days = 4000\n", "retention.audit_days: "),
        (
            "[imaging]\npoll_days = 40\n[retention]\narrivals_days = 40\n",
            "arrivals_days must be more than imaging.poll_days",
        ),
        (
            "[cards]\nquiet_days_after_override = 400\n[retention]\nanswered_cards_days = 400\n",
            "answered_cards_days must be more than cards.quiet_days_after_override",
        ),
        ('[service]\nlabel = ""\n', "service.label: "),
        ('[scoring]\ndevice = "gpu"\n', "scoring.device: must be cpu, cuda or"),
        ('[scoring]\ndevice = "cuda:"\n', "scoring.device: must be cpu, cuda or"),
        ('[night]\ncron = "0 25 * * *"\n', "night.cron: '0 25 * * *' is not five cron fields"),
        ('[night]\ncron = "tonight"\n', "night.cron: 'tonight' is not five cron fields"),
        ('[night]\ncron = "0 2 * *"\n', "night.cron: '0 2 * *' is not five cron fields"),
        ('[night]\ncron = "0 2 * * * *"\n', "night.cron: '0 2 * * * *' is not five cron fields"),
        ('[night]\ncron = "0 2 * * someday"\n', "night.cron: '0 2 * * someday' is not five cron fields"),
        # Schedulers count weekdays differently.
        ('[night]\ncron = "0 2 * * 0"\n', "night.cron: write the weekday of '0 2 * * 0' by name"),
        ('[night]\ncron = "0 2 * * 1-5"\n', "night.cron: write the weekday of '0 2 * * 1-5' by name"),
        ('[night]\ncron = "0 2 * * */2"\n', "night.cron: write the weekday of '0 2 * * */2' by name"),
        ('[scoring]\nprecision = "float16"\n', "scoring.precision: "),
        ("[scoring]\nbatch_exams = 0\n", "scoring.batch_exams: "),
        ('[service]\nurl = "https://"\n', "service.url: "),
        ('[[pacs]]\nname = "main"\ndicomweb_root = "https://user:secret@pacs.example"\n', "pacs.0.dicomweb_root: "),
        ('[[pacs]]\nname = "main"\ndicomweb_root = "https://pacs.example/?x=1"\n', "pacs.0.dicomweb_root: "),
        ('[[ehrs]]\nname = "main"\nfhir_server = "https://ehr.example:99999"\n', "ehrs.0.fhir_server: "),
        ("pacs = 3\n", "pacs: "),
        ("ehrs = 3\n", "ehrs: "),
    ],
)
def test_a_wrong_setting_is_refused_by_its_name(file: Path, text: str, said: str) -> None:
    message = refusal(file, text)

    assert said in message
    assert "pattern" not in message  # a regular expression tells nobody what to write
    assert "secret" not in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("second", "said"),
    [
        ('[[ehrs]]\nname = "main"\nfhir_server = "https://other.example"\n', "names must differ from each other"),
        (
            '[[ehrs]]\nname = "other"\nfhir_server = "https://EHR.example:443/r4"\n',
            "servers must differ from each other",
        ),
    ],
)
def test_two_ehrs_that_cannot_be_told_apart_are_refused(file: Path, second: str, said: str) -> None:
    assert said in refusal(file, EHR + second)


@pytest.mark.parametrize(
    ("second", "said"),
    [
        ('[[pacs]]\nname = "main"\ndicomweb_root = "https://old.example"\n', "names must differ from each other"),
        ('[[pacs]]\nname = "old"\ndicomweb_root = "https://PACS.example:443/"\n', "roots must differ from each other"),
    ],
)
def test_two_archives_that_cannot_be_told_apart_are_refused(file: Path, second: str, said: str) -> None:
    assert said in refusal(file, PACS + second)


def test_every_wrong_setting_is_named_at_once(file: Path) -> None:
    message = refusal(file, "[service]\nport = 99999\nthreads = 0\n")

    assert "service.port" in message
    assert "service.threads" in message


def test_a_local_code_system_of_any_uri_may_name_the_mri_order(file: Path) -> None:
    settings = settings_of(file, '[mri_order]\nsystem = "urn:oid:1.2.3"\ncode = "MRMAM"\n')

    assert (settings.mri_order.system, settings.mri_order.code) == ("urn:oid:1.2.3", "MRMAM")


def test_a_code_may_have_single_blanks_within_and_a_threshold_may_be_a_tenth_of_a_percent(file: Path) -> None:
    settings = settings_of(file, '[mri_order]\ncode = "MR BREAST 1"\n[policy]\nthreshold_percent = 0.1\n')

    assert (settings.mri_order.code, settings.policy.threshold_percent) == ("MR BREAST 1", 0.1)


def test_a_sites_own_order_codes_are_read(file: Path) -> None:
    line = 'screening_mammography = [{ system = "urn:oid:1.2.3", code = "MAMSCR" }]\n'
    settings = settings_of(file, f"[order_codes]\n{line}")

    (code,) = settings.order_codes.screening_mammography
    assert (code.system, code.code) == ("urn:oid:1.2.3", "MAMSCR")
    assert settings.order_codes.breast_mri == ()


def test_a_password_in_the_settings_file_is_refused(file: Path) -> None:
    message = refusal(file, PACS + 'password = "hunter2"\n')

    assert "pacs.password_file" in message
    assert "hunter2" not in message


def test_an_environment_variable_that_cannot_be_read_is_a_settings_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAMMOTREND_EHRS", "{not json, hunter2")

    with pytest.raises(SettingsError, match="environment") as caught:
        read_settings(None)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("content", [b"this is not = = toml", b"\xff\xfe"])
def test_a_file_that_is_not_toml_is_a_settings_error(file: Path, content: bytes) -> None:
    file.write_bytes(content)

    with pytest.raises(SettingsError, match="not TOML"):
        read_settings(file)


def test_a_file_that_is_not_there_is_a_settings_error(file: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read: FileNotFoundError"):
        read_settings(file)


def test_a_secret_is_read_from_its_file_without_the_line_end(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("hunter2\n")

    assert read_secret(secret) == "hunter2"


@pytest.mark.parametrize("content", [b"", b" \n", b"\xff"])
def test_a_secret_file_without_a_secret_is_a_settings_error(tmp_path: Path, content: bytes) -> None:
    secret = tmp_path / "password"
    secret.write_bytes(content)

    with pytest.raises(SettingsError, match="'password'"):
        read_secret(secret)


def test_secrets_do_not_show_in_a_repr(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAMMOTREND_PACS", WHOLE_PACS)
    monkeypatch.setenv("MAMMOTREND_DATABASE_URL", "postgresql+pg8000://u:hunter2@db/x")

    assert "hunter2" not in repr(settings_of(file, EHR))


WHOLE_PACS = '[{"name": "a", "dicomweb_root": "https://a.example", "username": "cds", "password": "hunter2"}]'


def test_the_environment_may_name_all_archives_at_once_with_their_passwords(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAMMOTREND_PACS", WHOLE_PACS)

    (pacs,) = settings_of(file, PACS).pacs

    assert (pacs.name, pacs.secret()) == ("a", "hunter2")


def test_an_archives_password_may_be_in_a_variable_that_the_file_names(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLD_PACS_PASSWORD", "hunter2")

    named, none = settings_of(
        file,
        PACS
        + 'username = "cds"\npassword_variable = "OLD_PACS_PASSWORD"\n'
        + '[[pacs]]\nname = "old"\ndicomweb_root = "https://old.example"\n',
    ).pacs

    assert (named.secret(), none.secret()) == ("hunter2", None)


def test_a_variable_without_a_password_is_a_settings_error(file: Path) -> None:
    (pacs,) = settings_of(file, PACS + 'username = "cds"\npassword_variable = "NO_SUCH_PACS_PASSWORD"\n').pacs

    with pytest.raises(SettingsError, match="'NO_SUCH_PACS_PASSWORD' is not set"):
        pacs.secret()


def test_networks_that_may_be_called_nevertheless_are_named_as_networks(file: Path) -> None:
    file.write_text('private_networks = ["127.0.0.0/8", "fd00::/8"]\n', encoding="utf-8")
    assert [str(one) for one in read_settings(file, environment=False).private_networks] == ["127.0.0.0/8", "fd00::/8"]
    file.write_text('private_networks = ["everything"]\n', encoding="utf-8")
    with pytest.raises(SettingsError, match="private_networks"):
        read_settings(file, environment=False)


def test_the_proxies_whose_word_is_taken_are_named_as_networks_and_are_not_everybody(file: Path) -> None:
    assert settings_of(file, "").service.trusted_proxies == ()
    named = '[service]\ntrusted_proxies = ["127.0.0.1", "fd00::/8"]\n'
    assert [str(one) for one in settings_of(file, named).service.trusted_proxies] == ["127.0.0.1/32", "fd00::/8"]
    for everybody in ("0.0.0.0/0", "::/0", "*"):
        assert "service.trusted_proxies" in refusal(file, f'[service]\ntrusted_proxies = ["{everybody}"]\n')


@pytest.mark.parametrize("told", ["/app", "?a=1", "#a", "/a b"])
def test_the_origins_of_scripts_have_no_path_because_browsers_name_none(file: Path, told: str) -> None:
    origins = settings_of(file, '[service]\nallowed_origins = ["https://ehr.example:8443/"]\n').service.allowed_origins
    assert origins == ("https://ehr.example:8443",)
    wrong = f'[service]\nallowed_origins = ["https://ehr.example{told}"]\n'
    assert "service.allowed_origins.0" in refusal(file, wrong)


@pytest.mark.parametrize("address", ["https://cds.example/?a=1", "https://cds.example#a", "https://u:p@cds.example"])
def test_an_address_that_no_token_could_name_is_refused(file: Path, address: str) -> None:
    assert "service.public_url" in refusal(file, f'[service]\npublic_url = "{address}"\n')


@pytest.mark.parametrize("block", ["operations", "pages"])
def test_a_secret_is_kept_in_a_file_or_a_variable_and_not_in_both(
    file: Path, block: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SECRET", "of-the-variable")
    (file.parent / "secret").write_text("of-the-file\n")
    in_file, in_variable = f'secret_file = "{file.parent / "secret"}"\n', 'secret_variable = "A_SECRET"\n'

    def secret(text: str) -> str | None:
        kept: str | None = getattr(settings_of(file, f"[{block}]\n{text}"), block).secret()
        return kept

    assert (secret(in_file), secret(in_variable), secret("")) == ("of-the-file", "of-the-variable", None)
    assert f"{block}: set one of secret_file and" in refusal(file, f"[{block}]\n{in_file}{in_variable}")


@pytest.mark.parametrize("minutes", [0, -1, 1441])
def test_the_link_of_a_page_is_good_for_a_minute_to_a_day(file: Path, minutes: int) -> None:
    assert settings_of(file, "").pages.link_minutes == 60
    assert "pages.link_minutes: " in refusal(file, f"[pages]\nlink_minutes = {minutes}\n")


LAUNCHING = """
[service]
public_url = "https://cds.example"
[pages]
secret_variable = "A_SECRET"
[[ehrs]]
name = "main"
fhir_server = "https://ehr.example"
[ehrs.smart]
client_id = "page"
"""


def test_an_ehr_that_launches_is_asked_for_the_least_that_the_page_needs(file: Path) -> None:
    smart = settings_of(file, LAUNCHING).ehrs[0].smart

    assert smart is not None
    assert (smart.client_id, smart.secret(), smart.authorization_server) == ("page", None, None)
    assert smart.scope == "launch openid fhirUser patient/Patient.r"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LAUNCHING + 'scope = "launch openid"\n', "must also ask for fhirUser"),
        (LAUNCHING + 'secret = "hunter2"\n', "secret: there is no such setting"),
        (LAUNCHING + 'authorization_server = "ehr.example"\n', "ehrs.0.smart.authorization_server: "),
        (LAUNCHING.replace('secret_variable = "A_SECRET"', ""), "and in [pages] a secret"),
        (
            LAUNCHING.replace('public_url = "https://cds.example"', ""),
            "the settings cannot be used: ehrs.smart opens pages: it needs service.public_url",
        ),
        ('[pages]\nframe_ancestors = ["https://ehr.example/path"]\n', "must be an origin"),
        ('[pages]\nframe_ancestors = ["https://ehr.example; script-src *"]\n', "pages.frame_ancestors"),
        ('[pages]\nframe_ancestors = ["*"]\n', "pages.frame_ancestors"),
    ],
)
def test_a_launch_that_could_not_work_or_not_safely_is_refused(file: Path, text: str, said: str) -> None:
    assert said in refusal(file, text)
