"""
Conversations that finetune.py rehearses when it trains gpt2-tiny, so that it doesn't forget what it could.

    python make_talks.py > talks.json

Talks of our own sentences, and lessons, two to five of them after one another: the data to fine-tune on has either one
question, or a whole conversation on one subject, while people who try a chatbot ask it one thing after the other.
"""
import argparse
import json
import random

from copying import Copying, all_lessons
from sentences import about_topic, ending, greeting, smalltalk, talk


def small_talk():
    """A greeting, something about a hobby, a pet, a trip or a meal, perhaps a feeling, and goodbye; half of what the user
    says is typed as people do, without capitals and full stops."""
    pairs = greeting() + about_topic() + (smalltalk() if random.random() < 0.5 else []) + ending()
    return [text for ask, answer in pairs
            for text in (ask.lower().rstrip(".!?") if random.random() < 0.5 else ask, answer)]


def main():
    parser = argparse.ArgumentParser(description="Conversations for finetune.py --rehearse.")
    parser.add_argument("--own", type=int, default=600, help="talks of our own sentences (%(default)s)")
    parser.add_argument("--small", type=int, default=200, help="small talk (%(default)s)")
    parser.add_argument("--lessons", type=int, default=400, help="conversations of lessons (%(default)s)")
    parser.add_argument("--copying", type=int, default=50, help="documents of copying.py (%(default)s)")
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    random.seed(args.seed)
    lessons = all_lessons()
    random.shuffle(lessons)
    copying = Copying([turn for lesson in lessons for turn in lesson])
    talks = [[turn for pair in talk() for turn in pair] for _ in range(args.own)]
    talks += [[turn for _ in range(random.randint(2, 5)) for turn in lessons.pop()] for _ in range(args.lessons)]
    talks += [small_talk() for _ in range(args.small)]
    talks += [copying.document() for _ in range(args.copying)]
    random.shuffle(talks)
    messages = [[{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(turns)]
                for turns in talks]
    print("[\n" + ",\n".join(json.dumps({"messages": m}) for m in messages) + "\n]")


if __name__ == "__main__":
    main()
