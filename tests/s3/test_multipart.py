"""Uploads in parts: whole or not at all, in any order, from anywhere."""
import hashlib

from gateway import PART, Gateway, body


class Multipart(Gateway):
    def begin(self, key="parts", **more):
        return self.s3.create_multipart_upload(Bucket=self.bucket, Key=key, **more)["UploadId"]

    def part(self, upload, number, content, key="parts", **more):
        answer = self.s3.upload_part(Bucket=self.bucket, Key=key, UploadId=upload, PartNumber=number, Body=content, **more)
        return {"PartNumber": number, "ETag": answer["ETag"]}

    def complete(self, upload, parts, key="parts", **more):
        return self.s3.complete_multipart_upload(Bucket=self.bucket, Key=key, UploadId=upload,
                                                 MultipartUpload={"Parts": parts}, **more)

    def test_parts_become_one_object_in_the_order_of_their_numbers(self):
        contents = {1: body(PART, 1), 2: body(PART + 17, 2), 7: body(1234, 7)}
        upload = self.begin(ContentType="text/x-parts", Metadata={"from": "parts"})
        parts = [self.part(upload, number, contents[number]) for number in (7, 1, 2)]
        self.refused("NoSuchKey", 404, self.get, "parts")
        done = self.complete(upload, sorted(parts, key=lambda part: part["PartNumber"]))
        whole = b"".join(contents[number] for number in (1, 2, 7))
        md5s = b"".join(hashlib.md5(contents[number]).digest() for number in (1, 2, 7))
        self.assertEqual(done["ETag"], f'"{hashlib.md5(md5s).hexdigest()}-3"')
        got = self.get("parts")
        self.assertEqual(got["Body"].read(), whole)
        self.assertEqual((got["ETag"], got["ContentType"], got["Metadata"]), (done["ETag"], "text/x-parts", {"from": "parts"}))
        self.assertEqual(self.path("parts").read_bytes(), whole)
        self.assertEqual(self.content("parts", PartNumber=2), contents[2])
        self.assertEqual(self.head("parts", PartNumber=2)["PartsCount"], 3)
        told = self.s3.get_object_attributes(Bucket=self.bucket, Key="parts", ObjectAttributes=["ObjectParts"], MaxParts=2)
        self.assertEqual([part["Size"] for part in told["ObjectParts"]["Parts"]], [PART, PART + 17])
        self.assertEqual((told["ObjectParts"]["TotalPartsCount"], told["ObjectParts"]["NextPartNumberMarker"]), (3, 2))

    def test_a_part_that_is_sent_again_replaces_the_first(self):
        upload = self.begin()
        self.part(upload, 1, b"first")
        again = self.part(upload, 1, b"second")
        self.complete(upload, [again])
        self.assertEqual(self.content("parts"), b"second")

    def test_parts_that_are_not_named_are_left_out(self):
        upload = self.begin()
        first = self.part(upload, 1, b"first")
        self.part(upload, 2, b"second")
        self.complete(upload, [first])
        self.assertEqual(self.content("parts"), b"first")

    def test_what_is_wrong_with_the_parts_is_told_and_the_upload_lives_on(self):
        upload = self.begin()
        small, large = self.part(upload, 1, b"small"), self.part(upload, 2, body(PART))
        wrong = {"PartNumber": 2, "ETag": '"0123456789abcdef0123456789abcdef"'}
        self.refused("EntityTooSmall", 400, self.complete, upload, [small, large])
        self.refused("InvalidPartOrder", 400, self.complete, upload, [large, small])
        self.refused("InvalidPart", 400, self.complete, upload, [wrong])
        self.refused("InvalidPart", 400, self.complete, upload, [{"PartNumber": 3, "ETag": small["ETag"]}])
        self.refused("MalformedXML", 400, self.complete, upload, [])
        self.complete(upload, [large])
        self.assertEqual(self.content("parts"), body(PART))

    def test_part_numbers_have_limits(self):
        upload = self.begin()
        for number in (0, 10_001):
            self.refused("InvalidArgument", 400, self.part, upload, number, b"x")
        self.complete(upload, [self.part(upload, 10_000, b"last")])
        self.assertEqual(self.content("parts"), b"last")

    def test_an_aborted_upload_leaves_nothing(self):
        upload = self.begin()
        self.part(upload, 1, body(PART))
        self.s3.abort_multipart_upload(Bucket=self.bucket, Key="parts", UploadId=upload)
        self.assertEqual(self.s3.list_multipart_uploads(Bucket=self.bucket).get("Uploads", []), [])
        self.refused("NoSuchUpload", 404, self.part, upload, 1, b"x")
        self.refused("NoSuchUpload", 404, self.complete, upload, [{"PartNumber": 1, "ETag": '"00"'}])
        self.refused("NoSuchUpload", 404, self.s3.list_parts, Bucket=self.bucket, Key="parts", UploadId=upload)
        self.refused("NoSuchUpload", 404, self.s3.abort_multipart_upload, Bucket=self.bucket, Key="parts", UploadId="../../etc")
        self.assertEqual(self.keys(), [])

    def test_an_upload_belongs_to_its_key(self):
        upload = self.begin("one")
        self.refused("NoSuchUpload", 404, self.part, upload, 1, b"x", key="other")

    def test_uploads_and_parts_are_listed_by_pages(self):
        uploads = [(key, self.begin(key)) for key in ("a/1", "a/1", "b", "c/d/e")]
        listed = self.s3.list_multipart_uploads(Bucket=self.bucket)["Uploads"]
        self.assertEqual(sorted((each["Key"], each["UploadId"]) for each in listed), sorted(uploads))
        self.assertEqual([each["Key"] for each in listed], ["a/1", "a/1", "b", "c/d/e"])
        pages = self.s3.get_paginator("list_multipart_uploads").paginate(Bucket=self.bucket, MaxUploads=1)
        paged = [(each["Key"], each["UploadId"]) for page in pages for each in page.get("Uploads", [])]
        self.assertEqual(sorted(paged), sorted(uploads))
        grouped = self.s3.list_multipart_uploads(Bucket=self.bucket, Delimiter="/")
        self.assertEqual([each["Prefix"] for each in grouped["CommonPrefixes"]], ["a/", "c/"])
        key, upload = uploads[0]
        for number in range(1, 6):
            self.part(upload, number, bytes(number), key=key)
        pages = self.s3.get_paginator("list_parts").paginate(Bucket=self.bucket, Key=key, UploadId=upload, MaxParts=2)
        parts = [part for page in pages for part in page.get("Parts", [])]
        self.assertEqual([(part["PartNumber"], part["Size"]) for part in parts], [(n, n) for n in range(1, 6)])

    def test_parts_are_copied_from_other_objects(self):
        content = body(2 * PART + 3)
        self.put("source", content)
        upload = self.begin()
        parts = []
        for number, span in enumerate((f"bytes=0-{PART - 1}", f"bytes={PART}-{2 * PART + 2}"), 1):
            copied = self.s3.upload_part_copy(Bucket=self.bucket, Key="parts", UploadId=upload, PartNumber=number,
                                              CopySource={"Bucket": self.bucket, "Key": "source"}, CopySourceRange=span)
            parts.append({"PartNumber": number, "ETag": copied["CopyPartResult"]["ETag"]})
        done = self.complete(upload, parts)
        self.assertEqual(self.content("parts"), content)
        md5s = hashlib.md5(content[:PART]).digest() + hashlib.md5(content[PART:]).digest()
        self.assertEqual(done["ETag"], f'"{hashlib.md5(md5s).hexdigest()}-2"')

    def test_uploads_are_no_objects_and_not_in_the_mount(self):
        upload = self.begin("deep/er")
        self.part(upload, 1, b"x", key="deep/er")
        self.assertEqual(self.keys(), [])
        self.assertEqual(list(self.path().iterdir()), [])
