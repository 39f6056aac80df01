"""An object of so many bytes. `put`: it is put in parts by boto3's own transfer, while it is made up; the mount must show the
bytes whose SHA-256 is printed then. `get SUM`: one Get must give them."""
import hashlib, random, sys

from boto3.s3.transfer import TransferConfig

import gateway

SIZE, WHAT = int(sys.argv[1]), sys.argv[2]
MIB = 1024 * 1024
PART = 16 * MIB

s3 = gateway.client()


class Content:
    """Bytes that are made when they are read."""

    def __init__(self):
        self.random, self.left, self.sum = random.Random(SIZE), SIZE, hashlib.sha256()

    def read(self, size=-1):
        size = self.left if size < 0 else min(size, self.left)
        self.left -= size
        data = self.random.randbytes(size)
        self.sum.update(data)
        return data


def sum_of(read):
    found, length = hashlib.sha256(), 0
    while data := read(MIB):
        found.update(data)
        length += len(data)
    return length, found.hexdigest()


if WHAT == "put":
    s3.create_bucket(Bucket="large")
    content = Content()
    parts = TransferConfig(multipart_chunksize=PART, max_concurrency=10)
    s3.upload_fileobj(content, "large", "object", Config=parts)
    sent = content.sum.hexdigest()
    head = s3.head_object(Bucket="large", Key="object")
    assert head["ETag"].endswith(f'-{-(-SIZE // PART)}"'), head["ETag"]
    with open(gateway.MOUNT / "large" / "object", "rb") as file:
        assert sum_of(file.read) == (SIZE, sent), "the mount shows something else"
    print(sent)
else:
    got = s3.get_object(Bucket="large", Key="object")["Body"]
    assert sum_of(got.read) == (SIZE, sys.argv[3]), "a Get gives something else"
