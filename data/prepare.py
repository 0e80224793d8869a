"""Real public data in the shapes of this repo: downloads a set and writes JSON lists that one can open and read.

    python data/prepare.py oasst1               # data/oasst1.json and data/oasst1_preferences.json
    python data/prepare.py smoltalk --limit 500 # the first 500 conversations, no more is downloaded

What arrived is kept in data/cache/. Everything is streamed, so that memory stays small: readers yield the JSON text of
one record at a time, and converters turn a record into ("instructions" | "dialogues" | "preferences", record) or, for
what is not used, ("dropped", reason).
"""
import argparse
import collections
import contextlib
import gzip
import json
import os
import sys
import time
from pathlib import Path
from typing import Callable, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import gpt2
from dpo import turns_of
from finetune import positive, tidy
from gpt2 import UserError, status
import requests

CACHE = Path(__file__).resolve().parent / "cache"

# ---------------------------------------------------------------------------------------------------------------------
# Converters: one record of a source in, any number of (kind, record) out


def dialogue(turns):
    """A dialogue out of (role, text) turns; what comes after the last answer is cut."""
    messages = tidy(turns)
    if "user" not in [message["role"] for message in messages[:2]]:
        return "dropped", "conversations without an answer, or with an empty message"
    return "dialogues", {"messages": messages}


def preference(turns, chosen, rejected):
    """A preference pair out of the (role, text) turns of its prompt and two answers."""
    chosen, rejected = chosen.strip(), rejected.strip()
    if not chosen or not rejected:
        return "dropped", "pairs with an empty answer"
    if chosen == rejected:
        return "dropped", "pairs of equal answers"
    messages = tidy([*turns, ("assistant", chosen)])
    if not messages or turns[-1:] != [("user", turns[-1][1])] if turns else True:
        return "dropped", "pairs whose prompt has an empty message or does not end with the user"
    return "preferences", {"prompt": messages[:-1], "chosen": chosen, "rejected": rejected}


def from_alpaca(record):
    """A record of Alpaca: {"instruction", "input", "output"}, texts."""
    record = {key: record[key].strip() for key in ("instruction", "input", "output")}
    if record["instruction"] and record["output"]:
        yield "instructions", record
    else:
        yield "dropped", "records without an instruction or without an answer"


def fault(message):
    """Why a message of a tree is not used; None where it is."""
    return next((reason for reason, found in {
        "messages in another language": message["lang"] != "en",
        "messages that were deleted": message.get("deleted"),
        "messages that did not pass review": not message["review_result"],
        "messages without text": not message["text"].strip()}.items() if found), None)


def from_tree(tree):
    """A message tree of OpenAssistant: people answered a prompt, then the answers, and ranked answers to the same.

    The dialogue is the longest path on which every answer has rank 0, the best. Wherever at least two answers are
    ranked, the best and the worst of them make a pair. With a message that is not used goes all that is below it.
    """
    if tree["tree_state"] != "ready_for_export":
        yield "dropped", "trees that were not finished"
        return
    best, queue = [], [([], tree["prompt"], True)]  # what came before, a message, and were all answers of rank 0?
    for path, message, top in queue:  # breadth first: the queue grows as it is read
        if reason := fault(message):
            yield "dropped", reason
            continue
        path = [*path, ({"prompter": "user", "assistant": "assistant"}[message["role"]], message["text"])]
        if path[-1][0] == "assistant" and top and len(path) > len(best):
            best = path
        replies = message["replies"]
        answers = sorted((reply for reply in replies if reply.get("rank") is not None and not fault(reply)),
                         key=lambda reply: reply["rank"])
        if path[-1][0] == "user" and len(answers) > 1:
            yield preference(path, answers[0]["text"], answers[-1]["text"])
        queue += [(path, reply, top and (reply["role"] == "prompter" or reply.get("rank") == 0)) for reply in replies]
    if best:
        yield dialogue(best)
    elif not fault(tree["prompt"]):
        yield "dropped", "trees without an answer of rank 0"


def from_sides(record):
    """Two whole conversations that differ in their last message, as texts (HH-RLHF) or messages (UltraFeedback)."""
    (*prompt, chosen), (*other, rejected) = turns_of(record["chosen"]), turns_of(record["rejected"])
    if prompt != other:
        yield "dropped", "pairs that differ before the last answer"
    elif chosen[0] != "assistant" or rejected[0] != "assistant":
        yield "dropped", "pairs that do not end with an answer"
    elif "score_chosen" in record and not record["score_chosen"] > record["score_rejected"]:
        yield "dropped", "pairs with tied scores"
    else:
        yield preference(prompt, chosen[1], rejected[1])


def from_row(entry):
    """An entry of the rows service: {"row": ..., "truncated_cells": [names]}."""
    row = entry["row"]
    if entry["truncated_cells"]:
        yield "dropped", "rows that the service cut short"
    elif "chosen" in row:
        yield from from_sides(row)
    else:
        yield dialogue(turns_of(row["messages"]))


# ---------------------------------------------------------------------------------------------------------------------
# Readers: the JSON text of one record after the other


def fetch(name, suffix):
    """The path of a source in the cache, downloaded if need be."""
    source, path = SOURCES[name], CACHE / (name + suffix)
    if not path.exists():
        hub = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
        gpt2.download(source.url.replace("{hub}", hub), path, source.sha256)
    return path


def read_lines(name):
    """The lines of a .jsonl.gz."""
    path = fetch(name, ".jsonl.gz")
    try:
        with gzip.open(path) as f:
            yield from f
    except (EOFError, gzip.BadGzipFile, gzip.zlib.error):
        raise UserError(f"{path} is damaged: delete it and try again") from None


def read_list(name):
    """The records of a JSON list, cut out of it piece by piece; what can't be read ends where the next "{" begins."""
    decoder, text = json.JSONDecoder(), ""
    with open(fetch(name, ".json"), encoding="utf-8", errors="replace") as f:
        while True:
            text = text.lstrip("\ufeff[], \t\r\n")
            try:
                end = decoder.raw_decode(text)[1]
            except (ValueError, RecursionError):
                if len(text) < 1 << 18 and (more := f.read(1 << 14)):  # no record is that long: perhaps it goes on
                    text += more
                    continue
                if not text:
                    return
                end = text.find("{", 1) if "{" in text[1:] else len(text)
            yield text[:end]
            text = text[end:]


def get_page(url):
    """The answer of the rows service, {"rows": [...], "num_rows_total"}. It waits when told to, and tries again."""
    for failures in range(1, 7):
        try:
            with requests.get(url, timeout=(10, 60)) as r:
                gpt2.check_answer(r, have=0)
                page = r.json()
                return page["rows"], page["num_rows_total"]
        except (requests.RequestException, ConnectionError, KeyError, TypeError) as error:
            wait = getattr(error, "wait", None) or 0.5 * 2 ** failures
            status(f"{type(error).__name__}, trying again in {wait:.0f} s")
            reason = f"{type(error).__name__}: {str(error)[:150]}"
        if failures < 6:
            time.sleep(wait)
    raise UserError(f"can't read {url} ({reason}). Try again later: it goes on where it stopped")


def read_pages(name):
    """Rows that the cache has, then more from the service, a hundred a request, each kept in the cache."""
    CACHE.mkdir(parents=True, exist_ok=True)
    count = size = 0
    with open(CACHE / f"{name}.jsonl", "a+b") as f:
        f.seek(0)
        for line in f:
            if not line.endswith(b"\n"):  # writing was interrupted here
                break
            count, size = count + 1, size + len(line)
            yield line
        f.truncate(size)
        total = count + 1
        while count < total:
            rows, total = get_page(f"{SOURCES[name].url}&offset={count}&length=100")
            if not rows:
                return
            lines = [json.dumps(row).encode() + b"\n" for row in rows]
            f.write(b"".join(lines))
            f.flush()
            count += len(rows)
            status(f"{name}: {count:,} of {total:,} rows")
            yield from lines


# ---------------------------------------------------------------------------------------------------------------------
# The sources


class Source(NamedTuple):
    what: str
    licence: str
    kinds: tuple  # a file for each; the first has the name of the set
    url: str
    read: Callable
    convert: Callable
    sha256: str = None
    limit: int = None  # how much to keep, where --limit does not say
    warning: str = ""


HUB = "{hub}/datasets/"
ROWS = "https://datasets-server.huggingface.co/rows?dataset="
SOURCES = {
    "alpaca": Source(
        "52,002 instructions", "CC BY-NC 4.0: not for commercial use", ("instructions",),
        "https://raw.githubusercontent.com/tatsu-lab/stanford_alpaca/main/alpaca_data.json", read_list, from_alpaca),
    "oasst1": Source(
        "10,364 message trees written and ranked by people; the English ones are kept", "Apache-2.0", ("dialogues", "preferences"),
        HUB + "OpenAssistant/oasst1/resolve/fdf72ae0827c1cda404aff25b6603abec9e3399b/2023-04-12_oasst_ready.trees.jsonl.gz",
        read_lines, from_tree, "2a9a8fd343e9b28e04a895a669d3253f82d93e9c174d440199ae19d5fafbdff7"),
    "oasst2": Source(
        "its larger successor", "Apache-2.0", ("dialogues", "preferences"),
        HUB + "OpenAssistant/oasst2/resolve/179dd21fc55192153d94adb0e0ce8f69e222bf75/2023-11-05_oasst2_ready.trees.jsonl.gz",
        read_lines, from_tree, "7a886a16ccfc1173c4f00a6897523e3c95b2785a86ee44a18a98f4f2807ee29b"),
    "smoltalk": Source(
        "dialogues, mostly written by models", "Apache-2.0, its parts taken from older sets: theirs", ("dialogues",),
        ROWS + "HuggingFaceTB/smoltalk&config=all&split=train", read_pages, from_row, limit=5000),
    "ultrafeedback": Source(
        "61,135 pairs, written and scored by models", "MIT", ("preferences",),
        ROWS + "HuggingFaceH4/ultrafeedback_binarized&config=default&split=train_prefs", read_pages, from_row, limit=5000),
    "hh-rlhf": Source(
        "pairs of helpful answers, chosen by people", "MIT", ("preferences",),
        HUB + "Anthropic/hh-rlhf/resolve/main/helpful-base/train.jsonl.gz", read_lines, from_sides,
        warning="Careful: this set contains offensive and upsetting text."),
}
SCRIPTS = {"instructions": "finetune.py", "dialogues": "finetune.py", "preferences": "dpo.py"}

# ---------------------------------------------------------------------------------------------------------------------
# main


def convert(line, source):
    """What a converter makes of the JSON text of one record, as (kind, JSON text or reason)."""
    try:
        return [(kind, value if kind == "dropped" else json.dumps(value, ensure_ascii=False).encode())
                for kind, value in source.convert(json.loads(line))]
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        return [("dropped", "records that are broken or of another form")]


def prepare(name, out, limit):
    """Writes the files of a set; returns {kind: (path, number of records)} and a Counter of the reasons for dropping."""
    source, kept, dropped, used = SOURCES[name], collections.Counter(), collections.Counter(), 0
    paths = {kind: out.with_stem(out.stem + f"_{kind}") if i else out for i, kind in enumerate(source.kinds)}
    with contextlib.ExitStack() as stack:
        files = {kind: stack.enter_context(gpt2.atomic_write(path, "wb")) for kind, path in paths.items()}
        for count, line in enumerate(source.read(name), 1):
            before = kept.total()
            for kind, value in convert(line, source):
                if kind == "dropped":
                    dropped[value] += 1
                else:
                    files[kind].write((b",\n" if kept[kind] else b"[\n") + value)
                    kept[kind] += 1
            used += kept.total() > before
            if used == limit:
                break
            if count % 1000 == 0:
                status(f"{name}: {count:,} records read")
        status()
        if not kept:
            raise UserError(f"{name}: nothing could be used; dropped: {dict(dropped) or 'nothing, it is empty'}")
        for kind, f in files.items():
            f.write(b"\n]\n" if kept[kind] else b"[]\n")
    return {kind: (path, kept[kind]) for kind, path in paths.items()}, dropped


def main():
    parser = argparse.ArgumentParser(description="Download a public data set and convert it for finetune.py and dpo.py.",
                                     epilog="sets: " + "; ".join(f"{name} ({source.what})" for name, source in SOURCES.items()))
    parser.add_argument("name", metavar="NAME", help=", ".join(SOURCES))
    parser.add_argument("--limit", type=positive(int), metavar="N", help="stop after N records that could be used; of oasst, trees "
                        "(default: all, or 5,000 where rows come page by page)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="a .json file (default: data/NAME.json)")
    args = parser.parse_args()
    if args.name not in SOURCES:
        raise UserError(f"no set {args.name!r}; those known are {', '.join(SOURCES)}")
    source, out = SOURCES[args.name], args.out or CACHE.parent / f"{args.name}.json"
    if out.suffix != ".json":
        raise UserError(f"--out {out}: the name of the file must end in .json")
    files, dropped = prepare(args.name, out, args.limit or source.limit)
    for kind, (path, count) in files.items():
        print(f"{os.path.relpath(path)}: {count:,} {kind}")
    print("Dropped: " + (", ".join(f"{count:,} {reason}" for reason, count in dropped.most_common()) or "nothing"))
    print(f"Licence: {source.licence}" + (f"\n{source.warning}" if source.warning else ""))
    for kind, (path, count) in files.items():
        if count:
            print(f"Next: python {SCRIPTS[kind]} --data {os.path.relpath(path)}")


if __name__ == "__main__":
    gpt2.run(main)
