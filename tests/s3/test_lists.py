"""Lists: every key once, in the order of their bytes, by pages of any size, grouped by any delimiter."""
import random

from gateway import Gateway

KEYS = sorted(["a", "a-b", "a.txt", "a/b", "a/b-c", "a/b/c", "a/b/c.d", "a0", "b/1", "b/10", "b/2", "photos/2006/January/1.jpg",
               "photos/2006/February/2.jpg", "photos/2007/x", "photosalbum", "z", "ä/ö", "日本/語", "with space/and+plus", "~"],
              key=lambda key: key.encode())
# A key cannot be a file and a directory on the way to another.
KEYS = [key for key in KEYS if not any(other.startswith(f"{key}/") for other in KEYS)]


class Lists(Gateway):
    def setUp(self):
        super().setUp()
        for key in random.sample(KEYS, len(KEYS)):
            self.put(key, key.encode())

    def test_all_keys_come_in_the_order_of_their_bytes(self):
        self.assertEqual(self.keys(), KEYS)
        listed = self.s3.list_objects(Bucket=self.bucket)
        self.assertEqual([entry["Key"] for entry in listed["Contents"]], KEYS)
        for entry in listed["Contents"]:
            self.assertEqual(entry["Size"], len(entry["Key"].encode()))
            self.assertEqual(entry["ETag"], self.head(entry["Key"])["ETag"])

    def test_pages_of_any_size_give_each_key_once(self):
        for size in (1, 2, 3, 7, len(KEYS), 1000):
            with self.subTest(size):
                pages = list(self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, MaxKeys=size))
                listed = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
                self.assertEqual(listed, KEYS)
                self.assertTrue(all(page["KeyCount"] <= size for page in pages))
                first = self.s3.get_paginator("list_objects").paginate(Bucket=self.bucket, MaxKeys=size)
                self.assertEqual([entry["Key"] for page in first for entry in page.get("Contents", [])], KEYS)

    def test_prefix_start_and_delimiter_agree_with_a_sorted_set(self):
        choose = random.Random(7)
        for _ in range(60):
            prefix = choose.choice(["", "a", "a/", "a/b", "b/", "photos", "photos/", "photos/2006/", "z", "nothing"])
            delimiter = choose.choice(["", "/", "-", "0", "ph", "2006/"])
            start = choose.choice(["", "", "a", "a/b", "b/1", "b/", "photos/2006/January/1.jpg", "~~"])
            size = choose.choice([1, 2, 5, 1000])
            with self.subTest(prefix=prefix, delimiter=delimiter, start=start, size=size):
                keys, prefixes = self.all(prefix, delimiter, start, size)
                want_keys, want_prefixes = model(prefix, delimiter, start)
                self.assertEqual((keys, prefixes), (want_keys, want_prefixes))

    def all(self, prefix, delimiter, start, size):
        more = dict(Delimiter=delimiter) if delimiter else {}
        pages = self.s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=prefix, StartAfter=start, MaxKeys=size, **more)
        keys, prefixes = [], []
        for page in pages:
            keys += [entry["Key"] for entry in page.get("Contents", [])]
            prefixes += [entry["Prefix"] for entry in page.get("CommonPrefixes", [])]
        return keys, prefixes

    def test_names_are_encoded_when_asked_for(self):
        listed = self.s3.list_objects_v2(Bucket=self.bucket, Prefix="with", EncodingType="url")
        self.assertEqual(listed["EncodingType"], "url")
        # boto3 decodes what it asked for itself only; here the answer is as it was sent.
        self.assertEqual([entry["Key"] for entry in listed["Contents"]], ["with%20space/and%2Bplus"])

    def test_an_empty_page_and_zero_keys(self):
        listed = self.s3.list_objects_v2(Bucket=self.bucket, Prefix="nothing")
        self.assertEqual((listed["KeyCount"], listed["IsTruncated"]), (0, False))
        listed = self.s3.list_objects_v2(Bucket=self.bucket, MaxKeys=0)
        self.assertEqual((listed["KeyCount"], listed["IsTruncated"]), (0, False))

    def test_a_token_that_nobody_gave_is_refused(self):
        self.refused("InvalidArgument", 400, self.s3.list_objects_v2, Bucket=self.bucket, ContinuationToken="nobody gave this")
        self.refused("InvalidArgument", 400, self.s3.list_objects_v2, Bucket=self.bucket, MaxKeys=-1)

    def test_the_owner_comes_when_asked_for(self):
        plain = self.s3.list_objects_v2(Bucket=self.bucket)["Contents"][0]
        asked = self.s3.list_objects_v2(Bucket=self.bucket, FetchOwner=True)["Contents"][0]
        self.assertNotIn("Owner", plain)
        self.assertTrue(asked["Owner"]["ID"])


def model(prefix, delimiter, start):
    keys, prefixes = [], []
    for key in KEYS:
        if not key.startswith(prefix):
            continue
        rest = key[len(prefix):]
        if delimiter and delimiter in rest:
            group = prefix + rest[:rest.index(delimiter) + len(delimiter)]
            if group.encode() > start.encode() and not start.startswith(group) and group not in prefixes:
                prefixes.append(group)
        elif key.encode() > start.encode():
            keys.append(key)
    return keys, prefixes
