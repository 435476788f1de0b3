"""The wire between supervisor and worker, as data. Generated from supervisor/wire/message.go by
`go generate ./supervisor/wire`; edit that file. It knows no file descriptor and starts nothing.
"""

import msgspec

VERSION = 1
REQUEST_LINE_MAX = 262144
EVENT_LINE_MAX = 1048576

EXIT_BYE = 0
EXIT_PROTOCOL = 64
EXIT_CONFIG = 65
EXIT_IMPORT = 66
EXIT_INTERNAL = 70
EXIT_OOM = 71
EXIT_GPU_CONTEXT = 72
EXIT_WEIGHTS = 73
EXIT_DISK = 74
EXIT_PARENT_GONE = 75


class Message(msgspec.Struct, kw_only=True, frozen=True):
    """What every request and every event is."""


class Envelope(Message, kw_only=True, frozen=True):
    """Envelope starts every line. Its keys are frozen: qie, t, seq, gen, job, attempt, ms, in this
    order.
    """

    # protocol version; the first key of a line
    qie: int = 0
    # message type
    t: str = ""
    # order per direction, from 1
    seq: int = 0
    # generation of the worker
    gen: int = 0
    # job id where the message belongs to one
    job: str = ""
    # attempt of that job
    attempt: int = 0
    # sender's monotonic milliseconds
    ms: int = 0


class Cancel(Message, kw_only=True, frozen=True):
    """Cancel asks to stop the job in the envelope."""

    # after so long the work is interrupted wherever it is in Python; 0 is never
    interrupt_ms: int = 0


class Configure(Message, kw_only=True, frozen=True):
    """Configure answers hello. It comes once, before anything else."""

    # auto, mps, cuda or cpu
    device: str = ""
    # where the worker may write temporary files
    scratch_dir: str = ""
    # period of beat
    beat_ms: int = 0
    # refuse a source with more pixels
    max_pixels: int = 0
    # longest side of a preview in pixels; 0 turns previews off
    preview_side: int = 0
    # torch threads on CPU; 0 leaves torch's choice
    cpu_threads: int = 0


class LoRA(Message, kw_only=True, frozen=True):
    """LoRA is a file of low-rank changes and how strongly they are added."""

    # absolute, .safetensors
    path: str = ""
    # more than 0, at most 2
    strength: float = 0.0


class Generate(Message, kw_only=True, frozen=True):
    """Generate starts one attempt. Paths are absolute."""

    prompt: str = ""
    negative_prompt: str = ""
    steps: int = 0
    # 1 is off
    true_cfg_scale: float = 0.0
    seed: int = 0
    # time shift of the schedule, without its end stretched; 0: the scheduler's own
    shift: float = 0.0
    # what the transformer's weights are changed by for this attempt, in order
    loras: list[LoRA] = []
    # upright sRGB PNG files, in order
    images: list[str] = []
    # join two images side by side first
    collage: bool = False
    # pixels the model computes, multiple of 32
    work_width: int = 0
    # pixels the model computes, multiple of 32
    work_height: int = 0
    # pixels of the saved picture
    out_width: int = 0
    # pixels of the saved picture
    out_height: int = 0
    # pixels of a reference latent's picture
    ref_area: int = 0
    # cover: every picture after the first is cropped to its ratio; empty: each keeps its own
    ref_fit: str = ""
    # pixels of the picture the text encoder sees
    cond_area: int = 0
    # PNG; written by temp, fsync, rename
    result_path: str = ""
    # JPEG; written by temp and rename; empty turns previews off
    preview_path: str = ""
    # state of a broken-off denoise, read and written; empty turns it off
    checkpoint_path: str = ""


class Load(Message, kw_only=True, frozen=True):
    """Load asks for the weights of a model directory in the diffusers layout. It is a no-op when
    that model is loaded under that profile.
    """

    # model id
    model: str = ""
    # model directory
    dir: str = ""
    # memory profile: resident, staged or tiled; empty is resident
    profile: str = ""


class Mem(Message, kw_only=True, frozen=True):
    """Mem asks for a mem_report."""


class Ping(Message, kw_only=True, frozen=True):
    """Ping asks for a pong with the same id, from the reader thread."""

    id: int = 0


class Shutdown(Message, kw_only=True, frozen=True):
    """Shutdown asks the worker to finish by itself: say bye and exit 0."""

    grace_ms: int = 0


class Unload(Message, kw_only=True, frozen=True):
    """Unload drops the weights."""


class Accepted(Message, kw_only=True, frozen=True):
    """Accepted comes before any work on a generate."""


class Beat(Message, kw_only=True, frozen=True):
    """Beat comes once per beat_ms from a thread of its own; tick counts the work loop, so that a
    live thread over a dead loop shows.
    """

    tick: int = 0
    # footprint
    bytes: int = 0


class Bye(Message, kw_only=True, frozen=True):
    """Bye is the last line of an orderly end."""

    reason: str = ""


class Canceled(Message, kw_only=True, frozen=True):
    """Canceled ends an attempt or a load as asked."""

    # where it stopped
    phase: str = ""


class Dropped(Message, kw_only=True, frozen=True):
    """Dropped counts lines that the worker could not send or did not understand."""

    count: int = 0


class Error(Message, kw_only=True, frozen=True):
    """Error ends an attempt or a load with a typed code."""

    # job.Code
    code: str = ""
    message: str = ""
    retryable: bool = False
    # the process exits after this line
    fatal_process: bool = False
    # tail of the traceback, without prompts
    trace: str = ""


class Fatal(Message, kw_only=True, frozen=True):
    """Fatal says why the process is about to exit."""

    code: str = ""
    message: str = ""
    # exit code to expect
    exit: int = 0


class Hello(Message, kw_only=True, frozen=True):
    """Hello is the first event, sent before torch is imported."""

    # from the environment variable QIE_NONCE
    nonce: str = ""
    # wire version
    protocol: int = 0
    pid: int = 0
    # version
    python: str = ""
    # sha256 over the worker's source tree
    source_hash: str = ""


class LoadProgress(Message, kw_only=True, frozen=True):
    """LoadProgress counts weights by bytes."""

    bytes_done: int = 0
    bytes_total: int = 0
    # from 1
    shard: int = 0
    shards: int = 0
    # transformer, text_encoder or vae
    part: str = ""


class Loaded(Message, kw_only=True, frozen=True):
    """Loaded ends a load."""

    model: str = ""
    seconds: float = 0.0
    # footprint of the process afterwards
    bytes: int = 0


class Log(Message, kw_only=True, frozen=True):
    """Log is one line for the worker's log."""

    # debug, info, warn or error
    level: str = ""
    text: str = ""


class MemReport(Message, kw_only=True, frozen=True):
    """MemReport answers mem."""

    # footprint of the process
    bytes: int = 0
    # allocated on the device
    device_bytes: int = 0
    # recommended limit of the device; 0 unknown
    device_max: int = 0
    # of them held by no program now, this one included; 0: unknown
    device_free: int = 0


class Phase(Message, kw_only=True, frozen=True):
    """Phase says that a part of the attempt begins."""

    # encode, denoise, decode or save
    phase: str = ""


class Pong(Message, kw_only=True, frozen=True):
    """Pong answers ping."""

    id: int = 0


class Preview(Message, kw_only=True, frozen=True):
    """Preview says that preview_path holds a new picture."""

    step: int = 0
    path: str = ""
    width: int = 0
    height: int = 0


class Progress(Message, kw_only=True, frozen=True):
    """Progress counts denoise steps, and the fraction of the other phases."""

    phase: str = ""
    # steps done
    step: int = 0
    steps: int = 0
    # of this phase, 0 to 1
    fraction: float = 0.0
    # seconds of the last step
    step_s: float = 0.0


class Ready(Message, kw_only=True, frozen=True):
    """Ready says that imports and device are fine and weights can be loaded."""

    # mps, cuda or cpu
    device: str = ""
    # bfloat16 or float32
    dtype: str = ""
    device_name: str = ""
    torch: str = ""
    diffusers: str = ""
    transformers: str = ""
    # seconds the imports took
    import_s: float = 0.0
    threads: int = 0
    # bytes that the device should hold at most; 0: no limit of its own
    device_max: int = 0
    # of them free now, before any load; 0: unknown
    device_free: int = 0


class Timing(Message, kw_only=True, frozen=True):
    """Timing is one measured part of an attempt."""

    name: str = ""
    seconds: float = 0.0


class Result(Message, kw_only=True, frozen=True):
    """Result says that the picture lies at path, synced."""

    path: str = ""
    bytes: int = 0
    sha256: str = ""
    width: int = 0
    height: int = 0
    seed: int = 0
    timings: list[Timing] = []
    # the result shows no visible change against the source
    unchanged: bool = False


class Resumed(Message, kw_only=True, frozen=True):
    """Resumed says that the denoise goes on behind a step of an earlier attempt."""

    # steps that need not be done again
    step: int = 0


class Unloaded(Message, kw_only=True, frozen=True):
    """Unloaded answers unload."""

    # footprint of the process afterwards
    bytes: int = 0


REQUESTS: dict[str, type[Message]] = {
    "cancel": Cancel,
    "configure": Configure,
    "generate": Generate,
    "load": Load,
    "mem": Mem,
    "ping": Ping,
    "shutdown": Shutdown,
    "unload": Unload,
}

EVENTS: dict[str, type[Message]] = {
    "accepted": Accepted,
    "beat": Beat,
    "bye": Bye,
    "canceled": Canceled,
    "dropped": Dropped,
    "error": Error,
    "fatal": Fatal,
    "hello": Hello,
    "load_progress": LoadProgress,
    "loaded": Loaded,
    "log": Log,
    "mem_report": MemReport,
    "phase": Phase,
    "pong": Pong,
    "preview": Preview,
    "progress": Progress,
    "ready": Ready,
    "result": Result,
    "resumed": Resumed,
    "unloaded": Unloaded,
}

TYPE_OF: dict[type[Message], str] = {cls: name for name, cls in {**REQUESTS, **EVENTS}.items()}
