"""Settings: where each comes from, which are refused and how, and that no secret shows."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.commands.config_text import as_plain, as_toml
from stream.core.policy import Funnel, Goal, Policy, Step
from stream.settings import (
    SettingsProblem,
    format_duration,
    load_settings,
    parse_duration,
    policy,
    with_goals,
)
from stream.settings.load import close_variable, unknown_variables
from stream.settings.text import LONGEST_MS, parse_tolerance
from tests.cli.conftest import Run

SECRET = "geheim-0123456789"


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "settings.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_the_defaults_are_the_cores_own() -> None:
    assert policy(load_settings()) == Policy()


def test_flags_win_over_variables_over_the_file_over_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(tmp_path, 'gap = "1m"\ngrace = "1m"\nnamespace = "file"\npartitions = 9\n')
    monkeypatch.setenv("LATIDO_GAP", "2m")
    monkeypatch.setenv("LATIDO_GRACE", "2m")
    chosen = load_settings(file, gap="3m", grace=None)
    assert (chosen.gap, chosen.grace, chosen.namespace) == (180_000, 120_000, "file")
    assert (chosen.partitions, chosen.group) == (9, "latido-file")


def test_tables_of_the_file_and_variables_are_merged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(tmp_path, '[collector]\nport = 1\nhost = "localhost"\n')
    monkeypatch.setenv("LATIDO_COLLECTOR_TOKEN", SECRET)
    chosen = load_settings(file, collector={"port": 2, "host": None}).collector
    assert (chosen.host, chosen.port) == ("localhost", 2)
    assert chosen.token is not None
    assert chosen.token.get_secret_value() == SECRET


def test_the_file_is_found_by_flag_variable_and_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "latido.toml").write_text('namespace = "here"\n', encoding="utf-8")
    (tmp_path / "other.toml").write_text('namespace = "other"\n', encoding="utf-8")
    assert load_settings().namespace == "here"
    monkeypatch.setenv("LATIDO_CONFIG", "other.toml")
    assert load_settings().namespace == "other"
    assert load_settings(tmp_path / "latido.toml").namespace == "here"


def test_goals_reach_the_policy(tmp_path: Path) -> None:
    file = written(tmp_path, '[[goals]]\nname = "a"\npage = "/x*"\n[[goals]]\nname = "b"\nform_id = "f"\n')
    goals = (Goal("a", page="/x*"), Goal("b", form_id="f"))
    assert policy(load_settings(file)).goals == goals
    assert with_goals(Policy(), file).goals == goals


def test_funnels_and_pairs_reach_the_policy_and_can_be_read_back(tmp_path: Path) -> None:
    text = """
        dimension_pairs = ["channel+device", "landing_page+plan", "channel+device"]
        published_values = 7
        [[funnels]]
        name = "order"
        steps = [{ page = "/cart*" }, { element_id = "pay" }, { form_id = "order" }]
    """
    file = written(tmp_path, text)
    chosen = load_settings(file)
    rules = policy(chosen)
    assert rules.dimension_pairs == ("channel+device", "landing_page+plan")
    assert rules.published_values == 7
    assert rules.funnels == (
        Funnel("order", (Step(page="/cart*"), Step(element_id="pay"), Step(form_id="order"))),
    )
    again = tmp_path / "again.toml"
    again.write_text(as_toml(chosen, file), encoding="utf-8")
    assert policy(load_settings(again)) == rules


def test_how_long_visitors_are_remembered_reaches_the_policy(tmp_path: Path) -> None:
    assert policy(load_settings()).visitor_memory_ms == 400 * 86_400_000
    file = written(tmp_path, 'visitor_memory = "90d"\n')
    assert policy(load_settings(file)).visitor_memory_ms == 90 * 86_400_000


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('brokr = "a:1"', "brokr (in {file}): there is no such setting; did you mean broker?"),
        ("[collector]\nprot = 1", "collector.prot (in {file}): there is no such setting; did you mean port?"),
        ("gap = 30", "gap (in {file}): is no duration; write a number and one of ms, s, m, h, d"),
        ('gap = "2d"', "gap (in {file}): Input should be less than or equal to 86400000"),
        (
            'visitor_memory = "1d"',
            "visitor_memory (in {file}): is too short or too long to remember visitors for; write 2d",
        ),
        ('broker = "nowhere"', "broker (in {file}): is no list of Kafka servers; write HOST:PORT"),
        ('redis = "http://u:geheim-0123456789@h"', "redis (in {file}): is no Redis URL; write redis://"),
        ('namespace = "{x}"', "namespace (in {file}): use 1 to 64 letters, digits, '.', '_' or '-'"),
        ('[collector]\ntoken = "geheim"', "collector.token (in {file}): needs 16 or more ASCII characters"),
        (
            '[collector]\ncors_origins = ["*"]',
            "collector.cors_origins (in {file}): holds something that is no",
        ),
        ('[kafka]\nsecurity_protocol = "SASL_SSL"', "kafka (in {file}): SASL_SSL needs sasl_username"),
        ('[[goals]]\nname = "a"', "goals.0 (in {file}): goal 'a' needs exactly one of page, element_id"),
        (
            '[[goals]]\nname = "a"\npage = "/"\nx = 1',
            "goals.0 (in {file}): Object contains unknown field `x`",
        ),
        (
            'goals = [{name="a",page="/"},{name="a",form_id="f"}]',
            "goals (in {file}): two goals are named 'a'",
        ),
        (
            'dimension_pairs = ["channel+page"]',
            "dimension_pairs (in {file}): holds 'channel+page', which is no pair; write channel+device",
        ),
        ("published_values = 0", "published_values (in {file}): Input should be greater than or equal to 1"),
        (
            'funnels = [{name="a",steps=[{page="/"},{}]}]',
            "funnels.0 (in {file}): a step needs exactly one of page, element_id, form_id",
        ),
        (
            'funnels = [{name="a",steps=[{page="/"}]}]',
            "funnels.0 (in {file}): funnel 'a' needs 2 to 20 steps",
        ),
        (
            'funnels = [{name="a",steps=[{page="/"},{page="/b"}]},{name="a",steps=[{page="/"},{page="/b"}]}]',
            "funnels (in {file}): two funnels are named 'a'",
        ),
        ("gap =", "{file}: is not TOML"),
    ],
)
def test_a_wrong_setting_is_one_line_that_says_what_to_do(tmp_path: Path, text: str, reason: str) -> None:
    file = written(tmp_path, text)
    with pytest.raises(SettingsProblem) as problem:
        load_settings(file)
    assert reason.replace("{file}", str(file)) in str(problem.value)
    assert len(str(problem.value).splitlines()) == 1
    assert "geheim" not in str(problem.value)


def test_an_error_names_the_variable_or_the_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATIDO_COLLECTOR_PORT", "tcp://10.0.0.1:80")
    with pytest.raises(SettingsProblem, match=r"collector.port \(variable LATIDO_COLLECTOR_PORT\)"):
        load_settings()
    monkeypatch.delenv("LATIDO_COLLECTOR_PORT")
    with pytest.raises(SettingsProblem, match=r"gap \(given as a flag\)"):
        load_settings(gap="x")


def test_a_list_in_a_variable_is_by_commas_a_table_is_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATIDO_COLLECTOR_CORS_ORIGINS", "https://a.example, http://b.example:8080")
    monkeypatch.setenv("LATIDO_GOALS", '[{"name": "a", "page": "/"}]')
    chosen = load_settings()
    assert chosen.collector.cors_origins == ("https://a.example", "http://b.example:8080")
    assert chosen.goals == (Goal("a", page="/"),)
    monkeypatch.setenv("LATIDO_GOALS", "no json")
    with pytest.raises(SettingsProblem, match="JSON"):
        load_settings()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsProblem, match="No such file"):
        load_settings(tmp_path / "none.toml")


def test_a_goals_file_holds_funnels_too_and_what_it_leaves_out_stays(tmp_path: Path) -> None:
    text = '[[funnels]]\nname = "buy"\nsteps = [{page = "/cart*"}, {form_id = "order"}]\n'
    funnel = Funnel("buy", (Step(page="/cart*"), Step(form_id="order")))
    before = Policy(goals=(Goal("a", page="/"),), funnels=(Funnel("old", funnel.steps),))
    found = with_goals(before, written(tmp_path, text))
    assert (found.goals, found.funnels) == (before.goals, (funnel,))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "a goals file holds tables"),
        ('gap = "1m"\n[[goals]]\nname = "a"\npage = "/"\n', "not 'gap'; 'latido --config FILE' takes all"),
        ("[[goals]]\nname = 1\n", "goals.0: Expected `str`"),
        ('[[funnels]]\nname = "a"\nsteps = [{page = "/"}]\n', "funnels.0: "),
        ('goals = [{name="a",page="/"},{name="a",form_id="f"}]', "two goals are named 'a'"),
    ],
)
def test_what_a_goals_file_cannot_hold(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SettingsProblem, match=re.escape(said)):
        with_goals(Policy(), written(tmp_path, text))


def test_no_secret_shows_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "LATIDO_REDIS", f"rediss://user:{SECRET}@store.example:6380/1?ssl_keyfile_password={SECRET}"
    )
    monkeypatch.setenv("LATIDO_KAFKA_SECURITY_PROTOCOL", "SASL_PLAINTEXT")
    monkeypatch.setenv("LATIDO_KAFKA_SASL_USERNAME", "user")
    monkeypatch.setenv("LATIDO_KAFKA_SASL_PASSWORD", SECRET)
    monkeypatch.setenv("LATIDO_COLLECTOR_TOKEN", SECRET)
    monkeypatch.setenv("LATIDO_SALT", SECRET)
    chosen = load_settings()
    texts = [repr(chosen), str(chosen.kafka), as_toml(chosen, None), json.dumps(as_plain(chosen))]
    assert [text for text in texts if SECRET in text] == []
    assert chosen.redis_url.count(SECRET) == 2
    assert chosen.kafka_options() == {
        "bootstrap_servers": "127.0.0.1:9092",
        "security_protocol": "SASL_PLAINTEXT",
        "ssl_context": None,
        "sasl_mechanism": "PLAIN",
        "sasl_plain_username": "user",
        "sasl_plain_password": SECRET,
    }


def test_what_config_prints_is_a_settings_file_with_the_same_settings(tmp_path: Path) -> None:
    first = load_settings(
        written(
            tmp_path,
            'gap = "90s"\nsurvey_tolerance = "unlimited"\nbroker = "a:1, b:2"\n'
            '[collector]\ncors_origins = ["https://a.example"]\nacknowledge_within = "1500ms"\n'
            '[kafka]\nssl_cafile = "ca.pem"\n[[goals]]\nname = "quo\\"te"\npage = "/x"\n',
        )
    )
    again = load_settings(written(tmp_path, as_toml(first, None)))
    assert again.model_dump() == first.model_dump()
    assert tomllib.loads(as_toml(first, None))["gap"] == "90s"


def test_tls_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    junk = written(tmp_path, "no certificate")
    chosen = load_settings(kafka={"security_protocol": "SSL", "ssl_cafile": str(junk)})
    with pytest.raises(SettingsProblem, match=r"settings\.toml"):
        chosen.kafka_options()
    default = load_settings(kafka={"security_protocol": "SSL"}).kafka_options()["ssl_context"]
    assert default.check_hostname


def test_variables_that_set_nothing_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    known = ("BROKER", "COLLECTOR_PORT", "KAFKA_SASL_PASSWORD", "CONFIG", "CACHE", "VENV", "PYTHON")
    for name in (*known, "BROKERS"):
        monkeypatch.setenv(f"LATIDO_{name}", "x")
    monkeypatch.setenv("latido_gap", "30m")
    assert unknown_variables() == ["LATIDO_BROKERS"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [("LATIDO_BROKR", "LATIDO_BROKER"), ("latido_redsi", "LATIDO_REDIS"), ("LATIDO_QZX", None),
     ("LATIDO_COLLECTOR_TOKN", "LATIDO_COLLECTOR_TOKEN")],
)  # fmt: skip
def test_a_misspelt_variable_is_recognised(name: str, meant: str | None) -> None:
    assert close_variable(name) == meant


def test_a_misspelt_variable_is_said_once_and_is_no_error(latido: Run) -> None:
    done = latido("config", LATIDO_BROKR="h:1", LATIDO_VENV="v")
    assert done.returncode == 0
    assert done.stderr == "latido: warning: LATIDO_BROKR is no setting, did you mean LATIDO_BROKER?\n"


@given(st.integers(min_value=0, max_value=LONGEST_MS))
def test_a_duration_survives_being_written(duration_ms: int) -> None:
    assert parse_duration(format_duration(duration_ms)) == duration_ms


@pytest.mark.parametrize(
    ("text", "duration_ms"),
    [("1500ms", 1500), ("30m", 1_800_000), ("30d", 2_592_000_000), ("0s", 0), (" 5m ", 300_000), (0, 0)],
)
def test_durations(text: object, duration_ms: int) -> None:
    assert parse_duration(text) == duration_ms


@pytest.mark.parametrize(
    "text", ["", "30", "m", "-1m", "1.5h", "1h30m", "30 m", "1w", "٣m", 5, True, None, "999999d"]
)
def test_what_is_no_duration(text: object) -> None:
    with pytest.raises(ValueError, match=r"duration|longer"):
        parse_duration(text)


def test_a_tolerance_may_be_unlimited() -> None:
    assert parse_tolerance("unlimited") is None
    assert parse_tolerance("1d") == 86_400_000
    assert format_duration(None) == "unlimited"
    with pytest.raises(ValueError, match="or unlimited"):
        parse_tolerance("x")


def test_what_is_read_of_addresses_and_who_is_a_bot_reach_the_policy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATIDO_OWN_HOSTS", "Shop.example, blog.shop.example")
    file = written(tmp_path, 'query_parameters = ["utm_source"]\nexclude_bots = false\n')
    chosen = policy(load_settings(file))
    assert chosen.own_hosts == ("shop.example", "blog.shop.example")
    assert chosen.query_parameters == ("utm_source",)
    assert chosen.exclude_bots is False


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('own_hosts = ["https://shop.example"]', "own_hosts (in {file}): holds something that is no host"),
        ('own_hosts = ["shop.example:80"]', "own_hosts (in {file}): holds something that is no host"),
        ('query_parameters = ["token"]', "query_parameters (in {file}): holds a name that is read for"),
        ('exclude_bots = "perhaps"', "exclude_bots (in {file}): "),
    ],
)
def test_what_cannot_be_read_of_an_address_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    file = written(tmp_path, text)
    with pytest.raises(SettingsProblem, match=re.escape(problem.format(file=file))):
        load_settings(file)
