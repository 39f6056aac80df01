#!/usr/bin/env python3
"""A wire between two network namespaces that takes its time: for kernels without netem.

    delay.py MICROSECONDS NAMESPACE ADDRESS/BITS NAMESPACE ADDRESS/BITS

Gives each namespace an interface `wire` and carries packets between them, each so many microseconds after it
was sent. Prints `ready` when both are up; SIGTERM ends it, and the interfaces go with it. A packet may be as long as what
a network card takes at once (64 KiB), so that the wire is no bottleneck; beyond QUEUE_MAX packets under way it drops, as a
switch does. Needs root and /dev/net/tun."""
import collections, ctypes, fcntl, os, select, signal, struct, subprocess, sys, time

TUNSETIFF, TUNSETOFFLOAD = 0x400454CA, 0x400454D0
IFF_TUN, IFF_NO_PI, IFF_VNET_HDR = 0x0001, 0x1000, 0x4000
# Checksums and the cutting of long TCP segments are left to whoever reads: nobody does on a wire in memory.
OFFLOADS = 0x01 | 0x02 | 0x04
PR_SET_TIMERSLACK = 29
LONGEST = 1 << 17
QUEUE_MAX = 4096


def interface(name, namespace, address):
    """The interface's file; what is read from it was sent there."""
    file = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(file, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI | IFF_VNET_HDR))
    fcntl.ioctl(file, TUNSETOFFLOAD, OFFLOADS)
    subprocess.run(["ip", "link", "set", name, "netns", namespace, "name", "wire"], check=True)
    subprocess.run(["ip", "-n", namespace, "address", "add", address, "dev", "wire"], check=True)
    subprocess.run(["ip", "-n", namespace, "link", "set", "wire", "up"], check=True)
    return file


def carry(come, go, delay):
    """Carries packets one way, for ever."""
    # Else the kernel wakes it up to 50 us late.
    ctypes.CDLL(None).prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0)
    under_way = collections.deque()
    while True:
        wait = max(0, under_way[0][0] - time.monotonic()) if under_way else None
        if select.select([come], [], [], wait)[0]:
            try:
                while True:
                    packet = os.read(come, LONGEST)
                    if len(under_way) < QUEUE_MAX:
                        under_way.append((time.monotonic() + delay, packet))
            except BlockingIOError:
                pass
        while under_way and under_way[0][0] <= time.monotonic():
            try:
                os.write(go, under_way[0][1])
            except OSError:
                pass  # The other end takes no more, or this is no packet for it: lost, as on a wire.
            under_way.popleft()


delay = int(sys.argv[1]) / 1e6
one = interface(f"wd{os.getpid()}a", *sys.argv[2:4])
two = interface(f"wd{os.getpid()}b", *sys.argv[4:6])
print("ready", flush=True)
back = os.fork()
if back == 0:
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
    carry(two, one, delay)
signal.signal(signal.SIGTERM, lambda *_: (os.kill(back, signal.SIGTERM), os._exit(0)))
carry(one, two, delay)
