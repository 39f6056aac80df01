"""Uploads by forms of web pages: what the policy allows is stored, anything else leaves nothing."""
import base64, datetime, hashlib, hmac, http.client, json, os, socket, urllib.parse, uuid

import gateway
from gateway import Gateway, body

HOST = urllib.parse.urlsplit(gateway.URL).netloc
ACCESS, SECRET = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
FILE = object()


def encode(fields, content, boundary="form-boundary", file_name="cat.png"):
    """A form. The content goes where the fields say FILE, or to the end."""
    fields = list(fields.items() if isinstance(fields, dict) else fields)
    if not any(value is FILE for _, value in fields):
        fields.append(("file", FILE))
    parts = []
    for name, value in fields:
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"'
        if value is FILE:
            head += f'; filename="{file_name}"\r\nContent-Type: image/png'
        value = content if value is FILE else value if isinstance(value, bytes) else value.encode()
        parts.append(head.encode() + b"\r\n\r\n" + value + b"\r\n")
    return b"".join(parts) + f"--{boundary}--\r\n".encode()


def sign(policy, secret, date, region="us-east-1", service="s3"):
    key = b"AWS4" + secret.encode()
    for part in (date, region, service, "aws4_request", policy):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key.hex()


class Forms(Gateway):
    def send(self, fields, content=b"content", path=None, kind="multipart/form-data; boundary=form-boundary",
             method="POST", headers=(), raw=None, **more):
        link = http.client.HTTPConnection(HOST, timeout=60)
        try:
            data = encode(fields, content, **more) if raw is None else raw
            link.request(method, path or f"/{self.bucket}", data, {"Content-Type": kind, **dict(headers)})
            answer = link.getresponse()
            said = answer.read()
        finally:
            link.close()
        return answer, said

    def stored(self, status, *args, **more):
        answer, said = self.send(*args, **more)
        self.assertEqual(answer.status, status, said)
        return answer, said

    def refused_form(self, status, code, *args, **more):
        answer, said = self.send(*args, **more)
        self.assertEqual((answer.status, f"<Code>{code}</Code>".encode() in said), (status, True), said)
        self.assertEqual(self.keys(), [])
        return said

    def presigned(self, key="key", fields=None, conditions=None, **more):
        form = gateway.client(config={"signature_version": "s3v4"}).generate_presigned_post(self.bucket, key, Fields=dict(fields or {}), Conditions=list(conditions or []), **more)
        self.assertEqual(form["url"].rstrip("/"), f"{gateway.URL}/{self.bucket}")
        return form["fields"]

    def signed(self, conditions=None, fields=(), expires=3600, age=0, secret=SECRET, access=ACCESS, service="s3",
               document=None, scope_date=None, drop=()):
        """The fields of a form that is signed here, so that it can be signed wrongly."""
        now = datetime.datetime.now(datetime.timezone.utc)
        at = now - datetime.timedelta(seconds=age)
        date = at.strftime("%Y%m%d")
        own = {
            "x-amz-algorithm": "AWS4-HMAC-SHA256",
            "x-amz-credential": f"{access}/{scope_date or date}/us-east-1/{service}/aws4_request",
            "x-amz-date": at.strftime("%Y%m%dT%H%M%SZ"),
        }
        if conditions is None:
            conditions = [{"bucket": self.bucket}, {"key": "key"}]
        if document is None:
            expiration = (now + datetime.timedelta(seconds=expires)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
            document = {"expiration": expiration, "conditions": conditions + [{name: value} for name, value in own.items()]}
        text = document if isinstance(document, str) else base64.b64encode(json.dumps(document).encode()).decode()
        own |= {"policy": text, "x-amz-signature": sign(text, secret, date, service=service)}
        return {"key": "key", **dict(fields), **{name: value for name, value in own.items() if name not in drop}}

    # What is stored.

    def test_a_form_of_boto3_stores_what_it_says(self):
        fields = {"Content-Type": "image/png", "Cache-Control": "no-store", "Content-Disposition": "inline",
                  "Content-Encoding": "identity", "Content-Language": "de", "Expires": "Thu, 01 Jan 2099 00:00:00 GMT",
                  "x-amz-meta-colour": "blue", "acl": "private",
                  "tagging": "<Tagging><TagSet><Tag><Key>a</Key><Value>b c</Value></Tag></TagSet></Tagging>"}
        form = self.presigned("folder/key", fields, [{name: value} for name, value in fields.items()])
        answer, _ = self.stored(204, form, b"picture")
        etag = f'"{hashlib.md5(b"picture").hexdigest()}"'
        self.assertEqual(answer.headers["ETag"], etag)
        self.assertEqual(answer.headers["Location"], f"{gateway.URL}/{self.bucket}/folder/key")
        got = self.get("folder/key")
        self.assertEqual(got["Body"].read(), b"picture")
        self.assertEqual((got["ETag"], got["ContentType"], got["CacheControl"]), (etag, "image/png", "no-store"))
        self.assertEqual((got["ContentDisposition"], got["ContentEncoding"], got["ContentLanguage"]), ("inline", "identity", "de"))
        self.assertEqual((got["ExpiresString"], got["Metadata"]), ("Thu, 01 Jan 2099 00:00:00 GMT", {"colour": "blue"}))
        tags = self.s3.get_object_tagging(Bucket=self.bucket, Key="folder/key")["TagSet"]
        self.assertEqual(tags, [{"Key": "a", "Value": "b c"}])
        self.assertEqual(self.path("folder/key").read_bytes(), b"picture")

    def test_files_of_every_size_arrive_whole(self):
        for size in (0, 1, 4096, 65_535, 65_536, 65_537, 5_000_000, 20_000_000):
            with self.subTest(size=size):
                content = body(size, seed=size + 1)
                self.stored(204, self.presigned(f"of-{size}"), content)
                self.assertEqual(self.path(f"of-{size}").read_bytes(), content)
                self.assertEqual(self.head(f"of-{size}")["ETag"], f'"{hashlib.md5(content).hexdigest()}"')

    def test_what_looks_like_a_boundary_is_content(self):
        content = b"\r\n--form-boundar\r\n--form-bounda" * 9_000 + b"\r\n--\r\n\r\n"
        self.stored(204, self.presigned("tricky"), content)
        self.assertEqual(self.content("tricky"), content)

    def test_the_answer_is_what_the_form_asks_for(self):
        etag = hashlib.md5(b"content").hexdigest()
        for asked, status in (("200", 200), ("201", 201), ("204", 204), ("404", 204), ("x", 204)):
            with self.subTest(asked):
                fields = {"success_action_status": asked}
                answer, said = self.stored(status, self.presigned("a b&c", fields, [fields]))
                self.assertEqual(answer.headers["ETag"], f'"{etag}"')
                if asked == "201":
                    self.assertIn(b"<PostResponse>", said)
                    for part in (f"<Location>{gateway.URL}/{self.bucket}/a%20b%26c</Location>", "<Key>a b&amp;c</Key>",
                                 f"<Bucket>{self.bucket}</Bucket>", f"<ETag>&quot;{etag}&quot;</ETag>"):
                        self.assertIn(part.encode(), said)
                else:
                    self.assertEqual(said, b"")

    def test_a_page_is_told_what_was_stored(self):
        query = {"bucket": [self.bucket], "key": ["a b"], "etag": [f'"{hashlib.md5(b"content").hexdigest()}"']}
        for page, more in (("http://page.example/done", {}), ("https://page.example/?x=y", {"x": ["y"]})):
            fields = {"success_action_redirect": page, "success_action_status": "201"}
            answer, _ = self.stored(303, self.presigned("a b", fields, [{name: value} for name, value in fields.items()]))
            given = urllib.parse.urlsplit(answer.headers["Location"])
            self.assertEqual(f"{given.scheme}://{given.netloc}{given.path}", page.partition("?")[0])
            self.assertEqual(urllib.parse.parse_qs(given.query), query | more)
        fields = {"success_action_redirect": "javascript:alert(1)"}
        self.stored(204, self.presigned("a b", fields, [fields]))

    def test_the_name_of_the_file_is_put_into_the_key(self):
        for given, name in (("cat.png", "cat.png"), ("C:\\\\pictures\\\\cat.png", "cat.png"), ("../../dog.png", "dog.png"),
                            ("\u00e4 b.png", "\u00e4 b.png")):
            with self.subTest(given):
                self.stored(204, self.presigned("user/${filename}"), given.encode(), file_name=given)
                self.assertEqual(self.content(f"user/{name}"), given.encode())
        self.refused_code("InvalidArgument", self.presigned("user/${filename}"), file_name="..")

    def refused_code(self, code, *args, **more):
        answer, said = self.send(*args, **more)
        self.assertIn(f"<Code>{code}</Code>".encode(), said)

    def test_names_of_fields_are_the_same_in_any_case(self):
        form = self.signed([{"Bucket": self.bucket}, ["EQ", "$KEY", "key"], ["Starts-With", "$X-AMZ-META-A", ""]], {"X-Amz-Meta-A": "b"})
        self.stored(204, {name.upper(): value for name, value in form.items()})
        self.assertEqual(self.head("key")["Metadata"], {"a": "b"})

    def test_fields_after_the_file_and_fields_to_ignore_mean_nothing(self):
        form = list(self.presigned("key").items())
        form = [("x-ignore-this", "x")] + form + [("file", FILE), ("key", "other"), ("x-amz-meta-a", "b"), ("file", "second")]
        self.stored(204, form)
        self.assertEqual(self.keys(), ["key"])
        self.assertEqual(self.head("key")["Metadata"], {})

    def test_lengths_within_the_range_are_stored(self):
        for size in (5, 10):
            self.stored(204, self.presigned("key", conditions=[["content-length-range", 5, 10]]), b"x" * size)
            self.assertEqual(self.content("key"), b"x" * size)

    def test_checksums_are_compared_and_kept(self):
        content = b"content"
        good = {"x-amz-checksum-sha256": base64.b64encode(hashlib.sha256(content).digest()).decode(),
                "Content-MD5": base64.b64encode(hashlib.md5(content).digest()).decode()}
        wrong = base64.b64encode(hashlib.sha256(b"other").digest()).decode()
        self.refused_form(400, "BadDigest", self.presigned("key", good | {"x-amz-checksum-sha256": wrong},
                                                           [["starts-with", f"${name}", ""] for name in good]))
        self.refused_form(400, "InvalidDigest", self.presigned("key", {"Content-MD5": "x"}, [{"Content-MD5": "x"}]))
        self.stored(204, self.presigned("key", good, [{name: value} for name, value in good.items()]), content)
        self.assertEqual(self.head("key", ChecksumMode="ENABLED")["ChecksumSHA256"], good["x-amz-checksum-sha256"])

    def test_a_form_may_be_an_hour_old(self):
        self.stored(204, self.signed(age=3600))
        self.stored(204, self.signed(age=6 * 24 * 3600))

    # What is not.

    def test_who_does_not_sign_is_turned_away(self):
        self.refused_form(403, "AccessDenied", {"key": "key"})
        # What else a request could be signed by does not count for a form.
        self.refused_form(403, "AccessDenied", {"key": "key"}, headers={"Authorization": f"AWS4-HMAC-SHA256 Credential={ACCESS}/x"})
        signer = gateway.client(config={"signature_version": "s3v4"})
        link = signer.generate_presigned_url("put_object", Params={"Bucket": self.bucket, "Key": "key"})
        query = urllib.parse.urlsplit(link).query
        self.assertIn("X-Amz-Signature", query)
        self.refused_form(403, "AccessDenied", {"key": "key"}, path=f"/{self.bucket}?{query}")

    def test_wrong_signatures_are_turned_away(self):
        form = self.signed()
        for signature in ("", "0" * 64, form["x-amz-signature"].upper(), form["x-amz-signature"][:-1]):
            self.refused_form(403, "SignatureDoesNotMatch", form | {"x-amz-signature": signature})
        self.refused_form(403, "SignatureDoesNotMatch", self.signed(secret="wrong"))
        self.refused_form(403, "InvalidAccessKeyId", self.signed(access="nobody"))
        other = self.signed([["starts-with", "$key", ""], {"bucket": self.bucket}])
        self.refused_form(403, "SignatureDoesNotMatch", form | {"policy": other["policy"]})

    def test_what_was_signed_for_something_else_is_turned_away(self):
        self.refused_form(400, "InvalidArgument", self.signed(service="iam"))
        self.refused_form(400, "InvalidArgument", self.signed(scope_date="20200101"))
        self.refused_form(400, "InvalidArgument", self.signed() | {"x-amz-algorithm": "AWS4-HMAC-SHA1"})
        self.refused_form(400, "InvalidArgument", self.signed() | {"x-amz-date": "yesterday"})
        self.refused_form(403, "RequestTimeTooSkewed", self.signed(age=8 * 24 * 3600))
        self.refused_form(403, "RequestTimeTooSkewed", self.signed(age=-3600))

    def test_a_part_of_a_signature_is_none(self):
        for name in ("policy", "x-amz-signature", "x-amz-credential", "x-amz-date", "x-amz-algorithm"):
            with self.subTest(name):
                self.refused_form(400, "InvalidArgument", self.signed(drop=[name]))
        self.refused_form(400, "InvalidRequest", {"key": "key", "AWSAccessKeyId": ACCESS, "policy": "e30=", "signature": "x"})

    def test_the_policy_decides(self):
        bucket = {"bucket": self.bucket}
        said = self.refused_form(403, "AccessDenied", self.signed(expires=-1))
        self.assertIn(b"policy expired", said)
        for conditions in ([bucket, {"key": "other"}], [bucket, ["starts-with", "$key", "user/"]],
                           [{"bucket": "another-bucket"}, {"key": "key"}], [bucket, {"key": "key"}, {"acl": "private"}]):
            with self.subTest(conditions=conditions):
                said = self.refused_form(403, "AccessDenied", self.signed(conditions))
                self.assertIn(b"policy condition failed", said)
        said = self.refused_form(403, "AccessDenied", self.signed(fields={"x-amz-meta-a": "b"}))
        self.assertIn(b"extra input fields: x-amz-meta-a", said)
        for conditions in ([bucket], [{"key": "key"}], []):
            with self.subTest(conditions=conditions):
                self.refused_form(403, "AccessDenied", self.signed(conditions))
        # A policy for another bucket is not good here, whatever a field says.
        self.refused_form(403, "AccessDenied", self.signed([{"bucket": "another-bucket"}, {"key": "key"}], {"bucket": "another-bucket"}))
        types = [bucket, {"key": "key"}, ["starts-with", "$Content-Type", "image/"]]
        self.refused_form(403, "AccessDenied", self.signed(types, {"Content-Type": "image/png,text/html"}))

    def test_a_file_too_large_or_too_small_is_not_stored(self):
        form = self.presigned("key", conditions=[["content-length-range", 5, 10]])
        self.refused_form(400, "EntityTooSmall", form, b"1234")
        self.refused_form(400, "EntityTooSmall", form, b"")
        self.refused_form(400, "EntityTooLarge", form, b"x" * 11)
        self.refused_form(400, "EntityTooLarge", form, body(3_000_000))
        large = self.presigned("key", conditions=[["content-length-range", 3_000_000, 4_000_000]])
        self.refused_form(400, "EntityTooSmall", large, body(2_999_999))
        self.refused_form(400, "EntityTooLarge", large, body(4_000_001))

    def test_what_is_no_policy_is_refused(self):
        soon = "2099-01-01T00:00:00.000Z"
        for document in ("%%%", "e30=", {"conditions": []}, {"expiration": soon}, {"expiration": "soon", "conditions": []},
                         {"expiration": soon, "CONDITIONS": []}, {"expiration": soon, "conditions": [{}]},
                         {"expiration": soon, "conditions": [["content-length-range", -1, 5]]},
                         {"expiration": soon, "conditions": [["content-length-range", 5]]},
                         {"expiration": soon, "conditions": [["ends-with", "$key", "y"]]},
                         base64.b64encode(b"[" * 5000).decode()):
            with self.subTest(document=document):
                self.refused_form(400, "InvalidPolicyDocument", self.signed(document=document))

    def test_what_is_no_form_is_refused(self):
        form = self.signed()
        whole = encode(form, b"content")
        self.refused_form(400, "MalformedPOSTRequest", form, kind="multipart/form-data")
        self.refused_form(400, "MalformedPOSTRequest", form, kind="multipart/form-data; boundary=" + "b" * 71)
        self.refused_form(400, "MalformedPOSTRequest", form, kind="multipart/form-data; boundary=another")
        self.refused_form(400, "MalformedPOSTRequest", form, raw=b"")
        self.refused_form(400, "MalformedPOSTRequest", form, raw=b"no form at all")
        self.refused_form(400, "MalformedPOSTRequest", form, raw=whole[:300])
        self.refused_form(400, "IncompleteBody", form, raw=whole[:-25])
        self.refused_form(400, "MalformedPOSTRequest", form | {"x-ignore-a": b"\xff\xfe"})
        nameless = b"--form-boundary\r\nContent-Type: text/plain\r\n\r\nx\r\n" + whole
        self.refused_form(400, "MalformedPOSTRequest", form, raw=nameless)
        no_file = b"".join(part for part in whole.partition(b'--form-boundary\r\nContent-Disposition: form-data; name="file"')[:1])
        self.refused_form(400, "IncorrectNumberOfFilesInPostRequest", form, raw=no_file + b"--form-boundary--\r\n")
        self.refused_form(400, "InvalidArgument", {name: value for name, value in form.items() if name != "key"})
        self.refused_form(400, "InvalidArgument", list(form.items()) + [("KEY", "other")])

    def test_fields_have_limits(self):
        form = self.signed()
        self.refused_form(400, "MaxPostPreDataLengthExceededError", form | {"x-ignore-a": "x" * 21_000})
        self.refused_form(400, "MaxPostPreDataLengthExceededError", form | {"x-ignore-a": "x" * 3_000_000})
        self.refused_form(400, "MaxPostPreDataLengthExceededError", form | {"x-ignore-" + "a" * 3_000: "x"})
        self.refused_form(400, "MaxPostPreDataLengthExceededError", form | {f"x-ignore-{n}": "x" for n in range(100)})
        header = b"--form-boundary\r\nX-Filler: " + b"x" * 3_000_000
        self.refused_form(400, "MaxPostPreDataLengthExceededError", form, raw=header)
        self.stored(204, form | {"x-ignore-a": "x" * 15_000}, body(200_000))

    def test_what_is_not_done_is_not_promised(self):
        for name, value, status, code in (("acl", "public-read", 501, "NotImplemented"),
                                          ("x-amz-grant-read", "id=x", 501, "NotImplemented"),
                                          ("x-amz-server-side-encryption", "AES256", 501, "NotImplemented"),
                                          ("x-amz-server-side-encryption-customer-key", "x", 501, "NotImplemented"),
                                          ("x-amz-object-lock-mode", "GOVERNANCE", 501, "NotImplemented"),
                                          ("x-amz-storage-class", "GLACIER", 400, "InvalidStorageClass")):
            with self.subTest(name):
                self.refused_form(status, code, self.presigned("key", {name: value}, [{name: value}]))

    def test_fields_that_could_not_be_given_back_are_refused(self):
        for name, value in (("Content-Type", "a\r\nSet-Cookie: b"), ("x-amz-meta-a", "b\nc"), ("x-amz-meta-a b", "c"),
                            ("Expires", "tomorrow")):
            with self.subTest(name=name):
                self.refused_form(400, "InvalidArgument", self.presigned("key", {name: value}, [{name: value}]))
        big = {"x-amz-meta-a": "x" * 3000}
        self.refused_form(400, "MetadataTooLarge", self.presigned("key", big, [big]))
        self.refused_form(400, "MalformedXML", self.presigned("key", {"tagging": "a=b"}, [{"tagging": "a=b"}]))
        for key in ("../escape", "a//b", "a/./b", "x" * 1025):
            with self.subTest(key=key):
                code = "KeyTooLongError" if len(key) > 1024 else "InvalidArgument"
                self.refused_form(400, code, self.presigned(key))

    def test_a_form_is_sent_to_a_bucket(self):
        for path in (f"/{self.bucket}/key", "/"):
            self.refused_form(405, "MethodNotAllowed", self.signed(), path=path)
        gone = f"gone-{uuid.uuid4().hex[:8]}"
        form = self.signed([{"bucket": gone}, {"key": "key"}])
        self.refused_form(404, "NoSuchBucket", form, path=f"/{gone}")
        # Somebody else's query does not make something else of it.
        self.stored(204, self.signed(), path=f"/{self.bucket}?delete")

    def test_a_form_that_breaks_off_leaves_nothing(self):
        whole = encode(self.signed(), body(2_000_000))
        host, port = HOST.rsplit(":", 1)
        with socket.create_connection((host, int(port)), timeout=30) as link:
            head = f"POST /{self.bucket} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {len(whole)}\r\n"
            head += "Content-Type: multipart/form-data; boundary=form-boundary\r\n\r\n"
            link.sendall(head.encode() + whole[:1_500_000])
            link.shutdown(socket.SHUT_WR)
            link.recv(4096)
        self.assertEqual(self.keys(), [])

    def test_a_form_that_comes_a_byte_at_a_time_is_stored(self):
        whole = encode(self.signed(), b"content")
        host, port = HOST.rsplit(":", 1)
        with socket.create_connection((host, int(port)), timeout=30) as link:
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            head = f"POST /{self.bucket} HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n"
            head += "Content-Type: multipart/form-data; boundary=form-boundary\r\n\r\n"
            link.sendall(head.encode())
            for byte in whole:
                link.sendall(b"1\r\n" + bytes([byte]) + b"\r\n")
            link.sendall(b"0\r\n\r\n")
            self.assertIn(b" 204 ", link.recv(4096))
        self.assertEqual(self.content("key"), b"content")
