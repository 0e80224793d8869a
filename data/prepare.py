"""Real public data in the shapes of this repo: downloads a set and writes JSON lists that one can open and read.

    python data/prepare.py oasst1               # data/oasst1.json and data/oasst1_preferences.json
    python data/prepare.py smoltalk --limit 500 # the first 500 dialogues; no more than those are downloaded

In reading order: converters, which turn one record of a source into what is kept and why the rest is not; readers,
which yield the JSON text of one record at a time, so that memory stays small; the table of sources; main.
"""
import signal
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # no traceback from Ctrl-C while torch is imported; see gpt2.run
import argparse
import collections
import contextlib
import gzip
import json
import os
import sys
from pathlib import Path
from typing import Callable, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import gpt2
from dpo import transcript
from finetune import COUNT, tidy, turns_of
from gpt2 import UserError, status

CACHE = Path(__file__).resolve().parent / "cache"  # what was downloaded; delete it to fetch anew

# ---- Converters: each yields (kind, record), kind as in SCRIPTS below, or ("dropped", reason) -----------------------


def dialogue(turns):
    """A dialogue out of (role, text) turns. What comes after the last answer is cut."""
    messages = tidy(turns)
    if next((message["role"] for message in messages if message["role"] != "system"), None) != "user":
        return "dropped", "dialogues with no answer, an empty message, or another beginning than the user's"
    return "dialogues", {"messages": messages}


def preference(turns, chosen, rejected):
    """A pair out of the (role, text) turns of its prompt and two answers."""
    chosen, rejected = chosen.strip(), rejected.strip()
    if not chosen or not rejected:
        return "dropped", "pairs with an empty answer"
    if chosen == rejected:
        return "dropped", "pairs with equal answers"
    messages = tidy([*turns, ("assistant", chosen)])
    if not messages or not turns or turns[-1][0] != "user":
        return "dropped", "pairs with an empty message, or a prompt that does not end with the user"
    return "preferences", {"prompt": messages[:-1], "chosen": chosen, "rejected": rejected}


def from_alpaca(record):
    """{"instruction", "input", "output"}, all texts."""
    record = {key: record[key].strip() for key in ("instruction", "input", "output")}
    complete = record["instruction"] and record["output"]
    yield ("instructions", record) if complete else ("dropped", "records without an instruction or an answer")


def fault(message):
    """Why a message of a tree is not used, or None."""
    checks = {"messages in another language": message["lang"] != "en", "messages that were deleted": message.get("deleted"),
              "messages that did not pass review": not message["review_result"],
              "messages without text": not message["text"].strip()}
    return next((reason for reason, found in checks.items() if found), None)


def from_tree(tree):
    """A message tree of OpenAssistant: people wrote replies to a prompt and to the replies, and ranked the answers.

    The dialogue is the longest path on which every answer has rank 0, the best. Wherever two answers or more are
    ranked, the best and the worst make a pair. A message that is not used takes all below it with it.
    """
    if tree["tree_state"] != "ready_for_export":
        yield "dropped", "trees that were not finished"
        return
    best, queue = [], [([], tree["prompt"], True)]  # the turns before, the message, are all answers so far of rank 0?
    for path, message, top in queue:  # it grows while it is read: breadth first
        if reason := fault(message):
            yield "dropped", reason
            continue
        role, replies = {"prompter": "user", "assistant": "assistant"}[message["role"]], message["replies"]
        path = [*path, (role, message["text"])]
        if role == "assistant":
            top = top and message.get("rank") == 0
            best = path if top and len(path) > len(best) else best
        else:
            ranked = sorted((reply for reply in replies if reply.get("rank") is not None and not fault(reply)),
                            key=lambda reply: reply["rank"])
            if len(ranked) > 1:
                yield preference(path, ranked[0]["text"], ranked[-1]["text"])
        queue += [(path, reply, top) for reply in replies]
    if best:
        yield dialogue(best)
    elif not fault(tree["prompt"]):
        yield "dropped", "trees without an answer of rank 0 to the prompt"


def sides(chosen, rejected):
    """A pair out of two conversations, lists of (role, text) turns, that differ in their last turn."""
    (*prompt, (speaker, better)), (*other, (other_speaker, worse)) = chosen, rejected
    if prompt != other or not speaker == other_speaker == "assistant":
        return "dropped", "pairs that differ in more than the last answer"
    return preference(prompt, better, worse)


def from_transcripts(record):
    """{"chosen", "rejected"}, texts like "\\n\\nHuman: Hi\\n\\nAssistant: Hello"."""
    yield sides(transcript(record["chosen"]), transcript(record["rejected"]))


def from_row(entry):
    """An entry of the rows service: {"row": a dialogue or a scored pair, "truncated_cells": [names]}."""
    row = entry["row"]
    if entry["truncated_cells"]:
        yield "dropped", "rows that the service cut short"
    elif "chosen" not in row:
        yield dialogue(turns_of(row["messages"]))
    elif row["score_chosen"] > row["score_rejected"]:
        yield sides(*(turns_of(row[side]) for side in ("chosen", "rejected")))
    else:
        yield "dropped", "pairs with tied scores"


# ---- Readers: each yields the JSON text of one record after the other -----------------------------------------------


def fetch(url, path, sha256=None):
    """The path, downloaded if need be. HF_ENDPOINT replaces the host of the hub's files."""
    if not path.exists():
        hub = (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
        gpt2.download(url.replace("{hub}", hub), path, sha256)
    return path


def read_lines(name):
    """The lines of a .jsonl.gz."""
    path = fetch(SOURCES[name].url, CACHE / f"{name}.jsonl.gz", SOURCES[name].sha256)
    try:
        with gzip.open(path) as f:
            yield from f
    except (EOFError, gzip.BadGzipFile, gzip.zlib.error):
        raise UserError(f"{path} is damaged: delete it and try again") from None


def read_list(name):
    """The records of a JSON list, cut from it one by one; what is broken ends where the next "{" stands."""
    decoder, text = json.JSONDecoder(), ""
    with open(fetch(SOURCES[name].url, CACHE / f"{name}.json"), encoding="utf-8", errors="replace") as f:
        while True:
            text = text.lstrip("\ufeff[], \t\r\n")
            try:
                end = decoder.raw_decode(text)[1]
            except ValueError:
                if len(text) < 1 << 16 and (more := f.read(1 << 14)):  # no record is that long: perhaps it goes on
                    text += more
                    continue
                if not text:
                    return
                end = 1 + len(text[1:].partition("{")[0])  # before the next "{", or all of it
            yield text[:end]
            text = text[end:]


def read_pages(name):
    """The rows of a set, a hundred a request. gpt2.download waits as long as the service says; pages are kept."""
    offset, total = 0, 1
    while offset < total:
        path = CACHE / name / f"{offset}.json"
        fetch(f"{SOURCES[name].url}&offset={offset}&length=100", path)
        try:
            page = json.loads(path.read_bytes())
            rows, total = page["rows"], int(page["num_rows_total"])
        except (ValueError, KeyError, TypeError):
            path.unlink()
            raise UserError(f"the rows service sent something else than rows {offset} to {offset + 99}: try again later") from None
        yield from map(json.dumps, rows)
        offset = offset + len(rows) if rows else total
        status(f"{name}: {offset:,} of {total:,} rows")


# ---- The sources ----------------------------------------------------------------------------------------------------


class Source(NamedTuple):
    licence: str
    kinds: tuple  # a file for each
    url: str
    read: Callable
    convert: Callable
    sha256: str = None
    limit: int = None  # how many records to use, where --limit does not say
    warning: str = ""


ROWS = "https://datasets-server.huggingface.co/rows?dataset="
SOURCES = {
    "alpaca": Source(
        "CC BY-NC 4.0 (not for commercial use)", ("instructions",),
        "https://raw.githubusercontent.com/tatsu-lab/stanford_alpaca/main/alpaca_data.json", read_list, from_alpaca),
    "oasst1": Source(
        "Apache-2.0", ("dialogues", "preferences"),
        "{hub}/datasets/OpenAssistant/oasst1/resolve/fdf72ae0827c1cda404aff25b6603abec9e3399b/2023-04-12_oasst_ready.trees.jsonl.gz",
        read_lines, from_tree, "2a9a8fd343e9b28e04a895a669d3253f82d93e9c174d440199ae19d5fafbdff7"),
    "oasst2": Source(
        "Apache-2.0", ("dialogues", "preferences"),
        "{hub}/datasets/OpenAssistant/oasst2/resolve/179dd21fc55192153d94adb0e0ce8f69e222bf75/2023-11-05_oasst2_ready.trees.jsonl.gz",
        read_lines, from_tree, "7a886a16ccfc1173c4f00a6897523e3c95b2785a86ee44a18a98f4f2807ee29b"),
    "smoltalk": Source(
        "Apache-2.0; the older sets in it have their own", ("dialogues",),
        ROWS + "HuggingFaceTB/smoltalk&config=all&split=train", read_pages, from_row, limit=5000),
    "ultrafeedback": Source(
        "MIT", ("preferences",),
        ROWS + "HuggingFaceH4/ultrafeedback_binarized&config=default&split=train_prefs", read_pages, from_row, limit=5000),
    "hh-rlhf": Source(
        "MIT", ("preferences",),
        "{hub}/datasets/Anthropic/hh-rlhf/resolve/main/helpful-base/train.jsonl.gz", read_lines, from_transcripts,
        warning="Careful: this set contains offensive and upsetting text."),
}
SCRIPTS = {"instructions": "finetune.py", "dialogues": "finetune.py", "preferences": "dpo.py"}


def prepare(name, out, limit):
    """Writes the files of a set; returns {kind: (path, number of records)} and a Counter of why others were dropped."""
    source, kept, dropped, used = SOURCES[name], collections.Counter(), collections.Counter(), 0
    paths = {kind: out.with_stem(f"{out.stem}_{kind}") if i else out for i, kind in enumerate(source.kinds)}
    with contextlib.ExitStack() as stack:
        files = {kind: stack.enter_context(gpt2.atomic_write(path, "wb")) for kind, path in paths.items()}
        for count, line in enumerate(source.read(name), 1):
            try:
                found = list(source.convert(json.loads(line)))
            except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
                found = [("dropped", "records that are broken or not of the expected form")]
            for kind, value in found:
                if kind == "dropped":
                    dropped[value] += 1
                else:
                    text = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
                    files[kind].write((b",\n" if kept[kind] else b"[\n") + text)
                    kept[kind] += 1
            used += any(kind != "dropped" for kind, _ in found)
            if used == limit:
                break
            if count % 1000 == 0:
                status(f"{name}: {count:,} records read")
        status()
        if not used:
            raise UserError(f"{name}: no record can be used. Dropped: {dict(dropped)}")
        for kind, f in files.items():
            f.write(b"\n]\n" if kept[kind] else b"[]\n")
    return {kind: (path, kept[kind]) for kind, path in paths.items()}, dropped


def main():
    parser = argparse.ArgumentParser(description="Download a public data set and convert it for finetune.py and dpo.py.",
                                     epilog="data/README.md says what the sets are")
    add = parser.add_argument
    add("name", metavar="NAME", help=", ".join(SOURCES))
    add("--limit", type=COUNT, metavar="N", help="stop after N records, for oasst after N trees, that could be used "
        "(default: all; 5,000 of smoltalk and ultrafeedback, which come page by page)")
    add("--out", type=Path, metavar="FILE", help="a .json file (default: NAME.json beside this script)")
    args = parser.parse_args()
    if args.name not in SOURCES:
        raise UserError(f"no set {args.name!r}; known are {', '.join(SOURCES)}")
    source, out = SOURCES[args.name], args.out or CACHE.with_name(f"{args.name}.json")
    if out.suffix != ".json":
        raise UserError(f"--out {out}: the name must end in .json")
    files, dropped = prepare(args.name, out, args.limit or source.limit)
    for kind, (path, count) in files.items():
        print(f"{os.path.relpath(path)}: {count:,} {kind}")
    print("Dropped: " + (", ".join(f"{count:,} {reason}" for reason, count in dropped.most_common()) or "nothing"))
    print(f"Licence: {source.licence}. {source.warning}".rstrip())
    for kind, (path, count) in files.items():
        if count:
            print(f"Next: python {SCRIPTS[kind]} --data {os.path.relpath(path)}")


if __name__ == "__main__":
    gpt2.run(main)
