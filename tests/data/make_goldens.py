"""Golden results from Hugging Face transformers (float32, eager attention) and tokenizers.

    python make_goldens.py [NAME...]      names: random-... demo-dense demo-moe sampling demo-tokenizer

random-...                 random checkpoints, written here too: dense, and with experts (random-moe-...)
golden/NAME.safetensors    prompt_ids [48], logits [48, vocab], hidden [layers + 1, 48, hidden] (the residual
                           stream after the embedding and after each layer), greedy_ids [64]; with experts also
                           experts [layers, 48, top_k] and margins [layers, 48]: by how much the chosen
                           experts' probabilities differ from each other and from the next one's, at least
golden/sampling.jsonl      logits, previous ids, parameters -> the distribution that generate() draws from
golden/demo-tokenizer.jsonl  texts and ids by the official tokenizers library
"""
import json
import os
import random
import sys
import types

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import LlamaConfig, LlamaForCausalLM, MixtralConfig, MixtralForCausalLM
from transformers.generation import logits_process
from transformers.models.mixtral.modeling_mixtral import MixtralTopKRouter

import make_corpus

HERE = os.path.dirname(os.path.abspath(__file__))
N_PROMPT, N_GREEDY = 48, 64

# config.json as transformers 4 wrote it, and as transformers 5 does. The seeds are such that no greedy choice
# is nearly a tie (the margin is printed).
COMMON = {'architectures': ['LlamaForCausalLM'], 'model_type': 'llama', 'attention_bias': False, 'mlp_bias': False,
          'bos_token_id': 1, 'eos_token_id': 2, 'hidden_act': 'silu', 'rms_norm_eps': 1e-5, 'max_position_embeddings': 256}
MOE = {'architectures': ['MixtralForCausalLM'], 'model_type': 'mixtral', 'bos_token_id': 1, 'eos_token_id': 2,
       'hidden_act': 'silu', 'rms_norm_eps': 1e-5, 'max_position_embeddings': 256, 'rope_theta': 10000.0,
       'sliding_window': None, 'tie_word_embeddings': False, 'torch_dtype': 'bfloat16', 'transformers_version': '4.43.3'}
RANDOM = {
    'random-hd128': dict(
        config={**COMMON, 'hidden_size': 256, 'intermediate_size': 192, 'num_hidden_layers': 2, 'num_attention_heads': 2,
                'num_key_value_heads': 2, 'vocab_size': 331, 'rope_theta': 10000.0, 'rope_scaling': None,
                'tie_word_embeddings': False, 'torch_dtype': 'bfloat16', 'transformers_version': '4.43.3'},
        dtype=torch.bfloat16, shards=1, seed=15),
    'random-gqa': dict(
        config={**COMMON, 'hidden_size': 96, 'intermediate_size': 160, 'num_hidden_layers': 3, 'num_attention_heads': 4,
                'num_key_value_heads': 2, 'head_dim': 32, 'vocab_size': 200, 'tie_word_embeddings': True,
                'rope_parameters': {'rope_theta': 50000.0, 'rope_type': 'default'}, 'dtype': 'float16',
                'transformers_version': '5.0.0'},
        dtype=torch.float16, shards=2, seed=2),
    'random-moe-hd128': dict(
        config={**MOE, 'hidden_size': 128, 'intermediate_size': 32, 'num_hidden_layers': 2, 'num_attention_heads': 2,
                'num_key_value_heads': 2, 'head_dim': 128, 'vocab_size': 131, 'num_local_experts': 8,
                'num_experts_per_tok': 2},
        dtype=torch.bfloat16, shards=1, seed=7),
    'random-moe-top1': dict(  # as transformers 5 saves it with save_original_format=False
        config={**MOE, 'hidden_size': 64, 'intermediate_size': 96, 'num_hidden_layers': 3, 'num_attention_heads': 2,
                'num_key_value_heads': 1, 'vocab_size': 97, 'num_local_experts': 4, 'num_experts_per_tok': 1,
                'rope_theta': None, 'rope_parameters': {'rope_theta': 20000.0, 'rope_type': 'default'},
                'dtype': 'float16', 'torch_dtype': None, 'transformers_version': '5.0.0'},
        dtype=torch.float16, shards=1, seed=4, fused=True),
    'random-moe-top4': dict(
        config={**MOE, 'hidden_size': 64, 'intermediate_size': 40, 'num_hidden_layers': 2, 'num_attention_heads': 4,
                'num_key_value_heads': 4, 'vocab_size': 97, 'num_local_experts': 16, 'num_experts_per_tok': 4},
        dtype=torch.bfloat16, shards=3, seed=6),
    'random-moe-ties': dict(  # experts 0, 2, 4 and 1, 3, 5 have the same router row each
        config={**MOE, 'hidden_size': 64, 'intermediate_size': 48, 'num_hidden_layers': 2, 'num_attention_heads': 2,
                'num_key_value_heads': 2, 'vocab_size': 97, 'num_local_experts': 6, 'num_experts_per_tok': 2},
        dtype=torch.bfloat16, shards=1, seed=1, ties=2),
}


def random_tensors(config, dtype, seed, fused=False, ties=0):
    """Weights that make attention and logits far from uniform."""
    g = torch.Generator().manual_seed(seed)
    h, m, v = config['hidden_size'], config['intermediate_size'], config['vocab_size']
    d = config.get('head_dim', h // config['num_attention_heads'])
    q, kv = config['num_attention_heads'] * d, config['num_key_value_heads'] * d

    def matrix(rows, cols, scale=1.2):
        return (torch.randn(rows, cols, generator=g) * scale / cols ** 0.5).to(dtype)

    def norm():
        return (1 + 0.1 * torch.randn(h, generator=g)).to(dtype)

    tensors = {'model.embed_tokens.weight': torch.randn(v, h, generator=g).to(dtype), 'model.norm.weight': norm()}
    for i in range(config['num_hidden_layers']):
        p = f'model.layers.{i}.'
        tensors |= {p + 'input_layernorm.weight': norm(), p + 'post_attention_layernorm.weight': norm(),
                    p + 'self_attn.q_proj.weight': matrix(q, h, 1.4), p + 'self_attn.k_proj.weight': matrix(kv, h, 1.4),
                    p + 'self_attn.v_proj.weight': matrix(kv, h), p + 'self_attn.o_proj.weight': matrix(h, q)}
        if 'num_local_experts' not in config:
            tensors |= {p + 'mlp.gate_proj.weight': matrix(m, h), p + 'mlp.up_proj.weight': matrix(m, h),
                        p + 'mlp.down_proj.weight': matrix(h, m)}
            continue
        n = config['num_local_experts']
        router = matrix(ties or n, h).repeat(n // (ties or n), 1)
        w1, w3, w2 = ([matrix(*shape) for _ in range(n)] for shape in ((m, h), (m, h), (h, m)))
        if fused:
            tensors |= {p + 'mlp.gate.weight': router, p + 'mlp.experts.down_proj': torch.stack(w2),
                        p + 'mlp.experts.gate_up_proj': torch.cat([torch.stack(w1), torch.stack(w3)], 1)}
            continue
        tensors[p + 'block_sparse_moe.gate.weight'] = router
        for e in range(n):
            tensors |= {f'{p}block_sparse_moe.experts.{e}.{k}.weight': w[e] for k, w in (('w1', w1), ('w2', w2), ('w3', w3))}
    if not config['tie_word_embeddings']:
        tensors['lm_head.weight'] = matrix(v, h, 3.0)
    return tensors


def write_random(name):
    spec, folder = RANDOM[name], os.path.join(HERE, name)
    os.makedirs(folder, exist_ok=True)
    config = {k: v for k, v in spec['config'].items() if v is not None or k in ('rope_scaling', 'sliding_window')}
    with open(os.path.join(folder, 'config.json'), 'w') as f:
        json.dump(config, f, indent=1)
        f.write('\n')
    tensors = random_tensors(spec['config'], spec['dtype'], spec['seed'], spec.get('fused'), spec.get('ties'))
    if spec['shards'] == 1:
        save_file(tensors, os.path.join(folder, 'model.safetensors'), {'format': 'pt'})
        return
    names, where = sorted(tensors), {}
    for i in range(spec['shards']):
        file = f'model-{i + 1:05d}-of-{spec["shards"]:05d}.safetensors'
        part = names[i * len(names) // spec['shards']:(i + 1) * len(names) // spec['shards']]
        save_file({n: tensors[n] for n in part}, os.path.join(folder, file), {'format': 'pt'})
        where |= {n: file for n in part}
    total = sum(t.numel() * t.element_size() for t in tensors.values())
    with open(os.path.join(folder, 'model.safetensors.index.json'), 'w') as f:
        json.dump({'metadata': {'total_size': total}, 'weight_map': where}, f, indent=1)
        f.write('\n')


def fuse_experts(tensors, config):
    """transformers 5 holds the experts of a layer in two tensors, whatever the checkpoint does."""
    for i in range(config['num_hidden_layers']):
        old, new = f'model.layers.{i}.block_sparse_moe.', f'model.layers.{i}.mlp.'
        if old + 'gate.weight' not in tensors:
            continue
        tensors[new + 'gate.weight'] = tensors.pop(old + 'gate.weight')
        w1, w2, w3 = ([tensors.pop(f'{old}experts.{e}.{k}.weight') for e in range(config['num_local_experts'])]
                      for k in ('w1', 'w2', 'w3'))
        tensors[new + 'experts.gate_up_proj'] = torch.cat([torch.stack(w1), torch.stack(w3)], 1)
        tensors[new + 'experts.down_proj'] = torch.stack(w2)


def route_ties(self, hidden):
    """MixtralTopKRouter.forward, but of equal scores the lower expert first: torch.topk leaves that open.
    Scores are summed alike for every row, so that equal rows have equal scores."""
    hidden = hidden.reshape(-1, self.hidden_dim)
    logits = (hidden[:, None].double() * self.weight.double()).sum(-1).float()
    chosen = logits.sort(dim=-1, descending=True, stable=True).indices[:, :self.top_k]
    top = torch.softmax(logits, -1).gather(-1, chosen)
    return logits, top / top.sum(-1, keepdim=True), chosen


def load_model(folder):
    """The checkpoint in float32, whatever version of transformers wrote its config."""
    with open(os.path.join(folder, 'config.json')) as f:
        config = json.load(f)
    rope = config.get('rope_parameters') or {'rope_theta': config.get('rope_theta', 10000.0), 'rope_type': 'default'}
    keep = {k: v for k, v in config.items() if k not in ('torch_dtype', 'dtype', 'rope_theta', 'rope_scaling',
                                                         'rope_parameters', 'transformers_version')}
    moe = 'num_local_experts' in config
    kind, kind_config = (MixtralForCausalLM, MixtralConfig) if moe else (LlamaForCausalLM, LlamaConfig)
    model = kind(kind_config(**keep, rope_parameters=rope, attn_implementation='eager')).float().eval()
    files = sorted(f for f in os.listdir(folder) if f.endswith('.safetensors'))
    tensors = {k: t.float() for f in files for k, t in load_file(os.path.join(folder, f)).items()}
    if moe:
        fuse_experts(tensors, config)
    missing, extra = model.load_state_dict(tensors, strict=False)
    assert not extra and set(missing) <= {'lm_head.weight'}, (missing, extra)
    model.tie_weights()
    assert model.model.config.rope_parameters['rope_theta'] == rope['rope_theta']
    return model


@torch.no_grad()
def write_golden(name):
    model = load_model(os.path.join(HERE, name))
    vocab = model.config.vocab_size
    if name in ('demo-dense', 'demo-moe'):
        tokenizer = Tokenizer.from_file(os.path.join(HERE, name, 'tokenizer.json'))
        text = f'<s>{make_corpus.SYSTEM}\n\n### 指示:\nルナという狐の話をしてください。\n\n### 応答:\n昔々、丘の向こうに'
        prompt = tokenizer.encode(text, add_special_tokens=False).ids[:N_PROMPT]
    else:
        prompt = torch.randint(3, vocab, (N_PROMPT,), generator=torch.Generator().manual_seed(5)).tolist()
    assert len(prompt) == N_PROMPT, len(prompt)
    hidden, routed = [], []
    hooks = [model.model.embed_tokens.register_forward_hook(lambda m, i, o: hidden.append(o[0]))]
    for layer in model.model.layers:
        hooks.append(layer.register_forward_hook(lambda m, i, o: hidden.append((o[0] if isinstance(o, tuple) else o)[0])))
        if hasattr(layer.mlp, 'gate'):
            if RANDOM.get(name, {}).get('ties'):
                layer.mlp.gate.forward = types.MethodType(route_ties, layer.mlp.gate)
            hooks.append(layer.mlp.gate.register_forward_hook(lambda m, i, o: routed.append(o)))
    logits = model(input_ids=torch.tensor([prompt]), use_cache=False).logits[0]
    for hook in hooks:
        hook.remove()
    ids, least = list(prompt), float('inf')
    for _ in range(N_GREEDY):
        top = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].topk(2)
        least = min(least, float(top.values[0] - top.values[1]))
        ids.append(int(top.indices[0]))
    routes = {}
    if routed:
        k = routed[0][2].shape[-1]
        ranked = torch.stack([torch.softmax(o[0], -1).sort(-1, descending=True).values for o in routed])
        margins = (ranked[..., :-1] - ranked[..., 1:])[..., :k].amin(-1)
        routes = {'experts': torch.stack([o[2] for o in routed]).to(torch.int32).contiguous(), 'margins': margins.contiguous()}
        print(f'{name}: {float((margins <= 1e-4).float().mean()):.4f} of the router\'s choices have a margin of 1e-4 at most; '
              f'the smallest is {float(margins.min()):.6f}')
    save_file({**routes, 'prompt_ids': torch.tensor(prompt, dtype=torch.int32), 'logits': logits.contiguous(),
               'hidden': torch.stack([h.reshape(N_PROMPT, -1) for h in hidden]).contiguous(),
               'greedy_ids': torch.tensor(ids[N_PROMPT:], dtype=torch.int32)},
              os.path.join(HERE, 'golden', name + '.safetensors'))
    print(f'{name}: the smallest margin of a greedy choice is {least:.4f}; logits up to {float(logits.abs().max()):.2f}')


def distribution(logits, ids, generated, p):
    """What generate() makes of logits after the tokens `ids` and `generated`."""
    scores, seen = logits[None].clone(), torch.tensor([ids + generated], dtype=torch.long)
    if p.get('bias'):
        bias = [[[i], b] for i, b in p['bias']]
        scores = logits_process.SequenceBiasLogitsProcessor(bias)(seen, scores)
    if p['repetition_penalty'] != 1.0 and ids + generated:
        scores = logits_process.RepetitionPenaltyLogitsProcessor(p['repetition_penalty'])(seen, scores)
    # OpenAI's two penalties are not in transformers: the formula of OpenAI's API reference.
    counts = torch.bincount(torch.tensor(generated, dtype=torch.long), minlength=len(logits))
    scores = scores - p.get('frequency_penalty', 0.0) * counts - p.get('presence_penalty', 0.0) * (counts > 0)
    if p['temperature'] != 1.0:
        scores = logits_process.TemperatureLogitsWarper(p['temperature'])(seen, scores)
    if p['top_k'] > 0:
        scores = logits_process.TopKLogitsWarper(p['top_k'])(seen, scores)
    if p['top_p'] < 1.0:
        scores = logits_process.TopPLogitsWarper(p['top_p'])(seen, scores)
    if p['min_p'] > 0.0:
        scores = logits_process.MinPLogitsWarper(p['min_p'])(seen, scores)
    return torch.softmax(scores, -1)[0]


def write_sampling():
    """What transformers' own processors, in its order, make of random logits."""
    r, g = random.Random(7), torch.Generator().manual_seed(7)
    with open(os.path.join(HERE, 'golden', 'sampling.jsonl'), 'w') as f:
        for case in range(96):
            n = r.randint(50, 200)
            logits = torch.randn(n, generator=g) * r.choice([1.0, 3.0])
            if case % 5 == 0:
                logits = (logits * 2).round() / 2  # ties
            ids, generated = [r.randrange(n) for _ in range(r.randint(0, 12))], []
            p = dict(temperature=r.choice([1.0, 0.7, 0.3, 1.5]), top_k=r.choice([-1, 50, 5, 1, 20]),
                     top_p=r.choice([1.0, 0.95, 0.5, 0.1]), min_p=r.choice([0.0, 0.0, 0.05, 0.3]),
                     repetition_penalty=r.choice([1.0, 1.05, 1.3]))
            if case >= 48:  # biases, and tokens that were generated
                top = logits.topk(8).indices.tolist()
                generated = [r.choice(top + ids) for _ in range(r.randint(0, 9))]
                p |= dict(frequency_penalty=r.choice([0.0, 0.5, 2.0, -1.0]), presence_penalty=r.choice([0.0, 0.7, -0.3, 2.0]),
                          bias=[[i, r.choice([-100.0, -1.5, 0.5, 3.0])] for i in r.sample(range(n), r.randint(0, 4))])
            probs = distribution(logits, ids, generated, p)
            f.write(json.dumps({'logits': [float(f'{x:.9g}') for x in logits.tolist()], 'ids': ids,
                                **({'generated': generated} if case >= 48 else {}), **p,
                                'probs': [float(f'{x:.9g}') for x in probs.tolist()]}) + '\n')


def tokenizer_texts():
    r = random.Random(11)
    texts = ['', ' ', '  ', '   a', 'a   b', ' ' * 17, '\n', '\n\nabc', 'a\n b\n\n', '\t', 'a\tb\r\n', '▁', 'a▁b', '▁▁ ▁',
             '<s>', '</s>', '<s> a </s> b', 'x<unk>y', '<s><s>', '<0xE3>', '<EOD|LLM-jp><MASK|LLM-jp>', '<MASK|LLM-jp', '<s',
             '日本の首都は東京です。', '昔々、', 'Once upon a time', '𠮷野家😀', '😀😀 😀', 'é', 'e\u0301', '\u3000', 'a\u0000b',
             '\u2028x\u0085', 'ＡＢＣ１２３', 'ǅ', 'ﷺ', '한국어', 'العربية', 'a' * 300, '猫' * 100, 'The quick brown fox ' * 10]
    texts += [make_corpus.document(r) for _ in range(30)]
    alphabet = list('abcde ▁\n\t猫犬はの。、😀<s>/') + ['</s>', '<s>', '  ']
    texts += [''.join(r.choice(alphabet) for _ in range(r.randint(1, 30))) for _ in range(40)]
    return texts


def write_tokenizer_cases():
    tokenizer = Tokenizer.from_file(os.path.join(HERE, 'demo-dense', 'tokenizer.json'))
    r = random.Random(13)
    rows = []
    for text in tokenizer_texts():
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        assert tokenizer.encode(text, add_special_tokens=True).ids == [1] + ids
        rows.append({'text': text, 'ids': ids})
    rows += [{'ids': [r.choice([r.randrange(1030), r.randrange(8, 264), r.choice([235, 137, 138, 18])])
                      for _ in range(r.randint(1, 12))]} for _ in range(40)]
    with open(os.path.join(HERE, 'golden', 'demo-tokenizer.jsonl'), 'w', encoding='utf-8') as f:
        for row in rows:
            row['dec'] = tokenizer.decode(row['ids'], skip_special_tokens=False)
            row['dec_skip'] = tokenizer.decode(row['ids'], skip_special_tokens=True)
            f.write(json.dumps(row, ensure_ascii=False) + '\n')


def main():
    names = sys.argv[1:] or [*RANDOM, 'demo-dense', 'demo-moe', 'sampling', 'demo-tokenizer']
    os.makedirs(os.path.join(HERE, 'golden'), exist_ok=True)
    for name in names:
        if name in RANDOM:
            write_random(name)
        if name == 'sampling':
            write_sampling()
        elif name == 'demo-tokenizer':
            write_tokenizer_cases()
        else:
            write_golden(name)


if __name__ == '__main__':
    main()
