"""A node with a real OpenClaw, grown: full backup and migration, the gateway stopped."""
import collections, os, subprocess, time

from fleet import Fleet, free_ports
from peers import Restic, discard, size_of, timed


def openclaw(b):
    """The newest installation that tests/lib/openclaw has in the cache, or None."""
    base = f'{b.cache}/openclaw'
    if b.o.no_openclaw or not os.path.isdir(base):
        return None
    done = [v for v in os.listdir(base) if os.path.exists(f'{base}/{v}/complete')]
    key = lambda v: [int(x) for x in v.split('.') if x.isdigit()]
    return f'{base}/{max(done, key=key)}/bin/openclaw' if done else None


def make(b, base, kind, command):
    """A stopped sample node below `base`; the lines of its agent.conf."""
    home, port = f'{base}/home', str(free_ports(1)[0])
    state = f'{home}/.openclaw'
    if command:
        subprocess.run([f'{b.top}/deploy/sample-openclaw', command, f'{base}/base', state, home, port, kind], check=True,
                       stdin=subprocess.DEVNULL)
        b.end.append(lambda: subprocess.run([f'{base}/base/gateway', 'stop'], stderr=subprocess.DEVNULL))
        subprocess.run([f'{base}/base/gateway', 'stop'], check=True)
    else:
        subprocess.run([f'{b.top}/deploy/sample-node', state, home, port, *(['--empty'] if kind == 'fresh' else [])],
                       check=True)
    return home, f'state_dir = {state}\n' + (f'bin = {command}\n' if command else '') + '[gateway]\ncontrol = manual\n'


def run(b):
    command = openclaw(b)
    if not command:
        b.notes.append('no OpenClaw in the cache (tests/lib/openclaw install): a sample node without it was measured')
    work = f'{b.dir}/node'
    os.makedirs(work)
    b.say('making the nodes')
    one, one_lines = make(b, f'{work}/one', 'full', command)
    two, two_lines = make(b, f'{work}/two', 'fresh', command)
    state = f'{one}/.openclaw'
    more = max(1, b.o.megabytes - size_of(state) // 1000000)
    subprocess.run([f'{b.top}/tests/bench/grow-node', state, '--megabytes', str(more)], check=True)
    size = size_of(state)
    b.notes.append(f'node: {size / 1e6:.0f} MB in {sum(len(f) for _, _, f in os.walk(state))} files')
    subprocess.run(['cp', '-a', two, f'{work}/two.fresh'], check=True)
    time.sleep(3)  # files of this instant are read again by every tool
    got = collections.defaultdict(lambda: collections.defaultdict(list))
    for turn in range(b.o.runs):
        names = ['ocm', 'restic'] + (['openclaw'] if command else [])
        for k in names[turn % len(names):] + names[:turn % len(names)]:
            if k == 'ocm':
                ocm(b, work, one, one_lines, two, two_lines, got)
            elif k == 'restic':
                r = Restic(f'{work}/restic')
                s = r.backup(state)
                got['full']['restic'].append(s['wall'])
                got['full cpu']['restic'].append(sum(s['cpu'].values()))
                got['size']['restic'].append(size_of(r.repo) / 1e6)
                got['again']['restic'].append(r.backup(state)['wall'])
                r.close()
            else:
                out = f'{work}/archive'
                os.makedirs(out)
                s = timed([f'{work}/one/base/env', command, 'backup', 'create', '--output', out], log=f'{work}/openclaw.log')
                got['full']['openclaw'].append(s['wall'])
                got['size']['openclaw'].append(size_of(out) / 1e6)
                discard(out)
            b.say(f'run {turn + 1}: full backup: {k} {got["full"][k][-1]:.2f} s')
    t = b.table
    t.add('node', 'full backup', 's', got['full'], 'restic', 1.0)
    t.add('node', 'full backup', 's', {k: v for k, v in got['full'].items() if k != 'restic'}, 'openclaw', 0.15)
    t.add('node', 'nothing changed', 's', got['again'], 'restic')
    t.add('node', 'stored', 'MB', got['size'])
    t.add('node', 'migration, plan and apply', 's', got['migration'], None, 2.5)
    t.add('node', '  of it the plan', 's', got['plan'])
    t.add('node', 'full backup, CPU', 's', got['full cpu'], 'restic')


def ocm(b, work, one, one_lines, two, two_lines, got):
    # the target is fresh every time: its own folder, put back
    discard(two)
    subprocess.run(['cp', '-a', f'{work}/two.fresh', two], check=True)
    fleet = Fleet(f'{work}/fleet', b.bin)
    try:
        fleet.node('one', one, one_lines)
        fleet.node('two', two, two_lines)
        s = fleet.timed('backup', 'one')
        b.cost('node, full backup', s)
        got['full']['ocm'].append(s['wall'])
        got['full cpu']['ocm'].append(sum(s['cpu'].values()))
        got['size']['ocm'].append(size_of(fleet.repo) / 1e6)
        s = fleet.timed('backup', 'one')
        b.cost('node, nothing changed', s)
        got['again']['ocm'].append(s['wall'])
        s = fleet.clone('one', 'two')
        b.cost('node, migration', s)
        got['plan']['ocm'].append(s['plan'])
        got['migration']['ocm'].append(s['plan'] + s['wall'])
        b.say(f'migration {s["plan"] + s["wall"]:.2f} s, of it the plan {s["plan"]:.2f} s')
    finally:
        fleet.stop()
        discard(f'{work}/fleet')
