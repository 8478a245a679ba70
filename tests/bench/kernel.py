"""Debian's kernel source in two versions: many files, and a realistic next version of them."""
import collections, os, re, shutil, subprocess

from fleet import Fleet, free_ports, memory
from peers import Borg, Restic, discard, size_of, timed

PACKAGE = 'linux-source-6.1'


def versions(b):
    """Two extracted trees, older first: from the cache, else fetched and unpacked into it."""
    cache = f'{b.cache}/bench'
    os.makedirs(cache, exist_ok=True)

    def ready():
        return sorted(d for d in os.listdir(cache) if re.fullmatch(r'k\d+-\d+', d) and
                      os.path.exists(f'{cache}/{d}/{PACKAGE}/MAINTAINERS') and not os.path.exists(f'{cache}/{d}.part'))
    if len(ready()) < 2:
        madison = subprocess.run(['apt-cache', 'madison', PACKAGE], capture_output=True, text=True).stdout
        found = sorted({line.split('|')[1].strip() for line in madison.splitlines() if '|' in line})
        if len(found) < 2:
            raise SystemExit(f'bench: apt-cache madison {PACKAGE} lists no two versions: Debian 12 has them')
        for v in (found[0], found[-1]):
            short = 'k' + v.split('.')[-1]
            if short in ready():
                continue
            b.say(f'fetching {PACKAGE} {v}')
            subprocess.run(['apt-get', 'download', '-q', f'{PACKAGE}={v}'], cwd=cache, check=True, stdout=subprocess.DEVNULL)
            open(f'{cache}/{short}.part', 'w').close()
            shutil.rmtree(f'{cache}/{short}', ignore_errors=True)
            shutil.rmtree(f'{cache}/deb', ignore_errors=True)
            subprocess.run(['dpkg-deb', '-x', f'{PACKAGE}_{v}_all.deb', 'deb'], cwd=cache, check=True)
            os.makedirs(f'{cache}/{short}')
            subprocess.run(['tar', 'xf', f'{cache}/deb/usr/src/{PACKAGE}.tar.xz', '-C', f'{cache}/{short}'], check=True)
            shutil.rmtree(f'{cache}/deb')
            os.unlink(f'{cache}/{short}.part')
    both = ready()
    return [f'{cache}/{d}/{PACKAGE}' for d in (both[0], both[-1])]


class Edits:
    """Ten times a line more in 25 files, and all of it undone again."""

    def __init__(self, tree):
        files = sorted(os.path.join(d, f) for d, _, fs in os.walk(tree) for f in fs if f.endswith(('.c', '.h', '.rst')))
        self.files = files[::max(1, len(files) // 250)][:250]
        self.before = {f: os.stat(f) for f in self.files}

    def make(self, turn):
        for f in self.files[turn::10]:
            with open(f, 'a') as out:
                out.write(f'/* edit {turn} */\n')

    def undo(self):
        for f, s in self.before.items():
            os.truncate(f, s.st_size)
            os.utime(f, ns=(s.st_atime_ns, s.st_mtime_ns))


class Ocm:
    """A fresh controller with the node `one`, which has the tree, and the node `two`, which gets it."""
    name = 'ocm'

    def __init__(self, b, dir, tree):
        self.b, self.dir, self.target = b, dir, f'{dir}/target'
        os.makedirs(self.target)
        self.fleet = Fleet(f'{dir}/fleet', b.bin)
        try:
            for name, path, more in (('one', tree, []), ('two', self.target, ['--empty'])):
                home, port = f'{dir}/home-{name}', str(free_ports(1)[0])
                subprocess.run([f'{b.top}/deploy/sample-node', f'{home}/.openclaw', home, port, *more], check=True)
                self.fleet.node(name, home, f'[gateway]\ncontrol = manual\n[extra]\npath = kernel={path}\n')
        except BaseException:
            self.close()
            raise
        self.repo = self.fleet.repo

    def backup(self, path):
        return self.fleet.timed('backup', 'one')

    def restore(self, to):
        return self.fleet.clone('one', 'two')

    def close(self):
        self.fleet.stop()
        discard(self.dir)


def same(a, b):
    return subprocess.run(['diff', '-rq', '--no-dereference', a, b], stdout=subprocess.DEVNULL).returncode == 0


def run(b):
    first, second = versions(b)
    work = f'{b.dir}/kernel'
    tree, other = f'{work}/tree', f'{work}/next'
    os.makedirs(work)
    sub = f'/{b.o.only}' if b.o.only else ''
    b.say('copying both versions of the kernel')
    subprocess.run(['cp', '-a', first + sub, tree], check=True)
    subprocess.run(['cp', '-a', second + sub, other], check=True)

    def swap():
        os.rename(tree, f'{work}/x')
        os.rename(other, tree)
        os.rename(f'{work}/x', other)

    makers = {'ocm': lambda d: Ocm(b, d, tree), 'restic': Restic}
    if not b.o.no_borg:
        makers['borg'] = Borg
    got = collections.defaultdict(lambda: collections.defaultdict(list))
    restores = (b.o.runs + 1) // 2
    for turn in range(b.o.runs):
        order = list(makers)
        order = order[turn % len(order):] + order[:turn % len(order)]
        tools = {}
        try:
            for k in order:
                tools[k] = makers[k](f'{work}/{k}')
            one(b, turn, tools, tree, swap, got, turn < restores)
        finally:
            for t in tools.values():
                t.close()
    b.table.add('kernel', 'first backup', 's', got['first'], 'restic', 0.65)
    b.table.add('kernel', 'nothing changed', 's', got['unchanged'], 'restic', 0.15)
    b.table.add('kernel', 'next version', 's', got['next'], 'restic', 0.5)
    b.table.add('kernel', 'both versions stored', 'MB', got['size'], 'restic', 1.05)
    b.table.add('kernel', 'restore, latest of 12', 's', got['restore'], 'restic', 0.7)
    b.table.add('kernel', '  of it the plan shown before', 's', got['plan'])
    b.table.add('kernel', '  of it fetch and stage', 's', got['stage'])
    b.table.add('kernel', 'first backup, CPU', 's', got['first cpu'], 'restic')
    b.table.add('kernel', 'restore, CPU', 's', got['restore cpu'], 'restic')
    b.table.add('kernel', "agent's peak, first backup", 'MB', got['peak'], None, 32)
    b.table.add('kernel', 'agent idle after it', 'MB', got['idle'], None, 8)
    b.table.add('kernel', "agent's peak, restore", 'MB', got['peak restore'])
    b.table.add('kernel', 'agent idle after it', 'MB', got['idle restore'], None, 8)


def one(b, turn, tools, tree, swap, got, restore):
    def each(what, do):
        for k, t in tools.items():
            s = do(t)
            got[what][k].append(s['wall'])
            got[f'{what} cpu'][k].append(sum(s['cpu'].values()))
            b.say(f'run {turn + 1}: {what}: {k} {s["wall"]:.2f} s')
            if k == 'ocm':
                b.cost(f'kernel, {what}', s)

    pids = tools['ocm'].fleet.pids
    each('first', lambda t: t.backup(tree))
    got['peak']['ocm'].append(memory(pids['one'], 'VmHWM') * 1.024 / 1000)
    got['idle']['ocm'].append(memory(pids['one'], 'VmRSS') * 1.024 / 1000)
    each('unchanged', lambda t: t.backup(tree))
    swap()
    try:
        each('next', lambda t: t.backup(tree))
        for k, t in tools.items():
            got['size'][k].append(size_of(t.repo) / 1e6)
        if not restore:
            return
        edits = Edits(tree)
        try:
            for i in range(10):
                edits.make(i)
                for t in tools.values():
                    t.backup(tree)
            restored(b, tools, tree, got, each)
            got['peak restore']['ocm'].append(memory(pids['two'], 'VmHWM') * 1.024 / 1000)
            got['idle restore']['ocm'].append(memory(pids['two'], 'VmRSS') * 1.024 / 1000)
        finally:
            edits.undo()
    finally:
        swap()


def restored(b, tools, tree, got, each):
    base = os.path.dirname(tree)

    def into(t):
        to = t.target if t.name == 'ocm' else f'{base}/out'
        os.makedirs(to, exist_ok=True)
        s = t.restore(to)
        if t.name == 'ocm':
            got['plan']['ocm'].append(s['plan'])
            got['stage']['ocm'].append(s['steps'].get('stage', 0))
            s['wall'] += s['plan']
        if not same(tree, to if t.name == 'ocm' else to + tree):
            raise SystemExit(f'bench: what {t.name} restored is not the tree that was backed up')
        discard(to)
        return s

    each('restore', into)
    subprocess.run(['tar', 'cf', f'{base}/tree.tar', '-C', tree, '.'], check=True)
    os.makedirs(f'{base}/out')
    s = timed(['tar', 'xf', f'{base}/tree.tar', '-C', f'{base}/out'])
    got['restore']['tar'].append(s['wall'])
    got['restore cpu']['tar'].append(s['cpu']['tar'])
    discard(f'{base}/out')
    os.unlink(f'{base}/tree.tar')
