"""Two gateways on one node: what the index compares, it compares for both."""
import concurrent.futures, os, pathlib, signal, socket, subprocess, tempfile, threading, time

from botocore.exceptions import ClientError

import gateway
from gateway import Gateway, client, client_of, control

WRITERS = 200


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class TwoGateways(Gateway):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        config, port = os.path.join(folder, "config.toml"), free_port()
        with open(config, "w") as file:
            # Three below where the gateway says how it is.
            file.write(f'[admin]\nbind = "127.0.0.1:{free_port() - 3}"\n')
        log = pathlib.Path(folder, "log")
        cls.second = subprocess.Popen([gateway.program("wolfdisk-s3"), "--config", config, "--data-dir", os.environ["DATA"],
                                       "--bind", f"127.0.0.1:{port}"], stderr=cls.enterClassContext(log.open("w")))
        cls.addClassCleanup(cls.stop_second)
        deadline = time.monotonic() + 60
        while "wolfdisk-s3 is ready" not in (said := log.read_text()):
            assert cls.second.poll() is None and time.monotonic() < deadline, said
        cls.url = f"http://127.0.0.1:{port}"
        pool = {"max_pool_connections": WRITERS}
        cls.clients = [client(config=pool), client(cls.url, config=pool)]

    @classmethod
    def stop_second(cls):
        cls.second.send_signal(signal.SIGTERM)
        assert cls.second.wait(60) == 0

    def race(self, attempt):
        """Has 200 do it at once, half of them at each gateway; the numbers of those that may."""
        start = threading.Barrier(WRITERS)

        def run(number):
            start.wait(60)
            try:
                attempt(self.clients[number % 2], number)
                return number
            except ClientError as error:
                # A conflict is one that others kept overtaking.
                if error.response["Error"]["Code"] not in ("PreconditionFailed", "ConditionalRequestConflict"):
                    raise
                return None

        with concurrent.futures.ThreadPoolExecutor(WRITERS) as pool:
            return [number for number in pool.map(run, range(WRITERS)) if number is not None]

    def test_of_two_hundred_that_want_to_be_the_first_one_is(self):
        winners = self.race(lambda s3, number: s3.put_object(
            Bucket=self.bucket, Key="once", Body=f"writer {number}".encode(), IfNoneMatch="*"))
        self.assertEqual(len(winners), 1)
        for s3 in self.clients:
            got = s3.get_object(Bucket=self.bucket, Key="once")["Body"].read()
            self.assertEqual(got, f"writer {winners[0]}".encode())

    def test_of_two_hundred_uploads_one_becomes_the_object(self):
        uploads = []
        for number in range(WRITERS):
            named = dict(Bucket=self.bucket, Key="once")
            s3 = self.clients[number % 2]
            named["UploadId"] = s3.create_multipart_upload(**named)["UploadId"]
            part = s3.upload_part(PartNumber=1, Body=f"upload {number}".encode(), **named)
            uploads.append(dict(MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}, **named))
        # Each is completed by the gateway that did not begin it.
        winners = self.race(lambda s3, number: s3.complete_multipart_upload(IfNoneMatch="*", **uploads[number ^ 1]))
        self.assertEqual(len(winners), 1)
        for s3 in self.clients:
            got = s3.get_object(Bucket=self.bucket, Key="once")["Body"].read()
            self.assertEqual(got, f"upload {winners[0] ^ 1}".encode())
        left = self.s3.list_multipart_uploads(Bucket=self.bucket)["Uploads"]
        self.assertEqual(len(left), WRITERS - 1)

    def test_keys_and_buckets_are_those_of_the_index(self):
        key = control("key", "create", "--bucket", self.bucket)
        for url in (gateway.URL, self.url):
            client_of(key, url=url).put_object(Bucket=self.bucket, Key="by the key", Body=url.encode())
        control("key", "delete", key["access_key"])
        deleted = time.monotonic()
        for url in (gateway.URL, self.url):
            s3 = client_of(key, url=url)
            while True:
                begun = time.monotonic()
                try:
                    s3.get_object(Bucket=self.bucket, Key="by the key")
                except ClientError as error:
                    self.assertEqual(error.response["Error"]["Code"], "InvalidAccessKeyId")
                    break
                self.assertLess(begun - deleted, 1)
