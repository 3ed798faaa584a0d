"""The doctor: what is wrong is named with its mend, nothing is changed, no secret is shown."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import sqlite3
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from commands.doctor import doctor
from ml.feature_engineering import get_feature_names
from ml.sets.ensemble_files import member_file
from novosky.database.place import sqlite_url
from novosky.errors import BrokerError
from novosky.market.server_time import ServerClock
from novosky.market.timeframe import USUAL
from tests.helpers.command_line import Answer, listing, run_script
from tests.helpers.desk import Desk
from tests.helpers.paper_runs import settings_with
from trading.brokers.facts import AccountFacts, MarginFacts
from trading.doctor import account, broker, configuration, machine, secrets
from trading.doctor.finding import Finding, Grade
from trading.journal import SCHEMA_VERSION, Journal
from trading.paper.session import single_instance

ROOT = Path(__file__).resolve().parents[3]
TOKEN = "123456789:AAF-precious_token_of_a_bot"
NOW = 1_717_372_800.0
DAY = 86_400.0
PRIVATE_NAMES = ("TELEGRAM_BOT_TOKEN", "TELEGRAM_CHAT_IDS", "NOVOSKY_HUB", "R2_ENDPOINT_URL", "NOVOSKY_DATABASE_URL")


@pytest.fixture
def bench(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own beside the desk, with an environment that holds no secrets."""
    for name in PRIVATE_NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def examine(desk: Desk, *arguments: object) -> tuple[Result, dict[str, dict[str, str]]]:
    result = CliRunner().invoke(doctor, [*desk.flags, "--json", *map(str, arguments)])
    findings = json.loads(result.stdout)["findings"]
    return result, {finding["name"]: finding for finding in findings}


def grade_of(finding: Finding) -> Grade:
    assert bool(finding.mend) is (finding.grade is not Grade.OK), "whatever is wrong has a mend"
    return finding.grade


def test_a_machine_that_can_trade_has_no_failure_and_exits_0(desk: Desk, bench: Path) -> None:
    before = listing(desk.folder)
    result, findings = examine(desk, "--data", desk.bars)
    failed = [finding for finding in findings.values() if finding["grade"] == "FAIL"]
    assert failed == []
    assert result.exit_code == 0
    assert "rf=ensemble_rf_calibrated.pkl" in findings["models served"]["text"]
    assert "risk" in findings["models served"]["text"]
    assert findings["bars"]["text"].startswith(str(desk.bars))
    assert listing(desk.folder) == before
    assert listing(bench) == {}, "a check leaves nothing behind"


def test_every_line_carries_its_grade_and_the_last_counts_them(desk: Desk, bench: Path) -> None:
    lines = CliRunner().invoke(doctor, desk.flags).output.splitlines()
    assert all(line.startswith(("OK    ", "WARN  ", "FAIL  ", "      mend: ")) for line in lines[:-1])
    count = sum(line.startswith("WARN  ") for line in lines)
    assert f" {count} WARN, 0 FAIL" in lines[-1]


def test_a_failure_exits_1_also_as_json(desk: Desk, bench: Path) -> None:
    arguments = [*desk.flags, "--models", str(bench / "none")]
    assert CliRunner().invoke(doctor, arguments).exit_code == 1
    result, findings = examine(desk, "--models", bench / "none")
    assert result.exit_code == 1
    assert findings["model set"]["grade"] == "FAIL"
    assert "train_ml_model.py --ensemble" in findings["model set"]["mend"]
    assert "model files" not in findings, "one cause, one finding"


@pytest.mark.parametrize("name", ["config", "ml-config"])
def test_settings_that_do_not_load_are_one_finding_and_the_rest_goes_on(desk: Desk, bench: Path, name: str) -> None:
    file = bench / "broken.json"
    file.write_text('{"symbl": 1}')
    result, findings = examine(desk, f"--{name}", file)
    assert result.exit_code == 1
    assert "symbl: unknown key" in findings["broken.json"]["text"]
    assert findings["model files"]["grade"] == "OK"
    assert "models served" not in findings
    assert "freeze flag" in findings


def test_a_damaged_artifact_is_named_and_so_is_what_serves_instead(desk: Desk, bench: Path) -> None:
    models = bench / "models"
    shutil.copytree(desk.models, models)
    name = member_file("xgb", "calibrated")
    (models / name).write_bytes(b"damaged")
    _, findings = examine(desk, "--models", models)
    assert findings["model files"]["grade"] == "FAIL"
    assert name in findings["model files"]["text"]
    assert "xgb=ensemble_xgb.onnx" in findings["models served"]["text"]


def test_models_of_another_feature_list_fail(desk: Desk, bench: Path) -> None:
    content = json.loads(desk.ml_config.read_text(encoding="utf-8"))
    content["features"] = content["features"][:-1]
    (bench / "ml.json").write_text(json.dumps(content))
    _, findings = examine(desk, "--ml-config", bench / "ml.json")
    assert findings["features"]["grade"] == "FAIL"
    assert "lists 54, the code computes 55; they differ from position 55 on" in findings["features"]["text"]
    assert findings["model set"]["grade"] == "FAIL"


def test_a_secret_never_appears_in_the_output(desk: Desk, bench: Path) -> None:
    (bench / ".env").write_text(
        f"TELEGRAM_BOT_TOKEN={TOKEN}\nTELEGRAM_CHAT_IDS=424242\nR2_ENDPOINT_URL=https://store.example\n"
        "R2_ACCESS_KEY_ID=accesskey\nR2_SECRET_ACCESS_KEY=hunter2\nR2_BUCKET=b\n"
        "NOVOSKY_DATABASE_URL=postgresql://u:hunter2@h/d\n"
    )
    (bench / ".env").chmod(0o600)
    for arguments in ([], ["--json"]):
        result = CliRunner().invoke(doctor, [*desk.flags, *arguments])
        assert result.exit_code == 0, result.output
        for secret in (TOKEN, "precious", "424242", "accesskey", "hunter2"):
            assert secret not in result.output
        assert "S3 store" in result.output


def test_an_env_file_that_cannot_be_read_is_a_finding(desk: Desk, bench: Path) -> None:
    (bench / ".env").write_text("hunter2\n")
    result, findings = examine(desk)
    assert result.exit_code == 1
    assert "line 1" in findings["secrets file"]["text"]
    assert "hunter2" not in result.output


@pytest.mark.parametrize(("version", "grade"), [((3, 10, 9), "FAIL"), ((3, 11, 0), "OK"), ((3, 14, 1), "OK")])
def test_python_has_a_least_version(version: tuple[int, ...], grade: str) -> None:
    assert grade_of(machine.check_python(version)) == grade


LOCK = """\
# pins
numpy==2.4.6 ; python_full_version < '4'
numpy==9.9 ; python_full_version >= '4'
    # via x
click==8.5.1
"""


@pytest.mark.parametrize(
    ("installed", "grade", "text"),
    [
        ({"numpy": "2.4.6", "click": "8.5.1"}, "OK", "all 2 at their locked versions"),
        ({"numpy": "2.4.5", "click": "8.5.1"}, "WARN", "numpy 2.4.5 instead of 2.4.6"),
        ({"numpy": "2.4.5"}, "FAIL", "not installed: click"),
    ],
)
def test_packages_are_compared_to_the_lock(tmp_path: Path, installed: Mapping[str, str], grade: str, text: str) -> None:
    (tmp_path / "requirements.txt").write_text(LOCK)
    finding = machine.check_packages(tmp_path / "requirements.txt", installed.get)
    assert grade_of(finding) == grade
    assert text in finding.text


def test_the_shipped_lock_is_understood_whole() -> None:
    finding = machine.check_packages(ROOT / "requirements.txt", {}.get)
    for name in ("numpy", "click", "xgboost", "tzdata"):
        assert name in finding.text


def test_a_folder_that_cannot_be_written_fails(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert grade_of(machine.check_folder("logs", tmp_path / "file" / "logs")) is Grade.FAIL
    assert grade_of(machine.check_folder("logs", tmp_path / "new" / "logs")) is Grade.OK
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(("free", "grade"), [(2**20, "FAIL"), (2**29, "WARN"), (2**33, "OK")])
def test_a_disk_that_runs_full_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, grade: str) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=free)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    assert grade_of(machine.check_folder("logs", tmp_path)) == grade


def test_a_missing_time_zone_fails() -> None:
    assert grade_of(machine.check_time_zones()) is Grade.OK
    finding = machine.check_time_zones(("Europe/London", "Mars/Olympus"))
    assert grade_of(finding) is Grade.FAIL
    assert "Mars/Olympus" in finding.text


def test_a_clock_that_lies_before_known_events_fails() -> None:
    assert grade_of(machine.check_system_clock(NOW, {"a": NOW - 1, "b": NOW + 30})) is Grade.OK
    finding = machine.check_system_clock(NOW, {"the newest bar": NOW + DAY})
    assert grade_of(finding) is Grade.FAIL
    assert "2024-06-03 00:00:00 UTC lies before the newest bar" in finding.text


def test_without_a_place_for_compiled_rules_it_warns() -> None:
    assert grade_of(machine.check_compiled_cache(None)) is Grade.WARN


def test_stale_schemas_fail(tmp_path: Path) -> None:
    folder = ROOT / "novosky" / "settings"
    assert grade_of(configuration.check_schemas(folder)) is Grade.OK
    for file in folder.glob("*.schema.json"):
        shutil.copy(file, tmp_path / file.name)
    (tmp_path / "config.schema.json").write_text("{}")
    finding = configuration.check_schemas(tmp_path)
    assert grade_of(finding) is Grade.FAIL
    assert finding.text.endswith(": config.schema.json")


def test_features_in_another_order_fail() -> None:
    names = get_feature_names()
    assert grade_of(configuration.check_features(tuple(names), names, Path("ml.json"))) is Grade.OK
    other = (names[1], names[0], *names[2:])
    assert grade_of(configuration.check_features(other, names, Path("ml.json"))) is Grade.FAIL


def test_settings_laxer_than_their_profile_warn(tmp_path: Path) -> None:
    settings = settings_with(max_weekly_drawdown_pct=60.0, dynamic_position_sizing={"max_risk_per_trade_pct": 2.0})
    path = tmp_path / "config.json"
    path.write_text(settings.model_dump_json(by_alias=True))
    finding = configuration.check_profile(settings, path)
    assert grade_of(finding) is Grade.WARN
    assert "max_weekly_drawdown_pct: 60.0 -> 12.0" in finding.text
    assert "--profile 3" in finding.mend


@pytest.mark.parametrize(("days", "grade"), [(3, "OK"), (45, "OK"), (46, "WARN")])
def test_old_models_warn(days: float, grade: str) -> None:
    from trading.doctor.model_set import check_model_age

    assert grade_of(check_model_age(NOW - days * DAY, NOW)) == grade


def make_journal(path: Path, version: int, *, table: str = "bot_status") -> None:
    column = "schema_version" if table == "bot_status" else "version"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"CREATE TABLE {table} (id INTEGER, {column} INTEGER)")
        connection.execute(f"INSERT INTO {table} VALUES (1, ?)", (version,))


@pytest.mark.parametrize("table", ["bot_status", "schema_version"])
@pytest.mark.parametrize(("version", "grade"), [(SCHEMA_VERSION, "OK"), (SCHEMA_VERSION + 1, "FAIL"), (0, "WARN")])
def test_a_journals_version_is_compared(tmp_path: Path, table: str, version: int, grade: str) -> None:
    make_journal(tmp_path / "j.sqlite", version, table=table)
    before = listing(tmp_path)
    assert grade_of(account.check_journal(tmp_path / "j.sqlite")) == grade
    assert listing(tmp_path) == before


@pytest.mark.parametrize("content", [b"no database at all", b"SQLite format 3\0" + b"\xff" * 4096])
def test_a_damaged_journal_fails(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "j.sqlite").write_bytes(content)
    assert grade_of(account.check_journal(tmp_path / "j.sqlite")) is Grade.FAIL


def test_another_database_is_no_journal(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "j.sqlite")) as connection, connection:
        connection.execute("CREATE TABLE cats (name TEXT)")
    assert "but no journal" in account.check_journal(tmp_path / "j.sqlite").text


def test_the_journal_of_a_bot_opens(desk: Desk, bench: Path) -> None:
    answer: Answer = run_script("trading.py", *desk.flags, "--paper", "--once", cwd=bench)
    assert answer.code == 0, answer.err
    finding = account.check_journal(bench / "logs" / "paper.sqlite")
    assert grade_of(finding) is Grade.OK
    assert "opens, version" in finding.text


def test_a_running_bot_is_seen_by_its_lock_and_not_disturbed(tmp_path: Path) -> None:
    journal = tmp_path / "j.sqlite"
    assert "none is running" in account.check_lock(journal).text
    assert listing(tmp_path) == {}
    with single_instance(journal):
        assert "a bot is running" in account.check_lock(journal).text
    assert "none is running" in account.check_lock(journal).text


def test_a_set_freeze_flag_warns(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    assert grade_of(account.check_freeze(flag)) is Grade.OK
    flag.touch()
    assert grade_of(account.check_freeze(flag)) is Grade.WARN


def test_old_bars_warn_and_broken_ones_fail(desk: Desk, tmp_path: Path) -> None:
    assert grade_of(account.check_bars(tmp_path / "none.parquet", NOW, USUAL)) is Grade.OK
    assert grade_of(account.check_bars(desk.bars, NOW, USUAL)) is Grade.WARN
    (tmp_path / "broken.parquet").write_text("no bars")
    assert grade_of(account.check_bars(tmp_path / "broken.parquet", NOW, USUAL)) is Grade.FAIL


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps permissions elsewhere")
@pytest.mark.parametrize(("mode", "grade"), [(0o600, "OK"), (0o400, "OK"), (0o640, "FAIL"), (0o644, "FAIL")])
def test_secrets_that_others_can_read_fail(tmp_path: Path, mode: int, grade: str) -> None:
    file = tmp_path / ".env"
    file.touch()
    file.chmod(mode)
    assert grade_of(secrets.check_env_file(file)) == grade


@pytest.mark.parametrize(
    ("environment", "grade"),
    [
        ({}, "WARN"),
        ({"TELEGRAM_BOT_TOKEN": TOKEN}, "FAIL"),
        ({"TELEGRAM_CHAT_IDS": "1"}, "FAIL"),
        ({"TELEGRAM_BOT_TOKEN": "precious", "TELEGRAM_CHAT_IDS": "1"}, "FAIL"),
        ({"TELEGRAM_BOT_TOKEN": TOKEN, "TELEGRAM_CHAT_IDS": "1, precious"}, "FAIL"),
        ({"TELEGRAM_BOT_TOKEN": TOKEN, "TELEGRAM_CHAT_IDS": "1, -1002"}, "OK"),
    ],
)
def test_telegram_needs_a_token_and_chats(environment: Mapping[str, str], grade: str) -> None:
    (finding,) = secrets.check_channels(environment, online=False)
    assert grade_of(finding) == grade
    assert "precious" not in finding.text + finding.mend


def asked_online(url: str) -> Finding:
    environment = {"TELEGRAM_BOT_TOKEN": TOKEN, "TELEGRAM_CHAT_IDS": "1", "TELEGRAM_API_URL": url}
    found = {finding.name: finding for finding in secrets.check_channels(environment, online=True)}
    return found["telegram online"]


@contextmanager
def telegram(code: int, body: bytes) -> Iterator[str]:
    """A server that answers as Telegram would."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)


@pytest.mark.parametrize(
    ("code", "body", "grade"),
    [
        (200, b'{"ok": true, "result": {"id": 1}}', "OK"),
        (401, b'{"ok": false, "description": "Unauthorized"}', "FAIL"),
        (502, b"<html>", "WARN"),
    ],
)
def test_online_telegram_is_asked_whether_it_knows_the_token(code: int, body: bytes, grade: str) -> None:
    with telegram(code, body) as url:
        finding = asked_online(url)
    assert grade_of(finding) == grade
    assert TOKEN not in finding.text + finding.mend


def test_an_unreachable_telegram_warns_without_the_address() -> None:
    with telegram(200, b"") as url:
        pass
    finding = asked_online(url)
    assert grade_of(finding) is Grade.WARN
    assert TOKEN not in finding.text


S3 = {
    "R2_ENDPOINT_URL": "https://store.example",
    "R2_ACCESS_KEY_ID": "a",
    "R2_SECRET_ACCESS_KEY": "precious",
    "R2_BUCKET": "b",
}


@pytest.mark.parametrize(
    ("environment", "grade", "text"),
    [
        ({}, "WARN", "not set"),
        (S3, "OK", "all settings present"),
        ({**S3, "R2_ENDPOINT_URL": "store"}, "FAIL", "is no address"),
        ({name: S3[name] for name in list(S3)[:3]}, "FAIL", "not set: R2_BUCKET"),
        ({"NOVOSKY_HUB": "/nowhere/at/all"}, "FAIL", "no readable folder"),
    ],
)
def test_the_hub_is_a_folder_or_a_whole_store(environment: Mapping[str, str], grade: str, text: str) -> None:
    finding = secrets.check_hub(environment)
    assert grade_of(finding) == grade
    assert text in finding.text
    assert "precious" not in finding.text


def test_a_hub_folder_may_be_an_address_with_spaces(tmp_path: Path) -> None:
    folder = tmp_path / "my models"
    folder.mkdir()
    assert grade_of(secrets.check_hub({"NOVOSKY_HUB": folder.as_uri()})) is Grade.OK


MARGIN = MarginFacts(volume=1.0, price=50_000.0, taken=100.0, at_half=50.0, leverage=500.0)
FACTS = broker.SymbolFacts("BTCUSD", 0.01, 0.01, 2, 1.0, 0.01, 100.0, 0.01, 0, 0.01, "USD", 2, MARGIN)


@dataclasses.dataclass(frozen=True)
class Probe:
    """A broker that answers what it was told."""

    answer: broker.SymbolFacts
    server: int | None

    def facts(self) -> broker.SymbolFacts:
        return self.answer

    def account(self) -> AccountFacts:
        return AccountFacts(500.0, 500.0, 1, 2)

    def server_seconds(self) -> int | None:
        return self.server


class DeadProbe:
    def facts(self) -> broker.SymbolFacts:
        raise BrokerError("the terminal does not answer")

    def account(self) -> AccountFacts:
        raise BrokerError("the terminal does not answer")

    def server_seconds(self) -> int | None:
        return None


def server_time(rule: str) -> int:
    return int(ServerClock(rule).from_utc(np.array([int(NOW)]))[0])


def test_a_broker_that_agrees_is_fine() -> None:
    findings = broker.check_broker(Probe(FACTS, server_time("NewYork+7") - 3), settings_with(), NOW)
    assert [grade_of(finding) for finding in findings] == [Grade.OK] * 5


def test_no_broker_is_one_warning_and_a_dead_one_a_failure() -> None:
    assert [grade_of(finding) for finding in broker.check_broker(None, settings_with(), NOW)] == [Grade.WARN]
    (finding,) = broker.check_broker(DeadProbe(), settings_with(), NOW)
    assert grade_of(finding) is Grade.FAIL
    assert "does not answer" in finding.text


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("point", 0.1),
        ("digits", 3),
        ("contract_size", 10.0),
        ("volume_min", 0.1),
        ("volume_max", 5.0),
        ("volume_step", 0.1),
        ("stops_level", 50),
    ],
)
def test_every_limit_that_differs_is_named(key: str, value: float) -> None:
    finding = broker.check_limits(dataclasses.replace(FACTS, **{key: value}), settings_with())  # type: ignore[arg-type]
    assert grade_of(finding) is Grade.FAIL
    assert f"broker.{key} is " in finding.text
    assert finding.text.count("broker.") == 1


@pytest.mark.parametrize(
    ("tick_value", "currency", "account_type", "grade"),
    [
        (0.01, "USD", "standard", "OK"),
        (0.0, "USD", "standard", "FAIL"),
        (1.0, "USD", "standard", "FAIL"),
        (0.01, "USC", "cent", "OK"),
        (0.01, "USC", "standard", "FAIL"),
        (0.01, "EUR", "standard", "FAIL"),
    ],
)
def test_the_tick_value_has_to_be_what_sizing_assumes(
    tick_value: float, currency: str, account_type: str, grade: str
) -> None:
    facts = dataclasses.replace(FACTS, tick_value=tick_value, currency=currency)
    assert grade_of(broker.check_tick_value(facts, settings_with(account_type=account_type))) == grade


@pytest.mark.parametrize(
    ("server", "grade"),
    [
        (server_time("NewYork+7") + 40, "OK"),
        (server_time("UTC"), "FAIL"),
        (server_time("NewYork+7") + 3600, "FAIL"),
        (server_time("NewYork+7") - 400, "WARN"),
        (None, "WARN"),
    ],
)
def test_the_servers_clock_is_measured_against_its_rule(server: int | None, grade: str) -> None:
    assert grade_of(broker.check_clock_offset(server, settings_with(), NOW)) == grade


REACHED = {"MT5_LOGIN": "12345678", "MT5_SERVER": "Broker-Demo"}


@pytest.mark.parametrize("online", [False, True])
@pytest.mark.parametrize(
    ("environment", "grade", "word"),
    [
        ({}, "WARN", "NOVOSKY_BROKER is not set"),
        ({"NOVOSKY_BROKER": "paper"}, "WARN", "is paper"),
        ({"NOVOSKY_BROKER": "mt5"}, "FAIL", "MT5_LOGIN is not set"),
        ({"NOVOSKY_BROKER": "mt5", "MT5_LOGIN": "12345678"}, "FAIL", "MT5_SERVER is not set"),
        ({"NOVOSKY_BROKER": "mt5", **REACHED}, "FAIL", "for Windows only"),
        ({"NOVOSKY_BROKER": "bridge", **REACHED}, "FAIL", "NOVOSKY_BRIDGE_URL is not set"),
    ],
)
def test_what_is_named_of_the_broker_is_judged_at_once_and_never_asked_for_again(
    desk: Desk, bench: Path, environment: dict[str, str], grade: str, word: str, online: bool
) -> None:
    if environment.get("NOVOSKY_BROKER") == "mt5" and sys.platform == "win32":
        pytest.skip("the package exists there")
    (bench / ".env").write_text("".join(f"{name}={value}\n" for name, value in environment.items()))
    (bench / ".env").chmod(0o600)
    _, findings = examine(desk, *(["--online"] if online else []))
    assert (findings["broker"]["grade"], word in findings["broker"]["text"]) == (grade, True)
    if "NOVOSKY_BROKER" in environment and grade == "FAIL":
        assert "set NOVOSKY_BROKER to" not in findings["broker"]["mend"]
    assert "12345678" not in json.dumps(findings)


def test_the_journal_looked_at_is_that_of_the_bot_here(desk: Desk, bench: Path) -> None:
    (bench / "logs").mkdir(exist_ok=True)
    for name in ("paper", "novosky"):
        Journal(sqlite_url(bench / "logs" / f"{name}.sqlite"), symbol="BTCUSD", durable=False).close()
        _, findings = examine(desk)
        assert f"{name}.sqlite" in findings["journal"]["text"]
    with single_instance(bench / "logs" / "novosky.sqlite"):
        assert "a bot is running" in examine(desk)[1]["one bot"]["text"]
    (bench / ".env").write_text("NOVOSKY_DATABASE_URL=postgresql://u:hunter22@db.example/novosky\n")
    (bench / ".env").chmod(0o600)
    _, findings = examine(desk)
    assert "db.example" in findings["journal"]["text"]
    assert (findings["journal"]["grade"], findings["journal"]["mend"]) == ("WARN", "add --online")
    assert "hunter22" not in json.dumps(findings)
