"""
Text of our own making: short talks and small tasks whose answers use the words of the question.

    python sentences.py 60                        # print 60 random documents to look at

What a very small model lacks most is using the words of its prompt, and doing what it is told. In these
documents the answer is always there in the question, or in one of the tables in words.py, so the model
is paid for looking. Each function marked @kind makes one kind of document: a list of turns, each of them
(what the user says, what the assistant answers).
"""
import random
import sys

from words import *

KINDS = []                     # (function, weight)


def kind(weight):
    """Put the function on the list of kinds. One of weight 2 is drawn twice as often as one of weight 1."""
    def mark(function):
        KINDS.append((function, weight))
        return function
    return mark


# ---- small tools of English ----

def pick(choices):
    """One of a list, or of the wordings in 'this|or this'."""
    return random.choice(choices.split("|") if isinstance(choices, str) else choices)


def some(choices, n):
    """n different ones."""
    return random.sample(list(choices), n)


def a(noun):
    """apple -> an apple, hat -> a hat"""
    return ("an " if noun[0] in "aeiou" and not noun.startswith("use") else "a ") + noun


def up(text):
    """The same text with a capital first letter."""
    return text[0].upper() + text[1:]


def listed(words, last="and"):
    """['a', 'b', 'c'] -> 'a, b and c'"""
    return ", ".join(words[:-1]) + f" {last} " + words[-1]


def plural(noun):
    if noun in PLURALS:
        return PLURALS[noun]
    if " of " in noun:                                     # box of crayons -> boxes of crayons
        head, rest = noun.split(" of ", 1)
        return plural(head) + " of " + rest
    if noun.endswith(("s", "x", "ch", "sh")):
        return noun + "es"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + "s"


def third(verb):
    """(she) write -> writes; the same rule as for plurals, but for no irregular ones"""
    if verb.endswith(("s", "x", "ch", "sh")):
        return verb + "es"
    return verb[:-1] + "ies" if verb.endswith("y") and verb[-2] not in "aeiou" else verb + "s"


def ing(verb):
    """write -> writing, cut -> cutting, see -> seeing"""
    if verb in DOUBLED:
        return verb + verb[-1] + "ing"
    return (verb[:-1] if verb.endswith("e") and not verb.endswith("ee") else verb) + "ing"


def person():
    """A name and its pronouns: ('Nora', 'she', 'her')"""
    return (pick(GIRLS), "she", "her") if random.random() < 0.5 else (pick(BOYS), "he", "his")


def people(n):
    """n different names."""
    return some(GIRLS + BOYS, n)


def subject():
    """Somebody: Nora, the farmer, my brother."""
    return person()[0] if random.random() < 0.6 else pick(PEOPLE)


def action():
    """('write', 'wrote', 'written', 'a letter')"""
    base, past, participle, objects = pick(VERBS)
    return base, past, participle, pick(objects.split(", "))


def quoted(text):
    """Users quote what they want changed in different ways."""
    return pick([f': "{text}"', f": {text}", f": {text}", f":\n{text}"])


def sentence():
    """A plain true-or-not sentence, to be repeated, counted or changed."""
    base, past, _, thing = action()
    who = up(subject())
    return pick([f"{who} {past} {thing}.", f"{who} will {base} {thing}.", f"{who} {past} {thing} on {pick(DAYS)}.",
                 f"The {pick(SMALL)} is {pick(SPOTS)}.", f"{who} likes {pick(FOODS)} and {pick(HOBBIES)}.",
                 f"We saw {a(pick(ADJECTIVES[:-1]) + ' ' + pick(PAINTED))} in {pick(CITIES)}."])


# things that may have any color: a purple scarf is fine, a purple lemon is silly
PAINTED = [thing for thing in SMALL if thing not in ("apple", "pear", "lemon", "orange", "banana", "cookie", "coin", "bag of nuts", "mirror")]


def aside():
    """Now and then a turn about something else, so that what is to be remembered lies further back."""
    return pick([fact, capital, opposite, definition, sums, spell])() if random.random() < 0.35 else []


# ---- remembering what was said ----

OWN = {      # what people tell about themselves: (how they say it, how they ask for it, what the assistant answers)
    "cat": ("I have a cat called {}", "What is my cat called?|What is the name of my cat?|Do you remember my cat's name?", "Your cat is called {}."),
    "dog": ("my dog is called {}", "What is my dog called?|What's my dog's name?|Do you remember the name of my dog?", "Your dog is called {}."),
    "city": ("I live in {}", "Where do I live?|Which city do I live in?|Do you remember where I live?", "You live in {}."),
    "color": ("my favorite color is {}", "What is my favorite color?|Which color do I like best?|What's my favorite color?", "Your favorite color is {}."),
    "job": ("I work as {}", "What is my job?|What do I do for a living?|What do I work as?", "You work as {}."),
    "hobby": ("I love {}", "What do I love doing?|What do I like to do?|What is my hobby?", "You love {}."),
    "food": ("my favorite food is {}", "What is my favorite food?|Which food do I like best?|What do I like to eat?", "Your favorite food is {}."),
    "day": ("my birthday is in {}", "When is my birthday?|In which month is my birthday?", "Your birthday is in {}."),
    "age": ("I am {} years old", "How old am I?|Do you remember my age?", "You are {} years old."),
    "sister": ("my sister is called {}", "What is my sister's name?|What is my sister called?", "Your sister is called {}."),
    "brother": ("my brother is called {}", "What is my brother's name?|What is my brother called?", "Your brother is called {}."),
}
INTEREST = {  # and what one can say or ask when hearing it
    "cat": "How old is {}?|{} is a lovely name for a cat.|What does {} look like?", "dog": "How old is {}?|{} is a good name for a dog.|Does {} like long walks?",
    "city": "What do you like about {}?|How is life in {}?|I hope the weather in {} is nice today.", "color": "{cap} is a nice color.|Do you wear {} clothes?",
    "job": "Do you enjoy your work as {}?|Being {} must be interesting.", "hobby": "{cap} sounds like fun.|How did you get into {}?|How often do you have time for {}?",
    "food": "{cap} is a good choice.|Do you make {} yourself?", "day": "{} is a good month for a party.", "age": "{} is a fine age.",
    "sister": "Do you and {} get along well?|Is {} older than you?", "brother": "Do you and {} get along well?|Is {} older than you?",
}


def detail(key):
    return {"cat": lambda: pick(PETS), "dog": lambda: pick(PETS), "city": lambda: pick(CITIES), "color": lambda: pick(COLORS),
            "job": lambda: a(pick(JOBS)), "hobby": lambda: pick(HOBBIES), "food": lambda: pick(FOODS), "day": lambda: pick(MONTHS),
            "age": lambda: str(random.randint(18, 80)), "sister": lambda: pick(GIRLS), "brother": lambda: pick(BOYS)}[key]()


@kind(14)
def introduction():
    """Hi, I'm Nora and my cat is called Pip. ... What is my cat called?"""
    name = person()[0]
    keys = some(OWN, random.choice([1, 1, 2]))
    values = {key: detail(key) for key in keys}
    while len(set(values.values()) | {name}) < len(keys) + 1:
        values = {key: detail(key) for key in keys}
    told = " and ".join(OWN[key][0].format(values[key]) for key in keys)
    hello = pick(f"Hi, I'm {name}|Hello, my name is {name}|Hi there! I am {name}|Good morning, I'm {name}|My name is {name}|Hello! I'm {name}")
    start = pick([f"{hello} and {told}.", f"{hello}. {up(told)}."])
    key = keys[-1]
    interest = pick(INTEREST[key]).format(values[key], cap=up(values[key]))
    turns = [(start, pick(f"Nice to meet you, {name}.|Hello, {name}!|Hi {name}, nice to meet you.|Hi, {name}!|It is good to meet you, {name}.") + " " + up(interest))]
    turns += aside()
    questions = [(pick("What is my name?|What's my name?|Do you remember my name?|Who am I?"), pick(f"Your name is {name}.|You are {name}.|Your name is {name}."))]
    questions += [(pick(OWN[k][1]), OWN[k][2].format(values[k])) for k in keys]
    random.shuffle(questions)
    turns += questions[:random.choice([1, 2, 2, 3])]
    if random.random() < 0.3:
        turns.append((pick("Thank you!|Thanks.|That's right, thank you.|You have a good memory."), pick(f"You're welcome, {name}.|Any time, {name}.|Glad to help, {name}.")))
    return turns


@kind(3)
def correction():
    """Call me Tom. No, my name is Tim."""
    first, second = people(2)
    return [(pick(f"Hi, I'm {first}.|My name is {first}.|Please call me {first}."), pick(f"Hello, {first}! How can I help you?|Nice to meet you, {first}.|All right, {first}.")),
            (pick(f"Sorry, I meant {second}, not {first}.|Actually, my name is {second}.|No, call me {second} instead."), pick(f"All right, {second}.|Thanks for telling me, {second}.|Got it, {second}.")),
            (pick("What is my name?|So what's my name?|Who am I?"), pick(f"Your name is {second}.|You are {second}."))]


@kind(5)
def shopping():
    """A list that is told, made longer or shorter, and asked back."""
    items = some(GROCERIES, random.randint(3, 5))
    more = items.pop()
    turns = [(pick(f"I need to buy {listed(items)}.|My shopping list: {', '.join(items)}.|Please remember my shopping list: {listed(items)}.|Put {listed(items)} on my shopping list.|We are out of {listed(items)}."),
              pick(f"I will remember {listed(items)}.|Your list has {listed(items)}.|All right: {listed(items)}."))]
    if random.random() < 0.4:
        turns.append((pick(f"Please add {more}.|Oh, and {more} too.|Add {more} to the list."), pick(f"I added {more}.|Done. {up(more)} on the list too.|Now the list is {listed(items + [more])}.").replace(f"{up(more)} on", f"I put {more} on")))
        items.append(more)
    elif random.random() < 0.5 and len(items) > 2:
        gone = pick(items)
        items.remove(gone)
        turns.append((pick(f"I already have {gone}.|Take {gone} off the list.|Please remove {gone}."), pick(f"I removed {gone}.|All right, no {gone}.|I took {gone} off the list.")))
    turns += aside()
    turns.append((pick("What do I need to buy?|What is on my list?|Read me my shopping list.|What was on my shopping list?|What should I get at the store?"),
                  pick(f"You need to buy {listed(items)}.|Your list has {listed(items)}.|{up(listed(items))}.|You need {listed(items)}.")))
    return turns


PLANS = """have dinner with {}|meet {} for coffee|play tennis with {}|go swimming with {}|call {}|see a movie with {}|visit {}|
go to the museum with {}|have lunch with {}|help {} in the garden|go shopping with {}|bake a cake with {}""".replace("\n", "").split("|")


@kind(5)
def plans():
    """Who, what, when: told once, asked back in parts."""
    name, day, plan = person()[0], pick(DAYS), pick(PLANS)
    hour = pick("nine|ten|eleven|two|three|four|five|six|seven")
    plan = plan.format(name)
    turns = [(pick(f"On {day} at {hour} I will {plan}.|I'm going to {plan} on {day} at {hour}.|Remind me: on {day} at {hour} I want to {plan}.|My plan for {day} is to {plan} at {hour}."),
              pick(f"That sounds nice. {day} at {hour}, then.|I will remember: {plan}, {day} at {hour}.|Enjoy your time with {name} on {day}!|Have fun on {day}!"))]
    turns += aside()
    questions = [(pick("What day is that?|On which day is it?|Which day did I say?"), pick(f"It is on {day}.|You said {day}.")),
                 (pick("At what time?|What time did I say?|When do I have to be there?"), pick(f"At {hour} on {day}.|You said {hour} o'clock.")),
                 (pick("Who will I be with?|Who is it with?|With whom?"), pick(f"With {name}.|You will be with {name}.")),
                 (pick(f"What am I doing on {day}?|What are my plans for {day}?|What did I plan for {day}?"), f"On {day} at {hour} you will {plan}.")]
    if len(turns) > 1:                              # after an aside, "what day is that?" would be unclear
        questions = questions[-1:]
    if "call " in plan or "visit " in plan:         # one is not "with" somebody on the phone
        questions = [q for q in questions if "ith" not in q[1]]
        turns[0] = (turns[0][0], f"I will remember: {plan}, {day} at {hour}.")
    return turns + some(questions, min(len(questions), random.choice([1, 2])))


@kind(4)
def remember_word():
    """A word, a number or a code to keep in mind."""
    what, value = pick([("word", pick(SMALL)), ("number", str(random.randint(2, 999))), ("color", pick(COLORS)),
                        ("city", pick(CITIES)), ("name", person()[0]), ("code", f"{random.randint(100, 999)}")])
    return [(pick(f"Remember the {what} {value}.|Please remember this {what}: {value}.|Keep this {what} in mind: {value}.|The secret {what} is {value}.|I am thinking of the {what} {value}."),
             pick(f"All right, {value}.|I will remember {value}.|Got it: {value}.|OK, the {what} is {value}."))] + aside() + [
            (pick(f"What was the {what}?|Which {what} did I tell you?|What is the {what}?|Do you still know the {what}?|Tell me the {what}."), pick(f"The {what} is {value}.|It was {value}.|You said {value}.|{up(value)}."))]


@kind(4)
def preference():
    """I like tea but not coffee. What should I order?"""
    good, bad = some(pick([DRINKS, FOODS, HOBBIES]), 2)
    asks = f"Which of the two do I like?|Do I like {good} or {bad}?|{up(good)} or {bad}: which one is for me?"
    return [(pick(f"I like {good}, but I don't like {bad}.|I love {good}. I can't stand {bad}.|I'm a fan of {good}, but not of {bad}.|I don't like {bad}, but I like {good}."),
             pick(f"What do you like about {good}?|{up(good)} is a good choice.|Good to know: {good}, but no {bad}.|I will remember that you like {good}.")),
            *pick([[(pick(asks), pick(f"You like {good}.|{up(good)}.|You like {good}, but not {bad}."))],
                   [("What don't I like?", pick(f"You don't like {bad}.|{up(bad)}."))], [("What do I like?", pick(f"You like {good}.|{up(good)}."))]])]


# ---- little stories with questions ----

@kind(8)
def who_has():
    """Tom has a red kite, Nora has a blue ball. Who has the ball?"""
    names, things, colors = people(2), some(PAINTED, 2), some(COLORS, 2)
    items = [f"{color} {thing}" for color, thing in zip(colors, things)]
    verb, base = pick([("has", "have"), ("bought", "buy"), ("found", "find"), ("got", "get"), ("lost", "lose")])
    text = pick([f"{names[0]} {verb} {a(items[0])}. {names[1]} {verb} {a(items[1])}.",
                 f"{names[0]} {verb} {a(items[0])} and {names[1]} {verb} {a(items[1])}."])
    i = random.randrange(2)
    does = "does" if base == "have" else "did"
    questions = [(f"Who {verb} the {things[i]}?", pick(f"{names[i]}.|{names[i]} {verb} the {things[i]}.")),
                 (f"What {does} {names[i]} {base}?", pick(f"{names[i]} {verb} {a(items[i])}.|{up(a(items[i]))}.")),
                 (f"What color is the {things[i]}?", pick(f"The {things[i]} is {colors[i]}.|{up(colors[i])}.")),
                 (f"Who {verb} something {colors[i]}?", f"{names[i]} {verb} {a(items[i])}.")]
    chosen = some(questions, 2)
    return [(text + pick([" ", "\n"]) + chosen[0][0], chosen[0][1])] + (chosen[1:] if random.random() < 0.5 else [])


@kind(8)
def where_is():
    """Something is put somewhere, perhaps moved. Where is it now?"""
    (name, he, his), thing, (first, second) = person(), pick([x for x in SMALL if x not in ("basket", "lamp")]), some(SPOTS, 2)
    other = pick([n for n in people(2) if n != name])
    start = pick(f"{name} put the {thing} {first}.|{name} left {his} {thing} {first}.|{name}'s {thing} was {first}.")
    end = pick(f"Then {he} put it {second}.|Later {other} put it {second}.|After lunch {other} moved it. Now it is {second}.")
    if random.random() < 0.4:
        return [(f"{start} " + pick(f"Where is the {thing}?|Where can {name} find the {thing}?|Where should we look for the {thing}?"), pick(f"The {thing} is {first}.|It is {first}.|{up(first)}."))]
    turns = [(f"{start} {end} " + pick(f"Where is the {thing} now?|Where is the {thing}?"), pick(f"The {thing} is {second}.|It is {second} now."))]
    if random.random() < 0.5:
        turns.append((pick("Where was it before?|And where was it first?"), pick(f"It was {first}.|Before that it was {first}.")))
    if other in end and random.random() < 0.4:
        turns.append((pick("Who moved it?|Who put it there?"), pick(f"{other} did.|{other} put it there.")))
    return turns


@kind(5)
def gave():
    """Tom gave the ring to Nora. Who has it now?"""
    (one, two), thing = people(2), f"{pick(COLORS)} {pick(PAINTED)}"
    place = pick(PLACES)
    text = pick(f"{one} gave {two} {a(thing)} at the {place}.|At the {place}, {one} gave {a(thing)} to {two}.|{two} got {a(thing)} from {one} at the {place}.")
    questions = [("Who has it now?", f"{two} has it now."), (f"What did {two} get?", pick(f"{two} got {a(thing)}.|{up(a(thing))}.")),
                 (f"Who gave {two} the {thing.split(' ', 1)[1]}?", pick(f"{one} did.|{one} gave it to {two}.")), ("Where did it happen?", pick(f"It happened at the {place}.|At the {place}.")),
                 (f"Who got the {thing.split(' ', 1)[1]}?", f"{two} got it.")]
    chosen = some(questions, 2)
    return [(f"{text} {chosen[0][0]}", chosen[0][1]), chosen[1]][:random.choice([1, 2])]


@kind(6)
def compare():
    """Ben is 9, Tom is 7. Who is older, who is younger?"""
    names, (x, y), i = people(2), some(range(6, 60), 2), random.randrange(2)
    text, verb, words = pick([(f"{names[0]} is {x} years old and {names[1]} is {y}.", "is", ("older", "younger")),
                              (f"{names[0]} has {x} stamps. {names[1]} has {y} stamps.", "has", ("more", "fewer")),
                              (f"{names[0]} read {x} pages, {names[1]} read {y}.", "read", ("more", "fewer"))])
    answer = (names if x > y else names[::-1])[i]
    return [(f"{text} Who {verb} {words[i]}?", pick(f"{answer} {verb} {words[i]}.|{answer}."))]


@kind(4)
def taller():
    """Tom is taller than Nora: turn the comparison around."""
    (one, two), (more, less) = people(2), pick([("taller", "shorter"), ("older", "younger"), ("faster", "slower"), ("stronger", "weaker"), ("louder", "quieter")])
    return [pick([(f"{one} is {more} than {two}. Who is {less}?", f"{two} is {less}."), (f"{one} is {more} than {two}. Who is {more}?", f"{one} is {more}."),
                  (f"{one} is {more} than {two}. Is {two} {more} than {one}?", f"No, {one} is {more} than {two}."), (f"{one} is {more} than {two}. Is {two} {less}?", f"Yes, {two} is {less} than {one}.")])]


@kind(6)
def yes_no():
    """Is the ball red? Yes, or no and what is right."""
    thing, (color, other), name, city = pick(PAINTED), some(COLORS, 2), person()[0], pick(CITIES)
    wrong = pick([c for c in CITIES if c != city])
    return [pick([(f"The {thing} is {color}. Is the {thing} {color}?", f"Yes, the {thing} is {color}."),
                  (f"The {thing} is {color}. Is it {other}?", pick(f"No, it is {color}.|No, the {thing} is {color}.")),
                  (f"{name} lives in {city}. Does {name} live in {wrong}?", f"No, {name} lives in {city}."),
                  (f"{name} lives in {city}. Does {name} live in {city}?", f"Yes, {name} lives in {city}."),
                  (f"{name} lives in {city} and has {a(color + ' ' + thing)}. What does {name} have?", f"{name} has {a(color + ' ' + thing)}."),
                  (f"{name} from {city} has {a(color + ' ' + thing)}. Where is {name} from?", f"{name} is from {city}.")])]


@kind(5)
def who_did():
    """Questions about one sentence: who, what, when."""
    who, (base, past, _, thing), day = subject(), action(), pick(DAYS)
    text = f"{up(who)} {past} {thing} on {day}."
    yours = who.replace("my ", "your ").replace("our ", "your ")
    return [pick([(f"{text} Who {past} {thing}?", pick(f"{up(yours)} did.|{up(yours)} {past} {thing}.")), (f"{text} On which day?", f"On {day}."),
                  (f"{text} When was that?", f"That was on {day}."), (f"{text} What did {who} do?", f"{up(yours)} {past} {thing}."),
                  (f"Answer the question. {text} On what day did {who} {base} {thing}?", f"On {day}."), (f'Read this: "{text}" What happened on {day}?', f"{up(yours)} {past} {thing}.")])]


# ---- stories and notes from the words of the request ----

ANIMALS = "fox rabbit bear mouse owl frog cat dog horse turtle duck squirrel penguin elephant hedgehog goat lamb".split()


@kind(9)
def story():
    """Write a story about a fox called Pip."""
    animal, pet, place, thing = pick(ANIMALS), pick(PETS), pick("forest|garden|park|farm|village|meadow|lake|river|barn"), pick(SMALL)
    friend = pick([n for n in some(ANIMALS, 2) if n != animal])
    he, his, him = pick([("he", "his", "him"), ("she", "her", "her")])
    where = pick(["in", "near"]) if place not in ("farm", "lake", "river") else "near"
    mood = pick("happy|brave|little|curious|kind|shy|clever|sleepy")
    task = pick(f"Write a story about {a(animal)} called {pet}.|Tell me a story about {a(mood + ' ' + animal)} named {pet}.|Write a short story with {a(animal)} called {pet} and {a(thing)}.|"
                f"Tell me a short story about {a(animal)} and {a(thing)}. The {animal} is called {pet}.|Can you tell me a story about {pet} the {animal}?|Make up a story about {a(animal)} named {pet} and {a(friend)}.|"
                f"I want a story about {pet}, {a(animal)} who finds {a(thing)}.")
    if f"and {a(friend)}." in task:
        plots = [f"{up(he)} wanted to play, but nobody was there. Then {a(friend)} came along and said, \"May I play with you?\" They played until dark and became good friends.",
                 f"One day {he} met {a(friend)} who was lost. {pet} showed the {friend} the way home. The {friend} gave {him} {a(thing)} to say thank you."]
    else:
        plots = [f"One day {he} found {a(thing)}. \"Whose {thing} is this?\" {he} asked. A little {friend} said, \"It is mine!\" {pet} gave it back, and the two became friends.",
                 f"One morning {he} found {a(thing)} on the path. {up(he)} took the {thing} home and showed it to the {friend}. They were happy with it all day long."]
        if "finds" not in task:
            plots.append(f"One day {he} lost {his} {thing}. {up(he)} looked everywhere. At last a kind {friend} found the {thing} and brought it back. {pet} was very happy.")
    return [(task, f"Once there was {a(mood + ' ' + animal)} called {pet} who lived {where} {a(place)}. " + pick(plots))]


@kind(4)
def note():
    """Thank-you notes, invitations, excuses: with the names and things of the request."""
    (to, sender), thing, day, hour, place = people(2), pick(SMALL), pick(DAYS), pick("three|four|five|six|seven"), pick(PLACES)
    return [pick([
        (pick(f"Write a thank-you note to {to} for the {thing}. My name is {sender}.|I'm {sender}. Please write a short note to thank {to} for the {thing}."),
         f"Dear {to},\n" + pick(f"Thank you very much for the {thing}. I like it a lot.|Thank you for the lovely {thing}! It made me very happy.") + f"\n{pick('Best wishes|Love|Your friend')}, {sender}"),
        (pick(f"Invite {to} to my party on {day} at {hour}. I am {sender}.|Write an invitation from {sender} to {to} for a party on {day} at {hour}."),
         f"Dear {to},\n" + pick(f"I am having a party on {day} at {hour}. I hope you can come!|Please come to my party on {day} at {hour}. It would be nice to see you.") + f"\n{sender}"),
        (pick(f"Tell {to} that I will be late. Sign it {sender}.|Write a message to {to} that {sender} will be late."), f"Dear {to},\nI am sorry, but I will be a little late.\n{sender}"),
        (pick(f"Ask {to} to meet me at the {place} on {day}.|Write a message to {to}: meet me at the {place} on {day}."), pick(f"Hi {to}, can you meet me at the {place} on {day}?|Dear {to}, please meet me at the {place} on {day}.")),
        (pick(f"Write a birthday wish for {to}.|Write a birthday card to {to} from {sender}."), pick(f"Happy birthday, {to}! I wish you a wonderful day. {sender}|Dear {to}, happy birthday! Have a lovely day. {sender}")),
    ])]


# ---- copying and choosing ----

@kind(7)
def repeat():
    text, words = sentence(), " ".join(some(SMALL, 3))
    word, (n, count) = pick(SMALL + COLORS + FOODS), pick([("twice", 2), ("two times", 2), ("three times", 3)])
    ask = pick("Repeat after me|Say this|Please repeat|Repeat this sentence|Copy this sentence|Say exactly this|Write this down")
    return [pick([(ask + quoted(text), text), (ask + quoted(text), text), (pick(f"Say {words}.|Repeat these words: {words}."), up(words) + "."),
                  (pick(f"Say {word} {n}.|Repeat the word {word} {n}.|Write {word} {n}."), up(", ".join([word] * count)) + ".")])]


@kind(6)
def choose():
    """Pick the first, the second, the last of what is offered."""
    items = some(pick([FOODS, DRINKS, COLORS, CITIES, SMALL, GROCERIES]), random.choice([2, 3, 3]))
    which, i = pick([("first", 0), ("second", 1), ("last", -1)] + ([("third", 2), ("middle", 1)] if len(items) == 3 else []))
    offer = listed(items, "or")
    return [(pick(f"{up(offer)}? Take the {which} one.|Choose the {which} one: {offer}.|I offer you {offer}. Pick the {which} one.|Which one comes {which}: {offer}?|What is the {which} of these: {', '.join(items)}?").replace("comes middle", "is in the middle").replace("comes second", "is the second").replace("comes third", "is the third"),
             pick(f"{up(items[i])}.|The {which} one is {items[i]}.|{up(items[i])}, please." if which != "third" else f"{up(items[i])}.").replace(", please", ""))]


@kind(4)
def offer():
    """The assistant offers, the user chooses, the assistant takes it up."""
    one, two = some(pick([DRINKS, FOODS]), 2)
    got = pick([one, two])
    other = two if got == one else one
    return [(pick("I'm hungry and thirsty.|What can I have?|I would like to order something.|What do you have today?"), pick(f"We have {one} and {two}. Which one would you like?|You can have {one} or {two}.|Would you like {one} or {two}?")),
            (pick(f"I'll take the {'first' if got == one else 'second'} one.|{up(got)}, please.|I would like {got}.|Not {other}, the other one, please.|I don't want {other}."), pick(f"{up(got)} it is.|Very well, {got} for you.|All right, {got}.|One moment, here is your {got}."))]


@kind(4)
def suggestion():
    """A story or a talk about one of two things: the user says which."""
    one, two = some(HOBBIES, 2)
    i = random.randrange(2)
    return [(pick("I'm bored.|What can I do today?|I have some free time. Any ideas?|What should I do this weekend?"), pick(f"You could try {one} or {two}.|How about {one} or {two}?|Do you like {one} or {two}?")),
            (pick(f"I like {(one, two)[i]} more.|{up((one, two)[i])} sounds good.|The {('first', 'second')[i]} idea is better.|I have never tried {(one, two)[i]}."), pick(f"Then {(one, two)[i]} it is. Have fun!|Great, I hope you enjoy {(one, two)[i]}.|{up((one, two)[i])} is a good way to spend the day."))]


@kind(4)
def extract():
    """Find the name, the city, the color, the number in a sentence."""
    name, city, color, thing, n = person()[0], pick(CITIES), pick(COLORS), pick(PAINTED), random.randint(2, 20)
    what, answer = pick([("name", name), ("city", city), ("color", color), ("number", str(n))])
    text = pick(f"{name} bought {n} {color} {plural(thing)} in {city}.|In {city}, {name} saw {n} {color} {plural(thing)}.|{name} sent {n} {color} {plural(thing)} to {city}.")
    return [(pick([f"Which {what} is in this sentence?", f"Find the {what} in this sentence", f"What is the {what} here?", f"Extract the {what}", f"Which {what} do you see in this text?"]).rstrip("?") + quoted(text), pick(f"{up(answer)}.|The {what} is {answer}."))]


@kind(4)
def replace():
    """Change one word of a sentence."""
    one, two = people(2)
    (c1, c2), thing, spot = some(COLORS, 2), pick(PAINTED), pick(SPOTS)
    base, past, _, what = action()
    return [pick([(pick([f"Replace {one} with {two}", f"Change the name {one} to {two}", f"Put {two} instead of {one}"]) + quoted(f"{one} {past} {what}."), f"{two} {past} {what}."),
                  (pick([f"Replace {c1} with {c2}", f"Change {c1} to {c2}", f"Make it {c2} instead of {c1}"]) + quoted(f"The {c1} {thing} is {spot}."), f"The {c2} {thing} is {spot}.")])]


# ---- words and letters ----

def any_word():
    return pick([w for w in SMALL + COLORS + [t[0] for t in THINGS] if " " not in w])


@kind(4)
def spell():
    word = any_word()
    return [(pick(f"Spell the word {word}.|How do you spell {word}?|Can you spell {word}?|Spell {word} for me.|Please spell {word}."), pick(["-", "-", " "]).join(word.upper()) + pick(["", "", "."]))]


@kind(3)
def letters():
    word = any_word()
    return [pick([(pick(f"What is the first letter of {word}?|Which letter does {word} begin with?|With what letter does {word} start?"), pick(f"The first letter of {word} is {word[0].upper()}.|It is {word[0].upper()}.|{up(word)} begins with {word[0].upper()}.")),
                  (pick(f"What is the last letter of {word}?|Which letter does {word} end with?"), pick(f"The last letter of {word} is {word[-1].upper()}.|{up(word)} ends with {word[-1].upper()}.")),
                  (pick(f"How many letters are in {word}?|How many letters does {word} have?|Count the letters in {word}."), pick(f"{up(word)} has {NUMBERS[len(word)]} letters.|{up(NUMBERS[len(word)])}."))])]


@kind(4)
def which_word():
    text = sentence()
    words = text.rstrip(".").split()
    return [pick([(pick(["What is the first word of this sentence?", "Give me the first word of this sentence", "Which word comes first here?"]).rstrip("?") + quoted(text), up(words[0]) + "."),
                  (pick(["What is the last word of this sentence?", "Give me the last word", "Which word comes last here?"]).rstrip("?") + quoted(text), up(words[-1]) + "."),
                  (pick(["How many words are in this sentence?", "Count the words"]).rstrip("?") + quoted(text), pick(f"{up(NUMBERS[len(words)])}.|There are {NUMBERS[len(words)]} words."))])]


@kind(2)
def capitals_of_letters():
    text = pick([sentence(), any_word()])
    return [pick([(pick(["Write this in capital letters", "Put this in upper case", "Make this all capitals"]) + quoted(text), text.upper()),
                  (pick(["Write this in small letters", "Put this in lower case"]) + quoted(text.upper()), text.lower())])]


@kind(5)
def use_word():
    """Use the word lamp in a sentence."""
    noun, nice = pick(SMALL), pick("new|old|small|big|nice|beautiful")
    adjective, fits = pick(FITTING)
    fitting = pick(fits.split(", "))
    base, _, _, thing = action()
    name, he, his = person()
    ask = "Use the word {0} in a sentence.|Make a sentence with the word {0}.|Write a sentence with {0}.|Can you use {0} in a sentence?|Give me a sentence with the word {0}."
    return [pick([(pick(ask + "|Write one sentence about {1}.").format(noun, a(noun)), pick(f"{name} keeps {his} {noun} {pick(SPOTS)}.|I saw {a(nice + ' ' + noun)} at the market.|There is {a(noun)} {pick(SPOTS)}.|{name} gave me {a(nice + ' ' + noun)}.|Where did you put the {noun}?")),
                  (pick(ask).format(base), pick(f"{name} will {base} {thing}.|Did you {base} {thing}?|{name} did not {base} {thing}.|Who will {base} {thing}?")),
                  (pick(ask).format(adjective), pick(f"The {fitting} is {adjective}.|I can see {a(adjective + ' ' + fitting)}.|What {a(adjective + ' ' + fitting)}!"))])]


@kind(2)
def describing():
    """What kind of stone? A heavy stone."""
    adjective, fits = pick(FITTING)
    noun = pick(fits.split(", "))
    return [pick([(f"The {noun} is {adjective}. What is {adjective}?", f"The {noun} is {adjective}."), (f"The {noun} is {adjective}. How is the {noun}?", f"It is {adjective}."),
                  (pick("Find the adjective|What is the adjective here") + quoted(f"I can see {a(adjective + ' ' + noun)}."), up(adjective) + "."),
                  (f"Shorten this: {a(noun)} {'who' if noun in 'man girl boy child baby singer doctor neighbor'.split() else 'that'} is {adjective}.", f"{up(a(adjective + ' ' + noun))}.")])]


@kind(3)
def two_words():
    """A sentence with two given words."""
    (one, two), (name, he, his) = some(SMALL, 2), person()
    return [(pick(f"Write a sentence with the words {one} and {two}.|Use {one} and {two} in one sentence.|Make a sentence with {one} and {two}."),
             pick(f"{name} has {a(one)} and {a(two)}.|The {one} is next to the {two}.|{name} put {his} {one} and {his} {two} {pick(SPOTS)}.|I can see {a(one)}, but where is the {two}?"))]


@kind(3)
def rhyme():
    group = pick(RHYMES)
    one, two = some(group, 2)
    return [(pick(f"What rhymes with {one}?|Give me a word that rhymes with {one}.|Find a rhyme for {one}."), pick(f"{up(two)} rhymes with {one}.|{up(two)}."))]


# ---- grammar ----

def reword(ask, before, after):
    return [(pick(ask.split("|")) + quoted(before), after)]


@kind(10)
def tense():
    """The same sentence in another tense, as a question, or with not."""
    who, (base, past, participle, thing) = subject(), action()
    W = up(who)
    forms = {"past": f"{W} {past} {thing}.", "present": f"{W} {third(base)} {thing}.", "future": f"{W} will {base} {thing}."}
    before = pick(["present", "present", "past", "future"])
    now = forms[before]
    helper, verb = {"past": ("did", base), "present": ("does", base), "future": ("will", base)}[before]
    after, ask = pick([("past", "Put this in the past tense|Change to the past|Rewrite this sentence in the past tense|Write this in the past"),
                       ("future", "Put this in the future tense|Change to the future|Rewrite this sentence in the future"),
                       ("present", "Put this in the present tense|Change to the present tense"),
                       ("question", "Make this a question|Turn this sentence into a question|Change this to a question|Rewrite this as a question"),
                       ("not", "Make this negative|Make this sentence negative|Put not into this sentence"),
                       ("ing", "Rewrite this so that it is happening right now|Use the -ing form")])
    forms |= {"question": f"{up(helper)} {who} {verb} {thing}?", "not": f"{W} {helper} not {verb} {thing}.", "ing": f"{W} is {ing(base)} {thing}."}
    if after == before:
        return reword("What tense is this|Which tense is used here", now, pick(f"It is in the {before} tense.|The {before} tense.|{up(before)}."))
    if after == "ing" and base in "know see hear keep forget lose find leave".split():
        return tense()                                     # "is knowing" is not English
    return reword(ask, now, forms[after])


@kind(5)
def passive():
    who, (base, past, participle, thing) = person()[0], action()
    last = thing.split()[-1]
    if " on " in thing or " in " in thing or " to " in thing or (thing.startswith("the ") and last.endswith("s") and not last.endswith("ss")):
        return passive()                                   # keep to simple objects in the singular
    active, changed = f"{who} {past} {thing}.", f"{up(thing)} was {participle} by {who}."
    if random.random() < 0.35:
        return reword("Make this active|Change to the active voice|Rewrite in the active voice", changed, active)
    return reword("Make this passive|Change to the passive voice|Rewrite this sentence in the passive|Put this into the passive voice", active, changed)


@kind(4)
def verb_form():
    base, past, participle, _ = action()
    form, name = pick([(past, "past tense"), (participle, "past participle"), (ing(base), "-ing form"), (past, "simple past")])
    return [(pick(f"What is the {name} of {base}?|Give me the {name} of the verb {base}.|{up(name)} of {base}?"), pick(f"The {name} of {base} is {form}.|{up(form)}."))]


@kind(5)
def plurals():
    one = pick(list(PLURALS) + [t[0] for t in THINGS] + SMALL)
    many = plural(one)
    n = random.randint(2, 12)
    return [pick([(pick(f"What is the plural of {one}?|Give me the plural of {one}.|Plural of {one}?|One {one}, two what?"), pick(f"The plural of {one} is {many}.|{up(many)}.")),
                  (pick(f"What is the singular of {many}?|Give me the singular of {many}."), pick(f"The singular of {many} is {one}.|{up(one)}.")),
                  (f"Complete: one {one}, {NUMBERS[n]} ...", f"{up(NUMBERS[n])} {many}."), (pick(f"Is it a {one} or an {one}?|Which is right, a {one} or an {one}?"), f"{up(a(one))}.")])]


@kind(4)
def mistake():
    """Correct a sentence: a wrong verb form, a, an, missing capitals or full stop."""
    who, (base, past, participle, thing), city, day = person()[0], action(), pick(CITIES), pick(DAYS)
    food, noun = pick(FOODS), pick(SMALL + [x for x in SMALL if x[0] in "aeiou"] * 4)
    wrong = ("a " if a(noun).startswith("an ") else "an ") + noun
    ask = "Correct this sentence|Fix the mistake|Fix the grammar|Correct the mistake in this sentence|What is the right way to say this|Please correct this"
    if base == past:                                       # "Kate cut the bread" would be right
        return mistake()
    return reword(ask, *pick([(f"{who} {base} {thing} every day.", f"{who} {third(base)} {thing} every day."), (f"Yesterday {who} {base} {thing}.", f"Yesterday {who} {past} {thing}."),
                              (f"{who} has {wrong}.", f"{who} has {a(noun)}."), (f"{who.lower()} lives in {city.lower()}", f"{who} lives in {city}."),
                              (f"{who} don't like {food}.", f"{who} doesn't like {food}."), (f"We will meet on {day.lower()} in {city.lower()}.", f"We will meet on {day} in {city}."),
                              (f"They was in {city}.", f"They were in {city}.")]))


@kind(3)
def join():
    """Two sentences become one."""
    (one, two), (v1, v2) = people(2), some(VERBS, 2)
    left = f"{one} {v1[1]} {pick(v1[3].split(', '))}"
    right = f"{two} {v2[1]} {pick(v2[3].split(', '))}"
    word = pick("and|but|while")
    return [(pick(f"Join these sentences with {word}: |Make one sentence with {word}: |Combine with {word}: ") + f"{left}. {right}.", f"{left}{',' if word == 'but' else ''} {word} {right}.")]


# ---- lists ----

@kind(6)
def ordering():
    words = some([w for w in pick([COLORS, FOODS, GROCERIES, CITIES, GIRLS, BOYS, [t[0] for t in THINGS]]) if " " not in w], random.choice([3, 3, 4]))
    numbers = some(range(1, 100), random.choice([3, 4]))
    shown = pick([", ".join(words), listed(words)])
    longest = sorted(words, key=len)
    tasks = [(pick(f"Sort these words from A to Z: {shown}|Put these words in alphabetical order: {shown}.|Order alphabetically: {shown}"), ", ".join(sorted(words, key=str.lower))),
             (pick(f"Sort these numbers: {', '.join(map(str, numbers))}|Put these numbers in order, smallest first: {', '.join(map(str, numbers))}"), ", ".join(map(str, sorted(numbers)))),
             (pick(f"Which number is the largest: {', '.join(map(str, numbers))}?|What is the biggest of these numbers: {', '.join(map(str, numbers))}?"), pick(f"The largest number is {max(numbers)}.|{max(numbers)}.")),
             (f"Which number is the smallest: {', '.join(map(str, numbers))}?", pick(f"The smallest number is {min(numbers)}.|{min(numbers)}.")),
             (pick(f"How many things are in this list: {shown}?|Count the words in this list: {shown}."), pick(f"There are {NUMBERS[len(words)]}.|{up(NUMBERS[len(words)])}.")),
             (pick(f"What is the first word in this list: {shown}?|First word of this list: {shown}"), up(words[0]) + "."), (pick(f"What is the last word in this list: {shown}?|Last word of this list: {shown}"), up(words[-1]) + "."),
             (f"Make a numbered list: {shown}", "\n".join(f"{i}. {w}" for i, w in enumerate(words, 1))), (f"Write these words in reverse order: {', '.join(words)}", ", ".join(words[::-1])),
             (f"Is {words[1]} in this list: {shown}?", f"Yes, {words[1]} is in the list.")]
    if len(longest[-1]) > len(longest[-2]):
        tasks.append((pick(f"Which word is the longest: {shown}?|Find the longest word: {shown}."), pick(f"The longest word is {longest[-1]}.|{up(longest[-1])}.")))
    if len(longest[0]) < len(longest[1]):
        tasks.append((f"Which word is the shortest: {shown}?", pick(f"The shortest word is {longest[0]}.|{up(longest[0])}.")))
    return [pick(tasks)]


CATEGORIES = {}
for thing, category, _ in THINGS:
    CATEGORIES.setdefault(category, []).append(thing)
CATEGORIES |= {"color": COLORS, "drink": DRINKS, "day of the week": DAYS, "month": MONTHS, "city": CITIES}


def many_of(category):
    """piece of furniture -> pieces of furniture, thing to read -> things to read, day of the week -> days of the week"""
    head, *rest = category.split(" ")
    return " ".join([plural(head), *rest]) if rest and rest[0] in ("of", "to") else plural(category)


@kind(5)
def three_things():
    category = pick([c for c in CATEGORIES if len(CATEGORIES[c]) >= 4])
    n = random.choice([2, 3, 3, 3, 4])
    things = some(CATEGORIES[category], n)
    form = pick([up(listed(things)) + ".", up(listed(things)) + ".", f"{up(NUMBERS[n])} {many_of(category)} are {listed(things)}.", "\n".join(f"{i}. {up(t)}" for i, t in enumerate(things, 1))])
    return [(pick(f"Name {NUMBERS[n]} {many_of(category)}.|Give me {NUMBERS[n]} {many_of(category)}.|List {NUMBERS[n]} {many_of(category)}.|Tell me {NUMBERS[n]} {many_of(category)}.|Can you name {NUMBERS[n]} {many_of(category)}?|I need {NUMBERS[n]} {many_of(category)}."), form)]


@kind(4)
def category_of():
    things = [t for t in THINGS if t[1] not in ("job", "household item")]
    thing, category, _ = pick(things)
    other, wrong, _ = pick([t for t in things if t[1] != category])
    group = some(CATEGORIES[category], 2) if len(CATEGORIES[category]) > 1 else [thing, thing]
    odd = group + [other]
    random.shuffle(odd)
    return [pick([(pick(f"What kind of thing is {a(thing)}?|Which group does {a(thing)} belong to?"), f"{up(a(thing))} is {a(category)}."),
                  (f"Is {a(thing)} {a(category)}?", f"Yes, {a(thing)} is {a(category)}."),
                  (f"Is {a(thing)} {a(category)} or {a(wrong)}?", f"{up(a(thing))} is {a(category)}.")])] if random.random() < 0.65 or group[0] == group[1] else [
           (pick(f"Which one does not belong: {listed(odd, 'or')}?|Find the odd one out: {', '.join(odd)}.|Which word does not fit: {', '.join(odd)}?"), pick(f"{up(other)} does not belong, because the others are {many_of(category)}.|{up(other)}."))]


# ---- knowledge from tables ----

@kind(6)
def definition():
    thing, _, meaning = pick(THINGS)
    if random.random() < 0.2:
        return [(pick(f"What do we call {meaning}?|Which word means {meaning}?|I am looking for a word: {meaning}."), pick(f"{up(a(thing))}.|It is {a(thing)}."))]
    return [(pick(f"What is {a(thing)}?|Explain what {a(thing)} is.|What does the word {thing} mean?|Define {thing}.|Tell me what {a(thing)} is.|I don't know what {a(thing)} is. Can you explain it?"), f"{up(a(thing))} is {meaning}.")]


@kind(4)
def fact():
    return [pick(FACTS)]


@kind(3)
def capital():
    country, city = pick(CAPITALS)
    others = some([x for _, x in CAPITALS if x != city], 1) + [city]
    random.shuffle(others)
    of = f"The capital of {country} is {city}" + ("" if city.endswith(".") else ".")
    return [pick([(pick(f"What is the capital of {country}?|Tell me the capital of {country}.|Which city is the capital of {country}?|Do you know the capital of {country}?"), of),
                  (f"{city} is the capital of which country?", f"{city} is the capital of {country}."), (f"Is the capital of {country} {others[0]} or {others[1]}?", of)])]


@kind(2)
def color_of():
    thing, color = pick(COLOR_OF)
    return [(pick(f"What color is {thing}?|Which color does {thing} have?|Tell me the color of {thing}."), f"{up(thing)} is {color}.")]


@kind(3)
def animals():
    animal, sound, young = pick(SOUNDS)
    return [pick([(pick(f"What sound does {a(animal)} make?|What does {a(animal)} do to make noise?"), f"{up(a(animal))} {sound}."),
                  (pick(f"What is a baby {animal} called?|What do you call a young {animal}?"), f"A baby {animal} is called {a(young)}."), (f"Which animal {sound}?", f"{up(a(animal))} {sound}.")])]


@kind(4)
def explanation():
    what, text = pick(EXPLANATIONS)
    question = f"Explain {what}.|Tell me {what}.|Can you explain {what}?|Do you know {what}?|Explain in simple words {what}."
    return [(pick(question), text)]


@kind(5)
def opposite():
    one, two = random.sample(pick(OPPOSITES), 2)
    if {one, two} & {"light", "heavy", "dark"}:             # light has two opposites: ask for it only by the other word
        one, two = ("heavy", "light") if "heavy" in (one, two) else ("dark", "light")
    return [(pick(f"What is the opposite of {one}?|Give me the opposite of {one}.|Opposite of {one}?|Tell me the opposite of the word {one}."), pick(f"The opposite of {one} is {two}.|{up(two)}."))]


@kind(4)
def similar():
    one, two = pick(SIMILAR)
    return [(pick(f"What is another word for {one}?|Give me a word that means the same as {one}.|Find a similar word for {one}.|Synonym for {one}?"), pick(f"Another word for {one} is {two}.|{up(two)}."))]


# ---- numbers and time ----

@kind(5)
def sums():
    x, y = random.randint(1, 12), random.randint(1, 12)
    x, y = max(x, y), min(x, y)
    sign, word, total = pick([("+", "plus", x + y), ("+", "plus", x + y), ("-", "minus", x - y), ("x", "times", x * y)])
    if total <= 20 and random.random() < 0.4:
        return [(pick(f"What is {NUMBERS[x]} {word} {NUMBERS[y]}?|How much is {NUMBERS[x]} {word} {NUMBERS[y]}?"), pick(f"{up(NUMBERS[x])} {word} {NUMBERS[y]} is {NUMBERS[total]}.|{up(NUMBERS[total])}."))]
    return [(pick(f"What is {x} {sign} {y}?|How much is {x} {word} {y}?|Calculate {x} {sign} {y}.|{x} {sign} {y}?"), pick(f"{x} {sign} {y} = {total}|The answer is {total}.|{x} {word} {y} is {total}."))]


@kind(4)
def story_sums():
    name, thing, (x, y) = person()[0], plural(pick(SMALL)), sorted(some(range(2, 15), 2))
    return [pick([(f"{name} has {y} {thing} and gets {x} more. How many {thing} does {name} have now?", f"{y} + {x} = {x + y}. {name} has {x + y} {thing}."),
                  (f"{name} had {y} {thing} and lost {x}. How many are left?", f"{y} - {x} = {y - x}. " + (f"{name} has {y - x} {thing} left." if y - x > 1 else "There is one left.")),
                  (f"There are {x} boxes with {y} {thing} each. How many {thing} are there?", f"{x} x {y} = {x * y}. There are {x * y} {thing}."),
                  (f"One ticket costs {y} dollars. How much do {x} tickets cost?", f"{x} x {y} = {x * y}. They cost {x * y} dollars.")])]


@kind(3)
def units():
    n = random.randint(2, 10)
    big, small, factor = pick([("hours", "minutes", 60), ("minutes", "seconds", 60), ("days", "hours", 24), ("weeks", "days", 7), ("years", "months", 12), ("kilometers", "meters", 1000),
                               ("meters", "centimeters", 100), ("kilograms", "grams", 1000), ("feet", "inches", 12), ("dollars", "cents", 100), ("liters", "milliliters", 1000)])
    return [(pick(f"How many {small} are in {n} {big}?|Convert {n} {big} to {small}.|{n} {big} in {small}?"), pick(f"{n} {big} are {n * factor} {small}.|{n * factor} {small}."))]


@kind(4)
def calendar():
    days = pick([DAYS, MONTHS])
    i = random.randrange(len(days))
    unit = "day" if days is DAYS else "month"
    after, before = days[(i + 1) % len(days)], days[i - 1]
    n = random.randint(2, 99)
    options = [(pick(f"Which {unit} comes after {days[i]}?|What {unit} is after {days[i]}?"), f"{after} comes after {days[i]}."), (pick(f"Which {unit} comes before {days[i]}?|What {unit} is before {days[i]}?"), f"{before} comes before {days[i]}."),
               (f"What number comes after {n}?", pick(f"{n + 1}.|The number after {n} is {n + 1}.")), (f"What number comes before {n}?", pick(f"{n - 1}.|The number before {n} is {n - 1}."))]
    if days is DAYS:
        options += [(pick(f"Today is {days[i]}. What day is tomorrow?|If today is {days[i]}, what is tomorrow?"), f"Tomorrow is {after}."), (f"Today is {days[i]}. What day was yesterday?", f"Yesterday was {before}.")]
    return [pick(options)]


# ---- being polite ----

SMALLTALK = table("""
How are you?/How are you today?/How are you doing? | I'm doing well, thank you. How are you?/I'm fine, thanks. What can I do for you?/Very well, thank you. And you?
Hello!/Hi!/Hi!/Hey there!/Hi there!/Hey! | Hello! How can I help you?/Hi! What can I do for you?/Hello! What would you like to talk about?
Good morning!/Good morning. | Good morning! How can I help you?/Good morning! I hope you slept well.
Good evening. | Good evening! How was your day?/Good evening! How can I help you?
I am sad today./I feel sad./I'm feeling down. | I'm sorry to hear that. Do you want to talk about it?/I'm sorry that you feel sad. What happened?
I am so happy today!/I feel great! | That is wonderful! What made you so happy?/I'm glad to hear that. What happened?
I'm tired./I am so tired. | You should get some rest./Maybe a short break would help you./I hope you can rest soon.
I'm bored. | You could read a book or go for a walk./Would you like to hear a story?
I am hungry. | What would you like to eat?/Maybe it is time for a snack. What do you like?
I had a bad day. | I'm sorry to hear that. What went wrong?/I'm sorry. I hope tomorrow will be better.
I had a good day. | I'm glad to hear that. What was the best part?/That is nice. What did you do?
I'm nervous about tomorrow. | What is happening tomorrow?/Take a deep breath. You can do it.
I passed my test! | Well done! You worked hard for it./Congratulations! You can be proud.
I feel lonely. | I'm sorry. I am here if you want to talk./Maybe you could call a friend. I am happy to talk, too.
I can't sleep. | Try to breathe slowly and think of a quiet place./A calm book or soft music may help you sleep.
Who are you?/What are you? | I am a small computer program that can talk with you./I am an assistant. I can answer simple questions.
What can you do?/How can you help me? | I can answer questions, tell short stories and help you with words./I can talk with you, rewrite sentences and answer simple questions.
Are you a robot?/Are you a person? | I am a computer program, not a person./I am a computer program that likes to help.
Can you help me?/I need help./I need your help. | Of course. What do you need?/Yes. What can I do for you?
Tell me a joke. | Why did the clock go to school? It wanted to learn about time./What has hands but cannot clap? A clock./What is full of holes but holds water? A sponge.
""")
THANKS = table("""
Thank you!/Thanks!/Thanks a lot./Thank you very much. | You're welcome!/You are welcome. Can I help you with anything else?/I'm glad I could help.
That was helpful./Good answer./Great, thank you. | I'm happy to help./I'm glad to hear that.
Goodbye!/Bye!/See you later./I have to go now. | Goodbye! Have a nice day./Bye! Take care./See you soon!
Good night. | Good night! Sleep well./Good night and sweet dreams.
""")


def from_table(rows):
    """One of the questions and one of the answers of a row."""
    asks, answers = pick(rows)
    return [(pick(asks.split("/")), pick(answers.split("/")))]


def greeting():
    return from_table(SMALLTALK[:4])


@kind(5)
def smalltalk():
    return from_table(SMALLTALK)


def ending():
    return from_table(THANKS)


@kind(3)
def name_talk():
    """Say hello or goodbye to somebody by name."""
    name, to = people(2)
    return [pick([(pick(f"Say hello to {to}.|Please greet {to}.|Can you say hi to {to}?"), pick(f"Hello, {to}!|Hi, {to}! Nice to meet you.")), (f"Say goodbye to {to}.", f"Goodbye, {to}!"),
                  (f"Wish {to} a good night.", f"Good night, {to}!"), (f"Say thank you to {to}.", f"Thank you, {to}!"), (f"This is my friend {to}.", pick(f"Hello, {to}! Nice to meet you.|Nice to meet you, {to}.")),
                  (f"My friend {to} is sad. What can I say?", pick(f'You could say, "I am here for you, {to}."|Ask {to} what happened and listen.')), (f"{to} won a prize. Congratulate {to}.", pick(f"Congratulations, {to}!|Well done, {to}!"))])]


@kind(3)
def about_topic():
    """Talk that takes up the word the user brings along."""
    hobby, city, food, day = pick(HOBBIES), pick(CITIES), pick(FOODS), pick(DAYS)
    pet, animal = pick(PETS), pick("cat|dog|rabbit|horse|parrot")
    return [pick([(pick(f"I like {hobby}.|I started {hobby} last month."), pick(f"What do you like most about {hobby}?|{up(hobby)} can be a lot of fun. How often do you do it?")),
                  (pick(f"I am going to {city} next week.|On {day} I will travel to {city}."), pick(f"How long will you stay in {city}?|Have a good trip to {city}!|What do you want to see in {city}?")),
                  (pick(f"I had {food} today.|Tonight we will have {food}."), pick(f"How do you like your {food}?|{up(food)} sounds good. Do you have it often?")),
                  (pick(f"My {animal} {pet} is ill.|I'm worried about my {animal} {pet}."), pick(f"I'm sorry to hear that. What is wrong with {pet}?|I hope {pet} will be well soon.")),
                  (pick(f"I got a new {animal}. It is called {pet}.|We have a new {animal} named {pet}."), pick(f"How nice! What does {pet} look like?|I hope you have a lot of fun with {pet}."))])]


# ---- whole documents ----

def talk():
    """A talk of one or several kinds: [(what the user says, what the assistant answers)]"""
    functions, weights = zip(*KINDS)
    chosen = list(dict.fromkeys(random.choices(functions, weights, k=random.choice([1, 1, 2, 3]))))  # none twice
    first = introduction() if introduction in chosen else []
    turns = []
    for function in chosen:
        if function is not introduction and not (first and function is correction):  # one name is enough
            turns += function()
    if first and random.random() < 0.5:                    # ask for the name only after everything else
        return first[:1] + turns + first[1:]
    return first + turns


def document():
    """A talk as text (lines 'A: ...' and 'B: ...'), or a single task with its answer below."""
    turns = talk()
    if len(turns) == 1 and random.random() < 0.6:
        return "\n".join(turns[0])
    if random.random() < 0.1:
        turns += ending()
    return "\n".join(f"A: {ask}\nB: {answer}" for ask, answer in turns)


if __name__ == "__main__":
    random.seed(7)
    print(*(document() for _ in range(int(sys.argv[1]))), sep="\n<|endoftext|>\n")
