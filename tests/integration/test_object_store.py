"""The local S3 server: a client's round trips, its keys, its disk, a power cut."""

import os
import threading
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from tests.services import ObjectStore, ensure_swift, free_port

from headrace.errors import ConfigError, EngineError
from headrace.services import object_store as room
from headrace.services.asking import ask
from headrace.services.operations import private_files
from headrace.services.probes import prove_object_store

PART_BYTES = 5 * 1024**2


def code_of(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


def test_what_is_put_is_got(object_store: ObjectStore) -> None:
    client, bucket = object_store.client(), object_store.make_bucket()
    content = os.urandom(1_000_000)

    client.put_object(Bucket=bucket, Key="folder/name with spaces & ü.bin", Body=content)

    assert client.get_object(Bucket=bucket, Key="folder/name with spaces & ü.bin")["Body"].read() == content
    assert [each["Key"] for each in client.list_objects_v2(Bucket=bucket)["Contents"]] == ["folder/name with spaces & ü.bin"]


@pytest.mark.parametrize(("access_key", "secret_key"), [("headrace:local", "wrong"), ("test:tester", "testing")])
def test_wrong_keys_are_refused(object_store: ObjectStore, access_key: str, secret_key: str) -> None:
    bucket = object_store.make_bucket()
    client = object_store.client(access_key=access_key, secret_key=secret_key)

    with pytest.raises(ClientError) as refused:
        client.list_objects_v2(Bucket=bucket)

    assert code_of(refused) in {"SignatureDoesNotMatch", "InvalidAccessKeyId", "AccessDenied"}


def test_an_unsigned_client_is_refused(object_store: ObjectStore) -> None:
    bucket = object_store.make_bucket()
    object_store.client().put_object(Bucket=bucket, Key="key", Body=b"content")

    status, body = ask(f"{object_store.endpoint}/{bucket}/key")

    assert status in {400, 401, 403}
    assert b"content" not in body


def test_the_stores_behind_the_proxy_answer_the_proxy_only(object_store: ObjectStore) -> None:
    """Swift's own servers ask nobody who is there: any user of the machine could read and write through them."""
    for port in range(object_store.port + 1, object_store.port + 4):
        assert ask(f"http://127.0.0.1:{port}/disk/0/AUTH_headrace")[0] == 403
        assert ask(f"http://127.0.0.1:{port}/recon/version")[0] == 403


def test_it_listens_on_this_machine_only(object_store: ObjectStore) -> None:
    import psutil

    assert object_store.started is not None
    process = psutil.Process(object_store.started.process.pid)
    addresses = {each.laddr[0] for each in process.net_connections("tcp") if each.status == psutil.CONN_LISTEN}

    assert addresses == {"127.0.0.1"}


def test_a_wrong_checksum_is_refused(object_store: ObjectStore) -> None:
    client, bucket = object_store.client(), object_store.make_bucket()

    with pytest.raises(ClientError) as refused:
        client.put_object(Bucket=bucket, Key="key", Body=b"content", ContentMD5="AAAAAAAAAAAAAAAAAAAAAA==")

    assert code_of(refused) == "BadDigest"


def test_a_deleted_multipart_object_frees_its_disk(object_store: ObjectStore) -> None:
    """With Swift's default its parts stay until a daemon comes by that does not run here."""
    client, bucket = object_store.client(), object_store.make_bucket()
    devices = object_store.folder / room.NAME / "devices"

    def stored() -> int:
        return sum(path.stat().st_size for path in devices.rglob("*.data"))

    before = stored()
    upload = client.create_multipart_upload(Bucket=bucket, Key="large")["UploadId"]
    parts = [
        {"PartNumber": number, "ETag": client.upload_part(
            Bucket=bucket, Key="large", UploadId=upload, PartNumber=number, Body=os.urandom(PART_BYTES))["ETag"]}
        for number in (1, 2)
    ]  # fmt: skip
    client.complete_multipart_upload(Bucket=bucket, Key="large", UploadId=upload, MultipartUpload={"Parts": parts})
    assert stored() >= before + 2 * PART_BYTES

    client.delete_object(Bucket=bucket, Key="large")

    assert stored() < before + PART_BYTES


def test_acknowledged_objects_survive_a_kill(tmp_path: Path) -> None:
    """Kill -9 while clients write: what was acknowledged is there and whole, and it is listed."""
    store = ObjectStore(tmp_path / "store", free_port(4), ensure_swift())
    store.start()
    bucket, written = store.make_bucket(), []

    def write(worker: int) -> None:
        client = store.client(config=_impatient())
        for number in range(1000):
            key = f"{worker}-{number}"
            try:
                client.put_object(Bucket=bucket, Key=key, Body=key.encode() * 100)
            except Exception:  # noqa: BLE001  # the server is killed under it: any error will do
                return
            written.append(key)

    threads = [threading.Thread(target=write, args=(worker,)) for worker in range(2)]
    for thread in threads:
        thread.start()
    while len(written) < 30:
        threads[0].join(0.02)
    store.kill()
    for thread in threads:
        thread.join(60)
    store.start()
    try:
        client = store.client()
        listed = {
            each["Key"] for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket) for each in page["Contents"]
        }
        whole = [key for key in written if client.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode() * 100]

        assert whole == written
        assert listed >= set(written)
    finally:
        store.kill()


def _impatient() -> object:
    from botocore.config import Config

    return Config(retries={"max_attempts": 1}, connect_timeout=2, read_timeout=5)


def test_the_proof_of_doctor_passes_and_leaves_nothing(object_store: ObjectStore) -> None:
    said = prove_object_store(object_store.endpoint, object_store.secrets)

    assert "without the key refused" in said
    assert "headrace-doctor" not in {each["Name"] for each in object_store.client().list_buckets()["Buckets"]}


def test_the_proof_of_doctor_fails_when_nobody_answers(object_store: ObjectStore) -> None:
    with pytest.raises(EngineError):
        prove_object_store(f"http://127.0.0.1:{free_port()}", object_store.secrets)


def test_a_file_system_without_attributes_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Swift would answer 507 to the first upload, with the reason in no log."""

    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "setxattr", refuse)
    store = ObjectStore(tmp_path / "store", 9000, tmp_path)

    with pytest.raises(ConfigError, match="holds no user attributes"):
        room.configure(store.folder / room.NAME, store.secrets, 9000)


def test_a_lost_seed_is_not_made_anew_over_data(tmp_path: Path) -> None:
    """With another seed every object would look deleted."""
    store = ObjectStore(tmp_path / "store", 9000, tmp_path)
    home = store.folder / room.NAME
    with private_files():
        room.configure(home, store.secrets, 9000)
    (home / "devices" / "disk" / "objects").mkdir()
    (home / "etc" / "swift.conf").unlink()

    with pytest.raises(ConfigError, match=r"swift\.conf is gone"):
        room.configure(home, store.secrets, 9000)


def test_an_environment_that_cannot_be_made_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a package index: what to do, instead of pip's page of retries."""
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{free_port()}/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")

    with pytest.raises(EngineError, match="needs a package index once"):
        room.ensure_environment(tmp_path / "environment")
