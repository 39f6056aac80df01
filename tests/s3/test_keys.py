"""Access keys in the index: what each may do, where, and until when; their secrets are nowhere in clear."""
import os, pathlib, subprocess, time

from botocore.exceptions import ClientError

import gateway
from gateway import MOUNT, PART, Gateway, client_of, control

# Of wolfdisk-s3: so long a deleted key may still work.
LIFETIME_S = 1


class Keys(Gateway):
    def make_key(self, *arguments):
        key = control("key", "create", *arguments)
        self.addCleanup(subprocess.run, [
            gateway.program("wolfdiskctl"), "-d", os.environ["DATA"], "s3", "key", "delete", key["access_key"]], capture_output=True)
        return key

    def denied(self, call, *args, **more):
        self.refused("AccessDenied", 403, call, *args, **more)

    def begin_upload(self, key="parts"):
        upload = self.s3.create_multipart_upload(Bucket=self.bucket, Key=key)["UploadId"]
        return dict(Bucket=self.bucket, Key=key, UploadId=upload)

    def tree(self):
        return sorted((str(path.relative_to(MOUNT)), path.stat().st_size) for path in MOUNT.rglob("*"))

    def test_a_full_key_does_everything(self):
        key = self.make_key("--name", "full")
        s3 = client_of(key)
        s3.create_bucket(Bucket=f"{self.bucket}-2")
        s3.put_object(Bucket=f"{self.bucket}-2", Key="a", Body=b"content")
        self.assertEqual(s3.get_object(Bucket=f"{self.bucket}-2", Key="a")["Body"].read(), b"content")
        s3.delete_object(Bucket=f"{self.bucket}-2", Key="a")
        s3.delete_bucket(Bucket=f"{self.bucket}-2")

    def test_it_is_listed_without_its_secret(self):
        key = self.make_key("--name", "for the list", "--read-only", "--bucket", "photos", "--bucket", "music")
        mine = [known for known in control("key", "list") if known["access_key"] == key["access_key"]]
        self.assertEqual(len(mine), 1)
        made = mine[0].pop("created_s")
        self.assertLess(abs(made - time.time()), 3600)
        self.assertEqual(mine[0], {"access_key": key["access_key"], "name": "for the list", "read_only": True,
                                   "buckets": ["music", "photos"], "usable": True})
        self.assertEqual((len(key["access_key"]), len(key["secret_key"])), (20, 40))
        for_people = subprocess.run([gateway.program("wolfdiskctl"), "-d", os.environ["DATA"], "s3", "key", "list"],
                                    check=True, capture_output=True, text=True).stdout
        self.assertIn(key["access_key"], for_people)
        self.assertNotIn(key["secret_key"], for_people)

    def test_a_key_that_may_read_changes_nothing(self):
        self.put("there", b"content")
        upload = self.begin_upload()
        part = self.s3.upload_part(PartNumber=1, Body=b"x", **upload)
        s3 = client_of(self.make_key("--read-only"))
        there = dict(Bucket=self.bucket, Key="there")
        self.assertEqual(s3.get_object(**there)["Body"].read(), b"content")
        s3.head_object(**there)
        s3.head_bucket(Bucket=self.bucket)
        s3.get_object_tagging(**there)
        s3.list_parts(**upload)
        s3.list_multipart_uploads(Bucket=self.bucket)
        self.assertEqual([entry["Key"] for entry in s3.list_objects_v2(Bucket=self.bucket)["Contents"]], ["there"])
        self.assertIn(self.bucket, [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]])
        before = self.tree()
        copy = dict(CopySource=f"{self.bucket}/there")
        parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        for call, more in (
            (s3.put_object, dict(Bucket=self.bucket, Key="new", Body=b"x")),
            (s3.put_object, dict(Bucket=self.bucket, Key="there", Body=b"other")),
            (s3.delete_object, there),
            (s3.delete_objects, dict(Bucket=self.bucket, Delete={"Objects": [{"Key": "there"}]})),
            (s3.copy_object, dict(Bucket=self.bucket, Key="copy", **copy)),
            (s3.put_object_tagging, dict(Tagging={"TagSet": [{"Key": "a", "Value": "b"}]}, **there)),
            (s3.delete_object_tagging, there),
            (s3.create_multipart_upload, dict(Bucket=self.bucket, Key="new")),
            (s3.upload_part, dict(PartNumber=2, Body=b"x", **upload)),
            (s3.upload_part_copy, dict(PartNumber=2, **copy, **upload)),
            (s3.complete_multipart_upload, dict(MultipartUpload=parts, **upload)),
            (s3.abort_multipart_upload, upload),
            (s3.create_bucket, dict(Bucket=f"{self.bucket}-new")),
            (s3.delete_bucket, dict(Bucket=self.bucket)),
        ):
            with self.subTest(call.__name__):
                self.denied(call, **more)
        self.assertEqual(self.tree(), before)
        self.assertEqual(self.s3.get_object_tagging(**there)["TagSet"], [])
        self.assertEqual([part["PartNumber"] for part in self.s3.list_parts(**upload)["Parts"]], [1])

    def test_a_key_of_one_bucket_has_no_other(self):
        other = self.make_bucket()
        self.s3.put_object(Bucket=other, Key="secret", Body=b"secret")
        s3 = client_of(self.make_key("--bucket", self.bucket))
        s3.put_object(Bucket=self.bucket, Key="own", Body=b"own")
        self.assertEqual([bucket["Name"] for bucket in s3.list_buckets()["Buckets"]], [self.bucket])
        # Whether there is such a bucket is not told.
        for name in (other, f"{other}-never-made"):
            self.denied(s3.get_object, Bucket=name, Key="secret")
            self.denied(s3.put_object, Bucket=name, Key="x", Body=b"x")
            self.denied(s3.list_objects_v2, Bucket=name)
            self.denied(s3.list_multipart_uploads, Bucket=name)
            self.denied(s3.get_bucket_location, Bucket=name)
            self.denied(s3.create_bucket, Bucket=name)
            self.denied(s3.delete_bucket, Bucket=name)
            self.refused("403", 403, s3.head_bucket, Bucket=name)
        self.assertFalse((MOUNT / f"{other}-never-made").exists())

    def test_a_key_of_a_bucket_makes_and_removes_that_bucket(self):
        name = f"{self.bucket}-own"
        s3 = client_of(self.make_key("--bucket", name))
        s3.create_bucket(Bucket=name)
        self.assertTrue((MOUNT / name).is_dir())
        s3.delete_bucket(Bucket=name)
        self.assertFalse((MOUNT / name).exists())

    def test_nothing_is_copied_out_of_a_bucket_that_may_not_be_read(self):
        other = self.make_bucket()
        self.s3.put_object(Bucket=other, Key="secret", Body=b"secret")
        upload = self.begin_upload()
        s3 = client_of(self.make_key("--bucket", self.bucket))
        for source in (f"{other}/secret", f"/{other}/secret", f"{other}/never-there", f"{other}-never-made/x"):
            self.denied(s3.copy_object, Bucket=self.bucket, Key="copy", CopySource=source)
            self.denied(s3.upload_part_copy, PartNumber=1, CopySource=source, **upload)
        self.assertEqual(self.keys(), [])
        self.assertNotIn("Parts", self.s3.list_parts(**upload))
        s3.put_object(Bucket=self.bucket, Key="own", Body=b"own")
        s3.copy_object(Bucket=self.bucket, Key="copy", CopySource=f"{self.bucket}/own")
        s3.upload_part_copy(PartNumber=1, CopySource=f"{self.bucket}/own", **upload)
        self.assertEqual(self.content("copy"), b"own")

    def test_a_deleted_key_is_refused_within_its_lifetime(self):
        self.put("there")
        key = self.make_key()
        s3 = client_of(key)
        link = client_of(key, config={"signature_version": "s3v4"}).generate_presigned_url(
            "get_object", Params=dict(Bucket=self.bucket, Key="there"))
        s3.get_object(Bucket=self.bucket, Key="there")
        self.assertEqual(control("key", "delete", key["access_key"]), {"deleted": key["access_key"]})
        deleted = time.monotonic()
        while True:
            begun = time.monotonic()
            try:
                s3.get_object(Bucket=self.bucket, Key="there")
            except ClientError as error:
                self.assertEqual(error.response["Error"]["Code"], "InvalidAccessKeyId")
                break
            self.assertLess(begun - deleted, LIFETIME_S)
        said = subprocess.run(["curl", "-sS", link], check=True, capture_output=True, text=True).stdout
        self.assertIn("<Code>InvalidAccessKeyId</Code>", said)
        with self.assertRaises(subprocess.CalledProcessError) as caught:
            control("key", "delete", key["access_key"])
        self.assertEqual(caught.exception.returncode, 2)
        self.assertIn("there is no access key", caught.exception.stderr)

    def test_a_wrong_secret_and_a_made_up_id_are_refused(self):
        key = self.make_key()
        self.refused("SignatureDoesNotMatch", 403, client_of(dict(key, secret_key="x" * 40)).list_buckets)
        own = dict(access_key=os.environ["AWS_ACCESS_KEY_ID"], secret_key=key["secret_key"])
        self.refused("SignatureDoesNotMatch", 403, client_of(own).list_buckets)
        for made_up in ("A" * 20, "AKIAIOSFODNN7EXAMPLE", "..", "x" * 2000, "../keys/" + key["access_key"]):
            with self.subTest(made_up[:30]):
                with self.assertRaises(ClientError) as caught:
                    client_of(dict(key, access_key=made_up)).list_buckets()
                error = caught.exception.response["Error"]["Code"]
                # A slash is no part of an id, and makes the header another.
                self.assertEqual(error, "InvalidRequest" if "/" in made_up else "InvalidAccessKeyId")

    def test_a_secret_is_nowhere_in_clear(self):
        key = self.make_key("--name", "nowhere")
        client_of(key).put_object(Bucket=self.bucket, Key="x", Body=b"x" * PART)
        self.refused("SignatureDoesNotMatch", 403, client_of(dict(key, secret_key=key["secret_key"] + "x")).list_buckets)
        data = os.environ["DATA"]
        # The id is there, so the secret would be found.
        for text, wanted in ((key["access_key"], 0), (key["secret_key"], 1)):
            found = subprocess.run(["grep", "-rlaF", "--", text, data], capture_output=True, text=True)
            self.assertEqual(found.returncode, wanted, found.stdout)
        self.assertNotIn(key["secret_key"], pathlib.Path(os.environ["LOG"]).read_text())

    def test_what_makes_no_sense_makes_no_key(self):
        before = control("key", "list")
        for arguments in (["--bucket", "Not_A_Bucket"], ["--name", "x" * 65], ["--name", "a\nb"],
                          [word for number in range(101) for word in ("--bucket", f"bucket-{number}")]):
            with self.assertRaises(subprocess.CalledProcessError) as caught:
                control("key", "create", *arguments)
            self.assertEqual(caught.exception.returncode, 2)
        self.assertEqual(control("key", "list"), before)
