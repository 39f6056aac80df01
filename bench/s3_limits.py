#!/usr/bin/env python3
"""What this machine allows, for the rows of s3.sh to be held against.

    s3_limits.py DIR    measures on the file system of DIR, prints one JSON object"""
import hashlib, json, os, sys, time

PIECE = os.urandom(8 << 20)


def rate(seconds, step):
    """How often `step` can be done in a second."""
    start, count = time.monotonic(), 0
    while time.monotonic() - start < seconds:
        step()
        count += 1
    return count / (time.monotonic() - start)


def synced(path, content):
    """Appends to a file of its own and syncs."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_TRUNC, 0o600)
    try:
        def step():
            os.write(file, content)
            os.fdatasync(file)
        return rate(2, step)
    finally:
        os.close(file)
        os.unlink(path)


scratch = os.path.join(sys.argv[1], "limits")
json.dump({
    "md5_mb_per_s": 8.388608 * rate(1, lambda: hashlib.md5(PIECE).digest()),
    "synced_mb_per_s": 8.388608 * synced(scratch, PIECE),
    "syncs_per_s": synced(scratch, PIECE[:4096]),
}, sys.stdout)
