"""Rules for web pages, and what browsers are told of them."""
import urllib.parse

from bare import raw, signed
from gateway import Gateway, client, wait

ORIGIN = "https://page.example"


class Cors(Gateway):
    RULES = [
        {"ID": "one", "AllowedOrigins": [ORIGIN], "AllowedMethods": ["PUT", "GET"], "AllowedHeaders": ["x-amz-*"],
         "ExposeHeaders": ["ETag"], "MaxAgeSeconds": 9},
        {"AllowedOrigins": ["http://*.other.example"], "AllowedMethods": ["HEAD"]},
    ]

    def put_rules(self, rules):
        self.s3.put_bucket_cors(Bucket=self.bucket, CORSConfiguration={"CORSRules": rules})

    def set_rules(self, rules):
        """Until they hold: what a gateway remembers of a bucket is a second old at the most."""
        self.put_rules(rules)
        wait("new rules", lambda: self.preflight(ORIGIN, "GET")[0] == 200)

    def preflight(self, origin, method, headers="", path="/key"):
        asked = {"Origin": origin, "Access-Control-Request-Method": method}
        if headers:
            asked["Access-Control-Request-Headers"] = headers
        return raw("OPTIONS", f"/{self.bucket}{path}", asked)

    def test_rules_come_back_and_go(self):
        self.refused("NoSuchCORSConfiguration", 404, self.s3.get_bucket_cors, Bucket=self.bucket)
        self.put_rules(self.RULES)
        self.assertEqual(self.s3.get_bucket_cors(Bucket=self.bucket)["CORSRules"], self.RULES)
        self.s3.delete_bucket_cors(Bucket=self.bucket)
        self.refused("NoSuchCORSConfiguration", 404, self.s3.get_bucket_cors, Bucket=self.bucket)

    def test_a_large_configuration_is_kept(self):
        def rules(length):
            return [{"ID": "i" * 255, "AllowedOrigins": [f"https://{'o' * length}{n}"], "AllowedMethods": ["GET"]}
                    for n in range(100)]

        self.put_rules(rules(550))
        self.refused("InvalidRequest", 400, self.put_rules, rules(700))
        self.assertEqual(self.s3.get_bucket_cors(Bucket=self.bucket)["CORSRules"], rules(550))

    def test_the_rules_of_rules_are_kept(self):
        def rule(**more):
            return {"AllowedOrigins": ["*"], "AllowedMethods": ["GET"], **more}

        self.refused("InvalidRequest", 400, self.put_rules, [rule()] * 101)
        self.refused("InvalidRequest", 400, self.put_rules, [rule(AllowedMethods=["PATCH"])])
        self.refused("InvalidRequest", 400, self.put_rules, [rule(AllowedOrigins=["*.*"])])
        self.refused("InvalidRequest", 400, self.put_rules, [rule(AllowedHeaders=["x-*-*"])])
        self.refused("InvalidRequest", 400, self.put_rules, [rule(ExposeHeaders=["*"])])
        self.refused("InvalidArgument", 400, self.put_rules, [rule(ID="i" * 256)])
        self.refused("MalformedXML", 400, self.put_rules, [])
        self.refused("NoSuchCORSConfiguration", 404, self.s3.get_bucket_cors, Bucket=self.bucket)

    def test_a_browser_is_told_before_a_request(self):
        self.set_rules(self.RULES)
        status, headers, content = self.preflight(ORIGIN, "PUT", "X-Amz-Date, x-amz-meta-a")
        self.assertEqual((status, content), (200, ""))
        self.assertEqual(headers["access-control-allow-origin"], ORIGIN)
        self.assertEqual(headers["access-control-allow-credentials"], "true")
        self.assertEqual(headers["access-control-allow-methods"], "PUT, GET")
        self.assertEqual(headers["access-control-allow-headers"], "X-Amz-Date, x-amz-meta-a")
        self.assertEqual(headers["access-control-expose-headers"], "ETag")
        self.assertEqual(headers["access-control-max-age"], "9")
        self.assertIn("Origin", headers["vary"])
        self.assertIn("x-amz-request-id", headers)
        self.assertEqual(self.preflight("http://a.other.example", "HEAD", path="")[0], 200)
        for origin, method, wanted in [(ORIGIN, "DELETE", ""), (ORIGIN, "PUT", "x-other"), ("null", "GET", ""),
                                       (ORIGIN + ".evil", "GET", ""), ("https://a.other.example", "HEAD", "")]:
            status, headers, content = self.preflight(origin, method, wanted)
            self.assertEqual(status, 403, (origin, method, wanted))
            self.assertIn("<Code>AccessForbidden</Code>", content)
            self.assertNotIn("access-control-allow-origin", headers)

    def test_a_question_that_says_too_little_is_400(self):
        for headers in [{}, {"Access-Control-Request-Method": "GET"}, {"Origin": ORIGIN}]:
            status, _, content = raw("OPTIONS", f"/{self.bucket}", headers)
            self.assertEqual(status, 400)
            self.assertIn("<Code>BadRequest</Code>", content)

    def test_without_rules_nothing_is_allowed(self):
        for path in ("/", "/never-made-bucket/key", f"/{self.bucket}/key", "/..%2f", "/%ff"):
            asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "GET"}
            status, _, content = raw("OPTIONS", path, asked)
            self.assertEqual(status, 403, path)
            self.assertIn("CORS is not enabled for this bucket", content)
        _, headers, _ = signed("GET", f"/{self.bucket}", headers={"Origin": ORIGIN})
        self.assertNotIn("access-control-allow-origin", headers)
        self.assertNotIn("vary", headers)

    def test_answers_and_errors_tell_the_page(self):
        self.set_rules(self.RULES)
        self.put("key")
        for path, wanted in [("key", 200), ("missing", 404)]:
            status, headers, _ = signed("GET", f"/{self.bucket}/{path}", headers={"Origin": ORIGIN})
            self.assertEqual(status, wanted)
            self.assertEqual(headers["access-control-allow-origin"], ORIGIN)
            self.assertEqual(headers["access-control-expose-headers"], "ETag")
            self.assertIn("Origin", headers["vary"])
        status, headers, _ = raw("GET", f"/{self.bucket}/key", {"Origin": ORIGIN})
        self.assertEqual((status, headers["access-control-allow-origin"]), (403, ORIGIN), "rules open nothing")
        _, headers, _ = signed("GET", f"/{self.bucket}/key", headers={"Origin": "https://evil.example"})
        self.assertNotIn("access-control-allow-origin", headers)
        self.assertIn("Origin", headers["vary"])
        _, headers, _ = signed("GET", f"/{self.bucket}/key")
        self.assertNotIn("vary", headers)

    def test_a_rule_for_everybody_names_nobody(self):
        self.set_rules([{"AllowedOrigins": ["*"], "AllowedMethods": ["GET"]}])
        _, headers, _ = self.preflight(ORIGIN, "GET")
        self.assertEqual(headers["access-control-allow-origin"], "*")
        self.assertNotIn("access-control-allow-credentials", headers)

    def test_a_signed_link_works_for_a_page(self):
        self.set_rules(self.RULES)
        self.put("key")
        signing = client(config={"signature_version": "s3v4"})
        link = signing.generate_presigned_url("get_object", Params={"Bucket": self.bucket, "Key": "key"})
        parts = urllib.parse.urlsplit(link)
        status, headers, content = raw("GET", f"{parts.path}?{parts.query}", {"Origin": ORIGIN})
        self.assertEqual((status, content, headers["access-control-allow-origin"]), (200, "content", ORIGIN))

    def test_rules_that_went_hold_no_longer(self):
        self.set_rules(self.RULES)
        self.s3.delete_bucket_cors(Bucket=self.bucket)
        wait("forgetting", lambda: self.preflight(ORIGIN, "GET")[0] == 403)
