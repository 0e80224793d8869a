"""
Put together the text that gpt2-tiny is pretrained on.

    python make_text.py corpus.txt.xz --out gpt2-tiny

writes gpt2-tiny/train.txt and gpt2-tiny/val.txt: shuffled documents, with a line <|endoftext|> between them.

A model of five million parameters cannot learn everything, so it gets text of few kinds in plain, modern
English: mostly conversations, then tiny stories, some questions with answers, and the made-up tasks of
sentences.py. Old books, encyclopedia articles, code and markup are left out. The corpus has no labels:
we tell its parts apart by what they look like.
"""
import argparse
import lzma
import os
import random
import re

from sentences import document

END = "<|endoftext|>"
OWN_SHARE = 0.27               # of all characters, how many come from sentences.py
LONGEST = 1800                 # characters; longer conversations are cut into pieces

# part -> (share of its documents to keep, how often to repeat them). What is close to a good chat counts more,
# and of the bookings, which all look alike, a quarter is enough.
MIX = {
    "small talk": (1.0, 1),
    "getting to know each other": (1.0, 2),
    "bookings": (0.25, 1),
    "tiny stories": (1.0, 3),
    "role plays": (1.0, 1),
    "word problems": (0.4, 1),
}

PLAIN = str.maketrans({"’": "'", "‘": "'", "`": "'", "“": '"', "”": '"', "–": "-", "—": "-", "…": "...", "\u00a0": " ", "é": "e", "´": "'"})
ODD = re.compile(r"[^\x20-\x7e\n]|[<>{}\[\]\\|_#@^~]|https?:|www\.|\((?:user|name|your)|user \d|toolformer", re.I)
RUDE = re.compile(r"\b(fuck\w*|shit\w*|bitch\w*|asshole\w*|dick|porn\w*|sex\w*|rape\w*|nazi\w*|hitler|nigg\w*|cunt|slut\w*|whore\w*|suicide|murder\w*|drugs?|cocaine|heroin|trump|clinton|obama|m?turk\w*)\b", re.I)
BOOKING = re.compile(r"\b(book|reserv\w+|tickets?|appointment|transfer|account|confirm|restaurant|hotel|flights?|bus|rent\w*|cab|"
                     r"located|phone number|address|available|humidity|stylist|dentist|doctor|apartment|departs?|"
                     r"\d+(?::\d\d)? ?[ap]m|\$\d+|anything else|assist\w*|events?|find|search|look for)\b", re.I)
CHILDISH = re.compile(r"\b(mom|mommy|mummy|dad|daddy|happy|play\w*|fun|friends?|little|big|day|toys?|smiled|wanted|liked|loved|"
                      r"saw|scared|sad|park|boy|girl|bird|share|hug\w*|asked)\b", re.I)
GREETING = re.compile(r"A: (hi|hello|hey|good (morning|evening|afternoon))\b", re.I)
ABOUT_ME = re.compile(r"\b(I'm|I am|I like|I love|I have|I live|I work|my|do you)\b", re.I)
ROLE = re.compile(r"(You are|You're|Imagine|Take|Pretend|Act|Assume|Role-?play|As an? |Play the|In the role|Step into|Suppose)")


def part_of(text):
    """Which part of the corpus a document is from, or None where it shall not be used."""
    if text.startswith("A: "):
        different = {found.lower() for found in BOOKING.findall(text)}
        if len(different) >= 3:
            return "bookings"
        personal = len(ABOUT_ME.findall(text)) >= 6 and GREETING.match(text)
        return "getting to know each other" if personal else "small talk"
    if text.startswith("Q: "):
        return "word problems" if len(text) < 500 else None
    if ROLE.match(text):
        return "role plays" if len(text) < 700 else None
    simple = len(CHILDISH.findall(text)) / len(text.split()) > 0.04 and ";" not in text and "--" not in text
    return "tiny stories" if simple and 250 < len(text) < 2500 else None


def cleaned(text):
    """Plain quotes and dashes, no doubled spaces, none before a full stop, no empty lines; None where odd signs remain."""
    text = re.sub(r" +", " ", text.translate(PLAIN))
    text = re.sub(r" +(?=[.,!?\n])", "", text)
    text = "\n".join(line.strip() for line in text.split("\n") if line.strip())
    return None if ODD.search(text) or RUDE.search(text) or not text else text


def tidy(text):
    """Is this conversation written with capitals and full stops, and by the two speakers in turn?"""
    lines = text.split("\n")
    good = [re.match(r"[AB]: [A-Z0-9\"'].*[.?!\"')]$", line) is not None for line in lines]
    in_turn = all(line.startswith("AB"[i % 2] + ": ") for i, line in enumerate(lines))
    return in_turn and sum(good) >= 0.8 * len(lines)


def pieces(text):
    """Cut a long conversation into equal pieces, each of which begins with speaker A."""
    lines = text.split("\n")
    n = -(-len(text) // LONGEST)
    step = -(-len(lines) // n)
    step += step % 2
    return ["\n".join(lines[i:i + step]) for i in range(0, len(lines), step) if len(lines) - i > 3 or i == 0]


def from_corpus(path):
    """{part: its documents}"""
    parts = {name: [] for name in MIX}
    with lzma.open(path, "rt", encoding="utf-8") as f:
        documents = f.read().split(f"\n{END}\n")
    for text in documents:
        name, text = part_of(text), cleaned(text)
        if name is None or text is None or random.random() > MIX[name][0]:
            continue
        if not text.startswith("A: "):
            # questions lose their Q: and A:, for A: is a speaker here
            parts[name].append(re.sub(r"^[QA]: ", "", text, flags=re.M))
        elif tidy(text):
            parts[name] += pieces(text)
    return parts


def main():
    parser = argparse.ArgumentParser(description="Make the pretraining text of gpt2-tiny.")
    parser.add_argument("corpus", help="corpus.txt.xz")
    parser.add_argument("--out", default=".", help="the folder to write train.txt and val.txt to")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    random.seed(args.seed)

    parts = from_corpus(args.corpus)
    wanted = sum(MIX[name][1] * len(text) for name in parts for text in parts[name]) * OWN_SHARE / (1 - OWN_SHARE)
    own = {}                                     # a dictionary, because no document of our own shall come twice
    while wanted > 0:
        text = document()
        if text not in own:
            own[text] = True
            wanted -= len(text)
    parts["our own sentences"] = list(own)

    # take the validation documents out first: what is repeated must not be in both files
    train, val, rows = [], [], []
    for name, texts in parts.items():
        random.shuffle(texts)
        held_out = len(texts) // 200
        repeated = texts[held_out:] * MIX.get(name, (1, 1))[1]
        val += texts[:held_out]
        train += repeated
        rows.append((name, len(repeated), sum(map(len, repeated))))

    os.makedirs(args.out, exist_ok=True)
    for name, texts in (("train.txt", train), ("val.txt", val)):
        random.shuffle(texts)
        with open(os.path.join(args.out, name), "w", encoding="utf-8") as f:
            f.write(f"\n{END}\n".join(texts) + f"\n{END}\n")
    total = sum(size for _, _, size in rows)
    print(f"{'part':28}{'documents':>10}{'MB':>8}{'share':>8}")
    for name, count, size in rows + [("all", len(train), total)]:
        print(f"{name:28}{count:>10,}{size / 1e6:>8.1f}{size / total:>8.1%}")


if __name__ == "__main__":
    main()
