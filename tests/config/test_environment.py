"""Every variable is read once and strictly: what does not parse is a fault that names the variable, never a guess."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from job.config.environment import ENGINE_VARIABLES, NOTIFIER, VARIABLES, EngineSettings, Settings, read_settings
from job.engines.calls import BATCHES, EngineName

GOOD = {"CONFIG_URI": "gs://bucket/config", "QA_ENGINE_URL": "https://qa.example"}


def read(**variables: str) -> Settings:
    settings, faults = read_settings(GOOD | variables)
    assert faults == []
    return settings


def faults(**variables: str) -> list[str]:
    return list(map(str, read_settings(GOOD | variables)[1]))


def test_blank_counts_as_unset() -> None:
    assert read(RUN_TIME_ZONE=" ", QA_ENGINE_TIMEOUT="", RUNS_URI="\t", CLOUD_RUN_TASK_COUNT="") == read()


def test_a_patience_below_one_second_is_one_second() -> None:
    for text, seconds in [("0", 1.0), ("0.5", 1.0), ("1.5", 1.5)]:
        assert read(NEWS_ENGINE_PATIENCE=text).engines["news"].patience == seconds


FIELDS = "set it to five fields such as 30 6 * * 1-5; the date must exist, and no range may run backwards"
CRON = f'"{{}}" is not valid; {FIELDS}'
CORRECT = "correct it or unset it"
WHOLE = f"is not a whole number; {CORRECT}"
UNPRINTABLE = f"holds unprintable characters; {CORRECT}"
CERTIFICATES = "set it to a file with certificates (PEM), or unset it"
PLACE = "gs://BUCKET/PREFIX"
NO_URL = "is not an https URL with a valid host (http goes to loopback only)"
ENGINE_URL = f"{NO_URL}; set it to the engine's https URL"
NO_ENGINE_URLS = [
    *("qa.example", "ftp://127.0.0.1", "https://", "https://qa.example/a b", "https://[::1", "https://qa.example:port"),
    *("https:qa.example", "https:///qa.example", "https://q%61.example", "https://$QA.example"),
    *("http://qa.example", "http://127.0.0.1.example", "http://0.0.0.0:80"),
    *("https://1.2.3.400", "https://01.02.03.04", "https://1.2.3:443", "https://[v1.x]"),
    *("https://a[::1]", "https://[::1]a:443"),
]
ENDS = ["?x=1", "#", "/卡", "/b/..", "/./b"]
MORE_THAN_A_PATH = "has a query, a fragment, dots for a path segment or non-ASCII characters; remove them"
NO_CARD_URLS = ["http://h/{ticker}", "javascript:alert({ticker})", "https://{ticker}.h/"]
BRACE = "has a brace that is not part of {date}, {ticker} or {card_type}"
NO_SCHEDULES = ["0 6 * * FRI-MON", "0 22-2 * * *", "every monday of month 09:00", "0 0 6 * * *", "0 0 30 2 *"]
NO_SCHEDULES += ["0 0 29 2 1#6"]
ZONE = '"{}" is not valid; set it to an IANA name such as Asia/Shanghai'
CARD_URL = "set it to an https URL such as https://cards.example.com/{date}/{ticker}/{card_type}.png"
ONE_TASK = "run the job with one task: the barrier holds only inside one process"


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("QA_ENGINE_CONCURRENCY", "0", f'"0" is less than 1; {CORRECT}'),
        ("QA_ENGINE_CONCURRENCY", "8193", f'"8193" is more than 8,192; {CORRECT}'),
        ("NEWS_ENGINE_CONCURRENCY", "9" * 5000, f'"{"9" * 78}… {WHOLE}'),
        ("QA_ENGINE_ATTEMPTS", "21", f'"21" is more than 20; {CORRECT}'),
        ("NEWS_ENGINE_PER_MINUTE", "0", f'"0" is less than 1; {CORRECT}'),
        ("FINANCIAL_ENGINE_BATCH_SIZE", "1001", f'"1001" is more than 1,000; {CORRECT}'),
        ("FINANCIAL_ENGINE_TIMEOUT", "5min", f'"5min" is not a number of seconds; {CORRECT}'),
        ("QA_ENGINE_PATIENCE", "-1", f'"-1" is less than 0; {CORRECT}'),
        ("QA_ENGINE_PATIENCE", "nan", f'"nan" is not a number of seconds; {CORRECT}'),
        ("QA_ENGINE_TIMEOUT", "0.5", f'"0.5" is less than 1; {CORRECT}'),
        ("QA_ENGINE_TIMEOUT", "3601", f'"3601" is more than 3600; {CORRECT}'),
        *(("QA_ENGINE_URL", url, ENGINE_URL) for url in NO_ENGINE_URLS),
        ("QA_ENGINE_URL", "https://me:secret@qa.example", "holds a user name or password; remove them"),
        *(("QA_ENGINE_URL", f"https://a.example{end}", MORE_THAN_A_PATH) for end in ENDS),
        *(("CARD_URL", url, f"{NO_URL}; {CARD_URL}") for url in NO_CARD_URLS),
        *(("CARD_URL", f"https://h/{wrong}", f"{BRACE}; {CARD_URL}") for wrong in ("{tickers}", "{{ticker}}")),
        *(("RUN_TIME_ZONE", name, ZONE.format(name)) for name in ("Asia", "Mars/Base", "../etc")),
        *(("RUN_SCHEDULE", text, CRON.format(text)) for text in NO_SCHEDULES),
        ("RUN_SCHEDULE", f"0 6 * * {'9' * 4301}", CRON.replace('{}"', f"0 6 * * {'9' * 70}…")),
        ("LOG_FORMAT", "JSON", "is not one of 'json', 'text'; write one of these"),
        ("REPORT_LANGUAGE", "zh_CN", "is not one of 'en', 'zh'; write one of these"),
        *(("CLOUD_RUN_EXECUTION", name, f'"{name}" is not valid; {CORRECT}') for name in ("a/b", "..")),
        ("CLOUD_RUN_TASK_ATTEMPT", "-1", f'"-1" is less than 0; {CORRECT}'),
        ("TASK_MAX_RETRIES", "-1", f'"-1" is less than 0; {CORRECT}'),
        ("RUN_DEADLINE_SECONDS", "604801", f'"604801" is more than 604800; {CORRECT}'),
        ("IMPERSONATE_SERVICE_ACCOUNT", "me", f'"me" is not valid; {CORRECT}'),
        ("SSL_CERT_FILE", "/no/ca.pem", f'"/no/ca.pem" cannot be read (No such file or directory); {CERTIFICATES}'),
        ("SSL_CERT_FILE", os.devnull, f'"{os.devnull}" cannot be read (NO_CERTIFICATE_OR_CRL_FOUND); {CERTIFICATES}'),
        ("CLOUD_RUN_TASK_COUNT", "2", f'"2" is not valid; {ONE_TASK}'),
        ("CONFIG_URI", "/a\udcff", UNPRINTABLE),
        *(
            (name, uri, f'"{uri}" is neither {PLACE} nor a directory; set it to {PLACE} or to a directory')
            for name in ("CONFIG_URI", "RUNS_URI")
            for uri in ("s3://bucket/config", "file:///tmp", "gs//:bucket://x", "gs://", "gs:///config", "gs://a b/c")
        ),
        ("QA_ENGINE_AUDIENCE", "a\x1b", UNPRINTABLE),
    ],
)
def test_each_bad_value_is_one_fault_that_names_its_variable(name: str, value: str, fault: str) -> None:
    assert faults(**{name: value}) == [f"{name}: {fault}"]


@pytest.mark.parametrize("name", ["QA_ENGINE_URL", "CARD_URL", "RUNS_URI", "CONFIG_URI"])
@pytest.mark.parametrize(
    "value", ["https://me:secret\x1b@qa", "https://me:sec/secret@qa:x", "me:secret@qa", "gs://me:secret@a/b"]
)
def test_a_password_in_a_url_is_never_shown(name: str, value: str) -> None:
    settings, found = read_settings(GOOD | {name: value})
    assert "secret" not in "".join(map(str, found))
    assert not found or "secret" not in f"{settings.config_uri}{settings.runs_uri}", "it is stored nowhere either"


@pytest.mark.parametrize(
    ("url", "kept", "origin"),
    [
        ("HTTPS://QA.example:443/Base//", "https://QA.example:443/Base", "https://qa.example"),
        ("https://qa.example:8443", "https://qa.example:8443", "https://qa.example:8443"),
        ("http://[::1]:80", "http://[::1]:80", "http://[::1]"),
        ("http://LOCALHOST:443/", "http://LOCALHOST:443", "http://localhost:443"),
        ("http://127.9.9.9", "http://127.9.9.9", "http://127.9.9.9"),
    ],
)
def test_a_url_ends_without_a_slash_and_its_origin_is_the_audience(url: str, kept: str, origin: str) -> None:
    """Its scheme is in lower case, as a connection compares it. http goes to loopback."""
    qa = read(QA_ENGINE_URL=url).engines["qa"]
    assert (qa.url, qa.audience) == (kept, origin)
    for stated, audience in ((origin, origin), (f"{origin}/a", f"{origin}/a"), (f"mine {kept}/", "mine")):
        assert read(QA_ENGINE_URL=url, QA_ENGINE_AUDIENCE=stated).engines["qa"].audience == audience


@pytest.mark.parametrize(
    ("url", "audience", "shown"),
    [
        ("https://qa.example/v1", "https://engine.example", "https://engine.example"),
        ("https://qa.example/v1", "https://engine.example https://qa.example/v1/x", "https://engine.example"),
        ("https://qa.example/v1", "https://qa.example.evil.example", "https://qa.example.evil.example"),
        ("https://qa.example/v1", "https://evil.example@qa.example", "…@qa.example"),
        ("https://evil.example/v1", "https://engine.example https://qa.example/v1", "https://engine.example"),
    ],
)
def test_an_audience_is_used_only_for_the_url_that_it_is_stated_for(url: str, audience: str, shown: str) -> None:
    """Whichever of the two somebody changes, no token for the engine is sent to another host."""
    what = f'does not name "{url}"; unset it, or write the audience, a space, and that URL: "{shown} {url}"'
    assert faults(QA_ENGINE_URL=url, QA_ENGINE_AUDIENCE=audience) == [f"QA_ENGINE_AUDIENCE: {what}"]


def test_an_audience_without_a_usable_url_is_no_fault_of_its_own() -> None:
    assert faults(QA_ENGINE_URL="", QA_ENGINE_AUDIENCE="mine") == []
    (fault,) = faults(QA_ENGINE_URL="x", QA_ENGINE_AUDIENCE="mine")
    assert fault.startswith("QA_ENGINE_URL: ")


VALUES = st.one_of(
    st.text(st.characters(exclude_characters="\0")),
    st.text("htps:/?#@[]%.\\ 127locah", max_size=20).map("https://".__add__),
    st.integers(-1, 5000).map(str),
    st.binary().map(lambda data: data.replace(b"\0", b"").decode("utf-8", "surrogateescape")),
)


@given(st.dictionaries(st.sampled_from(VARIABLES), VALUES))
def test_no_environment_raises_and_every_fault_names_a_variable(variables: dict[str, str]) -> None:
    settings, found = read_settings(variables)
    for fault in found:
        assert fault.where in set(VARIABLES) - NOTIFIER
        assert str(fault).isprintable()
    for name, engine in settings.engines.items():
        assert 1 <= engine.concurrency <= 8192, name
        assert 1 <= engine.timeout <= 3600, name
        for url in (engine.url, engine.audience):
            assert url is None or url.isprintable()


def test_settings_with_faults_hold_the_values_that_are_valid() -> None:
    settings, found = read_settings(
        {"RUN_TIME_ZONE": "x", "CLOUD_RUN_EXECUTION": "e", "QA_ENGINE_TIMEOUT": "x", "RUNS_URI": "gs://b"}
        | {"QA_ENGINE_CONCURRENCY": "3", "QA_ENGINE_URL": "http://localhost:1"}
    )
    assert [fault.where for fault in found] == ["CONFIG_URI", "RUN_TIME_ZONE", "QA_ENGINE_TIMEOUT"]
    assert (settings.time_zone.key, settings.execution, settings.runs_uri) == ("UTC", "e", "gs://b")
    qa = settings.engines["qa"]
    assert (qa.url, qa.audience, qa.timeout, qa.concurrency) == ("http://localhost:1", "http://localhost:1", 300, 3)


def test_a_schedule_and_a_template_of_the_pictures_urls_are_taken_as_they_are() -> None:
    for schedule in ("0  22,23 1-7,15 */2 mon#1", "0 0 29 2 *"):
        assert read(RUN_SCHEDULE=schedule).schedule == schedule
    url = "https://cards.example.com:8443/图卡?d={date}&t={ticker}&d={date}#{card_type}"
    assert read(CARD_URL=f" {url} ").card_url == url


HOOK = "https://open.feishu.cn/open-apis/bot/v2/hook/secret-of-the-bot"


def test_the_url_for_messages_is_a_secret() -> None:
    settings = read(NOTIFY_URL=f" {HOOK}\n", NOTIFY_SECRET="SECabc")
    assert settings.notify_url is not None
    assert settings.notify_secret is not None
    assert settings.notify_url.get_secret_value() == HOOK
    assert settings.notify_secret.get_secret_value() == "SECabc"
    assert (settings.notify_fault, settings.notices) == (None, ())
    assert "secret-of" not in repr(settings) + str(settings)
    assert "SECabc" not in repr(settings) + settings.model_dump_json()


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [
        ("NOTIFY_URL", "secret-of-the-bot", NO_URL),
        ("NOTIFY_URL", "https://h:port/secret-of-the-bot", NO_URL),
        ("NOTIFY_URL", "https://h/secret-of-the-bot\x00", "holds unprintable characters"),
        ("NOTIFY_URL", "https://h/图secret-of-the-bot", "has a fragment, or characters that no URL has"),
        ("NOTIFY_URL", "https://h/#secret-of-the-bot", "has a fragment, or characters that no URL has"),
        ("NOTIFY_URL", "https://me:secret-of-the-bot@h/", "holds a user name or password"),
        ("NOTIFY_SECRET", "secret-of\x00-the-bot", "holds unprintable characters"),
        ("NOTIFY_ONLY", "Failures", "is not one of 'all', 'failures'"),
    ],
)
def test_a_fault_of_the_notifier_is_a_notice_that_quotes_and_hides_nothing(name: str, value: str, what: str) -> None:
    settings, faults = read_settings(GOOD | {"NOTIFY_URL": HOOK, "RUN_TIME_ZONE": "never", name: value})
    assert [fault.where for fault in faults] == ["RUN_TIME_ZONE"]
    (notice,) = settings.notices
    assert str(notice).startswith(f"{name}: {what}; ")
    assert "secret-of" not in str(notice)
    assert (settings.notify_url is None, settings.notify_fault) == (
        (True, notice) if name == "NOTIFY_URL" else (False, None)
    )
    assert (settings.notify_secret, settings.notify_only) == (None, "all")


def test_a_name_that_looks_like_a_variable_is_refused_with_the_one_that_was_meant() -> None:
    mistakes = {
        "QA_ENGINE_CONCURENCY": "QA_ENGINE_CONCURRENCY",
        "QA_ENGIN_URL": "QA_ENGINE_URL",
        "RUN_TIMEZONE": "RUN_TIME_ZONE",
        "RUNS_URL": "RUNS_URI",
        "news_engine_timeout": "NEWS_ENGINE_TIMEOUT",
        "JOB_TO_STRAT": "JOB_TO_START",
    }
    for name, meant in mistakes.items():
        said = f"{name}: is no variable of the job; did you mean {meant}? Rename it, or unset it"
        assert faults(**{name: "1"}) == [said]
    assert faults(NEWS_ENGINE_COLOUR="red") == ["NEWS_ENGINE_COLOUR: is no variable of the job; unset it"]
    settings, found = read_settings(GOOD | {"NOTIFY_ONY": "failures", "NOTIFY_URL": "https://hook.example/"})
    assert (found, settings.notify_fault) == ([], None), "the night is worth more than its message"
    assert list(map(str, settings.notices)) == [
        "NOTIFY_ONY: is no variable of the job; did you mean NOTIFY_ONLY? Rename it, or unset it"
    ]


def test_what_others_set_is_no_misspelt_variable() -> None:
    shell = """
        CLOUD_RUN_TASK_INDEX CLOUD_RUN_TIMEOUT_SECONDS CLOUD_RUN_JOBS K_SERVICE PORT GOOGLE_CLOUD_PROJECTS
        GOOGLE_APPLICATION_CREDENTIALS GOOGLE_CLOUD_ZONE SSL_CERT_DIR NOTIFY_SOCKET CONFIG_SHELL CONFIG_SITE JOB_NAME
        JOB_URL RUN_DISPLAY_URL
        RUN_LOCAL_PLACE LOG_LEVEL LOGNAME REPORTTIME TASK_ID STARSHIP_SHELL STORAGE_EMULATOR_HOST GIT_URL TZ LANGUAGE
    """
    assert read(**dict.fromkeys(shell.split(), "1")) == read()


def test_the_variables_of_engines_are_those_of_their_settings() -> None:
    for engine, variables in ENGINE_VARIABLES.items():
        others = {"name", *({"batch_size"} - set(_own(engine))), *({"attempts"} - set(_own(engine)))}
        assert variables == {
            field: f"{engine}_ENGINE_{field}".upper() for field in EngineSettings.model_fields if field not in others
        }


def _own(engine: EngineName) -> list[str]:
    return ["attempts"] if engine == "qa" else ["batch_size"] if engine in BATCHES else []
