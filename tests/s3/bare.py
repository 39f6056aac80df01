"""Requests as they are, where boto3 would not send them."""
import http.client, os, urllib.parse

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from gateway import URL


def raw(method, path, headers=(), body=None):
    """A request that nobody signed: status, headers and body of the answer."""
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(URL).netloc, timeout=30)
    try:
        connection.request(method, path, body=body, headers=dict(headers))
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read().decode()
    finally:
        connection.close()


def signed(method, path, body=b"", headers=()):
    request = AWSRequest(method=method, url=URL + path, data=body, headers=dict(headers))
    keys = Credentials(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])
    S3SigV4Auth(keys, "s3", "us-east-1").add_auth(request)
    return raw(method, path, request.headers.items(), body)
