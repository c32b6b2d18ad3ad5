"""A project that takes its records from a bucket and a database, from `sources refresh` to a run that has nothing to do."""

import io
import json
from pathlib import Path

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from tests.faulty_proxy import FaultyProxy, proxy
from tests.postgres import Postgres
from tests.projects import make_project
from tests.services import ObjectStore

DAG = """
stages:
  collect:
    cmd: python -m headrace.stages collect --sources data/sources.lock --out data/raw --report reports/collect.json
    deps: [data/sources.lock]
    params: [collect]
    outs: [data/raw]
    metrics: [reports/collect.json]
  after:
    cmd: mkdir -p out && ls data/raw > out/after
    deps: [data/raw]
    outs: [out/after]
"""
PARAMS = """
collect:
  task: image_classification
  format: parquet
  options: {{payload: image, payload_as: bytes, label: label}}
  sources:
    - {{kind: s3, name: photos, bucket: {bucket}, prefix: in/}}
    - kind: sql
      name: shop
      url: {url}
      query: select id, image, label from pictures
      order_by: [id]
      marker: select count(*), max(id) from pictures
"""
SECRETS = ("HEADRACE_SQL_PASSWORD_SHOP", "AWS_SECRET_ACCESS_KEY")


def picture(shade: int) -> bytes:
    held = io.BytesIO()
    Image.new("L", (8, 8), shade).save(held, "PNG")
    return held.getvalue()


def table(shade: int, label: str) -> bytes:
    held = io.BytesIO()
    schema = pa.schema([("id", pa.int64()), ("image", pa.binary()), ("label", pa.string())])
    pq.write_table(pa.table({"id": [shade], "image": [picture(shade)], "label": [label]}, schema=schema), held)
    return held.getvalue()


def insert(server: Postgres, database: str, shade: int, label: str) -> None:
    with psycopg.connect(server.url(database, password=True)) as connection:
        connection.execute("insert into pictures values (%s, %s, %s)", (shade, picture(shade), label))


@pytest.fixture
def web(object_store: ObjectStore):
    with proxy(object_store.endpoint) as found:
        yield found


def test_a_bucket_and_a_database_feed_a_run(
    object_store: ObjectStore, postgres_server: Postgres, web: FaultyProxy, tmp_path: Path
) -> None:
    """New records run what they concern; where nothing is new, marks are looked at and nothing else happens."""
    bucket, database = object_store.make_bucket(), postgres_server.make_database()
    postgres_server.execute(database, "create table pictures (id bigint primary key, image bytea, label text)")
    client = object_store.client()
    for shade, label in ((10, "dark"), (200, "light")):
        client.put_object(Bucket=bucket, Key=f"in/{shade}.parquet", Body=table(shade, label))
        insert(postgres_server, database, shade + 1, label)
    files = {
        "dvc.yaml": DAG,
        "params.yaml": PARAMS.format(bucket=bucket, url=postgres_server.url(database)),
        ".gitignore": "/data/*\n!/data/sources.lock\n/reports/\n/out/\n/.headrace/\n",
    }
    keys = {name: value for name, value in object_store.variables.items() if "ENDPOINT" not in name}
    keys |= {"AWS_ENDPOINT_URL_S3": web.url, "HEADRACE_SQL_PASSWORD_SHOP": postgres_server.password}
    project = make_project(tmp_path / "project", tmp_path / "home", files, **keys)
    folder = project.folder

    project.headrace("setup")
    first = project.headrace("sources", "refresh").stdout
    assert first.count("added") == 3  # two objects and a file of rows
    project.run("dvc", "repro", "-q")
    assert json.loads((folder / "reports" / "collect.json").read_text())["rows"] == 4

    web.asked.clear()
    assert project.headrace("sources", "refresh").stdout == "no source has changed\n"
    assert [path.partition("?")[0] for path in web.asked] == [f"GET /{bucket}"]
    web.asked.clear()
    assert "up to date" in project.headrace("run").stdout
    assert web.asked == []

    client.put_object(Bucket=bucket, Key="in/90.parquet", Body=table(90, "dark"))
    insert(postgres_server, database, 91, "dark")
    web.asked.clear()
    assert project.headrace("sources", "refresh").stdout.count("\n") == 3  # one added, one changed, what to type next
    assert len(web.asked) == 2
    project.run("dvc", "repro", "-q")
    assert json.loads((folder / "reports" / "collect.json").read_text())["rows"] == 6

    left = [path for top in (folder, tmp_path / "home") for path in top.rglob("*") if path.is_file()]
    assert not [path for path in left for name in SECRETS if project.variables[name].encode() in path.read_bytes()]
