// Says what JSON.parse finds in every *.json of a folder, in the same words as
// test_docs_random.c: FILE.json -> FILE.said
const fs = require('fs');
const dir = process.argv[2];

function say(v, out) {
  if (v === null) out.push('Z');
  else if (v === true) out.push('T');
  else if (v === false) out.push('F');
  else if (typeof v === 'number') out.push('N' + Math.round(v * 1000));
  else if (typeof v === 'string') out.push('S' + Buffer.from(v).toString('hex'));
  else if (Array.isArray(v)) {
    out.push('[');
    for (const x of v) say(x, out);
    out.push(']');
  } else {
    out.push('{');
    for (const [k, x] of Object.entries(v)) {
      out.push('K' + Buffer.from(k).toString('hex'));
      say(x, out);
    }
    out.push('}');
  }
  return out;
}

for (const f of fs.readdirSync(dir)) {
  if (!f.endsWith('.json')) continue;
  const text = fs.readFileSync(`${dir}/${f}`, 'utf8');
  fs.writeFileSync(`${dir}/${f.slice(0, -5)}.said`,
                   say(JSON.parse(text), []).join('\n') + '\n');
}
