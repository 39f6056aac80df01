"""The same files: what the mount writes is an object, what the gateway writes is a file, at once."""
import hashlib, os, stat, threading, time

from gateway import Gateway, body

MIB = 1024 * 1024
DEADLINE = 60


def md5(content):
    return f'"{hashlib.md5(content).hexdigest()}"'


class SameFiles(Gateway):
    def test_a_file_of_the_mount_is_at_once_an_object(self):
        content = body(3_000_000)
        self.path("folder").mkdir()
        self.path("folder/picture.png").write_bytes(content)
        self.assertEqual(self.content("folder/picture.png"), content)
        head = self.head("folder/picture.png")
        self.assertEqual((head["ContentLength"], head["ContentType"]), (len(content), "image/png"))
        self.assertEqual(int(head["LastModified"].timestamp()), int(self.path("folder/picture.png").stat().st_mtime))
        self.assertIn("folder/picture.png", self.keys())

    def listed(self, key):
        entries = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=key)["Contents"]
        return next(entry["ETag"] for entry in entries if entry["Key"] == key)

    def learned(self, key):
        """The tag of a file that is read in the background, when it is known."""
        deadline = time.monotonic() + DEADLINE
        while (tag := self.head(key)["ETag"]).endswith('-0"'):
            self.assertLess(time.monotonic(), deadline, "its MD5 does not become known")
            time.sleep(0.05)
        return tag

    def test_a_list_names_its_content_before_anybody_has_read_it(self):
        self.path("file").write_bytes(b"first")
        opaque = self.listed("file")
        self.assertTrue(opaque.endswith('-0"'), "nobody takes it for an MD5")
        self.assertEqual(self.listed("file"), opaque, "a list reads nothing")
        self.assertEqual(self.content("file", IfMatch=opaque), b"first")
        self.assertEqual(self.listed("file"), md5(b"first"))
        # The same version, by either name.
        for tag in (opaque, md5(b"first")):
            self.assertEqual(self.content("file", IfMatch=tag), b"first")
            self.refused("304", 304, self.head, "file", IfNoneMatch=tag)
        self.path("file").write_bytes(b"second")
        for tag in (opaque, md5(b"first")):
            self.refused("PreconditionFailed", 412, self.get, "file", IfMatch=tag)
            self.refused("PreconditionFailed", 412, self.put, "file", b"third", IfMatch=tag)
        self.assertEqual(self.head("file")["ETag"], md5(b"second"))
        self.put("file", b"third", IfMatch=md5(b"second"))
        self.assertEqual(self.path("file").read_bytes(), b"third")

    def test_a_write_by_the_old_name_replaces_the_same_version(self):
        self.path("file").write_bytes(b"first")
        opaque = self.listed("file")
        self.assertEqual(self.head("file")["ETag"], md5(b"first"))
        self.put("file", b"second", IfMatch=opaque)
        self.refused("PreconditionFailed", 412, self.put, "file", b"third", IfMatch=opaque)

    def test_whoever_looks_at_a_small_file_is_told_its_md5(self):
        looks = {
            "head": self.head,
            "get": self.get,
            "range": lambda key: self.get(key, Range="bytes=1-2"),
            "conditional": lambda key: self.get(key, IfMatch=md5(body(MIB, 5))),
        }
        for name, look in looks.items():
            content = body(MIB, 5) if name == "conditional" else body(4321, len(name))
            self.path(name).write_bytes(content)
            before = self.path(name).stat()
            self.assertEqual(look(name)["ETag"], md5(content), name)
            self.assertEqual(self.listed(name), md5(content), name)
            self.assertEqual(self.content(name), content)
            self.assertEqual(self.path(name).stat(), before)
        self.path("asked").write_bytes(b"content")
        asked = self.s3.get_object_attributes(Bucket=self.bucket, Key="asked", ObjectAttributes=["ETag"])
        self.assertEqual(asked["ETag"].strip('"'), md5(b"content").strip('"'))
        self.path("empty").touch()
        self.assertEqual(self.listed("empty"), md5(b""))

    def test_the_md5_of_a_large_file_becomes_known(self):
        content = body(64 * MIB)
        self.path("large").write_bytes(content)
        before = self.path("large").stat()
        opaque = self.listed("large")
        self.assertEqual(self.learned("large"), md5(content))
        self.assertEqual(self.listed("large"), md5(content))
        self.assertEqual(self.path("large").stat(), before)
        self.assertEqual(self.content("large", IfMatch=opaque), content)
        with open(self.path("large"), "r+b") as file:
            file.write(b"changed")
        self.refused("PreconditionFailed", 412, self.get, "large", IfMatch=opaque)
        self.refused("PreconditionFailed", 412, self.get, "large", IfMatch=md5(content))
        self.assertEqual(self.learned("large"), md5(b"changed" + content[7:]))

    def test_every_one_of_many_large_files_becomes_known(self):
        for number in range(8):
            self.path(f"{number}").write_bytes(body(2 * MIB, number))
        for _ in range(3):
            for number in range(8):
                self.head(f"{number}")
        for number in range(8):
            self.assertEqual(self.learned(f"{number}"), md5(body(2 * MIB, number)))

    def test_a_file_that_changes_all_the_time_keeps_no_other_from_becoming_known(self):
        self.path("busy").write_bytes(body(8 * MIB))
        self.path("calm").write_bytes(body(2 * MIB, 2))
        ended = threading.Event()

        def write():
            with open(self.path("busy"), "r+b", buffering=0) as file:
                while not ended.is_set():
                    file.seek(0)
                    file.write(os.urandom(4096))
                    os.fsync(file.fileno())

        writer = threading.Thread(target=write)
        writer.start()
        try:
            for _ in range(20):
                self.head("busy")
            self.assertEqual(self.learned("calm"), md5(body(2 * MIB, 2)))
        finally:
            ended.set()
            writer.join(DEADLINE)
        self.assertFalse(writer.is_alive())
        tag = self.head("busy")["ETag"]
        self.assertEqual(self.content("busy", IfMatch=tag), self.path("busy").read_bytes())

    def test_what_was_said_of_an_object_outlives_its_new_content_and_its_new_tag(self):
        self.put("kept", Metadata={"a": "1"}, Tagging="b=2", ContentType="text/x-kept")
        self.path("kept").write_bytes(b"of the mount")
        head = self.head("kept")
        self.assertEqual(head["ETag"], md5(b"of the mount"))
        self.assertEqual((head["Metadata"], head["ContentType"]), ({"a": "1"}, "text/x-kept"))
        tags = self.s3.get_object_tagging(Bucket=self.bucket, Key="kept")["TagSet"]
        self.assertEqual(tags, [{"Key": "b", "Value": "2"}])
        self.assertNotIn("ChecksumCRC32", self.head("kept", ChecksumMode="ENABLED"))

    def test_tags_of_a_client_move_ctime_and_a_tag_of_the_content_does_not(self):
        self.path("file").write_bytes(b"content")
        before = self.path("file").stat().st_ctime_ns
        self.head("file")
        self.path("file").chmod(0o600)
        changed = self.path("file").stat().st_ctime_ns
        self.assertGreater(changed, before)
        # A right that was taken and given back: the mount asks anew.
        self.s3.put_object_tagging(Bucket=self.bucket, Key="file", Tagging={"TagSet": [{"Key": "a", "Value": "1"}]})
        tagged = self.path("file").stat().st_ctime_ns
        self.assertGreater(tagged, changed)
        self.assertEqual(self.head("file")["ETag"], md5(b"content"))
        self.assertEqual(self.path("file").stat().st_ctime_ns, tagged)

    def test_an_object_is_at_once_a_file(self):
        self.put("a/b/c.txt", b"content")
        file = self.path("a/b/c.txt")
        self.assertEqual(file.read_bytes(), b"content")
        self.assertEqual(stat.S_IMODE(file.stat().st_mode), 0o644)
        self.put("a/b/c.txt", b"other")
        self.assertEqual(file.read_bytes(), b"other")
        self.s3.delete_object(Bucket=self.bucket, Key="a/b/c.txt")
        self.assertFalse(file.exists())

    def test_who_has_the_file_open_keeps_it(self):
        self.put("open", b"before")
        with open(self.path("open"), "rb") as file:
            self.put("open", b"after")
            self.assertEqual(file.read(), b"before")
        self.assertEqual(self.path("open").read_bytes(), b"after")

    def test_renaming_a_directory_renames_its_keys(self):
        for number in range(20):
            self.put(f"old/{number:02}", str(number).encode())
        os.rename(self.path("old"), self.path("new"))
        self.assertEqual(self.keys(), [f"new/{number:02}" for number in range(20)])
        self.assertEqual(self.content("new/07"), b"7")

    def test_what_was_said_of_an_object_stays_with_its_file(self):
        self.put("kept", ContentType="text/x-kept", Metadata={"a": "1"})
        os.rename(self.path("kept"), self.path("moved"))
        head = self.head("moved")
        self.assertEqual((head["ContentType"], head["Metadata"]), ("text/x-kept", {"a": "1"}))

    def test_a_directory_is_a_key_when_it_was_made_or_is_empty(self):
        self.path("made").mkdir()
        self.put("marker/", b"")
        self.put("implied/file")
        self.assertEqual(self.keys(), ["implied/file", "made/", "marker/"])
        self.assertTrue(self.path("marker").is_dir())
        self.assertEqual(self.head("marker/")["ContentLength"], 0)
        self.assertEqual(self.content("made/"), b"")
        self.refused("NoSuchKey", 404, self.get, "implied/")
        self.put("marker/inside")
        self.s3.delete_object(Bucket=self.bucket, Key="marker/inside")
        self.assertIn("marker/", self.keys())
        self.s3.delete_object(Bucket=self.bucket, Key="marker/")
        self.assertFalse(self.path("marker").exists())

    def test_a_hole_is_read_as_zeroes(self):
        with open(self.path("sparse"), "wb") as file:
            file.seek(6_000_000)
            file.write(b"end")
        self.assertEqual(self.content("sparse"), bytes(6_000_000) + b"end")

    def test_links_and_pipes_are_no_objects(self):
        os.symlink("nowhere", self.path("link"))
        os.mkfifo(self.path("pipe"))
        self.addCleanup(os.unlink, self.path("link"))
        self.addCleanup(os.unlink, self.path("pipe"))
        self.assertEqual(self.keys(), [])
        for key in ("link", "pipe"):
            self.refused("NoSuchKey", 404, self.get, key)
