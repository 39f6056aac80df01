"""Bad input: the exact code, nothing stored, nothing leaked. Requests are signed here, so that they can be signed wrongly."""
import base64, hashlib, http.client, os, socket, time, urllib.parse

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

import gateway
from gateway import Gateway

HOST = urllib.parse.urlsplit(gateway.URL).netloc


class Signer(S3SigV4Auth):
    """Signs with a digest of the body that need not be right."""

    def __init__(self, secret, digest):
        keys = Credentials(os.environ["AWS_ACCESS_KEY_ID"], secret or os.environ["AWS_SECRET_ACCESS_KEY"])
        super().__init__(keys, "s3", "us-east-1")
        self.digest = digest

    def payload(self, request):
        return self.digest or super().payload(request)


def send(method, path, content=b"", headers=(), signed=True, secret=None, digest=None, change=lambda request: None):
    """The status, the S3 code if there is one, and the body of the answer. `change` is made to the signed request."""
    # What is signed is the key, however it is written in the request.
    name, mark, query = path.partition("?")
    canonical = urllib.parse.quote(urllib.parse.unquote(name), safe="/~") + mark + query
    request = AWSRequest(method=method, url=gateway.URL + canonical, data=content, headers=dict(headers))
    if signed:
        Signer(secret, digest).add_auth(request)
    change(request)
    link = http.client.HTTPConnection(HOST, timeout=30)
    try:
        link.putrequest(method, path, skip_accept_encoding=True)
        given = dict(request.headers)
        if "content-length" not in {name.lower() for name in given}:
            given["Content-Length"] = str(len(content))
        for name, value in given.items():
            if name.lower() != "host":
                link.putheader(name, value)
        link.endheaders(content)
        answer = link.getresponse()
        said = answer.read()
    finally:
        link.close()
    code = said.split(b"<Code>")[1].split(b"</Code>")[0].decode() if b"<Code>" in said else ""
    return answer.status, code, said


class BadInput(Gateway):
    def refused_raw(self, status, code, *args, **more):
        got_status, got_code, said = send(*args, **more)
        self.assertEqual((got_status, got_code), (status, code), said[:500])

    def nothing_is_stored(self):
        self.assertEqual(self.keys(), [])
        self.assertEqual(list(self.path().iterdir()), [])

    def test_a_signed_link_is_for_what_it_was_signed_for(self):
        self.put("secret", b"secret")
        signer = gateway.client(config={"signature_version": "s3v4"})
        url = signer.generate_presigned_url("put_object", Params=dict(Bucket=self.bucket, Key="target"))
        path = url[len(gateway.URL):]
        source = f"/{self.bucket}/secret"
        for headers in ({"x-amz-copy-source": source}, {"x-amz-tagging": "a=b"}, {"X-Amz-Meta-A": "b"},
                        {"x-amz-website-redirect-location": "/x"}):
            with self.subTest(headers):
                self.refused_raw(403, "AccessDenied", "PUT", path, headers=headers, signed=False)
        for change in ("x-amz-expires=1", "X-Amz-Expire%73=4294967295", "taggin%67", "AWSAccess%4BeyId=a"):
            with self.subTest(change):
                status, _, said = send("PUT", f"{path}&{change}", signed=False)
                self.assertIn(status, (400, 403), said)
        self.assertEqual(self.keys(), ["secret"])
        self.assertEqual(send("PUT", path, b"good", signed=False)[0], 200)

    def test_a_subresource_that_cannot_be_changed_is_not_the_thing_itself(self):
        self.put("there")
        for method, query in (("DELETE", "acl"), ("DELETE", "lifecycle"), ("DELETE", "versions"), ("PUT", "cors"), ("PUT", "policy")):
            with self.subTest(method=method, query=query):
                self.refused_raw(405, "MethodNotAllowed", method, f"/{self.bucket}/there?{query}")
        self.s3.delete_object(Bucket=self.bucket, Key="there")
        for query in ("acl", "versioning", "logging", "object-lock"):
            with self.subTest(query):
                self.refused_raw(405, "MethodNotAllowed", "DELETE", f"/{self.bucket}?{query}")
        self.nothing_is_stored()

    def test_every_method_with_a_wrong_signature_is_refused(self):
        self.put("there")
        for method, path in (("GET", "/"), ("GET", f"/{self.bucket}"), ("PUT", f"/{self.bucket}-new"), ("DELETE", f"/{self.bucket}"),
                             ("GET", f"/{self.bucket}/there"), ("PUT", f"/{self.bucket}/x"), ("DELETE", f"/{self.bucket}/there"),
                             ("POST", f"/{self.bucket}?delete"), ("POST", f"/{self.bucket}/x?uploads"),
                             ("PUT", f"/{self.bucket}/x?tagging"), ("PUT", f"/{self.bucket}/x?partNumber=1&uploadId=a"),
                             ("GET", f"/{self.bucket}?uploads"), ("GET", f"/{self.bucket}/there?tagging")):
            with self.subTest(method=method, path=path):
                self.refused_raw(403, "SignatureDoesNotMatch", method, path, secret="wrong" * 8)
                self.refused_raw(403, "AccessDenied", method, path, signed=False)
        self.assertEqual(self.keys(), ["there"])

    def test_an_unknown_key_is_refused(self):
        def other(request):
            request.headers.replace_header(
                "Authorization", request.headers["Authorization"].replace("Credential=", "Credential=NOBODY"))

        self.refused_raw(403, "InvalidAccessKeyId", "GET", "/", change=other)

    def test_what_was_changed_after_signing_is_refused(self):
        def header(request):
            request.headers.replace_header("X-Amz-Date", "20200101T000000Z")

        status, code, _ = send("GET", f"/{self.bucket}", change=header)
        self.assertEqual(status, 403)
        self.assertIn(code, ("RequestTimeTooSkewed", "SignatureDoesNotMatch"))
        status, code, _ = send("PUT", f"/{self.bucket}/x", b"content", digest=hashlib.sha256(b"other").hexdigest())
        self.assertEqual((status, code), (400, "XAmzContentSHA256Mismatch"))
        self.nothing_is_stored()

    def test_the_old_signature_is_refused(self):
        for headers in ({"Authorization": "AWS AKID:c2lnbmF0dXJl", "Date": "Tue, 27 Mar 2007 19:36:42 +0000"}, {}):
            query = "" if headers else "?AWSAccessKeyId=AKID&Signature=c2lnbmF0dXJl&Expires=9999999999"
            self.refused_raw(400, "InvalidRequest", "GET", f"/{self.bucket}{query}", headers=headers, signed=False)

    def test_a_signed_link_works_until_it_expires_and_for_nothing_else(self):
        self.put("linked")
        # With a key for us-east-1 botocore signs links by the old version unless it is told not to.
        signer = gateway.client(config={"signature_version": "s3v4"})

        def link(seconds):
            url = signer.generate_presigned_url("get_object", Params=dict(Bucket=self.bucket, Key="linked"), ExpiresIn=seconds)
            return url[len(gateway.URL):]

        path = link(60)
        self.assertEqual(send("GET", path, signed=False)[::2], (200, b"content"))
        self.assertEqual(send("GET", path.replace("/linked", "/other"), signed=False)[0], 403)
        self.assertEqual(send("DELETE", path, signed=False)[0], 403)
        self.assertEqual(send("GET", path.replace("X-Amz-Expires=60", "X-Amz-Expires=600"), signed=False)[0], 403)
        short = link(1)
        deadline = time.monotonic() + 20
        while (answer := send("GET", short, signed=False))[0] == 200:
            self.assertLess(time.monotonic(), deadline, "it never expires")
        self.assertEqual(answer[:2], (403, "AccessDenied"))
        too_long = send("GET", link(604_801), signed=False)[:2]
        self.assertEqual(too_long, (400, "AuthorizationQueryParametersError"))

    def test_keys_that_a_file_system_cannot_hold_are_refused(self):
        for key in ("../escape", "a/../b", "..", ".", "./a", "a/./b", "a//b", "/a", "//", "%00", "a%00b", "..%2fescape",
                    "%2e%2e/escape", "%2e%2e%2fescape", "x" * 256, "a/" + "y" * 300 + "/b", "k/" * 512 + "long"):
            with self.subTest(key[:40]):
                status, code, said = send("PUT", f"/{self.bucket}/{key}", b"content")
                self.assertEqual(status, 400, said)
                self.assertIn(code, ("InvalidArgument", "KeyTooLongError", "InvalidURI", "InvalidRequest"))
                self.assertNotEqual(send("GET", f"/{self.bucket}/{key}")[0], 200)
        self.nothing_is_stored()
        self.assertFalse((gateway.MOUNT / "escape").exists())

    def test_odd_keys_that_it_can_hold_come_back_as_they_are(self):
        odd = ["...", "a b", "a+b", "a%b", "ü", "\u202e", "a\\b", "?", "#", "'\"<>&", "\x01", "-", "~", "CON", "a:b", "x" * 255]
        for key in odd:
            self.put(key, key.encode())
        self.assertEqual(sorted(self.keys()), sorted(odd))
        for key in odd:
            self.assertEqual(self.content(key), key.encode(), key)

    def test_a_file_is_no_prefix_and_a_prefix_no_file(self):
        self.put("file", b"file")
        self.put("folder/inside", b"inside")
        for key in ("file/below", "folder"):
            self.refused_raw(400, "InvalidRequest", "PUT", f"/{self.bucket}/{key}", b"x")
        self.assertEqual(self.content("file"), b"file")
        self.assertEqual(self.content("folder/inside"), b"inside")

    def test_bodies_that_are_no_xml_or_too_much_of_it(self):
        bomb = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><Delete><Object><Key>&b;</Key></Object></Delete>'
        deep = b"<Delete>" + b"<Object>" * 50_000 + b"</Object>" * 50_000 + b"</Delete>"
        for content in (b"", b"no xml", b"<Delete><Object>", bomb, deep):
            with self.subTest(content[:30]):
                md5 = base64.b64encode(hashlib.md5(content).digest()).decode()
                status, code, _ = send("POST", f"/{self.bucket}?delete", content, headers={"Content-MD5": md5})
                self.assertEqual((status, code), (400, "MalformedXML" if content else "MissingRequestBodyError"))

    def test_too_many_headers_are_refused_and_the_next_request_is_served(self):
        def many(request):
            for number in range(10_000):
                request.headers.add_header(f"x-filler-{number}", "x")

        try:
            status, _, _ = send("GET", f"/{self.bucket}", change=many)
            self.assertIn(status, (400, 413, 431))
        except (ConnectionError, http.client.HTTPException):
            pass  # It may hang up before it has read them all.
        self.assertEqual(self.keys(), [])

    def test_who_waits_to_be_asked_for_a_body_and_is_not_begins_anew(self):
        # What would come next could be that body or another request: taken for the wrong one it would be signed wrongly.
        host, port = HOST.rsplit(":", 1)
        head = f"PUT /{self.bucket}/refused HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
        with socket.create_connection((host, int(port)), timeout=30) as link:
            link.sendall(head.encode())
            answer = b""
            while part := link.recv(65536):
                answer += part
        self.assertTrue(answer.startswith(b"HTTP/1.1 403 "), answer)
        self.assertIn(b"\r\nconnection: close\r\n", answer.lower())
        # Who is asked goes on.
        request = AWSRequest(method="PUT", url=f"{gateway.URL}/{self.bucket}/taken")
        Signer(None, "UNSIGNED-PAYLOAD").add_auth(request)
        head = f"PUT /{self.bucket}/taken HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 5\r\nExpect: 100-continue\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in request.headers.items() if name.lower() != "host")
        with socket.create_connection((host, int(port)), timeout=30) as link:
            link.sendall(head.encode() + b"\r\n")
            self.assertTrue(link.recv(65536).startswith(b"HTTP/1.1 100 "))
            link.sendall(b"taken")
            answer = link.recv(65536)
        self.assertTrue(answer.startswith(b"HTTP/1.1 200 "), answer)
        self.assertNotIn(b"connection: close", answer.lower())
        self.assertEqual(self.content("taken"), b"taken")

    def test_a_body_shorter_than_declared_stores_nothing(self):
        host, port = HOST.rsplit(":", 1)
        request = AWSRequest(method="PUT", url=f"{gateway.URL}/{self.bucket}/short")
        Signer(None, "UNSIGNED-PAYLOAD").add_auth(request)
        head = f"PUT /{self.bucket}/short HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 1000\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in request.headers.items() if name.lower() != "host")
        with socket.create_connection((host, int(port)), timeout=30) as link:
            link.sendall(head.encode() + b"\r\n" + b"x" * 500)
            link.shutdown(socket.SHUT_WR)
            link.recv(4096)
        self.nothing_is_stored()

    def test_operations_that_are_not_there_say_so(self):
        # An empty state says truly that there is none.
        for method, query, wanted in (
            ("GET", "versioning", (200, "")), ("GET", "logging", (200, "")),
            ("GET", "replication", (404, "ReplicationConfigurationNotFoundError")),
            ("GET", "website", (404, "NoSuchWebsiteConfiguration")), ("GET", "inventory", (501, "NotImplemented")),
            ("PUT", "versioning", (501, "NotImplemented")), ("PUT", "website", (501, "NotImplemented")),
        ):
            with self.subTest(method=method, query=query):
                body = {"versioning": b"<VersioningConfiguration/>", "website": b"<WebsiteConfiguration/>"}
                status, code, said = send(method, f"/{self.bucket}?{query}", body[query] if method == "PUT" else b"")
                self.assertEqual((status, code), wanted, said[:300])
