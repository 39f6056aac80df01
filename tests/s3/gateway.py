"""What every file of the suite uses: the gateway under test, named by the environment, and buckets that go again.

AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY name the gateway, MOUNT the same files through a mount,
PROGRAMS, DATA and LOG the programs, the data directory and the log of its node."""
import json, os, pathlib, random, subprocess, time, unittest, uuid

import boto3
from botocore.client import Config
from botocore.exceptions import ClientError

URL = os.environ["AWS_ENDPOINT_URL"]
MOUNT = pathlib.Path(os.environ["MOUNT"])
PART = 5 * 1024 * 1024
DEADLINE_S = 30


def client(url=URL, **settings):
    given = settings.pop("config", {})
    config = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, read_timeout=60, **given)
    return boto3.client("s3", endpoint_url=url, region_name="us-east-1", config=config, **settings)


def program(name):
    return os.path.join(os.environ["PROGRAMS"], name)


def control(*arguments):
    """What `wolfdiskctl s3 ..` answers, or raises CalledProcessError."""
    command = [program("wolfdiskctl"), "--data-dir", os.environ["DATA"], "--json", "s3", *arguments]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout)


def client_of(key, **settings):
    """A client with a key as `control` gives it."""
    return client(aws_access_key_id=key["access_key"], aws_secret_access_key=key["secret_key"], **settings)


def body(size, seed=1):
    return random.Random(seed).randbytes(size)


def wait(what, condition):
    """Until it holds."""
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, f"{what} took more than {DEADLINE_S} s"
        time.sleep(0.05)


class Gateway(unittest.TestCase):
    """A test with a client and a bucket of its own."""

    @classmethod
    def setUpClass(cls):
        cls.s3 = client()

    def setUp(self):
        self.bucket = self.make_bucket()

    def make_bucket(self):
        name = f"test-{uuid.uuid4().hex[:16]}"
        self.s3.create_bucket(Bucket=name)
        self.addCleanup(self.remove_bucket, name)
        return name

    def remove_bucket(self, name):
        try:
            for upload in self.s3.list_multipart_uploads(Bucket=name).get("Uploads", []):
                self.s3.abort_multipart_upload(Bucket=name, Key=upload["Key"], UploadId=upload["UploadId"])
            for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket=name):
                for entry in page.get("Contents", []):
                    self.s3.delete_object(Bucket=name, Key=entry["Key"])
            self.s3.delete_bucket(Bucket=name)
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchBucket":
                raise

    def put(self, key, content=b"content", **more):
        return self.s3.put_object(Bucket=self.bucket, Key=key, Body=content, **more)

    def get(self, key, **more):
        return self.s3.get_object(Bucket=self.bucket, Key=key, **more)

    def content(self, key, **more):
        return self.get(key, **more)["Body"].read()

    def head(self, key, **more):
        return self.s3.head_object(Bucket=self.bucket, Key=key, **more)

    def keys(self, **more):
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, **more)
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def refused(self, code, status, call, *args, **more):
        """The call is refused with just this code and HTTP status."""
        with self.assertRaises(ClientError) as caught:
            call(*args, **more)
        error = caught.exception.response
        self.assertEqual((error["Error"]["Code"], error["ResponseMetadata"]["HTTPStatusCode"]), (code, status))
        return error

    def path(self, key=""):
        """Where the mount has a key."""
        return MOUNT / self.bucket / key
