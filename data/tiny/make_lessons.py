"""
The text of gpt2-tiny's last part of training, with lessons in it.

    python make_lessons.py corpus.txt.xz --out gpt2-tiny/lessons.txt

lessons/*.tsv hold questions and small tasks with their answers, one a line, and short conversations (user and assistant in
turn, a tab between them; \\n is a line break). The model sees each of them many times, every time in other company, beside
tasks of copying.py, conversations and stories from the corpus and our own sentences, all as plain text: lines that begin
with A: and B:.
"""
import argparse
import random
from pathlib import Path

from copying import Copying, all_lessons
from make_chat import from_story
from make_text import END, from_corpus
from sentences import document

SHARES = {"small talk": 0.3, "getting to know each other": 1, "bookings": 0.15, "tiny stories": 1, "role plays": 0,
          "word problems": 1}


def as_text(turns):
    return "\n".join("AB"[i % 2] + ": " + turn for i, turn in enumerate(turns))


def careless(question):
    """As people type: one in ten without capital and full stop."""
    return question[0].lower() + question[1:].rstrip(".?") if random.random() < 0.1 else question


def lessons():
    """Every lesson once, one to five after one another: their texts."""
    left = all_lessons()
    random.shuffle(left)
    while left:
        several = [left.pop() for _ in range(min(len(left), random.randint(1, 5)))]
        turns = [turn for lesson in several for turn in lesson]
        turns = [careless(turn) if i % 2 == 0 else turn for i, turn in enumerate(turns)]
        yield as_text(turns).replace("\n\n### Input:\n", "\n\n")  # as the chat template does


def main():
    parser = argparse.ArgumentParser(description="Text with lessons to go on pretraining with.")
    parser.add_argument("corpus", help="corpus.txt.xz")
    parser.add_argument("--repeat", type=int, default=5, help="how often each lesson comes (%(default)s)")
    parser.add_argument("--own", type=int, default=18000, help="documents of our own sentences (%(default)s)")
    parser.add_argument("--copying", type=int, default=38000, help="documents of copying.py (%(default)s)")
    parser.add_argument("--out", required=True)
    parser.add_argument("--seed", type=int, default=51)
    args = parser.parse_args()
    random.seed(args.seed)
    taught = [text for _ in range(args.repeat) for text in lessons()]
    own = list({document(): True for _ in range(args.own)})
    corpus = [as_text(from_story(text)) if name == "tiny stories" else
              text if text.startswith("A: ") else as_text(text.split("\n", 1))
              for name, texts in from_corpus(args.corpus).items() for text in texts if random.random() < SHARES[name]]
    tasks = Copying([turn for lesson in all_lessons() for turn in lesson] + corpus)
    looked_up = [as_text(tasks.document()) for _ in range(args.copying)]
    for name, texts in (("lessons", taught), ("copying", looked_up), ("our own sentences", own), ("corpus", corpus)):
        print(f"{name:20}{len(texts):>8,} documents{sum(map(len, texts)) / 1e6:>7.1f} MB")
    texts = taught + looked_up + own + corpus
    random.shuffle(texts)
    Path(args.out).write_text(f"\n{END}\n".join(texts) + f"\n{END}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
