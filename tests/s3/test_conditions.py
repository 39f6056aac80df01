"""Conditional requests: one compare in the index, for reading, writing, copying and deleting."""
import concurrent.futures, datetime

from botocore.exceptions import ClientError

from gateway import PART, Gateway, client

PAST, FUTURE = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days) for days in (-1, 1))
WRONG = '"0123456789abcdef0123456789abcdef"'


class Conditions(Gateway):
    def test_reading(self):
        etag = self.put("read")["ETag"]
        self.assertEqual(self.content("read", IfMatch=etag), b"content")
        self.assertEqual(self.content("read", IfMatch="*"), b"content")
        self.assertEqual(self.content("read", IfNoneMatch=WRONG), b"content")
        self.assertEqual(self.content("read", IfModifiedSince=PAST), b"content")
        self.assertEqual(self.content("read", IfUnmodifiedSince=FUTURE), b"content")
        self.refused("PreconditionFailed", 412, self.get, "read", IfMatch=WRONG)
        self.refused("PreconditionFailed", 412, self.get, "read", IfUnmodifiedSince=PAST)
        self.refused("304", 304, self.get, "read", IfNoneMatch=etag)
        self.refused("304", 304, self.head, "read", IfNoneMatch=etag)
        self.refused("304", 304, self.get, "read", IfModifiedSince=datetime.datetime.now(datetime.timezone.utc))
        # By RFC 9110 the tag counts and not the time beside it.
        self.assertEqual(self.content("read", IfMatch=etag, IfUnmodifiedSince=PAST), b"content")
        self.refused("304", 304, self.get, "read", IfNoneMatch=etag, IfModifiedSince=PAST)

    def test_writing_only_what_is_not_there(self):
        self.put("new", b"first", IfNoneMatch="*")
        self.refused("PreconditionFailed", 412, self.put, "new", b"second", IfNoneMatch="*")
        self.assertEqual(self.content("new"), b"first")

    def test_writing_only_over_what_is_known(self):
        etag = self.put("known", b"first")["ETag"]
        next_etag = self.put("known", b"second", IfMatch=etag)["ETag"]
        self.refused("PreconditionFailed", 412, self.put, "known", b"third", IfMatch=etag)
        self.assertEqual(self.content("known"), b"second")
        self.refused("NoSuchKey", 404, self.put, "missing", b"x", IfMatch=next_etag)
        self.assertEqual(self.keys(), ["known"])

    def test_deleting_only_what_is_known(self):
        etag = self.put("going")["ETag"]
        self.refused("PreconditionFailed", 412, self.s3.delete_object, Bucket=self.bucket, Key="going", IfMatch=WRONG)
        self.s3.delete_object(Bucket=self.bucket, Key="going", IfMatch=etag)
        self.assertEqual(self.keys(), [])

    def test_completing_only_what_is_not_there(self):
        self.put("parts", b"there")
        upload = self.s3.create_multipart_upload(Bucket=self.bucket, Key="parts")["UploadId"]
        part = self.s3.upload_part(Bucket=self.bucket, Key="parts", UploadId=upload, PartNumber=1, Body=b"other")
        named = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        complete = dict(Bucket=self.bucket, Key="parts", UploadId=upload, MultipartUpload=named)
        self.refused("PreconditionFailed", 412, self.s3.complete_multipart_upload, IfNoneMatch="*", **complete)
        self.assertEqual(self.content("parts"), b"there")
        self.s3.complete_multipart_upload(IfMatch=self.head("parts")["ETag"], **complete)
        self.assertEqual(self.content("parts"), b"other")

    def test_copying(self):
        etag = self.put("source")["ETag"]
        copy = lambda **more: self.s3.copy_object(Bucket=self.bucket, Key="copy", CopySource=f"{self.bucket}/source", **more)
        self.refused("PreconditionFailed", 412, copy, CopySourceIfMatch=WRONG)
        self.refused("PreconditionFailed", 412, copy, CopySourceIfNoneMatch=etag)
        self.refused("PreconditionFailed", 412, copy, CopySourceIfModifiedSince=FUTURE - datetime.timedelta(hours=23, minutes=59))
        self.refused("PreconditionFailed", 412, copy, CopySourceIfUnmodifiedSince=PAST)
        self.assertEqual(self.keys(), ["source"])
        copy(CopySourceIfMatch=etag)
        copy(CopySourceIfNoneMatch=WRONG)
        self.assertEqual(self.keys(), ["copy", "source"])

    def test_of_two_hundred_that_want_to_be_the_first_one_is(self):
        clients = [client(config={"max_pool_connections": 30}) for _ in range(2)]

        def attempt(number):
            try:
                clients[number % 2].put_object(Bucket=self.bucket, Key="once", Body=str(number), IfNoneMatch="*")
                return number
            except ClientError as error:
                if error.response["Error"]["Code"] not in ("PreconditionFailed", "ConditionalRequestConflict"):
                    raise
                return None

        with concurrent.futures.ThreadPoolExecutor(50) as pool:
            winners = [number for number in pool.map(attempt, range(200)) if number is not None]
        self.assertEqual(len(winners), 1)
        self.assertEqual(self.content("once"), str(winners[0]).encode())

    def test_a_counter_that_many_raise_loses_nothing(self):
        self.put("counter", b"0")

        def raise_it(_):
            while True:
                got = self.get("counter")
                number = int(got["Body"].read())
                try:
                    self.put("counter", str(number + 1).encode(), IfMatch=got["ETag"])
                    return
                except ClientError as error:
                    if error.response["Error"]["Code"] not in ("PreconditionFailed", "ConditionalRequestConflict"):
                        raise

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(raise_it, range(40)))
        self.assertEqual(self.content("counter"), b"40")
