"""Make the bucket if it is missing: python make_bucket.py headrace. Endpoint and keys as boto3 reads them.

Run once by infra/compose.yaml and infra/k8s/overlays/local, whose S3 servers start empty.
"""

import sys
import time

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

PATIENCE_S = 120
OURS = {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}


def make(bucket: str) -> str:
    """Make it; returns what to say. Raises what S3 answers, once the server has had two minutes to come up."""
    client = boto3.client("s3", config=Config(connect_timeout=3, read_timeout=10, retries={"max_attempts": 1}))
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            client.create_bucket(Bucket=bucket)
        except ClientError as error:
            if error.response["Error"]["Code"] in OURS:
                return f"{bucket} was there"
            if error.response["ResponseMetadata"]["HTTPStatusCode"] < 500 or time.monotonic() > deadline:
                raise
        except BotoCoreError:
            if time.monotonic() > deadline:
                raise
        else:
            return f"{bucket} made"
        time.sleep(1)


if __name__ == "__main__":
    sys.stdout.write(f"{make(sys.argv[1])}\n")
