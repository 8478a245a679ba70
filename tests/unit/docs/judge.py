"""Says what PyYAML finds in every *.yaml of a folder, in the same words as
test_docs_random.c: FILE.yaml -> FILE.said"""
import os
import sys

import yaml


def say(v, out):
    if v is None:
        out.append('Z')
    elif v is True or v is False:
        out.append('T' if v else 'F')
    elif isinstance(v, (int, float)):
        out.append('N%d' % round(v * 1000))
    elif isinstance(v, str):
        out.append('S' + v.encode().hex())
    elif isinstance(v, list):
        out.append('[')
        for x in v:
            say(x, out)
        out.append(']')
    elif isinstance(v, dict):
        out.append('{')
        for k, x in v.items():
            out.append('K' + k.encode().hex())
            say(x, out)
        out.append('}')
    else:
        raise TypeError(repr(v))
    return out


loader = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)
for name in os.listdir(sys.argv[1]):
    if name.endswith('.yaml'):
        path = os.path.join(sys.argv[1], name)
        with open(path, 'rb') as f:
            v = yaml.load(f.read(), loader)
        with open(path[:-5] + '.said', 'w') as f:
            f.write('\n'.join(say(v, [])) + '\n')
