"""
Put the conversations of a pretraining text in the form that finetune.py reads.

    python make_chat.py gpt2-tiny/train.txt --short 12000 --long 2500 --out gpt2-tiny/chat.jsonl

Lines that begin with A: become the user's messages, those with B: the assistant's. The last part of gpt2-tiny's training
is on these, so that it knows the three role tokens before anybody fine-tunes it: 1,700 examples are too few to learn
both the tokens and the tasks.
"""
import argparse
import json
import random
import re


def messages(document):
    """The messages of a conversation, or None where the document is something else."""
    turns = re.split(r"(?:^|\n)([AB]): ", document)  # "", "A", text, "B", text, ...
    if turns[0] or len(turns) < 5 or turns[1::2] != (["A", "B"] * len(turns))[:len(turns) // 2]:
        return None
    return [{"role": "user" if who == "A" else "assistant", "content": text} for who, text in zip(turns[1::2], turns[2::2])]


def main():
    parser = argparse.ArgumentParser(description="Conversations of a text as .jsonl.")
    parser.add_argument("text", help="documents separated by <|endoftext|>")
    parser.add_argument("--short", type=int, default=12000, help="how many of at most 500 characters: mostly our own")
    parser.add_argument("--long", type=int, default=2500, help="how many longer ones")
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    random.seed(1)
    with open(args.text, encoding="utf-8") as f:
        documents = list(dict.fromkeys(text.strip() for text in f.read().split("<|endoftext|>") if messages(text.strip())))
    random.shuffle(documents)
    short = [text for text in documents if len(text) <= 500][:args.short]
    long = [text for text in documents if len(text) > 500][:args.long]
    with open(args.out, "w", encoding="utf-8") as f:
        for text in random.sample(short + long, len(short + long)):
            f.write(json.dumps({"messages": messages(text)}) + "\n")
    print(f"{len(short):,} short and {len(long):,} long conversations")


if __name__ == "__main__":
    main()
