#!/usr/bin/env python3
"""Takes from the shared folder's reference files what the tests need, so that they run wherever the model is:
scripts/make_reference_data.py SHARED/data/models OUT"""
import json
import pathlib
import sys


def load(path):
    return json.loads(path.read_text())


def main():
    models, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    real = models / 'smollm2-135m-instruct-q4_1'
    nll = load(real / 'reference_nll.json')
    layer0, product, runs = (load(real / f) for f in ('policy_layer0.json', 'policy_product.json', 'policy_reference.json'))
    kept = ['full_fp16', 'uniform8_token.chunk64', 'uniform4_token.chunk64', 'kivi2_g32_r32', 'kivi2_g32_r32.sawtooth',
            'kivi4_g32_r32', 'streaming_4_252', 'h2o_128_128']
    result = {
        'ids': nll['ids'],
        'logprob': [round(x, 6) for x in nll['logprob']],
        'nll_mean': nll['nll_mean'],
        'logits_top': [{k: p[k] for k in ('position', 'top_ids', 'top_logits')} for p in load(real / 'logits_top.json')['positions']],
        'greedy': [{k: p[k] for k in ('name', 'prompt_ids', 'generated_ids', 'margins')} for p in load(real / 'greedy.json')['prompts']],
        'positions': layer0['positions'],
        'product_positions': product['positions'],
        'runs': {name: {'nll_mean': runs['policies'][name]['nll_mean'], 'kl_mean': runs['policies'][name]['kl_mean'],
                        'o': layer0['o'][name], 'sum_abs': layer0['sum_abs'][name]} for name in kept},
        'h2o_victims': {k: v['victims'][:200] for k, v in runs['policies']['h2o_128_128']['evictions'].items() if k.startswith('0,')},
        'product': {},
    }
    for name, case in product['cases'].items():
        row = {k: case[k] for k in ('nll_mean', 'kl_mean', 'bits_per_element_at_end')}
        row['o'], row['sum_abs'] = case['layer0_o']['o'], case['layer0_o']['sum_abs']
        if 'evictions_layer0_first' in case:
            row['victims'] = [v[:200] for v in case['evictions_layer0_first']['victims_by_kv_head']]
        result['product'][name] = row
    (out / 'smollm2-135m-instruct-q4_1.json').write_text(json.dumps(result, separators=(',', ':')))
    for tiny in ('stories260K', 'tinystories-656K'):
        reference = load(models / tiny / 'reference_nll.json')
        (out / (tiny + '.json')).write_text(json.dumps(reference, separators=(',', ':')))


if __name__ == '__main__':
    main()
