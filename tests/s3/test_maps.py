"""Buckets that are folders elsewhere than at the top: the same files under a name of their own."""
import os, shutil, subprocess, time

import gateway
from gateway import MOUNT, Gateway, client_of, control

# Of wolfdisk-s3: so long a name may mean what it meant.
LIFETIME_S = 1


class Maps(Gateway):
    def setUp(self):
        super().setUp()
        self.name = f"{self.bucket}-map"
        self.folder = MOUNT / self.bucket / "deep/er"
        self.folder.mkdir(parents=True)
        self.addCleanup(shutil.rmtree, MOUNT / self.bucket / "deep", ignore_errors=True)

    def map(self, name=None, path=None):
        name = name or self.name
        answer = control("bucket", "map", name, path or f"{self.bucket}/deep/er")
        self.addCleanup(subprocess.run, [
            gateway.program("wolfdiskctl"), "-d", os.environ["DATA"], "s3", "bucket", "unmap", name], capture_output=True)
        return answer

    def map_is_refused(self, says, *arguments):
        with self.assertRaises(subprocess.CalledProcessError) as caught:
            control("bucket", *arguments)
        self.assertEqual(caught.exception.returncode, 2, caught.exception.stderr)
        self.assertIn(says, caught.exception.stderr)

    def buckets(self, s3=None):
        return [bucket["Name"] for bucket in (s3 or self.s3).list_buckets()["Buckets"]]

    def test_a_mapped_bucket_has_the_files_of_its_folder(self):
        (self.folder / "file").write_bytes(b"of the mount")
        folder = f"{self.bucket}/deep/er"
        self.assertEqual(self.map(), {"bucket": self.name, "folder": folder, "state": "good"})
        self.assertIn(self.name, self.buckets())
        self.assertEqual(self.buckets(), sorted(self.buckets()))
        self.s3.head_bucket(Bucket=self.name)
        self.assertEqual(self.s3.get_object(Bucket=self.name, Key="file")["Body"].read(), b"of the mount")
        self.s3.put_object(Bucket=self.name, Key="a/b", Body=b"of a client")
        self.assertEqual((self.folder / "a/b").read_bytes(), b"of a client")
        self.assertEqual(self.content("deep/er/a/b"), b"of a client")
        listed = self.s3.list_objects_v2(Bucket=self.name)["Contents"]
        self.assertEqual([entry["Key"] for entry in listed], ["a/b", "file"])
        self.s3.copy_object(Bucket=self.name, Key="copy", CopySource=f"{self.bucket}/deep/er/a/b")
        self.s3.copy_object(Bucket=self.bucket, Key="back", CopySource=f"{self.name}/copy")
        self.assertEqual(self.content("back"), b"of a client")
        upload = self.s3.create_multipart_upload(Bucket=self.name, Key="parts")["UploadId"]
        part = self.s3.upload_part(Bucket=self.name, Key="parts", UploadId=upload, PartNumber=1, Body=b"part")
        self.s3.complete_multipart_upload(Bucket=self.name, Key="parts", UploadId=upload,
                                          MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
        self.assertEqual((self.folder / "parts").read_bytes(), b"part")
        self.s3.delete_object(Bucket=self.name, Key="a/b")
        self.assertFalse((self.folder / "a").exists())
        self.assertIn({"bucket": self.name, "folder": folder, "state": "good"}, control("bucket", "list"))

    def test_it_is_made_and_removed_by_mapping_alone(self):
        self.map()
        self.refused("BucketAlreadyOwnedByYou", 409, self.s3.create_bucket, Bucket=self.name)
        self.assertFalse((MOUNT / self.name).exists())
        self.refused("InvalidBucketState", 409, self.s3.delete_bucket, Bucket=self.name)
        self.assertTrue(self.folder.is_dir())
        (self.folder / "stays").write_bytes(b"stays")
        self.assertEqual(control("bucket", "unmap", self.name), {"unmapped": self.name})
        unmapped = time.monotonic()
        while self.name in self.buckets() or self.is_there():
            self.assertLess(time.monotonic() - unmapped, LIFETIME_S + 30)
        self.refused("NoSuchBucket", 404, self.s3.list_objects_v2, Bucket=self.name)
        self.assertEqual((self.folder / "stays").read_bytes(), b"stays")
        self.map_is_refused("is not mapped", "unmap", self.name)
        self.s3.create_bucket(Bucket=self.name)
        self.s3.delete_bucket(Bucket=self.name)

    def is_there(self):
        try:
            self.s3.head_bucket(Bucket=self.name)
            return True
        except self.s3.exceptions.ClientError:
            return False

    def test_when_the_folder_is_gone_so_is_the_bucket(self):
        self.map()
        self.s3.head_bucket(Bucket=self.name)
        self.folder.rename(self.folder.with_name("other"))
        self.refused("NoSuchBucket", 404, self.s3.list_objects_v2, Bucket=self.name)
        self.refused("NoSuchBucket", 404, self.s3.put_object, Bucket=self.name, Key="x", Body=b"x")
        self.assertNotIn(self.name, self.buckets())
        states = {known["bucket"]: known["state"] for known in control("bucket", "list")}
        self.assertEqual(states[self.name], "gone")
        self.refused("BucketAlreadyOwnedByYou", 409, self.s3.create_bucket, Bucket=self.name)
        self.folder.with_name("other").rename(self.folder)
        self.s3.head_bucket(Bucket=self.name)

    def test_a_directory_of_the_name_comes_first(self):
        self.map_is_refused("a bucket already", "map", self.bucket, f"{self.bucket}/deep")
        self.map()
        (self.folder / "below").write_bytes(b"")
        (MOUNT / self.name).mkdir()
        self.assertNotIn("Contents", self.s3.list_objects_v2(Bucket=self.name))
        self.assertEqual(self.buckets().count(self.name), 1)
        states = {known["bucket"]: known["state"] for known in control("bucket", "list")}
        self.assertEqual(states[self.name], "hidden")
        self.s3.delete_bucket(Bucket=self.name)
        listed = self.s3.list_objects_v2(Bucket=self.name)["Contents"]
        self.assertEqual([entry["Key"] for entry in listed], ["below"])

    def test_nothing_but_a_folder_of_the_volume_is_mapped(self):
        (self.folder / "file").write_bytes(b"")
        (self.folder / "up").symlink_to("..")
        (self.folder / "outside").symlink_to("/etc")
        below = f"{self.bucket}/deep/er"
        for path in ("never-there", f"{below}/file", f"{below}/up", f"{below}/up/er", f"{below}/outside"):
            self.map_is_refused("is no folder of the volume", "map", self.name, path)
        for path in ("/", "..", f"{below}/../..", f"{below}/./x", f"{below}//x"):
            self.map_is_refused("the folder cannot be named so", "map", self.name, path)
        self.map_is_refused("--help", "map", "Not_A_Bucket", below)
        self.map()
        self.map_is_refused("mapped already", "map", self.name, below)
        # A folder that a symbolic link takes the place of is gone.
        self.folder.rename(self.folder.with_name("real"))
        self.folder.symlink_to("real")
        self.refused("NoSuchBucket", 404, self.s3.list_objects_v2, Bucket=self.name)

    def test_a_key_of_a_mapped_bucket_stays_in_its_folder(self):
        self.put("outside", b"outside")
        self.map()
        key = control("key", "create", "--bucket", self.name)
        self.addCleanup(control, "key", "delete", key["access_key"])
        s3 = client_of(key)
        self.assertEqual(self.buckets(s3), [self.name])
        s3.put_object(Bucket=self.name, Key="inside", Body=b"inside")
        self.refused("AccessDenied", 403, s3.get_object, Bucket=self.bucket, Key="outside")
        self.refused("AccessDenied", 403, s3.get_object, Bucket=self.bucket, Key="deep/er/inside")
        self.refused("AccessDenied", 403, s3.copy_object, Bucket=self.name, Key="x", CopySource=f"{self.bucket}/outside")
        for key in ("../../outside", "%2e%2e/outside"):
            self.refused("NoSuchKey", 404, s3.get_object, Bucket=self.name, Key=key)
