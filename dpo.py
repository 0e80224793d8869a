"""Direct Preference Optimization: of two answers, the model learns to prefer the better one.

    python dpo.py                                       # the newest fine-tuned run in out/, on data/preferences.json
    python dpo.py --model out/sft --data my_pairs.jsonl # your own pairs; chat.py --ab collects them
    python dpo.py --model gpt2-medium --lora 16 --data pairs.json

Your Language Model is Secretly a Reward Model (Rafailov et al., 2023). The model is its own reward model: how much
likelier it makes an answer than a frozen copy of itself, the reference, is the reward it gives that answer. The loss
pushes the reward of the chosen answer above that of the rejected one.
"""
import signal
import sys
if __name__ == "__main__":  # for the seconds that importing torch takes
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # no traceback from Ctrl-C; see gpt2.run
    if sys.stderr and sys.stderr.isatty():
        print("importing torch ...", end="\r", file=sys.stderr, flush=True)
import hashlib
import json
import re
from pathlib import Path
from shlex import quote

import finetune
import gpt2
from finetune import as_text, autocast, between, encode_prompt, tidy
from gpt2 import RANK, UserError, printable
import torch
import torch.nn.functional as F

# ---- Reading preference pairs ---------------------------------------------------------------------------------------


def transcript(text):
    """The turns of an Anthropic HH transcript, "\\n\\nHuman: ...\\n\\nAssistant: ..."; none of another text."""
    parts = re.split(r"\n\n(Human|Assistant):", "\n\n" + text.strip())
    roles = {"Human": "user", "Assistant": "assistant"}
    return [] if parts[0].strip() else [(roles[name], said.strip()) for name, said in zip(parts[1::2], parts[2::2])]


def as_turns(value, field):
    """Turns from what stands in a prompt, chosen or rejected field: a text, a message, or a list of messages."""
    if isinstance(value, str):
        return [("", value)]
    return finetune.turns_of([value] if isinstance(value, dict) else value, field)


def pair_of(record):
    """(prompt messages, chosen text, rejected text) of a record in any of the forms that are around; None where the
    texts are equal or empty, not to the same prompt, or the prompt does not end with the user."""
    if not isinstance(record, dict):
        raise ValueError(f"a pair is an object with no field twice, not {json.dumps(record)[:60]}")
    chosen, rejected = (as_turns(record[side], side) for side in ("chosen", "rejected"))
    prompt = record.get("prompt")
    if "instruction" in record:
        prompt = finetune.from_alpaca({**record, "response": ""})[:1]  # the user's turn of two
    elif "conversations" in record:
        prompt = as_turns(record["conversations"], "conversations")
    elif len(chosen) > 1:  # the prompt is part of both sides
        prompt = []
    elif isinstance(prompt, str):
        *turns, last = transcript(prompt) or [("user", prompt)]
        prompt = [*turns, last] if last[1] else turns  # "...\n\nAssistant:" waits for the answer
    elif prompt is not None:
        prompt = as_turns(prompt, "prompt")
    elif isinstance(record["chosen"], str):  # Anthropic HH: two transcripts that differ in the last answer
        chosen, rejected = (transcript(as_text(side, record[side])) for side in ("chosen", "rejected"))
        if not chosen:
            raise KeyError("prompt")
    if not chosen or not rejected:
        raise ValueError("chosen or rejected is empty")
    speakers = {finetune.ROLE_ALIASES.get(turns[-1][0], turns[-1][0]) for turns in (chosen, rejected)}
    if not prompt and (chosen[:-1] != rejected[:-1] or "user" in speakers):
        return None  # no two answers to the same prompt
    prompt = prompt or chosen[:-1]
    chosen, rejected = (turns[-1][1].strip().encode("utf-8", "replace").decode() for turns in (chosen, rejected))
    messages = tidy([*prompt, ("assistant", chosen)])  # joins it to an answer that stands before it
    asked = len(messages) > 1 and messages[-2]["role"] == "user" and messages[-1]["content"] == chosen
    return (messages[:-1], chosen, rejected) if asked and rejected and chosen != rejected else None


def read_pairs(path):
    """The pairs of a file: (prompt messages, chosen text, rejected text)."""
    useless = "pairs (equal or empty texts, two prompts, or no last word of the user)"
    return finetune.read_records(path, pair_of, useless)


# ---- Log-probabilities ----------------------------------------------------------------------------------------------


def encode_pair(pair, tokenizer, template, max_len):
    """(prompt ids, chosen ids, rejected ids), the answers with their <|endoftext|>. Too long: the prompt gives way
    first, oldest turns, then its beginning; an answer keeps its end, and leaves at least the last 16 ids of the prompt
    room."""
    messages, *answers = pair
    chosen, rejected = ((tokenizer.encode(text) + [tokenizer.eot])[-max(1, max_len - 16):] for text in answers)
    prompt, _ = encode_prompt(messages, tokenizer, template, max_len + 1 - max(len(chosen), len(rejected)))
    return prompt, chosen, rejected


def collate(batch):
    """Packs pairs as one sequence each, prompt | chosen | rejected, so that the prompt is computed once.

    batch    list of (prompt, chosen, rejected), with the reference's two log-probabilities behind them where known
    returns  ids, positions (B, T): both answers start after the prompt;
             part (B, T): 0 prompt, 1 chosen, 2 rejected, 3 padding, from which `pair_logps` makes the mask;
             where, target, answer (N,): the flat position before each answer token, the token, and the index of its
             answer, 2b for chosen and 2b + 1 for rejected; reference (B, 2)
    """
    width = max(len(p) + len(c) + len(r) - 2 for p, c, r, *_ in batch)
    rows, where, target, answer = [], [], [], []
    # With a prompt a b, a chosen answer x y e and a rejected one z e (e is <|endoftext|>, only predicted, never read):
    #   ids        a b x y z
    #   positions  0 1 2 3 2
    #   part       0 0 1 1 2
    #   where      1 2 3 | 1 4    both first ids are predicted from b
    #   target     x y e | z e
    for b, (p, c, r, *_) in enumerate(batch):
        P, C, R = len(p), len(c) - 1, len(r) - 1
        pad = [0] * (width - P - C - R)
        rows.append(([*p, *c[:-1], *r[:-1], *pad],
                     [*range(P), *range(P, P + C), *range(P, P + R), *pad],
                     [0] * P + [1] * C + [2] * R + [3] * len(pad)))
        where += [b * width + t for t in (P - 1, *range(P, P + C), P - 1, *range(P + C, P + C + R))]
        target += [*c, *r]
        answer += [2 * b] * len(c) + [2 * b + 1] * len(r)
    ids, positions, part = (torch.tensor(column) for column in zip(*rows))
    reference = torch.tensor([pair[3:] for pair in batch], dtype=torch.float32)
    return ids, positions, part, torch.tensor(where), torch.tensor(target), torch.tensor(answer), reference


def pair_logps(model, ids, positions, part, where, target, answer):
    """Summed log-probability and length of every answer in a packed batch, (B, 2) each: chosen, rejected."""
    query, key = part[:, :, None], part[:, None, :]  # (B, T, 1), (B, 1, T)
    mask = ((key == 0) | (key == query)).tril()  # (B, T, T): a token sees the prompt and its own answer
    hidden = model.hidden(ids, positions, mask[:, None])  # (B, T, C)
    logits = model.head(hidden.flatten(0, 1)[where])  # (N, V)
    logps = -F.cross_entropy(logits.float(), target, reduction="none")  # (N,)
    sums = torch.zeros(2 * len(ids), device=logps.device).index_add(0, answer, logps)  # (2B,)
    return sums.view(-1, 2), torch.bincount(answer, minlength=2 * len(ids)).view(-1, 2)


@torch.no_grad()
def reference_logps(model, pairs, batch_size, compute):
    """The two log-probabilities of every pair (prompt, chosen, rejected) under the model: (N, 2), float32."""
    numbers, device = torch.zeros(len(pairs), 2), model.wte.weight.device
    for indices in gpt2.by_length([sum(map(len, pair)) for pair in pairs], batch_size, "pairs under the reference"):
        *batch, _ = collate([pairs[j] for j in indices])
        with autocast(device.type, compute):
            logps, _ = pair_logps(model, *(t.to(device) for t in batch))
        numbers[indices] = logps.cpu()
    return numbers


# ---- The loss -------------------------------------------------------------------------------------------------------


def dpo_loss(policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps,
             beta=0.1, label_smoothing=0.0, loss_type="sigmoid"):
    """Losses, chosen rewards and rejected rewards, each (B,), of log-probabilities (B,) in nats.

    The reward of an answer y to x is beta (log pi(y|x) - log pi_ref(y|x)), pi its probability under the model, pi_ref
    under the reference. No gradient flows through the rewards that are returned.
    sigmoid  -log sigmoid(r_chosen - r_rejected): equation 7 of Rafailov et al., 2023 (arXiv 2305.18290). With
             label_smoothing e it is the conservative form for labels wrong with probability e: (1 - e) times that
             plus e times the same with the answers exchanged (Mitchell, 2023, "A note on DPO with noisy preferences").
    ipo      (h - 1 / (2 beta))^2 with h = (r_chosen - r_rejected) / beta: equation 17 of Azar et al., 2023 (2310.12036)
    """
    chosen = policy_chosen_logps - reference_chosen_logps
    rejected = policy_rejected_logps - reference_rejected_logps
    h = chosen - rejected
    if loss_type == "sigmoid":
        losses = -(1 - label_smoothing) * F.logsigmoid(beta * h) - label_smoothing * F.logsigmoid(-beta * h)
    elif loss_type == "ipo":
        losses = (h - 1 / (2 * beta)) ** 2
    else:
        raise ValueError(f"loss_type {loss_type!r}: sigmoid or ipo")
    return losses, beta * chosen.detach(), beta * rejected.detach()


# accuracy: how often the chosen answer has the higher reward, by more than rounding; likelier: the higher probability
FIGURES = ("accuracy", "margin", "chosen_reward", "rejected_reward", "chosen_logp", "rejected_logp", "likelier")


def pair_loss(model, batch, args):
    """(summed loss, {name: sum}) of a batch, as `finetune.train` wants it."""
    *packed, reference = batch
    logps, lengths = pair_logps(model, *packed)  # (B, 2), as is the reference
    chosen, rejected = logps.unbind(1)
    sft = -chosen / lengths[:, 0]  # (B,): mean loss per token of the chosen answer
    scale = 1 / lengths if args.average else 1
    losses, r_chosen, r_rejected = dpo_loss(*(logps * scale).unbind(1), *(reference * scale).unbind(1),
                                            args.beta, args.label_smoothing, args.loss)
    margin = r_chosen - r_rejected
    figures = (margin > 1e-5, margin, r_chosen, r_rejected, chosen, rejected, chosen > rejected)
    return (losses + args.sft_coef * sft).sum(), dict(zip(FIGURES, (f.detach().float().sum().item() for f in figures)))


@torch.no_grad()
def mean_figures(model, pairs, args):
    """The means of the loss and of FIGURES over pairs that carry their reference."""
    totals = dict.fromkeys(("loss", *FIGURES), 0.0)
    for indices in gpt2.by_length([sum(map(len, pair[:3])) for pair in pairs], args.batch_size, "evaluating"):
        batch = [t.to(args.device) for t in collate([pairs[j] for j in indices])]
        with autocast(args.device, args.compute):
            loss, figures = pair_loss(model, batch, args)
        for name, value in {"loss": loss.item(), **figures}.items():
            totals[name] += value / len(pairs)
    return totals


# ---- main -----------------------------------------------------------------------------------------------------------


def answers_to(prompts, model, tokenizer, template):
    """Greedy answers, as texts. A model from before fine-tuning is given the role tokens first."""
    if template == "chat":
        tokenizer.add_roles()
        model.resize(tokenizer.vocab_size)
    return [text for text, _, _ in finetune.answer_prompts(model, tokenizer, prompts, template)]


def main():
    parser = finetune.new_parser("Direct Preference Optimization: learn from pairs of answers.",
                                 "--model out/sft --epochs 3")
    add = parser.add_argument_group("model and data").add_argument
    add("--model", metavar="NAME", help="a run, or as for finetune.py (default: the newest tuned one)")
    add("--data", nargs="+", metavar="FILE", help=".json or .jsonl (default: data/preferences.json)")
    add("--out", metavar="FOLDER", default="out/dpo", help="folder of the run (%(default)s)")
    add = parser.add_argument_group("the loss").add_argument
    add("--beta", metavar="X", type=finetune.POSITIVE, default=0.1,
        help="how strongly to hold on to the reference (%(default)s)")
    add("--loss", choices=("sigmoid", "ipo"), default="sigmoid", help="DPO's own or IPO's (%(default)s)")
    add("--label_smoothing", metavar="X", type=between(0, 0.49), default=0.0,
        help="share of pairs believed to be wrong, for sigmoid (%(default)s)")
    add("--average", action="store_true", help="log-probability per token, not the sum: against length bias")
    add("--sft_coef", metavar="X", type=between(0, 1e6), default=1.0,
        help="weight of the SFT loss of the chosen answer (%(default)s)")
    finetune.add_flags(parser, weight_decay=0.0)
    args = parser.parse_args()
    args.model = finetune.newest_run(without="reference.pt") if args.model is None else args.model
    finetune.start_run(args)
    out = Path(args.out)
    model, tokenizer = gpt2.load(args.model, args.device)
    template, args.max_len = model.config.template or "alpaca", min(args.max_len, model.config.n_positions)
    untuned = "" if model.config.template else ", not fine-tuned: run finetune.py first for good answers"
    print(f"From {args.model}{untuned}")
    args.data = args.data or [str(finetune.DATA / "preferences.json")]
    sets, _ = finetune.read_parts(args.data, lambda path: ("pairs", read_pairs(path)), args.split, args.seed)
    lock = finetune.make_room(args)  # noqa: F841: held as long as main runs
    encoded = [[encode_pair(pair, tokenizer, template, args.max_len) for pair in part] for part in sets]
    args.lr = args.lr or (4e-5 if model.size() < 2e7 else 5e-6) * (10 if args.lora else 1)
    args.epochs = args.epochs or min(3, max(1, round(1000 / len(encoded[0]))))
    held_out = sets[2][:args.eval_prompts]
    prompts = [messages for messages, _, _ in held_out]
    sums = [f"{p.detach().cpu().double().sum().item():.6g}" for p in model.parameters()]
    key = hashlib.sha256(repr([encoded, sums]).encode()).hexdigest()  # tells --resume what reference.pt is of
    if args.resume:
        kept_key, references = finetune.read_tensors(out / "reference.pt", "key", "references")
        if kept_key != key:
            raise UserError(f"the pairs or {args.model} are not what the run in {out} was started with")
    else:
        args.before, base = {}, model.config.base
        try:
            if base and base != args.model:
                args.before[base] = answers_to(prompts, *gpt2.load(base, args.device), template)
        except UserError as error:
            print(printable(f"The answers of {base} are not shown: {error}"))
        args.before[args.model] = answers_to(prompts, model, tokenizer, template)
        references = [reference_logps(model, part, args.batch_size, args.compute) for part in encoded]
        finetune.write_tensors(out / "reference.pt", key=key, references=references)
    train_set, val_set, test_set = ([(*pair, *row) for pair, row in zip(part, numbers.tolist())]
                                    for part, numbers in zip(encoded, references))
    model.config.base, model.config.template = args.model, template
    before = mean_figures(model, test_set, args)
    if abs(before["margin"]) > 0.01:  # then the loss is not ln 2
        print(f"Odd: the margin before the first step is {before['margin']:.4f}, not 0: model and reference differ")
    print()
    finetune.prepare_model(model, args)

    def evaluate(model):
        figures = {"val_" + name: value for name, value in mean_figures(model, val_set, args).items()}
        answers = gpt2.generate_batch(model, [prompt for prompt, *_ in val_set[:8]], 64,
                                      stop=tuple(tokenizer.special.values()))
        return figures | {"val_length": sum(map(len, answers)) / len(answers)}

    finetune.train(model, train_set, [sum(map(len, pair[:3])) for pair in train_set], [1] * len(train_set), collate,
                   lambda model, batch: pair_loss(model, batch, args), evaluate,
                   lambda: gpt2.save(model, tokenizer, out), args, FIGURES)
    if RANK > 0:
        return  # the first process does the rest
    gpt2.merge_lora(model)
    gpt2.load_weights(model.eval(), out / "model.safetensors", args.device)  # the best, not the last

    after = mean_figures(model, test_set, args)
    answers = {**args.before, args.out: answers_to(prompts, model, tokenizer, template)}
    responses = [{"prompt": messages, "chosen": chosen, "rejected": rejected,
                  "answers": {name: texts[i] for name, texts in answers.items()}}
                 for i, (messages, chosen, rejected) in enumerate(held_out)]
    for response in responses[:3]:
        finetune.show_answers("Held out:", response["prompt"], response["answers"])
    title = f"On {len(test_set)} test pairs:"
    print(f"\n{title:<32}{'before':>10}{'after':>12}")
    for name in before:
        print(f"  {name:>28}  {before[name]:12.3f}{after[name]:12.3f}")
    finetune.write_json({"pairs": len(test_set), "before": before, "after": after}, out / "eval.json")
    finetune.write_json(responses, out / "responses.json")
    (out / "training_state.pt").unlink()  # finished: nothing to resume
    print(f"\nThe model is in {out}. Compare: python chat.py --compare {quote(args.model)} {quote(args.out)}")


if __name__ == "__main__":
    gpt2.run(main)
