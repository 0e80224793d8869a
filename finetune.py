"""Supervised fine-tuning: GPT-2 learns to answer, from examples of instructions and dialogues.

    python finetune.py                                       # the small built-in model, offline, a minute or two
    python finetune.py --model gpt2 --data my_records.json   # the real GPT-2 on your own data
    python finetune.py --model gpt2-medium --lora 16         # larger, with a fraction of the memory
    python finetune.py --from_scratch --data text.txt        # pretraining on plain text, in the shape of gpt2-tiny

In reading order: conversations and their templates, reading files, ids and loss mask, batches, the loss, the training
loop (dpo.py uses it too), evaluation, the picture of the loss, flags, the settings and folder of a run, main.
"""
import signal
import sys
if __name__ == "__main__":  # for the seconds that importing torch takes
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # no traceback from Ctrl-C; see gpt2.run
    if sys.stderr and sys.stderr.isatty():
        print("importing torch ...", end="\r", file=sys.stderr, flush=True)
import argparse
import collections
import contextlib
import csv
import datetime
import gzip
import itertools
import json
import math
import os
import random
import re
import shlex
import time
import timeit
from pathlib import Path

import gpt2  # before torch: it silences torch's complaint about a missing NumPy
from gpt2 import RANK, WORLD_SIZE, UserError, printable, reason, status
import torch
import torch.nn.functional as F
from torch.nn.utils.rnn import pad_sequence

# ---- Conversations: lists of {"role": "user" | "assistant" | "system", "content": str} ------------------------------

INPUT = "\n\n### Input:\n"  # between the instruction and the input of an Alpaca record, inside one user message
PREAMBLE = "Below is an instruction that describes a task. Write a response that appropriately completes the request."
PREAMBLE_INPUT = PREAMBLE.replace("task.", "task, paired with an input that provides further context.")


def encode_messages(messages, tokenizer, template):
    """[(ids, learned)]: what stands before the first turn (it can be empty), then each turn; learned has a bool per id.

    Learned is what an assistant says and the <|endoftext|> after it, nothing else. Ids and mask are made together,
    and each piece of text is encoded by itself, so that training and chat give the same ids for the same words.
    """
    system, turns = None, messages
    if messages and messages[0]["role"] == "system":
        system, turns = messages[0]["content"], messages[1:]
    if template == "chat":  # <|user|>Hi<|assistant|>Hello!<|endoftext|>
        headings = {role: [tokenizer.special[f"<|{role}|>"]] for role in ("user", "assistant", "system")}
        opening = headings["system"] + tokenizer.encode(system) if system else []
    else:  # the text of Stanford's Alpaca; a system message takes the place of its first lines
        headings = {"user": tokenizer.encode("\n\n### Instruction:\n"),
                    "assistant": tokenizer.encode("\n\n### Response:\n")}
        with_input = turns and INPUT in turns[0]["content"]
        opening = tokenizer.encode(system or (PREAMBLE_INPUT if with_input else PREAMBLE))
    encoded = [(opening, [False] * len(opening))]
    for turn in turns:
        heading, answer = headings[turn["role"]], turn["role"] == "assistant"
        text = turn["content"].replace(INPUT, "\n\n") if template == "chat" else turn["content"]
        body = tokenizer.encode(text) + ([tokenizer.eot] if answer else [])
        encoded.append((heading + body, [False] * len(heading) + [answer] * len(body)))
    return encoded


def fit(encoded, max_len):
    """Joins encoded turns into (ids, learned) of at most max_len: the oldest exchanges are dropped first, then the
    beginning of what is left, so that the last answer keeps its end. Third value: how many turns were dropped."""
    opening, *turns = encoded
    kept, room = list(turns), max_len - sum(len(ids) for ids, _ in encoded)
    while len(kept) > 2 and room < 0:  # an exchange goes; if the assistant began (an odd count), its line alone
        for _ in range(2 - len(kept) % 2):
            room += len(kept.pop(0)[0])
    ids = [id for part, _ in (opening, *kept) for id in part]
    learned = [bit for _, part in (opening, *kept) for bit in part]
    return ids[-max_len:], learned[-max_len:], len(turns) - len(kept)


def encode_conversation(messages, tokenizer, template, max_len, learn="answers"):
    """A conversation as (ids, targets), lists of at most max_len: targets[t] is the id that follows ids[t] where it is
    to be learned, else -100, which cross_entropy ignores. Learned are all answers, the "last" one, or "all" ids."""
    encoded = encode_messages(messages, tokenizer, template)
    if learn == "last":
        encoded[:-1] = [(ids, [False] * len(ids)) for ids, _ in encoded[:-1]]
    elif learn == "all":
        encoded = [(ids, [True] * len(ids)) for ids, _ in encoded]
    ids, learned, _ = fit(encoded, max_len + 1)
    return ids[:-1], [id if bit else -100 for id, bit in zip(ids[1:], learned[1:])]


def encode_prompt(messages, tokenizer, template, max_len):
    """The ids after which the model says the next assistant message, and how many old turns did not fit."""
    encoded = encode_messages([*messages, {"role": "assistant", "content": ""}], tokenizer, template)
    heading = encoded[-1][0][:-1]  # of the empty answer: all but its <|endoftext|>
    ids, _, dropped = fit([*encoded[:-1], (heading, [False] * len(heading))], max_len)
    return ids, dropped


# ---- Reading files. Each format is a function that turns one record into messages. ----------------------------------


def as_text(field, value):
    """The value of a field of a record, where it is a text."""
    if not isinstance(value, str):
        raise ValueError(f"field {field!r} is {json.dumps(value)[:60]}, not a text")
    return value


def from_alpaca(record):
    answer = "response" if "response" in record else "output"
    asked, given = as_text("instruction", record["instruction"]), as_text("input", record.get("input") or "").strip()
    return [("user", asked + (INPUT + given if given else "")), ("assistant", as_text(answer, record[answer]))]


def turns_of(messages, field="messages"):
    """(role, text) pairs of a list of messages in OpenAI's words (role, content) or ShareGPT's (from, value)."""
    if not isinstance(messages, list) or not all(isinstance(m, dict) for m in messages):
        raise ValueError(f"field {field!r} is {json.dumps(messages)[:60]}, not a list of messages")
    return [tuple(as_text(name, m[name]) for name in (("from", "value") if "from" in m else ("role", "content")))
            for m in messages]


def from_two_people(record):
    """Who speaks first is the user: {"Alex": "Hi!", "Bob": "Hello.", "Alex": "How are you?"}."""
    record = record.items() if isinstance(record, dict) else record
    names = list(dict.fromkeys(name for name, _ in record))
    if len(names) != 2:
        raise ValueError(f"a conversation by name has two people, not {len(names)}: {json.dumps(names)[:60]}")
    if known := {*FORMATS, "chosen"} & {*names}:
        raise ValueError(f"field {min(known)!r} in a record with repeated fields")
    return [(("user", "assistant")[names.index(name)], as_text(name, text)) for name, text in record]


FORMATS = {  # the field that tells it: (name, reader)
    "instruction": ("Alpaca records", from_alpaca),
    "messages": ("OpenAI messages", lambda record: turns_of(record["messages"])),
    "conversations": ("ShareGPT conversations", lambda record: turns_of(record["conversations"], "conversations")),
}
ROLE_ALIASES = {"human": "user", "prompter": "user", "gpt": "assistant", "bot": "assistant", "model": "assistant"}


def tidy(turns):
    """Messages from (role, text) pairs: roles by one name each, spaces around the text cut, neighbours of one role
    joined, and what no assistant answers cut from the end. [] where no assistant says anything, or a text is empty."""
    messages = []
    for role, text in turns:
        role = ROLE_ALIASES.get(role, role)
        if role not in ("user", "assistant", "system") or (role == "system" and messages):
            raise ValueError(f"role {role!r}: user and assistant are known, and system in the first place")
        text = text.strip().encode("utf-8", "replace").decode()  # half an emoji can't be printed or saved
        if not text and role == "system":
            continue
        if not text:
            return []
        if messages and messages[-1]["role"] == role:
            messages[-1]["content"] += "\n" + text
        else:
            messages.append({"role": role, "content": text})
    while messages and messages[-1]["role"] != "assistant":
        messages.pop()
    return messages


def keep_repeated(pairs):
    """For json: a dict, or the tuple of its (key, value) pairs where a key repeats, which a dict would lose."""
    return dict(pairs) if len({key for key, _ in pairs}) == len(pairs) else tuple(pairs)


def read_records(path, read, useless):
    """What `read` makes of each record of a .json list, or of .jsonl with one record a line; either may end in .gz.
    Records of which it makes None are left out, and counted on the screen as `useless`."""
    path, found = Path(path), []
    where = path  # for errors
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8-sig") as f:
            if ".jsonl" in path.suffixes:
                for i, line in enumerate(f, 1):
                    where = f"{path} line {i}"
                    if line.strip():
                        found.append(read(json.loads(line, object_pairs_hook=keep_repeated)))
            else:
                records = json.load(f, object_pairs_hook=keep_repeated)
                if not isinstance(records, list):
                    raise ValueError("not a list of records; one record a line is for a file named .jsonl")
                for i, record in enumerate(records, 1):
                    where = f"{path} record {i}"
                    found.append(read(record))
    except (OSError, EOFError, UnicodeDecodeError, gzip.zlib.error) as error:
        raise UserError(f"{path} can't be read: {reason(error)}") from None
    except json.JSONDecodeError as error:
        raise UserError(f"{where} is not JSON: {error}") from None
    except KeyError as error:
        raise UserError(f"{where}: field {error} is missing") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: {reason(error)}") from None
    kept = [item for item in found if item is not None]
    if len(kept) < len(found):
        print(f"{path}: {len(found) - len(kept)} {useless} are left out")
    if not kept:
        raise UserError(f"{path} holds no record to learn from")
    return kept


def conversation_of(record):
    """(name of the format, messages) of a record; None where `tidy` leaves nothing of it."""
    if not isinstance(record, (dict, tuple)):
        raise ValueError(f"a record has {', '.join(FORMATS)} or two names, this is {json.dumps(record)[:60]}")
    key = next((key for key in FORMATS if key in record), None)
    if key is None and "chosen" in record:
        raise ValueError("a preference pair is for dpo.py")
    name, reader = FORMATS[key] if key else ("two people by name", from_two_people)
    messages = tidy(reader(record))
    return (name, messages) if messages else None


def read_file(path):
    """(names of the formats, list of conversations) of a file."""
    found = read_records(path, conversation_of, "records without an answer, or with an empty message,")
    return " and ".join(dict.fromkeys(name for name, _ in found)), [messages for _, messages in found]


def read_conversations(path):
    """The conversations of a file as lists of {"role", "content"}; the format is told by the keys of each record."""
    return read_file(path)[1]


def read_documents(path):
    """The documents of a plain text file, which are separated by <|endoftext|>."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} can't be read: {reason(error)}") from None
    documents = [document.strip() for document in text.split(gpt2.EOT) if document.strip()]
    if not documents:
        raise UserError(f"{path} holds no text")
    if len(documents) == 1:  # one long text: about a hundred stretches of it, so that some can be held out
        lines = documents[0].splitlines(keepends=True)
        size = math.ceil(len(lines) / 100)
        documents = ["".join(lines[i:i + size]) for i in range(0, len(lines), size)]
    return documents


# ---- Examples: pairs (ids, targets) of int32 tensors ----------------------------------------------------------------


def encode_all(conversations, tokenizer, template, max_len, learn="answers"):
    """The examples of conversations, without those that have nothing to learn, which are counted on the screen."""
    examples = []
    for i, messages in enumerate(conversations, 1):
        ids, targets = encode_conversation(messages, tokenizer, template, max_len, learn)
        if any(target != -100 for target in targets):
            examples.append((torch.tensor(ids, dtype=torch.int32), torch.tensor(targets, dtype=torch.int32)))
        if i % 1000 == 0:
            status(f"encoding: {i:,} of {len(conversations):,} conversations")
    status()
    if len(examples) < len(conversations):
        print(f"{len(conversations) - len(examples)} conversations with nothing to learn in {max_len} tokens: left out")
    return examples


def encode_documents(documents, tokenizer, max_len):
    """Plain text as examples: the documents one after another, cut into pieces of max_len; every id is learned."""
    if not documents:
        return []
    pieces = [torch.tensor([tokenizer.eot], dtype=torch.int32)]
    for i, text in enumerate(documents, 1):
        pieces.append(torch.tensor(tokenizer.encode(text) + [tokenizer.eot], dtype=torch.int32))
        if i % 1000 == 0:
            status(f"encoding: {i:,} of {len(documents):,} documents")
    status()
    ids = torch.cat(pieces)
    return list(zip(ids[:-1].split(max_len), ids[1:].split(max_len)))


def split(items, fractions, seed):
    """Shuffles and cuts into training, validation and test parts, such as (0.85, 0.10, 0.05); with two fractions the
    validation part is the test part too. Each part gets at least one item, where there are that many."""
    items = random.Random(seed).sample(items, len(items))
    if len(items) < len(fractions):
        return items, items, items
    cuts = [max(1, round(len(items) * fraction / sum(fractions))) for fraction in fractions[1:]]
    while sum(cuts) >= len(items):  # one is left to train on
        cuts[cuts.index(max(cuts))] -= 1
    train = len(items) - sum(cuts)
    return items[:train], items[train:train + cuts[0]], items[-cuts[-1]:]


def make_batches(lengths, size, seed, epoch):
    """Shuffled lists of `size` indices; those in a list have similar lengths, so that padding is a few per cent."""
    rng = random.Random(f"{seed} {epoch}")
    order = rng.sample(range(len(lengths)), len(lengths))
    pools = [sorted(order[i:i + 50 * size], key=lambda j: lengths[j]) for i in range(0, len(order), 50 * size)]
    batches = [pool[i:i + size] for pool in pools for i in range(0, len(pool), size)]
    return rng.sample(batches, len(batches))


def collate(batch):
    """A list of (ids, targets) as two int64 tensors (B, T), T the longest. Padding is on the right, where a causal
    model never sees it, and its target is -100; that a real <|endoftext|> has the same id does not matter."""
    ids, targets = ([torch.as_tensor(items) for items in column] for column in zip(*batch))
    return (pad_sequence(ids, batch_first=True).long(),
            pad_sequence(targets, batch_first=True, padding_value=-100).long())


# ---- The loss -------------------------------------------------------------------------------------------------------


def token_losses(model, ids, targets):
    """Cross-entropy in nats of every position that has a target: (N,), in reading order.

    Only those go through the head, which is a third of the arithmetic and, at 50,000 logits each, most of the memory.
    """
    learned = targets != -100  # (B, T)
    logits = model.head(model.hidden(ids)[learned])  # (N, V)
    return F.cross_entropy(logits.float(), targets[learned], reduction="none")


def sft_loss(model, batch):
    """Summed loss over the answers of a batch, and no further figures."""
    return token_losses(model, *batch).sum(), {}


@torch.no_grad()
def example_losses(model, examples, batch_size=16):
    """For each example the summed loss in nats (float64) and the number of learned tokens: two tensors (N,)."""
    sums, counts = torch.zeros(len(examples), dtype=torch.float64), torch.zeros(len(examples), dtype=torch.int64)
    device = model.wte.weight.device
    for indices in gpt2.by_length([len(ids) for ids, _ in examples], batch_size, "evaluating"):
        ids, targets = collate([examples[j] for j in indices])
        counts[indices] = (targets != -100).sum(1)
        losses = token_losses(model, ids.to(device), targets.to(device)).cpu().double()  # (N,), example after example
        sums[indices] = torch.stack([own.sum() for own in losses.split(counts[indices].tolist())])
    return sums, counts


# ---- The training loop ----------------------------------------------------------------------------------------------


def autocast(device, dtype):
    """Inside, arithmetic in bfloat16 where that is the dtype; the weights stay float32."""
    return torch.autocast(device.split(":")[0], dtype=torch.bfloat16, enabled=dtype == torch.bfloat16)


def learning_rate(step, steps, peak, warmup):
    """Rises over `warmup` steps, as the first gradients are wild, then falls, half a cosine, to a tenth of the peak."""
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * (0.55 + 0.45 * math.cos(math.pi * (step - warmup) / (steps - warmup)))


@contextlib.contextmanager
def until_signal():
    """Yields a list that Ctrl-C or SIGTERM puts itself in, so that a step is finished and saved first; the second
    Ctrl-C is an ordinary one."""
    came = []
    def note(number, _):
        came.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)
    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


COLUMNS = ("step", "epoch", "tokens", "seconds", "loss", "lr", "val_loss")  # tokens: real ones; seconds: of training
PANELS = ("loss", "accuracy", "margin")  # what loss.svg shows, of the figures that there are


def describe(row, steps):
    """A row of log.csv for the eye: where the run is and, after an evaluation, what it found."""
    parts = [f"step {row['step']}/{steps}"]
    if row["step"]:
        left = round(row["seconds"] / row["step"] * (steps - row["step"]))
        parts += [f"loss {row['loss']:.4f}", f"lr {row['lr']:.1e}", f"{row['tokens'] / row['seconds']:,.0f} tok/s",
                  f"{left // 60}m{left % 60:02d}s left"]
    found = [f"{name} {value:.4g}" for name, value in row.items() if name.startswith("val_")]
    lines = [" | ".join(parts + found[:1])]
    lines += [", ".join(found[i:i + 4]) for i in range(1, len(found), 4)]
    return "\n    ".join(lines)


def read_tensors(path, *names):
    """What write_tensors wrote under these names; nothing is unpickled but tensors and plain values."""
    try:
        values = torch.load(path, map_location="cpu", weights_only=True)
        return [values[name] for name in names]
    except Exception as error:  # a damaged file fails in many ways
        found = reason(error) if isinstance(error, OSError) else "it is damaged"
        raise UserError(f"nothing to resume, {path} can't be read ({found}): leave out --resume") from None


def write_tensors(path, **values):
    """Tensors and plain values by name, in PyTorch's format."""
    status(f"saving {path}")
    try:
        with gpt2.atomic_write(path, "wb") as f:
            torch.save(values, f)
    except RuntimeError as error:  # torch's complaint about a full disk hides the system's
        raise error.__context__ if isinstance(error.__context__, OSError) else error
    status()


def start_wandb(args):
    try:
        import wandb
    except ImportError:
        raise UserError("--wandb needs a package of its own: pip install wandb") from None
    wandb.init(project="gpt2-chat", name=Path(args.out).name, config={k: str(v) for k, v in vars(args).items()})
    return wandb


def backward(model, examples, count, collate_fn, loss_fn, args):
    """Adds up the gradients of the mean loss over examples, args.batch_size of them at a time; returns that loss and
    the means of the further figures: means over all `count` terms of a step, never over those of one batch."""
    loss, figures = 0.0, collections.Counter()
    for i in range(0, len(examples), args.batch_size):
        batch = [t.to(args.device) for t in collate_fn(examples[i:i + args.batch_size])]
        with autocast(args.device, args.compute):
            summed, extra = loss_fn(model, batch)
        (summed / count).backward()  # adds to each p.grad how this loss changes with p
        loss += summed.item() / count
        figures.update({name: value / count for name, value in extra.items()})
    return loss, figures


def add_up(params, numbers, device):
    """Sums over all processes: the gradients in place, and a list of numbers, which is returned. A process may come
    without gradients, having had nothing to do; that is why this is not DistributedDataParallel."""
    for p in params:
        p.grad = torch.zeros_like(p) if p.grad is None else p.grad
    numbers = torch.tensor(numbers, dtype=torch.float32, device=device)
    for work in [torch.distributed.all_reduce(t, async_op=True) for t in (*(p.grad for p in params), numbers)]:
        work.wait()
    return numbers.tolist()


def make_optimizer(params, args):
    """AdamW (Loshchilov and Hutter, 2019); the weights of matrices decay, biases and layer norms do not."""
    groups = [{"params": [p for p in params if p.dim() >= 2], "weight_decay": args.weight_decay},
              {"params": [p for p in params if p.dim() < 2], "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=args.lr, betas=(0.9, 0.95), fused=args.device.startswith(("cpu", "cuda")))


def train(model, examples, lengths, counts, collate_fn, loss_fn, evaluate, save_best, args, figures=()):
    """Trains the parameters that require gradients; returns the rows of log.csv, a dict for each step.

    examples    what collate_fn makes batches of; lengths and counts hold a number for each: its tokens, and its terms
                in the mean loss (the learned tokens in SFT, 1 for a pair in DPO)
    loss_fn     (model, batch) -> (summed loss, {name: sum} of further `figures`)
    evaluate    model -> {"val_loss": ..., further figures}
    save_best   called at the start, and whenever val_loss is lower than ever before
    args        epochs, lr, batch_size, grad_accum, ...: see add_flags

    With args.resume it goes on from args.out/training_state.pt, on the CPU to exactly the same weights. Started by
    torchrun, N processes share each step: the same as one process with N times the batch size.
    """
    out = Path(args.out)
    params = [p for p in model.parameters() if p.requires_grad]
    optimizer = make_optimizer(params, args)
    # wte is embedding and head in one. Its gradient is the head's, (V, C), plus a row for each id of the batch: kept
    # sparse, these rows need no second (V, C), 0.15 GB for GPT-2, and a step is 2% shorter. Tried on CPUs only.
    model.wte.sparse = args.device == "cpu"
    size = args.batch_size * args.grad_accum * WORLD_SIZE
    per_epoch = math.ceil(len(examples) / size)
    steps = math.ceil(args.epochs * per_epoch)
    warmup = min(100, math.ceil(steps / 20))
    eval_every = args.eval_every or math.ceil(steps / 10)
    # With --lora only A and B are saved in the state; this sum is what tells another base model
    frozen = sum(p.detach().cpu().double().sum().item() for p in model.parameters() if not p.requires_grad)
    fingerprint = [len(examples), sum(lengths), sum(counts), sum(p.numel() for p in params), size, f"{frozen:.6g}"]

    def save_state():
        write_tensors(out / "training_state.pt", rows=rows, args=vars(args), fingerprint=fingerprint,
                      params={name: p.detach() for name, p in model.named_parameters() if p.requires_grad},
                      optimizer=optimizer.state_dict(), rng=torch.get_rng_state())

    if args.resume:
        kept, rows, values, moments, rng = read_tensors(
            out / "training_state.pt", "fingerprint", "rows", "params", "optimizer", "rng")
        if kept != fingerprint:
            raise UserError(f"the data, model or number of processes is not what the run in {out} was started with")
        model.load_state_dict(values, strict=False)  # with --lora there are values of A and B only
        optimizer.load_state_dict(moments)
        torch.set_rng_state(rng)
    else:
        rows = [dict(step=0, epoch=0, tokens=0, seconds=0, lr=0, **evaluate(model.eval()))]
        save_best()  # the model as it is: from now on the run folder can always be loaded
        print(describe(rows[0], steps), flush=True)
        save_state()

    wandb = start_wandb(args) if args.wandb and RANK == 0 else None
    columns = (*COLUMNS, *figures, *(name for name in rows[0] if name not in COLUMNS))
    batches = None
    model.train()
    with until_signal() as signals, open(os.devnull if RANK else out / "log.csv", "w", newline="") as f:
        log = csv.DictWriter(f, columns, lineterminator="\n")
        log.writeheader()
        log.writerows(rows)  # of a run that was killed, without the steps it took after its last save
        for step in range(len(rows), steps + 1):  # rows[0] is the model before step 1
            start = time.perf_counter()
            epoch, i = divmod(step - 1, per_epoch)
            if batches is None or i == 0:
                batches = make_batches(lengths, size, args.seed, epoch)
            indices = batches[i]
            lr = learning_rate(step - 1, steps, args.lr, warmup)
            for group in optimizer.param_groups:
                group["lr"] = lr
            # this process's share of the examples, but the count of all: the shares add up to the mean
            loss, means = backward(model, [examples[j] for j in indices[RANK::WORLD_SIZE]],
                                   sum(counts[j] for j in indices), collate_fn, loss_fn, args)
            stop = bool(signals)  # looked at once a step, so that all processes stop at the same one, and it is saved
            if WORLD_SIZE > 1:
                numbers = [loss, stop, *(means[name] for name in figures)]
                loss, stop, *numbers = add_up(params, numbers, args.device)
                means = dict(zip(figures, numbers))
            norm = torch.nn.utils.clip_grad_norm_(params, args.clip).item()  # so no odd batch can do harm
            if not (math.isfinite(loss) and math.isfinite(norm)):
                raise UserError(f"loss {loss} and gradient norm {norm} at step {step}: a lower --lr than "
                                f"{args.lr:g} may help. The best model so far is in {out}")
            optimizer.step()  # every parameter a little against its gradient
            optimizer.zero_grad()  # backward adds to what is there
            row = dict(step=step, epoch=step / per_epoch, tokens=rows[-1]["tokens"] + sum(lengths[j] for j in indices),
                       seconds=rows[-1]["seconds"] + time.perf_counter() - start, loss=loss, lr=lr, **means)
            if step % eval_every == 0 or step == steps:
                row.update(evaluate(model.eval()))
                model.train()
                status()
                print(describe(row, steps), flush=True)
                if row["val_loss"] < min(old["val_loss"] for old in rows if "val_loss" in old):
                    save_best()
            rows.append(row)
            log.writerow(row)
            f.flush()
            if wandb:
                wandb.log(row)
            if "val_loss" in row or stop:
                save_state()
                draw(rows, out / "loss.svg", [name for name in PANELS if name in row])
            else:
                status(describe(row, steps))
            if stop:
                break
    status()
    if WORLD_SIZE > 1:
        torch.distributed.destroy_process_group()
    step = rows[-1]["step"]
    if step < steps or signals:
        start = f"torchrun --nproc_per_node={WORLD_SIZE}" if WORLD_SIZE > 1 else "python"
        command = f"{start} {shlex.quote(sys.argv[0])} --resume --out {shlex.quote(str(out))}"
        print(f"Stopped at step {step} of {steps}. Go on with: {command}")
        raise KeyboardInterrupt  # of which gpt2.run makes exit code 130
    return rows


# ---- Evaluation on held-out conversations ---------------------------------------------------------------------------


def perplexity(sums, counts):
    return math.exp(min(sums.sum().item() / max(1, counts.sum().item()), 700))  # exp(710) is too large for a float


def context_retention(model, conversations, encode, limit=200):
    """Perplexity of later answers with the true history, and with the history removed: {} where no answer is later."""
    turns = [messages[:i + 1] for messages in conversations for i, turn in enumerate(messages)
             if turn["role"] == "assistant" and any(m["role"] == "assistant" for m in messages[:i])][:limit]
    if not turns:
        return {}
    alone = [[m for m in messages[:1] if m["role"] == "system"] + messages[-2:] for messages in turns]
    return {"perplexity_with_history": perplexity(*example_losses(model, [encode(m) for m in turns])),
            "perplexity_without_history": perplexity(*example_losses(model, [encode(m) for m in alone]))}


def response_coherence(model, conversations, encode, seed, limit=100):
    """How often the true last answer is likelier per token than three answers taken from other conversations.
    Chance is 0.25; {} where there are fewer than four different answers."""
    answers = sorted({messages[-1]["content"] for messages in conversations})
    if len(answers) < 4:
        return {}
    rng, examples = random.Random(seed), []
    for messages in conversations[:limit]:
        others = rng.sample([text for text in answers if text != messages[-1]["content"]], 3)
        examples += [encode([*messages[:-1], {"role": "assistant", "content": text}])
                     for text in (messages[-1]["content"], *others)]
    sums, counts = example_losses(model, examples)
    losses = (sums / counts).view(-1, 4)  # a row for each conversation, the true answer first
    return {"coherence": (losses.argmin(1) == 0).double().mean().item()}


def rouge_l(answer, reference):
    """F-measure of the longest common subsequence of words (Lin, 2004, equation 4 with beta 1)."""
    a, b = (re.findall(r"\w+", text.lower()) for text in (answer, reference))
    row = [0] * (len(b) + 1)
    for word in a:
        previous = row[:]
        for j, other in enumerate(b, 1):
            row[j] = previous[j - 1] + 1 if word == other else max(previous[j], row[j - 1])
    return 2 * row[-1] / (len(a) + len(b)) if a and b else float(a == b)


def repetition(ids):
    """The share of 4-grams that stood in the same answer before."""
    grams = [tuple(ids[i:i + 4]) for i in range(len(ids) - 3)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def answer_prompts(model, tokenizer, prompts, template):
    """The model's greedy answers to prompts (lists of messages): a list of (text, ids, whether it ended by itself)."""
    context = model.config.n_positions
    max_new_tokens = min(120, context // 2)
    ids = [encode_prompt(messages, tokenizer, template, context - max_new_tokens)[0] for messages in prompts]
    answers = gpt2.generate_batch(model, ids, max_new_tokens, stop=tuple(tokenizer.special.values()))
    return [(tokenizer.decode(answer).strip(), answer, len(answer) < max_new_tokens) for answer in answers]


def evaluate_chat(model, tokenizer, conversations, template, args):
    """The figures of eval.json and the list of responses.json, on conversations that were not trained on."""
    def encode(messages):
        return encode_conversation(messages, tokenizer, template, args.max_len, "last")
    sums, counts = example_losses(model, encode_all(conversations, tokenizer, template, args.max_len))
    figures = {"conversations": len(conversations), "answer_tokens": int(counts.sum()),
               "loss": sums.sum().item() / max(1, counts.sum().item()), "perplexity": perplexity(sums, counts)}
    figures |= context_retention(model, conversations, encode)
    figures |= response_coherence(model, conversations, encode, args.seed)
    shown = conversations[:args.eval_prompts]
    answers = answer_prompts(model, tokenizer, [messages[:-1] for messages in shown], template)
    responses = [{"prompt": messages[:-1], "reference": messages[-1]["content"], "model": text}
                 for messages, (text, _, _) in zip(shown, answers)]
    if responses:
        figures |= {"generated": len(answers), "ended_by_itself": sum(ended for _, _, ended in answers) / len(answers),
                    "repetition": sum(repetition(ids) for _, ids, _ in answers) / len(answers),
                    "rouge_l": sum(rouge_l(r["model"], r["reference"]) for r in responses) / len(responses)}
    return figures, responses


# ---- The picture of the loss ----------------------------------------------------------------------------------------


def draw(rows, path, names):
    """Writes an SVG picture of rows of log.csv: for each name a panel with its training and its validation curve."""
    width, height, parts = 720, 260, []
    for number, name in enumerate(names):
        curves = [[(row["step"], row[column]) for row in rows if row.get(column) is not None]
                  for column in (name, "val_" + name)]
        points = curves[0] + curves[1]
        if not points:
            continue
        last = max(x for x, _ in points) or 1
        low, high = min(y for _, y in points), max(y for _, y in points)
        high += (high == low)
        def place(x, y):
            return f"{60 + x / last * (width - 80):.1f},{20 + (high - y) / (high - low) * (height - 60):.1f}"
        parts.append(f'<g transform="translate(0 {number * height})">')
        for i in range(5):
            x, y = last * i / 4, low + (high - low) * i / 4
            right, down = place(x, y).split(",")
            parts.append(f'<path d="M60 {down}H{width - 20}" stroke="#e9ecef"/>'
                         f'<text x="52" y="{down}" dy="4" text-anchor="end">{y:.3g}</text>'
                         f'<text x="{right}" y="{height - 20}" text-anchor="middle">{x:,.0f}</text>')
        for i, (label, color, curve) in enumerate(zip(("training", "validation"), ("#9aa5b1", "#d9480f"), curves)):
            n = max(1, len(curve) // 100)  # a step's loss is noisy: show the mean of its hundredth of the run
            groups = [curve[j:j + n] for j in range(0, len(curve), n)]
            line = " ".join(place(group[0][0], sum(y for _, y in group) / len(group)) for group in groups)
            value = f"{curve[-1][1]:.3g}" if curve else ""
            parts.append(f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2"/>'
                         f'<text x="{width - 24}" y="{32 + 18 * i}" text-anchor="end" fill="{color}">'
                         f'{label} {name} {value}</text>')
        parts.append("</g>")
    with gpt2.atomic_write(path) as f:
        f.write(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height * len(names)}" '
                f'font-family="sans-serif" font-size="12" fill="#495057">'
                f'<rect width="100%" height="100%" fill="#fff"/>{"".join(parts)}</svg>\n')


# ---- Flags ----------------------------------------------------------------------------------------------------------


def between(low, high):
    """A type for argparse: a number from low to high, a whole one where high is."""
    kind = type(high)
    def convert(text):
        if not low <= (number := kind(text)) <= high:
            raise ValueError
        return number
    convert.__name__ = f"{kind.__name__} from {low} to {high}"  # argparse prints it: "invalid int from 1 to 9 value"
    return convert


COUNT, POSITIVE = between(1, 10 ** 6), between(1e-38, 1e38)  # what a float32 holds


def shares(text):
    """A type for argparse: "85/10/5" or "80/20" as a tuple of numbers."""
    parts = tuple(POSITIVE(part) for part in text.split("/"))
    if len(parts) not in (2, 3):
        raise ValueError
    return parts


def new_parser(description, example):
    """A parser whose help fits a screen: a line for each flag, where it is 100 columns wide."""
    parser = argparse.ArgumentParser(
        usage=f"python %(prog)s [flags], such as: python %(prog)s {example}", description=description, add_help=False,
        formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=30))
    def error(message):
        raise UserError(f"{message} (--help lists the flags)")
    parser.error = error
    return parser


def add_common(add):
    """The flags of every script."""
    add("--device", metavar="NAME", help="cpu, cuda, cuda:1, mps (default: cuda where there is one)")
    add("-h", "--help", action="help", help="these lines")


def add_flags(parser, weight_decay):
    """The flags that training takes, here and in dpo.py. None: chosen in main to suit the model and the data."""
    add = parser.add_argument_group("training").add_argument
    add("--epochs", metavar="X", type=between(1e-38, 1e6),
        help="passes over the data, or 0.5 of one (default: suits its size)")
    add("--lr", metavar="X", type=POSITIVE, help="peak learning rate (default: suits the model)")
    add("--batch_size", metavar="N", type=COUNT, default=8,
        help="examples computed at once; lower it to save memory (%(default)s)")
    add("--grad_accum", metavar="N", type=COUNT, default=1,
        help="batches added up before a step, like a larger batch (%(default)s)")
    add("--max_len", metavar="N", type=COUNT, default=512,
        help="tokens an example may have; older turns are cut (%(default)s)")
    add("--lora", metavar="RANK", type=COUNT, help="train low-rank adapters of this rank, not all weights")
    add("--dropout", metavar="X", type=between(0, 0.99), default=0.0, help="share of the activations (%(default)s)")
    add("--weight_decay", metavar="X", type=between(0, 1e6), default=weight_decay,
        help="of AdamW, on matrices only (%(default)s)")
    add("--clip", metavar="X", type=POSITIVE, default=1.0, help="largest norm of the gradient (%(default)s)")
    add("--eval_every", metavar="N", type=COUNT, help="steps between evaluations (default: ten a run)")
    add("--eval_prompts", metavar="N", type=between(0, 10 ** 6), default=50,
        help="held-out prompts to answer at the end (%(default)s)")
    add("--split", metavar="A/B/C", type=shares, default=(85, 10, 5),
        help="train/validation/test, or train/held-out (85/10/5)")
    add = parser.add_argument_group("the run").add_argument
    add("--resume", action="store_true", help="go on with the interrupted run in --out, with its settings")
    add("--seed", metavar="N", type=between(0, 2 ** 60), default=0, help="of split, order and samples (%(default)s)")
    add("--dtype", metavar="NAME", choices=("auto", "float32", "bfloat16"), default="auto",
        help="float32, bfloat16, auto: the faster one (%(default)s)")
    add("--compile", action="store_true", help="torch.compile: slow start, faster steps")
    add("--wandb", action="store_true", help="log to Weights & Biases too (pip install wandb)")
    add_common(add)


# ---- A run: its settings, its data, its folder, and what it shows ---------------------------------------------------

DATA = Path(__file__).resolve().parent / "data"


def newest_run(without=""):
    """The folder under out/ whose model was written last, of those that lack the file `without`; else gpt2-tiny."""
    runs = sorted(Path("out").glob("*/model.safetensors"), key=lambda path: path.stat().st_mtime)
    folders = [path.parent for path in runs if not (without and (path.parent / without).exists())]
    return str(folders[-1]) if folders else "gpt2-tiny"


def device_of(name):
    """The device of that name, tried out; None is cuda where there is one."""
    name = ("cuda" if torch.cuda.is_available() else "cpu") if name is None else name
    try:
        torch.zeros(1, device=name).item()
    except (RuntimeError, AssertionError, ImportError) as error:
        raise UserError(f"--device {name} can't be used: {str(error).splitlines()[0]}") from None
    return name


def fast_dtype(device):
    """bfloat16 where the machine multiplies matrices really faster with it, else float32: found by trying."""
    if device.startswith("cuda"):
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    def seconds(dtype):
        a = torch.ones(512, 512, dtype=dtype, device=device)
        return min(timeit.repeat(lambda: a @ a, number=5, repeat=2))  # the first of two times is slower
    faster = device == "cpu" and 1.3 * seconds(torch.bfloat16) < seconds(torch.float32)
    return torch.bfloat16 if faster else torch.float32


def start_run(args):
    """Checks and completes the settings; with --resume they are those of the run."""
    if args.resume:
        [saved] = read_tensors(Path(args.out) / "training_state.pt", "args")
        if args.device and args.device != saved["device"]:
            saved["device"] = args.device
            del saved["compute"]  # it was chosen for the other device
        vars(args).update(saved, out=args.out, resume=True)
    args.device = device_of(args.device)
    torch.manual_seed(args.seed)
    if "compute" not in args:
        args.compute = fast_dtype(args.device) if args.dtype == "auto" else getattr(torch, args.dtype)
    if WORLD_SIZE > 1:
        if cuda := args.device.startswith("cuda"):
            args.device = device_of(f"cuda:{os.environ['LOCAL_RANK']}")
            torch.cuda.set_device(args.device)
        torch.distributed.init_process_group("nccl" if cuda else "gloo", timeout=datetime.timedelta(hours=2))
        compute = [args.compute]  # each process has tried for itself: what the first one found holds for all
        torch.distributed.broadcast_object_list(compute)
        [args.compute] = compute


def read_parts(paths, read, fractions, seed):
    """The training, validation and test part of all files together, and the set of what they hold: read(path) gives
    (what it holds, list of items)."""
    parts, names = ([], [], []), set()
    for path in paths:
        name, items = read(path)
        names.add(name)
        print(f"{path}: {len(items):,} {name}")
        for part, piece in zip(parts, split(items, fractions, seed)):
            part += piece
        if len(items) < len(fractions):
            print("  too few to hold any out: they are trained on, validated on and tested on alike")
    for part in parts:  # the files mixed, so that the first few stand for all of them
        random.Random(seed).shuffle(part)
    return parts, names


def claim(folder):
    """A file that keeps other runs out of the folder while it is open: two in one would spoil each other."""
    lock = open(folder / ".lock", "w")
    with contextlib.suppress(ImportError):  # Windows has no flock
        import fcntl
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"--out {folder}: another run is writing there, name another folder") from None
        except OSError:
            pass  # nor have some network disks
    return lock


def make_room(args):
    """Makes the folder of the run, and returns its lock. An older run there is moved aside, never overwritten."""
    out = Path(args.out)
    if WORLD_SIZE > 1:
        torch.distributed.barrier()  # all have read the model, which may be in there
    if RANK > 0:
        return
    if (out / "config.json").exists() and not args.resume:
        if out.resolve() in (Path.cwd(), *Path.cwd().parents):
            raise UserError(f"--out {out}: there is a run in this folder, and it can't be moved aside from within it")
        claim(out).close()
        names = (out.with_name(f"{out.name}-{i}") for i in itertools.count(1))
        older = next(path for path in names if not path.exists())
        if args.model not in ("gpt2-tiny", *gpt2.PRESETS) and Path(args.model).resolve() == out.resolve():
            args.model = str(older)  # --resume will load it from there
        out.rename(older)
        print(f"The run that was in {out} is now in {older}")
    try:
        out.mkdir(parents=True, exist_ok=True)
        return claim(out)
    except OSError as error:
        raise UserError(f"--out {out}: {reason(error)}; name a folder that can be written") from None


def prepare_model(model, args):
    """Puts in what the flags ask for before training, and says what will be trained."""
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = args.dropout
    total = model.size()
    if args.lora:
        torch.manual_seed(args.seed)
        trained = gpt2.add_lora(model, args.lora, 2 * args.lora)  # alpha / rank, the weight of the new part, is 2
        share = trained / (total + trained)
        print(f"LoRA of rank {args.lora}: {trained:,} parameters are trained, {share:.2%} of the model")
    if args.compile:
        model.hidden = torch.compile(model.hidden, dynamic=True)
    print(f"{total:,} parameters, {str(args.compute).removeprefix('torch.')} arithmetic on {args.device}")


def show_example(example, tokenizer):
    """Prints an example with what is learned in green, or between brackets where there is no color."""
    on, off = ("\x1b[32m", "\x1b[0m") if sys.stdout.isatty() else ("[[", "]]")
    ids, targets = (t[:200].tolist() for t in example)
    tokens = zip([*ids, targets[-1]], [-100, *targets])  # a target is the id after it
    for learned, run in itertools.groupby(tokens, key=lambda token: token[1] != -100):
        text = printable(tokenizer.decode([id for id, _ in run]))
        print(on + text + off if learned else text, end="")
    print()


def show_answers(title, prompt, answers):
    """Prints a prompt and answers to it by name."""
    lines = [f"  {m['role']:>10}: {m['content']}" for m in prompt]
    lines += [f"  {name:>10}> {text}" for name, text in answers.items()]
    print(printable("\n".join(["", title, *lines])))


def write_json(value, path):
    with gpt2.atomic_write(path) as f:
        json.dump(value, f, indent=2, ensure_ascii=False)


def report(model, tokenizer, conversations, template, args, before=()):
    """Evaluates on the test part, prints the figures and, beside the first few answers, those from before the training;
    writes eval.json and responses.json."""
    with autocast(args.device, args.compute):
        figures, responses = evaluate_chat(model, tokenizer, conversations, template, args)
    for response, old in zip(responses, before):
        response["before"] = old
        answers = {"before": old, "now": response["model"], "reference": response["reference"]}
        show_answers("Held out:", response["prompt"], answers)
    print(f"\nOn {len(conversations)} test conversations:")
    for name, value in figures.items():
        if isinstance(value, float):
            print(f"  {name:>28}  {value:.3f}")
    write_json(figures, Path(args.out) / "eval.json")
    write_json(responses, Path(args.out) / "responses.json")


# ---- main -----------------------------------------------------------------------------------------------------------


def main():
    parser = new_parser("Fine-tune GPT-2 on instructions, dialogues or plain text.",
                        "--model gpt2 --data my.json")
    add = parser.add_argument_group("model and data").add_argument
    add("--model", metavar="NAME", default="gpt2-tiny",
        help="gpt2-tiny, gpt2, gpt2-medium ..., owner/repo, folder (%(default)s)")
    add("--data", nargs="+", metavar="FILE", help=".json, .jsonl or .txt (default: the conversations in data/)")
    add("--rehearse", nargs="+", metavar="FILE", help="conversations only to train on, to keep old skills (see README)")
    add("--template", metavar="NAME", choices=("alpaca", "chat"),
        help="alpaca or chat: who speaks, as text (default: suits the data)")
    add("--learn", metavar="WHAT", choices=("answers", "all"), default="answers",
        help="answers, or all: the user's words too (%(default)s)")
    add("--from_scratch", action="store_true", help="random weights in the shape of --model")
    add("--out", metavar="FOLDER", help="folder of the run (out/sft; with --eval_only out/eval)")
    add("--eval_only", action="store_true", help="evaluate on the test part of --data, train nothing")
    add_flags(parser, weight_decay=0.01)
    args = parser.parse_args()
    args.out = args.out or ("out/eval" if args.eval_only else "out/sft")
    if args.eval_only and (args.resume or (Path(args.out) / "config.json").exists()):
        raise UserError("--eval_only has nothing to resume, and needs an --out without a run in it")
    start_run(args)
    if args.model == "gpt2-tiny" and not args.data and not args.rehearse:  # small models forget fast
        args.rehearse = [str(gpt2.TINY / "talks.json")]
    args.data = args.data or [str(DATA / "instructions.json"), str(DATA / "dialogues.json")]
    text_files = [path for path in args.data if Path(path).suffix == ".txt"]
    chat_files = [path for path in args.data if path not in text_files]
    (train_chats, val_chats, test_chats), formats = read_parts(chat_files, read_file, args.split, args.seed)
    (*documents, _), _ = read_parts(text_files, lambda path: ("documents", read_documents(path)),
                                    args.split[:2], args.seed)  # the test at the end is on conversations only
    for path in args.rehearse or []:
        rehearsed = read_conversations(path)
        train_chats += rehearsed
        print(f"{path}: {len(rehearsed):,} conversations, only to train on")
    model, tokenizer = gpt2.load(args.model, args.device, weights=not args.from_scratch)
    args.max_len = min(args.max_len, model.config.n_positions)
    model.config.base = None if args.from_scratch else model.config.base or args.model
    if formats or args.rehearse:
        usual = "alpaca" if formats == {FORMATS["instruction"][0]} else "chat"
        model.config.template = args.template or model.config.template or usual
    template = model.config.template
    if template == "chat":
        tokenizer.add_roles()
        model.resize(tokenizer.vocab_size)
    if args.eval_only:
        if not formats:
            raise UserError("--eval_only needs conversations, not plain text")
        return report(model, tokenizer, test_chats, template, args)
    train_set, val_set = ([*encode_all(chats, tokenizer, template, args.max_len, args.learn),
                           *encode_documents(texts, tokenizer, args.max_len)]
                          for chats, texts in zip((train_chats, val_chats), documents))
    if not train_set or not val_set:
        raise UserError(f"no example is left to learn from; is --max_len {args.max_len} too small?")
    lock = make_room(args)  # noqa: F841: held as long as main runs
    lengths = [len(ids) for ids, _ in train_set]
    counts = [int((targets != -100).sum()) for _, targets in train_set]
    print(f"{len(train_set):,} examples to train on, {len(val_set):,} for validation; {sum(lengths):,} tokens, "
          f"{sum(counts) / sum(lengths):.0%} of them learned. An example:\n")
    show_example(min(train_set[:50], key=lambda example: len(example[0])), tokenizer)

    # 5e-5 is usual for GPT-2; gpt2-tiny learns slowly with it, and forgets what it knew above 3e-4. LoRA starts at zero
    # and takes larger steps. With a few thousand examples one pass or two are enough, with few it takes more.
    args.lr = args.lr or (2e-4 if model.size() < 2e7 else 5e-5) * (4 if args.lora else 1)
    args.epochs = args.epochs or min(20, max(1, round(4500 / len(train_set))))
    if not args.resume:
        prompts = [messages[:-1] for messages in test_chats[:3]]
        with autocast(args.device, args.compute):
            args.before = [text for text, _, _ in answer_prompts(model, tokenizer, prompts, template)]
        if prompts:
            show_answers("The untouched model, asked something held out:", prompts[0], {"before": args.before[0]})
    print()
    prepare_model(model, args)

    val_sample = random.Random(args.seed).sample(val_set, min(500, len(val_set)))

    def evaluate(model):
        with autocast(args.device, args.compute):
            sums, counts = example_losses(model, val_sample)
        return {"val_loss": (sums.sum() / counts.sum()).item()}

    train(model, train_set, lengths, counts, collate, sft_loss, evaluate,
          lambda: gpt2.save(model, tokenizer, args.out), args)
    if RANK > 0:
        return  # the first process does the rest
    gpt2.merge_lora(model)
    gpt2.load_weights(model.eval(), Path(args.out) / "model.safetensors", args.device)  # the best, not the last
    if formats:
        report(model, tokenizer, test_chats, template, args, args.before)
    (Path(args.out) / "training_state.pt").unlink()  # finished: nothing to resume
    print(f"\nThe model is in {args.out}. Talk to it: python chat.py --model {shlex.quote(args.out)}")
    if args.model == "gpt2-tiny":
        print("The same with the real GPT-2 (downloads 548 MB): python finetune.py --model gpt2")


if __name__ == "__main__":
    gpt2.run(main)
