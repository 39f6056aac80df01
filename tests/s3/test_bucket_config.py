"""What is kept of a bucket and what it has none of, access lists, and versions, of which there is one."""
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


class Acls(Gateway):
    def test_the_owner_has_everything(self):
        self.put("key")
        for acl in (self.s3.get_bucket_acl(Bucket=self.bucket), self.s3.get_object_acl(Bucket=self.bucket, Key="key")):
            grant, = acl["Grants"]
            self.assertEqual(grant["Permission"], "FULL_CONTROL")
            self.assertEqual(grant["Grantee"]["ID"], acl["Owner"]["ID"])
            policy = {"Grants": acl["Grants"], "Owner": acl["Owner"]}
            self.s3.put_bucket_acl(Bucket=self.bucket, AccessControlPolicy=policy)
            self.s3.put_object_acl(Bucket=self.bucket, Key="key", AccessControlPolicy=policy)
        self.refused("NoSuchKey", 404, self.s3.get_object_acl, Bucket=self.bucket, Key="missing")

    def test_nobody_else_gets_anything(self):
        self.put("key")
        self.s3.put_bucket_acl(Bucket=self.bucket, ACL="private")
        self.s3.put_object_acl(Bucket=self.bucket, Key="key", ACL="private")
        self.s3.put_object_acl(Bucket=self.bucket, Key="key", ACL="bucket-owner-full-control")
        for acl in ("public-read", "public-read-write", "authenticated-read"):
            self.refused("NotImplemented", 501, self.s3.put_bucket_acl, Bucket=self.bucket, ACL=acl)
            self.refused("NotImplemented", 501, self.s3.put_object_acl, Bucket=self.bucket, Key="key", ACL=acl)
        everybody = 'uri="http://acs.amazonaws.com/groups/global/AllUsers"'
        self.refused("NotImplemented", 501, self.s3.put_bucket_acl, Bucket=self.bucket, GrantRead=everybody)
        self.refused("NotImplemented", 501, self.s3.put_bucket_acl, Bucket=self.bucket, GrantFullControl=everybody)
        owner = self.s3.get_bucket_acl(Bucket=self.bucket)["Owner"]
        grantee = {"Type": "Group", "URI": "http://acs.amazonaws.com/groups/global/AllUsers"}
        policy = {"Owner": owner, "Grants": [{"Grantee": grantee, "Permission": "READ"}]}
        self.refused("NotImplemented", 501, self.s3.put_bucket_acl, Bucket=self.bucket, AccessControlPolicy=policy)
        self.refused("MissingSecurityHeader", 400, self.s3.put_bucket_acl, Bucket=self.bucket)


class Unset(Gateway):
    def test_what_there_is_none_of_is_said_so(self):
        s3 = self.s3
        for call, code in [
            (s3.get_bucket_policy, "NoSuchBucketPolicy"),
            (s3.get_bucket_policy_status, "NoSuchBucketPolicy"),
            (s3.get_bucket_encryption, "ServerSideEncryptionConfigurationNotFoundError"),
            (s3.get_bucket_website, "NoSuchWebsiteConfiguration"),
            (s3.get_object_lock_configuration, "ObjectLockConfigurationNotFoundError"),
            (s3.get_bucket_replication, "ReplicationConfigurationNotFoundError"),
            (s3.get_public_access_block, "NoSuchPublicAccessBlockConfiguration"),
            (s3.get_bucket_ownership_controls, "OwnershipControlsNotFoundError"),
        ]:
            with self.subTest(code):
                self.refused(code, 404, call, Bucket=self.bucket)
                self.refused("NoSuchBucket", 404, call, Bucket="never-made-bucket")
        self.assertNotIn("LoggingEnabled", s3.get_bucket_logging(Bucket=self.bucket))
        self.assertNotIn("Status", s3.get_bucket_accelerate_configuration(Bucket=self.bucket))
        self.assertEqual(s3.get_bucket_request_payment(Bucket=self.bucket)["Payer"], "BucketOwner")
        notifications = s3.get_bucket_notification_configuration(Bucket=self.bucket)
        self.assertEqual([name for name in notifications if name != "ResponseMetadata"], [])

    def test_to_remove_it_is_no_failure_and_to_set_it_is(self):
        s3 = self.s3
        for call in (s3.delete_bucket_policy, s3.delete_bucket_website, s3.delete_bucket_replication,
                     s3.delete_public_access_block, s3.delete_bucket_ownership_controls):
            call(Bucket=self.bucket)
        refused = lambda call, **more: self.refused("NotImplemented", 501, call, Bucket=self.bucket, **more)
        refused(s3.put_bucket_policy, Policy="{}")
        refused(s3.put_bucket_versioning, VersioningConfiguration={"Status": "Enabled"})
        refused(s3.put_public_access_block, PublicAccessBlockConfiguration={"BlockPublicAcls": True})
        rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
        refused(s3.put_bucket_encryption, ServerSideEncryptionConfiguration={"Rules": [rule]})
        refused(s3.put_bucket_request_payment, RequestPaymentConfiguration={"Payer": "Requester"})
        s3.head_bucket(Bucket=self.bucket)


class Versions(Gateway):
    def pages(self, **more):
        return list(self.s3.get_paginator("list_object_versions").paginate(Bucket=self.bucket, **more))

    def test_every_object_is_there_once(self):
        keys = ["a", "a-b", "a/b", "b c", "z"]
        for key in keys[1:]:
            self.put(key)
        self.put("z")
        for size in (1, 2, 3, 1000):
            pages = self.pages(PaginationConfig={"PageSize": size})
            versions = [entry for page in pages for entry in page.get("Versions", [])]
            self.assertEqual([entry["Key"] for entry in versions], keys[1:])
            self.assertFalse(any("DeleteMarkers" in page for page in pages))
        for entry in versions:
            self.assertEqual((entry["VersionId"], entry["IsLatest"]), ("null", True))
            head = self.head(entry["Key"])
            self.assertEqual((entry["ETag"], entry["Size"]), (head["ETag"], head["ContentLength"]))

    def test_prefix_delimiter_and_markers(self):
        for key in ("a/1", "a/2", "b", "c/1"):
            self.put(key)
        for size in (1, 2, 1000):
            pages = self.pages(Delimiter="/", PaginationConfig={"PageSize": size})
            self.assertEqual([entry["Key"] for page in pages for entry in page.get("Versions", [])], ["b"])
            prefixes = [entry["Prefix"] for page in pages for entry in page.get("CommonPrefixes", [])]
            self.assertEqual(prefixes, ["a/", "c/"])
        self.assertEqual([entry["Key"] for entry in self.pages(Prefix="a/")[0]["Versions"]], ["a/1", "a/2"])
        list_from = lambda **more: self.s3.list_object_versions(Bucket=self.bucket, **more)
        after = list_from(KeyMarker="a/1", VersionIdMarker="null")
        self.assertEqual([entry["Key"] for entry in after["Versions"]], ["a/2", "b", "c/1"])
        first = list_from(MaxKeys=1)
        self.assertEqual((first["NextKeyMarker"], first["NextVersionIdMarker"]), ("a/1", "null"))
        self.refused("InvalidArgument", 400, list_from, VersionIdMarker="null")
        self.refused("InvalidArgument", 400, list_from, KeyMarker="a", VersionIdMarker="other")
        self.refused("NoSuchBucket", 404, self.s3.list_object_versions, Bucket="never-made-bucket")

    def test_a_bucket_is_emptied_by_its_versions(self):
        for n in range(5):
            self.put(f"folder/{n}")
        found = self.pages()[0]["Versions"]
        objects = [{"Key": entry["Key"], "VersionId": entry["VersionId"]} for entry in found]
        answer = self.s3.delete_objects(Bucket=self.bucket, Delete={"Objects": objects})
        self.assertEqual(len(answer["Deleted"]), 5)
        self.assertNotIn("Versions", self.pages()[0])
