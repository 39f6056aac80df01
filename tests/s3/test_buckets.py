"""Buckets: made, found, listed and removed; names that are none."""
from gateway import MOUNT, Gateway


class Buckets(Gateway):
    def test_a_bucket_is_listed_found_and_a_directory_of_the_mount(self):
        names = [bucket["Name"] for bucket in self.s3.list_buckets()["Buckets"]]
        self.assertIn(self.bucket, names)
        self.assertEqual(names, sorted(names))
        self.assertEqual(self.s3.head_bucket(Bucket=self.bucket)["ResponseMetadata"]["HTTPStatusCode"], 200)
        self.assertTrue((MOUNT / self.bucket).is_dir())

    def test_its_location_is_told(self):
        location = self.s3.get_bucket_location(Bucket=self.bucket)
        self.assertIn(location["LocationConstraint"], (None, "us-east-1"))

    def test_what_is_not_there_is_404(self):
        self.refused("404", 404, self.s3.head_bucket, Bucket="never-made-bucket")
        self.refused("NoSuchBucket", 404, self.s3.list_objects_v2, Bucket="never-made-bucket")
        self.refused("NoSuchBucket", 404, self.s3.get_object, Bucket="never-made-bucket", Key="a")
        self.refused("NoSuchBucket", 404, self.s3.put_object, Bucket="never-made-bucket", Key="a", Body=b"")
        self.refused("NoSuchBucket", 404, self.s3.delete_bucket, Bucket="never-made-bucket")

    def test_a_bucket_is_made_once_and_again_by_its_owner(self):
        try:
            self.s3.create_bucket(Bucket=self.bucket)
        except self.s3.exceptions.BucketAlreadyOwnedByYou:
            pass
        self.put("kept")
        self.assertEqual(self.keys(), ["kept"])

    def test_a_bucket_that_holds_something_stays(self):
        self.put("a/b")
        self.refused("BucketNotEmpty", 409, self.s3.delete_bucket, Bucket=self.bucket)
        self.assertEqual(self.content("a/b"), b"content")
        self.s3.delete_object(Bucket=self.bucket, Key="a/b")
        self.s3.delete_bucket(Bucket=self.bucket)
        self.assertFalse((MOUNT / self.bucket).exists())

    def test_names_that_are_none_make_nothing(self):
        before = sorted(entry.name for entry in MOUNT.iterdir())
        for name in ("ab", "Upper-Case", "under_score", "-dash", "dash-", "192.168.1.1", "a" * 64, "a..b"):
            with self.subTest(name):
                self.refused("InvalidBucketName", 400, self.s3.create_bucket, Bucket=name)
        self.assertEqual(sorted(entry.name for entry in MOUNT.iterdir()), before)

    def test_a_directory_made_in_the_mount_is_a_bucket(self):
        name = f"{self.bucket}-m"
        (MOUNT / name).mkdir()
        self.addCleanup(self.remove_bucket, name)
        self.assertIn(name, [bucket["Name"] for bucket in self.s3.list_buckets()["Buckets"]])
        self.s3.head_bucket(Bucket=name)
