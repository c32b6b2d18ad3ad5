"""A small DVC project whose outputs are in its bucket."""

import hashlib
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from headrace.flow.transfer import push
from headrace.project.remote import add_remote
from headrace.project.setup import ensure_set_up
from headrace.settings import Settings
from tests.projects import BIN, GIT
from tests.services import ObjectStore

DAG = """stages:
  make:
    cmd: mkdir -p data/many && echo one > data/many/1 && echo two > data/many/2 && echo alone > data/one && echo 0 > data/here
    outs: [data/many, data/one, data/here: {cache: false}]
"""
TWO, ALONE = (hashlib.md5(content, usedforsecurity=False).hexdigest() for content in (b"two\n", b"alone\n"))


def key(md5: str) -> str:
    return f"team/files/md5/{md5[:2]}/{md5[2:]}"


@dataclass
class SentProject:
    """A project whose outputs are in its bucket."""

    settings: Settings
    store: ObjectStore
    bucket: str

    def delete(self, md5: str) -> None:
        self.store.client().delete_object(Bucket=self.bucket, Key=key(md5))

    def overwrite(self, md5: str, content: bytes) -> None:
        self.store.client().put_object(Bucket=self.bucket, Key=key(md5), Body=content)

    def elsewhere(self, folder: Path) -> Settings:
        """A checkout on a machine that has nothing but the bucket."""
        shutil.copytree(self.settings.project, folder, ignore=shutil.ignore_patterns("data", "tmp", ".headrace"))
        settings = Settings(project=folder, home=folder.parent / f"{folder.name}-home")
        ensure_set_up(settings)
        return settings


def make_sent(store: ObjectStore, folder: Path) -> SentProject:
    """The project in a new folder, with all of it sent; the variables of a client of the store must be set."""
    folder.mkdir()
    (folder / "dvc.yaml").write_text(DAG)
    subprocess.run([*GIT, "init", "-q"], cwd=folder, check=True)
    (folder / ".dvc").mkdir()
    (folder / ".dvc" / "config").write_text("[core]\n    analytics = false\n")
    settings = Settings(project=folder, home=folder.parent / "home")
    ensure_set_up(settings)
    subprocess.run([BIN / "dvc", "repro", "-q"], cwd=folder, check=True)
    bucket = store.make_bucket()
    add_remote(settings, f"s3://{bucket}/team/", name="storage")
    push(settings, lambda _: None)
    return SentProject(settings, store, bucket)
