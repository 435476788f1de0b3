"""What people write for each edit, in English and Chinese, and the noise that typing adds.

Knows wording only. `wording/en.tsv` and `wording/zh.tsv` hold patterns for training; `heldout.tsv` holds sentences
that another hand wrote without seeing them. `sample` never returns one of those.

A pattern: `(a/b/)` picks one of its alternatives, `{it}` names the picture, `{c}` a colour, `{k}` a shape, `{p}` a
place, `{h}` a half, `{n}` another picture, `{A}` and `{B}` are whole instructions.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from pathlib import Path

from edits import GRADED, HALF_EDITS, NAMES, PAIRS, PLACES, REFERENCES

HERE = Path(__file__).resolve().parent


def words(text: str) -> frozenset[str]:
    return frozenset(text.split(" "))


UNKNOWN = "unknown"  # asks for what the model cannot do: the picture stays
LABELS = [*NAMES, UNKNOWN, *PAIRS, *REFERENCES]

IT = "it|it|this|the photo|the picture|the image|this photo|this picture|this image|my photo"
IT += "|my picture|my image|the whole photo|the whole image|everything|the entire picture|my pic"
IT_OF_MANY = "it|image 1|the first image|the first picture|picture 1|photo 1|the first photo"
BEFORE = "||||||please |can you |could you |could you please |now |just |i want you to |kindly "
BEFORE += "|would you |hey, |i need you to |let's |go ahead and |try to |i'd like you to "
AFTER = "||||||| please| for me| thanks| now| if you can"
ZH_IT = "图片|照片|这张图|这张照片|这张图片|图像|它|画面|整张图|我的照片|相片|图"
ZH_BEFORE = "||||请|帮我|请帮我|麻烦|能不能|可以|我想|给我"
ZH_AFTER = "|||||吧|一下|谢谢|，谢谢|好吗"

KINDS = {
    "circle": "circle|dot|disc|disk|ball|round spot|filled circle|round dot",
    "square": "square|box|block|filled square|square box",
}
ZH_COLOURS = {
    "red": "红色|红|大红色",
    "green": "绿色|绿",
    "blue": "蓝色|蓝",
    "yellow": "黄色|黄",
    "white": "白色|白|纯白色",
    "black": "黑色|黑|纯黑色",
}
ZH_KINDS = {"circle": "圆|圆形|圆圈|圆点|圆球|实心圆|圆块", "square": "方块|正方形|方形|方格|方框块|实心方块"}
ORDINAL = {"2": ("second", "two", "2nd"), "3": ("third", "three", "3rd")}
COMMAND = words(
    "make turn convert change give add apply put draw place paint insert flip mirror rotate swap exchange switch blur "
    "sharpen pixelate darken brighten lighten invert reverse increase decrease raise lower boost reduce cut remove take "
    "drop strip tint colorize colour color frame surround cover wash warm cool emboss carve trace find detect outline "
    "sketch solarize posterize threshold binarize desaturate saturate render use set spin reflect interchange soften "
    "mosaic censor show bring throw tone dim age crank pump wrap enclose border let do get"
)
CHOICE = re.compile(r"\(([^()]*)\)")
HOLE = re.compile(r"\{(it|c|k|p|h|n|A|B)\}")
LETTERS = "abcdefghijklmnopqrstuvwxyz"
SMALL = words("a an the of in to on my this all it please can you could now just me for at is")
LONGEST_WORDS = 26


def normal(text: str) -> str:
    return re.sub(r"[^a-z0-9\u4e00-\u9fff]+", " ", text.lower()).strip()


def rows(name: str) -> list[tuple[str, str]]:
    lines = (HERE / name).read_text("utf-8").splitlines()
    return [(label, text) for label, text in (line.split("\t") for line in lines)]


HELDOUT = rows("heldout.tsv")
FORBIDDEN = {normal(text) for _, text in HELDOUT}


def pick(choices: str, rng: random.Random) -> str:
    return rng.choice(choices.split("|"))


class Book:
    """The patterns of one language, by label."""

    def __init__(self, name: str, chinese: bool) -> None:
        self.chinese = chinese
        self.patterns: dict[str, list[str]] = defaultdict(list)
        for label, pattern in rows(f"wording/{name}.tsv"):
            self.patterns[label].append(pattern)

    def say(self, label: str, rng: random.Random, many: bool = False) -> str:
        """One way to ask for the edit; many: there are several pictures, so the first may be named."""
        if " + " in label:
            first, second = label.split(" + ")
            text = self.filled("two", rng, {})
            return text.replace("{A}", self.clause(first, rng, many)).replace("{B}", self.clause(second, rng, many))
        key, holes = self.place_of(label, rng)
        holes["it"] = ZH_IT if self.chinese else (IT_OF_MANY if many and rng.random() < 0.6 else IT)
        for word, name in (("slightly ", "slight"), ("much ", "much")):
            middle = label.removeprefix(word)
            if middle != label and middle in GRADED and rng.random() < 0.4:
                return self.graded(middle, name, rng, holes)
        return self.filled(key, rng, holes)

    def graded(self, middle: str, strength: str, rng: random.Random, holes: dict[str, str]) -> str:
        """The usual sentence with a word of strength."""
        text = self.filled(middle, rng, holes)
        if self.chinese:
            after = self.patterns.get(f"strength {strength} after")
            if after and ("，" in text or rng.random() < 0.5):
                return text + self.expanded(rng.choice(after), rng)
            return self.filled(f"strength {strength}", rng, {}) + text
        return text + rng.choice([" ", ", ", " "]) + self.filled(f"strength {strength}", rng, {})

    def place_of(self, label: str, rng: random.Random) -> tuple[str, dict[str, str]]:
        """The key of the label's patterns, and what fills their holes."""
        words = label.split(" ")
        if words[0] in ("tint", "frame"):
            return f"{words[0]} {{c}}", {"c": self.colour(words[1])}
        if len(words) > 2 and words[1] in KINDS:
            colour, kind, place = words[0], words[1], " ".join(words[2:])
            own = f"{{c}} {kind} {place}"
            key = own if own in self.patterns and rng.random() < 0.25 else "shape"
            return key, {"c": self.colour(colour), "k": (ZH_KINDS if self.chinese else KINDS)[kind], "p": self.phrase(f"place {place}", rng)}
        if words[-1] == "half" and words[0] in HALF_EDITS:
            return f"half {words[0]}", {"h": self.phrase(f"halfname {words[1]}", rng)}
        if words[0] in ("blend", "corner", "half") and words[1].isdigit():
            rest = " ".join(words[2:])
            holes = {"n": self.other(words[1], rng)}
            if rest in PLACES:
                holes["p"] = self.phrase(f"place {rest}", rng)
            keys = [k for k in (f"{words[0]} {{n}} {rest}".strip(), f"{words[0]} {{n}} {{p}}") if k in self.patterns]
            return rng.choice(keys), holes
        return label, {}

    def colour(self, name: str) -> str:
        return ZH_COLOURS[name] if self.chinese else name

    def phrase(self, key: str, rng: random.Random) -> str:
        return self.expanded(rng.choice(self.patterns[key]), rng)

    def other(self, number: str, rng: random.Random) -> str:
        """A name of the second or third picture."""
        if self.chinese:
            return self.phrase(f"pic {number}", rng)
        ordinal, cardinal, short = ORDINAL[number]
        noun = rng.choice(["image", "picture", "photo", "pic"])
        names = [f"{noun} {number}"] * 3 + [f"the {ordinal} {noun}"] * 3 + [f"the {ordinal} one", f"{noun} {cardinal}"]
        names += [f"{noun} #{number}", f"the {short} {noun}", f"my {ordinal} {noun}", f"{noun} no. {number}", f"number {number}"]
        if number == "2":
            names += [f"the other {noun}"] * 2 + ["the other one"]
        return rng.choice(names)

    def filled(self, key: str, rng: random.Random, holes: dict[str, str]) -> str:
        text = self.expanded(rng.choice(self.patterns[key]), rng)
        while (m := HOLE.search(text)) is not None and m.group(1) in holes:
            text = text[: m.start()] + pick(holes[m.group(1)], rng) + text[m.end() :]
        return re.sub(r"\s+", " ", text).strip()

    def expanded(self, pattern: str, rng: random.Random) -> str:
        while (m := CHOICE.search(pattern)) is not None:
            pattern = pattern[: m.start()] + rng.choice(m.group(1).split("/")) + pattern[m.end() :]
        return re.sub(r"\s+", " ", pattern).strip()

    def clause(self, label: str, rng: random.Random, many: bool) -> str:
        """A sentence short enough to be joined with another: in English mostly a command."""
        text = ""
        for _ in range(12):
            text = self.say(label, rng, many).rstrip("?.!。！？ ")
            if self.chinese:
                if len(text) <= 12:
                    break
            elif len(text.split(" ")) <= 9 and "," not in text and (text.split(" ")[0] in COMMAND or rng.random() < 0.12):
                break
        return text


ENGLISH, CHINESE = Book("en", chinese=False), Book("zh", chinese=True)


def noisy(text: str, rng: random.Random) -> str:
    """Casing, punctuation, a typing slip, a lost small word: the meaning stays."""
    words = text.split(" ")
    if len(words) > 3 and rng.random() < 0.12:
        at = rng.randrange(len(words))
        if words[at] in SMALL:
            del words[at]
    if rng.random() < 0.1:
        at = rng.randrange(len(words))
        w = words[at]
        if len(w) > 4:
            i = rng.randrange(1, len(w) - 1)
            slip = rng.random()
            if slip < 0.4:
                w = w[:i] + w[i + 1] + w[i] + w[i + 2 :]
            elif slip < 0.7:
                w = w[:i] + w[i + 1 :]
            else:
                w = w[:i] + rng.choice(LETTERS) + w[i:]
            words[at] = w
    text = " ".join(words)
    case = rng.random()
    if case < 0.4:
        text = text[:1].upper() + text[1:]
    elif case < 0.44:
        text = text.upper()
    elif case < 0.47:
        text = text.title()
    return text + rng.choice(["", "", "", "", ".", ".", "!", "?", "...", " "])


def sample(label: str, rng: random.Random, chinese: float = 0.33, many: bool = False) -> str:
    """One way to ask for the edit, never one of the held-out sentences."""
    while True:
        if rng.random() < chinese:
            clean = CHINESE.say(label, rng, many)
            if label != UNKNOWN and rng.random() < 0.3:
                clean = pick(ZH_BEFORE, rng) + clean + pick(ZH_AFTER, rng)
            text = clean + rng.choice(["", "", "", "。", "！"])
        else:
            clean = ENGLISH.say(label, rng, many)
            if label != UNKNOWN and rng.random() < 0.4 and clean.split(" ")[0] in COMMAND:
                clean = pick(BEFORE, rng) + clean + pick(AFTER, rng)
            text = noisy(clean, rng)
        if len(text.split(" ")) <= LONGEST_WORDS and normal(clean) not in FORBIDDEN and normal(text) not in FORBIDDEN:
            return text
