"""Talk to a model in the terminal.

    python chat.py                                # the newest run in out/
    python chat.py --model gpt2                   # any model that finetune.py takes
    python chat.py --prompt "Name three fruits."  # one answer, for scripts; --stats adds the speed
    python chat.py --compare out/sft out/dpo      # each message is answered by both
    python chat.py --ab                           # pick the better of two replies: data for dpo.py
"""
import signal
import sys
if __name__ == "__main__":  # for the seconds that importing torch takes
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # no traceback from Ctrl-C; see gpt2.run
    if sys.stderr and sys.stderr.isatty():
        print("importing torch ...", end="\r", file=sys.stderr, flush=True)
import codecs
import contextlib
import json
import os
import time
from pathlib import Path

import gpt2
from finetune import add_common, between, device_of, encode_prompt, new_parser, newest_run, write_json
from gpt2 import UserError, printable, reason
import torch

HELP = """\
/reset            forget the conversation        /undo        take back the last message and its reply
/retry            another reply                  /set K V     temperature, top_k, top_p or max_new_tokens
/save FILE        write the conversation, in the form finetune.py reads
/ab               from now on two replies to pick from, saved for dpo.py; again: off
/stats            speed of the last reply        /help, /quit (or Ctrl-D); Ctrl-C stops a reply and keeps it"""

HEADING = "\n\n### "  # with it a model that learned the alpaca template would go on to speak for the user
# The lowest and the highest value; a whole number where the highest is one
LIMITS = {"temperature": (0, 100.0), "top_k": (0, 10 ** 6), "top_p": (0, 1.0), "max_new_tokens": (1, 10 ** 6)}


def stream_text(ids, tokenizer, stop=HEADING):
    """The text of a stream of ids in pieces of whole characters, up to `stop`, without control characters."""
    decoder, held = codecs.getincrementaldecoder("utf-8")("replace"), ""
    for id in ids:
        held += printable(decoder.decode(tokenizer.decode_bytes([id])))
        if stop in held:
            yield held.partition(stop)[0]
            return
        sure = len(held) - max(n for n in range(len(stop)) if held.endswith(stop[:n]))  # there it may begin
        yield held[:sure]
        held = held[sure:]
    yield held + decoder.decode(b"", final=True)


class Conversation:
    """A model and what was said so far. The cache lives as long, so that only new text is computed."""

    def __init__(self, name, args):
        self.name = name
        self.model, self.tokenizer = gpt2.load(name, args.device, args.dtype)
        if args.quicken:
            gpt2.quicken(self.model)
        self.template = self.model.config.template or "alpaca"
        self.settings = {key: getattr(args, key) for key in LIMITS}
        self.seed, self.replies, self.stats, self.dropped, self.cut = args.seed, 0, "no reply yet", 0, False
        self.cache = gpt2.GraphCache(self.model) if args.cuda_graph else gpt2.KVCache(self.model.config)
        self.opening = [{"role": "system", "content": args.system}] if args.system else []
        self.messages = list(self.opening)

    def reply(self):
        """Streams an answer piece by piece and adds it to the conversation, even when it is cut short."""
        context = self.model.config.n_positions
        settings = self.settings | {"max_new_tokens": min(self.settings["max_new_tokens"], context // 2)}
        room = context - settings["max_new_tokens"]
        prompt, self.dropped = encode_prompt(self.messages, self.tokenizer, self.template, room)
        alone, _ = encode_prompt([*self.opening, self.messages[-1]], self.tokenizer, self.template, 10 ** 9)
        self.cut, self.stats = len(alone) > room, "no token in the last reply"
        times, said = [time.perf_counter()], ""  # the start, then when each id came
        def timed(ids):
            for id in ids:
                times.append(time.perf_counter())
                yield id
        ids = gpt2.generate(self.model, prompt, stop=tuple(self.tokenizer.special.values()), cache=self.cache,
                            seed=None if self.seed is None else self.seed + self.replies, **settings)
        self.replies += 1
        try:
            stop = HEADING if self.template == "alpaca" else "\0"  # never comes: printable takes it out
            for piece in stream_text(timed(ids), self.tokenizer, stop):
                said += piece
                yield piece
        finally:  # also when the reader stops listening
            if said.strip():
                self.messages.append({"role": "assistant", "content": said})
            if len(times) > 1:
                speed = (len(times) - 2) / max(time.perf_counter() - times[1], 1e-9)
                self.stats = (f"{len(prompt)} tokens of prompt, first token after {times[1] - times[0]:.2f} s, "
                              f"{len(times) - 1} tokens, {speed:.1f} tokens/s")

    def say(self, text):
        self.messages.append({"role": "user", "content": text})

    def undo(self):
        """Takes back the last message of the user and all behind it; returns its text, None where there is none."""
        while len(self.messages) > len(self.opening):
            if (message := self.messages.pop())["role"] == "user":
                return message["content"]


def show(conversation, label=""):
    """Prints a reply while it is made; Ctrl-C ends it."""
    print(label, end="", flush=True)
    with contextlib.closing(conversation.reply()) as pieces:
        try:
            for piece in pieces:
                print(piece, end="", flush=True)
        except KeyboardInterrupt:
            print(" [stopped]", end="")
    if conversation.messages[-1]["role"] == "user":
        print("[no reply: /retry, or say something else]", end="")
    print(flush=True)
    if conversation.dropped:
        print(f"[the oldest {conversation.dropped} messages no longer fit and were left out]", file=sys.stderr)
    if conversation.cut:
        print("[the beginning of your message did not fit and was left out]", file=sys.stderr)


def append_json(record, path):
    """Adds one line to a .jsonl file, in a single write, so that a crash or a second chat can't tear it. Where the disk
    is full it adds nothing: half a line would spoil the next one."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(record, ensure_ascii=False).encode() + b"\n"
    with open(path, "a+b", buffering=0) as f:
        if size := f.tell():
            f.seek(-1, os.SEEK_END)
            line = line if f.read(1) == b"\n" else b"\n" + line  # editors leave files without a last line break
        if f.write(line) < len(line):
            f.truncate(size)
            raise OSError(f"{path}: the disk is full")
        os.fsync(f.fileno())


def pick(conversation, path):
    """Shows two replies and asks for the better one; the pick goes to the preferences file `path`."""
    prompt, talks, choice = conversation.messages, [], ""
    for number in ("1", "2"):
        conversation.messages = list(prompt)
        show(conversation, f"{number}> ")
        talks.append(conversation.messages)
    conversation.messages = list(prompt)  # no reply until one is picked
    replies = [talk[-1]["content"].strip() if len(talk) > len(prompt) else "" for talk in talks]
    if replies[0] == replies[1]:
        print("[the same twice: nothing to pick]")
        choice = "1"
    while choice not in ("1", "2", "b", "s"):
        choice = input("[which is better? 1, 2, b: both bad, s: save nothing and go on] ").strip().lower()
    if choice == "b":
        return print("[both forgotten: /retry, or say something else]")
    conversation.messages = talks[0] if choice == "1" else talks[1]
    chosen, rejected = replies if choice == "1" else replies[::-1]
    if choice != "s" and all(replies) and chosen != rejected:
        append_json({"prompt": prompt, "chosen": chosen, "rejected": rejected}, path)
        print(f"[saved in {path}]")


def answer(text, conversations, args):
    """Has every conversation answer a message of the user."""
    for conversation in conversations:
        conversation.say(text)
    for conversation in conversations:
        if args.ab:
            pick(conversation, args.preferences)
        else:
            show(conversation, f"{conversation.name}> " if len(conversations) > 1 else "")
        if args.stats:
            print(f"[{conversation.stats}]", file=sys.stderr)


def command(line, conversations, args):
    """Carries out a /command."""
    name, *rest = line.split(maxsplit=2)
    if name == "/reset":
        for conversation in conversations:
            conversation.messages = list(conversation.opening)
        print("[a new conversation]")
    elif name == "/undo":
        undone = [conversation.undo() for conversation in conversations]
        print(f"[taken back: {undone[0]}]" if undone[0] else "[nothing to take back]")
    elif name == "/retry":
        if text := [conversation.undo() for conversation in conversations][0]:
            answer(text, conversations, args)
        else:
            print("[nothing to try again]")
    elif name == "/set" and len(rest) == 2 and rest[0] in LIMITS:
        low, high = LIMITS[rest[0]]
        try:
            value = between(low, high)(rest[1])
        except ValueError:
            return print(f"[{rest[0]} is between {low} and {high}{', a whole number' * (type(high) is int)}]")
        for conversation in conversations:
            conversation.settings[rest[0]] = value
        print(f"[{rest[0]} is {value}]")
    elif name == "/set":
        values = ", ".join(f"{key} {value}" for key, value in conversations[0].settings.items())
        print(f"[{values}; change one: /set temperature 0.8]")
    elif name == "/save" and rest:
        path = Path(line.split(maxsplit=1)[1]).expanduser()
        if path.suffix != ".json":
            return print("[a file whose name ends in .json, please: finetune.py tells by it what is inside]")
        write_json([{"messages": conversation.messages} for conversation in conversations], path)
        print(f"[saved in {path}]")
    elif name == "/ab":
        args.ab = not args.ab
        print(f"[two replies to pick from: {'on' if args.ab else 'off'}]")
    elif name == "/stats":
        print("\n".join(f"[{conversation.stats}]" for conversation in conversations))
    else:
        print(HELP)


def readable(text):
    """A type for argparse: bytes of the command line that are no UTF-8 become U+FFFD."""
    return os.fsencode(text).decode("utf-8", "replace")


def main():
    parser = new_parser("Talk to a model in the terminal.", '--prompt "Hi!"')
    add = parser.add_argument
    add("--model", metavar="NAME", help="as for finetune.py (default: the newest run in out/)")
    add("--compare", nargs=2, metavar="MODEL", help="two models; each message is answered by both")
    add("--prompt", metavar="TEXT", type=readable, help="answer this one message and leave")
    add("--system", metavar="TEXT", type=readable, help="a system message before the conversation")
    add("--ab", action="store_true", help="two replies to each message, to pick from")
    add("--preferences", metavar="FILE", default="out/preferences.jsonl", help="where picks go (%(default)s)")
    add("--stats", action="store_true", help="the speed of each reply, on stderr")
    add("--temperature", metavar="X", type=between(*LIMITS["temperature"]), default=0.5,
        help="0: the likeliest token; higher: varied (%(default)s)")
    add("--top_k", metavar="N", type=between(*LIMITS["top_k"]), default=0,
        help="only the k likeliest tokens; 0: all (%(default)s)")
    add("--top_p", metavar="X", type=between(*LIMITS["top_p"]), default=0.9,
        help="only the likeliest that make up this share (%(default)s)")
    add("--max_new_tokens", metavar="N", type=between(*LIMITS["max_new_tokens"]), default=256,
        help="longest reply (%(default)s)")
    add("--seed", metavar="N", type=between(0, 2 ** 60), help="for the same replies every time")
    add("--dtype", metavar="NAME", choices=("float32", "bfloat16", "float16"),
        help="float32, bfloat16, float16 (default: float16 on a GPU)")
    add("--cuda_graph", action="store_true", help="on a GPU: replay each pass from a CUDA graph (not measured)")
    add_common(add)
    args = parser.parse_args()
    args.device = device_of(args.device)
    # found by the clock, so not where the text shall be the same every time
    args.quicken = args.device == "cpu" and args.dtype is None and args.seed is None
    # float16, not bfloat16: GPT-2's logits are far from zero, where bfloat16 has steps of a quarter
    args.dtype = getattr(torch, args.dtype or ("float16" if args.device.startswith("cuda") else "float32"))
    if args.cuda_graph and not args.device.startswith("cuda"):
        raise UserError(f"--cuda_graph needs --device cuda, not {args.device}")
    if args.prompt is not None and not args.prompt.strip():
        raise UserError("--prompt is empty")
    if Path(args.preferences).suffix != ".jsonl":
        raise UserError(f"--preferences {args.preferences}: its name must end in .jsonl: each pick becomes a line")
    args.model = newest_run() if args.model is None else args.model
    conversations = [Conversation(name, args) for name in args.compare or [args.model]]
    for conversation in conversations:
        if not conversation.model.config.template:
            print(f"[{conversation.name} is not fine-tuned and only continues text: finetune.py]", file=sys.stderr)
    if args.prompt is not None:
        return answer(args.prompt.strip(), conversations, args)

    if terminal := sys.stdin.isatty():
        with contextlib.suppress(ImportError):  # Windows has none; its console keeps a history by itself
            import readline  # noqa: F401: from now on input() has arrow keys and a history
        for conversation in conversations:
            print(f"Talking to {conversation.name}. /help for commands, Ctrl-D to leave.")
    while True:
        try:
            line = input("\nyou> " if terminal else "").strip()
            if line.startswith("/"):
                if line.split()[0] in ("/quit", "/exit"):
                    break
                command(line, conversations, args)
            elif line:
                answer(line, conversations, args)
        except EOFError:
            break
        except KeyboardInterrupt:
            print("\n[Ctrl-D or /quit to leave]")
        except (OSError, ValueError, RuntimeError) as error:  # such as a bad file name: no reason to lose the talk
            print(f"[{reason(error)}]")


if __name__ == "__main__":
    gpt2.run(main)
