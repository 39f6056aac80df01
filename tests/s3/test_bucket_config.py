"""What is kept of a bucket."""
import os

from gateway import MOUNT, Gateway


class Tags(Gateway):
    def test_tags_come_back_change_and_go(self):
        self.refused("NoSuchTagSet", 404, self.s3.get_bucket_tagging, Bucket=self.bucket)
        for count in (1, 50):
            tags = [{"Key": f"key {n}", "Value": "\u00e4" * n} for n in range(count)]
            self.s3.put_bucket_tagging(Bucket=self.bucket, Tagging={"TagSet": tags})
            self.assertEqual(self.s3.get_bucket_tagging(Bucket=self.bucket)["TagSet"], tags)
        self.s3.delete_bucket_tagging(Bucket=self.bucket)
        self.refused("NoSuchTagSet", 404, self.s3.get_bucket_tagging, Bucket=self.bucket)
        self.s3.delete_bucket_tagging(Bucket=self.bucket)

    def test_the_rules_are_kept(self):
        def put(pairs):
            tags = [{"Key": key, "Value": value} for key, value in pairs]
            self.s3.put_bucket_tagging(Bucket=self.bucket, Tagging={"TagSet": tags})

        self.refused("BadRequest", 400, put, [(f"{n}", "") for n in range(51)])
        self.refused("InvalidTag", 400, put, [("a", "1"), ("a", "2")])
        self.refused("InvalidTag", 400, put, [("k" * 129, "")])
        self.refused("InvalidTag", 400, put, [("k", "v" * 257)])
        self.refused("InvalidTag", 400, put, [("aws:k", "v")])
        self.refused("NoSuchTagSet", 404, self.s3.get_bucket_tagging, Bucket=self.bucket)

    def test_they_are_of_the_directory_not_of_its_name(self):
        tags = [{"Key": "a", "Value": "b"}]
        self.s3.put_bucket_tagging(Bucket=self.bucket, Tagging={"TagSet": tags})
        moved = f"{self.bucket}-moved"
        os.rename(MOUNT / self.bucket, MOUNT / moved)
        self.addCleanup(self.remove_bucket, moved)
        self.assertEqual(self.s3.get_bucket_tagging(Bucket=moved)["TagSet"], tags)
        self.s3.create_bucket(Bucket=self.bucket)
        self.refused("NoSuchTagSet", 404, self.s3.get_bucket_tagging, Bucket=self.bucket)

    def test_a_new_bucket_inherits_nothing(self):
        self.s3.put_bucket_tagging(Bucket=self.bucket, Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
        self.s3.delete_bucket(Bucket=self.bucket)
        self.s3.create_bucket(Bucket=self.bucket)
        self.refused("NoSuchTagSet", 404, self.s3.get_bucket_tagging, Bucket=self.bucket)
        self.refused("NoSuchBucket", 404, self.s3.get_bucket_tagging, Bucket="never-made-bucket")
        self.refused("NoSuchBucket", 404, self.s3.put_bucket_tagging, Bucket="never-made-bucket",
                     Tagging={"TagSet": []})
