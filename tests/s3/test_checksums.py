"""Checksums: verified against the bytes that came, kept, and given back; nothing is stored when one is wrong."""
import base64, hashlib, zlib

from gateway import PART, Gateway, body, client

ALGORITHMS = ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256")
SHA256 = lambda content: base64.b64encode(hashlib.sha256(content).digest()).decode()
CRC32 = lambda content: base64.b64encode(zlib.crc32(content).to_bytes(4, "big")).decode()


class Checksums(Gateway):
    def test_one_given_ahead_is_verified_kept_and_told(self):
        content = body(100_000)
        self.put("ahead", content, ChecksumSHA256=SHA256(content))
        self.assertEqual(self.head("ahead", ChecksumMode="ENABLED")["ChecksumSHA256"], SHA256(content))
        self.assertNotIn("ChecksumSHA256", self.head("ahead"))
        got = self.get("ahead", ChecksumMode="ENABLED")
        self.assertEqual((got["Body"].read(), got["ChecksumSHA256"]), (content, SHA256(content)))

    def test_the_default_of_clients_is_kept(self):
        content = body(70_000)
        put = self.put("default", content)
        self.assertEqual(put.get("ChecksumCRC32"), CRC32(content))
        self.assertEqual(self.head("default", ChecksumMode="ENABLED")["ChecksumCRC32"], CRC32(content))

    def test_every_algorithm_that_the_client_has(self):
        for algorithm in ALGORITHMS:
            try:
                put = self.put(algorithm, body(10_000), ChecksumAlgorithm=algorithm)
            except Exception as error:  # CRC32C and CRC64NVME need a part of botocore that is not always there
                if "MissingDependency" in type(error).__name__:
                    continue
                raise
            head = self.head(algorithm, ChecksumMode="ENABLED")
            self.assertEqual(head[f"Checksum{algorithm}"], put[f"Checksum{algorithm}"])
            self.assertEqual(head["ChecksumType"], "FULL_OBJECT")

    def test_a_wrong_one_stores_nothing(self):
        self.refused("BadDigest", 400, self.put, "wrong", b"content", ChecksumSHA256=SHA256(b"other"))
        self.refused("BadDigest", 400, self.put, "wrong", b"content", ChecksumCRC32=CRC32(b"other"))
        self.refused("BadDigest", 400, self.put, "wrong", b"content",
                     ContentMD5=base64.b64encode(hashlib.md5(b"other").digest()).decode())
        self.refused("InvalidDigest", 400, self.put, "wrong", b"content", ContentMD5="no digest")
        self.assertEqual(self.keys(), [])

    def test_a_right_md5_is_taken(self):
        self.put("right", b"content", ContentMD5=base64.b64encode(hashlib.md5(b"content").digest()).decode())
        self.assertEqual(self.content("right"), b"content")

    def test_clients_without_checksums_are_served(self):
        plain = client(config={"request_checksum_calculation": "when_required", "response_checksum_validation": "when_required"})
        plain.put_object(Bucket=self.bucket, Key="plain", Body=b"content")
        self.assertEqual(plain.get_object(Bucket=self.bucket, Key="plain")["Body"].read(), b"content")

    def test_of_parts_there_is_one_of_all(self):
        contents = [body(PART, 1), body(1000, 2)]
        upload = self.s3.create_multipart_upload(Bucket=self.bucket, Key="parts", ChecksumAlgorithm="SHA256")["UploadId"]
        parts = []
        for number, content in enumerate(contents, 1):
            sent = self.s3.upload_part(Bucket=self.bucket, Key="parts", UploadId=upload, PartNumber=number, Body=content,
                                       ChecksumAlgorithm="SHA256")
            self.assertEqual(sent["ChecksumSHA256"], SHA256(content))
            parts.append({"PartNumber": number, "ETag": sent["ETag"], "ChecksumSHA256": sent["ChecksumSHA256"]})
        done = self.s3.complete_multipart_upload(Bucket=self.bucket, Key="parts", UploadId=upload,
                                                 MultipartUpload={"Parts": parts})
        of_all = hashlib.sha256(b"".join(hashlib.sha256(content).digest() for content in contents)).digest()
        self.assertEqual(done["ChecksumSHA256"], base64.b64encode(of_all).decode() + "-2")
        head = self.head("parts", ChecksumMode="ENABLED")
        self.assertEqual((head["ChecksumSHA256"], head["ChecksumType"]), (done["ChecksumSHA256"], "COMPOSITE"))
