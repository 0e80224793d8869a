"""
Learn a byte-level BPE vocabulary, the way GPT-2's was learned, and save it in GPT-2's two files.

    python make_vocab.py train.txt --size 4096 --out gpt2-tiny

writes gpt2-tiny/vocab.json (token -> id) and gpt2-tiny/merges.txt (one merge per line, in order).
Of the ids, the first 256 are the single bytes, then comes one per merge, and the last one is
<|endoftext|>: a size of 4096 leaves room for 3839 merges. Both transformers.GPT2Tokenizer and
tiktoken.load.data_gym_to_mergeable_bpe_ranks read the two files. Takes less than a minute.
"""
import argparse
import heapq
import json
import sys
from collections import Counter, defaultdict
from pathlib import Path

import regex  # like re, but it knows \p{L}, any letter, and \p{N}, any number; comes with tiktoken

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from gpt2 import EOT, PATTERN, byte_letters


def count_words(paths, sample):
    """How often each word occurs in the first `sample` characters of each file (documents are shuffled)."""
    counts = Counter()
    for path in paths:
        with open(path, encoding="utf-8") as f:
            for document in f.read(sample).split(EOT):
                counts.update(regex.findall(PATTERN, document))
    return counts


def learn_merges(words, num_merges):
    """words: {word as a string of byte characters: count} -> [(left, right), ...], most frequent pair first.
    Recounting everything after each merge would take hours. So we remember which words hold a pair,
    and after a merge touch only those."""
    parts = [list(word) for word in words]       # how each word is cut up at the moment
    counts = list(words.values())
    pair_counts = Counter()
    where = defaultdict(set)                     # pair -> the words that hold it (or once held it)
    for i, part in enumerate(parts):
        for pair in zip(part, part[1:]):
            pair_counts[pair] += counts[i]
            where[pair].add(i)

    heap = [(-n, pair) for pair, n in pair_counts.items()]
    heapq.heapify(heap)                          # the most frequent pair comes out first
    merges, made = [], set()
    while len(merges) < num_merges and heap:
        count, best = heapq.heappop(heap)
        token = best[0] + best[1]
        if -count != pair_counts[best]:          # an old count: other merges have used this pair up in part
            if pair_counts[best] > 0:
                heapq.heappush(heap, (-pair_counts[best], best))
            continue
        if token in made:                        # two merges may never share one id
            continue
        made.add(token)
        merges.append(best)
        changed = set()
        for i in where.pop(best):
            old, new, j = parts[i], [], 0
            while j < len(old):                  # put the two halves together, from left to right
                step = 2 if tuple(old[j:j + 2]) == best else 1
                new.append("".join(old[j:j + step]))
                j += step
            for pair in zip(old, old[1:]):
                pair_counts[pair] -= counts[i]
            for pair in zip(new, new[1:]):
                pair_counts[pair] += counts[i]
                where[pair].add(i)
                if token in pair:
                    changed.add(pair)
            parts[i] = new
        for pair in changed:                     # only pairs with the new token can have become more frequent
            heapq.heappush(heap, (-pair_counts[pair], pair))
        if len(merges) % 500 == 0:
            print(f"{len(merges)} merges, the last one {token!r}", flush=True)
    return merges


def main():
    parser = argparse.ArgumentParser(description="Learn a byte-level BPE vocabulary in GPT-2's file layout.")
    parser.add_argument("texts", nargs="+", help="text files, documents separated by <|endoftext|>")
    parser.add_argument("--size", type=int, default=4096, help="number of tokens, <|endoftext|> included")
    parser.add_argument("--sample", type=int, default=20_000_000, help="characters to read of each file")
    parser.add_argument("--out", default=".", help="the folder to write vocab.json and merges.txt to")
    args = parser.parse_args()

    to_char = byte_letters()
    words = {"".join(to_char[b] for b in word.encode("utf-8")): n
             for word, n in count_words(args.texts, args.sample).items()}
    print(f"{sum(words.values()):,} words, {len(words):,} different ones")
    merges = learn_merges(words, args.size - 256 - 1)

    tokens = [*to_char.values(), *(left + right for left, right in merges), EOT]
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    (out / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}), encoding="utf-8")
    merges = "".join(f"{left} {right}\n" for left, right in merges)
    (out / "merges.txt").write_text("#version: 0.2\n" + merges, encoding="utf-8")
    print(f"wrote {len(tokens)} tokens to {args.out}")


if __name__ == "__main__":
    main()
