"""Files that somebody bent: read as what they still are, or refused by name, never a defect.

Every kind of file that people write, pull or find is bent in some hundred ways, from a fixed seed:
single values against others that break decoders, numbers and paths, keys lost and doubled, bytes cut
and flipped. What loads must also survive its first use.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from alerts.telegram.ledger import CommandLedger
from commands.agents.scope_lock import parse_lock
from engine.inputs.parameters import build_params
from ml.config_sync import sync_findings
from ml.hub.folder import FolderStore
from ml.hub.revision import parse_revision
from ml.hub.signing import manifest_of, seal, unseal
from ml.sets.companions import MANIFEST_NAME
from ml.sets.compat import read_manifest, verify_compat
from ml.sets.deployment import set_files
from ml.sets.ensemble_files import METADATA_NAME
from ml.sets.model_market import require_models_of
from ml.sets.shap_summary import read_shap_summary
from ml.sets.swap_journal import complete_swap, journal_path
from novosky.environment import read_environment
from novosky.errors import NovoskyError
from novosky.market.server_time import ServerClock
from novosky.redaction import Redactor, secret_values
from novosky.settings import MlSettings, Settings, load_ml_settings, load_settings
from novosky.settings.profile_application import apply_profile
from novosky.settings.profiles import profile_named
from novosky.settings.strategy import put_strategy, strategy_of
from optimize.history.optimize_best import BestRun, update_optimize_best
from optimize.history.optimize_log import OptimizeEntry, append_optimize_log
from tests.ml.hub.hub_sets import Publisher, lay_out_checkout, new_signer
from trading.reports.health import read_health

ROOT = Path(__file__).resolve().parents[2]
SEED = 20260104
ROUNDS = 120
"""Per kind of file; all of them together stay well below 20 s."""


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


DEEP = "@deep@"
"""Stands for lists in lists, thousands deep, which no encoder writes."""
EVIL: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**53 + 1, 2**63 - 1, -(2**63), 2**63, 2**64, 10**30, 10**400,
    0.0, -0.0, 1e-320, 1e308, -1e308, 1.5, float("nan"), float("inf"), "", " ", "x", "\0", "../x", "\ud800", "é",
    "NewYork+7", "Mars/Olympus", "99:99-00:00", "2024-01-01", "9999-12-31T23:59:59Z", "0000-00-00", "1" * 5_000, [],
    {}, [None], {"": None}, nested(50), nested(100), DEEP, "M15", "BTCUSD",
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


def bent(content: Any, rng: Random) -> bytes:
    """Return a document with one to three of its places changed, as bytes; now and then with broken bytes."""
    content = copy.deepcopy(content)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        path = rng.choice(list(places(content)))
        evil = copy.deepcopy(rng.choice(EVIL))
        if not path:
            if rng.random() < 0.1:
                content = evil
            continue
        home = content
        for key in path[:-1]:
            home = home[key]
        kind = rng.random()
        if kind < 0.7:
            home[path[-1]] = evil
        elif kind < 0.85 or not isinstance(home, dict):
            del home[path[-1]]
        else:
            home[str(evil)[:30]] = home[path[-1]]
    text = json.dumps(content).replace(f'"{DEEP}"', "[" * 5_000 + "]" * 5_000)
    if rng.random() < 0.1 and '": ' in text:
        text = text.replace("{", '{"doubled": 1, "doubled": 2, ', 1)
    written = bytearray(text.encode("utf-8", "surrogatepass"))
    if rng.random() < 0.15 and written:
        written[rng.randrange(len(written))] = rng.randrange(256)
    if rng.random() < 0.05:
        del written[rng.randrange(len(written) + 1) :]
    return bytes(written)


def survives(what: str, content: bytes, act: Callable[[], object]) -> bool:
    """Run an act; True when it went through, False when it was refused as it should be."""
    try:
        act()
    except NovoskyError as error:
        assert str(error).strip(), what
        return False
    except Exception as error:
        raise AssertionError(f"{what} of {content[:2_000]!r}") from error
    return True


def use_settings(settings: Settings, ml_settings: MlSettings) -> None:
    """What every command does with settings before anything else."""
    build_params(settings, ml_settings)
    ServerClock(settings.broker.server_clock)
    apply_profile(settings.model_dump(mode="json", by_alias=True), profile_named(settings.risk_profile.name))
    strategy_of(settings)
    settings.model_dump_json()


@pytest.fixture
def rng() -> Random:
    return Random(SEED)


@pytest.mark.parametrize("name", ["config.json", "ml_config.json"])
def test_settings(tmp_path: Path, rng: Random, name: str) -> None:
    content = json.loads((ROOT / name).read_text(encoding="utf-8"))
    good = load_settings(ROOT / "config.json"), load_ml_settings(ROOT / "ml_config.json")
    path = tmp_path / name
    whole = 0
    for _ in range(2 * ROUNDS):
        written = bent(content, rng)
        path.write_bytes(written)

        def use() -> None:
            if name == "config.json":
                use_settings(load_settings(path), good[1])
            else:
                use_settings(good[0], load_ml_settings(path))

        whole += survives(name, written, use)
    assert 0 < whole < 2 * ROUNDS, "some are still settings, most are not"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("123456789012345678901234567890", "costs.spread: the integer"),
        ("-9223372036854775809", "costs.spread: the integer"),
        ("1e999", "costs.spread: the number"),
        ("NaN", "costs.spread: NaN is no number of JSON"),
        ("-Infinity", "-Infinity is no number of JSON"),
        ("[" * 100_000, "nested deeper than 64 levels"),
        ('{"a":' * 100_000, "nested deeper than 64 levels"),
        ("9" * 100_000, "does not fit into 64 bits"),
        ('1, "spread": 2', "written twice"),
        ('"\\ud800"', "half a character"),
    ],
)
def test_a_number_or_a_depth_that_no_setting_has_is_named(tmp_path: Path, value: str, said: str) -> None:
    text = (ROOT / "config.json").read_text(encoding="utf-8")
    spread = json.loads(text)["costs"]["spread"]
    path = tmp_path / "config.json"
    path.write_text(text.replace(f'"spread": {spread}', f'"spread": {value}'), encoding="utf-8")
    with pytest.raises(NovoskyError, match=r"config\.json is not valid JSON") as refusal:
        load_settings(path)
    assert refusal.value.exit_code == 3
    assert said in str(refusal.value)
    assert len(str(refusal.value)) < 1_000


def test_a_settings_file_without_end_is_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(b" " * (2 << 20))
    with pytest.raises(NovoskyError, match="larger than"):
        load_settings(path)


def test_manifests_of_model_sets(tmp_path: Path, rng: Random) -> None:
    target = lay_out_checkout(tmp_path, "set")
    path = target.models / MANIFEST_NAME
    content = json.loads(path.read_text(encoding="utf-8"))
    settings, ml_settings = load_settings(target.config), load_ml_settings(target.ml_config)
    for _ in range(ROUNDS):
        written = bent(content, rng)
        path.write_bytes(written)

        def use() -> None:
            set_files(target.models)
            manifest = verify_compat(target.models, ml_settings)
            assert manifest.train_cutoff.tzinfo is not None
            require_models_of(target.models, manifest, settings)

        survives(MANIFEST_NAME, written, use)
        sync_findings(target.config, target.ml_config, target.models)


def test_metadata_of_models(tmp_path: Path, rng: Random) -> None:
    target = lay_out_checkout(tmp_path, "set")
    settings = load_settings(target.config)
    manifest = json.loads((target.models / MANIFEST_NAME).read_text(encoding="utf-8"))
    content = {"symbol": "BTCUSD", "timeframe": "M15", "synthetic": None, "labeling": {}, "news_events": None}
    for _ in range(ROUNDS):
        written = bent(content, rng)
        (target.models / METADATA_NAME).write_bytes(written)
        manifest["artifacts"][METADATA_NAME] = hashlib.sha256(written).hexdigest()
        (target.models / MANIFEST_NAME).write_text(json.dumps(manifest), encoding="utf-8")
        survives(
            METADATA_NAME, written, lambda: require_models_of(target.models, read_manifest(target.models), settings)
        )


def test_revisions_and_their_envelopes(tmp_path: Path, rng: Random) -> None:
    signer = new_signer()
    publisher = Publisher(FolderStore(tmp_path / "hub", create=True), signer)
    revision = publisher.push(lay_out_checkout(tmp_path / "developer", "set")).revision
    envelope = json.loads(seal(revision.text(), signer))
    for _ in range(ROUNDS):
        written = bent(json.loads(revision.text()), rng)
        text = written.decode("utf-8", "surrogateescape")
        survives("manifest", written, lambda text=text: parse_revision(text, "r").order)  # type: ignore[misc]
        written = bent(envelope, rng)
        for read in (lambda sealed: unseal(sealed, publisher.keys, "r"), lambda sealed: manifest_of(sealed, "r")):
            survives("envelope", written, lambda sealed=written, read=read: read(sealed))  # type: ignore[misc]


def test_strategies(tmp_path: Path, rng: Random) -> None:
    original = (ROOT / "config.json").read_bytes()
    content = strategy_of(load_settings(ROOT / "config.json"))
    for _ in range(ROUNDS):
        written = bent(content, rng)
        try:
            strategy = json.loads(written)
        except (ValueError, RecursionError):
            continue
        if isinstance(strategy, dict):
            survives("strategy", written, lambda strategy=strategy: put_strategy(original, strategy))  # type: ignore[misc]


def test_records_of_earlier_runs(tmp_path: Path, rng: Random) -> None:
    best = BestRun(score=9.0, profile_name="x", achieved_at="2024-01-01T00:00Z", run_id="r", config={}, ml_config={})
    entry = OptimizeEntry(
        run_id="r", iteration=1, finished_at="2024-01-01T00:00Z", command="c", profile_name="x", decision="COMMIT",
        reason="", baseline_score=1.0, final_score=2.0, improvement_pct=1.0, params={},
    )  # fmt: skip
    kinds: list[tuple[str, Any, Callable[[Path], object]]] = [
        ("optimize_best.json", best.model_dump(mode="json"), lambda path: update_optimize_best(path, best)),
        ("optimize_log.json", [entry.model_dump(mode="json")], lambda path: append_optimize_log(path, entry)),
        ("health.json", {"format": 1, "position": None, "breakers": []}, read_health),
        ("telegram.json", {"bot": "42", "settled": [1], "claimed": None}, lambda path: CommandLedger(path, "42")),
        ("scope_lock.json", {"agent": "a", "task": "t", "files": []}, lambda path: parse_lock(
            path.read_bytes().decode("utf-8", "surrogateescape"), str(path))),
    ]  # fmt: skip
    for name, content, act in kinds:
        path = tmp_path / name
        for _ in range(ROUNDS // 2):
            written = bent(content, rng)
            path.write_bytes(written)
            survives(name, written, lambda path=path, act=act: act(path))  # type: ignore[misc]


def test_summaries_and_swap_journals(tmp_path: Path, rng: Random) -> None:
    target = lay_out_checkout(tmp_path, "set")
    summary = {"ranked_features": [{"feature": "a", "mean_abs_shap": 1.0}], "model_fingerprint": "x"}
    for _ in range(ROUNDS // 2):
        written = bent(summary, rng)
        (target.models / "shap_summary.json").write_bytes(written)
        survives("summary", written, lambda: read_shap_summary(target.models))
        written = bent({"folder": ".models.swap-x", "files": {"config.json": "x"}, "format": 1}, rng)
        journal_path(target.models).write_bytes(written)
        survives("journal", written, lambda: complete_swap(target.models))


def test_environments(tmp_path: Path, rng: Random) -> None:
    lines = ["MT5_LOGIN=1", "export A='b'", 'B="c" # d', "# e", "", "NOVOSKY_DATABASE_URL=postgresql://u:p%40@h:1/d"]
    alphabet = "ab'\"\\#= \t\r\n\0é\u2028\ufeff$`%:@/"
    for _ in range(4 * ROUNDS):
        text = list("\n".join(lines))
        for _ in range(rng.randrange(6)):
            text.insert(rng.randrange(len(text)), rng.choice(alphabet))
        written = "".join(text).encode("utf-8", "surrogatepass")
        if rng.random() < 0.1:
            written = written[: rng.randrange(len(written))] + bytes([rng.randrange(256)])
        (tmp_path / ".env").write_bytes(written)

        def use() -> None:
            secrets = secret_values(read_environment(tmp_path / ".env", {}))
            assert all(secret not in Redactor(secrets).text(f"<{secret}>") for secret in secrets)

        survives(".env", written, use)
