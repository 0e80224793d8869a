"""GPT-2 in plain PyTorch: the model, sampling, LoRA, the tokenizer, and the weights.

    import gpt2
    model, tokenizer = gpt2.load("gpt2")                       # downloads 548 MB once, checks the hash
    ids = tokenizer.encode("Hello, my dog is a little")
    for id in gpt2.generate(model, ids, max_new_tokens=20, temperature=0):
        print(tokenizer.decode([id]), end="", flush=True)

The names are those of the released checkpoint, so that loading is copying: wte and wpe embed tokens and positions, h
are the blocks, ln_* layer norms, c_attn makes queries, keys and values, c_fc widens, c_proj goes back to C channels.
Shapes in the comments: B sequences, T new tokens each, S tokens they may look at (cached and new), C channels, H heads
of D = C / H channels, V vocabulary entries.

Language Models are Unsupervised Multitask Learners (Radford et al., 2019).
"""
import contextlib
import ctypes
import hashlib
import json
import math
import mmap
import os
import re
import shutil
import signal
import sys
import time
import timeit
import warnings
from dataclasses import dataclass
from pathlib import Path

import requests
import tiktoken.load

warnings.filterwarnings("ignore", "Failed to initialize NumPy")  # torch says so at import; nothing here needs NumPy
import torch
import torch.nn as nn
import torch.nn.functional as F

# ---- The model ------------------------------------------------------------------------------------------------------


@dataclass
class Config:
    """The shape of a GPT-2, in the words of config.json on the hub; the last two fields are our own."""
    vocab_size: int = 50257
    n_positions: int = 1024
    n_embd: int = 768
    n_layer: int = 12
    n_head: int = 12
    layer_norm_epsilon: float = 1e-5
    eos_token_id: int = 50256
    template: str = None  # how a conversation becomes text, "alpaca" or "chat"; None for a model that was never tuned
    base: str = None  # the model this one was made from; dpo.py shows its answers beside the new ones


class Conv1D(nn.Module):
    """A linear layer whose weight is stored [in, out], as GPT-2's checkpoints have it."""

    def __init__(self, n_in, n_out):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_in, n_out))
        self.bias = nn.Parameter(torch.empty(n_out))

    def forward(self, x):  # x @ weight + bias; addmm wants matrices, so that B and T become one for it
        return torch.addmm(self.bias, x.flatten(0, -2), self.weight).view(*x.shape[:-1], -1)


class Attention(nn.Module):
    """Each token compares its query with the keys of the tokens it may see, and takes a mean of their values."""

    def __init__(self, config):
        super().__init__()
        self.n_head = config.n_head
        self.drop = nn.Dropout(0.0)  # only holds p: scaled_dot_product_attention does the dropping
        self.c_attn = Conv1D(config.n_embd, 3 * config.n_embd)
        self.c_proj = Conv1D(config.n_embd, config.n_embd)

    def forward(self, x, mask=None, cache=None):
        B, T, C = x.shape
        q, k, v = self.c_attn(x).view(B, T, 3, self.n_head, -1).permute(2, 0, 3, 1, 4)  # each (B, H, T, D)
        if cache is not None:
            k, v = cache.append(self, k, v)  # (B, H, S, D), S = past + T
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None and T > 1,
                                           dropout_p=self.drop.p if self.training else 0.0)  # (B, H, T, D)
        return self.c_proj(y.transpose(1, 2).reshape(B, T, C))  # (B, T, C)


class MLP(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.c_fc = Conv1D(config.n_embd, 4 * config.n_embd)
        self.c_proj = Conv1D(4 * config.n_embd, config.n_embd)

    def forward(self, x):
        return self.c_proj(F.gelu(self.c_fc(x), approximate="tanh"))  # (B, T, C) -> (B, T, 4C) -> (B, T, C)


class Block(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.ln_1 = nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.attn = Attention(config)
        self.ln_2 = nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.mlp = MLP(config)
        self.drop = nn.Dropout(0.0)

    def forward(self, x, mask=None, cache=None):
        x = x + self.drop(self.attn(self.ln_1(x), mask, cache))
        return x + self.drop(self.mlp(self.ln_2(x)))


class GPT(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        # from_pretrained, because nn.Embedding(...) draws random numbers, for which `load` would wait a second: on the
        # meta device that imports torch.compile
        self.wte = nn.Embedding.from_pretrained(torch.empty(config.vocab_size, config.n_embd), freeze=False)
        self.wpe = nn.Embedding.from_pretrained(torch.empty(config.n_positions, config.n_embd), freeze=False)
        self.drop = nn.Dropout(0.0)
        self.h = nn.ModuleList(Block(config) for _ in range(config.n_layer))
        self.ln_f = nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)

    def hidden(self, ids, positions=None, mask=None, cache=None):
        """The last layer's output, before the head.

        ids        (B, T) int64
        positions  (T,) or (B, T) int64; by default they count on from the cache
        mask       bool, broadcastable to (B, H, T, S), True where a token may look; causal by default
        cache      a KVCache holding the S - T tokens that came before, or None
        returns    (B, T, C)
        """
        T, past = ids.size(1), cache.length if cache else 0
        if positions is None:
            if past + T > self.config.n_positions:
                raise ValueError(f"{past + T} tokens do not fit a context of {self.config.n_positions}")
            positions = torch.arange(past, past + T, device=ids.device)  # (T,)
        if mask is None and past and T > 1:
            mask = torch.ones(T, past + T, dtype=torch.bool, device=ids.device).tril(past)  # (T, S)
        x = self.drop(self.wte(ids) + self.wpe(positions))  # (B, T, C)
        for block in self.h:
            x = block(x, mask, cache)
        if cache is not None:
            cache.length = past + T
        return self.ln_f(x)

    def head(self, x):
        """Logits (..., V) of hidden states (..., C): a score for each next token. The matrix is wte again ("tied")."""
        return F.linear(x, self.wte.weight)

    def forward(self, ids, positions=None, mask=None, cache=None):
        """Logits (B, T, V) of ids (B, T); the other arguments are those of `hidden`."""
        return self.head(self.hidden(ids, positions, mask, cache))

    def size(self):
        """The number of parameters."""
        return sum(p.numel() for p in self.parameters())

    @torch.no_grad()
    def init_weights(self):
        """Fresh weights: std 0.02, and 1/sqrt(2 n_layer) of that where a layer adds to the residual stream (the GPT-2
        paper, 2.3)."""
        for name, p in self.named_parameters():
            if name.endswith("bias"):
                p.zero_()
            elif "ln_" in name:
                p.fill_(1.0)
            else:
                p.normal_(std=0.02 / math.sqrt(2 * self.config.n_layer) if "c_proj" in name else 0.02)
        return self

    @torch.no_grad()
    def resize(self, vocab_size):
        """Appends rows to the embedding. They start at the mean of the old rows, which makes a new token unlikely
        but not absurd, plus a little noise: LoRA freezes them, and equal rows could not be told apart."""
        old = self.wte.weight
        if (extra := vocab_size - old.size(0)) > 0:
            noise = 0.02 * torch.randn(extra, old.size(1), generator=torch.Generator().manual_seed(0))
            self.wte.weight = nn.Parameter(torch.cat([old, old.float().mean(0) + noise.to(old.device)]).to(old.dtype))
            self.wte.num_embeddings = self.config.vocab_size = vocab_size


# ---- Generation -----------------------------------------------------------------------------------------------------


class KVCache:
    """The keys and values that the layers have computed for `ids`, so that only new tokens cost anything."""

    def __init__(self, config, room=None):
        self.room, self.length, self.ids = room or config.n_positions, 0, []
        self.kv = {}  # an attention layer's k and v, (B, H, room, D) each, taken once

    def append(self, layer, k, v):
        """Takes a layer's k and v of the new tokens, (B, H, T, D); returns those of all tokens, (B, H, S, D). The
        length is counted on when the last layer is done: a forward pass that was interrupted does not count."""
        B, H, T, D = k.shape
        if layer not in self.kv:
            self.kv[layer] = k.new_empty(B, H, self.room, D), k.new_empty(B, H, self.room, D)
        all_k, all_v = self.kv[layer]
        end = self.length + T
        all_k[:, :, self.length:end], all_v[:, :, self.length:end] = k, v
        return all_k[:, :, :end], all_v[:, :, :end]

    def next_logits(self, model, new):
        """The logits (1, V) of what follows `ids` and then the ids `new`, which belong to `ids` from now on."""
        ids = torch.tensor([new], device=model.wte.weight.device)  # (1, T)
        hidden = GPT.hidden(model, ids, cache=self)  # not model.hidden: --compile would compile each length anew
        self.ids = self.ids + new
        return model.head(hidden[:, -1])

    def truncate(self, length):
        """Forgets all but the first `length` tokens."""
        self.length, self.ids = length, self.ids[:length]

    def reuse(self, ids):
        """Forgets what `ids` does not begin with, and returns how many of them need not be computed again; the last
        one must in any case, for its logits."""
        known = min(self.length, len(self.ids), len(ids) - 1)
        same = next((i for i in range(known) if self.ids[i] != ids[i]), known)  # the first place where they differ
        self.truncate(same)
        return same

    def keep(self, rows):
        """Keeps only these rows of the batch."""
        for layer, (k, v) in self.kv.items():
            self.kv[layer] = k[rows], v[rows]


def sample(logits, temperature=1.0, top_k=0, top_p=1.0, generator=None):
    """Draws one id per row: logits (B, V) -> ids (B,).

    temperature 0 takes the likeliest id. top_k keeps the k likeliest (0: all), top_p the fewest whose probabilities
    reach p (nucleus sampling, Holtzman et al. 2019).
    """
    if temperature < 1e-5:  # 0, or so little that dividing by it overflows
        return logits.argmax(-1)
    logits = logits.float() / temperature
    if 0 < top_k < logits.size(-1):
        logits = logits.masked_fill(logits < logits.topk(top_k).values[:, -1:], -math.inf)
    if top_p < 1:
        probs, order = logits.softmax(-1).sort(descending=True)  # both (B, V), likeliest first
        beyond = probs.cumsum(-1) - probs >= top_p  # the mass before this id is enough already
        beyond[:, 0] = False  # the likeliest stays, even at top_p 0
        logits = logits.masked_fill(beyond.scatter(-1, order, beyond), -math.inf)  # back in the order of the ids
    return torch.multinomial(logits.softmax(-1), 1, generator=generator).squeeze(-1)


@torch.inference_mode()
def generate(model, ids, max_new_tokens, temperature=1.0, top_k=0, top_p=1.0, stop=None, seed=None, cache=None):
    """Yields the ids that follow `ids`, one by one, until a stop id (not yielded) or max_new_tokens.

    stop   ids that end the text; the model's <|endoftext|> by default
    cache  a KVCache to go on from: what it shares with `ids` from the start is not computed again
    Past the context the oldest quarter is dropped, again and again.
    """
    limit, device = model.config.n_positions, model.wte.weight.device
    stop = (model.config.eos_token_id,) if stop is None else stop
    generator = None if seed is None else torch.Generator(device).manual_seed(seed)
    cache = cache or KVCache(model.config)
    ids = [int(id) for id in ids]
    if not ids:
        raise ValueError("generate needs at least one id to go on from")
    new = ids[cache.reuse(ids):]
    for _ in range(max_new_tokens):
        if cache.length + len(new) > limit:
            new = (cache.ids + new)[-(limit - limit // 4):]
            cache.truncate(0)
        logits = cache.next_logits(model, new)  # (1, V)
        next_id = sample(logits, temperature, top_k, top_p, generator).item()
        if next_id in stop:
            return
        yield next_id
        new = [next_id]


def by_length(lengths, size, title):
    """Yields lists of up to `size` indices, from the shortest item to the longest, which leaves little padding in a
    batch; on the terminal it says how far the work of this title is."""
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    for i in range(0, len(order), size):
        status(f"{title}: {i:,} of {len(order):,}")
        yield order[i:i + size]
    status()


@torch.inference_mode()
def generate_batch(model, prompts, max_new_tokens, temperature=0.0, top_k=0, top_p=1.0, stop=None, seed=None,
                   batch_size=32):
    """Answers many prompts (lists of ids) at once; returns a list of lists of new ids, without the stop id.

    Prompts of similar length share a batch, padded on the left; a prompt too long for the context loses its beginning.
    """
    limit, device = model.config.n_positions, model.wte.weight.device
    stop = (model.config.eos_token_id,) if stop is None else stop
    generator = None if seed is None else torch.Generator(device).manual_seed(seed)
    max_new_tokens = min(max_new_tokens, limit - 1)
    answers = [[] for _ in prompts]
    for batch in by_length([len(prompt) for prompt in prompts], batch_size, "answering"):  # indices, one a row
        going = set(batch)
        rows = [prompts[i][-(limit - max_new_tokens):] for i in batch]
        width = max(map(len, rows))
        pad = torch.tensor([width - len(row) for row in rows], device=device)[:, None, None]  # (B, 1, 1)
        ids = torch.tensor([[0] * (width - len(row)) + row for row in rows], device=device)  # (B, T)
        cache = KVCache(model.config, width + max_new_tokens)
        for step in range(max_new_tokens):
            status(f"answering {len(prompts):,} prompts, {len(batch)} at once: token {step} of {max_new_tokens}")
            key = torch.arange(cache.length + ids.size(1), device=device)  # (S,)
            query = key[cache.length:, None]  # (T, 1)
            # No real token looks at padding; padding looks at itself, because a softmax over nothing is nan.
            mask = (key <= query) & ((key >= pad) | (query < pad))  # (B, T, S)
            hidden = GPT.hidden(model, ids, (query.T - pad[:, 0]).clamp(min=0), mask[:, None], cache)
            next_ids = sample(model.head(hidden[:, -1]), temperature, top_k, top_p, generator)  # (B,)
            for i, id in zip(batch, next_ids.tolist()):
                if id in stop:
                    going.discard(i)
                elif i in going:
                    answers[i].append(id)
            if not going:
                break
            if 2 * len(going) <= len(batch):  # copying the cache pays off where half of it goes
                kept = [row for row, i in enumerate(batch) if i in going]
                batch, next_ids, pad = [batch[row] for row in kept], next_ids[kept], pad[kept]
                cache.keep(kept)
            ids = next_ids[:, None]
    return answers


@torch.no_grad()
def quicken(model):
    """Gives a float32 model on the CPU float16 copies of its matrices for passes of a single token: a reply is bound by
    reading weights, and these are half the bytes. Only where trying them on this machine is a fifth faster; returns
    whether it was. The context is still read in float32. Do not train the model afterwards."""
    def halve(layer, name, weight, bias):  # puts itself before the layer's method of that name
        original, half = getattr(layer, name), weight.half().contiguous()  # half (out, in)
        def forward(x):  # (..., in)
            return original(x) if x.numel() > x.size(-1) else F.linear(x.half(), half).to(x.dtype) + bias
        setattr(layer, name, forward)
    tried = [block.mlp.c_fc for block in model.h]  # of gpt2, more than a processor's cache holds
    x = torch.zeros(1, 1, model.config.n_embd)
    def seconds():  # the first of two times is slower
        return min(timeit.repeat(lambda: [layer(x) for layer in tried], number=4, repeat=2))
    before = seconds()
    for layer in tried:
        halve(layer, "forward", layer.weight.T, layer.bias)
    if 1.2 * seconds() > before:
        for layer in tried:
            del layer.forward
        return False
    for block in model.h:
        for layer in (block.attn.c_attn, block.attn.c_proj, block.mlp.c_proj):
            halve(layer, "forward", layer.weight.T, layer.bias)
    halve(model, "head", model.wte.weight, 0.0)
    return True


class GraphCache(KVCache):
    """A KVCache for a GPU, where `generate` replays the pass of a single token from a CUDA graph, which launches its
    kernels at once: one by one, from Python, launching takes longer than such small matrix products do. In a graph all
    shapes are fixed, so the token looks at the whole room of the cache, under a mask. After "CUDA Graphs" in PyTorch's
    notes; not measured yet. On the CPU the same pass is made without a graph."""

    @torch.inference_mode()
    def __init__(self, model):
        super().__init__(model.config)
        wte, H = model.wte.weight, model.config.n_head
        for block in model.h:  # zeros: what a mask hides must not be nan
            self.kv[block.attn] = wte.new_zeros(2, 1, H, self.room, wte.size(1) // H).unbind()  # (1, H, room, D)
        self.id, self.at = wte.new_zeros(2, 1, dtype=torch.int64)  # a token and its place, (1,)
        self.places = torch.arange(self.room, device=wte.device)  # (S,)
        self.replay = lambda: self.pass_of_one(model)
        if wte.is_cuda:
            torch.cuda.set_device(wte.device)
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):  # what is done only the first time must not be in the graph
                for _ in range(3):
                    self.pass_of_one(model)
            torch.cuda.current_stream().wait_stream(stream)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                logits = self.pass_of_one(model)
            def replay():
                graph.replay()
                return logits  # written anew each time
            self.replay, self.length = replay, 0

    def pass_of_one(self, model):
        mask = (self.places <= self.at)[None]  # (1, S)
        return model.head(GPT.hidden(model, self.id[None], self.at, mask, self)[:, -1])  # (1, V)

    def append(self, layer, k, v):
        if k.size(2) > 1:
            return super().append(layer, k, v)
        all_k, all_v = self.kv[layer]
        return all_k.index_copy_(2, self.at, k), all_v.index_copy_(2, self.at, v)

    def next_logits(self, model, new):
        if len(new) > 1:
            return super().next_logits(model, new)
        length = self.length
        self.id.fill_(new[0])
        self.at.fill_(length)
        logits = self.replay()
        self.length, self.ids = length + 1, self.ids + new
        return logits


# ---- LoRA: Low-Rank Adaptation of Large Language Models (Hu et al., 2021) -------------------------------------------


class LoRA(nn.Module):
    """A frozen Conv1D plus a trained low-rank step: y = x W + b + (alpha / rank) x A B (equation 3)."""

    def __init__(self, base, rank, alpha):
        super().__init__()
        n_in, n_out = base.weight.shape
        self.base, self.scale, self.enabled = base, alpha / rank, True
        self.A = nn.Parameter(torch.randn(n_in, rank, device=base.weight.device) / math.sqrt(n_in))
        self.B = nn.Parameter(torch.zeros(rank, n_out, device=base.weight.device))  # zero: the start is the old model

    def forward(self, x):
        y = self.base(x)
        if self.enabled:
            y = y + self.scale * (x @ self.A.to(x.dtype) @ self.B.to(x.dtype))
        return y

    def merged(self):
        """The weight (in, out) of a plain Conv1D that computes the same."""
        return self.base.weight + (self.scale * (self.A @ self.B)).to(self.base.weight.dtype)


def lora_layers(model):
    return [module for module in model.modules() if isinstance(module, LoRA)]


def add_lora(model, rank, alpha, names=("c_attn", "c_proj")):
    """Freezes the model and puts a LoRA around every layer with one of these names; returns the trainable count."""
    model.requires_grad_(False)
    for name, layer in list(model.named_modules()):
        if isinstance(layer, Conv1D) and name.rpartition(".")[2] in names:
            model.set_submodule(name, LoRA(layer, rank, alpha))
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


@torch.no_grad()
def merge_lora(model):
    """Adds every low-rank step to its weight and takes the LoRA layers out again."""
    for name, layer in list(model.named_modules()):
        if isinstance(layer, LoRA):
            layer.base.weight.copy_(layer.merged())
            model.set_submodule(name, layer.base)
    model.requires_grad_(True)


@contextlib.contextmanager
def lora_disabled(model):
    """Inside, the model computes what it did before add_lora."""
    layers = [layer for layer in lora_layers(model) if layer.enabled]
    for layer in layers:
        layer.enabled = False
    try:
        yield model
    finally:
        for layer in layers:
            layer.enabled = True


# ---- The tokenizer --------------------------------------------------------------------------------------------------

EOT = "<|endoftext|>"
ROLES = ("<|user|>", "<|assistant|>", "<|system|>")  # appended to the vocabulary by the chat template
# Words with the space before them, numbers, punctuation, runs of spaces: merges never cross these borders.
PATTERN = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"""


def byte_letters():
    """The letter that vocab.json writes for each byte: itself where printable, else the next one from 256 on."""
    visible = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [b for b in range(256) if b not in visible]
    return {**{b: chr(b) for b in visible}, **{b: chr(256 + i) for i, b in enumerate(others)}}


class Tokenizer:
    """GPT-2's byte-level BPE, by tiktoken, from the text of a vocab.json and a merges.txt.

    encode takes any text and never yields a special id; special ids (`tokenizer.special[name]`, `tokenizer.eot`)
    are put in by the code that builds a prompt, so that typed text can't forge them.
    """

    def __init__(self, vocab_json, merges_txt):
        self.vocab_json, self.merges_txt = vocab_json, merges_txt
        byte_of = {letter: b for b, letter in byte_letters().items()}
        vocab = json.loads(vocab_json)
        merges = [line.split(" ") for line in merges_txt.split("\n") if line and not line.startswith("#version")]
        names = dict.fromkeys([*byte_of, *(a + b for a, b in merges)])
        try:
            ids = [vocab[name] for name in names]
            self.special = {name: id for name, id in vocab.items() if name not in names}
            self.special.setdefault(EOT, len(vocab))
            if (sorted(ids[:256]) + ids[256:] != list(range(len(ids)))  # tiktoken merges in the order of the ids
                    or len(self.special) > 100 or len({*ids, *self.special.values()}) < len(ids) + len(self.special)):
                raise ValueError
            ranks = {bytes(byte_of[letter] for letter in name): id for name, id in zip(names, ids)}
            self.bpe = tiktoken.Encoding("gpt2", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens=self.special)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
            raise UserError("not laid out like GPT-2's: 256 bytes, an id per merge in order, special ids") from None
        self.pieces, self.eot = {id: piece for piece, id in ranks.items()}, self.special[EOT]

    @property
    def vocab_size(self):
        return max(self.special.values()) + 1  # special ids come last

    def add_roles(self):
        """Appends the three role tokens."""
        if ROLES[0] not in self.special:
            self.special.update(zip(ROLES, range(self.vocab_size, self.vocab_size + len(ROLES))))

    def encode(self, text):
        ids = []
        for i in range(0, len(text), 500_000):  # tiktoken's regular expression runs out of stack on a million spaces
            ids += self.bpe.encode_ordinary(text[i:i + 500_000])
        return ids

    def decode_bytes(self, ids):
        names = {id: name.encode() for name, id in self.special.items()}
        return b"".join(self.pieces.get(id) or names.get(id, b"") for id in ids)

    def decode(self, ids):
        """The text of ids. An id can be half of a character: for a stream, feed decode_bytes to a utf-8 decoder."""
        return self.decode_bytes(ids).decode("utf-8", "replace")


# ---- Files: written whole or not at all, and safetensors ------------------------------------------------------------


@contextlib.contextmanager
def atomic_write(path, mode="w"):
    """Opens a temporary file that takes the place of `path` when all went well, and vanishes when not. Of several
    processes only the first one writes."""
    how = {"mode": mode} if "b" in mode else {"mode": mode, "encoding": "utf-8", "newline": "\n"}
    if RANK > 0:
        with open(os.devnull, **how) as f:
            yield f
        return
    path = Path(os.path.realpath(path))  # of a link: what it points to, not the link
    if path.exists() and not (path.is_file() and os.access(path, os.W_OK)):  # a new name would get past its protection
        raise UserError(f"{path} is not a file that can be written")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with open(temporary, **how) as f:
            if path.exists():
                shutil.copymode(path, temporary)
            yield f
            f.flush()
            os.fsync(f.fileno())  # else a power cut can leave the new name on an empty file
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "BOOL": torch.bool, "U8": torch.uint8,
          "I64": torch.int64, "F64": torch.float64}


def read_safetensors(path):
    """{name: tensor}, views of a private memory map: bytes are read from the disk when they are used.

    The format: 8 bytes of header length, a JSON header {name: {dtype, shape, data_offsets}}, the data.
    """
    with open(path, "rb") as f:
        size = os.fstat(f.fileno()).st_size
        start = 8 + int.from_bytes(f.read(8), "little")  # of the data
        if start > size:
            raise UserError(f"{path}: its {size:,} bytes end before its header does (cut short, or not safetensors)")
        header = f.read(start - 8)
        data = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_COPY)
    tensors, end, name, fault = {}, 0, "header", "it is no JSON object"
    try:
        entries = json.loads(header)
        entries.pop("__metadata__", None)
        checked = []
        for name, entry in entries.items():
            fault = f"{str(entry)[:200]} does not fit the file, itself, or the types {', '.join(DTYPES)}"
            (begin, stop), shape, dtype = entry["data_offsets"], entry["shape"], DTYPES[entry["dtype"]]
            good = all(type(n) is int and 0 <= n <= size for n in (begin, stop, *shape))
            if not good or stop - begin != math.prod(shape) * dtype.itemsize or start + stop > size:
                raise ValueError
            checked.append((begin, stop, name, dtype, shape))
        for begin, stop, name, dtype, shape in sorted(checked):
            if begin != end:
                fault = f"it begins at byte {begin}, the one before it ends at {end}"
                raise ValueError
            flat = torch.empty(0, dtype=dtype)
            if stop > begin:  # frombuffer refuses to make nothing
                flat = torch.frombuffer(data, dtype=dtype, count=math.prod(shape), offset=start + begin)
            tensors[name], end = flat.view(shape), stop
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise UserError(f"{path} is damaged, or not safetensors: {name[:100]}: {fault}") from None
    return tensors


def write_safetensors(tensors, path):
    """Writes {name: (dtype, shape, function that makes the tensor)}, one tensor in memory at a time, in the format that
    read_safetensors describes."""
    names = {dtype: name for name, dtype in DTYPES.items()}
    header, end = {"__metadata__": {"format": "pt"}}, 0
    for name, (dtype, shape, _) in tensors.items():
        begin, end = end, end + math.prod(shape) * dtype.itemsize
        header[name] = {"dtype": names[dtype], "shape": list(shape), "data_offsets": [begin, end]}
    header = json.dumps(header).encode()
    header += b" " * (-len(header) % 8)
    status(f"saving {path}")
    with atomic_write(path, "wb") as f:
        f.write(len(header).to_bytes(8, "little") + header)
        for _, _, make in tensors.values():
            tensor = make().detach().cpu().contiguous()  # whose memory is written as it is, without NumPy
            f.write((ctypes.c_char * tensor.nbytes).from_address(tensor.data_ptr()))
    status()


# ---- Download -------------------------------------------------------------------------------------------------------


def sha256_of(path):
    digest = hashlib.sha256()
    with open(path, "rb") as f:
        while chunk := f.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def receive(r, partial, start, name):
    """Writes the body of an answer after the first `start` bytes of partial, with a progress line."""
    length = None if "Content-Encoding" in r.headers else r.headers.get("Content-Length")
    total = start + int(length) if length else None
    size, began, shown = start, time.monotonic(), 0.0
    with open(partial, "r+b" if start else "wb") as f:
        f.seek(start)
        for chunk in r.iter_content(1 << 14):
            f.write(chunk)
            size += len(chunk)
            if (now := time.monotonic()) - shown > 0.2:
                shown, rate = now, (size - start) / (now - began + 1e-9)
                left = f" of {total / 1e6:,.1f} MB, {(total - size) / rate:,.0f} s left" if total else " MB"
                status(f"{name}: {size / 1e6:,.1f}{left} ({rate / 1e6:.1f} MB/s)")
    if total and size < total:
        raise requests.ConnectionError(f"{total - size:,} bytes are missing")


def check_answer(r, have):
    """Passes an answer that carries the file, raises OSError for one worth another try, UserError for the others."""
    if r.status_code == 429 or r.status_code >= 500:
        error = requests.HTTPError(f"{r.status_code} {r.reason}")
        seconds = r.headers.get("Retry-After", "")
        error.wait = min(int(seconds), 120) if re.fullmatch("[0-9]{1,9}", seconds) else None
        raise error
    if r.status_code not in (200, 206) and not (r.status_code == 416 and have):
        raise UserError(f"{r.url} answered {r.status_code} {r.reason}: check the name, and that the file is public")
    if r.status_code != 416 and "text/html" in r.headers.get("Content-Type", ""):
        raise UserError(f"{r.url} sent a web page instead of the file: is there a login or a proxy in between?")


def complete(url, partial, sha256, path):
    """Fetches what the file `partial` lacks, and checks the whole."""
    resumed, failures, best = partial.exists(), 0, 0
    while True:
        have = partial.stat().st_size if partial.exists() else 0
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        try:
            with requests.get(url, headers=headers, stream=True, timeout=(10, 60)) as r:
                check_answer(r, have)
                for answer in (*r.history, r):
                    linked = re.fullmatch('"?([0-9a-f]{64})"?', answer.headers.get("X-Linked-Etag", ""))
                    sha256 = sha256 or (linked and linked[1])
                if resumed and not sha256:  # an earlier process began it, perhaps with another version: start over
                    resumed = False
                    partial.unlink()
                    continue
                if r.status_code != 416:  # 416: all of it is here already
                    receive(r, partial, have if r.status_code == 206 else 0, path.name)
        except requests.TooManyRedirects:
            raise UserError(f"{url} redirects in a circle") from None
        except (requests.RequestException, ConnectionError) as error:
            # Progress is a size never reached before: a server that ignores Range only catches up
            size = partial.stat().st_size if partial.exists() else 0
            failures = 0 if size > max(best, have) else failures + 1
            best = max(best, have, size)
            if failures > 4 or isinstance(error, ValueError):  # a bad URL is a ValueError too
                raise UserError(f"can't download {url} ({type(error).__name__}: {str(error)[:150]}). "
                                f"Try again later, or put the file at {path} yourself") from None
            wait = getattr(error, "wait", None) or 0.5 * 2 ** failures
            status(f"{path.name}: {type(error).__name__}, trying again in {wait:.0f} s")
            time.sleep(wait)
            continue
        status()
        if not sha256 or sha256_of(partial) == sha256:
            return
        partial.unlink()
        if not resumed:
            raise UserError(f"{url}: what arrived is not the expected file (wrong sha256), so it was thrown away")
        resumed, failures, best = False, 0, 0


def download(url, path, sha256=None):
    """Fetches url to the file `path`, which appears only when complete and, where its sha256 is known, verified.

    What arrived before a failure stays in path.partial and is not fetched again. Dropped connections, 429 and 5xx are
    tried again, five times without progress, waiting longer each time; then, and for any other refusal or a wrong
    hash, UserError. Without sha256 the hash that the Hugging Face hub sends along is used, where there is one.
    """
    path = Path(path)
    partial, lock = path.with_name(path.name + ".partial"), path.with_name(f".{path.name}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    before = path.exists()
    with open(lock, "w") as f:
        with contextlib.suppress(ImportError, OSError):  # Windows has no flock, nor have some network disks
            import fcntl
            fcntl.flock(f, fcntl.LOCK_EX)  # the file stays: others may wait for it, or open it next
        if before or not path.exists():  # else another process has fetched it meanwhile
            complete(url, partial, sha256, path)
            os.replace(partial, path)


# ---- Load and save --------------------------------------------------------------------------------------------------

TINY = Path(__file__).resolve().parent / "data" / "tiny"
PRESETS = {  # name: (repository, revision, sha256 of its model.safetensors, shape)
    "gpt2": ("openai-community/gpt2", "607a30d783dfa663caf39e06633721c8d4cfcd7e",
        "248dfc3911869ec493c76e65bf2fcf7f615828b0254c12b473182f0f81d3a707", dict(n_layer=12, n_head=12, n_embd=768)),
    "gpt2-medium": ("openai-community/gpt2-medium", "6dcaa7a952f72f9298047fd5137cd6e4f05f41da",
        "fc5a354a19255ad494f3d71549390baca1ccf61d1d822b9408971705c687c9cd", dict(n_layer=24, n_head=16, n_embd=1024)),
    "gpt2-large": ("openai-community/gpt2-large", "32b71b12589c2f8d625668d2335a01cac3249519",
        "5f47f3e12f91cd33b662ce7e433b6150ad5512b5884a2cee961b50e9c3bbebce", dict(n_layer=36, n_head=20, n_embd=1280)),
    "gpt2-xl": ("openai-community/gpt2-xl", "15ea56dee5df4983c59b2538573817e1667135e2",
        "0f8b28eb05a8075f48b61b6f35332978c74fc7763fa9fb4051a1c30511736a6a", dict(n_layer=48, n_head=25, n_embd=1600)),
}


# The same conversations as in finetune.py, in the language (Jinja) that transformers and other programs read.
CHAT_TEMPLATES = {
    "chat": "{% for m in messages %}<|{{ m.role }}|>{{ m.content | replace('\n\n### Input:\n', '\n\n') }}"
            "{% if m.role == 'assistant' %}<|endoftext|>{% endif %}{% endfor %}"
            "{% if add_generation_prompt %}<|assistant|>{% endif %}",
    "alpaca": "{% if messages[0].role == 'system' %}{{ messages[0].content }}{% set turns = messages[1:] %}{% else %}"
              "{% set turns = messages %}Below is an instruction that describes a task"
              "{% if '\n\n### Input:\n' in messages[0].content %}, paired with an input that provides further context"
              "{% endif %}. Write a response that appropriately completes the request.{% endif %}{% for m in turns %}"
              "{% if m.role == 'user' %}{{ '\n\n### Instruction:\n' + m.content }}"
              "{% else %}{{ '\n\n### Response:\n' + m.content }}<|endoftext|>{% endif %}{% endfor %}"
              "{% if add_generation_prompt %}{{ '\n\n### Response:\n' }}{% endif %}",
}


def fetch(repo, revision, name, sha256=None):
    """The path of a file of a hub repository, downloaded if need be into the cache that transformers uses too."""
    home = os.environ.get("HF_HOME") or (os.environ.get("XDG_CACHE_HOME") or "~/.cache") + "/huggingface"
    hub = os.environ.get("HF_HUB_CACHE") or home + "/hub"
    cache = Path(os.path.expanduser(hub)) / f"models--{repo.replace('/', '--')}"
    ref = cache / "refs" / revision  # holds the commit that a name such as "main" stood for
    revision = ref.read_text().strip() if ref.is_file() else revision
    path = cache / "snapshots" / revision / name
    if not path.exists():
        endpoint = (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
        try:
            download(f"{endpoint}/{repo}/resolve/{revision}/{name}", path, sha256)
        except UserError as error:
            raise UserError(f"{error} (--model gpt2-tiny needs no network)") from None
        except OSError as error:
            raise UserError(f"can't save {name}: {reason(error)} (HF_HOME can name another folder)") from None
    return path


def gpt2_vocabulary():
    """The text of GPT-2's vocab.json and merges.txt: tiktoken's copy, or the hub's, which is the same to the byte."""
    host = "https://openaipublic.blob.core.windows.net/gpt-2/encodings/main/"
    hashes = {"encoder.json": "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
              "vocab.bpe": "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5"}
    try:
        return [tiktoken.load.read_file_cached(host + name, sha256).decode() for name, sha256 in hashes.items()]
    except (requests.RequestException, ValueError):  # ValueError: something else came, such as a proxy's page
        return [fetch(*PRESETS["gpt2"][:2], name, sha256).read_text(encoding="utf-8")
                for name, sha256 in zip(("vocab.json", "merges.txt"), hashes.values())]


def read_config(path):
    """The Config in a config.json; UserError where it describes something that this GPT-2 is not."""
    try:
        raw = json.loads(Path(path).read_text(encoding="utf-8"))
        if not isinstance(raw, dict):
            raise ValueError("it is not a JSON object")
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} can't be read: {reason(error)}") from None
    config = Config(**{f: raw[f] for f in Config.__dataclass_fields__ if f in raw})
    shape = (config.vocab_size, config.n_positions, config.n_embd, config.n_layer, config.n_head)
    possible = all(type(n) is int and 0 < n < 10**7 for n in shape) and config.n_layer <= 1000
    if not possible or config.n_embd % config.n_head:
        raise UserError(f"{path}: {str(config)[:500]} is not a possible shape")
    if type(eps := config.layer_norm_epsilon) not in (int, float) or not 0 <= eps < 1:
        raise UserError(f"{path}: layer_norm_epsilon is {str(eps)[:100]!r}, not a number from 0 to 1")
    if not isinstance(config.base, (str, type(None))):
        raise UserError(f"{path}: base is {str(config.base)[:100]}, not the name of a model")
    expected = {"model_type": ("gpt2",), "activation_function": ("gelu_new", "gelu_pytorch_tanh"),
                "n_inner": (None, 4 * config.n_embd), "scale_attn_weights": (True,),
                "scale_attn_by_inverse_layer_idx": (False,), "tie_word_embeddings": (True,),
                "template": (None, *CHAT_TEMPLATES)}
    for key, allowed in expected.items():
        if raw.get(key, allowed[0]) not in allowed:
            raise UserError(f"{path}: {key} is {raw[key]!r:.100}; it can be {' or '.join(map(str, allowed))} here")
    return config


def load_weights(model, path, device="cpu"):
    """Reads a checkpoint into the model: with or without the prefix "transformer.", masks and the tied head skipped."""
    tensors = {name.removeprefix("transformer."): t for name, t in read_safetensors(path).items()}
    shapes = {name: p.shape for name, p in model.named_parameters()}
    for name, shape in shapes.items():
        if name not in tensors:
            raise UserError(f"{path} has no tensor {name}")
        if tensors[name].shape != shape:
            raise UserError(f"{path}: {name} has shape {list(tensors[name].shape)}, config.json says {list(shape)}")
    for name in sorted(tensors.keys() - shapes.keys()):
        if not re.fullmatch(r"lm_head\.weight|h\.\d+\.attn\.(masked_)?bias", name):
            raise UserError(f"{path} has a tensor {name}, which no GPT-2 of {model.config.n_layer} layers has")
    status(f"reading {path}")
    dtype = model.wte.weight.dtype
    for name in shapes:  # one at a time, so that no second model is in memory
        module, _, parameter = name.rpartition(".")
        tensor = tensors[name].to(device, dtype, copy=True)
        setattr(model.get_submodule(module), parameter, nn.Parameter(tensor))
    status()


def find(name, file):
    """The path of a file of the model `name`, downloaded first if need be."""
    if name in PRESETS:
        repo, revision, sha256, _ = PRESETS[name]
        return fetch(repo, revision, file, sha256 if file == "model.safetensors" else None)
    folder = TINY if name == "gpt2-tiny" else Path(os.path.expanduser(name))
    if name and folder.is_dir():
        return folder / file
    if re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", name) and not folder.parent.is_dir():  # out/typo is no repository
        return fetch(name, "main", file)
    raise UserError(f"no model {name!r}: give gpt2-tiny, {', '.join(PRESETS)}, owner/repo, or an existing folder")


def load(name_or_path, device="cpu", dtype=torch.float32, weights=True):
    """The model and its tokenizer: (GPT, Tokenizer).

    name_or_path  gpt2-tiny (in this repo), gpt2, gpt2-medium, gpt2-large, gpt2-xl, owner/repo on the Hugging Face hub,
                  or a folder with config.json and model.safetensors
    weights       False leaves the weights random: a model to train from scratch
    """
    name = str(name_or_path)
    config = Config(**PRESETS[name][-1]) if name in PRESETS else read_config(find(name, "config.json"))
    try:
        if name not in PRESETS and find(name, "vocab.json").exists():
            texts = [find(name, file).read_text(encoding="utf-8") for file in ("vocab.json", "merges.txt")]
        else:
            texts = gpt2_vocabulary()
        tokenizer = Tokenizer(*texts)
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"the vocabulary of {name} (vocab.json, merges.txt) can't be read: {reason(error)}") from None
    if config.template == "chat":
        tokenizer.add_roles()
    if tokenizer.vocab_size > config.vocab_size:
        raise UserError(f"{name}: its vocabulary has {tokenizer.vocab_size} entries, its model {config.vocab_size}")
    config.eos_token_id = tokenizer.eot

    with torch.device("meta"):  # no memory before the file is seen to fit
        model = GPT(config).to(dtype)
    if weights:
        path = find(name, "model.safetensors")
        if not path.is_file():
            raise UserError(f"{path} does not exist (weights are read from safetensors only, never from a pickle)")
        load_weights(model, path, device)
    else:
        model.to_empty(device=device).init_weights()
    return model.eval(), tokenizer


def save(model, tokenizer, folder):
    """Writes a folder that `load` and transformers open. LoRA layers are written merged; the model stays as it is."""
    config, folder = model.config, Path(folder)
    dtype = str(model.wte.weight.dtype).removeprefix("torch.")
    added = {str(id): dict(content=name, special=True, normalized=False, lstrip=False, rstrip=False, single_word=False)
             for name, id in tokenizer.special.items()}
    texts = {
        "config.json": dict(
            model_type="gpt2", architectures=["GPT2LMHeadModel"], activation_function="gelu_new", dtype=dtype,
            bos_token_id=tokenizer.eot, resid_pdrop=0.0, attn_pdrop=0.0, embd_pdrop=0.0, **vars(config)),
        "tokenizer_config.json": dict(
            tokenizer_class="GPT2Tokenizer", model_max_length=config.n_positions, add_prefix_space=False,
            bos_token=EOT, eos_token=EOT, unk_token=EOT, pad_token=EOT, clean_up_tokenization_spaces=False,
            added_tokens_decoder=added,
            **({"chat_template": CHAT_TEMPLATES[config.template]} if config.template else {})),
        "vocab.json": tokenizer.vocab_json,
        "merges.txt": tokenizer.merges_txt,
    }
    for name, text in texts.items():
        with atomic_write(folder / name) as f:
            f.write(text if isinstance(text, str) else json.dumps(text, indent=2) + "\n")
    tensors = {name.replace(".base.", "."): (p.dtype, p.shape, p.detach)
               for name, p in model.state_dict().items() if not name.endswith((".A", ".B"))}
    for name, layer in model.named_modules():
        if isinstance(layer, LoRA):
            tensors[f"{name}.weight"] = (layer.base.weight.dtype, layer.base.weight.shape, layer.merged)
    write_safetensors(tensors, folder / "model.safetensors")


# ---- For the scripts ------------------------------------------------------------------------------------------------

RANK = int(os.environ.get("RANK", 0))  # which of the WORLD_SIZE processes this is, where torchrun started us
WORLD_SIZE = int(os.environ.get("WORLD_SIZE", 1))


class UserError(ValueError):
    """Something the user can put right. The scripts print it on one line, without a traceback, and exit with 2."""


def printable(text):
    """Text without the control characters that move the cursor or color the terminal; tabs and line ends stay."""
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", "", text)


def reason(error):
    """What an exception says, in plain words where Python's are not."""
    if isinstance(error, UnicodeError):
        return "it is not UTF-8 text"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror + (f": {error.filename}" if error.filename else "")
    return str(error).split("; use sys.")[0]  # of a number of thousands of digits


def status(line=""):
    """A line on the terminal that the next one overwrites; status() clears it."""
    if RANK == 0 and sys.stderr and sys.stderr.isatty():
        print(f"\r\x1b[K{printable(line)[:shutil.get_terminal_size().columns - 1]}", end="", file=sys.stderr, flush=True)


def run(main):
    """Runs the main of a script, so that what a user can put right ends in one line and exit code 2."""
    for name, mode in {"stdin": "r", "stdout": "w", "stderr": "w"}.items():
        if not (stream := getattr(sys, name)):  # closed by the shell
            setattr(sys, name, open(os.devnull, mode))
        elif hasattr(stream, "reconfigure"):  # bytes that are no text, and characters that a terminal lacks
            stream.reconfigure(errors="replace")
    status()  # importing torch is done
    if RANK > 0:  # the first process speaks for all
        sys.stdout = open(os.devnull, "w")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        main()
    except (KeyboardInterrupt, EOFError):
        sys.exit(130)
    except (UserError, OSError) as error:
        message = reason(error)
    except (RuntimeError, MemoryError) as error:
        known = re.search("out of memory|not enough memory|allocate memory", str(error))
        if isinstance(error, RuntimeError) and not known:
            raise
        message = ("out of memory. In training, lower --batch_size (and raise --grad_accum) or --max_len, or try "
                   "--lora 16; else take a smaller model")
    else:
        return
    finally:
        status()
        signal.signal(signal.SIGINT, before)
    if RANK > 0:
        time.sleep(5)  # torchrun ends us before that, where the first process has the same to say
    print("error:", printable(" ".join(message.split())), file=sys.stderr)
    sys.exit(2)
