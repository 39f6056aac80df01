"""Objects: written, read whole and in parts, described, copied and deleted."""
import hashlib

from gateway import Gateway, body

SIZES = (0, 1, 511, 513, 4096, 65536, 65537, 1_000_000, 4 * 1024 * 1024, 4 * 1024 * 1024 + 1, 9_500_000)


class Objects(Gateway):
    def test_what_was_put_is_what_is_got_at_every_size(self):
        for size in SIZES:
            with self.subTest(size):
                content = body(size, size)
                etag = self.put(f"size-{size}", content)["ETag"]
                self.assertEqual(etag, f'"{hashlib.md5(content).hexdigest()}"')
                got = self.get(f"size-{size}")
                self.assertEqual(got["Body"].read(), content)
                self.assertEqual((got["ETag"], got["ContentLength"]), (etag, size))
                self.assertEqual(self.path(f"size-{size}").read_bytes(), content)

    def test_a_put_replaces_and_the_last_one_counts(self):
        for number in range(5):
            self.put("same", str(number).encode() * (number + 1))
        self.assertEqual(self.content("same"), b"44444")

    def test_head_says_what_get_says(self):
        self.put("described", b"12345", ContentType="text/x-mine", CacheControl="max-age=5", ContentDisposition="inline",
                 ContentEncoding="identity", ContentLanguage="de", Metadata={"colour": "blue", "size": "tiny"})
        head, got = self.head("described"), self.get("described")
        for key in ("ContentType", "CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage", "Metadata",
                    "ETag", "ContentLength", "LastModified"):
            self.assertEqual(head[key], got[key], key)
        self.assertEqual(head["ContentType"], "text/x-mine")
        self.assertEqual(head["Metadata"], {"colour": "blue", "size": "tiny"})

    def test_ranges_are_just_what_was_asked_for(self):
        content = body(10_000_000)
        self.put("ranges", content)
        for asked, want in (
            ("bytes=0-0", content[:1]),
            ("bytes=5-9", content[5:10]),
            ("bytes=4194300-4194310", content[4194300:4194311]),
            ("bytes=9999999-", content[-1:]),
            ("bytes=-7", content[-7:]),
            ("bytes=9999990-99999999", content[-10:]),
        ):
            with self.subTest(asked):
                got = self.get("ranges", Range=asked)
                self.assertEqual(got["ResponseMetadata"]["HTTPStatusCode"], 206)
                self.assertEqual(got["Body"].read(), want)
                begin = len(content) - len(want) if asked.endswith(("-", "-7")) else int(asked[6:].split("-")[0])
                self.assertEqual(got["ContentRange"], f"bytes {begin}-{begin + len(want) - 1}/{len(content)}")
        error = self.refused("InvalidRange", 416, self.get, "ranges", Range="bytes=10000000-")
        self.assertEqual(error["ResponseMetadata"]["HTTPHeaders"].get("content-range", "bytes */10000000"), "bytes */10000000")

    def test_the_asker_may_override_headers_of_the_answer(self):
        self.put("overridden", ContentType="text/plain")
        got = self.get("overridden", ResponseContentType="application/x-other", ResponseCacheControl="no-store",
                       ResponseContentDisposition='attachment; filename="x"')
        self.assertEqual(got["ContentType"], "application/x-other")
        self.assertEqual(got["CacheControl"], "no-store")
        self.assertEqual(got["ContentDisposition"], 'attachment; filename="x"')

    def test_what_is_not_there_is_told_so(self):
        self.refused("NoSuchKey", 404, self.get, "missing")
        self.refused("404", 404, self.head, "missing")
        self.refused("NoSuchKey", 404, self.get, "missing/deeper")

    def test_deleting_is_done_once_and_never_refused(self):
        self.put("a/b/c")
        for _ in range(2):
            answer = self.s3.delete_object(Bucket=self.bucket, Key="a/b/c")
            self.assertEqual(answer["ResponseMetadata"]["HTTPStatusCode"], 204)
        self.assertEqual(self.keys(), [])
        self.assertEqual(list(self.path().iterdir()), [], "directories that keys implied go with the last of them")

    def test_a_thousand_are_deleted_by_one_request(self):
        for number in range(30):
            self.put(f"many/{number}")
        names = [{"Key": f"many/{number}"} for number in range(1000)]
        answer = self.s3.delete_objects(Bucket=self.bucket, Delete={"Objects": names})
        self.assertEqual(len(answer["Deleted"]), 1000)
        self.assertNotIn("Errors", answer)
        self.assertEqual(self.keys(), [])
        self.put("quiet")
        answer = self.s3.delete_objects(Bucket=self.bucket, Delete={"Objects": [{"Key": "quiet"}], "Quiet": True})
        self.assertNotIn("Deleted", answer)

    def test_copies_have_the_same_bytes_and_their_own_words(self):
        content = body(9_000_000)
        put = self.put("source", content, ContentType="text/x-first", Metadata={"a": "1"})
        source = {"Bucket": self.bucket, "Key": "source"}
        copied = self.s3.copy_object(Bucket=self.bucket, Key="as-it-was", CopySource=source)
        self.assertEqual(copied["CopyObjectResult"]["ETag"], put["ETag"])
        self.assertEqual(self.content("as-it-was"), content)
        self.assertEqual(self.head("as-it-was")["Metadata"], {"a": "1"})
        other = self.make_bucket()
        self.s3.copy_object(Bucket=other, Key="replaced", CopySource=source, MetadataDirective="REPLACE",
                            ContentType="text/x-second", Metadata={"b": "2"})
        head = self.s3.head_object(Bucket=other, Key="replaced")
        self.assertEqual((head["ContentType"], head["Metadata"]), ("text/x-second", {"b": "2"}))
        self.put("source", b"changed")
        self.assertEqual(self.content("as-it-was"), content, "a copy is no alias")
        self.refused("NoSuchKey", 404, self.s3.copy_object, Bucket=other, Key="x", CopySource=f"{self.bucket}/missing")
        self.refused("NoSuchBucket", 404, self.s3.copy_object, Bucket=other, Key="x", CopySource="never-made-bucket/key")

    def test_copying_onto_itself_needs_a_change(self):
        self.put("self", Metadata={"a": "1"})
        source = {"Bucket": self.bucket, "Key": "self"}
        self.refused("InvalidRequest", 400, self.s3.copy_object, Bucket=self.bucket, Key="self", CopySource=source)
        self.s3.copy_object(Bucket=self.bucket, Key="self", CopySource=source, MetadataDirective="REPLACE", Metadata={"b": "2"})
        self.assertEqual(self.head("self")["Metadata"], {"b": "2"})
        self.assertEqual(self.content("self"), b"content")

    def test_a_reader_that_has_begun_keeps_its_version_to_the_end(self):
        content = body(12_000_000)
        self.put("moving", content)
        stream = self.get("moving")["Body"]
        begun = stream.read(100_000)
        self.put("moving", b"other")
        self.assertEqual(begun + stream.read(), content)
        self.put("going", content)
        stream = self.get("going")["Body"]
        begun = stream.read(100_000)
        self.s3.delete_object(Bucket=self.bucket, Key="going")
        self.assertEqual(begun + stream.read(), content)

    def test_tags_are_kept_replaced_and_removed(self):
        self.put("tagged", Tagging="a=1&b=two%20words")
        tags = lambda: {tag["Key"]: tag["Value"] for tag in self.s3.get_object_tagging(Bucket=self.bucket, Key="tagged")["TagSet"]}
        self.assertEqual(tags(), {"a": "1", "b": "two words"})
        self.assertEqual(self.get("tagged")["TagCount"], 2)
        self.s3.put_object_tagging(Bucket=self.bucket, Key="tagged", Tagging={"TagSet": [{"Key": "c", "Value": "3"}]})
        self.assertEqual(tags(), {"c": "3"})
        self.assertEqual(self.content("tagged"), b"content")
        self.s3.delete_object_tagging(Bucket=self.bucket, Key="tagged")
        self.assertEqual(tags(), {})
        many = {"TagSet": [{"Key": str(number), "Value": "x"} for number in range(11)]}
        self.refused("BadRequest", 400, self.s3.put_object_tagging, Bucket=self.bucket, Key="tagged", Tagging=many)
        self.refused("NoSuchKey", 404, self.s3.get_object_tagging, Bucket=self.bucket, Key="missing")

    def test_attributes_are_told(self):
        put = self.put("attributes", b"12345", ChecksumAlgorithm="SHA256")
        asked = ["ETag", "Checksum", "ObjectSize", "StorageClass"]
        told = self.s3.get_object_attributes(Bucket=self.bucket, Key="attributes", ObjectAttributes=asked)
        self.assertEqual(told["ETag"].strip('"'), put["ETag"].strip('"'))
        self.assertEqual((told["ObjectSize"], told["StorageClass"]), (5, "STANDARD"))
        self.assertEqual(told["Checksum"]["ChecksumSHA256"], put["ChecksumSHA256"])
        told = self.s3.get_object_attributes(Bucket=self.bucket, Key="attributes", ObjectAttributes=["ObjectSize"])
        self.assertNotIn("ETag", told)
        self.refused("NoSuchKey", 404, self.s3.get_object_attributes, Bucket=self.bucket, Key="missing", ObjectAttributes=asked)
