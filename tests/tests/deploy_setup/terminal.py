"""Runs a shell command on a terminal of its own and types each answer when its prompt is there."""

import os
import pty
import select
import sys
import time

# Of one prompt after the last answer.
DEADLINE = 60

command, conversation = sys.argv[1], sys.argv[2:]
pid, terminal = pty.fork()
if pid == 0:
    os.execvp("sh", ["sh", "-c", command])

said = b""


def read(until):
    """Adds what is said to `said`; false at its end."""
    global said
    ready, _, _ = select.select([terminal], [], [], max(0, until - time.monotonic()))
    if not ready:
        sys.exit(f"nothing more is said:\n{said.decode()}")
    try:
        more = os.read(terminal, 65536)
    except OSError:
        more = b""
    said += more
    return more != b""


seen = 0
for prompt, typed in zip(conversation[::2], conversation[1::2]):
    until = time.monotonic() + DEADLINE
    while said.find(prompt.encode(), seen) < 0:
        if not read(until):
            sys.exit(f"it ended before {prompt!r}:\n{said.decode()}")
    seen = said.find(prompt.encode(), seen) + len(prompt.encode())
    os.write(terminal, typed.encode() + b"\n")
while read(time.monotonic() + DEADLINE):
    pass
_, status = os.waitpid(pid, 0)
print(said.decode())
sys.exit(os.waitstatus_to_exitcode(status))
