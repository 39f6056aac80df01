"""The same files: what the mount writes is an object, what the gateway writes is a file, at once."""
import os, stat

from gateway import Gateway, body


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

    def test_its_tag_names_its_content_and_no_other(self):
        self.path("file").write_bytes(b"first")
        listed = self.s3.list_objects_v2(Bucket=self.bucket)["Contents"][0]["ETag"]
        self.assertTrue(listed.endswith('-0"'), "nobody takes it for an MD5")
        self.assertEqual(self.head("file")["ETag"], listed)
        self.assertEqual(self.content("file", IfMatch=listed), b"first")
        self.path("file").write_bytes(b"second")
        self.assertNotEqual(self.head("file")["ETag"], listed)
        self.refused("PreconditionFailed", 412, self.get, "file", IfMatch=listed)

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
