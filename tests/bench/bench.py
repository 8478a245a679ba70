"""Called by `run`, see there: options, the parts in turn, one table."""
import argparse, json, os, platform, shutil, signal, statistics, subprocess, sys, tempfile

import agents, kernel, node


class Table:
    """Samples of one figure per tool, and what the project wants of it."""

    def __init__(self):
        self.rows = []

    def add(self, part, name, unit, samples, ratio_to=None, at_most=None):
        """`at_most`: of OCM's median, or of its ratio to the tool `ratio_to`."""
        samples = {k: [round(x, 4) for x in v] for k, v in samples.items() if v}
        median = {k: statistics.median(v) for k, v in samples.items()}
        ratios = {k: round(median['ocm'] / v, 3) for k, v in median.items() if k != 'ocm' and v}
        value = ratios.get(ratio_to) if ratio_to else median.get('ocm')
        self.rows.append({'part': part, 'name': name, 'unit': unit, 'samples': samples, 'median': median,
                          'ratio': ratios, 'target': at_most, 'target_of': ratio_to,
                          'met': None if at_most is None or value is None else value <= at_most})

    def text(self):
        others = [k for k in ('restic', 'borg', 'openclaw', 'tar') if any(k in r['median'] for r in self.rows)]
        head = ['', '', 'ocm', *others, *[f'ocm/{k}' for k in others], 'target', '']
        lines = [head]
        for r in self.rows:
            show = lambda v: '' if v is None else f'{v:.2f}' if v < 100 else f'{v:.0f}'
            target = '' if r['target'] is None else f'{r["target"]} x {r["target_of"]}' if r['target_of'] else \
                f'{r["target"]} {r["unit"]}'
            met = '' if r['target'] is None else 'not measured' if r['met'] is None else 'met' if r['met'] else 'NOT met'
            lines.append([r['part'], f'{r["name"]}, {r["unit"]}', *[show(r['median'].get(k)) for k in ('ocm', *others)],
                          *[show(r['ratio'].get(k)) for k in others], target, met])
        widths = [max(len(x[i]) for x in lines) for i in range(len(head))]
        left = {0, 1, len(head) - 2, len(head) - 1}
        return '\n'.join('  '.join(c.ljust(w) if i in left else c.rjust(w) for i, (c, w) in enumerate(zip(x, widths))).rstrip()
                         for x in lines)


class Bench:
    def __init__(self, options, dir):
        self.o, self.dir, self.table, self.notes, self.end = options, dir, Table(), [], []
        self.top, self.cache = os.environ['OCM_TOP'], os.environ['OCM_CACHE']
        self.bin = os.environ['BUILD_DIR'] + '/bin'
        self.cpu = {}

    def say(self, text):
        print(f'bench: {text}', file=sys.stderr, flush=True)

    def cost(self, what, sample):
        """Remembers where the daemons' CPU seconds went."""
        self.cpu.setdefault(what, []).append({k: sample[k] for k in ('wall', 'cpu', 'threads', 'steps') if k in sample})


def load():
    return float(open('/proc/loadavg').read().split()[0])


def version(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=60).stdout.split('\n')[0]
    except OSError:
        return 'none'


def main():
    p = argparse.ArgumentParser(usage='tests/bench/run --help', add_help=False)
    p.add_argument('part', nargs='?', default='all', choices=['kernel', 'node', 'memory', 'agents', 'all'])
    p.add_argument('--runs', type=int, default=5)
    p.add_argument('--entries', type=int, default=165000)
    p.add_argument('--agents', type=int, default=500)
    p.add_argument('--megabytes', type=int, default=269)
    p.add_argument('--only')
    for flag in ('json', 'no-borg', 'no-openclaw', 'keep'):
        p.add_argument(f'--{flag}', action='store_true')
    o = p.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    b = Bench(o, tempfile.mkdtemp(prefix='ocm-bench.'))
    os.environ['OCM_BENCH_TRASH'] = f'{b.dir}/trash'
    b.say(f'in {b.dir}')
    before = load()
    parts = {'kernel': kernel.run, 'node': node.run, 'memory': agents.memory, 'agents': agents.idle}
    try:
        for name, run in parts.items():
            if o.part in (name, 'all'):
                run(b)
    finally:
        for f in reversed(b.end):
            f()
        if o.keep:
            b.say(f'kept: {b.dir}')
        else:
            subprocess.run(['chmod', '-R', 'u+rwX', b.dir], stderr=subprocess.DEVNULL)
            shutil.rmtree(b.dir, ignore_errors=True)
    machine = {'cpus': os.cpu_count(), 'kernel': platform.release(), 'load_before': before, 'load_after': load(),
               'restic': version('restic', 'version'), 'borg': version('borg', '--version'),
               'ocm': version(f'{b.bin}/ocmctl', 'version')}
    if before > os.cpu_count() / 2:
        b.notes.append(f'the machine was busy before this began (load {before:.1f} on {os.cpu_count()} CPUs): '
                       'look at the ratios only, and again when it is idle')
    if o.json:
        print(json.dumps({'machine': machine, 'rows': b.table.rows, 'cpu': b.cpu, 'notes': b.notes}, indent=1))
        return
    print(f'{machine["cpus"]} CPUs, {machine["restic"]}, {machine["borg"]}; medians of at most {o.runs} runs\n')
    print(b.table.text())
    if b.cpu:
        print('\nwhere the time went (last run; CPU seconds by daemon and thread, seconds by step)')
        for what, samples in b.cpu.items():
            s = samples[-1]
            steps = ''.join(f' {k} {v:.1f}' for k, v in s.get('steps', {}).items())
            print(f'  {what}: {s["wall"]:.2f} s wall; ' + ', '.join(f'{k} {v:.2f}' for k, v in s['cpu'].items()) +
                  '; ' + ', '.join(f'{k} {v:.2f}' for k, v in s['threads'].items()) + (f'; steps:{steps}' if steps else ''))
    for n in b.notes:
        print(f'note: {n}')


main()
