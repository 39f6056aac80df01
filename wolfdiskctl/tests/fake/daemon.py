#!/usr/bin/env python3
"""Stands for a daemon: says that it is ready, ends at SIGTERM or at the end of its lifeline.

What it does is written to `journal` beside it, one line each: NAME start PID, NAME stop CAUSE. A file
NAME.exit beside it holds an exit code to end with before it is ready, NAME.exit-later one to end with at
once when ready; NAME.deaf makes it ignore SIGTERM; NAME.stops-after holds a line's beginning and how often
it has to be in the journal before it stops.
"""
import os
import select
import signal
import socket
import sys
import time

# What does not happen within so many seconds does not happen.
DEADLINE = 10
own = os.path.abspath(__file__)
name = os.path.basename(own)


def journal(text):
    with open(os.path.join(os.path.dirname(own), "journal"), "a") as out:
        out.write(f"{name} {text}\n")


def wish(kind):
    try:
        with open(f"{own}.{kind}") as file:
            return file.read().strip()
    except FileNotFoundError:
        return None


def times(beginning):
    with open(os.path.join(os.path.dirname(own), "journal")) as lines:
        return sum(line.startswith(beginning) for line in lines)


signal.signal(signal.SIGINT, signal.SIG_IGN)
# A handler in Python runs between two of its instructions: too late for a signal that comes just before
# `select` sleeps. The wake-up descriptor is written to by the handler in C.
reader, writer = os.pipe()
os.set_blocking(writer, False)
signal.set_wakeup_fd(writer)
signal.signal(signal.SIGTERM, lambda *_: None)
if wish("deaf") is not None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
journal(f"start {os.getpid()} {os.getpgrp()} {' '.join(sys.argv[1:])}")
if (code := wish("exit")) is not None:
    print(f"{name}: the fake was told to fail", file=sys.stderr)
    sys.exit(int(code))
words = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
try:
    words.connect(os.environ["NOTIFY_SOCKET"])
    words.send(b"READY=1\n")
except ConnectionRefusedError:
    pass  # The supervisor has just been killed: the lifeline says so too.
if (code := wish("exit-later")) is not None:
    sys.exit(int(code))
lifeline = int(os.environ["WOLFDISK_LIFELINE_FD"])
ready, _, _ = select.select([reader, lifeline], [], [])
if (awaited := wish("stops-after")) is not None:
    beginning, count = awaited.rsplit(" ", 1)
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline and times(beginning) < int(count):
        time.sleep(0.001)
journal("stop " + ("term" if reader in ready else "lifeline"))
