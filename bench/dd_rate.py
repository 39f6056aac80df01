#!/usr/bin/env python3
"""What dd said of its speed, as `WORDS... MB/s`: dd ... 2>&1 | dd_rate.py WORDS..."""
import re, sys

said = sys.stdin.read()
found = re.search(r"(\d+) bytes .* copied, ([\d.e+-]+) s", said)
if not found:
    sys.exit(said)
print(*sys.argv[1:], f"{int(found[1]) / 1e6 / float(found[2]):.1f}")
