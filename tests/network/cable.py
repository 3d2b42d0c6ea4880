#!/usr/bin/env python3
"""A cable between two network devices, as good or as bad as it is told to be.

    cable.py plain DEVICE       lets a device finish its packets itself, checksums and all
    cable.py join A B SEED      carries IPv4 and ARP between two devices, until its input ends

Each line of its input is a command, answered by one line:

    set a|b LOSS DELAY_MS JITTER_MS KBIT    for what goes towards that end; LOSS from 0 to 1
    count                                   what it carried and dropped so far, as JSON

A packet is lost by chance, each by itself. One that is not lost waits for its turn on a line of KBIT
a second (0 for any number), and then for DELAY_MS, give or take JITTER_MS drawn evenly, so that
packets may overtake each other.
"""
import array
import fcntl
import heapq
import json
import os
import random
import select
import socket
import struct
import sys
import time

# linux/sockios.h, linux/ethtool.h: a device that leaves checksums and segmentation to the next one
# would hand us packets that no receiver takes.
SIOCETHTOOL = 0x8946
SWITCHED_OFF = {"checksums": 0x17, "tcp segmentation": 0x1F, "segmentation": 0x24}

ETH_P_ALL, ETH_P_IP, ETH_P_ARP = 0x0003, 0x0800, 0x0806

# More wait than a test ever sends in a second: beyond, a packet is dropped, and counted.
WAITING_MAX = 10_000


def plain(device):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        for command in SWITCHED_OFF.values():
            value = array.array("I", [command, 0])
            request = struct.pack("16sP", device.encode(), value.buffer_info()[0])
            fcntl.ioctl(any_socket, SIOCETHTOOL, request)


class End:
    """One end, and the way towards it."""

    def __init__(self, device):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.socket.bind((device, 0))
        self.socket.setblocking(False)
        self.loss, self.delay, self.jitter = 0.0, 0.0, 0.0
        self.bytes_a_second, self.free = 0.0, 0.0
        self.carried, self.dropped = 0, 0

    def heard(self):
        """The packets that came in at this end."""
        while True:
            try:
                frame, (_, protocol, kind, _, _) = self.socket.recvfrom(65_536)
            except BlockingIOError:
                return
            except OSError:
                continue  # the device went down: that was said once, and nothing is lost by it
            if kind != socket.PACKET_OUTGOING and protocol in (ETH_P_IP, ETH_P_ARP):
                yield frame

    def through(self, frame):
        """When the line has taken a packet that comes now."""
        now = time.monotonic()
        if not self.bytes_a_second:
            return now
        self.free = max(now, self.free) + len(frame) / self.bytes_a_second
        return self.free

    def deliver(self, frame):
        try:
            self.socket.send(frame)
            self.carried += 1
        except OSError:  # nobody is plugged in there
            self.dropped += 1

    def counts(self):
        return {"carried": self.carried, "dropped": self.dropped}


def join(a, b, seed):
    ends, chance = {"a": End(a), "b": End(b)}, random.Random(seed)
    towards = {ends["a"].socket: ends["b"], ends["b"].socket: ends["a"]}
    waiting, number, said = [], 0, b""
    print("ready", flush=True)
    while True:
        wait = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        readable, _, _ = select.select([sys.stdin, *towards], [], [], wait)
        for source in readable:
            if source is sys.stdin:
                words = os.read(0, 4_096)
                if not words:
                    return
                *lines, said = (said + words).split(b"\n")
                for line in lines:
                    print(obey(ends, line.decode().split()), flush=True)
                continue
            end = towards[source]
            heard = ends["a"] if end is ends["b"] else ends["b"]
            for frame in heard.heard():
                if chance.random() < end.loss or len(waiting) >= WAITING_MAX:
                    end.dropped += 1
                    continue
                due = end.through(frame) + end.delay + chance.uniform(-end.jitter, end.jitter)
                number += 1
                heapq.heappush(waiting, (due, number, end, frame))
        while waiting and waiting[0][0] <= time.monotonic():
            _, _, end, frame = heapq.heappop(waiting)
            end.deliver(frame)


def obey(ends, words):
    if words[0] == "count":
        return json.dumps({name: end.counts() for name, end in ends.items()})
    _, name, loss, delay, jitter, kbit = words
    end = ends[name]
    end.loss, end.delay, end.jitter = float(loss), float(delay) / 1000, float(jitter) / 1000
    end.bytes_a_second = float(kbit) * 1000 / 8
    return "done"


if sys.argv[1] == "plain":
    plain(sys.argv[2])
else:
    join(sys.argv[2], sys.argv[3], int(sys.argv[4]))
