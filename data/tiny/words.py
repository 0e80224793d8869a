"""
The word lists behind sentences.py: names, things, verbs, facts. All written for this repository.

Each table is one string, so that it can be read and extended without any brackets and quotes.
"""


def table(text, sep="|"):
    """'a | b' lines -> [('a', 'b'), ...]"""
    return [tuple(cell.strip() for cell in line.split(sep)) for line in text.strip().splitlines()]


GIRLS = """Nora Anna Maya Lucy Emma Clara Ruth Ivy Sara Lena Mia Zoe Alice Julia Ella Grace Rosa Tara Lily Hana Nina
Vera Olga Paula Fiona Greta Wendy Priya Leila Amina Keiko Carmen Elena Sofia Molly Daisy Hazel Ines Jane Kate Laura
Marta Naomi Olivia Penny Rita Stella Tina Ursula Yuki Irene Martha Bella Dora Edith Freya Holly Jenny Kira""".split()
BOYS = """Tom Ben Sam Leo Max Jack Paul Omar Hugo Ivan Noah Adam Eric Felix George Henry Ian Jonas Karl Liam Mark Nick
Oscar Peter Ravi Simon Theo Victor Wayne Yusuf Ali Bruno Carlos David Emil Frank Gus Harry Isaac Joel Kofi Luis Marco
Nathan Otto Pedro Ralph Stefan Tim Uri Walter Aaron Boris Daniel Elias Finn Hassan Jim Kenji Milo""".split()
PETS = """Pip Rex Bella Coco Max Luna Biscuit Ginger Misty Shadow Pepper Toby Spot Fluffy Buddy Nemo Daisy Socks Oreo
Rocky Honey Charlie Ziggy Peanut Smokey Patch Waffles Pickle Noodle Mango""".split()
CITIES = """Paris London Rome Madrid Berlin Vienna Lisbon Oslo Dublin Cairo Tokyo Delhi Lima Boston Chicago Denver Seattle
Toronto Sydney Athens Prague Warsaw Nairobi Helsinki Milan Munich Porto Glasgow Lyon Austin Portland Dallas Havana
Bogota Seoul Kyoto Zurich Geneva Brussels Amsterdam""".split()
COLORS = "red blue green yellow orange purple pink brown black white gray gold silver".split()
# adjectives that fit nearly every thing, and those that fit only some
ADJECTIVES = """big small old new red blue green yellow brown black white purple pink orange gray pretty beautiful lovely
broken strange cheap expensive special wonderful huge tiny colorful useful perfect simple dirty clean funny ordinary
elegant nice good favorite""".split()
FITTING = table("""
heavy | stone, bag, box
light | feather, jacket
soft | pillow, blanket
hard | stone, chair
warm | coat, soup, blanket
cold | wind, drink, room
bright | star, lamp, light
dark | night, room, forest
long | road, letter, rope
short | story, trip, break
wide | river, street
round | table, window, stone
flat | stone, roof
tall | tower, tree, man
quiet | room, street, child
loud | noise, drum, voice
shiny | coin, ring
strong | horse, rope, wind
weak | voice, light
fresh | apple, bread
dry | towel, leaf
wet | dog, coat, umbrella
smooth | stone, road
rough | sea, wall
thick | book, coat, soup
thin | rope, line
sweet | cake, pear
sour | lemon, cherry
famous | singer, painting, castle
empty | bottle, box, room
full | glass, basket
narrow | path, bridge, street
deep | lake, hole
wooden | chair, bridge, door
comfortable | sofa, bed, chair
modern | house, kitchen
ancient | temple, city
striped | shirt, scarf
sturdy | table, ladder
slippery | floor, path
sharp | knife, pencil
curved | line, road
square | table, window
fluffy | cat, pillow
brave | girl, dog
clever | boy, fox
lazy | cat, boy
hungry | bear, child
happy | child, family
angry | goose, man
kind | neighbor, doctor
sleepy | cat, baby
""")
JOBS = """teacher doctor nurse baker farmer pilot driver cook painter writer singer gardener plumber carpenter dentist
lawyer librarian mechanic waiter engineer scientist photographer builder electrician hairdresser tailor fisherman
musician actor vet postman cleaner designer programmer firefighter accountant translator florist butcher sailor""".split()
HOBBIES = """painting reading swimming cooking gardening dancing singing hiking fishing knitting baking running cycling
drawing chess photography skating sailing climbing writing camping yoga pottery sewing tennis bowling skiing surfing
juggling birdwatching archery rowing""".split()
FOODS = """pizza|soup|pasta|rice|salad|bread|cheese|cake|chocolate|curry|stew|toast|yogurt|honey|ice cream|popcorn|
porridge|fish|chicken|pie|lasagna|jam""".replace("\n", "").split("|")
DRINKS = "tea|coffee|milk|water|lemonade|orange juice|apple juice|hot chocolate|iced tea|ginger ale".split("|")
GROCERIES = """milk|bread|eggs|butter|cheese|apples|bananas|rice|tea|coffee|sugar|flour|salt|carrots|onions|potatoes|tomatoes|
pasta|honey|soap|lemons|grapes|yogurt|mushrooms|beans|oil|pepper|oranges|spinach|garlic|oats|nuts|jam|cereal|candles|
napkins|pears|peas|cucumbers|olives""".replace("\n", "").split("|")
PLACES = """park|school|library|beach|market|museum|gallery|fountain|gym|pool|lake|river|farm|zoo|hospital|office|
bakery|theater|castle|cafe|harbor|station|clinic|bridge|shop|airport|playground|bookstore|barn|hotel""".replace("\n", "").split("|")
SPOTS = """on the table|under the bed|in the drawer|on the shelf|behind the door|in the kitchen|in the garage|next to the sofa|
in the blue bag|on the chair|under the stairs|in the garden|by the window|in the car|on top of the piano|in the closet|
behind the curtain|in the hall|on the desk|in the basket|inside the box|near the lamp""".replace("\n", "").split("|")
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = "January February March April May June July August September October November December".split()
NUMBERS = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
seventeen eighteen nineteen twenty""".split()

# who can do something: subjects in the third person singular that need no article any more
PEOPLE = """my brother|my sister|my mother|my father|my uncle|my aunt|the boy|the girl|the teacher|the old man|
the woman next door|my best friend|the farmer|our neighbor|the young man|my cousin|the nurse|my grandmother""".replace("\n", "").split("|")

# base form | past | past participle | what comes after it. The -s and -ing forms follow rules (see sentences.py).
VERBS = table("""
eat | ate | eaten | an apple, a sandwich, the soup, a banana, a piece of cake
drink | drank | drunk | a glass of water, the milk, a cup of tea
write | wrote | written | a letter, a poem, a long story, a postcard
read | read | read | a book, the newspaper, a short story, the message
sing | sang | sung | a song, an old song
take | took | taken | a photo, the bus, a bag of apples
give | gave | given | a gift to the teacher, a flower to a friend
bring | brought | brought | a cake, an umbrella, the map, a warm blanket
buy | bought | bought | a hat, a new coat, the red bike, an orange scarf
sell | sold | sold | the house, an old car, a painting
make | made | made | a salad, a paper boat, an omelet
build | built | built | a house, a sandcastle, a small bridge, a tower
draw | drew | drawn | a picture, a horse, a map
drive | drove | driven | the truck, a small car
ride | rode | ridden | a horse, the bike, a donkey
see | saw | seen | a rainbow, an owl, the moon, a tall ship
find | found | found | a coin, the key, an old map, a shell
lose | lost | lost | a glove, the ticket, the game
catch | caught | caught | the ball, a fish, the train
throw | threw | thrown | a stone, the ball
teach | taught | taught | a class, the lesson
break | broke | broken | a cup, the window, the vase
choose | chose | chosen | a blue shirt, the small table, a movie
cut | cut | cut | the bread, a rope, the cake
put | put | put | the book on the table, a coin in the box
hold | held | held | the baby, a candle, the rope
hear | heard | heard | a noise, the bell, an owl
keep | kept | kept | a diary, the secret
leave | left | left | the house, a note on the door
lend | lent | lent | a pen to a friend, the ladder to a neighbor
send | sent | sent | a letter, a parcel, an email
feed | fed | fed | the cat, the horse, a baby bird
fly | flew | flown | a kite, a small plane
grow | grew | grown | a plant, a tall sunflower
hide | hid | hidden | the gift, a key under the mat
know | knew | known | the answer, the song
meet | met | met | a friend, the new teacher
pay | paid | paid | the bill, the driver
ring | rang | rung | the bell
shake | shook | shaken | the bottle, the tree
steal | stole | stolen | a cookie
sweep | swept | swept | the floor, the yard
tell | told | told | a joke, the truth, a funny story
wear | wore | worn | a hat, the green coat, a long dress
win | won | won | the race, a prize, the game
forget | forgot | forgotten | the key, an umbrella, the password
wash | washed | washed | the car, a plate, the dog, a shirt
clean | cleaned | cleaned | the kitchen, the window, a room
cook | cooked | cooked | the rice, a big meal, a pot of soup
bake | baked | baked | a cake, a loaf of bread, an apple pie
paint | painted | painted | the fence, a picture, the wall
open | opened | opened | the door, a box, an umbrella, the letter
close | closed | closed | the door, the window, a book
fix | fixed | fixed | the bike, an old radio, the roof
plant | planted | planted | a tree, a rose, an apple tree
water | watered | watered | the garden, a plant
carry | carried | carried | a heavy bag, the basket, a box of books
move | moved | moved | the chair, a table
push | pushed | pushed | the cart, a heavy box
pull | pulled | pulled | the rope, a sled
kick | kicked | kicked | the ball, a stone
help | helped | helped | a friend, an old lady, the child
visit | visited | visited | a museum, an aunt, the zoo, an old castle
call | called | called | a friend, the doctor
answer | answered | answered | the question, the phone
ask | asked | asked | a question
watch | watched | watched | a movie, the game, an old film
use | used | used | a hammer, the computer, an old brush
pack | packed | packed | a suitcase, the bag
order | ordered | ordered | a pizza, an ice cream, a cup of coffee
borrow | borrowed | borrowed | a pen, an interesting book, the car
return | returned | returned | the book, an empty bottle
finish | finished | finished | the homework, a puzzle, the soup
start | started | started | a new job, the engine
count | counted | counted | the money
pick | picked | picked | a flower, an orange, the best apple
peel | peeled | peeled | a potato, an orange
mix | mixed | mixed | the batter
taste | tasted | tasted | the sauce, a piece of cheese
climb | climbed | climbed | a tree, the hill, a ladder
cross | crossed | crossed | the street, the river
follow | followed | followed | the path, a cat
lift | lifted | lifted | a heavy stone, the lid
drop | dropped | dropped | a plate, the keys
wrap | wrapped | wrapped | the gift, a sandwich
chop | chopped | chopped | an onion, the wood
hug | hugged | hugged | the dog, a teddy bear
plan | planned | planned | a trip, the party
repair | repaired | repaired | the clock, a broken chair
sew | sewed | sewn | a dress, a button on the coat
study | studied | studied | the map, a new language
play | played | played | the piano, a game, a song
enjoy | enjoyed | enjoyed | the concert, a walk in the park
learn | learned | learned | a new song, the poem
""")
DOUBLED = set("cut put win forget drop wrap chop hug plan run swim sit stop get dig".split())  # cut -> cutting

# thing | what kind of thing it is | what it is
THINGS = table("""
apple | fruit | a round fruit that grows on trees and is red, green or yellow
banana | fruit | a long yellow fruit with a soft inside
pear | fruit | a sweet fruit that is wide at the bottom and narrow at the top
grape | fruit | a small round fruit that grows in bunches
lemon | fruit | a yellow fruit with a very sour taste
orange | fruit | a round, juicy fruit with a thick skin
cherry | fruit | a small red fruit with a stone inside
peach | fruit | a soft, sweet fruit with a fuzzy skin
plum | fruit | a soft purple fruit with a stone inside
mango | fruit | a sweet fruit from warm countries with orange flesh
carrot | vegetable | a long orange vegetable that grows under the ground
potato | vegetable | a vegetable that grows under the ground and can be boiled, baked or fried
onion | vegetable | a round vegetable with many layers and a strong smell
cabbage | vegetable | a round vegetable made of thick leaves
cucumber | vegetable | a long green vegetable that is often eaten in salads
pea | vegetable | a small, round, green vegetable that grows in a pod
radish | vegetable | a small red root with a sharp taste
dog | animal | an animal that people keep as a pet and a helper
cat | animal | a small furry animal that purrs and catches mice
horse | animal | a large, strong animal that people can ride
cow | animal | a large farm animal that gives milk
sheep | animal | a farm animal that gives us wool
goat | animal | a farm animal with horns that gives milk
pig | animal | a farm animal with a flat nose and a curly tail
rabbit | animal | a small animal with long ears that hops
lion | animal | a big wild cat that lives in groups
tiger | animal | a big wild cat with black stripes
elephant | animal | a very large animal with a long trunk
giraffe | animal | a tall animal with a very long neck
monkey | animal | a clever animal that climbs trees
bear | animal | a large, heavy animal with thick fur
wolf | animal | a wild animal that looks like a dog and lives in packs
fox | animal | a wild animal with red fur and a bushy tail
mouse | animal | a tiny animal with a long tail
squirrel | animal | a small animal with a bushy tail that collects nuts
camel | animal | a desert animal with one or two humps
kangaroo | animal | a jumping animal that carries its baby in a pouch
whale | animal | a huge animal that lives in the sea and breathes air
dolphin | animal | a clever sea animal that breathes air
frog | animal | a small jumping animal that lives near water
turtle | animal | an animal with a hard shell on its back
owl | bird | a bird that hunts at night
eagle | bird | a large bird with very sharp eyes
duck | bird | a bird that swims on ponds and quacks
penguin | bird | a black and white bird that swims but cannot fly
parrot | bird | a colorful bird that can copy sounds
robin | bird | a small bird with a red breast
swan | bird | a large white bird with a long neck
crow | bird | a clever black bird with a rough voice
bee | insect | a small flying insect that makes honey
ant | insect | a tiny insect that lives in large groups
butterfly | insect | an insect with large, colorful wings
beetle | insect | an insect with hard wings
rose | flower | a flower with a sweet smell and thorns on its stem
tulip | flower | a flower shaped like a cup that blooms in spring
daisy | flower | a small flower with white petals and a yellow center
sunflower | flower | a tall yellow flower that makes seeds we can eat
oak | tree | a large tree that grows acorns
pine | tree | a tree with needles instead of flat leaves
hammer | tool | a tool for hitting nails
saw | tool | a tool with teeth for cutting wood
drill | tool | a tool that makes holes
shovel | tool | a tool for digging
rake | tool | a tool for gathering leaves
ladder | tool | a set of steps that you use to reach high places
screwdriver | tool | a tool for turning screws
chair | piece of furniture | a seat for one person
table | piece of furniture | a flat top on legs where people eat or work
bed | piece of furniture | a place to sleep
sofa | piece of furniture | a long, soft seat for two or more people
shelf | piece of furniture | a flat board where you keep things
desk | piece of furniture | a table for writing and working
wardrobe | piece of furniture | a tall cupboard for clothes
hat | piece of clothing | something you wear on your head
scarf | piece of clothing | a long piece of cloth that keeps your neck warm
coat | piece of clothing | something warm that you wear outside
glove | piece of clothing | something that keeps your hand warm
shirt | piece of clothing | something you wear on the upper part of your body
dress | piece of clothing | a top and a skirt in one piece
sock | piece of clothing | something soft that you wear on your foot
sweater | piece of clothing | a warm, knitted top
piano | musical instrument | an instrument with black and white keys
guitar | musical instrument | an instrument with strings that you pluck
violin | musical instrument | an instrument with four strings that you play with a bow
drum | musical instrument | an instrument that you hit to make a beat
flute | musical instrument | a thin instrument that you blow into
trumpet | musical instrument | a brass instrument with a bright, loud sound
car | vehicle | a vehicle with four wheels and an engine
bus | vehicle | a long vehicle that carries many people on roads
truck | vehicle | a large vehicle that carries heavy things
train | vehicle | a vehicle that runs on rails
bicycle | vehicle | a vehicle with two wheels and pedals
boat | vehicle | a vehicle that travels on water
plane | vehicle | a vehicle with wings that flies
tractor | vehicle | a strong vehicle that works on farms
doll | toy | a toy that looks like a small person
kite | toy | a toy that flies in the wind at the end of a string
puzzle | toy | a picture cut into pieces that you put together again
balloon | toy | a thin bag filled with air that floats or bounces
ball | toy | a round toy that you throw, kick or roll
spoon | kitchen item | a small tool for eating soup
fork | kitchen item | a tool with points for picking up food
knife | kitchen item | a tool with a sharp edge for cutting
plate | kitchen item | a flat dish for food
cup | kitchen item | a small container that you drink from
bowl | kitchen item | a round, deep dish
kettle | kitchen item | a pot for boiling water
oven | kitchen item | a hot box where you bake and roast food
pan | kitchen item | a flat metal dish for frying
book | thing to read | a set of pages with words or pictures
newspaper | thing to read | printed sheets that tell you the news
map | thing to read | a drawing that shows where places are
dictionary | thing to read | a book that explains what words mean
letter | thing to read | a message that is written on paper
teacher | job | a person who helps others learn
doctor | job | a person who helps sick people get better
baker | job | a person who makes bread and cakes
farmer | job | a person who grows food or keeps animals
pilot | job | a person who flies planes
plumber | job | a person who repairs water pipes
carpenter | job | a person who makes things out of wood
librarian | job | a person who looks after books in a library
dentist | job | a person who takes care of teeth
river | place | a long stream of water that flows to a lake or the sea
lake | place | a large area of water with land all around it
mountain | place | a very high piece of land
island | place | a piece of land with water all around it
desert | place | a very dry place where little rain falls
forest | place | a large area full of trees
beach | place | a strip of sand or stones next to the sea
library | place | a place where you can read and borrow books
museum | place | a building where you can look at old or special things
bakery | place | a shop that sells bread and cakes
hospital | place | a place where sick people are cared for
castle | place | a big, strong building from old times
bridge | place | a way to cross over a river or a road
farm | place | a place where people grow food and keep animals
harbor | place | a safe place for ships near the land
triangle | shape | a shape with three sides
square | shape | a shape with four equal sides
circle | shape | a perfectly round shape
rectangle | shape | a shape with four sides and four right angles
clock | household item | a device that shows the time
lamp | household item | a device that gives light
mirror | household item | a piece of glass in which you can see yourself
pillow | household item | a soft cushion for your head
blanket | household item | a warm cover for a bed
candle | household item | a stick of wax that burns and gives light
key | household item | a small piece of metal that opens a lock
umbrella | household item | a cover on a stick that keeps the rain off you
broom | household item | a brush with a long handle for sweeping
basket | household item | a container woven from thin pieces of wood
bucket | household item | an open container with a handle for carrying water
towel | household item | a cloth for drying yourself
pencil | thing to write with | a thin stick for writing and drawing that can be erased
pen | thing to write with | a tool for writing with ink
telescope | device | a tube with lenses that makes far things look near
camera | device | a device for taking pictures
radio | device | a device that plays sound sent through the air
computer | device | a machine that stores information and follows instructions
phone | device | a device for talking to people who are far away
fridge | device | a cold cupboard that keeps food fresh
calendar | thing to read | a list of the days, weeks and months of a year
compass | device | a device with a needle that points north
thermometer | device | a device that measures how warm it is
""")
# things one can hold in the hand, give away, lose and find again
SMALL = """ball|kite|key|book|hat|scarf|cup|spoon|lamp|clock|map|pen|pencil|umbrella|basket|candle|camera|doll|puzzle|
flute|drum|apple|pear|lemon|orange|banana|coin|ring|ticket|letter|glove|mirror|bottle|blanket|balloon|brush|whistle|shell|
stone|bell|flag|notebook|ruler|hammer|towel|radio|magnet|marble|feather|compass|flashlight|sock|toy boat|teddy bear|mug|
backpack|postcard|diary|wallet|necklace|cookie|box of crayons|bag of nuts""".replace("\n", "").split("|")
PLURALS = dict(table("""
child | children
man | men
woman | women
foot | feet
tooth | teeth
goose | geese
mouse | mice
sheep | sheep
fish | fish
deer | deer
wolf | wolves
leaf | leaves
knife | knives
shelf | shelves
life | lives
half | halves
scarf | scarves
potato | potatoes
tomato | tomatoes
hero | heroes
thief | thieves
loaf | loaves
person | people
ox | oxen
wife | wives
"""))
OPPOSITES = table("""
hot | cold
big | small
fast | slow
old | young
happy | sad
light | dark
up | down
open | closed
early | late
full | empty
hard | soft
high | low
loud | quiet
rich | poor
wet | dry
clean | dirty
strong | weak
long | short
thick | thin
wide | narrow
deep | shallow
easy | difficult
near | far
left | right
first | last
day | night
summer | winter
love | hate
start | finish
win | lose
push | pull
buy | sell
give | take
come | go
laugh | cry
awake | asleep
alive | dead
cheap | expensive
safe | dangerous
sweet | sour
brave | afraid
smooth | rough
true | false
always | never
inside | outside
above | below
before | after
friend | enemy
question | answer
heavy | light
bright | dim
sharp | dull
tight | loose
polite | rude
lazy | hardworking
begin | end
remember | forget
arrive | leave
increase | decrease
add | subtract
north | south
east | west
yes | no
noisy | silent
ancient | modern
""")
SIMILAR = table("""
big | large
small | little
happy | glad
sad | unhappy
fast | quick
smart | clever
pretty | beautiful
angry | mad
tired | sleepy
scared | afraid
begin | start
end | finish
shout | yell
jump | leap
look | watch
talk | speak
gift | present
rich | wealthy
hard | difficult
easy | simple
funny | amusing
quiet | silent
cold | chilly
wet | damp
sick | ill
kind | nice
brave | courageous
silly | foolish
strange | odd
correct | right
wrong | incorrect
huge | giant
tiny | very small
buy | purchase
help | assist
choose | pick
fix | repair
close | shut
reply | answer
journey | trip
child | kid
house | home
tasty | delicious
calm | peaceful
rude | impolite
famous | well known
sleepy | drowsy
joy | happiness
stone | rock
street | road
""")
CAPITALS = table("""
France | Paris
Italy | Rome
Spain | Madrid
Germany | Berlin
Austria | Vienna
Portugal | Lisbon
Norway | Oslo
Sweden | Stockholm
Denmark | Copenhagen
Finland | Helsinki
Ireland | Dublin
Poland | Warsaw
Greece | Athens
Hungary | Budapest
Belgium | Brussels
Egypt | Cairo
Kenya | Nairobi
Japan | Tokyo
China | Beijing
India | New Delhi
Canada | Ottawa
Mexico | Mexico City
Peru | Lima
Chile | Santiago
Cuba | Havana
Argentina | Buenos Aires
Brazil | Brasilia
Australia | Canberra
Russia | Moscow
Turkey | Ankara
Thailand | Bangkok
Vietnam | Hanoi
South Korea | Seoul
the United States | Washington, D.C.
the United Kingdom | London
the Netherlands | Amsterdam
Colombia | Bogota
Morocco | Rabat
Iceland | Reykjavik
Romania | Bucharest
""")
COLOR_OF = table("""
the sky on a clear day | blue
grass | green
snow | white
a ripe banana | yellow
a lemon | yellow
a carrot | orange
a strawberry | red
a tomato | red
coal | black
milk | white
chocolate | brown
a frog | usually green
a flamingo | pink
an elephant | gray
an eggplant | purple
salt | white
a fire engine | usually red
a pumpkin | orange
spinach | green
a polar bear | white
""")
SOUNDS = table("""
dog | barks | puppy
cat | meows | kitten
cow | moos | calf
sheep | bleats | lamb
horse | neighs | foal
duck | quacks | duckling
pig | oinks | piglet
lion | roars | cub
bear | growls | cub
frog | croaks | tadpole
owl | hoots | owlet
goat | bleats | kid
wolf | howls | pup
hen | clucks | chick
""")
FACTS = table("""
How many days are in a week? | There are seven days in a week.
How many months are in a year? | There are twelve months in a year.
How many hours are in a day? | There are 24 hours in a day.
How many minutes are in an hour? | There are 60 minutes in an hour.
How many legs does a spider have? | A spider has eight legs.
How many legs does an ant have? | An ant has six legs.
How many legs does a dog have? | A dog has four legs.
How many wheels does a bicycle have? | A bicycle has two wheels.
How many wheels does a tricycle have? | A tricycle has three wheels.
How many sides does a triangle have? | A triangle has three sides.
How many sides does a hexagon have? | A hexagon has six sides.
How many strings does a violin have? | A violin has four strings.
How many letters are in the English alphabet? | There are 26 letters in the English alphabet.
How many colors are in a rainbow? | People usually name seven colors in a rainbow.
What do bees make? | Bees make honey.
What do cows eat? | Cows eat grass.
What do pandas eat? | Pandas mostly eat bamboo.
What is ice made of? | Ice is frozen water.
What is bread made from? | Bread is made from flour, water, salt and often yeast.
What is cheese made from? | Cheese is made from milk.
What is paper made from? | Paper is usually made from wood.
What is glass made from? | Glass is made from sand that is heated until it melts.
Where does the sun rise? | The sun rises in the east.
Where does the sun set? | The sun sets in the west.
Where do penguins live? | Most penguins live in the southern half of the world, many of them in Antarctica.
Where do fish live? | Fish live in water.
Where do birds lay their eggs? | Most birds lay their eggs in a nest.
Which planet do we live on? | We live on Earth.
Which planet is the largest? | Jupiter is the largest planet in our solar system.
Which planet is closest to the sun? | Mercury is the planet closest to the sun.
Which animal is the tallest? | The giraffe is the tallest animal on land.
Which animal is the largest? | The blue whale is the largest animal.
Which is the largest ocean? | The Pacific is the largest ocean.
Which season comes after winter? | Spring comes after winter.
Which season comes after summer? | Autumn comes after summer.
Which is the coldest season? | Winter is the coldest season.
What is the first month of the year? | January is the first month of the year.
What is the last month of the year? | December is the last month of the year.
What is the first letter of the alphabet? | The first letter of the alphabet is A.
What is the last letter of the alphabet? | The last letter of the alphabet is Z.
At what temperature does water freeze? | Water freezes at 0 degrees Celsius.
At what temperature does water boil? | At sea level, water boils at 100 degrees Celsius.
What color do you get from blue and yellow? | Blue and yellow paint make green.
What color do you get from red and yellow? | Red and yellow paint make orange.
What color do you get from red and blue? | Red and blue paint make purple.
What gas do we need to breathe? | We need oxygen to breathe.
What does the moon go around? | The moon goes around the Earth.
What does the Earth go around? | The Earth goes around the sun.
""")
EXPLANATIONS = table("""
why the sky is blue | Sunlight holds all colors. The air scatters blue light more than red light, so the sky looks blue.
why we sleep | Sleep gives the body and the brain time to rest and repair themselves. Without it, we feel tired and slow.
why leaves fall in autumn | In autumn there is less light. Trees drop their leaves to save water and energy for the winter.
how rain is made | Warm water rises into the air and cools down. It turns into tiny drops that form clouds. When the drops grow heavy, they fall as rain.
why ice floats | Water takes up more room when it freezes. Ice is therefore lighter than the same amount of water, so it floats.
why we have seasons | The Earth is tilted. As it goes around the sun, each half gets more sunlight in one part of the year and less in another.
how plants grow | A plant takes water from the soil and air through its leaves. With sunlight it turns them into food, and so it grows.
why we brush our teeth | Brushing removes food and germs from our teeth. This keeps the teeth healthy and the breath fresh.
what a computer does | A computer follows a list of instructions very quickly. It can store, change and show information.
why the moon shines | The moon makes no light of its own. It shines because it reflects the light of the sun.
how a boat floats | A boat pushes water aside. The water pushes back, and this push holds the boat up.
why we drink water | The body loses water all day long. We drink to replace it, because every part of the body needs water.
how honey is made | Bees collect nectar from flowers. In the hive they dry it until it becomes thick, sweet honey.
why birds fly south | In winter there is little food in cold places. Many birds fly south to find warmth and food.
why we wear coats in winter | A coat keeps the warm air close to our body, so we lose less heat in the cold.
what causes day and night | The Earth turns around once a day. The side that faces the sun has day, and the other side has night.
how a shadow is made | Light cannot go through a solid thing. Behind that thing there is a dark place, and we call it a shadow.
why exercise is good for us | Exercise makes the heart and the muscles strong. It also helps us sleep well and feel happy.
why people keep pets | Pets are good company. Caring for an animal can make people feel calm and less lonely.
how bread rises | Yeast in the dough makes tiny bubbles of gas. The bubbles push the dough up, so the bread becomes soft.
what a rainbow is | A rainbow appears when sunlight shines through drops of rain. The drops split the light into its colors.
why we recycle | When we recycle, old things become new things. This saves material and energy, and there is less waste.
how a bicycle moves | Your feet push the pedals. The chain carries this push to the back wheel, and the wheel rolls you forward.
why we cook food | Cooking makes many foods softer and tastier. It also kills germs that could make us ill.
why metal feels cold | Metal carries heat away from your hand quickly, so it feels colder than wood in the same room.
""")
RHYMES = [group.split() for group in """cat hat bat mat|day play say way|light night bright right|tree bee sea free|
house mouse|moon spoon soon|cake lake snake make|star car far jar|king ring sing wing|ball tall wall fall|
boat goat coat note|sun run fun|bed red head|rain train plain|book look cook|dog frog log|bear chair hair|
snow grow slow|door floor four|hand sand band|tail sail mail pale|well bell shell|nose rose""".replace("\n", "").split("|")]
