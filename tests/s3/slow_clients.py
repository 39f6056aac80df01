"""A thousand clients that send a byte a second, half of them in the head of a request and half in a body that is signed:
a fast client is served meanwhile, all of them are cut off, and nothing of theirs is stored."""
import asyncio, os, resource, time, urllib.parse

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

import gateway

SLOW = 1000
# They are cut off after 30 s; the rest is for a busy machine.
CUT_OFF_WITHIN = 120.0
SERVED_WITHIN = 20.0

address = urllib.parse.urlsplit(gateway.URL)
s3 = gateway.client()


class Unsigned(S3SigV4Auth):
    def payload(self, request):
        return "UNSIGNED-PAYLOAD"


def head_of(number):
    """The head of a Put of 100,000 bytes."""
    request = AWSRequest(method="PUT", url=f"{gateway.URL}/slow/body-{number}", headers={"Content-Length": "100000"})
    keys = Credentials(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])
    Unsigned(keys, "s3", "us-east-1").add_auth(request)
    lines = [f"PUT /slow/body-{number} HTTP/1.1", f"Host: {address.netloc}"]
    lines += [f"{name}: {value}" for name, value in request.headers.items() if name.lower() != "host"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def slow(number):
    """Gives after how many seconds it was cut off, and with which answer."""
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    begun = time.monotonic()
    if number % 2:
        writer.write(head_of(number))
    else:
        writer.write(b"GET /slow HTTP/1.1\r\nX-Slow: ")
    ended = asyncio.ensure_future(reader.read())
    try:
        while time.monotonic() - begun < CUT_OFF_WITHIN:
            writer.write(b"x")
            done, _ = await asyncio.wait([ended], timeout=1)
            if done:
                return time.monotonic() - begun, await ended
    except ConnectionError as error:
        return time.monotonic() - begun, str(error).encode()
    finally:
        ended.cancel()
        writer.close()
    raise AssertionError(f"client {number} was never cut off")


async def fast(until):
    """Puts and gets one object after the other."""
    served = 0
    while not until.done():
        body = str(served).encode() * 1000

        def put_and_get():
            s3.put_object(Bucket="slow", Key="fast", Body=body)
            return s3.get_object(Bucket="slow", Key="fast")["Body"].read()

        got = await asyncio.wait_for(asyncio.to_thread(put_and_get), SERVED_WITHIN)
        assert got == body
        served += 1
    return served


async def main():
    s3.create_bucket(Bucket="slow")
    everybody = asyncio.gather(*(slow(number) for number in range(SLOW)))
    served = await fast(everybody)
    ends = await everybody
    times = sorted(after for after, _ in ends)
    print(f"{served} served, cut off after {times[0]:.0f} to {times[-1]:.0f} s")
    assert served > 10
    others = [(number, *end) for number, end in enumerate(ends) if number % 2 and b"RequestTimeout" not in end[1]]
    assert not others, others
    keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket="slow")["Contents"]]
    assert keys == ["fast"], keys


_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
asyncio.run(main())
