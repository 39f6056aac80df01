"""What nobody should send to the S3 gateway. Arguments: endpoint, mount, name of a section (a function below), and what it
takes.

Every answer is the exact error, nothing is stored, and the gateway goes on."""

import json
import os
import resource
import socket
import sys
import time
import urllib.error
import urllib.request
from urllib.parse import urlsplit

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

ENDPOINT, MOUNT, SECTION = sys.argv[1:4]
ACCESS, SECRET = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
HOST = urlsplit(ENDPOINT).netloc
UPLOAD = "0" * 32
CORS = (
    b"<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule>"
    b"</CORSConfiguration>"
)
LIFECYCLE = (
    b"<LifecycleConfiguration><Rule><Status>Enabled</Status><Filter/><Expiration><Days>1</Days></Expiration></Rule>"
    b"</LifecycleConfiguration>"
)
ACL = (
    b'<AccessControlPolicy><AccessControlList><Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
    b'xsi:type="CanonicalUser"><ID>wolfdisk</ID></Grantee><Permission>FULL_CONTROL</Permission></Grant>'
    b"</AccessControlList></AccessControlPolicy>"
)
# A request for each operation that there is: method, path and query, body.
OPERATIONS = {
    "ListBuckets": ("GET", "/", b""),
    "CreateBucket": ("PUT", "/new-bucket", b""),
    "HeadBucket": ("HEAD", "/bucket", b""),
    "DeleteBucket": ("DELETE", "/empty-bucket", b""),
    "GetBucketLocation": ("GET", "/bucket?location", b""),
    "GetBucketVersioning": ("GET", "/bucket?versioning", b""),
    "GetBucketTagging": ("GET", "/bucket?tagging", b""),
    "PutBucketTagging": ("PUT", "/bucket?tagging", b"<Tagging><TagSet></TagSet></Tagging>"),
    "DeleteBucketTagging": ("DELETE", "/bucket?tagging", b""),
    "GetBucketCors": ("GET", "/bucket?cors", b""),
    "PutBucketCors": ("PUT", "/bucket?cors", CORS),
    "DeleteBucketCors": ("DELETE", "/bucket?cors", b""),
    "GetBucketLifecycleConfiguration": ("GET", "/bucket?lifecycle", b""),
    "PutBucketLifecycleConfiguration": ("PUT", "/bucket?lifecycle", LIFECYCLE),
    "DeleteBucketLifecycle": ("DELETE", "/bucket?lifecycle", b""),
    "GetBucketAcl": ("GET", "/bucket?acl", b""),
    "PutBucketAcl": ("PUT", "/bucket?acl", ACL),
    "GetObjectAcl": ("GET", "/bucket/key?acl", b""),
    "PutObjectAcl": ("PUT", "/bucket/key?acl", ACL),
    "GetBucketAccelerateConfiguration": ("GET", "/bucket?accelerate", b""),
    "GetBucketLogging": ("GET", "/bucket?logging", b""),
    "GetBucketNotificationConfiguration": ("GET", "/bucket?notification", b""),
    "GetBucketRequestPayment": ("GET", "/bucket?requestPayment", b""),
    "GetBucketPolicy": ("GET", "/bucket?policy", b""),
    "GetBucketPolicyStatus": ("GET", "/bucket?policyStatus", b""),
    "GetBucketEncryption": ("GET", "/bucket?encryption", b""),
    "GetBucketWebsite": ("GET", "/bucket?website", b""),
    "GetObjectLockConfiguration": ("GET", "/bucket?object-lock", b""),
    "GetBucketReplication": ("GET", "/bucket?replication", b""),
    "GetPublicAccessBlock": ("GET", "/bucket?publicAccessBlock", b""),
    "GetBucketOwnershipControls": ("GET", "/bucket?ownershipControls", b""),
    "DeleteBucketPolicy": ("DELETE", "/bucket?policy", b""),
    "DeleteBucketWebsite": ("DELETE", "/bucket?website", b""),
    "DeleteBucketReplication": ("DELETE", "/bucket?replication", b""),
    "DeletePublicAccessBlock": ("DELETE", "/bucket?publicAccessBlock", b""),
    "DeleteBucketOwnershipControls": ("DELETE", "/bucket?ownershipControls", b""),
    "ListObjects": ("GET", "/bucket", b""),
    "ListObjectsV2": ("GET", "/bucket?list-type=2", b""),
    "ListObjectVersions": ("GET", "/bucket?versions", b""),
    "PutObject": ("PUT", "/bucket/forged", b"forged"),
    "GetObject": ("GET", "/bucket/key", b""),
    "HeadObject": ("HEAD", "/bucket/key", b""),
    "DeleteObject": ("DELETE", "/bucket/key", b""),
    "DeleteObjects": ("POST", "/bucket?delete", b"<Delete><Object><Key>key</Key></Object></Delete>"),
    "CopyObject": ("PUT", "/bucket/copy", b""),
    "GetObjectAttributes": ("GET", "/bucket/key?attributes", b""),
    "GetObjectTagging": ("GET", "/bucket/key?tagging", b""),
    "PutObjectTagging": ("PUT", "/bucket/key?tagging", b"<Tagging><TagSet></TagSet></Tagging>"),
    "DeleteObjectTagging": ("DELETE", "/bucket/key?tagging", b""),
    "CreateMultipartUpload": ("POST", "/bucket/forged?uploads", b""),
    "UploadPart": ("PUT", f"/bucket/forged?partNumber=1&uploadId={UPLOAD}", b"forged"),
    "UploadPartCopy": ("PUT", f"/bucket/forged?partNumber=2&uploadId={UPLOAD}", b""),
    "ListParts": ("GET", f"/bucket/forged?uploadId={UPLOAD}", b""),
    "ListMultipartUploads": ("GET", "/bucket?uploads", b""),
    "CompleteMultipartUpload": ("POST", f"/bucket/forged?uploadId={UPLOAD}", b"<CompleteMultipartUpload/>"),
    "AbortMultipartUpload": ("DELETE", f"/bucket/forged?uploadId={UPLOAD}", b""),
}
COPIES = {"CopyObject", "UploadPartCopy"}


def ask(method, path, body=b"", headers=None):
    request = urllib.request.Request(ENDPOINT + path, method=method, data=body or None, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")


def sign(method, path, body=b"", headers=None, secret=SECRET, access=ACCESS):
    request = AWSRequest(method=method, url=ENDPOINT + path, data=body, headers=dict(headers or {}))
    S3SigV4Auth(Credentials(access, secret), "s3", "us-east-1").add_auth(request)
    return dict(request.headers)


def signed(method, path, body=b"", headers=None):
    return ask(method, path, body, sign(method, path, body, headers))


def is_error(answer, status, code):
    assert answer[0] == status and f"<Code>{code}</Code>" in answer[1], (status, code, answer)


def prepare():
    for name in ["bucket", "empty-bucket"]:
        os.mkdir(os.path.join(MOUNT, name))
    with open(os.path.join(MOUNT, "bucket/key"), "wb") as file:
        file.write(b"content")


def unharmed():
    assert sorted(os.listdir(MOUNT)) == ["bucket", "empty-bucket"], os.listdir(MOUNT)
    assert os.listdir(os.path.join(MOUNT, "bucket")) == ["key"], os.listdir(os.path.join(MOUNT, "bucket"))
    assert signed("GET", "/bucket/key") == (200, "content")
    for query, code in [("tagging", "NoSuchTagSet"), ("cors", "NoSuchCORSConfiguration"),
                        ("lifecycle", "NoSuchLifecycleConfiguration")]:
        is_error(signed("GET", f"/bucket?{query}"), 404, code)


def forged():
    """Every operation, in every form of a wrong signature."""
    prepare()
    for name, (method, path, body) in OPERATIONS.items():
        more = {"x-amz-copy-source": "/bucket/key"} if name in COPIES else {}
        good = sign(method, path, body, more)
        tampered = dict(good, Authorization=good["Authorization"][:-4] + "0000")
        forms = {
            "none": more,
            "wrong secret": sign(method, path, body, more, secret="wrong"),
            "tampered": tampered,
            "of another path": dict(sign(method, "/other" + path, body, more)),
            "of another method": sign("PATCH", path, body, more),
            "unsigned trailer": dict(
                more,
                **{
                    "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
                    "x-amz-trailer": "x-amz-checksum-crc32",
                    "x-amz-decoded-content-length": str(len(body)),
                },
            ),
            "old": dict(more, Authorization=f"AWS {ACCESS}:c2lnbmF0dXJl"),
            "malformed": dict(more, Authorization="AWS4-HMAC-SHA256 nonsense"),
        }
        for form, headers in forms.items():
            status, answer = ask(method, path, body, headers)
            wanted = {"old": 400, "malformed": 400}.get(form, 403)
            assert status == wanted, (name, form, status, answer)
        query = "&" if "?" in path else "?"
        presigned = (
            f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={ACCESS}%2F20200101%2Fus-east-1%2Fs3%2Faws4_request"
            "&X-Amz-Date=20200101T000000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=" + "0" * 64
        )
        status, answer = ask(method, path + query + presigned, body, more)
        assert status == 403, (name, "presigned", status, answer)
        part = b"--b\r\nContent-Disposition: form-data; name=\"%s\"\r\n\r\nforged\r\n"
        form = part % b"key" + part % b"file" + b"--b--\r\n"
        if method == "POST":
            status, answer = ask(method, path, form, {"Content-Type": "multipart/form-data; boundary=b"})
            # A form goes to a bucket; to a key it is no request at all.
            assert status == (403 if path.count("/") == 1 else 405), (name, "form", status, answer)
    unharmed()


def limited():
    """Every operation, by a key that may read, and by one that has another bucket."""
    prepare()
    reader, stranger = (json.loads(text) for text in sys.argv[4:6])
    for name, (method, path, body) in OPERATIONS.items():
        more = {"x-amz-copy-source": "/bucket/key"} if name in COPIES else {}

        def status_by(key):
            headers = sign(method, path, body, more, key["secret_key"], key["access_key"])
            status, answer = ask(method, path, body, headers)
            # The answer to a Head has no body.
            assert status != 403 or method == "HEAD" or "<Code>AccessDenied</Code>" in answer, (name, answer)
            assert status == 403 or "<Name>bucket</Name>" not in answer or key is reader, (name, answer)
            return status

        reads = name.startswith(("Get", "Head", "List"))
        assert (status_by(reader) == 403) != reads, (name, "by a key that may read")
        assert (status_by(stranger) == 403) != (name == "ListBuckets"), (name, "by a key of another bucket")
    unharmed()


def malformed():
    prepare()
    deep = b"<Delete>" + b"<a>" * 100_000 + b"</Delete>"
    bomb = (
        b'<?xml version="1.0"?><!DOCTYPE d [<!ENTITY a "aaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
        b"<Delete><Object><Key>&b;&b;&b;</Key></Object></Delete>"
    )
    for body in [b"<Delete><Obj", b"\xff\xfe", b"<Delete></Other>", deep, bomb]:
        is_error(signed("POST", "/bucket?delete", body), 400, "MalformedXML")
    is_error(signed("POST", "/bucket?delete", b"<Delete></Delete>"), 400, "MalformedXML")
    for query in ["tagging", "cors", "lifecycle", "acl"]:
        for body in [b"<", b"\xff\xfe", b"<Other/>", bomb]:
            is_error(signed("PUT", f"/bucket?{query}", body), 400, "MalformedXML")
        is_error(signed("PUT", f"/bucket?{query}", b" " * (9 << 20)), 400, "MaxMessageLengthExceeded")
    # What would end more than it says: s3s reads the first digits of a number, and no CDATA.
    for old, new in [(b"<Days>1</Days>", b"<Days>1O</Days>"), (b"<Days>1</Days>", b"<Days>1.5</Days>"),
                     (b"<Filter/>", b"<Filter><Prefix><![CDATA[logs/]]></Prefix></Filter>"),
                     (b"<Filter/>", b"<Filter><Preffix>logs/</Preffix></Filter>"), (b"<Filter/>", b"")]:
        is_error(signed("PUT", "/bucket?lifecycle", LIFECYCLE.replace(old, new)), 400, "MalformedXML")
    hidden = CORS.replace(b"</CORSRule>", b"<ExposeHeader>a\r\nSet-Cookie: b</ExposeHeader></CORSRule>")
    is_error(signed("PUT", "/bucket?cors", hidden), 400, "InvalidRequest")
    wrong = sign("PUT", "/bucket?cors", CORS)
    is_error(ask("PUT", "/bucket?cors", CORS.replace(b"*", b"x"), wrong), 400, "XAmzContentSHA256Mismatch")
    is_error(signed("POST", "/bucket?delete", b"<Delete>" + b" " * (9 << 20)), 400, "MaxMessageLengthExceeded")
    is_error(signed("GET", "/bucket/%ff%fe"), 400, "InvalidURI")
    is_error(signed("GET", "/bucket/" + "k" * 1025), 400, "KeyTooLongError")
    is_error(signed("GET", "/Bad_Name/k"), 400, "InvalidBucketName")
    is_error(signed("GET", "/bucket?list-type=2&max-keys=-1"), 400, "InvalidArgument")
    is_error(signed("GET", "/bucket?list-type=2&max-keys=x"), 400, "InvalidArgument")
    for number in ["0", "10001", "x", "-1"]:
        is_error(signed("PUT", f"/bucket/k?partNumber={number}&uploadId={UPLOAD}", b"x"), 400, "InvalidArgument")
    is_error(signed("PUT", "/bucket/k?partNumber=1", b"x"), 400, "InvalidArgument")
    is_error(signed("PUT", f"/bucket/k?partNumber=1&uploadId={UPLOAD}", b"x"), 404, "NoSuchUpload")
    is_error(signed("PUT", "/bucket/k?partNumber=1&uploadId=..%2F..%2Fx", b"x"), 404, "NoSuchUpload")
    for source in ["", "bucket", "/", "/bucket/"]:
        status, _ = signed("PUT", "/bucket/k", b"", {"x-amz-copy-source": source})
        assert status in (400, 404), (source, status)
    is_error(signed("PUT", "/bucket/k", b"", {"x-amz-copy-source": "/bucket/../bucket/key"}), 404, "NoSuchKey")
    wrong = sign("PUT", "/bucket/k", b"one body")
    is_error(ask("PUT", "/bucket/k", b"another!", wrong), 400, "XAmzContentSHA256Mismatch")
    skewed = sign("GET", "/bucket/key")
    skewed["X-Amz-Date"] = "20200101T000000Z"
    assert ask("GET", "/bucket/key", b"", skewed)[0] == 403
    unharmed()


def raw(data, half=False):
    """The status line that raw bytes are answered with."""
    address = HOST.rsplit(":", 1)
    with socket.create_connection((address[0], int(address[1]))) as connection:
        connection.settimeout(30)
        connection.sendall(data)
        if half:
            connection.shutdown(socket.SHUT_WR)
        try:
            return connection.recv(4096).split(b"\r\n")[0]
        except ConnectionResetError:
            return b""


def wire():
    prepare()
    head = b"GET / HTTP/1.1\r\nHost: x\r\n"
    assert b" 431 " in raw(head + b"".join(b"h%d: v\r\n" % n for n in range(10_000)) + b"\r\n")
    assert b" 431 " in raw(head + b"a: " + b"x" * 300_000 + b"\r\n\r\n")
    assert b" 400 " in raw(b"\x16\x03\x01\x00\xff" * 20)
    assert b" 400 " in raw(b"PUT /bucket/k HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n\r\n")
    assert b" 400 " in raw(b"PUT /bucket/k HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab")
    assert b" 403 " in raw(b"GET /bucket/key HTTP/1.1\r\nConnection: close\r\n\r\n")
    # A client of the old days gets one answer, and requests sent at once are answered in their order.
    assert b" 403 " in raw(b"GET /bucket/key HTTP/1.0\r\n\r\n")
    signed_head = b"".join(f"{name}: {value}\r\n".encode() for name, value in sign("GET", "/bucket/key").items())
    good = b"GET /bucket/key HTTP/1.1\r\nHost: " + HOST.encode() + b"\r\n" + signed_head
    bad = b"GET /bucket/key HTTP/1.1\r\nHost: " + HOST.encode() + b"\r\n"
    address = HOST.rsplit(":", 1)
    with socket.create_connection((address[0], int(address[1]))) as connection:
        connection.settimeout(30)
        connection.sendall(good + b"\r\n" + bad + b"\r\n" + good + b"Connection: close\r\n\r\n")
        answers = b"".join(iter(lambda: connection.recv(65536), b""))
    assert [line.split(b" ")[1] for line in answers.split(b"HTTP/1.1")[0:] if line.startswith(b" ")] == [b"200", b"403", b"200"], answers
    # Bodies that end early, small and large.
    for size in [100, 200_000]:
        body = b"x" * size
        headers = sign("PUT", "/bucket/short", body)
        lines = b"".join(f"{name}: {value}\r\n".encode() for name, value in headers.items())
        request = b"PUT /bucket/short HTTP/1.1\r\nHost: " + HOST.encode() + b"\r\n" + lines
        request += f"Content-Length: {size}\r\n\r\n".encode() + body[: size // 2]
        answer = raw(request, half=True)
        assert answer == b"" or b" 400 " in answer, answer
    unharmed()


def crowded():
    """An address that opens connection after connection gets half of them, and others are served."""
    prepare()
    most, address = 2048, HOST.rsplit(":", 1)
    address = (address[0], int(address[1]))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 2 * most), hard))

    def asked_from(source):
        with socket.create_connection(address, timeout=30, source_address=(source, 0)) as connection:
            try:
                connection.sendall(b"GET /bucket/key HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                return connection.recv(4096).split(b"\r\n")[0]
            except (ConnectionResetError, BrokenPipeError):
                return b""

    held = [socket.create_connection(address, timeout=30, source_address=("127.0.0.1", 0)) for _ in range(most)]
    assert asked_from("127.0.0.1") == b""
    assert b" 403 " in asked_from("127.0.0.2")
    for connection in held:
        connection.close()
    deadline = time.monotonic() + 30
    while b" 403 " not in asked_from("127.0.0.1"):
        assert time.monotonic() < deadline, "places come back"
    unharmed()


globals()[SECTION]()
print(f"{SECTION}: good")
