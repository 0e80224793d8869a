"""
Tasks that can only be done by looking: their words are drawn from all that there are, or made up.

    python copying.py                             # print some to look at

A model that knows only the common words says "satience" when asked about "patience": it guesses a word whose ending it
has seen. Here nothing can be guessed, so it pays to copy, piece by piece. The answers need not make sense otherwise.
"""
import random
import re
from pathlib import Path

SYLLABLES = ("ba be bri bo da del dor fen fi gal gro hul ja jen ka kel kri la lem li lo ma mel mi mon na nel no or pa pel "
             "pri ra rem ri ro sa sel shi sto ta tel tri tu va ven vi wel wo ya zan zel zi").split()
WORD = re.compile(r"[a-zA-Z']+")
SENTENCE = re.compile(r"(?:^|(?<=[.!?] ))[A-Z][a-zA-Z', ]{14,75}[.!?](?= |$)", re.M)


def pick(text):
    """One of the wordings in 'this|or this'."""
    return random.choice(text.split("|"))


def made_up():
    return "".join(random.choices(SYLLABLES, k=random.choice((2, 2, 3)))) + random.choice(("", "", "n", "k", "s", "m"))


class Copying:
    """The tasks, over the words, names and sentences of some texts. Each returns (question, answer) pairs, in which
    INPUT stands between the instruction and what it is about."""

    def __init__(self, texts):
        text = "\n".join(texts)
        self.words = sorted(set(re.findall(r"(?<![\w'])[a-z]{4,11}(?![\w'])", text)))
        self.names = sorted(set(re.findall(r"(?<=[a-z,] )[A-Z][a-z]{2,10}(?![\w'])", text)))
        self.sentences = sorted(set(SENTENCE.findall(text)))
        self.statements = [sentence for sentence in self.sentences if sentence.endswith(".")]

    def word(self):
        return made_up() if random.random() < 0.25 else random.choice(self.words)

    def name(self):
        return made_up().capitalize() if random.random() < 0.4 else random.choice(self.names)

    def sentence(self):
        """A sentence and its words, none of which stands in it twice, also not as a part of another."""
        while True:
            sentence = random.choice(self.sentences)
            words = WORD.findall(sentence)
            if len(words) > 2 and all(sentence.count(word) == 1 for word in words[1:]):
                return sentence, words

    def different(self, n, draw):
        """n different words or names."""
        found = {}
        while len(found) < n:
            found[draw()] = True
        return list(found)

    # ---- with sentences

    def say(self):
        ask = pick("Repeat this|Repeat after me|Say this again|Copy this sentence|Write this down|Say exactly this")
        sentence = random.choice(self.sentences)
        return [(ask + pick(f": {sentence}|: {sentence}|.INPUT{sentence}"), sentence)]

    def said(self):
        sentence = random.choice(self.statements)
        return [(sentence, pick("I see.|All right.|Good to know.|Thank you for telling me.|Okay.")),
                (pick("What did I just say?|Can you repeat what I said?|What did I say?"), f'You said: "{sentence}"')]

    def position(self):
        sentence, words = self.sentence()
        i = random.randrange(len(words) - 1)
        return [random.choice((
            (f"{pick('What is the first word?|Which word comes first?')}INPUT{sentence}", f'The first word is "{words[0]}."'),
            (f"{pick('What is the last word?|Which word comes last?')}INPUT{sentence}", f'The last word is "{words[-1]}."'),
            (f'Which word comes after "{words[i]}"?INPUT{sentence}', f'After "{words[i]}" comes "{words[i + 1]}."'),
            (f'Which word comes before "{words[i + 1]}"?INPUT{sentence}', f'Before "{words[i + 1]}" comes "{words[i]}."')))]

    def change(self):
        sentence, words = self.sentence()
        old, new = random.choice(words[1:]), self.word()
        ask = pick(f'Replace "{old}" with "{new}."|Change "{old}" to "{new}."|Use "{new}" instead of "{old}."')
        return [(f"{ask}INPUT{sentence}", sentence.replace(old, new))]

    def leave_out(self):
        sentence, words = self.sentence()
        old = random.choice(words[1:-1])
        ask = pick(f'Leave out the word "{old}."|Remove the word "{old}."')
        return [(f"{ask}INPUT{sentence}", sentence.replace(f" {old}", "", 1))]

    def join(self):
        one, two = random.sample(self.sentences, 2)
        link = pick("and|but|because|so|while")
        low = two if re.match(r"I\b", two) or two.split()[0] in self.names else two[0].lower() + two[1:]
        return [(f'Join these with "{link}."INPUT{one} {two}', f"{one[:-1]}{',' if link in ('but', 'so') else ''} {link} {low}")]

    def speaker(self):
        sentence, name = random.choice(self.sentences), self.name()
        return [random.choice(((f'What did {name} say?INPUT{name} said, "{sentence}"', f'{name} said, "{sentence}"'),
                               (f'Who said it?INPUT{name} said, "{sentence}"', f"It was {name} who said it.")))]

    def contains(self):
        sentence, words = self.sentence()
        word = random.choice((random.choice(words), self.word()))
        answer = f'Yes, the word "{word}" is in it.' if word in words else f'No, the word "{word}" is not in it.'
        return [(f'Is the word "{word}" in this sentence?INPUT{sentence}', answer)]

    # ---- with words and names

    def between(self):
        """Something else, before what was said is asked for."""
        return random.choice((self.say, self.choose, self.listing, self.who))() if random.random() < 0.5 else []

    def remember(self):
        thing, value = random.choice((
            ("word", self.word()), ("name", self.name()), ("secret word", self.word()), ("town", self.name()),
            ("number", random.randint(11, 9999))))
        ask = pick(f"What was the {thing}?|Which {thing} did I tell you?|Do you still know the {thing}?|Tell me the {thing} again.")
        return [(pick(f"Remember the {thing} {value}.|The {thing} is {value}.|Keep this {thing} in mind: {value}"),
                 pick(f"The {thing} is {value}.|I will remember the {thing} {value}.")),
                *self.between(), (ask, f"The {thing} is {value}.")]

    def called(self):
        thing = pick("dog|cat|boat|doll|street|school|teacher|village|river|brother|sister|friend|horse|club|shop")
        name = self.name()
        first = pick(f"My {thing} is called {name}.|I have a {thing} called {name}.|The name of my {thing} is {name}.")
        ask = pick(f"What is my {thing} called?|What is the name of my {thing}?|Do you remember the name of my {thing}?")
        return [(first, pick(f"{name} is a nice name.|{name} is a good name for a {thing}.|I like the name {name}.")),
                *self.between(), (ask, f"Your {thing} is called {name}.")]

    def who(self):
        n = random.choice((2, 2, 3))
        names, places = self.different(n, self.name), self.different(n, self.name)
        does = pick("lives in|comes from|works in|is traveling to")
        i, j = random.sample(range(n), 2)
        facts = " ".join(f"{name} {does} {place}." for name, place in zip(names, places))
        ask, answer = f"Who {does} {places[i]}?", f"{names[i]} {does} {places[i]}."
        more = [(f"And {places[j]}?", f"{names[j]} {does} {places[j]}.")]
        if random.random() < 0.5:
            return [(facts, pick(f"I see: {facts}|Thank you, I will remember that.")), (ask, answer), *more]
        return [(f"{ask}INPUT{facts}", answer), *(more if random.random() < 0.5 else [])]

    def choose(self):
        words = self.different(random.choice((2, 3, 3, 4)), self.word)
        i = random.randrange(len(words))
        place = ("first", "second", "third", "fourth")[i]
        ask = pick(f"Which is the {place} word?|Give me the {place} one.|Pick the {place} one.|Say the {place} word.")
        return [(f"{ask}INPUT{', '.join(words)}", f'The {place} {pick("word|one")} is "{words[i]}."')]

    def listing(self):
        words, new = self.different(3, self.word), self.word()
        before, gone = ", ".join(words), random.choice(words)
        return [random.choice((
            (f'Take "{gone}" off the list.INPUT{before}', ", ".join(word for word in words if word != gone)),
            (f'Add "{new}" to the list.INPUT{before}', f"{before}, {new}"),
            (f"{pick('Say these in reverse order.|Turn the list around.')}INPUT{before}", ", ".join(words[::-1]))))]

    def quoted(self):
        word = self.word()
        return [random.choice((
            (f"Put this word in quotation marks: {word}", f'"{word}"'),
            (f"Say the word {word}.", f'The word is "{word}."'),
            (f'Say the word "{word}" three times.', f"{word}, {word}, {word}"),
            (f"Write the word {word} with a capital letter.", word.capitalize())))]

    def document(self):
        """One to four tasks after one another: a list of turns."""
        tasks = (self.say, self.said, self.position, self.change, self.leave_out, self.join, self.speaker, self.contains,
                 self.choose, self.listing, self.quoted, *[self.remember, self.called, self.who, self.change] * 2)
        pairs = [pair for _ in range(random.randint(1, 4)) for pair in random.choice(tasks)()]
        return [text.replace("INPUT", pick("\n\n|\n\n| |\n")) for pair in pairs for text in pair]


def all_lessons():
    """lessons/*.tsv: a list of lists of turns."""
    return [line.replace("\\n", "\n").split("\t") for path in sorted((Path(__file__).parent / "lessons").glob("*.tsv"))
            for line in path.read_text(encoding="ascii").splitlines()]


if __name__ == "__main__":
    copying = Copying([turn for lesson in all_lessons() for turn in lesson])
    for _ in range(30):
        print("\n".join("AB"[i % 2] + ": " + turn for i, turn in enumerate(copying.document())), end="\n\n")
