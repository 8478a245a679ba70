"""restic and borg, each on a fresh repository of its own in a local folder."""
import os, subprocess, time


def timed(command, cwd=None, env=None, log=None):
    """Wall and CPU seconds of a command, which must succeed."""
    with open(log or os.devnull, 'ab') as out:
        start = time.monotonic()
        p = subprocess.Popen(command, cwd=cwd, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL, stdout=out,
                             stderr=subprocess.STDOUT)
        _, status, used = os.wait4(p.pid, 0)
        wall = time.monotonic() - start
    p.returncode = os.waitstatus_to_exitcode(status)
    if p.returncode:
        tail = open(log, errors='replace').read()[-2000:] if log else ''
        raise SystemExit(f'bench: {" ".join(command)}: exit {p.returncode}\n{tail}')
    return {'wall': wall, 'cpu': {command[0]: round(used.ru_utime + used.ru_stime, 2)}}


def size_of(dir):
    """Bytes of the files below a folder."""
    return sum(os.lstat(os.path.join(d, f)).st_size for d, _, files in os.walk(dir) for f in files)


def discard(path):
    """Puts a tree out of the way until the end: on ext4 every file that is made soon after many were deleted costs
    a search past their inodes, which would be measured in whoever comes next."""
    if os.path.lexists(path):
        os.makedirs(os.environ['OCM_BENCH_TRASH'], exist_ok=True)
        os.rename(path, f'{os.environ["OCM_BENCH_TRASH"]}/{time.monotonic_ns()}')


class Restic:
    name = 'restic'

    def __init__(self, dir):
        self.dir, self.repo = dir, f'{dir}/repo'
        os.makedirs(dir)
        with open(f'{dir}/password', 'w') as f:
            f.write('bench')
        self.base = ['restic', '-q', '-r', self.repo, '--password-file', f'{dir}/password', '--cache-dir', f'{dir}/cache']
        self.do('init')

    def do(self, *args):
        return timed([*self.base, *args], log=f'{self.dir}/log')

    def backup(self, path):
        return self.do('backup', path)

    def restore(self, to):
        return self.do('restore', 'latest', '--target', to)

    def close(self):
        discard(self.dir)


class Borg:
    name = 'borg'

    def __init__(self, dir):
        self.dir, self.repo, self.count = dir, f'{dir}/repo', 0
        os.makedirs(dir)
        self.env = {'BORG_BASE_DIR': f'{dir}/base', 'BORG_PASSPHRASE': 'bench'}
        self.do('init', '--encryption', 'repokey', self.repo)

    def do(self, *args, cwd=None):
        return timed(['borg', *args], cwd=cwd, env=self.env, log=f'{self.dir}/log')

    def backup(self, path):
        self.count += 1
        return self.do('create', '--compression', 'zstd,3', f'{self.repo}::{self.count}', path)

    def restore(self, to):
        return self.do('extract', f'{self.repo}::{self.count}', cwd=to)

    def close(self):
        discard(self.dir)
