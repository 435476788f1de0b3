"""The golden lines, written by Go: decoded here and encoded again, they are the same JSON."""

import json
import os
from pathlib import Path

import msgspec

from pyruntime import stdio, wire

GOLDEN = Path(__file__).parents[2] / "supervisor" / "wire" / "testdata" / "golden.ndjson"


def test_golden_lines_survive_the_round_trip():
    seen = set()
    for line in GOLDEN.read_bytes().splitlines():
        envelope = msgspec.json.decode(line, type=wire.Envelope)
        kind = (wire.REQUESTS | wire.EVENTS)[envelope.t]
        message = msgspec.json.decode(line, type=kind)
        want = json.loads(line)
        got = {k: v for k, v in msgspec.to_builtins(envelope).items() if k in want} | msgspec.to_builtins(message)
        assert got == want
        seen.add(envelope.t)
    assert seen == (wire.REQUESTS | wire.EVENTS).keys()


def test_the_writer_puts_the_magic_first_and_stays_ascii():
    read, write = os.pipe()
    stdio.Writer(write, 7).send(wire.Log(level="info", text="größer 😀"), "job", 2)
    line = os.read(read, 4096)
    assert line.startswith(stdio.MAGIC) and line.isascii() and line.endswith(b"\n")
    assert json.loads(line)["text"] == "größer 😀"
    assert [*json.loads(line)][:7] == ["qie", "t", "seq", "gen", "job", "attempt", "ms"]


def lines_of(data: bytes, limit: int = 1000) -> tuple[list[bytes], int]:
    read, write = os.pipe()
    if os.fork() == 0:
        os.close(read)
        with os.fdopen(write, "wb") as f:
            f.write(data)
        os._exit(0)
    os.close(write)
    counts = [0]
    found = list(stdio.Lines(read, limit, counts.append))
    os.close(read)
    return found, counts[-1]


FRAME = b'{"qie":1,"t":"ping","seq":1,"gen":1,"ms":0,"id":4}'


def test_hostile_lines_never_hide_the_frame_after_them():
    for noise, dropped in (
        (b"hello\n", 1),
        (b"\x00\xff\xfe\n", 1),
        (b'{"qie":1,' + b"x" * 5000 + b"\n", 1),
        (b"y" * 300_000 + b"\n", 1),
        (b"printed without newline ", 0),
        (b"", 0),
    ):
        found, count = lines_of(noise + FRAME + b"\n")
        assert found == [FRAME]
        assert count == dropped


def test_half_a_line_is_no_message():
    assert lines_of(FRAME[:20]) == ([], 1)
