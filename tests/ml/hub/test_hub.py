"""Revisions: published once, signed, verified before anything is put in place, and taken back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ml.hub.catalogue import catalogue
from ml.hub.fetch import roll_back
from ml.hub.folder import FolderStore
from ml.hub.revision import parse_tag
from ml.sets.deployment import Deployment
from novosky.errors import ModelError, UsageError
from tests.ml.hub.hub_contract import StoreContract
from tests.ml.hub.hub_fixtures import publisher, source, trader
from tests.ml.hub.hub_sets import (
    FILES,
    NOW,
    Publisher,
    change_config,
    files_of,
    hurried,
    model_files,
    new_signer,
    write_set,
)

__all__ = ["publisher", "source", "trader"]

TAG = "v20260104-p3"


class TestFolderStore(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> FolderStore:
        (tmp_path / "hub").mkdir()
        return FolderStore(tmp_path / "hub")


def test_models_come_byte_for_byte(publisher: Publisher, source: Deployment, trader: Deployment) -> None:
    publisher.push(source)
    pulled = publisher.pull(trader)
    assert (pulled.revision.tag, pulled.already) == (TAG, False)
    assert model_files(trader) == model_files(source)
    assert [path.name for path in trader.models.parent.iterdir() if "arrivals" in path.name] == []


def test_the_strategy_comes_and_everything_of_the_owner_stays(
    publisher: Publisher, source: Deployment, trader: Deployment
) -> None:
    before = json.loads(trader.config.read_text())
    publisher.push(source)
    pulled = publisher.pull(trader)
    after = json.loads(trader.config.read_text())
    assert {change.place for change in pulled.changes} == {"risk_management.sl_atr_mult", "news_block_minutes"}
    before["risk_management"]["sl_atr_mult"], before["news_block_minutes"] = 2.5, 45.0
    assert after == before


def test_a_revision_of_another_profile_is_held_to_the_owner_s_limits(
    publisher: Publisher, source: Deployment, trader: Deployment
) -> None:
    change_config(
        source,
        risk_profile={"name": "aggressive", "starting_balance_usd": 1000},
        dynamic_position_sizing={"risk_percent": 4.0},
    )
    publisher.push(source)
    publisher.pull(trader, "v20260104-p5")
    sizing = json.loads(trader.config.read_text())["dynamic_position_sizing"]
    assert (sizing["risk_percent"], sizing["max_risk_per_trade_pct"]) == (2.0, 1.9)


def test_a_second_pull_changes_nothing(publisher: Publisher, source: Deployment, trader: Deployment) -> None:
    publisher.push(source)
    publisher.pull(trader)
    before = files_of(trader), trader.models.stat().st_ino
    assert publisher.pull(trader).already
    assert (files_of(trader), trader.models.stat().st_ino) == before


def test_a_pull_mends_a_set_that_was_damaged_here(publisher: Publisher, source: Deployment, trader: Deployment) -> None:
    publisher.push(source)
    publisher.pull(trader)
    (trader.models / FILES[0]).write_bytes(b"bent")
    assert not publisher.pull(trader).already
    assert model_files(trader) == model_files(source)


def test_rolling_back_returns_to_the_set_before_byte_for_byte(
    publisher: Publisher, source: Deployment, trader: Deployment
) -> None:
    before = files_of(trader)
    publisher.push(source)
    publisher.pull(trader)
    assert roll_back(trader) is None
    assert files_of(trader) == before
    revision = roll_back(trader)
    assert revision is not None
    assert revision.tag == TAG
    assert model_files(trader) == model_files(source)


def test_rolling_back_keeps_what_the_owner_changed_since(
    publisher: Publisher, source: Deployment, trader: Deployment
) -> None:
    before = json.loads(trader.config.read_text())
    publisher.push(source)
    publisher.pull(trader)
    change_config(trader, max_daily_loss=2.0)
    roll_back(trader)
    assert json.loads(trader.config.read_text()) == before | {"max_daily_loss": 2.0}


def test_only_approved_revisions_of_the_profile_are_chosen(
    publisher: Publisher, source: Deployment, trader: Deployment
) -> None:
    publisher.push(source)
    wanted = model_files(source)
    write_set(source, "draft")
    publisher.push(source, "v20260105-p3", approved=False)
    change_config(source, risk_profile={"name": "growth", "starting_balance_usd": 1000})
    publisher.push(source, "v20260105-p4")
    assert publisher.pull(trader).revision.tag == TAG
    assert model_files(trader) == wanted
    assert publisher.pull(trader, "v20260105-p3").revision.approved is False


def test_without_an_approved_revision_a_pull_says_so(
    publisher: Publisher, source: Deployment, trader: Deployment
) -> None:
    publisher.push(source, approved=False)
    with pytest.raises(UsageError, match="no approved revision for the profile balanced"):
        publisher.pull(trader)


def test_pushing_the_same_again_is_no_new_revision(publisher: Publisher, source: Deployment) -> None:
    assert not publisher.push(source).already
    assert publisher.push(source).already
    assert len(catalogue(hurried(publisher.store), publisher.keys)) == 1


def test_a_revision_is_never_written_over(publisher: Publisher, source: Deployment, trader: Deployment) -> None:
    publisher.push(source)
    first = model_files(source)
    write_set(source, "other")
    with pytest.raises(UsageError, match=r"choose another tag, like --tag v20260104-p3\.2"):
        publisher.push(source)
    assert publisher.push(source, "v20260104-p3.2").revision.sequence == 2
    publisher.pull(trader, TAG)
    assert model_files(trader) == first


def test_equal_files_are_stored_once(publisher: Publisher, source: Deployment) -> None:
    publisher.push(source)
    before = publisher.store.names("blobs/")
    publisher.push(source, "v20260105-p3")
    assert publisher.store.names("blobs/") == before


@pytest.mark.parametrize("tag", ["latest", "v20260104", "v20261304-p3", "v20260104-p6", "../x", "v20260104-p3/..", ""])
def test_a_tag_of_another_form_is_refused(publisher: Publisher, source: Deployment, tag: str) -> None:
    with pytest.raises(UsageError, match="is no tag of a revision"):
        publisher.push(source, tag)


def test_a_tag_must_name_the_configured_profile(publisher: Publisher, source: Deployment) -> None:
    with pytest.raises(UsageError, match="another profile"):
        publisher.push(source, "v20260104-p1")
    assert parse_tag("v20260104-p1").name == "steady_income"


def damaged_set(target: Deployment) -> None:
    (target.models / FILES[1]).write_bytes(b"bent")


def incomplete_set(target: Deployment) -> None:
    (target.models / FILES[1]).unlink()


def other_labels(target: Deployment) -> None:
    content = json.loads(target.ml_config.read_text())
    content["labeling"]["horizon_bars"] = 96
    target.ml_config.write_text(json.dumps(content))


def other_features(target: Deployment) -> None:
    content = json.loads(target.ml_config.read_text())
    content["features"] = content["features"][::-1]
    target.ml_config.write_text(json.dumps(content))


@pytest.mark.parametrize("spoil", [damaged_set, incomplete_set, other_labels, other_features])
def test_a_set_that_does_not_fit_is_not_published(
    publisher: Publisher, source: Deployment, spoil: Callable[[Deployment], None]
) -> None:
    spoil(source)
    with pytest.raises(ModelError):
        publisher.push(source)
    assert not (source.models.parent.parent / "hub" / "revisions").exists()


def test_a_key_that_traders_do_not_trust_does_not_sign(publisher: Publisher, source: Deployment) -> None:
    from ml.hub.publish import push

    with pytest.raises(UsageError, match="does not belong to a trusted public key"):
        push(hurried(publisher.store), new_signer(2), publisher.keys, source, NOW)


def test_progress_ends_at_all_bytes(publisher: Publisher, source: Deployment, trader: Deployment) -> None:
    steps: list[tuple[str, int, int]] = []
    revision = publisher.push(source, progress=lambda *step: steps.append(step)).revision
    assert steps[-1][1:] == (revision.size, revision.size)
    steps.clear()
    publisher.pull(trader, progress=lambda *step: steps.append(step))
    assert [done for _, done, _ in steps] == sorted(done for _, done, _ in steps)
    assert steps[-1][1:] == (revision.size - revision.files["strategy.json"].size, revision.size)
