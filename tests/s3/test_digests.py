"""Bodies of XML that are not what was announced."""
import base64, hashlib

from bare import signed
from gateway import Gateway


class Digests(Gateway):
    BODIES = [
        ("POST", "?delete", b"<Delete><Object><Key>key</Key></Object></Delete>"),
        ("PUT", "?tagging", b"<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"),
        ("PUT", "/key?tagging", b"<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"),
        ("PUT", "?cors", b"<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET"
                         b"</AllowedMethod></CORSRule></CORSConfiguration>"),
        ("PUT", "?lifecycle", b"<LifecycleConfiguration><Rule><Status>Enabled</Status><Filter><Prefix>none</Prefix>"
                              b"</Filter><Expiration><Days>1</Days></Expiration></Rule></LifecycleConfiguration>"),
    ]

    def test_a_body_that_is_not_what_was_announced_changes_nothing(self):
        self.put("key")
        wrong = base64.b64encode(hashlib.md5(b"other").digest()).decode()
        for method, path, body in self.BODIES:
            for headers, code in [
                ({"Content-MD5": wrong}, "BadDigest"),
                ({"Content-MD5": "bm9uZQ=="}, "InvalidDigest"),
                ({"x-amz-checksum-crc32": "AAAAAA=="}, "BadDigest"),
                ({"x-amz-checksum-sha256": "nonsense"}, "InvalidRequest"),
            ]:
                with self.subTest(path=path, headers=headers):
                    status, _, content = signed(method, f"/{self.bucket}{path}", body, headers)
                    self.assertEqual(status, 400)
                    self.assertIn(f"<Code>{code}</Code>", content)
        self.assertEqual(self.content("key"), b"content")
        self.assertEqual(self.s3.get_object_tagging(Bucket=self.bucket, Key="key")["TagSet"], [])
        self.refused("NoSuchTagSet", 404, self.s3.get_bucket_tagging, Bucket=self.bucket)
        self.refused("NoSuchCORSConfiguration", 404, self.s3.get_bucket_cors, Bucket=self.bucket)
        call = self.s3.get_bucket_lifecycle_configuration
        self.refused("NoSuchLifecycleConfiguration", 404, call, Bucket=self.bucket)

    def test_one_that_is_is_taken(self):
        self.put("key")
        for method, path, body in reversed(self.BODIES):
            md5 = base64.b64encode(hashlib.md5(body).digest()).decode()
            status, _, content = signed(method, f"/{self.bucket}{path}", body, {"Content-MD5": md5})
            self.assertIn(status, (200, 204), content)
        self.assertEqual(self.keys(), [])
        self.assertEqual(self.s3.get_bucket_tagging(Bucket=self.bucket)["TagSet"], [{"Key": "a", "Value": "b"}])
