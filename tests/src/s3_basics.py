"""What the S3 gateway promises, asked by boto3. Arguments: endpoint, mount, name of a section (a function below).

Whatever is written is compared with what the mount shows, byte by byte."""

import base64
import hashlib
import os
import sys
import threading
import time
import urllib.error
import urllib.request
import zlib

import boto3
from botocore.client import Config
from botocore.exceptions import ClientError

ENDPOINT, MOUNT, SECTION = sys.argv[1:4]
MIB = 1024 * 1024


def client(**settings):
    config = Config(
        retries={"max_attempts": 1, "mode": "standard"},
        s3={"addressing_style": "path"},
        **settings,
    )
    return boto3.client("s3", endpoint_url=ENDPOINT, region_name="us-east-1", config=config)


S3 = client()


def fails(code, call, status=None):
    """The call fails with this code (a Head says only the status)."""
    try:
        call()
    except ClientError as error:
        got = error.response["Error"]["Code"]
        assert got == code, f"{got} instead of {code}: {error}"
        if status is not None:
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] == status
        return error
    raise AssertionError(f"it did not fail with {code}")


def content(size, seed):
    """Bytes that repeat nowhere near."""
    out = bytearray()
    block = hashlib.sha256(str(seed).encode()).digest()
    while len(out) < size:
        block = hashlib.sha256(block).digest()
        out += block
    return bytes(out[:size])


def on_mount(*path):
    with open(os.path.join(MOUNT, *path), "rb") as file:
        return file.read()


def body(answer):
    return answer["Body"].read()


def md5(data):
    return hashlib.md5(data).hexdigest()


def buckets():
    assert S3.list_buckets()["Buckets"] == []
    S3.create_bucket(Bucket="first-bucket")
    assert os.path.isdir(os.path.join(MOUNT, "first-bucket"))
    os.mkdir(os.path.join(MOUNT, "made-by-mount"))
    os.mkdir(os.path.join(MOUNT, "Not_A_Bucket"))
    names = [bucket["Name"] for bucket in S3.list_buckets()["Buckets"]]
    assert names == ["first-bucket", "made-by-mount"], names
    S3.head_bucket(Bucket="made-by-mount")
    fails("404", lambda: S3.head_bucket(Bucket="no-such-bucket"))
    fails("BucketAlreadyOwnedByYou", lambda: S3.create_bucket(Bucket="first-bucket"), 409)
    assert S3.get_bucket_location(Bucket="first-bucket")["LocationConstraint"] is None
    S3.put_object(Bucket="first-bucket", Key="deep/down/key", Body=b"x")
    fails("BucketNotEmpty", lambda: S3.delete_bucket(Bucket="first-bucket"), 409)
    S3.delete_object(Bucket="first-bucket", Key="deep/down/key")
    assert os.listdir(os.path.join(MOUNT, "first-bucket")) == []
    S3.delete_bucket(Bucket="first-bucket")
    assert not os.path.exists(os.path.join(MOUNT, "first-bucket"))
    fails("NoSuchBucket", lambda: S3.delete_bucket(Bucket="first-bucket"), 404)
    fails("NoSuchBucket", lambda: S3.put_object(Bucket="first-bucket", Key="k", Body=b""), 404)
    fails("NoSuchBucket", lambda: S3.list_objects_v2(Bucket="first-bucket"), 404)


def objects():
    S3.create_bucket(Bucket="bucket")
    for size in [0, 1, 511, 512, 513, 65536, 65537, 3 * MIB + 7, 9 * MIB + 1]:
        data = content(size, size)
        put = S3.put_object(Bucket="bucket", Key=f"sizes/{size}", Body=data)
        assert put["ETag"] == f'"{md5(data)}"', put["ETag"]
        got = S3.get_object(Bucket="bucket", Key=f"sizes/{size}")
        assert body(got) == data
        assert got["ETag"] == put["ETag"] and got["ContentLength"] == size
        assert on_mount("bucket", "sizes", str(size)) == data
        head = S3.head_object(Bucket="bucket", Key=f"sizes/{size}")
        assert head["ContentLength"] == size and head["ETag"] == put["ETag"]
    S3.put_object(
        Bucket="bucket",
        Key="described",
        Body=b"text",
        ContentType="text/x-test",
        CacheControl="no-store",
        ContentDisposition='attachment; filename="a"',
        ContentEncoding="identity",
        ContentLanguage="de",
        Expires="Thu, 01 Dec 2044 16:00:00 GMT",
        Metadata={"colour": "blue", "weight": "heavy"},
    )
    got = S3.get_object(Bucket="bucket", Key="described")
    assert got["ContentType"] == "text/x-test" and got["CacheControl"] == "no-store"
    assert got["ContentEncoding"] == "identity" and got["ContentLanguage"] == "de"
    assert got["Metadata"] == {"colour": "blue", "weight": "heavy"}, got["Metadata"]
    assert got["ExpiresString"] == "Thu, 01 Dec 2044 16:00:00 GMT"
    got = S3.get_object(Bucket="bucket", Key="described", ResponseContentType="a/b", ResponseCacheControl="private")
    assert got["ContentType"] == "a/b" and got["CacheControl"] == "private"
    fails("NoSuchKey", lambda: S3.get_object(Bucket="bucket", Key="missing"), 404)
    fails("404", lambda: S3.head_object(Bucket="bucket", Key="missing"))
    too_much = {"m": "x" * 3000}
    fails("MetadataTooLarge", lambda: S3.put_object(Bucket="bucket", Key="m", Body=b"", Metadata=too_much), 400)
    S3.put_object(Bucket="bucket", Key="described", Body=b"shorter")
    got = S3.get_object(Bucket="bucket", Key="described")
    assert body(got) == b"shorter" and got["Metadata"] == {}
    assert got["ContentType"] == "binary/octet-stream", got["ContentType"]
    assert S3.delete_object(Bucket="bucket", Key="missing")["ResponseMetadata"]["HTTPStatusCode"] == 204
    keys = [{"Key": f"sizes/{size}"} for size in [0, 1, 511]] + [{"Key": "missing"}]
    deleted = S3.delete_objects(Bucket="bucket", Delete={"Objects": keys})
    assert sorted(item["Key"] for item in deleted["Deleted"]) == ["missing", "sizes/0", "sizes/1", "sizes/511"]
    assert "Errors" not in deleted
    assert not os.path.exists(os.path.join(MOUNT, "bucket/sizes/1"))


def ranges():
    S3.create_bucket(Bucket="bucket")
    data = content(5 * MIB + 3, "ranges")
    S3.put_object(Bucket="bucket", Key="k", Body=data)
    size = len(data)
    for header, start, end in [
        ("bytes=0-0", 0, 1),
        ("bytes=5-5000000", 5, 5000001),
        (f"bytes={size - 1}-", size - 1, size),
        ("bytes=-7", size - 7, size),
        (f"bytes=10-{size * 2}", 10, size),
        (f"bytes=-{size * 2}", 0, size),
    ]:
        got = S3.get_object(Bucket="bucket", Key="k", Range=header)
        assert body(got) == data[start:end], header
        assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
        assert got["ContentRange"] == f"bytes {start}-{end - 1}/{size}"
    for header in [f"bytes={size}-", f"bytes={size + 5}-{size + 9}", "bytes=-0"]:
        fails("InvalidRange", lambda: S3.get_object(Bucket="bucket", Key="k", Range=header), 416)


def conditions():
    S3.create_bucket(Bucket="bucket")
    first = S3.put_object(Bucket="bucket", Key="k", Body=b"one", IfNoneMatch="*")["ETag"]
    fails("PreconditionFailed", lambda: S3.put_object(Bucket="bucket", Key="k", Body=b"two", IfNoneMatch="*"), 412)
    fails("PreconditionFailed", lambda: S3.put_object(Bucket="bucket", Key="k", Body=b"two", IfMatch='"x"'), 412)
    second = S3.put_object(Bucket="bucket", Key="k", Body=b"two", IfMatch=first)["ETag"]
    fails("PreconditionFailed", lambda: S3.put_object(Bucket="bucket", Key="k", Body=b"three", IfMatch=first), 412)
    fails("NoSuchKey", lambda: S3.put_object(Bucket="bucket", Key="new", Body=b"", IfMatch=first), 404)
    assert on_mount("bucket", "k") == b"two"
    get = lambda **conditions: S3.get_object(Bucket="bucket", Key="k", **conditions)
    assert body(get(IfMatch=second)) == b"two"
    fails("PreconditionFailed", lambda: get(IfMatch=first), 412)
    fails("304", lambda: get(IfNoneMatch=second), 304)
    modified = get()["LastModified"]
    fails("304", lambda: get(IfModifiedSince=modified), 304)
    assert body(get(IfUnmodifiedSince=modified)) == b"two"
    fails("304", lambda: S3.head_object(Bucket="bucket", Key="k", IfNoneMatch=second), 304)
    fails("412", lambda: S3.head_object(Bucket="bucket", Key="k", IfMatch=first), 412)
    fails("PreconditionFailed", lambda: S3.delete_object(Bucket="bucket", Key="k", IfMatch=first), 412)
    S3.delete_object(Bucket="bucket", Key="k", IfMatch=second)
    # Of many that create one key, one does.
    won, refused = [], []

    def create(number):
        try:
            client().put_object(Bucket="bucket", Key="race", Body=str(number).encode(), IfNoneMatch="*")
            won.append(number)
        except ClientError as error:
            refused.append(error.response["Error"]["Code"])

    threads = [threading.Thread(target=create, args=(number,)) for number in range(24)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(won) == 1 and set(refused) == {"PreconditionFailed"}, (won, refused)
    assert on_mount("bucket", "race") == str(won[0]).encode()


def listing():
    S3.create_bucket(Bucket="bucket")
    keys = sorted(
        ["a", "a-b", "a.txt", "a/1", "a/2", "a/deep/3", "b/x", "c d", "c+d", "\u00e4/\u00f6", "z--1", "z--2", "zz"],
        key=lambda key: key.encode(),
    )
    # A key cannot be a file and a directory.
    keys.remove("a")
    for key in keys:
        S3.put_object(Bucket="bucket", Key=key, Body=key.encode())
    listed = S3.list_objects_v2(Bucket="bucket")
    assert [item["Key"] for item in listed["Contents"]] == keys
    assert listed["KeyCount"] == len(keys) and not listed["IsTruncated"]
    for item in listed["Contents"]:
        assert item["ETag"] == f'"{md5(item["Key"].encode())}"' and item["Size"] == len(item["Key"].encode())

    def reference(prefix, delimiter):
        out = []
        for key in keys:
            if not key.startswith(prefix):
                continue
            at = key.find(delimiter, len(prefix)) if delimiter else -1
            name = key if at < 0 else key[: at + len(delimiter)]
            if name not in out:
                out.append(name)
        return out

    for prefix in ["", "a", "a/", "a/d", "b", "q", "z"]:
        for delimiter in ["", "/", "--", "1"]:
            for size in [1, 2, 3, 1000]:
                for version in ["list_objects_v2", "list_objects"]:
                    arguments = {"Bucket": "bucket", "Prefix": prefix, "MaxKeys": size}
                    if delimiter:
                        arguments["Delimiter"] = delimiter
                    found = []
                    for round in range(50):
                        page = getattr(S3, version)(**arguments)
                        items = [(item["Key"], 0) for item in page.get("Contents", [])]
                        items += [(item["Prefix"], 1) for item in page.get("CommonPrefixes", [])]
                        assert len(items) <= size
                        found += sorted((name for name, _ in items), key=lambda name: name.encode())
                        if not page["IsTruncated"]:
                            break
                        if version == "list_objects_v2":
                            arguments["ContinuationToken"] = page["NextContinuationToken"]
                        else:
                            arguments["Marker"] = page["NextMarker"]
                    wanted = reference(prefix, delimiter)
                    assert found == wanted, (version, prefix, delimiter, size, found, wanted)
    after = S3.list_objects_v2(Bucket="bucket", StartAfter="a/2")
    assert [item["Key"] for item in after["Contents"]] == [key for key in keys if key.encode() > b"a/2"]
    owned = S3.list_objects_v2(Bucket="bucket", FetchOwner=True, EncodingType="url", MaxKeys=2)
    assert all("Owner" in item for item in owned["Contents"])
    assert S3.list_objects_v2(Bucket="bucket", MaxKeys=0)["KeyCount"] == 0
    fails("InvalidArgument", lambda: S3.list_objects_v2(Bucket="bucket", ContinuationToken="nonsense"), 400)
    # A page holds at most a thousand.
    for number in range(1005):
        with open(os.path.join(MOUNT, "bucket", f"n{number:04}"), "wb"):
            pass
    pages = list(S3.get_paginator("list_objects_v2").paginate(Bucket="bucket", Prefix="n"))
    assert [page["KeyCount"] for page in pages] == [1000, 5]


def same_data():
    """What a mount writes is an object, and the other way round."""
    S3.create_bucket(Bucket="bucket")
    data = content(200_000, "mount")
    os.makedirs(os.path.join(MOUNT, "bucket/dir/empty"))
    with open(os.path.join(MOUNT, "bucket/dir/page.html"), "wb") as file:
        file.write(data)
    got = S3.get_object(Bucket="bucket", Key="dir/page.html")
    assert body(got) == data and got["ContentType"] == "text/html"
    assert got["ETag"] == f'"{md5(data)}"', got["ETag"]
    assert body(S3.get_object(Bucket="bucket", Key="dir/page.html", IfMatch=got["ETag"])) == data
    keys = [item["Key"] for item in S3.list_objects_v2(Bucket="bucket")["Contents"]]
    assert "dir/empty/" in keys and "dir/page.html" in keys, keys
    put = S3.put_object(Bucket="bucket", Key="from-s3", Body=b"hello", Metadata={"kept": "yes"})
    path = os.path.join(MOUNT, "bucket/from-s3")
    assert os.stat(path).st_mode & 0o7777 == 0o644
    with open(path, "ab") as file:
        file.write(b" world")
    got = S3.get_object(Bucket="bucket", Key="from-s3")
    assert body(got) == b"hello world" and got["ETag"] != put["ETag"]
    assert got["Metadata"] == {"kept": "yes"}
    os.rename(os.path.join(MOUNT, "bucket/dir"), os.path.join(MOUNT, "bucket/moved"))
    assert body(S3.get_object(Bucket="bucket", Key="moved/page.html")) == data
    fails("NoSuchKey", lambda: S3.get_object(Bucket="bucket", Key="dir/page.html"), 404)
    # Who has begun to read keeps what it began with.
    large = content(12 * MIB, "large")
    S3.put_object(Bucket="bucket", Key="large", Body=large)
    reading = S3.get_object(Bucket="bucket", Key="large")["Body"]
    begun = reading.read(1000)
    S3.put_object(Bucket="bucket", Key="large", Body=b"new")
    S3.delete_object(Bucket="bucket", Key="large")
    assert begun + reading.read() == large


def markers():
    S3.create_bucket(Bucket="bucket")
    S3.put_object(Bucket="bucket", Key="folder/")
    assert os.path.isdir(os.path.join(MOUNT, "bucket/folder"))
    got = S3.get_object(Bucket="bucket", Key="folder/")
    assert body(got) == b"" and got["ETag"] == f'"{md5(b"")}"'
    fails("NoSuchKey", lambda: S3.get_object(Bucket="bucket", Key="folder"), 404)
    fails("InvalidArgument", lambda: S3.put_object(Bucket="bucket", Key="full/", Body=b"x"), 400)
    S3.put_object(Bucket="bucket", Key="folder/file", Body=b"x")
    S3.delete_object(Bucket="bucket", Key="folder/")
    keys = [item["Key"] for item in S3.list_objects_v2(Bucket="bucket")["Contents"]]
    assert keys == ["folder/file"], keys
    # A key that is a file cannot be the beginning of another, nor the other way round.
    fails("InvalidRequest", lambda: S3.put_object(Bucket="bucket", Key="folder", Body=b"x"), 400)
    fails("InvalidRequest", lambda: S3.put_object(Bucket="bucket", Key="folder/file/below", Body=b"x"), 400)
    fails("NoSuchKey", lambda: S3.get_object(Bucket="bucket", Key="folder/file/below"), 404)
    S3.delete_object(Bucket="bucket", Key="folder/file/below")
    assert on_mount("bucket", "folder", "file") == b"x"


def odd_keys():
    S3.create_bucket(Bucket="bucket")
    S3.create_bucket(Bucket="other-bucket")
    S3.put_object(Bucket="other-bucket", Key="k", Body=b"secret")
    put = lambda key: S3.put_object(Bucket="bucket", Key=key, Body=b"x")
    for key in ["../other-bucket/k", "a/../../other-bucket/k", "a//b", "/a", "./a", "a/./b", "a/..", "a\0b", "..", "."]:
        fails("InvalidArgument", lambda: put(key), 400)
        fails("NoSuchKey", lambda: S3.get_object(Bucket="bucket", Key=key), 404)
        fails("InvalidArgument", lambda: S3.delete_object(Bucket="bucket", Key=key), 400)
    for key in ["x" * 256, "/".join(["d" * 200] * 6)]:
        fails("KeyTooLongError", lambda: put(key), 400)
    assert os.listdir(os.path.join(MOUNT, "bucket")) == []
    for key in ["%2e%2e%2fk", "back\\slash", "plus+space key", "\u00fcber/\u96ea", "...", "a..b", "q?x=1&y#z", "x" * 255]:
        put(key)
        assert body(S3.get_object(Bucket="bucket", Key=key)) == b"x"
        assert on_mount("bucket", key) == b"x"
    assert body(S3.get_object(Bucket="other-bucket", Key="k")) == b"secret"


def copies():
    S3.create_bucket(Bucket="bucket")
    S3.create_bucket(Bucket="target")
    for size in [0, 100, 8 * MIB + 5]:
        data = content(size, f"copy{size}")
        put = S3.put_object(Bucket="bucket", Key="src", Body=data, Metadata={"a": "b"}, ContentType="x/y", Tagging="t=1")
        source = {"Bucket": "bucket", "Key": "src"}
        done = S3.copy_object(Bucket="target", Key=f"deep/{size}", CopySource=source)
        assert done["CopyObjectResult"]["ETag"] == put["ETag"]
        got = S3.get_object(Bucket="target", Key=f"deep/{size}")
        assert body(got) == data and got["Metadata"] == {"a": "b"} and got["ContentType"] == "x/y"
        assert S3.get_object_tagging(Bucket="target", Key=f"deep/{size}")["TagSet"] == [{"Key": "t", "Value": "1"}]
        assert on_mount("target", "deep", str(size)) == data
    S3.copy_object(Bucket="bucket", Key="src", CopySource=source, MetadataDirective="REPLACE", Metadata={"c": "d"})
    got = S3.get_object(Bucket="bucket", Key="src")
    assert body(got) == data and got["Metadata"] == {"c": "d"}
    fails("InvalidRequest", lambda: S3.copy_object(Bucket="bucket", Key="src", CopySource=source), 400)
    copy = lambda **more: S3.copy_object(Bucket="target", Key="c", CopySource=source, **more)
    fails("PreconditionFailed", lambda: copy(CopySourceIfMatch='"x"'), 412)
    fails("PreconditionFailed", lambda: copy(CopySourceIfNoneMatch=put["ETag"]), 412)
    copy(CopySourceIfMatch=put["ETag"])
    missing = {"Bucket": "bucket", "Key": "missing"}
    fails("NoSuchKey", lambda: S3.copy_object(Bucket="target", Key="c", CopySource=missing), 404)


def tagging():
    S3.create_bucket(Bucket="bucket")
    with open(os.path.join(MOUNT, "bucket/file"), "wb") as file:
        file.write(b"data")
    tags = [{"Key": "a", "Value": "1"}, {"Key": "b c", "Value": ""}]
    S3.put_object_tagging(Bucket="bucket", Key="file", Tagging={"TagSet": tags})
    assert S3.get_object_tagging(Bucket="bucket", Key="file")["TagSet"] == tags
    assert S3.get_object(Bucket="bucket", Key="file")["TagCount"] == 2
    S3.delete_object_tagging(Bucket="bucket", Key="file")
    assert S3.get_object_tagging(Bucket="bucket", Key="file")["TagSet"] == []
    many = [{"Key": str(number), "Value": ""} for number in range(11)]
    fails("BadRequest", lambda: S3.put_object_tagging(Bucket="bucket", Key="file", Tagging={"TagSet": many}), 400)
    twice = [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]
    fails("InvalidTag", lambda: S3.put_object_tagging(Bucket="bucket", Key="file", Tagging={"TagSet": twice}), 400)
    fails("NoSuchKey", lambda: S3.get_object_tagging(Bucket="bucket", Key="missing"), 404)


def checksums():
    S3.create_bucket(Bucket="bucket")
    for size in [10, 300_000]:
        data = content(size, f"sums{size}")
        for algorithm in ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"]:
            put = S3.put_object(Bucket="bucket", Key="k", Body=data, ChecksumAlgorithm=algorithm)
            head = S3.head_object(Bucket="bucket", Key="k", ChecksumMode="ENABLED")
            name = f"Checksum{algorithm}"
            assert put[name] == head[name] and head["ChecksumType"] == "FULL_OBJECT"
            assert body(S3.get_object(Bucket="bucket", Key="k", ChecksumMode="ENABLED")) == data
        crc = base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()
        assert S3.put_object(Bucket="bucket", Key="k", Body=data, ChecksumCRC32=crc)["ChecksumCRC32"] == crc
        wrong = base64.b64encode(b"\0\0\0\1").decode()
        fails("BadDigest", lambda: S3.put_object(Bucket="bucket", Key="bad", Body=data, ChecksumCRC32=wrong), 400)
        wrong = base64.b64encode(b"\0" * 16).decode()
        fails("BadDigest", lambda: S3.put_object(Bucket="bucket", Key="bad", Body=data, ContentMD5=wrong), 400)
        fails("InvalidDigest", lambda: S3.put_object(Bucket="bucket", Key="bad", Body=data, ContentMD5="AAAA"), 400)
        fails("404", lambda: S3.head_object(Bucket="bucket", Key="bad"))


def multipart():
    S3.create_bucket(Bucket="bucket")
    begin = lambda key, **more: S3.create_multipart_upload(Bucket="bucket", Key=key, **more)["UploadId"]
    parts = [content(5 * MIB, 1), content(5 * MIB + 1, 2), content(77, 3)]
    upload = begin("dir/whole", Metadata={"m": "p"}, ContentType="a/b", Tagging="x=y")

    def send(upload, number, data, key="dir/whole"):
        sent = S3.upload_part(Bucket="bucket", Key=key, UploadId=upload, PartNumber=number, Body=data)
        assert sent["ETag"] == f'"{md5(data)}"'
        return {"PartNumber": number, "ETag": sent["ETag"]}

    complete = lambda upload, parts, key="dir/whole", **more: S3.complete_multipart_upload(
        Bucket="bucket", Key=key, UploadId=upload, MultipartUpload={"Parts": parts}, **more
    )
    send(upload, 2, b"replaced later")
    named = [send(upload, number, data) for number, data in enumerate(parts, 1)]
    listed = S3.list_parts(Bucket="bucket", Key="dir/whole", UploadId=upload)
    assert [(part["PartNumber"], part["Size"]) for part in listed["Parts"]] == [(1, 5 * MIB), (2, 5 * MIB + 1), (3, 77)]
    page = S3.list_parts(Bucket="bucket", Key="dir/whole", UploadId=upload, MaxParts=2)
    assert page["IsTruncated"] and page["NextPartNumberMarker"] == 2
    uploads = S3.list_multipart_uploads(Bucket="bucket")["Uploads"]
    assert [(item["Key"], item["UploadId"]) for item in uploads] == [("dir/whole", upload)]
    # Nothing shows before it is complete.
    assert "Contents" not in S3.list_objects_v2(Bucket="bucket") and os.listdir(os.path.join(MOUNT, "bucket")) == []
    fails("InvalidPartOrder", lambda: complete(upload, named[::-1]), 400)
    fails("InvalidPart", lambda: complete(upload, [{"PartNumber": 1, "ETag": named[1]["ETag"]}]), 400)
    fails("InvalidPart", lambda: complete(upload, named + [{"PartNumber": 9, "ETag": named[1]["ETag"]}]), 400)
    fails("EntityTooSmall", lambda: complete(upload, [named[0], named[2], send(upload, 4, b"last")]), 400)
    fails("NoSuchUpload", lambda: complete("0" * 32, named), 404)
    done = complete(upload, named)
    whole = b"".join(parts)
    tag = md5(b"".join(hashlib.md5(part).digest() for part in parts)) + "-3"
    assert done["ETag"] == f'"{tag}"', done["ETag"]
    got = S3.get_object(Bucket="bucket", Key="dir/whole")
    assert body(got) == whole and got["ETag"] == f'"{tag}"'
    assert got["Metadata"] == {"m": "p"} and got["ContentType"] == "a/b" and got["TagCount"] == 1
    assert on_mount("bucket", "dir", "whole") == whole
    second = S3.get_object(Bucket="bucket", Key="dir/whole", PartNumber=2)
    assert body(second) == parts[1] and second["PartsCount"] == 3
    fails("NoSuchUpload", lambda: complete(upload, named), 404)
    fails("NoSuchUpload", lambda: send(upload, 1, b"x"), 404)
    # Given up.
    upload = begin("gone")
    send(upload, 1, b"x" * 100, "gone")
    S3.abort_multipart_upload(Bucket="bucket", Key="gone", UploadId=upload)
    fails("NoSuchUpload", lambda: S3.list_parts(Bucket="bucket", Key="gone", UploadId=upload), 404)
    assert "Uploads" not in S3.list_multipart_uploads(Bucket="bucket")
    fails("404", lambda: S3.head_object(Bucket="bucket", Key="gone"))
    # Copied parts.
    upload = begin("copied")
    source = {"Bucket": "bucket", "Key": "dir/whole"}
    named = []
    for number, (start, end) in enumerate([(0, 5 * MIB), (3, 5 * MIB + 4), (10, 11)], 1):
        copied = S3.upload_part_copy(
            Bucket="bucket", Key="copied", UploadId=upload, PartNumber=number, CopySource=source,
            CopySourceRange=f"bytes={start}-{end - 1}",
        )["CopyPartResult"]
        assert copied["ETag"] == f'"{md5(whole[start:end])}"'
        named.append({"PartNumber": number, "ETag": copied["ETag"]})
    complete(upload, named, "copied")
    wanted = whole[: 5 * MIB] + whole[3 : 5 * MIB + 4] + whole[10:11]
    assert body(S3.get_object(Bucket="bucket", Key="copied")) == wanted
    # Conditions and wrong numbers.
    upload = begin("copied")
    named = [send(upload, 1, b"small", "copied")]
    fails("PreconditionFailed", lambda: complete(upload, named, "copied", IfNoneMatch="*"), 412)
    for number in [0, 10001]:
        fails("InvalidArgument", lambda: send(upload, number, b"x", "copied"), 400)
    complete(upload, named, "copied")
    assert on_mount("bucket", "copied") == b"small"
    # As programs do it.
    from boto3.s3.transfer import TransferConfig
    import io

    data = content(30 * MIB + 11, "transfer")
    S3.upload_fileobj(io.BytesIO(data), "bucket", "transferred", Config=TransferConfig(multipart_chunksize=8 * MIB))
    out = io.BytesIO()
    S3.download_fileobj("bucket", "transferred", out, Config=TransferConfig(multipart_chunksize=8 * MIB))
    assert out.getvalue() == data and on_mount("bucket", "transferred") == data


def interrupted():
    """Leaves uploads that have begun behind it: bodies that do not end, and a part."""
    import socket

    S3.create_bucket(Bucket="bucket")
    signer = client(signature_version="s3v4")
    host, port = ENDPOINT.removeprefix("http://").split(":")
    begun = []
    for number in range(4):
        params = {"Bucket": "bucket", "Key": f"half{number}"}
        url = signer.generate_presigned_url("put_object", Params=params, ExpiresIn=60)
        connection = socket.create_connection((host, int(port)))
        head = f"PUT {url.removeprefix(ENDPOINT)} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: {16 * MIB}\r\n\r\n"
        connection.sendall(head.encode() + bytes(4 * MIB))
        begun.append(connection)
    upload = S3.create_multipart_upload(Bucket="bucket", Key="parts")["UploadId"]
    S3.upload_part(Bucket="bucket", Key="parts", UploadId=upload, PartNumber=1, Body=bytes(6 * MIB))
    begun[0].close()
    begun[1].close()


def before_a_kill():
    S3.create_bucket(Bucket="bucket")
    for number in range(20):
        S3.put_object(Bucket="bucket", Key=f"small{number}", Body=content(1000, number))
    S3.put_object(Bucket="bucket", Key="large", Body=content(9 * MIB, "large"))
    upload = S3.create_multipart_upload(Bucket="bucket", Key="parts")["UploadId"]
    S3.upload_part(Bucket="bucket", Key="parts", UploadId=upload, PartNumber=1, Body=content(5 * MIB, "part"))


def after_a_kill():
    for number in range(20):
        assert body(S3.get_object(Bucket="bucket", Key=f"small{number}")) == content(1000, number)
    assert body(S3.get_object(Bucket="bucket", Key="large")) == content(9 * MIB, "large")
    (upload,) = S3.list_multipart_uploads(Bucket="bucket")["Uploads"]
    parts = S3.list_parts(Bucket="bucket", Key="parts", UploadId=upload["UploadId"])["Parts"]
    assert [part["Size"] for part in parts] == [5 * MIB]
    S3.put_object(Bucket="bucket", Key="new", Body=content(3 * MIB, "new"))
    assert on_mount("bucket", "new") == content(3 * MIB, "new")


def full_disk():
    S3.create_bucket(Bucket="bucket")
    files = {name: content(5000, name) for name in ("looked-at-when-full", "looked-at-later")}
    for name, data in files.items():
        with open(os.path.join(MOUNT, "bucket", name), "wb") as file:
            file.write(data)
    kept, refused = 0, None
    for number in range(200):
        try:
            S3.put_object(Bucket="bucket", Key=f"k{number}", Body=content(8 * MIB, number))
            kept += 1
        except ClientError as error:
            refused = error.response
            break
    assert refused["Error"]["Code"] == "InsufficientStorage", refused
    assert refused["ResponseMetadata"]["HTTPStatusCode"] == 507
    names = [item["Key"] for item in S3.list_objects_v2(Bucket="bucket")["Contents"]]
    assert sorted(names) == sorted([f"k{number}" for number in range(kept)] + list(files))
    # That a tag cannot be kept is no reason to fail, or to wait for room.
    name, data = next(iter(files.items()))
    began = time.monotonic()
    for got in (S3.head_object(Bucket="bucket", Key=name), S3.get_object(Bucket="bucket", Key=name)):
        assert got["ETag"] == f'"{md5(data)}"' or got["ETag"].endswith('-0"'), got["ETag"]
    assert body(got) == data and time.monotonic() - began < 10
    for number in range(kept):
        assert body(S3.get_object(Bucket="bucket", Key=f"k{number}")) == content(8 * MIB, number)
    for number in range(kept // 2):
        S3.delete_object(Bucket="bucket", Key=f"k{number}")
    deadline = time.monotonic() + 60
    while True:
        try:
            S3.put_object(Bucket="bucket", Key="again", Body=content(8 * MIB, "again"))
            break
        except ClientError as error:
            assert error.response["Error"]["Code"] == "InsufficientStorage", error
            assert time.monotonic() < deadline, "it does not heal"
    assert on_mount("bucket", "again") == content(8 * MIB, "again")
    for name, data in files.items():
        assert S3.head_object(Bucket="bucket", Key=name)["ETag"] == f'"{md5(data)}"'


def access():
    S3.create_bucket(Bucket="bucket")
    S3.put_object(Bucket="bucket", Key="k", Body=b"data")

    def plain(url, method="GET", data=None, **headers):
        request = urllib.request.Request(url, method=method, data=data, headers=headers)
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    for method in ["GET", "HEAD", "PUT", "DELETE"]:
        status, _ = plain(f"{ENDPOINT}/bucket/k", method, b"forged" if method == "PUT" else None)
        assert status == 403, (method, status)
    # Left to itself boto3 signs URLs for other endpoints than Amazon's in the old way.
    old = S3.generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": "k"}, ExpiresIn=60)
    if "AWSAccessKeyId" in old:
        status, answer = plain(old)
        assert status == 400 and b"AWS4-HMAC-SHA256" in answer
    signer = client(signature_version="s3v4")
    url = signer.generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": "k"}, ExpiresIn=60)
    assert plain(url) == (200, b"data")
    assert plain(url.replace("/k?", "/l?"))[0] == 403
    assert plain(url, "DELETE")[0] == 403
    put = signer.generate_presigned_url("put_object", Params={"Bucket": "bucket", "Key": "signed"}, ExpiresIn=60)
    assert plain(put, "PUT", b"by url")[0] == 200 and on_mount("bucket", "signed") == b"by url"
    short = signer.generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": "k"}, ExpiresIn=1)
    deadline = time.monotonic() + 20
    while plain(short)[0] != 403:
        assert time.monotonic() < deadline, "a URL that has expired is served"
        time.sleep(0.1)
    stranger = boto3.client(
        "s3", endpoint_url=ENDPOINT, region_name="us-east-1", aws_access_key_id="nobody", aws_secret_access_key="x",
        config=Config(s3={"addressing_style": "path"}),
    )
    fails("InvalidAccessKeyId", lambda: stranger.list_buckets(), 403)
    wrong = boto3.client(
        "s3", endpoint_url=ENDPOINT, region_name="us-east-1", aws_access_key_id=os.environ["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key="wrong", config=Config(s3={"addressing_style": "path"}),
    )
    fails("SignatureDoesNotMatch", lambda: wrong.put_object(Bucket="bucket", Key="k", Body=b"forged"), 403)
    old = boto3.client("s3", endpoint_url=ENDPOINT, config=Config(signature_version="s3", s3={"addressing_style": "path"}))
    fails("InvalidRequest", lambda: old.get_object(Bucket="bucket", Key="k"), 400)
    assert on_mount("bucket", "k") == b"data"
    # What is not there says so.
    fails("NotImplemented", lambda: S3.put_bucket_policy(Bucket="bucket", Policy="{}"), 501)
    fails("NotImplemented", lambda: S3.put_object(Bucket="bucket", Key="e", Body=b"", ServerSideEncryption="AES256"), 501)
    fails("NotImplemented", lambda: S3.put_object(Bucket="bucket", Key="e", Body=b"", ACL="public-read"), 501)
    fails("404", lambda: S3.head_object(Bucket="bucket", Key="e"))


def virtual_hosts():
    """Signed for a host name, sent to the address that it stands for."""
    from http.client import HTTPConnection
    from urllib.parse import urlsplit

    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    address = urlsplit(ENDPOINT).netloc
    port = address.rsplit(":", 1)[1]
    keys = Credentials(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])

    def ask(method, host, path, body=b"", headers=None, sign=True):
        request = AWSRequest(method=method, url=f"http://{host}{path}", data=body, headers=headers or {})
        if sign:
            S3SigV4Auth(keys, "s3", "us-east-1").add_auth(request)
        link = HTTPConnection(address, timeout=60)
        link.request(method, path, body, dict(request.headers) | {"Host": host})
        answer = link.getresponse()
        return answer.status, answer.read(), answer.headers

    for name in ("bucket", "my.own.bucket"):
        for domain in ("s3.example.com", f"s3.local:{port}"):
            host = f"{name}.{domain}"
            assert ask("PUT", host, "/")[0] == 200, host
            assert os.listdir(os.path.join(MOUNT, name)) == []
            assert ask("PUT", host, "/a/b%20c", b"content")[0] == 200
            with open(os.path.join(MOUNT, name, "a/b c"), "rb") as file:
                assert file.read() == b"content"
            assert ask("GET", host, "/a/b%20c")[1] == b"content"
            assert b"<Key>a/b c</Key>" in ask("GET", host, "/?list-type=2&prefix=a%2F")[1]
            # By path: on the domain itself, and on any other host.
            for other in (domain, address, "other.example"):
                assert ask("GET", other, f"/{name}/a/b%20c")[1] == b"content", other
                assert f"<Name>{name}</Name>".encode() in ask("GET", other, "/")[1], other
            # A signature for one bucket is good for no other.
            assert ask("GET", host, "/a/b%20c", sign=False)[0] == 403
            assert ask("DELETE", host, "/a/b%20c")[0] == 204
            assert ask("DELETE", host, "/")[0] == 204
    status, said, _ = ask("GET", "Under_Score.s3.local", "/")
    assert status == 400 and b"<Code>InvalidBucketName</Code>" in said, said
    # What comes by a form goes to the bucket of the host, too.
    S3.create_bucket(Bucket="forms")
    signer = client(signature_version="s3v4")
    fields = signer.generate_presigned_post("forms", "key")["fields"]
    parts = [f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()]
    parts.append('--b\r\nContent-Disposition: form-data; name="file"\r\n\r\ncontent\r\n--b--\r\n')
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    form = "".join(parts).encode()
    assert ask("POST", "other.s3.local", "/", form, kind, sign=False)[0] == 403
    status, said, headers = ask("POST", "forms.s3.local", "/", form, kind, sign=False)
    assert status == 204 and headers["Location"] == "http://forms.s3.local/key", (status, said)
    with open(os.path.join(MOUNT, "forms/key"), "rb") as file:
        assert file.read() == b"content"


globals()[SECTION]()
print(f"{SECTION}: good")
