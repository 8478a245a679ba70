"""Memory: of the agent with many entries, and of the controller with many idle agents."""
import os, shutil, subprocess, time

from fleet import Fleet, free_ports, memory as kib, until


def make_files(dir, count):
    """`count` entries below `dir`, folders with 4,000 small files each."""
    os.makedirs(dir)
    done = folder = 0
    while done < count:
        d = f'{dir}/{folder:04d}'
        os.mkdir(d)
        folder += 1
        done += 1
        for i in range(min(4000, count - done)):
            fd = os.open(f'{d}/session-{i:06d}.jsonl', os.O_WRONLY | os.O_CREAT, 0o600)
            os.write(fd, b'{"n":%d}\n' % (done + i))
            os.close(fd)
        done += min(4000, count - done)


def memory_run(b, fleet, entries):
    work = f'{b.dir}/memory'
    home = f'{work}/home'
    b.say(f'making {entries} entries')
    make_files(f'{work}/files', entries)
    subprocess.run([f'{b.top}/deploy/sample-node', f'{home}/.openclaw', home, str(free_ports(1)[0])], check=True)
    fleet.node('many', home, f'[gateway]\ncontrol = manual\n[extra]\npath = files={work}/files\n')
    pid = fleet.pids['many']
    fresh = kib(pid, 'VmRSS')
    first = fleet.timed('backup', 'many')
    peak = kib(pid, 'VmHWM')
    until(30, 'the agent to let go', lambda: settled(pid))
    idle = kib(pid, 'VmRSS')
    b.cost(f'memory, first backup of {entries} entries', first)
    again = fleet.timed('backup', 'many')
    b.cost('memory, nothing changed', again)
    t = b.table
    t.add('memory', f'first backup of {entries} entries', 's', {'ocm': [first['wall']]})
    t.add('memory', 'nothing changed', 's', {'ocm': [again['wall']]})
    t.add('memory', 'agent before the first backup', 'MB', {'ocm': [fresh * 1.024 / 1000]})
    t.add('memory', "agent's peak", 'MB', {'ocm': [peak * 1.024 / 1000]}, None, 32)
    t.add('memory', 'agent idle after it', 'MB', {'ocm': [idle * 1.024 / 1000]}, None, 8)


def settled(pid):
    """No change over half a second."""
    one = kib(pid, 'VmRSS')
    time.sleep(0.5)
    return kib(pid, 'VmRSS') == one


def memory(b):
    os.makedirs(f'{b.dir}/memory')
    fleet = Fleet(f'{b.dir}/memory/fleet', b.bin)
    try:
        memory_run(b, fleet, b.o.entries)
    finally:
        fleet.stop()
        shutil.rmtree(f'{b.dir}/memory', ignore_errors=True)


def idle(b):
    """Joins first, so that the catalog's pages and the CA's work are not counted."""
    n = b.o.agents
    fleet = Fleet(f'{b.dir}/agents', b.bin)
    held = None
    try:
        controller = fleet.pids['controller']
        b.say(f'joining {n} nodes')
        held = subprocess.Popen([f'{b.bin}/idle_agents', f'{b.dir}/agents/nodes', f'127.0.0.1:{fleet.join}', str(n)],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=open(f'{b.dir}/agents/idle.log', 'w'),
                                text=True)
        for i in range(n):
            held.stdin.write(fleet.json('node', 'token', f'idle-{i}')['token'] + '\n')
        held.stdin.flush()
        expect(b, held, 'joined')
        until(30, 'the controller to settle', lambda: settled(controller))
        before = kib(controller, 'VmRSS')
        start = time.monotonic()
        held.stdin.write('connect\n')
        held.stdin.flush()
        expect(b, held, 'connected')
        wall = time.monotonic() - start
        until(30, 'the controller to settle', lambda: settled(controller))
        after = kib(controller, 'VmRSS')
        there = sum(x['connected'] for x in fleet.json('node', 'list')['nodes'])
        if there != n:
            raise SystemExit(f'bench: the controller sees {there} of {n} agents')
        b.table.add('agents', f'controller with {n} idle agents', 'MB', {'ocm': [after * 1.024 / 1000]})
        b.table.add('agents', 'growth for one', 'KB', {'ocm': [(after - before) / n]}, None, 64)
        b.table.add('agents', f'{n} handshakes to Welcome', 's', {'ocm': [wall]})
    finally:
        if held:
            held.stdin.close()
            try:
                held.wait(20)
            except subprocess.TimeoutExpired:
                held.kill()
                held.wait()
        fleet.stop()
        shutil.rmtree(f'{b.dir}/agents', ignore_errors=True)


def expect(b, process, word):
    line = process.stdout.readline().strip()
    if line != word:
        log = open(f'{b.dir}/agents/idle.log').read()[-1000:]
        raise SystemExit(f'bench: idle_agents said {line!r} and not {word!r}\n{log}')
