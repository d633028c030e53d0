"""Trains a demo model: a toy that shows the engine at work.

    python train_demo.py [--moe] [--steps N] [--out FOLDER]     default: demo-dense, or demo-moe, beside this file

A Unigram tokenizer with byte fallback of the same structure as LLM-jp's (same special tokens and ids),
and a Llama of about two million parameters, on the text of make_corpus.py; about 20 minutes on two cores.
--moe: a Mixtral of 8 experts, 2 of them per token, with demo-dense's tokenizer; about 12 minutes.
"""
import argparse
import json
import math
import os
import random
import shutil
import time

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, MixtralConfig, MixtralForCausalLM

import make_corpus

HERE = os.path.dirname(os.path.abspath(__file__))
SPECIAL = ['<unk>', '<s>', '</s>', '<MASK|LLM-jp>', '<PAD|LLM-jp>', '<CLS|LLM-jp>', '<SEP|LLM-jp>', '<EOD|LLM-jp>']
N_TOKENS, N_ROWS = 1018, 1024  # as LLM-jp's: a few rows of the matrices are padding
CONTEXT = 512
CHAT_TEMPLATE = (
    "{{bos_token}}{% for message in messages %}{% if message['role'] == 'user' %}{{ '\\n\\n### 指示:\\n' + message['content'] }}"
    "{% elif message['role'] == 'system' %}{{ '以下は、タスクを説明する指示です。要求を適切に満たす応答を書きなさい。' }}"
    "{% elif message['role'] == 'assistant' %}{{ '\\n\\n### 応答:\\n' + message['content'] + eos_token }}{% endif %}"
    "{% if loop.last and add_generation_prompt %}{{ '\\n\\n### 応答:\\n' }}{% endif %}{% endfor %}")


def train_pieces(documents, n_pieces):
    """Unigram pieces and their scores; words are cut at spaces and punctuation while training."""
    lines = [line for d in documents for line in d.replace('<s>', '').replace('</s>', '').split('\n') if line]
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(prepend_scheme='always'), pre_tokenizers.Punctuation(behavior='isolated')])
    tokenizer.train_from_iterator(lines, trainers.UnigramTrainer(
        vocab_size=n_pieces, special_tokens=['<unk>'], unk_token='<unk>', max_piece_length=12, show_progress=False))
    vocab = json.loads(tokenizer.to_str())['model']['vocab']
    return [(p, s) for p, s in vocab if p != '<unk>']


def write_tokenizer(folder, documents):
    runs = [('▁' * n, -7.5 * (n + 1)) for n in range(4, 1, -1)]
    trained = [(p, s) for p, s in train_pieces(documents, N_TOKENS - 264 - len(runs) + 1) if set(p) != {'▁'} or len(p) == 1]
    pieces = (runs + trained)[:N_TOKENS - 264]
    least = min(s for _, s in pieces) - 10.0
    vocab = [[p, least] for p in SPECIAL] + [[f'<0x{b:02X}>', least] for b in range(256)] + [list(p) for p in pieces]
    bos = {'SpecialToken': {'id': '<s>', 'type_id': 0}}
    tokenizer = {
        'version': '1.0', 'truncation': None, 'padding': None,
        'added_tokens': [{'id': i, 'content': t, 'single_word': False, 'lstrip': False, 'rstrip': False,
                          'normalized': False, 'special': True} for i, t in enumerate(SPECIAL)],
        'normalizer': {'type': 'Sequence', 'normalizers': [
            {'type': 'Replace', 'pattern': {'Regex': '(?<!\\n)^'}, 'content': '▁'},
            {'type': 'Replace', 'pattern': {'Regex': ' '}, 'content': '▁'}]},
        'pre_tokenizer': None,
        'post_processor': {
            'type': 'TemplateProcessing', 'single': [bos, {'Sequence': {'id': 'A', 'type_id': 0}}],
            'pair': [bos, {'Sequence': {'id': 'A', 'type_id': 0}}, {'SpecialToken': {'id': '<s>', 'type_id': 1}},
                     {'Sequence': {'id': 'B', 'type_id': 1}}],
            'special_tokens': {'<s>': {'id': '<s>', 'ids': [1], 'tokens': ['<s>']}}},
        'decoder': {'type': 'Sequence', 'decoders': [
            {'type': 'ByteFallback'}, {'type': 'Replace', 'pattern': {'Regex': '▁'}, 'content': ' '}, {'type': 'Fuse'},
            {'type': 'Replace', 'pattern': {'Regex': '(?<!\\n)^ '}, 'content': ''}]},
        'model': {'type': 'Unigram', 'unk_id': 0, 'vocab': vocab, 'byte_fallback': True},
    }
    named = {'unk_token': '<unk>', 'bos_token': '<s>', 'eos_token': '</s>', 'pad_token': '<PAD|LLM-jp>',
             'cls_token': '<CLS|LLM-jp>', 'sep_token': '<SEP|LLM-jp>', 'mask_token': '<MASK|LLM-jp>'}
    write_json(folder, 'tokenizer.json', tokenizer)
    write_json(folder, 'special_tokens_map.json', named)
    write_json(folder, 'tokenizer_config.json', {
        **named, 'eod_token': '</s>', 'model_max_length': CONTEXT, 'clean_up_tokenization_spaces': False,
        'tokenizer_class': 'PreTrainedTokenizerFast', 'chat_template': CHAT_TEMPLATE})
    write_json(folder, 'generation_config.json', {'_from_model_config': True, 'bos_token_id': 1, 'eos_token_id': 2})
    return Tokenizer.from_file(os.path.join(folder, 'tokenizer.json'))


def copy_tokenizer(folder):
    """The dense demo's, so that both models read the same ids."""
    for name in ('tokenizer.json', 'special_tokens_map.json', 'tokenizer_config.json', 'generation_config.json'):
        shutil.copy(os.path.join(HERE, 'demo-dense', name), os.path.join(folder, name))
    return Tokenizer.from_file(os.path.join(folder, 'tokenizer.json'))


def write_json(folder, name, value):
    with open(os.path.join(folder, name), 'w', encoding='utf-8') as f:
        json.dump(value, f, ensure_ascii=False, indent=1)
        f.write('\n')


def model_config():
    return LlamaConfig(
        vocab_size=N_ROWS, hidden_size=256, intermediate_size=256, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=4, max_position_embeddings=CONTEXT, rms_norm_eps=1e-5, rope_theta=10000.0,
        tie_word_embeddings=False, bos_token_id=1, eos_token_id=2, attention_bias=False, mlp_bias=False)


def moe_config():
    return MixtralConfig(
        vocab_size=N_ROWS, hidden_size=256, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=4, max_position_embeddings=CONTEXT, rms_norm_eps=1e-5, tie_word_embeddings=False,
        bos_token_id=1, eos_token_id=2, num_local_experts=8, num_experts_per_tok=2, sliding_window=None,
        rope_parameters={'rope_theta': 10000.0, 'rope_type': 'default'},
        output_router_logits=True, router_aux_loss_coef=0.01)  # adds the load-balancing loss, with LLM-jp's weight


def expert_shares(model, stream):
    """The share of routed tokens that each expert of each layer gets; an even split is 1 / n_experts."""
    ids = torch.tensor(stream[:16 * CONTEXT]).view(16, CONTEXT)
    with torch.no_grad():
        logits = model(input_ids=ids, output_router_logits=True).router_logits
    n, k = model.config.num_local_experts, model.config.num_experts_per_tok
    return [(torch.bincount(l.topk(k).indices.flatten(), minlength=n) / (l.shape[0] * k)).tolist() for l in logits]


def train(model, stream, steps, batch, length, rate):
    """Next-token prediction on windows of one long stream of documents."""
    data = torch.tensor(stream)
    decay = [p for p in model.parameters() if p.dim() > 1]
    keep = [p for p in model.parameters() if p.dim() == 1]
    optimizer = torch.optim.AdamW([{'params': decay, 'weight_decay': 0.1}, {'params': keep, 'weight_decay': 0.0}],
                                  lr=rate, betas=(0.9, 0.98))
    generator, begin, smooth = torch.Generator().manual_seed(3), time.time(), None
    for step in range(steps):
        warm = min(1.0, (step + 1) / 50)
        for group in optimizer.param_groups:
            group['lr'] = rate * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / steps)))
        # now and then windows of the whole context, so that late positions are trained too
        n, b = (CONTEXT, batch * length // CONTEXT) if step % 4 == 0 else (length, batch)
        starts = torch.randint(0, len(data) - n, (b,), generator=generator)
        ids = torch.stack([data[s:s + n] for s in starts])
        loss = model(input_ids=ids, labels=ids).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        smooth = loss.item() if smooth is None else 0.95 * smooth + 0.05 * loss.item()
        if step % 50 == 0 or step + 1 == steps:
            print(f'step {step:5d}  loss {smooth:.4f}  {time.time() - begin:6.0f} s', flush=True)


def show(model, tokenizer, prompts):
    for prompt in prompts:
        ids = torch.tensor([tokenizer.encode(prompt, add_special_tokens=False).ids])
        out = model.generate(ids, max_new_tokens=90, do_sample=False, eos_token_id=2, pad_token_id=4)
        print(repr(tokenizer.decode(out[0].tolist(), skip_special_tokens=False)))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--moe', action='store_true')
    parser.add_argument('--steps', type=int, help='default: 4500, or 3000 with --moe')
    parser.add_argument('--out')
    args = parser.parse_args()
    args.steps = args.steps or (3000 if args.moe else 4500)
    args.out = args.out or os.path.join(HERE, 'demo-moe' if args.moe else 'demo-dense')
    os.makedirs(args.out, exist_ok=True)
    torch.manual_seed(1)
    r = random.Random(1)
    documents = [make_corpus.document(r) for _ in range(40000)]
    tokenizer = copy_tokenizer(args.out) if args.moe else write_tokenizer(args.out, documents)
    stream = [i for e in tokenizer.encode_batch(documents, add_special_tokens=False) for i in e.ids]
    model = MixtralForCausalLM(moe_config()) if args.moe else LlamaForCausalLM(model_config())
    print(f'{len(stream)} tokens, {sum(p.numel() for p in model.parameters())} parameters', flush=True)
    train(model, stream, args.steps, batch=16, length=128, rate=3e-3)
    if args.moe:
        model.config.output_router_logits = False
        for layer, shares in enumerate(expert_shares(model, stream)):
            print(f'layer {layer}: the experts\' shares are ' + ' '.join(f'{s:.3f}' for s in shares))
    model = model.to(torch.bfloat16)
    model.save_pretrained(args.out)
    show(model.float().eval(), tokenizer, [
        '昔々、', 'Once upon a time,', '日本の首都は',
        f'<s>{make_corpus.SYSTEM}\n\n### 指示:\n猫は何を食べますか。\n\n### 応答:\n',
        f'<s>{make_corpus.SYSTEM}\n\n### 指示:\nレオという熊の話をしてください。\n\n### 応答:\n',
        f'<s>{make_corpus.SYSTEM}\n\n### 指示:\nTell me a story about a fox named Luna.\n\n### 応答:\n'])


if __name__ == '__main__':
    main()
