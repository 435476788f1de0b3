"""Any bytes on the wire: the reader's memory is bounded, nothing hides the frame behind it, and a message survives."""

import json
import os
import tempfile
from pathlib import Path

import msgspec
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pyruntime import stdio, wire

GOLDEN = Path(__file__).parents[2] / "supervisor" / "wire" / "testdata" / "golden.ndjson"
FRAME = b'{"qie":1,"t":"ping","seq":1,"gen":1,"ms":0,"id":4}'
LIMIT = 1000

quick = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
golden = [line for line in GOLDEN.read_bytes().splitlines() if line]

# What a broken, hostile or half-dead peer may write: bytes, pieces of real lines, magics, lines over the limit.
noise = st.one_of(
    st.binary(max_size=200),
    st.sampled_from(golden).flatmap(lambda line: st.integers(0, len(line)).map(lambda n: line[:n])),
    st.just(stdio.MAGIC),
    st.sampled_from([b"\n", b"\r\n", b"\x00", b"\xff\xfe\n", b"}", b'"']),
    st.integers(LIMIT - 2, LIMIT * 3).map(lambda n: b"y" * n),
)


def read_back(data: bytes, limit: int = LIMIT) -> tuple[list[bytes], int]:
    # A file instead of a pipe: nobody has to write while the reader reads.
    with tempfile.TemporaryFile() as f:
        f.write(data)
        f.seek(0)
        counts = [0]
        return list(stdio.Lines(f.fileno(), limit, counts.append)), counts[-1]


@quick
@given(st.lists(noise, max_size=12).map(b"".join))
@example(b"")
@example(stdio.MAGIC * 3)
@example(b"y" * 200_000)
def test_no_bytes_hide_the_frame_behind_them(before: bytes):
    frames, dropped = read_back(before + b"\n" + FRAME + b"\n" + FRAME + b"\n")
    assert frames[-2:] == [FRAME, FRAME]
    assert all(f.startswith(stdio.MAGIC) and b"\n" not in f and len(f) <= LIMIT for f in frames)
    assert dropped <= before.count(b"\n") + len(before) // LIMIT + 1


@quick
@given(st.lists(noise, max_size=12).map(b"".join))
def test_what_is_no_request_is_a_typed_refusal(data: bytes):
    for frame in read_back(data + b"\n")[0]:
        try:
            envelope = msgspec.json.decode(frame, type=wire.Envelope)
            msgspec.json.decode(frame, type=wire.REQUESTS.get(envelope.t, wire.Envelope))
        except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError):
            continue  # worker.py counts these as dropped


@quick
@given(st.text(max_size=300), st.integers(1, 1 << 40))
@example("\ud800\x00\u2028 \U0001f3a8 {\"qie\":1,", 1)
def test_what_the_writer_writes_is_one_line_of_ascii(text: str, generation: int):
    read, write = os.pipe()
    try:
        stdio.Writer(write, generation).send(wire.Log(level="info", text=text), "job", 2)
        line = os.read(read, 1 << 16)
    finally:
        os.close(read)
        os.close(write)
    assert line.startswith(stdio.MAGIC) and line.isascii() and line.count(b"\n") == 1 and line.endswith(b"\n")
    assert json.loads(line)["text"] == text and json.loads(line)["gen"] == generation
    assert read_back(line, wire.EVENT_LINE_MAX)[0] == [line[:-1]]
