"""The memory of the local KFP: what was large is given back."""

import platform
import subprocess
import sys

import pytest

# Blocks of megabytes that threads free, with small ones between them that are kept.
PROGRAM = """
import os
from concurrent.futures import ThreadPoolExecutor
from jupyter_kfp_mt.local.machine.memory import give_back_large_blocks

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

def work(_):
    first = [b"x" * (7 << 20) for _ in range(2)]
    kept.append(bytearray(1000))
    second = [b"x" * (7 << 20) for _ in range(2)]
    kept.append(bytearray(100_000))

if {given_back}:
    give_back_large_blocks()
kept, before = [], resident()
with ThreadPoolExecutor(4) as threads:
    for _ in threads.map(work, range(32)):
        pass
    print((resident() - before) >> 20)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is about glibc's allocator")
def test_large_blocks_are_given_back_whatever_is_kept_between_them():
    def grown(given_back):
        program = PROGRAM.format(given_back=given_back)
        return int(subprocess.check_output([sys.executable, "-c", program]))

    assert grown(True) <= 14
    assert grown(False) > 28, "else nothing has to be done"
