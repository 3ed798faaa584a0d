"""Publish and pull models with their settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from commands.shared.options import FILE, FOLDER

if TYPE_CHECKING:
    from ml.hub.catalogue import Published, Untrusted
    from ml.hub.patience import PatientStore
    from ml.hub.revision import Revision
    from ml.sets.deployment import Deployment

EPILOG = """\b
Examples:
  novosky hub keygen
  novosky hub push --tag v20260104-p3
  novosky hub pull
  python ml/r2_hub.py --keygen
  python ml/r2_hub.py --push --tag v20260104-p3
  python ml/r2_hub.py --list
  python ml/r2_hub.py --verify
  python ml/r2_hub.py --pull
  python ml/r2_hub.py --pull --revision v20260104-p3 --hub file:///srv/hub
  python ml/r2_hub.py --rollback

\b
The hub is, in this order: --hub, NOVOSKY_HUB (a folder or file:///folder), the S3 store of
R2_ENDPOINT_URL, R2_ACCESS_KEY_ID, R2_SECRET_ACCESS_KEY and R2_BUCKET, the folder ./hub.
Revisions are trusted when signed by a key in NOVOSKY_HUB_PUBLIC_KEY or ./hub.pub.
NOVOSKY_HUB_PRIVATE_KEY, the key or its file, signs them; without it ./hub.key does. All may
stand in .env.
"""
ACTIONS = ("push", "pull", "list", "verify", "rollback", "keygen")


@click.command(epilog=EPILOG)
@click.argument("verb", required=False, type=click.Choice(ACTIONS), metavar="[" + "|".join(ACTIONS) + "]")
@click.option("--push", "action", flag_value="push", help="Publish the set in --models with both settings files.")
@click.option("--pull", "action", flag_value="pull", help="Put the newest approved revision of the profile in place.")
@click.option("--list", "action", flag_value="list", help="Show what is published.")
@click.option("--verify", "action", flag_value="verify", help="Read and hash everything published, or --revision.")
@click.option("--rollback", "action", flag_value="rollback", help="Put back what the last pull or rollback replaced.")
@click.option("--keygen", "action", flag_value="keygen", help="Write a new key pair, hub.key (private) and hub.pub.")
@click.option("--tag", metavar="vYYYYMMDD-pN", help="With --push: the revision's name.  [today, the profile]")
@click.option("--draft", is_flag=True, help="With --push: not approved; pulled by name only.")
@click.option("--revision", metavar="TAG", help="With --pull or --verify: this one.")
@click.option("--hub", "address", metavar="URL", help="file:///folder, a folder, or s3 (the R2_ settings).")
@click.option("--attempts", type=click.IntRange(1, 100), default=6, show_default=True, help="For each request.")
@click.option("--env-file", type=FILE, default=Path(".env"), show_default=True, help="Where secrets are kept.")
@click.option("--models", type=FOLDER, default=Path("models"), show_default=True, help="Model directory.")
@click.option("--ml-config", type=FILE, default=Path("ml_config.json"), show_default=True, help="Model settings.")
@click.option("--config", type=FILE, default=Path("config.json"), show_default=True, help="Runtime settings.")
def hub(
    verb: str | None,
    action: str | None,
    tag: str | None,
    draft: bool,
    revision: str | None,
    address: str | None,
    attempts: int,
    env_file: Path,
    models: Path,
    ml_config: Path,
    config: Path,
) -> None:
    """Publish and pull revisions: models with the settings they were approved with.

    Say what to do as a word (`novosky hub pull`) or as a flag (--pull).

    A pull checks the signature and every hash, tries whether a bot could start, and only then
    exchanges models, ml_config.json and the strategy in config.json as a whole. Account,
    costs, broker and safety limits in config.json stay yours, and the profile's limits hold.
    Killed at any moment, the next command finds the old deployment or completes the new one.
    """
    from ml.sets.deployment import Deployment, recover
    from novosky.errors import UsageError

    if verb is not None and action not in (None, verb):
        raise UsageError(f"{verb} and --{action} are two things to do; name one")
    action = verb or action
    if action is None:
        raise UsageError("name what to do: push, pull, list, verify, rollback or keygen")
    _refuse_strays(action, {"--tag": tag, "--draft": draft or None, "--revision": revision})
    target = Deployment(models, config, ml_config)
    recover(target)
    if action == "keygen":
        _keygen()
    elif action == "rollback":
        _rollback(target)
    else:
        at = _Hub(env_file, address, attempts, create=action == "push")
        actions: dict[str, Callable[[], None]] = {
            "push": lambda: _push(at, target, tag, approved=not draft),
            "pull": lambda: _pull(at, target, revision),
            "list": lambda: _list(at, target),
            "verify": lambda: _verify(at, revision),
        }
        actions[action]()


def pull_configured(target: Deployment, env_file: Path, address: str | None = None) -> None:
    """Pull the approved revision of the configured profile, as onboarding does; errors are the caller's."""
    _pull(_Hub(env_file, address, attempts=6), target, None)


class _Hub:
    """The store and the keys, as options and environment say."""

    def __init__(self, env_file: Path, address: str | None, attempts: int, *, create: bool = False) -> None:
        import os

        from ml.hub.access import open_store, trusted_keys
        from ml.hub.patience import Patience, PatientStore
        from novosky.environment import read_environment

        self.environment: Mapping[str, str] = read_environment(env_file, os.environ)
        self.keys = trusted_keys(self.environment)
        self.store: PatientStore = PatientStore(
            open_store(self.environment, address, create=create), Patience(attempts)
        )


def _refuse_strays(action: str, options: Mapping[str, object]) -> None:
    from novosky.errors import UsageError

    belongs = {"--tag": ("push",), "--draft": ("push",), "--revision": ("pull", "verify")}
    for name, value in options.items():
        if value is not None and action not in belongs[name]:
            homes = " or ".join(f"--{home}" for home in belongs[name])
            raise UsageError(f"{name} belongs to {homes}, not to --{action}")


def _keygen() -> None:
    from ml.hub.signing import PRIVATE_NAME, PUBLIC_NAME, create_keys, public_text

    key = create_keys(Path())
    click.echo(f"wrote {PRIVATE_NAME}, readable by you alone: never publish it; a push from this folder finds it")
    click.echo(f"wrote {PUBLIC_NAME}, which traders need: {public_text(key)}")
    click.echo(f"        from another folder: NOVOSKY_HUB_PRIVATE_KEY={Path(PRIVATE_NAME).resolve()}")


def _push(at: _Hub, target: Deployment, tag: str | None, *, approved: bool) -> None:
    from datetime import UTC, datetime

    from ml.hub.access import signer
    from ml.hub.publish import push
    from novosky.clock import RealClock

    now = datetime.fromtimestamp(RealClock().now(), UTC)
    with _Transfer("pushing") as bar:
        pushed = push(
            at.store,
            signer(at.environment),
            at.keys,
            target,
            now,
            tag=tag,
            approved=approved,
            check=_require_bot,
            progress=bar.show,
        )
    state = "was published already" if pushed.already else "published"
    click.echo(f"{state}  {pushed.revision.tag} to {at.store.place}, number {pushed.revision.sequence}")
    click.echo(f"files  {len(pushed.revision.files)}, {pushed.revision.size:,} bytes, {_approval(pushed.revision)}")


def _pull(at: _Hub, target: Deployment, tag: str | None) -> None:
    from ml.hub.fetch import pull

    with _Transfer("pulling") as bar:
        pulled = pull(at.store, at.keys, target, tag=tag, check=_require_bot, progress=bar.show)
    revision = pulled.revision
    if pulled.already:
        click.echo(f"{revision.tag} is in place already; nothing was changed")
        return
    click.echo(f"pulled  {revision.tag} from {at.store.place}: {len(revision.files)} files, signed and whole")
    click.echo(f"models  {target.models}, trained on bars to {revision.train_cutoff_date}, {_approval(revision)}")
    for change in pulled.changes:
        click.echo(f"{target.config}  {change}")
    click.echo("next    restart the bot; `--rollback` puts the set before it back")


def _list(at: _Hub, target: Deployment) -> None:
    from commands.shared.tables import print_table
    from ml.hub.catalogue import Untrusted, catalogue, installed_revision

    found = catalogue(at.store, at.keys)
    if not found:
        click.echo(f"nothing is published at {at.store.place} yet; `novosky hub push` publishes the first revision")
        return
    present = installed_revision(target.models)
    columns = ("tag", "number", "created", "profile", "approved", "bars to", "bytes", "here")
    rows = [
        (each.tag, *[""] * 6, "NOT TRUSTED")
        if isinstance(each, Untrusted)
        else (*_row(each.revision), "in place" if each.revision == present else "")
        for each in found
    ]
    print_table(at.store.place, columns, rows, left=len(columns))
    _refuse_untrusted(found)


def _row(revision: Revision) -> tuple[str, ...]:
    approved = "yes" if revision.approved else "no"
    texts = (revision.tag, str(revision.sequence), revision.created, revision.profile, approved)
    return (*texts, revision.train_cutoff_date[:10], f"{revision.size:,}")


def _verify(at: _Hub, tag: str | None) -> None:
    from ml.hub.catalogue import Untrusted, catalogue, read_published, verify_blobs
    from novosky.errors import ModelError

    found: Sequence[Published | Untrusted]
    found = catalogue(at.store, at.keys) if tag is None else [read_published(at.store, at.keys, tag)]
    bad = 0
    for each in found:
        if isinstance(each, Untrusted):
            continue
        wrong = verify_blobs(at.store, each.revision)
        bad += bool(wrong)
        count = len(each.revision.files)
        click.echo(f"{each.revision.tag}  " + (f"DAMAGED: {'; '.join(wrong)}" if wrong else f"{count} files whole"))
    _refuse_untrusted(found)
    if bad:
        raise ModelError(f"{bad} revision(s) at {at.store.place} are damaged; publish them anew under other tags")
    click.echo(f"verified  {len(found)} revision(s) at {at.store.place}")


def _refuse_untrusted(found: Sequence[Published | Untrusted]) -> None:
    from ml.hub.catalogue import Untrusted
    from novosky.errors import ModelError

    reasons = [each.reason for each in found if isinstance(each, Untrusted)]
    if reasons:
        raise ModelError(" ".join(reasons))


def _rollback(target: Deployment) -> None:
    from ml.hub.fetch import roll_back

    revision = roll_back(target)
    name = "the set before the last deployment" if revision is None else revision.tag
    click.echo(f"back to {name}: models and settings; another --rollback undoes this")
    click.echo("next    restart the bot; a --pull without --revision takes the newest approved revision again")


def _require_bot(deployment: Deployment) -> None:
    """Load what a bot would load; its errors say what is wrong."""
    from ml.load_models import load_deployment

    load_deployment(deployment)


def _approval(revision: Revision) -> str:
    return f"approved for {revision.profile}" if revision.approved else f"a draft for {revision.profile}, not approved"


class _Transfer:
    """A bar on stderr; standard output carries the result alone."""

    def __init__(self, verb: str) -> None:
        self._verb = verb

    def __enter__(self) -> _Transfer:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

        columns = (TextColumn("{task.description:<48}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        self._bar = Progress(*columns, console=Console(stderr=True))
        self._task = self._bar.add_task(self._verb, total=None, visible=False)
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, what: str, done: int, total: int) -> None:
        """Show a step; the shape of `ml.hub.publish.Progress`."""
        if not self._bar.live.is_started:
            # Not before there is something to show: an error would stand under an empty bar.
            self._bar.start()
        self._bar.update(self._task, description=f"{self._verb} {what}", completed=done, total=total, visible=total > 0)
