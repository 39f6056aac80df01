"""Rules for the life of objects, and what ends by them."""
import datetime, os, time

from gateway import MOUNT, Gateway, wait

DAY = 24 * 60 * 60


class Lifecycle(Gateway):
    def put_rules(self, *rules):
        self.s3.put_bucket_lifecycle_configuration(Bucket=self.bucket, LifecycleConfiguration={"Rules": list(rules)})

    def rules(self):
        return self.s3.get_bucket_lifecycle_configuration(Bucket=self.bucket)["Rules"]

    def age(self, key, days):
        """As if it had been modified so long ago."""
        then = time.time() - days * DAY
        os.utime(self.path(key), (then, then))

    def test_rules_come_back_and_go(self):
        self.refused("NoSuchLifecycleConfiguration", 404, self.rules)
        date = datetime.datetime(2039, 1, 1, tzinfo=datetime.timezone.utc)
        both = {"Prefix": "a/", "Tags": [{"Key": "k", "Value": "v"}], "ObjectSizeGreaterThan": 5,
                "ObjectSizeLessThan": 9}
        rules = [
            {"ID": "days", "Status": "Enabled", "Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 30}},
            {"ID": "date", "Status": "Disabled", "Filter": {"Tag": {"Key": "a", "Value": "b"}},
             "Expiration": {"Date": date}},
            {"ID": "and", "Status": "Enabled", "Filter": {"And": both}, "Expiration": {"Days": 1}},
            {"ID": "old", "Status": "Enabled", "Prefix": "tmp/", "Expiration": {"Days": 1},
             "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}},
            {"ID": "vacuous", "Status": "Enabled", "Filter": {"Prefix": ""},
             "Expiration": {"ExpiredObjectDeleteMarker": True},
             "NoncurrentVersionExpiration": {"NoncurrentDays": 3, "NewerNoncurrentVersions": 2}},
        ]
        self.put_rules(*rules)
        self.assertEqual(self.rules(), rules)
        self.s3.delete_bucket_lifecycle(Bucket=self.bucket)
        self.refused("NoSuchLifecycleConfiguration", 404, self.rules)

    def test_a_rule_without_a_name_gets_one(self):
        self.put_rules({"Status": "Enabled", "Filter": {}, "Expiration": {"Days": 30}})
        self.assertTrue(self.rules()[0]["ID"])

    def test_a_thousand_rules_are_kept_and_no_more(self):
        rules = [{"ID": f"rule {n} " + "i" * 200, "Status": "Enabled", "Filter": {"Prefix": f"{n}/"},
                  "Expiration": {"Days": 30}} for n in range(1001)]
        self.put_rules(*rules[:1000])
        self.assertEqual(self.rules(), rules[:1000])
        self.refused("MalformedXML", 400, self.put_rules, *rules)

    def test_what_could_end_more_than_was_meant_is_refused(self):
        def rule(**more):
            given = {"Status": "Enabled", "Filter": {"Prefix": "a"}, "Expiration": {"Days": 1}, **more}
            return {name: value for name, value in given.items() if value is not None}

        noon = datetime.datetime(2039, 1, 1, 12, tzinfo=datetime.timezone.utc)
        abort = {"DaysAfterInitiation": 1}
        tag = {"Tag": {"Key": "a", "Value": "b"}}
        for code, bad in [
            ("InvalidArgument", rule(Expiration={"Days": 0})),
            ("InvalidArgument", rule(Expiration={"Days": -1})),
            ("InvalidArgument", rule(Expiration={"Date": noon})),
            ("MalformedXML", rule(Expiration={"Days": 1, "Date": noon})),
            ("MalformedXML", rule(Expiration={})),
            ("InvalidRequest", rule(Expiration=None)),
            ("MalformedXML", rule(Filter=None)),
            ("MalformedXML", rule(Prefix="b")),
            ("MalformedXML", rule(Filter={"Prefix": "a", **tag})),
            ("MalformedXML", rule(Status="On")),
            ("InvalidArgument", rule(ID="i" * 256)),
            ("InvalidArgument", rule(AbortIncompleteMultipartUpload={"DaysAfterInitiation": 0})),
            ("InvalidRequest", rule(Filter=tag, AbortIncompleteMultipartUpload=abort)),
        ]:
            with self.subTest(bad):
                self.refused(code, 400, self.put_rules, bad)
        self.refused("InvalidArgument", 400, self.put_rules, rule(ID="a"), rule(ID="a"))
        glacier = rule(Transitions=[{"Days": 1, "StorageClass": "GLACIER"}])
        self.refused("NotImplemented", 501, self.put_rules, glacier)
        self.refused("NoSuchLifecycleConfiguration", 404, self.rules)

    def test_objects_end_when_their_life_is_over_and_others_stay(self):
        keys = ["logs/old", "logs/new", "logs/yesterday", "other/old", "logs/deep/er/old", "old"]
        for key in keys:
            self.put(key)
            self.age(key, 3 if key.endswith("old") else 0)
        # Less than a day and what is left of another.
        self.age("logs/yesterday", 0.5)
        self.put_rules({"Status": "Enabled", "Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 1}})
        wait("the end of old objects", lambda: len(self.keys()) == 4)
        self.assertEqual(self.keys(), ["logs/new", "logs/yesterday", "old", "other/old"])
        self.assertFalse(self.path("logs/deep").exists())
        self.age("logs/new", 3)
        wait("the end of another", lambda: "logs/new" not in self.keys())
        # The rule held all the time, and only that rule.
        self.assertEqual(self.keys(), ["logs/yesterday", "old", "other/old"])

    def test_filters_by_tag_and_size(self):
        self.put("tagged", b"x" * 10, Tagging="a=b&c=d")
        self.put("other", b"x" * 10, Tagging="a=c")
        self.put("small", b"x")
        self.put("large", b"x" * 100)
        for key in self.keys():
            self.age(key, 3)
        self.put_rules(
            {"Status": "Enabled", "Filter": {"Tag": {"Key": "a", "Value": "b"}}, "Expiration": {"Days": 1}},
            {"Status": "Enabled", "Filter": {"ObjectSizeLessThan": 10}, "Expiration": {"Days": 1}},
            {"Status": "Enabled", "Filter": {"And": {"Prefix": "l", "ObjectSizeGreaterThan": 99}},
             "Expiration": {"Days": 1}},
            {"Status": "Disabled", "Filter": {}, "Expiration": {"Days": 1}},
        )
        wait("the end of three", lambda: len(self.keys()) == 1)
        self.assertEqual(self.keys(), ["other"])

    def test_a_date_ends_everything_from_then_on(self):
        self.put("a")
        self.put("later/b")
        past = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
        future = datetime.datetime(2039, 1, 1, tzinfo=datetime.timezone.utc)
        self.put_rules(
            {"Status": "Enabled", "Filter": {"Prefix": "a"}, "Expiration": {"Date": past}},
            {"Status": "Enabled", "Filter": {"Prefix": "later/"}, "Expiration": {"Date": future}},
        )
        wait("the end", lambda: self.keys() == ["later/b"])

    def test_what_replaces_an_old_object_stays(self):
        keys = [f"{n:03}" for n in range(200)]
        for key in keys:
            self.put(key, b"old")
            self.age(key, 3)
        self.put_rules({"Status": "Enabled", "Filter": {}, "Expiration": {"Days": 1}})
        wait("the first end", lambda: not self.path(keys[0]).exists())
        # The others were judged together with it and are about to go.
        fresh = keys[:-40:-1]
        for key in fresh:
            self.put(key, b"fresh")
        wait("the end of the old ones", lambda: len(self.keys()) <= len(fresh))
        self.assertEqual(self.keys(), sorted(fresh))
        self.assertEqual({self.content(key) for key in fresh}, {b"fresh"})

    def test_no_upload_in_parts_ends_before_its_day(self):
        begin = lambda key: self.s3.create_multipart_upload(Bucket=self.bucket, Key=key)["UploadId"]
        upload = begin("a/b")
        self.s3.upload_part(Bucket=self.bucket, Key="a/b", UploadId=upload, PartNumber=1, Body=b"part")
        # An old object that ends says that the rule was followed. (How an old upload ends: tests/s3_life_ends.rs)
        self.put("old")
        self.age("old", 3)
        self.put_rules({"Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1},
                        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}})
        wait("the end of an object", lambda: self.keys() == [])
        listed = self.s3.list_multipart_uploads(Bucket=self.bucket)["Uploads"]
        self.assertEqual([entry["UploadId"] for entry in listed], [upload])
        parts = self.s3.list_parts(Bucket=self.bucket, Key="a/b", UploadId=upload)["Parts"]
        self.assertEqual([part["Size"] for part in parts], [4])

    def test_rules_follow_their_directory_and_rest_where_it_is_no_bucket(self):
        self.put("old")
        self.put_rules({"Status": "Enabled", "Filter": {}, "Expiration": {"Days": 1}})
        shelter = self.make_bucket()
        os.rename(MOUNT / self.bucket, MOUNT / shelter / "inner")
        inner = MOUNT / shelter / "inner" / "old"
        then = time.time() - 3 * DAY
        os.utime(inner, (then, then))
        # Another bucket's object ends meanwhile: the worker has been there.
        other = self.make_bucket()
        self.s3.put_object(Bucket=other, Key="old", Body=b"")
        os.utime(MOUNT / other / "old", (then, then))
        self.s3.put_bucket_lifecycle_configuration(Bucket=other, LifecycleConfiguration={
            "Rules": [{"Status": "Enabled", "Filter": {}, "Expiration": {"Days": 1}}]})
        wait("the end elsewhere", lambda: not (MOUNT / other / "old").exists())
        self.assertTrue(inner.exists())
        moved = f"{self.bucket}-moved"
        os.rename(MOUNT / shelter / "inner", MOUNT / moved)
        self.addCleanup(self.remove_bucket, moved)
        wait("the end of it", lambda: not (MOUNT / moved / "old").exists())
