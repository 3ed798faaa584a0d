"""What is published, what of it can be trusted, and which of it is to be pulled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ml.hub.patience import PatientStore
from ml.hub.revision import MOST_MANIFEST_BYTES, Revision, is_tag, parse_revision, parse_tag
from ml.hub.signing import PublicKey, manifest_of, unseal
from ml.hub.store import REVISIONS, AbsentError, blob_name, revision_name
from ml.sets.companions import REVISION_NAME
from novosky.errors import ModelError, UsageError
from novosky.market.same_market import same_symbol
from novosky.settings import Settings


@dataclass(frozen=True)
class Published:
    """A revision whose signature has been checked, with the envelope it came in."""

    revision: Revision
    envelope: bytes


@dataclass(frozen=True)
class Untrusted:
    """A revision that must not be used, and why."""

    tag: str
    reason: str


def published_tags(store: PatientStore) -> list[str]:
    """Return the tags at a store, sorted; objects that are no revisions are passed over."""
    names = (name.removeprefix(REVISIONS).removesuffix(".json") for name in store.names(REVISIONS))
    return [tag for tag in names if is_tag(tag)]


def read_published(store: PatientStore, keys: Sequence[PublicKey], tag: str) -> Published:
    """Return one revision, its signature and its manifest checked.

    Raises
    ------
    UsageError
        There is none of this tag.
    ModelError
        It cannot be trusted.
    """
    parse_tag(tag)
    source = f"revision {tag} at {store.place}"
    try:
        envelope = store.small(revision_name(tag), MOST_MANIFEST_BYTES)
    except AbsentError as error:
        raise UsageError(f"there is no {source}; `python ml/r2_hub.py --list` shows what there is") from error
    revision = parse_revision(unseal(envelope, keys, source), source)
    if revision.tag != tag:
        # An old manifest under a new name.
        raise ModelError(f"{source} is really {revision.tag}; it was not used")
    return Published(revision, envelope)


def catalogue(store: PatientStore, keys: Sequence[PublicKey]) -> list[Published | Untrusted]:
    """Return everything published: what cannot be trusted first, then from the oldest to the newest."""
    found: list[Published | Untrusted] = []
    for tag in published_tags(store):
        try:
            found.append(read_published(store, keys, tag))
        except ModelError as error:
            found.append(Untrusted(tag, str(error)))
    untrusted = sorted((each for each in found if isinstance(each, Untrusted)), key=lambda each: each.tag)
    return [*untrusted, *sorted((each for each in found if isinstance(each, Published)), key=_order)]


def trusted(found: Sequence[Published | Untrusted]) -> list[Published]:
    """Return a whole catalogue, or refuse it: which revision is the newest cannot be told beside one not trusted.

    Raises
    ------
    ModelError
        One of them cannot be trusted.
    """
    whole = []
    for each in found:
        if isinstance(each, Untrusted):
            raise ModelError(f"{each.reason} Until it is removed, pull another one by name with --revision TAG.")
        whole.append(each)
    return whole


def newest_approved(found: Sequence[Published], settings: Settings, place: str) -> Published:
    """Return the newest approved revision of the configured profile and market.

    Raises
    ------
    UsageError
        There is none.
    """
    profile = settings.risk_profile.name
    approved = [each for each in found if each.revision.approved and each.revision.profile == profile]
    fitting = [each for each in approved if is_of_market(each.revision, settings)]
    if not fitting:
        others = ", ".join(sorted({f"{each.revision.symbol} {each.revision.timeframe}" for each in approved}))
        market = f" on {settings.symbol} {settings.timeframe}, only on {others}" if others else ""
        raise UsageError(
            f"{place} has no approved revision for the profile {profile}{market}; `python ml/r2_hub.py --list` shows "
            "what there is, --pull --revision TAG takes another one"
        )
    return max(fitting, key=_order)


def _order(published: Published) -> tuple[int, datetime, str, int, int]:
    return published.revision.order


def is_of_market(revision: Revision, settings: Settings) -> bool:
    """Tell whether a revision was made for the configured symbol and time frame."""
    return same_symbol(revision.symbol, settings.symbol) and revision.timeframe == settings.timeframe


def installed_revision(models: Path) -> Revision | None:
    """Return the revision the set in a directory was pulled as, None when it was not pulled.

    Raises
    ------
    ModelError
        The record of it cannot be read.
    """
    path = models / REVISION_NAME
    if not path.is_file():
        return None
    return parse_revision(manifest_of(path.read_bytes(), str(path)), str(path))


def refuse_older(chosen: Revision, models: Path) -> None:
    """Refuse a newest revision that is older than the one in place: somebody may be holding newer ones back.

    Raises
    ------
    ModelError
    """
    present = installed_revision(models)
    if (
        present is None
        or present.profile != chosen.profile
        or not _one_market(present, chosen)
        or chosen.order > present.order
        or chosen == present
    ):
        return
    if chosen.tag == present.tag:
        raise ModelError(
            f"the hub's {chosen.tag} is not the one that is in place: revisions never change, so one of the two was "
            "exchanged. Nothing was changed; ask the publisher which one is theirs"
        )
    raise ModelError(
        f"the newest approved revision {_told(chosen)} is older than {_told(present)}, which is in place: revisions "
        "have been withdrawn or are held back. Nothing was changed; to go back on purpose, use --pull --revision "
        f"{chosen.tag} or --rollback"
    )


def _one_market(one: Revision, other: Revision) -> bool:
    return same_symbol(one.symbol, other.symbol) and one.timeframe == other.timeframe


def _told(revision: Revision) -> str:
    return f"{revision.tag} (number {revision.sequence}, made {revision.created})"


def verify_blobs(store: PatientStore, revision: Revision) -> list[str]:
    """Return what is wrong with a revision's objects, read and hashed one by one."""
    wrong = []
    for name, blob in sorted(revision.files.items()):
        try:
            digest, size = store.digest(blob_name(blob.sha256), blob.size)
        except AbsentError:
            wrong.append(f"{name} is missing")
            continue
        if (digest, size) != (blob.sha256, blob.size):
            wrong.append(f"{name} is damaged")
    return wrong
