"""One controller and its agents on loopback in a folder of their own, and what they cost."""
import datetime, http.client, json, os, signal, socket, subprocess, threading, time

TICK = os.sysconf('SC_CLK_TCK')


def free_ports(n):
    held = [socket.socket() for _ in range(n)]
    for s in held:
        s.bind(('127.0.0.1', 0))
    ports = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return ports


def until(seconds, what, condition):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.05)
    raise SystemExit(f'bench: waited {seconds} s in vain for {what}')


def stat_seconds(path, children=False):
    """CPU seconds of a process or thread; None when it is gone."""
    try:
        f = open(path).read().rsplit(')', 1)[1].split()
    except (OSError, IndexError):
        return None
    ticks = int(f[11]) + int(f[12]) + (int(f[13]) + int(f[14]) if children else 0)
    return ticks / TICK


def memory(pid, key):
    """KiB of VmRSS or VmHWM."""
    for line in open(f'/proc/{pid}/status'):
        if line.startswith(key + ':'):
            return int(line.split()[1])
    return 0


class Stages(threading.Thread):
    """While something runs: CPU of every thread by its name, ended ones too."""

    def __init__(self, pids):
        super().__init__(daemon=True)
        self.pids, self.first, self.last, self.names = pids, {}, {}, {}
        self.ended = threading.Event()
        self.look(True)
        self.start()

    def look(self, first=False):
        for who, pid in self.pids.items():
            try:
                tids = os.listdir(f'/proc/{pid}/task')
            except OSError:
                continue
            for tid in tids:
                s = stat_seconds(f'/proc/{pid}/task/{tid}/stat')
                if s is None:
                    continue
                if first:
                    self.first[tid] = s
                self.last[tid] = s
                try:
                    name = open(f'/proc/{pid}/task/{tid}/comm').read().strip()
                except OSError:
                    continue
                self.names[tid] = f'{who}/{"loop" if int(tid) == pid else name}'

    def run(self):
        while not self.ended.wait(0.1):
            self.look()

    def stop(self):
        self.ended.set()
        self.join()
        self.look()
        out = {}
        for tid, s in self.last.items():
            name = self.names.get(tid, '?')
            out[name] = out.get(name, 0) + s - self.first.get(tid, 0)
        return {k: round(v, 2) for k, v in sorted(out.items()) if v >= 0.01}


class Fleet:
    def __init__(self, dir, bin):
        self.dir, self.bin, self.pids, self.procs = dir, bin, {}, []
        self.repo = f'{dir}/repo'
        self.socket = f'{dir}/s'
        os.makedirs(dir, mode=0o700)
        self.agents, self.join = free_ports(2)
        with open(f'{dir}/controller.conf', 'w') as f:
            f.write(f'[controller]\nstate_dir = {dir}/controller\n[listen]\naddress = 127.0.0.1\n'
                    f'agents = {self.agents}\njoin = {self.join}\n[repository]\npath = {self.repo}\n'
                    f'free_floor = 16M\n[api]\nsocket = {self.socket}\n')
        self.spawn('controller', ['ocm-controller', '--config', f'{dir}/controller.conf'])
        until(60, 'the controller', lambda: self.ctl('status', check=False).returncode == 0)

    def spawn(self, name, command, **env):
        p = subprocess.Popen([f'{self.bin}/{command[0]}', *command[1:]], stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL, stderr=open(f'{self.dir}/{name}.log', 'a'),
                             env={**os.environ, **env}, start_new_session=True)
        self.pids[name] = p.pid
        self.procs.append(p)

    def ctl(self, *args, check=True):
        p = subprocess.run([f'{self.bin}/ocmctl', '--socket', self.socket, '--json', *args],
                           stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=3600)
        if check and p.returncode:
            raise SystemExit(f'bench: ocmctl {" ".join(args)}: exit {p.returncode}\n{p.stderr}{p.stdout[-2000:]}')
        return p

    def json(self, *args):
        return json.loads(self.ctl(*args).stdout)

    def node(self, name, home, lines=''):
        """A node joins; `lines` is further text of its agent.conf."""
        conf = f'{self.dir}/{name}.conf'
        with open(conf, 'w') as f:
            f.write(f'[agent]\nstate_dir = {self.dir}/agent-{name}\n[openclaw]\nhome = {home}\n{lines}')
        token = self.json('node', 'token', name)['token']
        subprocess.run([f'{self.bin}/ocm-agent', '--config', conf, 'join', '--controller', f'127.0.0.1:{self.join}'],
                       input=token, text=True, check=True, stderr=subprocess.DEVNULL, timeout=60)
        self.spawn(name, ['ocm-agent', '--config', conf, 'run'], HOME=home)
        until(30, f'agent {name}', lambda: self.json('node', 'show', name)['node']['connected'])

    def timed(self, *args):
        """ocmctl ARGS: wall seconds and the daemons' CPU seconds."""
        cpu = {n: stat_seconds(f'/proc/{p}/stat', True) for n, p in self.pids.items()}
        stages = Stages(self.pids)
        start = time.monotonic()
        self.ctl(*args)
        wall = time.monotonic() - start
        threads = stages.stop()
        used = {n: round(stat_seconds(f'/proc/{p}/stat', True) - cpu[n], 2) for n, p in self.pids.items()}
        return {'wall': wall, 'cpu': used, 'threads': threads, 'steps': self.steps()}

    def clone(self, source, target):
        """The newest backup of `source` to `target`, plan and apply timed apart, with the apply's steps."""
        snapshot = self.json('list', source)['snapshots'][0]['id']
        start = time.monotonic()
        plan = self.json('migrate', source, target, '--clone', '--snapshot', snapshot, '--plan')['job']['id']
        planned = time.monotonic() - start
        out = self.timed('migrate', source, target, '--clone', '--apply', plan, '--yes')
        out['plan'] = planned
        return out

    def steps(self):
        """Seconds of the newest job in each of its steps, from its events."""
        job = self.json('job', 'list', '--limit', '1')['jobs'][0]['id']
        c = http.client.HTTPConnection('localhost', timeout=30)
        c.sock = socket.socket(socket.AF_UNIX)
        try:
            c.sock.connect(self.socket)
            c.request('GET', f'/api/v1/jobs/{job}/events', headers={'Connection': 'close'})
            text = c.getresponse().read().decode()
        finally:
            c.close()
        out, step, since = {}, None, 0
        for line in text.splitlines():
            if not line.startswith('data:'):
                continue
            event = json.loads(line[5:])
            if event.get('type') not in ('step', 'state'):
                continue
            now = datetime.datetime.fromisoformat(event['time'][:26]).timestamp()
            if step:
                out[step] = round(out.get(step, 0) + now - since, 3)
            step, since = event.get('step'), now
        return out

    def stop(self):
        for p in reversed(self.procs):
            p.send_signal(signal.SIGTERM)
        for p in reversed(self.procs):
            try:
                p.wait(20)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
        self.procs = []
