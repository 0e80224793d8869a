"""
Put the text that gpt2-tiny learns from in the form of conversations, as finetune.py reads them.

    python make_chat.py corpus.txt.xz --out gpt2-tiny/chat.jsonl

The second part of gpt2-tiny's training is on these, so that it knows the three role tokens before anybody fine-tunes it:
1,700 examples are too few to learn both the tokens and the tasks. Everything becomes a conversation: speaker A is the
user and B the assistant, a story is told when asked for, a word problem is a question and its answer, and talks of
sentences.py stand one after another, as if the user changed the subject.
"""
import argparse
import json
import random
import re

from make_text import OWN_SHARE, from_corpus
from sentences import ANIMALS, ending, talk

SHARES = {"small talk": 0.4, "getting to know each other": 2, "bookings": 0.6, "tiny stories": 2, "word problems": 1}


def from_lines(text):
    """The turns of a conversation in lines that begin with A: and B:."""
    return [line[3:] for line in re.split(r"\n(?=[AB]: )", text)]


def from_story(text):
    """A story after a question for it, which names the animal or person that comes in it."""
    animal = next((word for word in re.findall("[a-z]+", text) if word in ANIMALS), None)
    name = next(iter(re.findall(r"(?:named|called) ([A-Z][a-z]+)", text)), None)
    asks = ["Tell me a story.", "Can you tell me a story?", "Please write a short story."]
    asks += [f"Tell me a story about a little {animal}.", f"Write a story about a {animal}."] * 2 if animal else []
    asks += [f"Tell me a story about {name}.", f"I want a story about {name}."] * 2 if name else []
    return [random.choice(asks), text]


def from_sentences():
    """One to four talks of our own after one another."""
    turns = [turn for _ in range(random.randint(1, 4)) for pair in talk() for turn in pair]
    for i in range(0, len(turns), 2):  # half of the tasks in the form of an instruction with its input below
        if random.random() < 0.5:
            turns[i] = re.sub(r":\n", ".\n\n", turns[i])
    return turns + [text for pair in (ending() if random.random() < 0.1 else []) for text in pair]


def main():
    parser = argparse.ArgumentParser(description="Conversations to pretrain on as .jsonl.")
    parser.add_argument("corpus", help="corpus.txt.xz")
    parser.add_argument("--own", type=float, default=OWN_SHARE * 2, help="share of our own sentences (%(default)s)")
    parser.add_argument("--out", required=True)
    parser.add_argument("--seed", type=int, default=2)
    args = parser.parse_args()
    random.seed(args.seed)
    conversations = []
    for name, texts in from_corpus(args.corpus).items():
        for text in texts * int(max(1, SHARES.get(name, 0))):
            if name in SHARES and random.random() < SHARES[name]:
                conversations.append(from_lines(text) if text.startswith("A: ") else
                                     from_story(text) if name == "tiny stories" else text.split("\n", 1))
    size = sum(len(turn) for turns in conversations for turn in turns)
    wanted, own = size * args.own / (1 - args.own), {}
    while wanted > 0:
        turns = tuple(from_sentences())
        if turns not in own:
            own[turns] = True
            wanted -= sum(map(len, turns))
    print(f"{len(conversations):,} conversations from the corpus, {size / 1e6:.1f} MB, and {len(own):,} of our own")
    conversations += own
    random.shuffle(conversations)
    with open(args.out, "w", encoding="utf-8") as f:
        for turns in conversations:
            messages = [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(turns)]
            f.write(json.dumps({"messages": messages}) + "\n")


if __name__ == "__main__":
    main()
