#!/usr/bin/env python3
"""Median time of a byte there and back over TCP, in ms: round_trip.py NAMESPACE ADDRESS NAMESPACE"""
import subprocess, sys

ANSWER = """
import socket, sys
server = socket.create_server((sys.argv[1], 7077))
print("ready", flush=True)
with server.accept()[0] as one:
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while byte := one.recv(1):
        one.sendall(byte)
"""
ASK = """
import socket, statistics, sys, time
with socket.create_connection((sys.argv[1], 7077)) as one:
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    took = []
    for _ in range(1000):
        begun = time.perf_counter()
        one.sendall(b"x")
        one.recv(1)
        took.append(time.perf_counter() - begun)
print(f"{statistics.median(took) * 1e3:.3f}")
"""
_, served, address, asked = sys.argv
at = lambda namespace, script: ["nsenter", f"--net=/run/netns/{namespace}", sys.executable, "-c", script, address]
with subprocess.Popen(at(served, ANSWER), stdout=subprocess.PIPE) as answering:
    answering.stdout.readline()
    subprocess.run(at(asked, ASK), check=True)
